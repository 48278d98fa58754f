//! Jobs as answers show them. The model writes a job's JSON; the types here are its schema.

use std::time::Duration;

use clawhook_model::{Job, UnixMs};
use clawhook_store::{JobTotal, PageStart};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::alerts::FailureAlertView;
use super::delivery_settings::{DeliveryPreviewView, DeliverySettingsView};
use super::job_hooks::{AfterView, JobHooksView};
use super::policies::{EffectiveView, MisfireGivenView, MisfireView, OverlapGivenView, OverlapView};
use super::spending::{BudgetTodayView, ForecastView};
use super::words::{
    AutoDisableReason, CompletionStatus, DeliveryStatus, ErrorReason, RunStatus, SuppressionReason,
};
use super::work::{BudgetView, CleanupView, PayloadView, SessionTargetView, WakeModeView};
use crate::verbs::{BudgetToday, ListedJobs, SavedJob, SchedulePreview};

/// A job with its next instants and, where it was just saved, what a person should know about it.
pub(crate) fn saved_job(saved: &SavedJob, with_notes: bool) -> Value {
    let mut shown = match saved.job.to_json() {
        Value::Object(shown) => shown,
        other => Map::from_iter([("job".to_owned(), other)]),
    };
    if with_notes {
        shown.insert("notes".to_owned(), json!(saved.notes));
    }
    match &saved.route {
        Some(Ok(route)) => {
            let (label, detail) = route.describe();
            shown.insert("deliveryPreview".to_owned(), json!({ "label": label, "detail": detail }));
        }
        Some(Err(error)) => {
            if let Some(preview) = shown.get_mut("deliveryPreview") {
                preview["detail"] = json!(format!("no way at the moment: {error}"));
            }
        }
        None => {}
    }
    shown.insert("effective".to_owned(), json!(EffectiveView::from(saved)));
    shown.insert("schedulePreview".to_owned(), json!(SchedulePreviewView::from(&saved.schedule)));
    let upcoming: Vec<String> = saved.upcoming.iter().copied().map(UnixMs::to_rfc3339).collect();
    shown.insert("upcoming".to_owned(), json!(upcoming));
    if let Some(budget) = &saved.spending.budget {
        shown.insert("budgetToday".to_owned(), json!(BudgetTodayView::from(budget)));
    }
    if let Some(forecast) = &saved.spending.forecast {
        shown.insert("forecast".to_owned(), json!(ForecastView::from(forecast)));
    }
    if let Some(zone) = &saved.host_time_zone {
        shown.insert("hostTimeZone".to_owned(), json!(zone));
    }
    Value::Object(shown)
}

fn listed_job(job: &Job, budget: Option<&BudgetToday>) -> Value {
    let mut shown = job.to_json();
    if let Some(budget) = budget {
        shown["budgetToday"] = json!(BudgetTodayView::from(budget));
    }
    shown
}

