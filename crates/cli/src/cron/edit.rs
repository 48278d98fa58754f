//! `clawhook cron edit`.

use std::path::PathBuf;

use clap::Args;
use clawhook_model::UnixMs;
use serde_json::{Map, Value, json};

use super::alert_flags::AlertFlags;
use super::bounds_flags::BoundsFlags;
use super::delivery_flags::DeliveryFlags;
use super::hook_flags::HookFlags;
use super::job_flags::JobFlags;
use super::payload_flags::PayloadFlags;
use super::policy_flags::PolicyFlags;
use super::schedule_flags::{Amendment, ScheduleFlags, Timing};
use super::turn_flags::TurnFlags;
use super::{Misuse, show};
use crate::client::{Call, Client};
use crate::document;
use crate::failure::Failure;
use crate::view::{self, JobView};

/// The flags of `clawhook cron edit`.
#[derive(Args)]
pub(super) struct EditArgs {
    /// The job's id
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// Take the changes' JSON from this file as it is; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["enable", "disable", "JobFlags", "ScheduleFlags", "PolicyFlags", "PayloadFlags", "TurnFlags", "BoundsFlags", "DeliveryFlags", "AlertFlags", "HookFlags", "ClearFlags"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    job: JobFlags,
    /// Run it when it is due
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Do not run it
    #[arg(long)]
    disable: bool,
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
    #[command(flatten)]
    clear: ClearFlags,
}

/// What is to be taken away.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "Take away")]
struct ClearFlags {
    /// Let it run as the default agent
    #[arg(long, conflicts_with = "agent")]
    clear_agent: bool,
    /// Let it use its agent's model
    #[arg(long, conflicts_with = "model")]
    clear_model: bool,
    /// Let it use its agent's fallbacks
    #[arg(long, conflicts_with = "fallbacks")]
    clear_fallbacks: bool,
    /// Let it think as hard as its agent does
    #[arg(long, conflicts_with = "thinking")]
    clear_thinking: bool,
    /// Let it use its agent's tools
    #[arg(long, conflicts_with = "tools")]
    clear_tools: bool,
    /// Tell it the files of its agent's workspace
    #[arg(long, conflicts_with = "light_context")]
    no_light_context: bool,
    /// Let it continue no conversation
    #[arg(long, conflicts_with = "session_key")]
    clear_session_key: bool,
    /// Take any result
    #[arg(long, conflicts_with = "output_schema")]
    clear_output_schema: bool,
    /// Let it cost what it costs
    #[arg(long, conflicts_with_all = ["budget_usd", "budget_tokens"])]
    clear_budget: bool,
    /// Take all its hooks away
    #[arg(long, conflicts_with_all = ["hooks", "hook_pre_command", "hook_post_command", "hook_error_command", "hook_always_command"])]
    clear_hooks: bool,
    /// Let it wait for no other job
    #[arg(long, conflicts_with = "after")]
    clear_after: bool,
    /// Take the description away
    #[arg(long, conflicts_with = "description")]
    clear_description: bool,
    /// Take the label away
    #[arg(long, conflicts_with = "display_name")]
    clear_display_name: bool,
    /// Let it use the last chat channel
    #[arg(long, conflicts_with_all = ["channel", "webhook", "destination", "no_deliver"])]
    clear_channel: bool,
    /// Take the recipient away
    #[arg(long, conflicts_with_all = ["to", "webhook", "destination", "no_deliver"])]
    clear_to: bool,
    /// Take the sending account away
    #[arg(long, conflicts_with_all = ["account", "webhook", "destination", "no_deliver"])]
    clear_account: bool,
    /// Take the thread away
    #[arg(long, conflicts_with_all = ["thread_id", "webhook", "destination", "no_deliver"])]
    clear_thread_id: bool,
    /// Count a run as completed only if its result arrives
    #[arg(long, conflicts_with = "best_effort_deliver")]
    no_best_effort_deliver: bool,
    /// Send no result that comes after its run was given up
    #[arg(long, conflicts_with = "late_results")]
    no_late_results: bool,
    /// Let the gateway say when trouble is told, and where
    #[arg(long, conflicts_with = "AlertFlags")]
    clear_failure_alert: bool,
    /// Let the gateway say what becomes of instants at which it was not there
    #[arg(long, conflicts_with_all = ["misfire", "misfire_max", "max_lateness"])]
    clear_misfire: bool,
    /// Let the gateway say what becomes of instants while a run is not over
    #[arg(long, conflicts_with_all = ["overlap", "overlap_max"])]
    clear_overlap: bool,
}

/// What is to be changed.
pub(super) enum Plan {
    /// A document, as it is.
    Document(PathBuf),
    /// These members.
    Patch(Map<String, Value>),
    /// These members, and a part of the cron schedule.
    Amend(Map<String, Value>, Amendment),
}

