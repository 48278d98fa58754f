//! Runs and what belongs to them, as answers show them.

use clawhook_model::{Provenance, Run, RunOutcome, RunProgress, TranscriptEntry, UnixMs, Usd, Wait};
use clawhook_store::{RunPage, RunRecord};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Page;
use super::hook_calls::HookCallView;
use super::words::{
    CompletionStatus, DeliveryState, DeliveryStatus, ErrorReason, Role, RunState, RunStatus, Severity,
    SuppressionReason, Trigger,
};
use crate::verbs::RunRequested;

/// A run, as OpenClaw's run log has it, and more. What is absent is not known yet, or does not apply.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunEntry {
    /// The run.
    #[schema(example = "run_0198c2d57b1a7c3e9f40a1b2c3d4e5f6")]
    run_id: String,
    /// Its job.
    job_id: String,
    /// The job's name at that time.
    job_name: String,
    /// Where the run stands.
    state: RunState,
    /// What made it happen.
    trigger: Trigger,
    /// The due instant it stands for; a manual run has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at_ms: Option<i64>,
    /// Which try of that instant it is, from 1.
    attempt: u32,
    /// How often it was put back, because it was asked to wait; 0 where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    deferrals: Option<u32>,
    /// What led to it; left out where somebody or the clock began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<ProvenanceView>,
    /// The run of another job whose end began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_run_id: Option<String>,
    /// When it was accepted.
    queued_at_ms: i64,
    /// What it waits for, while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<WaitView>,
    /// The conversation it runs in.
    session_id: String,
    /// That conversation's key.
    session_key: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at_ms: Option<i64>,
    /// When it ended. This and what follows is there as soon as the run has finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<i64>,
    /// Always `finished`.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    /// How the execution ended; delivery is another fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RunStatus>,
    /// Execution and delivery together.
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_status: Option<CompletionStatus>,
    /// Why the execution failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The class of that failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_reason: Option<ErrorReason>,
    /// The output.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// What the run noted on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<Diagnostics>,
    /// Whether the result arrived, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<bool>,
    /// How the delivery stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_status: Option<DeliveryStatus>,
    /// Why the result has not arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_error: Option<String>,
    /// Why nothing was sent, on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_suppression_reason: Option<SuppressionReason>,
    /// The model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// That model's provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// The tokens used.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// What they cost in US dollars, where the model's price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    /// The result as the value that the job's `outputSchema` describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    /// What the run still brought after it had been given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<LateResult>,
    /// The deliveries of the result.
    deliveries: Vec<RunDelivery>,
    /// The calls of hooks around it, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    hooks: Vec<HookCallView>,
}

/// What a run still brought after it had been given up. It changes nothing about how the run ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LateResult {
    /// When it came.
    at_ms: i64,
    /// How the execution ended then.
    status: RunStatus,
    /// Why it failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The output.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// The model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// That model's provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// The tokens used.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// What they cost in US dollars, where the model's price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    /// The result as the value that the job's `outputSchema` describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
}

/// What led to a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provenance)]
pub(crate) struct ProvenanceView {
    /// How many hops there were since somebody or the clock began it.
    hops: u32,
    /// The jobs that led to it, `<gateway>/<job>`, the last one last.
    trail: Vec<String>,
}

impl From<&Provenance> for ProvenanceView {
    fn from(Provenance { hops, trail }: &Provenance) -> Self {
        Self { hops: *hops, trail: trail.clone() }
    }
}

/// What a queued run waits for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Wait)]
pub(crate) struct WaitView {
    /// From when on it may begin, as soon as a slot is free; absent while it waits for a run of its job to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready_at_ms: Option<i64>,
    /// Why it waits; where it was put back, in the words of whoever asked it to wait.
    reason: String,
    /// Whether it was put back after it had begun.
    deferred: bool,
}

impl From<&Wait> for WaitView {
    fn from(Wait { ready_at, why }: &Wait) -> Self {
        let reason = match (why, ready_at) {
            (Some(why), _) => why.clone(),
            (None, Some(_)) => "its time, and a free slot".to_owned(),
            (None, None) => "a run of its job that is not over".to_owned(),
        };
        Self { ready_at_ms: ready_at.map(UnixMs::as_millis), reason, deferred: why.is_some() }
    }
}

/// What a run noted on its way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Diagnostics {
    /// The notes in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// The notes one by one.
    entries: Vec<Diagnostic>,
}

