//! `clawhook cron add`.

use std::path::PathBuf;

use clap::Args;
use clawhook_model::UnixMs;
use serde_json::{Value, json};

use super::alert_flags::AlertFlags;
use super::bounds_flags::BoundsFlags;
use super::delivery_flags::DeliveryFlags;
use super::hook_flags::HookFlags;
use super::job_flags::JobFlags;
use super::payload_flags::{PayloadFlags, Work};
use super::policy_flags::PolicyFlags;
use super::schedule_flags::{ScheduleFlags, Timing};
use super::turn_flags::TurnFlags;
use super::{Misuse, show};
use crate::client::{Call, Client};
use crate::document;
use crate::failure::Failure;

/// The flags of `clawhook cron add`.
#[derive(Args)]
pub(super) struct AddArgs {
    /// When: a cron expression, `every 1h`, `in 20m`, or an ISO time
    #[arg(value_name = "SCHEDULE")]
    schedule: Option<String>,
    /// What an agent is told
    #[arg(value_name = "MESSAGE")]
    message_text: Option<String>,
    /// Take the job's JSON from this file as it is; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["schedule", "message_text", "disabled", "JobFlags", "ScheduleFlags", "PolicyFlags", "PayloadFlags", "TurnFlags", "BoundsFlags", "DeliveryFlags", "AlertFlags", "HookFlags"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    job: JobFlags,
    /// Do not run it yet
    #[arg(long)]
    disabled: bool,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    timing: ScheduleFlags,
    #[command(flatten)]
    policies: PolicyFlags,
    #[command(flatten)]
    payload: PayloadFlags,
    #[command(flatten)]
    turn: TurnFlags,
    #[command(flatten)]
    bounds: BoundsFlags,
    #[command(flatten)]
    delivery: DeliveryFlags,
    #[command(flatten)]
    alerts: AlertFlags,
    #[command(flatten)]
    hooks: HookFlags,
}

/// What is to be sent.
pub(super) enum Plan {
    /// A document, as it is.
    Document(PathBuf),
    /// A definition made from flags.
    Definition(Value),
}

impl AddArgs {
    /// Turns what was typed into what is meant.
    pub(super) fn plan(&self, now: UnixMs) -> Result<Plan, Misuse> {
        if let Some(file) = &self.file {
            return Ok(Plan::Document(file.clone()));
        }
        let message = self.message_text.as_deref();
        let mut definition = self.job.read();
        // What begins when other jobs have ended needs no clock; then the one text that was typed is the message.
        let no_clock = self.hooks.follows_jobs() && self.message_text.is_none() && !self.timing.is_given();
        let (schedule, message) = if no_clock {
            (json!({ "kind": "event", "source": "job" }), self.schedule.as_deref())
        } else {
            let Timing::Whole(schedule) = self.timing.read(self.schedule.as_deref(), now)? else {
                return Err(Misuse::new(
                    "a job needs a schedule: SCHEDULE, --cron, --every, --at or --after",
                ));
            };
            (schedule, message)
        };
        definition.insert("schedule".to_owned(), schedule);
        definition.extend(self.policies.read());
        let Some(work) = self.payload.work(message) else {
            return Err(Misuse::new(
                "a job needs something to do: MESSAGE, --message, --system-event, --command or --command-argv",
            ));
        };
        check_session(self.job.session(), work)?;
        let mut payload = self.payload.read(message)?;
        self.turn.put(&mut payload);
        definition.insert("payload".to_owned(), Value::Object(payload));
        definition.extend(self.bounds.read());
        definition.extend(self.hooks.read());
        if let Some(delivery) = self.delivery.read_new()? {
            definition.insert("delivery".to_owned(), delivery);
        }
        if let Some(alerts) = self.alerts.read() {
            definition.insert("failureAlert".to_owned(), alerts);
        }
        if self.disabled {
            definition.insert("enabled".to_owned(), json!(false));
        }
        Ok(Plan::Definition(Value::Object(definition)))
    }
}

fn check_session(session: Option<&str>, work: Work) -> Result<(), Misuse> {
    match (session, work) {
        (Some("main"), Work::OwnSession) => Err(Misuse::new("--session main needs --system-event")),
        (Some("main") | None, _) | (_, Work::OwnSession) => Ok(()),
        (Some(_), Work::SystemEvent) => {
            Err(Misuse::new("--system-event needs --session main; leave --session out"))
        }
    }
}

/// Adds the job.
pub(super) async fn run(client: &Client, args: AddArgs, plan: Plan, now: UnixMs) -> Result<(), Failure> {
    let definition = match plan {
        Plan::Document(path) => document::read(&path)?,
        Plan::Definition(definition) => definition,
    };
    let answer = client.call(Call::post(["jobs"]).json(definition)).await?;
    show::saved("added", &answer, args.json, now)
}
