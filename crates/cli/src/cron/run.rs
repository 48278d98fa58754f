//! `clawhook cron run`: a run by hand, and waiting for all of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use clawhook_clock::Clock;
use clawhook_model::{UnixMs, format_duration, parse_duration};
use serde_json::{Value, json};

use super::follow;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::moment;
use crate::output::{self, Progress};
use crate::table::{self, NONE};
use crate::view::{self, RunAnswer, RunDelivery, RunView};

/// How long the gateway holds one answer back, so that what is shown meanwhile stays true.
const LONGEST_STEP: Duration = Duration::from_secs(5);
/// The least time between two questions, should a gateway not hold its answers back.
const SHORTEST_STEP: Duration = Duration::from_millis(200);

/// Whoever waits longer has forgotten it; and an instant beyond counting would be a crash.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The flags of `clawhook cron run`.
#[derive(Args)]
pub(super) struct RunArgs {
    /// The job's id
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// Wait until the run has ended and its result is delivered; the exit code is 0 only then
    #[arg(long, group = "waits")]
    wait: bool,
    /// Show what the run says while it goes on, and then wait as --wait does
    #[arg(long, group = "waits", conflicts_with = "json")]
    follow: bool,
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration, requires = "waits")]
    wait_timeout: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How long somebody waits for a run's delivery.
#[derive(Clone, Copy)]
pub(super) struct Patience(Duration);

impl Patience {
    /// What holds where nothing is said.
    pub(super) const DEFAULT: Self = Self(Duration::from_mins(10));
}

/// How far a run has come.
enum Standing {
    Succeeded,
    Failed,
    Open,
}