/// One note.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Diagnostic {
    /// When it was taken.
    ts: i64,
    /// Which part of the run took it.
    source: String,
    /// How grave it is.
    severity: Severity,
    /// The note.
    message: String,
    /// The exit code of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// Whether the output was cut at its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
}

/// Tokens that a run used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// Tokens read.
    input_tokens: u64,
    /// Tokens written.
    output_tokens: u64,
    /// Both together, as the provider counts.
    total_tokens: u64,
    /// Of the tokens read, those that came from the provider's cache; 0 where it is left out.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    cache_read_tokens: u64,
    /// Of the tokens read, those that were put into the provider's cache; 0 where it is left out.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    cache_write_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A delivery, in few words.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunDelivery {
    /// The delivery.
    id: String,
    /// Where to, secrets masked.
    target: String,
    /// Where it stands.
    state: DeliveryState,
    /// How many attempts were begun.
    attempts: u32,
    /// Whether the job asked for it, so that the run has not completed without it.
    required: bool,
    /// The delivery whose event it carries once more, where a replay made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_of: Option<String>,
    /// Why it stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at_ms: Option<i64>,
}

impl From<&RunRecord> for RunEntry {
    fn from(record: &RunRecord) -> Self {
        let hooks = record.hooks.iter().map(HookCallView::from).collect();
        let entry = Self { hooks, ..Self::of_run(&record.run) };
        match &record.run.progress {
            RunProgress::Queued(wait) => Self { waits: Some(wait.into()), ..entry },
            RunProgress::Running { started_at } => Self { run_at_ms: Some(started_at.as_millis()), ..entry },
            RunProgress::Finished { started_at, ended_at, outcome } => {
                entry.finished(*started_at, *ended_at, outcome).delivered(record)
            }
        }
    }
}

impl RunEntry {
    fn of_run(run: &Run) -> Self {
        Self {
            run_id: run.id.to_string(),
            job_id: run.job_id.to_string(),
            job_name: run.job_name.clone(),
            state: run.progress.state().into(),
            trigger: run.trigger.into(),
            scheduled_at_ms: run.scheduled_at.map(UnixMs::as_millis),
            attempt: run.attempt,
            deferrals: Some(run.deferrals).filter(|deferrals| *deferrals > 0),
            provenance: (run.provenance != Provenance::default()).then(|| (&run.provenance).into()),
            upstream_run_id: run.upstream.map(|run| run.to_string()),
            waits: None,
            queued_at_ms: run.queued_at.as_millis(),
            session_id: run.session.id.to_string(),
            session_key: run.session.key.clone(),
            run_at_ms: None,
            ts: None,
            action: None,
            duration_ms: None,
            status: None,
            completion_status: None,
            error: None,
            error_reason: None,
            summary: None,
            diagnostics: None,
            delivered: None,
            delivery_status: None,
            delivery_error: None,
            delivery_suppression_reason: None,
            model: None,
            provider: None,
            usage: None,
            cost_usd: None,
            output: None,
            late: None,
            deliveries: Vec::new(),
            hooks: Vec::new(),
        }
    }

    fn finished(self, started_at: UnixMs, ended_at: UnixMs, outcome: &RunOutcome) -> Self {
        Self {
            run_at_ms: Some(started_at.as_millis()),
            ts: Some(ended_at.as_millis()),
            action: Some("finished"),
            duration_ms: Some(u64::try_from(ended_at.since(started_at).as_millis()).unwrap_or(u64::MAX)),
            status: Some(outcome.status.into()),
            error: outcome.error.as_ref().map(|error| error.message.clone()),
            error_reason: outcome.error.as_ref().map(|error| error.reason.into()),
            summary: outcome.summary.clone(),
            diagnostics: outcome.diagnostics.as_ref().map(Diagnostics::from),
            model: outcome.model.clone(),
            provider: outcome.provider.clone(),
            usage: outcome.usage.map(Usage::from),
            cost_usd: outcome.cost.map(Usd::as_dollars),
            output: outcome.output.clone(),
            ..self
        }
    }

    fn delivered(self, record: &RunRecord) -> Self {
        let status = record.delivery_status();
        Self {
            completion_status: record.completion().map(CompletionStatus::from),
            delivered: status.delivered(),
            delivery_status: Some(status.into()),
            delivery_error: record.delivery_error().map(str::to_owned),
            delivery_suppression_reason: record.suppression().map(SuppressionReason::from),
            late: record.late.as_ref().map(|(at, outcome)| LateResult::new(*at, outcome)),
            deliveries: record.deliveries.iter().map(RunDelivery::from).collect(),
            ..self
        }
    }
}