/// A page of jobs that began at `start` and holds `limit` at most.
pub(crate) fn job_list(listed: &ListedJobs, start: &PageStart, limit: usize) -> JobList {
    let ListedJobs { page, budgets } = listed;
    let jobs: Vec<Value> =
        page.jobs.iter().zip(budgets).map(|(job, budget)| listed_job(job, budget.as_ref())).collect();
    let (total, total_is_minimum) = match page.total {
        JobTotal::Exactly(total) => (Some(total), false),
        JobTotal::AtLeast(total) => (Some(total), true),
        JobTotal::Unknown => (None, false),
    };
    let offset = match start {
        PageStart::Offset(_, offset) => Some(*offset),
        PageStart::After(_) => None,
    };
    // A page that holds nothing has no offset to go on from, though a search may go on from its cursor.
    let next_offset =
        offset.filter(|_| page.next.is_some() && !jobs.is_empty()).map(|offset| offset + jobs.len());
    JobList {
        jobs,
        total,
        total_is_minimum,
        offset,
        limit,
        has_more: page.next.is_some(),
        next_offset,
        next_cursor: page.next.as_ref().map(ToString::to_string),
    }
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobList {
    /// The jobs.
    #[schema(value_type = Vec<JobView>)]
    jobs: Vec<Value>,
    /// How many there are in all. A search that goes on after a cursor does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    /// True where there may be more than `total`, because a search ended before it had looked at all jobs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    total_is_minimum: bool,
    /// How many were passed over; absent after a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
    /// How many the page holds at most.
    limit: usize,
    /// Whether more may follow.
    has_more: bool,
    /// The offset of the next page; null on the last one, and after a cursor.
    #[schema(required = true)]
    next_offset: Option<usize>,
    /// What `after` takes for the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// The answer to a removal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Removed {
    /// Always true.
    pub(crate) ok: bool,
    /// Always true.
    pub(crate) removed: bool,
}

/// When a job is due.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[schema(as = Schedule)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum ScheduleView {
    /// Once, at an instant.
    At {
        /// RFC 3339; without an offset it is UTC.
        #[schema(example = "2027-02-18T14:00:00.000Z")]
        at: String,
    },
    /// At a fixed interval on the grid of its anchor.
    #[serde(rename_all = "camelCase")]
    Every {
        /// The interval in milliseconds.
        #[schema(minimum = 1)]
        every_ms: u64,
        /// A point of the grid; the moment of saving where it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        anchor_ms: Option<i64>,
    },
    /// By a cron expression of five or six fields.
    #[serde(rename_all = "camelCase")]
    Cron {
        /// The expression.
        #[schema(example = "0 9 * * 1-5")]
        expr: String,
        /// The IANA zone it is read in; the host's where it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        tz: Option<String>,
        /// The window over which jobs of one expression are spread; 0 is exact.
        #[serde(skip_serializing_if = "Option::is_none")]
        stagger_ms: Option<u64>,
        /// What becomes of times that the clocks skip or repeat; `openclaw` where it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        dst: Option<DstRuleView>,
    },
    /// Never by the clock: when other jobs end (`after`), or by hand.
    Event {
        /// Always `job`.
        #[schema(example = "job")]
        source: String,
    },
}

/// What becomes of civil times that the clocks skip or go through twice.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DstRule)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum DstRuleView {
    /// As in OpenClaw: a fixed time is due at the gap's end and in the fold's first pass; any other expression is not
    /// due in a gap and due in both passes.
    OpenClaw,
    /// What does not exist is not due; what comes twice is due in its first pass.
    Skip,
    /// Each civil time is due exactly once: at the gap's end, or in the fold's first pass.
    Once,
}

/// A new job. What is left out has a default; a field that is not listed is refused.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "name": "Webhook Response Test",
    "schedule": { "kind": "every", "everyMs": 900_000 },
    "sessionTarget": "isolated",
    "payload": { "kind": "agentTurn", "message": "Summarise the latest sales data." },
    "delivery": { "mode": "webhook", "to": "https://example.com/openclaw/webhook" }
}))]
pub(crate) struct JobCreate {
    /// Its name; taken from the payload's text where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// A label for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Whether it is run when due; true where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    /// Whether a one-shot goes once it has completed; true for `at` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_after_run: Option<bool>,
    /// The agent it runs as; `main` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// When it is due.
    schedule: ScheduleView,
    /// What becomes of instants at which nobody was there; the gateway's `cron.misfire` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    misfire: Option<MisfireGivenView>,
    /// What becomes of instants while a run is not over; the gateway's `cron.overlap` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap: Option<OverlapGivenView>,
    /// Which session it runs in; follows from the payload where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_target: Option<SessionTargetView>,
    /// A conversation: the one that a `current` session continues, or the agent's own lane of a system event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "agent:main:main")]
    session_key: Option<String>,
    /// When a system event wakes the main session.
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_mode: Option<WakeModeView>,
    /// What the result must be: a JSON Schema. The value that fits stands in the event beside the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Value>,
    /// How much its runs may use in a day of the host's zone; then they are skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<BudgetView>,
    /// What becomes of a run's own session once the run is over; `keep` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    cleanup: Option<CleanupView>,
    /// What it does.
    payload: PayloadView,
    /// Where its result goes; nowhere but the run history where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliverySettingsView>,
    /// When trouble of it is told, and where; false where it is not. What `cron.failureAlert` says where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_alert: Option<FailureAlertView>,
    /// What else happens around its runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    hooks: Option<JobHooksView>,
    /// The jobs whose end begins it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    after: Option<Vec<AfterView>>,
}