impl EditArgs {
    /// Turns what was typed into what is meant.
    pub(super) fn plan(&self, now: UnixMs) -> Result<Plan, Misuse> {
        if let Some(file) = &self.file {
            return Ok(Plan::Document(file.clone()));
        }
        let mut patch = self.job.read();
        patch.extend(self.policies.read());
        patch.extend(self.bounds.read());
        patch.extend(self.hooks.read());
        if self.enable || self.disable {
            patch.insert("enabled".to_owned(), json!(self.enable));
        }
        self.clear.job(&mut patch);
        let mut payload = self.payload.read(None)?;
        self.turn.put(&mut payload);
        self.clear.payload(&mut payload);
        let mut delivery = self.delivery.read();
        self.clear.delivery(&mut delivery);
        for (key, members) in [("payload", payload), ("delivery", delivery)] {
            if !members.is_empty() {
                patch.insert(key.to_owned(), Value::Object(members));
            }
        }
        if let Some(alerts) = self.alerts.read() {
            patch.insert("failureAlert".to_owned(), alerts);
        }
        match self.timing.read(None, now)? {
            Timing::Amended(amendment) => return Ok(Plan::Amend(patch, amendment)),
            Timing::Whole(schedule) => {
                patch.insert("schedule".to_owned(), schedule);
            }
            Timing::Unsaid => {}
        }
        if patch.is_empty() {
            return Err(Misuse::new("there is nothing to change: name what is to be otherwise"));
        }
        Ok(Plan::Patch(patch))
    }
}

impl ClearFlags {
    fn job(&self, patch: &mut Map<String, Value>) {
        put_nulls(
            patch,
            &[
                ("after", self.clear_after),
                ("agentId", self.clear_agent),
                ("budget", self.clear_budget),
                ("description", self.clear_description),
                ("displayName", self.clear_display_name),
                ("failureAlert", self.clear_failure_alert),
                ("hooks", self.clear_hooks),
                ("misfire", self.clear_misfire),
                ("outputSchema", self.clear_output_schema),
                ("overlap", self.clear_overlap),
                ("sessionKey", self.clear_session_key),
            ],
        );
    }

    fn payload(&self, payload: &mut Map<String, Value>) {
        put_nulls(
            payload,
            &[
                ("model", self.clear_model),
                ("fallbacks", self.clear_fallbacks),
                ("thinking", self.clear_thinking),
                ("toolsAllow", self.clear_tools),
                ("lightContext", self.no_light_context),
            ],
        );
    }

    fn delivery(&self, delivery: &mut Map<String, Value>) {
        put_nulls(
            delivery,
            &[
                ("channel", self.clear_channel),
                ("to", self.clear_to),
                ("accountId", self.clear_account),
                ("threadId", self.clear_thread_id),
            ],
        );
        if self.no_best_effort_deliver {
            delivery.insert("bestEffort".to_owned(), json!(false));
        }
        if self.no_late_results {
            delivery.insert("lateResults".to_owned(), json!(false));
        }
    }
}

/// `null` takes a field away.
fn put_nulls(members: &mut Map<String, Value>, cleared: &[(&str, bool)]) {
    for (key, _) in cleared.iter().filter(|(_, cleared)| *cleared) {
        members.insert((*key).to_owned(), Value::Null);
    }
}

/// Changes the job.
pub(super) async fn run(client: &Client, args: EditArgs, plan: Plan, now: UnixMs) -> Result<(), Failure> {
    let call = Call::patch(["jobs", &args.id]);
    let call = match plan {
        Plan::Document(path) => call.json(document::read(&path)?),
        Plan::Patch(patch) => call.json(Value::Object(patch)),
        Plan::Amend(mut patch, amendment) => {
            let job: JobView = view::read(&client.call(Call::get(["jobs", &args.id])).await?)?;
            let revision = job.config_revision.clone();
            patch.insert("schedule".to_owned(), amended(job, &amendment)?);
            // Should someone else change the schedule in between, this must not undo it.
            call.json(Value::Object(patch)).maybe("expectedConfigRevision", revision)
        }
    };
    let answer = client.call(call).await?;
    show::saved("changed", &answer, args.json, now)
}

fn amended(job: JobView, amendment: &Amendment) -> Result<Value, Failure> {
    if job.schedule["kind"] != "cron" {
        return Err(Failure::with_hint(
            format!(
                "--tz, --dst, --stagger and --exact change a cron schedule, and this is `{}`",
                job.schedule_text()
            ),
            "give a new schedule with --cron, --every or --at",
        ));
    }
    let mut schedule = job.schedule;
    amendment.apply(&mut schedule);
    Ok(schedule)
}