impl LateResult {
    fn new(at: UnixMs, outcome: &RunOutcome) -> Self {
        Self {
            at_ms: at.as_millis(),
            status: outcome.status.into(),
            error: outcome.error.as_ref().map(|error| error.message.clone()),
            summary: outcome.summary.clone(),
            model: outcome.model.clone(),
            provider: outcome.provider.clone(),
            usage: outcome.usage.map(Usage::from),
            cost_usd: outcome.cost.map(Usd::as_dollars),
            output: outcome.output.clone(),
        }
    }
}

impl From<&clawhook_model::Diagnostics> for Diagnostics {
    fn from(notes: &clawhook_model::Diagnostics) -> Self {
        let entries = notes.entries.iter().map(|note| Diagnostic {
            ts: note.ts.as_millis(),
            source: note.source.clone(),
            severity: note.severity.into(),
            message: note.message.clone(),
            exit_code: note.exit_code,
            truncated: note.truncated,
        });
        Self { summary: notes.summary.clone(), entries: entries.collect() }
    }
}

impl From<clawhook_model::Usage> for Usage {
    fn from(usage: clawhook_model::Usage) -> Self {
        let clawhook_model::Usage {
            input_tokens,
            output_tokens,
            total_tokens,
            cache_read_tokens,
            cache_write_tokens,
        } = usage;
        Self { input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens }
    }
}

impl From<&clawhook_model::Delivery> for RunDelivery {
    fn from(delivery: &clawhook_model::Delivery) -> Self {
        Self {
            id: delivery.id.to_string(),
            target: delivery.target.shown(),
            state: delivery.state.into(),
            attempts: delivery.attempts,
            required: delivery.required,
            replay_of: delivery.replay_of.map(|id| id.to_string()),
            reason: delivery.reason.clone(),
            next_at_ms: delivery.next_at.map(UnixMs::as_millis),
        }
    }
}

/// A page of runs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunList {
    /// The runs.
    entries: Vec<RunEntry>,
    /// Where the page stands.
    #[serde(flatten)]
    page: Page,
}

impl RunList {
    /// The page that began at `offset` and holds `limit` at most.
    pub(crate) fn new(page: &RunPage, offset: usize, limit: usize) -> Self {
        let entries: Vec<RunEntry> = page.runs.iter().map(RunEntry::from).collect();
        Self { page: Page::new(page.total, offset, limit, entries.len()), entries }
    }
}

/// What came of asking for a run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunRequestedView {
    /// Always true: the request was understood.
    ok: bool,
    /// True where the run is accepted: it is durable, and runs as soon as there is a slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    enqueued: Option<bool>,
    /// False where no run was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    ran: Option<bool>,
    /// Why no run was made: `already-running`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The run that was made, or the one that is not over.
    run_id: String,
}

impl From<RunRequested> for RunRequestedView {
    fn from(requested: RunRequested) -> Self {
        match requested {
            RunRequested::Enqueued(run) => {
                Self { ok: true, enqueued: Some(true), ran: None, reason: None, run_id: run.to_string() }
            }
            RunRequested::AlreadyRunning(run) => Self {
                ok: true,
                enqueued: None,
                ran: Some(false),
                reason: Some("already-running"),
                run_id: run.to_string(),
            },
        }
    }
}

/// What was said in a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Transcript {
    /// In order.
    entries: Vec<TranscriptEntryView>,
}

/// One thing said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TranscriptEntry)]
pub(crate) struct TranscriptEntryView {
    /// When.
    at_ms: i64,
    /// By whom.
    role: Role,
    /// What.
    text: String,
    /// What it is beside plain speech: a `kind` such as `toolCall`, and what belongs to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    detail: Option<Value>,
}

impl From<TranscriptEntry> for TranscriptEntryView {
    fn from(entry: TranscriptEntry) -> Self {
        Self {
            at_ms: entry.at.as_millis(),
            role: entry.role.into(),
            text: entry.text,
            detail: entry.detail.map(|detail| json!(detail)),
        }
    }
}

impl From<Vec<TranscriptEntry>> for Transcript {
    fn from(entries: Vec<TranscriptEntry>) -> Self {
        Self { entries: entries.into_iter().map(TranscriptEntryView::from).collect() }
    }
}