/// Runs the job.
pub(super) async fn run(client: &Client, args: &RunArgs, clock: &dyn Clock) -> Result<ExitCode, Failure> {
    let answer = client.call(Call::post(["jobs", &args.id, "run"])).await?;
    let accepted: RunAnswer = view::read(&answer)?;
    if args.json && !(args.wait && accepted.enqueued) {
        output::json(&answer)?;
    }
    if !accepted.enqueued {
        return Err(Failure::with_hint(
            format!("the job is already running, as {}; it was not run again", accepted.run_id),
            format!("`clawhook cron runs {}` shows how it ends", args.id),
        ));
    }
    if args.follow {
        output::message("note", &format!("following {}; Ctrl-C leaves it going", accepted.run_id));
        return follow::to_the_end(client, &accepted.run_id, Patience(args.wait_timeout), clock).await;
    }
    if args.wait {
        wait(client, args, &answer, &accepted.run_id, clock).await?;
    } else if !args.json {
        output::data(&format!("queued: {}", accepted.run_id))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for all of a run that was followed, and says how it ended; what it put out is not repeated where it was shown.
pub(super) async fn conclude(
    client: &Client,
    run_id: &str,
    Patience(patience): Patience,
    clock: &dyn Clock,
    was_shown: bool,
) -> Result<(), Failure> {
    let run: RunView = view::read(&awaited(client, run_id, patience, clock).await?)?;
    let told = facts(&run).into_iter().filter(|(label, _)| !(was_shown && *label == "result"));
    output::data(&table::known_facts(told))?;
    verdict(&run, run_id, patience, clock.now())
}

async fn wait(
    client: &Client,
    args: &RunArgs,
    accepted: &Value,
    run_id: &str,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let entry = awaited(client, run_id, args.wait_timeout, clock).await?;
    let run: RunView = view::read(&entry)?;
    let now = clock.now();
    if args.json {
        output::json(&with_outcome(accepted, &run, entry))?;
    } else {
        output::data(&table::known_facts(facts(&run)))?;
    }
    verdict(&run, run_id, args.wait_timeout, now)
}

/// Whether all of a run went well.
fn verdict(run: &RunView, run_id: &str, patience: Duration, now: UnixMs) -> Result<(), Failure> {
    match standing(run) {
        Standing::Succeeded => Ok(()),
        Standing::Failed => Err(Failure::with_hint(
            what_failed(run),
            format!("`clawhook deliveries list --run {run_id}` shows its deliveries"),
        )),
        Standing::Open => Err(Failure::with_hint(
            format!("after {} it is not over: {}", format_duration(patience), where_it_stands(run, now)),
            format!(
                "it goes on without this command; `clawhook deliveries list --run {run_id}` shows its deliveries"
            ),
        )),
    }
}

/// The run's entry once it is decided, or as it is when the time is over.
async fn awaited(
    client: &Client,
    run_id: &str,
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<Value, Failure> {
    let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
    let mut progress = Progress::new();
    let mut step = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let entry = client.call(Call::get(["runs", run_id]).waiting(step)).await.map_err(|error| {
            let Failure::Error { message, .. } = error.into() else {
                unreachable!("a call fails with an error")
            };
            Failure::with_hint(
                format!("lost sight of the run: {message}"),
                format!(
                    "it was accepted as {run_id} and is not lost; `clawhook cron runs` shows how it ends"
                ),
            )
        })?;
        let run: RunView = view::read(&entry)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if !matches!(standing(&run), Standing::Open) || left.is_zero() {
            return Ok(entry);
        }
        progress.show(&where_it_stands(&run, clock.now()));
        if !step.is_zero() {
            tokio::time::sleep(SHORTEST_STEP.saturating_sub(asked.elapsed()).min(left)).await;
        }
        // The API counts whole seconds; the last of them is rounded up.
        step = left.min(LONGEST_STEP).max(Duration::from_secs(1));
    }
}

fn standing(run: &RunView) -> Standing {
    match run.completion_status.as_deref() {
        Some("succeeded") => Standing::Succeeded,
        Some("failed") => Standing::Failed,
        _ => Standing::Open,
    }
}

fn where_it_stands(run: &RunView, now: UnixMs) -> String {
    if let Some(deferred) = follow::standing(run, now) {
        return format!("the run is {deferred}");
    }
    if run.state != "finished" {
        return format!("the run is {}", run.state);
    }
    let open = required(run).find(|delivery| !matches!(delivery.state.as_str(), "delivered" | "suppressed"));
    let status = run.status.as_deref().unwrap_or("over");
    match open {
        None => format!("the run is {status}, and its delivery is not settled"),
        Some(delivery) => {
            format!("the run is {status}, and its delivery is {}", delivery_text(delivery, now))
        }
    }
}

/// The deliveries that the job asked for: what others get is not for the run to wait for.
fn required(run: &RunView) -> impl Iterator<Item = &RunDelivery> {
    run.deliveries.iter().filter(|delivery| delivery.required)
}

fn delivery_text(delivery: &RunDelivery, now: UnixMs) -> String {
    let RunDelivery { state, attempts, target, .. } = delivery;
    let next = delivery.next_at_ms.map(|next| format!(", next try {}", moment::both(next, now)));
    let reason = delivery.reason.as_ref().map(|reason| format!(": {reason}"));
    format!(
        "{state} after {attempts} tries{}{} ({target})",
        next.unwrap_or_default(),
        reason.unwrap_or_default()
    )
}

/// What kept a run from doing all that its job asks for.
fn what_failed(run: &RunView) -> String {
    let error = run.error.as_deref().unwrap_or("no reason is given");
    let reason = run.error_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match run.status.as_deref() {
        Some("ok") => {
            let dead = required(run).find(|delivery| delivery.state != "delivered");
            let why = run.delivery_error.as_ref().or(dead.and_then(|delivery| delivery.reason.as_ref()));
            let id = dead.map(|delivery| format!(" {}", delivery.id)).unwrap_or_default();
            format!(
                "the run is ok, but its delivery{id} is not: {}",
                why.map_or("no reason is given", String::as_str)
            )
        }
        Some("skipped") => format!("the run was skipped{reason}: {error}"),
        _ => format!("the run failed{reason}: {error}"),
    }
}

fn facts(run: &RunView) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| NONE.to_owned());
    vec![
        ("run", run.run_id.clone()),
        ("job", run.job_name.clone()),
        ("trigger", run.trigger.clone()),
        ("status", run.status.clone().unwrap_or_else(|| run.state.clone())),
        ("completion", text(&run.completion_status)),
        ("took", run.duration_ms.map_or_else(|| NONE.to_owned(), moment::length)),
        ("delivery", text(&run.delivery_status)),
        ("delivery suppression", text(&run.delivery_suppression_reason)),
        ("error", text(&run.error)),
        ("result", text(&run.summary)),
    ]
}

/// OpenClaw's answer to a run that was waited for: what accepted it, and what came of it.
fn with_outcome(accepted: &Value, run: &RunView, entry: Value) -> Value {
    let mut answer = accepted.clone();
    answer["completed"] = json!(run.state == "finished");
    answer["status"] = json!(run.status);
    answer["completionStatus"] = json!(run.completion_status);
    answer["run"] = entry;
    answer
}