/// An edit: what is left out stays, `null` clears. The schedule is replaced whole; a payload of the same kind and a
/// delivery of the same mode are merged.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({ "schedule": { "kind": "cron", "expr": "0 9 * * *", "tz": "Europe/Berlin" } }))]
pub(crate) struct JobPatch {
    /// Its name.
    name: Option<String>,
    /// A label for people.
    display_name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// Whether it is run when due.
    enabled: Option<bool>,
    /// Whether a one-shot goes once it has completed.
    delete_after_run: Option<bool>,
    /// The agent it runs as.
    agent_id: Option<String>,
    /// When it is due.
    schedule: Option<ScheduleView>,
    /// What becomes of instants at which nobody was there: a name, or the changed members.
    misfire: Option<MisfireGivenView>,
    /// What becomes of instants while a run is not over: a name, or the changed members.
    overlap: Option<OverlapGivenView>,
    /// Which session it runs in.
    session_target: Option<SessionTargetView>,
    /// A conversation: the one that a `current` session continues, or the agent's own lane of a system event.
    #[schema(example = "agent:main:main")]
    session_key: Option<String>,
    /// When a system event wakes the main session.
    wake_mode: Option<WakeModeView>,
    /// What the result must be: a JSON Schema. The value that fits stands in the event beside the text.
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Value>,
    /// How much its runs may use in a day of the host's zone: the changed members.
    budget: Option<BudgetView>,
    /// What becomes of a run's own session once the run is over; `keep` where it is left out.
    cleanup: Option<CleanupView>,
    /// What it does: all of it, or the changed members of a payload of the same kind.
    #[schema(value_type = Option<Object>)]
    payload: Option<Value>,
    /// Where its result goes: all of it, or the changed members of a delivery of the same mode.
    #[schema(value_type = Option<Object>)]
    delivery: Option<Value>,
    /// When trouble of it is told, and where: `false`, or the changed members.
    #[schema(value_type = Option<Object>)]
    failure_alert: Option<Value>,
    /// What else happens around its runs: a stage that is given takes the place of the one before.
    hooks: Option<JobHooksView>,
    /// The jobs whose end begins it, all of them.
    #[schema(max_items = 16)]
    after: Option<Vec<AfterView>>,
}

/// A job. What is absent is not set, or not known yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(crate) struct JobView {
    /// Its identity.
    id: String,
    /// Its name.
    name: String,
    /// A label for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Whether it is run when due.
    enabled: bool,
    /// Whether a one-shot goes once it has completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_after_run: Option<bool>,
    /// The agent it runs as, where one is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// The agent it runs as.
    effective_agent_id: String,
    /// When it is due.
    schedule: ScheduleView,
    /// What becomes of instants at which nobody was there, where the job says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    misfire: Option<MisfireView>,
    /// What becomes of instants while a run is not over, where the job says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap: Option<OverlapView>,
    /// Which session it runs in.
    session_target: SessionTargetView,
    /// A conversation: the one that a `current` session continues, or the agent's own lane of a system event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "agent:main:main")]
    session_key: Option<String>,
    /// When a system event wakes the main session.
    wake_mode: WakeModeView,
    /// What the result must be: a JSON Schema. The value that fits stands in the event beside the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Value>,
    /// How much its runs may use in a day of the host's zone; then they are skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<BudgetView>,
    /// What becomes of a run's own session once the run is over; `keep` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    cleanup: Option<CleanupView>,
    /// What it does.
    payload: PayloadView,
    /// Where its result goes.
    delivery: DeliverySettingsView,
    /// When trouble of it is told, and where; false where it is not. What `cron.failureAlert` says where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_alert: Option<FailureAlertView>,
    /// What else happens around its runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    hooks: Option<JobHooksView>,
    /// The jobs whose end begins it.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Vec<AfterView>>,
    /// Where its result goes, in few words.
    delivery_preview: DeliveryPreviewView,
    /// When it was made.
    created_at_ms: i64,
    /// When it was last edited, or last ended a run.
    updated_at_ms: i64,
    /// A digest of what its owner wants; give it as `expectedConfigRevision` to edit only what you have read.
    config_revision: String,
    /// One word for people. It is `ok` only where the last run completed, delivery included.
    #[schema(example = "ok (delivering)")]
    status: String,
    /// What the gateway keeps of it.
    state: JobStateView,
    /// When it is due next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_at_ms: Option<i64>,
    /// When its last run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run_at_ms: Option<i64>,
    /// How the execution of its last run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run_status: Option<RunStatus>,
    /// Whether its last run did all that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_completion_status: Option<CompletionStatus>,
    /// Why its last run failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run_error: Option<String>,
    /// Whether its last result arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivered: Option<bool>,
    /// How the delivery of its last result stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivery_status: Option<DeliveryStatus>,
    /// Why its last result has not arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivery_error: Option<String>,
    /// Why its last result was not sent, on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_suppression_reason: Option<SuppressionReason>,
    /// Whether its last alert arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_notification_delivered: Option<bool>,
    /// How its last alert stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_notification_delivery_status: Option<DeliveryStatus>,
    /// Why its last alert has not arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_notification_delivery_error: Option<String>,
    /// What of its budget is spent today, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_today: Option<BudgetTodayView>,
}

