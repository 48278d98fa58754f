//! A job's due instants and what became of them, as answers show them.

use clawhook_model::{RunProgress, UnixMs};
use clawhook_store::{Occurrence, OccurrenceOutcome};
use serde::Serialize;
use utoipa::ToSchema;

use super::runs::WaitView;
use super::words::{CompletionStatus, RunState, RunStatus, Trigger};
use crate::verbs::{Backfilled, LedgerPage};

/// A job's due instants and what became of them, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OccurrenceList {
    /// The instants.
    occurrences: Vec<OccurrenceView>,
    /// Give it as `before` to read on; absent where there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before_ms: Option<i64>,
}

/// One due instant and what became of it. What is absent does not apply, or is not known yet.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Occurrence)]
pub(crate) struct OccurrenceView {
    /// The instant.
    due_at_ms: i64,
    /// The instant, for people.
    due_at: String,
    /// What became of it. That an instant was run says nothing of how the run ended; `completionStatus` does.
    outcome: OccurrenceWord,
    /// Why it was not run, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Why it was not run when it was due, where it was run after all.
    #[serde(skip_serializing_if = "Option::is_none")]
    was_passed: Option<String>,
    /// When that was recorded.
    recorded_at_ms: i64,
    /// The last run for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// What made that run happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<Trigger>,
    /// Which try of the instant it is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<RunState>,
    /// What it waits for, while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<WaitView>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at_ms: Option<i64>,
    /// By how much it began later than it was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    lateness_ms: Option<u64>,
    /// How its execution ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RunStatus>,
    /// Execution and delivery together.
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_status: Option<CompletionStatus>,
}

/// What became of a due instant.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = OccurrenceOutcome)]
pub(crate) enum OccurrenceWord {
    /// A run was made for it.
    #[default]
    Ran,
    /// It was due, and deliberately not run.
    Skipped,
    /// It could not be run when it was due.
    Missed,
}

impl From<LedgerPage> for OccurrenceList {
    fn from(page: LedgerPage) -> Self {
        Self {
            occurrences: page.occurrences.into_iter().map(OccurrenceView::from).collect(),
            next_before_ms: page.next_before.map(UnixMs::as_millis),
        }
    }
}

impl From<Occurrence> for OccurrenceView {
    fn from(occurrence: Occurrence) -> Self {
        let (outcome, run_id, reason) = match &occurrence.outcome {
            OccurrenceOutcome::Ran(run) => (OccurrenceWord::Ran, Some(run.to_string()), None),
            OccurrenceOutcome::Skipped(reason) => (OccurrenceWord::Skipped, None, Some(reason.clone())),
            OccurrenceOutcome::Missed(reason) => (OccurrenceWord::Missed, None, Some(reason.clone())),
        };
        // An instant whose run was never executed has its reason in the outcome already.
        let was_passed = occurrence.was_passed.clone().filter(|_| run_id.is_some());
        let view = Self {
            due_at_ms: occurrence.due_at.as_millis(),
            due_at: occurrence.due_at.to_rfc3339(),
            outcome,
            reason,
            was_passed,
            recorded_at_ms: occurrence.recorded_at.as_millis(),
            run_id,
            ..Self::default()
        };
        view.with_run(&occurrence)
    }
}

impl OccurrenceView {
    fn with_run(self, occurrence: &Occurrence) -> Self {
        let Some(record) = &occurrence.run else { return self };
        let run = &record.run;
        let (started_at, status) = match &run.progress {
            RunProgress::Queued(_) => (None, None),
            RunProgress::Running { started_at } => (Some(*started_at), None),
            RunProgress::Finished { started_at, outcome, .. } => (Some(*started_at), Some(outcome.status)),
        };
        let waits = match &run.progress {
            RunProgress::Queued(wait) => Some(WaitView::from(wait)),
            RunProgress::Running { .. } | RunProgress::Finished { .. } => None,
        };
        let lateness = started_at.map(|started_at| started_at.since(occurrence.due_at));
        Self {
            run_id: Some(run.id.to_string()),
            trigger: Some(run.trigger.into()),
            attempt: Some(run.attempt),
            state: Some(run.progress.state().into()),
            waits,
            started_at_ms: started_at.map(UnixMs::as_millis),
            lateness_ms: lateness.map(|late| u64::try_from(late.as_millis()).unwrap_or(u64::MAX)),
            status: status.map(RunStatus::from),
            completion_status: record.completion().map(CompletionStatus::from),
            ..self
        }
    }
}

/// Which instants of the past are to be run after all.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the schema of what the model reads; a test holds it to that")]
pub(crate) struct BackfillCreate {
    /// The beginning of the stretch, which belongs to it: RFC 3339, or milliseconds since the epoch.
    #[schema(example = "2027-02-18T00:00:00Z")]
    from: String,
    /// Its end, which belongs to it too, and has passed.
    #[schema(example = "2027-02-18T23:59:59Z")]
    to: String,
    /// Only tell what would be run.
    dry_run: Option<bool>,
}

/// What came of a backfill.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Backfilled)]
pub(crate) struct BackfilledView {
    /// The instants that are queued, or would be, in order.
    queued: Vec<String>,
    /// The instants that were run before, and are not run again.
    already_ran: Vec<String>,
    /// Whether it was only told what would be done.
    dry_run: bool,
}

impl From<Backfilled> for BackfilledView {
    fn from(done: Backfilled) -> Self {
        let texts = |instants: Vec<UnixMs>| instants.into_iter().map(UnixMs::to_rfc3339).collect();
        Self { queued: texts(done.queued), already_ran: texts(done.already_ran), dry_run: done.dry_run }
    }
}

#[cfg(test)]
mod tests {
    use clawhook_model::BackfillRequest;
    use serde_json::json;
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn the_schema_of_a_backfill_has_the_members_that_are_read() {
        let schema = json!(BackfillCreate::schema());
        let request = json!({ "from": 1, "to": 2, "dryRun": true });
        BackfillRequest::parse(request.clone()).unwrap();
        let named: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let mut read: Vec<&String> = request.as_object().unwrap().keys().collect();
        read.sort();
        let mut sorted = named.clone();
        sorted.sort();
        assert_eq!(sorted, read);
        assert_eq!(schema["required"], json!(["from", "to"]));
    }
}
