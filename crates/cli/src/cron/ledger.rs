//! `clawhook cron ledger`: what became of each due instant of a job.

use clap::{Args, ValueEnum};
use clawhook_model::UnixMs;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::moment::Moment;
use crate::table::{Column, NONE};
use crate::view::{self, OccurrenceView, Occurrences};
use crate::{moment, output, table};

/// The flags of `clawhook cron ledger`.
#[derive(Args)]
pub(super) struct LedgerArgs {
    /// The job's id
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// At most so many, the newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Only those due before then: a time, or how long ago, such as `2h`
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    before: Option<Moment>,
    /// Only those of which this became
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<Outcome>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Outcome {
    Ran,
    Skipped,
    Missed,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }
}

const COLUMNS: [Column; 7] = [
    Column::whole("Due"),
    Column::cut("Outcome", 16),
    Column::optional("Started", 24, 3),
    Column::optional("Late", 6, 2),
    Column::optional("Try", 3, 5),
    Column::cut("Reason", 16),
    Column::optional("Run", 36, 4),
];

/// Shows the ledger.
pub(super) async fn run(client: &Client, args: &LedgerArgs, now: UnixMs) -> Result<(), Failure> {
    let call = Call::get(["jobs", &args.id, "occurrences"])
        .query("limit", args.limit)
        .maybe("before", args.before.map(|before| before.instant(now).to_rfc3339()))
        .maybe("outcome", args.outcome.map(|outcome| outcome.as_str().to_owned()));
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let Occurrences { occurrences, next_before_ms } = view::read(&answer)?;
    if occurrences.is_empty() {
        let any = args.before.is_none() && args.outcome.is_none();
        output::message("note", if any { "the job has not been due yet" } else { "there are none of these" });
        return Ok(());
    }
    let shown = occurrences.len();
    let rows = occurrences.into_iter().map(row).collect();
    output::data(&table::render(&COLUMNS, rows))?;
    if let Some(next) = next_before_ms {
        output::message(
            "note",
            &format!("{shown} are shown, and there are older ones; --before {next} goes on"),
        );
    }
    Ok(())
}

fn row(occurrence: OccurrenceView) -> Vec<String> {
    let none = || NONE.to_owned();
    vec![
        occurrence.due_at_ms.to_string(),
        outcome(&occurrence),
        occurrence.started_at_ms.map_or_else(none, |started| started.to_string()),
        occurrence.lateness_ms.map_or_else(none, moment::length),
        occurrence.attempt.map_or_else(none, |attempt| attempt.to_string()),
        reason(&occurrence).unwrap_or_else(none),
        occurrence.run_id.unwrap_or_else(none),
    ]
}

/// What became of the instant, and of its run where it has one: `ran` alone would look as if all were well.
fn outcome(occurrence: &OccurrenceView) -> String {
    let OccurrenceView { outcome, state, status, completion_status, .. } = occurrence;
    if outcome != "ran" {
        return outcome.clone();
    }
    let completion = completion_status.as_deref();
    match (state.as_deref(), status.as_deref()) {
        (Some("queued"), _) if deferral(occurrence).is_some() => "ran: deferred".to_owned(),
        (Some("queued"), _) => "ran: waits".to_owned(),
        (Some("running"), _) => "ran: running".to_owned(),
        (_, Some("ok")) if completion == Some("failed") => "ran: ok (not delivered)".to_owned(),
        (_, Some("ok")) if completion == Some("unknown") => "ran: ok (delivering)".to_owned(),
        (_, Some(status)) => format!("ran: {status}"),
        // The run's own record is gone.
        (_, None) => outcome.clone(),
    }
}

/// Until when and why the run was put back, where it was.
fn deferral(occurrence: &OccurrenceView) -> Option<String> {
    let waits = occurrence.waits.as_ref().filter(|waits| waits.deferred)?;
    let until = waits.ready_at_ms.map(|at| format!(" until {at}")).unwrap_or_default();
    Some(format!("deferred{until}: {}", waits.reason))
}

fn reason(occurrence: &OccurrenceView) -> Option<String> {
    if let Some(deferral) = deferral(occurrence) {
        return Some(deferral);
    }
    if let Some(was_passed) = &occurrence.was_passed {
        let trigger = occurrence.trigger.as_deref().unwrap_or("backfill");
        return Some(format!("{trigger}; before that: {was_passed}"));
    }
    let unusual = |trigger: &&String| *trigger != "schedule";
    occurrence.reason.clone().or_else(|| occurrence.trigger.as_ref().filter(unusual).cloned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view(run: &Value) -> OccurrenceView {
        let mut occurrence = json!({ "dueAtMs": 0, "outcome": "ran" });
        occurrence.as_object_mut().unwrap().extend(run.as_object().unwrap().clone());
        serde_json::from_value(occurrence).unwrap()
    }

    #[test]
    fn i07_an_instant_that_was_run_is_shown_with_how_its_run_went() {
        for (run, shown) in [
            (json!({ "state": "queued" }), "ran: waits"),
            (
                json!({ "state": "queued", "waits": { "reason": "slow down", "deferred": true } }),
                "ran: deferred",
            ),
            (json!({ "state": "running" }), "ran: running"),
            (json!({ "state": "finished", "status": "error", "completionStatus": "failed" }), "ran: error"),
            (
                json!({ "state": "finished", "status": "ok", "completionStatus": "failed" }),
                "ran: ok (not delivered)",
            ),
            (
                json!({ "state": "finished", "status": "ok", "completionStatus": "unknown" }),
                "ran: ok (delivering)",
            ),
            (json!({ "state": "finished", "status": "ok", "completionStatus": "succeeded" }), "ran: ok"),
            (json!({}), "ran"),
            (json!({ "outcome": "missed" }), "missed"),
        ] {
            assert_eq!(outcome(&view(&run)), shown, "{run}");
        }
    }

    #[test]
    fn what_was_run_after_all_keeps_the_reason_why_it_was_not_before() {
        let occurrence = view(&json!({ "trigger": "backfill", "wasPassed": "nobody was there" }));
        assert_eq!(reason(&occurrence).unwrap(), "backfill; before that: nobody was there");
        assert_eq!(reason(&view(&json!({ "trigger": "schedule" }))), None);
        assert_eq!(reason(&view(&json!({ "trigger": "retry" }))).unwrap(), "retry");
    }
}