/// What the gateway keeps of a job.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobState)]
pub(crate) struct JobStateView {
    /// When it is due next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_at_ms: Option<i64>,
    /// Since when a run is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    running_at_ms: Option<i64>,
    /// How many runs are under way; absent where none is, and none waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_running: Option<u32>,
    /// How many runs wait: for a slot, for their time, or for another to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_waiting: Option<u32>,
    /// Until when what is due is not run, because runs failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff_until_ms: Option<i64>,
    /// Why the gateway has switched it off, where it has. To enable it again is to forgive its failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_disabled: Option<AutoDisabledView>,
    /// When its last run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run_at_ms: Option<i64>,
    /// Its last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run_id: Option<String>,
    /// How the execution of that run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run_status: Option<RunStatus>,
    /// The same, under its older name.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_status: Option<RunStatus>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_duration_ms: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// The class of that failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error_reason: Option<ErrorReason>,
    /// Whether its result arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivered: Option<bool>,
    /// How the delivery of its result stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivery_status: Option<DeliveryStatus>,
    /// Why its result has not arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivery_error: Option<String>,
    /// Why its result was not sent, on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_suppression_reason: Option<SuppressionReason>,
    /// Failed runs in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive_errors: Option<u32>,
    /// Skipped runs in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive_skipped: Option<u32>,
    /// When an alert was raised last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_alert_at_ms: Option<i64>,
    /// Whether that alert arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_notification_delivered: Option<bool>,
    /// How that alert stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_notification_delivery_status: Option<DeliveryStatus>,
    /// Why that alert has not arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure_notification_delivery_error: Option<String>,
}

/// Why and when a job was switched off by the gateway.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutoDisabled)]
pub(crate) struct AutoDisabledView {
    /// Why.
    reason: AutoDisableReason,
    /// When.
    at_ms: i64,
    /// The failures in a row that led to it.
    consecutive_errors: u32,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// A schedule with what is not written in it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SchedulePreview)]
pub(crate) struct SchedulePreviewView {
    /// The schedule in a few words.
    #[schema(example = "cron 0 * * * * @ Europe/Berlin (stagger 5m, this job +2m41s)")]
    text: String,
    /// The zone that the cron expression is read in.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    /// The window over which jobs of the expression are spread, where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    stagger_ms: Option<u64>,
    /// By how much this job is later than its expression says.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset_ms: Option<u64>,
}

impl From<&SchedulePreview> for SchedulePreviewView {
    fn from(preview: &SchedulePreview) -> Self {
        let millis = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Self {
            text: preview.text.clone(),
            time_zone: preview.time_zone.clone(),
            stagger_ms: preview.stagger.map(|(window, _)| millis(window)),
            offset_ms: preview.stagger.map(|(_, offset)| millis(offset)),
        }
    }
}

/// A job with its next instants.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobWithUpcoming)]
pub(crate) struct SavedJobView {
    #[serde(flatten)]
    job: JobView,
    /// What a person should know about a job that was just saved; absent where it was only read.
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<Vec<String>>,
    /// What holds for it, with the gateway's defaults.
    effective: EffectiveView,
    /// Its schedule, with what is not written in it.
    schedule_preview: SchedulePreviewView,
    /// What its runs may be expected to use; absent where it was just saved, and for a job that asks no model.
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast: Option<ForecastView>,
    /// When it is due next, in order, at most five.
    upcoming: Vec<String>,
    /// The zone of the gateway's host, in which a cron expression that names none is read; absent where it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    host_time_zone: Option<String>,
}

#[cfg(test)]
pub(super) mod tests {
    use clawhook_model::{AutoDisabled, Job, JobDefinition, JobState, LastRun, OpenRuns, RunId};
    use utoipa::PartialSchema;

    use super::super::alerts::AcknowledgeView;
    use super::*;
    use crate::wire::job_hooks::JobHookView;

    /// Asserts that the schema of `T` knows every member of `value`, and requires none that is absent.
    pub(in crate::wire) fn assert_documented<T: PartialSchema>(value: &Value) {
        let schema = json!(T::schema());
        for name in value.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "`{name}` is not in the schema");
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(value.get(name.as_str().unwrap()).is_some(), "the schema requires `{name}`");
        }
    }

    /// The same of a schema that is one of several, told apart by `kind`.
    fn assert_documented_variant<T: PartialSchema>(value: &Value) {
        let schema = json!(T::schema());
        let variants = schema["oneOf"].as_array().unwrap();
        let is_kind = |variant: &&Value| variant["properties"]["kind"]["enum"][0] == value["kind"];
        let variant = variants.iter().find(is_kind).unwrap_or_else(|| panic!("no variant of {schema}"));
        for name in value.as_object().unwrap().keys() {
            assert!(variant["properties"].get(name).is_some(), "`{name}` is not in the schema");
        }
    }

    fn job(definition: Value, state: JobState) -> Value {
        let definition = JobDefinition::parse(definition, UnixMs::EPOCH).unwrap();
        let id = "job-1".parse().unwrap();
        Job { id, definition, created_at: UnixMs::EPOCH, updated_at: UnixMs::EPOCH, state }.to_json()
    }

    #[test]
    fn the_schema_of_a_job_has_every_member_that_a_job_can_have_and_requires_no_other() {
        let last_run = LastRun {
            run_id: RunId::new(UnixMs::EPOCH),
            started_at: UnixMs::EPOCH,
            duration_ms: 1,
            status: clawhook_model::RunStatus::Error,
            error: Some("no".to_owned()),
            error_reason: Some(clawhook_model::ErrorReason::Timeout),
            delivery_status: clawhook_model::DeliveryStatus::NotDelivered,
            delivery_error: Some("no".to_owned()),
            suppression: Some(clawhook_model::SuppressionReason::Empty),
            completion: clawhook_model::CompletionStatus::Failed,
        };
        let state = JobState {
            next_run_at: Some(UnixMs::EPOCH),
            running_at: Some(UnixMs::EPOCH),
            open_runs: OpenRuns { running: 1, waiting: 1 },
            last_run: Some(last_run),
            consecutive_errors: 1,
            backoff_until: Some(UnixMs::EPOCH),
            auto_disabled: Some(AutoDisabled {
                reason: clawhook_model::AutoDisableReason::ConsecutiveFailures,
                at_ms: UnixMs::EPOCH,
                consecutive_errors: 10,
                detail: Some("no".to_owned()),
            }),
            alerts: clawhook_model::AlertState {
                skips: 1,
                last_told_at: Some(UnixMs::EPOCH),
                ..clawhook_model::AlertState::default()
            },
            last_alert: Some(clawhook_model::LastAlert {
                status: clawhook_model::DeliveryStatus::NotDelivered,
                error: Some("no".to_owned()),
            }),
        };
        let full = json!({
            "name": "n", "displayName": "d", "description": "d", "agentId": "a", "deleteAfterRun": true,
            "schedule": { "kind": "at", "at": "2030-01-01" },
            "payload": { "kind": "agentTurn", "message": "m", "model": "a/b", "fallbacks": [], "thinking": "low",
                "toolsAllow": ["a__b"], "lightContext": true, "allowUnsafeExternalContent": true, "timeoutSeconds": 5 },
            "sessionTarget": "current", "sessionKey": "agent:a:chat", "outputSchema": { "type": "object" },
            "budget": { "usdPerDay": 1.5, "tokensPerDay": 1000 }, "cleanup": "delete",
            "misfire": { "policy": "each", "max": 5, "maxLatenessSeconds": 60 },
            "overlap": { "policy": "bufferAll", "max": 5 },
            "delivery": { "mode": "webhook", "to": "https://example.com/", "bestEffort": true, "lateResults": true,
                "failureDestination": { "to": "https://example.com/failed" },
                "acknowledge": { "then": ["ops"], "quietHours": { "start": "22:00", "end": "07:00", "timezone": "UTC" } } },
            "failureAlert": { "after": 1, "cooldownMs": 1, "includeSkipped": true, "mode": "webhook",
                "destination": "ops", "fallback": [{ "channel": "a", "to": "b", "accountId": "c", "threadId": "d" }] },
            "hooks": { "pre": [{ "name": "n", "kind": "command", "argv": ["x"], "cwd": "/", "env": { "A": "b" },
                "priority": 1, "timeoutSeconds": 1, "onFailure": "skip", "appendOutput": true }],
                "post": [{ "kind": "webhook", "to": "https://example.com/" }],
                "onError": [{ "kind": "agentTurn", "message": "m", "agentId": "a", "model": "a/b" }],
                "always": [{ "kind": "systemEvent", "text": "t" }, { "kind": "webhook", "destination": "ops" }],
                "inheritGlobal": false },
            "after": [{ "job": "other", "on": "always", "passResult": false }],
        });
        let full = job(full, state);
        assert_documented::<JobView>(&full);
        assert_documented::<JobStateView>(&full["state"]);
        assert_documented::<AutoDisabledView>(&full["state"]["autoDisabled"]);
        assert_documented::<BudgetView>(&full["budget"]);
        assert_documented_variant::<PayloadView>(&full["payload"]);
        assert_documented::<MisfireView>(&full["misfire"]);
        assert_documented::<OverlapView>(&full["overlap"]);
        assert_documented::<DeliverySettingsView>(&full["delivery"]);
        assert_documented::<AcknowledgeView>(&full["delivery"]["acknowledge"]);
        assert_documented::<FailureAlertView>(&full["failureAlert"]);
        assert_documented::<JobHooksView>(&full["hooks"]);
        for hooks in full["hooks"].as_object().unwrap().values() {
            hooks.as_array().into_iter().flatten().for_each(assert_documented::<JobHookView>);
        }
        assert_documented::<AfterView>(&full["after"][0]);
        let event = json!({ "kind": "event", "source": "job" });
        let event = job(json!({ "schedule": event, "payload": { "text": "t" } }), JobState::default());
        assert_documented_variant::<ScheduleView>(&event["schedule"]);
        let announced = json!({
            "mode": "announce", "channel": "slack", "to": "C1", "accountId": "a", "threadId": "1.2",
            "completionDestination": { "mode": "webhook", "to": "https://example.com/" },
        });
        let announced =
            json!({ "schedule": { "everyMs": 1000 }, "payload": { "message": "m" }, "delivery": announced });
        assert_documented::<DeliverySettingsView>(&job(announced, JobState::default())["delivery"]);

        let least = json!({ "schedule": { "everyMs": 1000 }, "payload": { "text": "t" } });
        let least = job(least, JobState::default());
        assert_documented::<JobView>(&least);
        assert_documented::<DeliverySettingsView>(&least["delivery"]);
    }

    #[test]
    fn the_schema_of_a_new_job_has_every_field_that_the_definition_has() {
        let definition = json!({
            "name": "n", "displayName": "d", "description": "d", "agentId": "a", "deleteAfterRun": true,
            "schedule": { "kind": "at", "at": "2030-01-01" }, "payload": { "kind": "agentTurn", "message": "m" },
            "misfire": "skip", "overlap": "allowAll", "sessionTarget": "session:notes", "sessionKey": "chat",
            "outputSchema": {}, "budget": { "usdPerDay": 1 }, "cleanup": "delete", "failureAlert": {}, "hooks": { "inheritGlobal": false },
            "after": ["other"],
        });
        let stored = JobDefinition::parse(definition, UnixMs::EPOCH).unwrap().to_stored_json();
        assert_documented::<JobCreate>(&stored);
    }
}
