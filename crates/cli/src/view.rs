//! What the commands read of the API's answers. Fields that are absent or new do no harm: a client and its gateway
//! may be of different versions.

mod job;
mod spending;
mod status;

use clawhook_model::UnixMs;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::moment;
use crate::output;

pub(crate) use job::JobView;
pub(crate) use spending::{
    BudgetTodayView, ForecastView, NO_HISTORY, TokensView, UsageView, UsedView, WaitsView, dollars,
};
pub(crate) use status::{DeadByCause, DeliveriesStatus, StatusView};

/// Reads a view of an answer.
pub(crate) fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(|error| {
        Failure::with_hint(
            format!("the gateway's answer is not understood: {error}"),
            "is the gateway of another version? `clawhook status --json` shows it",
        )
    })
}

/// A page of jobs.
#[derive(Deserialize)]
pub(crate) struct JobsPage {
    pub(crate) jobs: Vec<JobView>,
    #[serde(flatten)]
    pub(crate) page: Page,
}

/// Where a page lies.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    #[serde(default)]
    pub(crate) total: u64,
    #[serde(default)]
    pub(crate) next_offset: Option<u64>,
}

impl Page {
    /// Says how to see the rest, where there is one.
    pub(crate) fn note_rest(&self, shown: usize) {
        if let Some(next) = self.next_offset {
            output::message("note", &format!("{shown} of {} are shown; --offset {next} goes on", self.total));
        }
    }
}

/// The answer to a request to run a job.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunAnswer {
    #[serde(default)]
    pub(crate) enqueued: bool,
    pub(crate) run_id: String,
}

/// A run.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunView {
    #[serde(default)]
    pub(crate) run_id: String,
    #[serde(default)]
    pub(crate) job_id: String,
    #[serde(default)]
    pub(crate) job_name: String,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) trigger: String,
    #[serde(default)]
    pub(crate) queued_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) run_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) duration_ms: Option<u64>,
    #[serde(default)]
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) completion_status: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) error_reason: Option<String>,
    #[serde(default)]
    pub(crate) summary: Option<String>,
    #[serde(default)]
    pub(crate) delivery_status: Option<String>,
    #[serde(default)]
    pub(crate) delivery_error: Option<String>,
    #[serde(default)]
    pub(crate) delivery_suppression_reason: Option<String>,
    #[serde(default)]
    pub(crate) waits: Option<WaitsView>,
    #[serde(default)]
    pub(crate) usage: Option<TokensView>,
    #[serde(default)]
    pub(crate) cost_usd: Option<f64>,
    #[serde(default)]
    pub(crate) deliveries: Vec<RunDelivery>,
}

/// A delivery, as a run shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunDelivery {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) attempts: u64,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) next_at_ms: Option<UnixMs>,
    /// Whether the job asked for it; an older gateway knows no others.
    #[serde(default = "yes")]
    pub(crate) required: bool,
}

fn yes() -> bool {
    true
}

/// A page of runs.
#[derive(Deserialize)]
pub(crate) struct RunsPage {
    pub(crate) entries: Vec<RunView>,
    #[serde(flatten)]
    pub(crate) page: Page,
}

/// What became of a job's due instants.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Occurrences {
    pub(crate) occurrences: Vec<OccurrenceView>,
    pub(crate) next_before_ms: Option<i64>,
}

/// What became of a due instant.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OccurrenceView {
    pub(crate) due_at_ms: UnixMs,
    pub(crate) outcome: String,
    pub(crate) reason: Option<String>,
    pub(crate) was_passed: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) trigger: Option<String>,
    pub(crate) waits: Option<WaitsView>,
    pub(crate) attempt: Option<u32>,
    pub(crate) state: Option<String>,
    pub(crate) started_at_ms: Option<UnixMs>,
    pub(crate) lateness_ms: Option<u64>,
    pub(crate) status: Option<String>,
    pub(crate) completion_status: Option<String>,
}

/// What came of a backfill.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackfilledView {
    pub(crate) queued: Vec<String>,
    #[serde(default)]
    pub(crate) already_ran: Vec<String>,
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// A delivery.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) event_id: String,
    #[serde(default)]
    pub(crate) run_id: Option<String>,
    #[serde(default)]
    pub(crate) job_id: String,
    #[serde(default)]
    pub(crate) destination_id: Option<String>,
    #[serde(default)]
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) state: String,
    /// How many, in a list; each one, in the view of a single delivery.
    #[serde(default)]
    pub(crate) attempts: Value,
    #[serde(default)]
    pub(crate) attempt_count: Option<u64>,
    #[serde(default)]
    pub(crate) created_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) next_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) settled_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) cause: Option<String>,
    #[serde(default)]
    pub(crate) replay_of: Option<String>,
    #[serde(default)]
    pub(crate) after: Option<String>,
    #[serde(default)]
    pub(crate) acknowledgement: Option<AcknowledgementView>,
    #[serde(default)]
    pub(crate) replayed_as: Vec<String>,
    /// Whether it was made for the replay that is answered.
    #[serde(default)]
    pub(crate) added: bool,
}

/// How an acknowledgement stands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcknowledgementView {
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) by: Option<String>,
    #[serde(default)]
    pub(crate) at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) asked_again: u32,
    #[serde(default)]
    pub(crate) ask_at_ms: Option<UnixMs>,
}

impl AcknowledgementView {
    /// In a few words.
    pub(crate) fn text(&self, now: UnixMs) -> String {
        let by = self.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let at = self.at_ms.map(|at| format!(", {}", moment::both(at, now))).unwrap_or_default();
        let asked = match self.asked_again {
            0 => String::new(),
            times => format!(", asked again {times} times"),
        };
        let next = self.ask_at_ms.map(|at| format!(", next {}", moment::both(at, now))).unwrap_or_default();
        format!("{}{by}{at}{asked}{next}", self.state)
    }
}

impl DeliveryView {
    /// How often it was tried.
    pub(crate) fn tries(&self) -> u64 {
        self.attempt_count.or_else(|| self.attempts.as_u64()).unwrap_or(0)
    }
}

/// A page of deliveries.
#[derive(Deserialize)]
pub(crate) struct DeliveriesPage {
    pub(crate) deliveries: Vec<DeliveryView>,
    #[serde(flatten)]
    pub(crate) page: Page,
}

/// A run's deliveries that are due once more.
#[derive(Deserialize)]
pub(crate) struct RunSentAgainView {
    pub(crate) deliveries: Vec<DeliveryView>,
    #[serde(default)]
    pub(crate) refused: Vec<NotSentAgainView>,
}

/// A delivery that is not sent once more.
#[derive(Deserialize)]
pub(crate) struct NotSentAgainView {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) reason: String,
}

/// How many deliveries a replay would find.
#[derive(Deserialize)]
pub(crate) struct CountedView {
    pub(crate) matched: u64,
}

/// A replay.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplayView {
    pub(crate) id: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) filter: Value,
    #[serde(default)]
    pub(crate) to: Option<String>,
    #[serde(default)]
    pub(crate) per_second: Option<f64>,
    #[serde(default)]
    pub(crate) matched: u64,
    #[serde(default)]
    pub(crate) done: u64,
    #[serde(default)]
    pub(crate) skipped: u64,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) created_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) ended_at_ms: Option<UnixMs>,
    /// Absent in lists.
    #[serde(default)]
    pub(crate) outcomes: OutcomesView,
}

/// What became of the deliveries that a replay queued.
#[derive(Deserialize, Default)]
pub(crate) struct OutcomesView {
    #[serde(default)]
    pub(crate) open: u64,
    #[serde(default)]
    pub(crate) delivered: u64,
    #[serde(default)]
    pub(crate) dead: u64,
    #[serde(default)]
    pub(crate) cancelled: u64,
}

/// A page of replays.
#[derive(Deserialize)]
pub(crate) struct ReplaysPage {
    pub(crate) replays: Vec<ReplayView>,
    #[serde(flatten)]
    pub(crate) page: Page,
}

/// One try at a delivery.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttemptView {
    pub(crate) number: u32,
    pub(crate) started_at: UnixMs,
    pub(crate) class: String,
    #[serde(default)]
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) timings: Timings,
    #[serde(default)]
    pub(crate) decision: String,
    #[serde(default)]
    pub(crate) peer: Option<String>,
    #[serde(default)]
    pub(crate) tls_version: Option<String>,
    #[serde(default)]
    pub(crate) connection_reused: bool,
    #[serde(default)]
    pub(crate) location: Option<String>,
    #[serde(default)]
    pub(crate) retry_after: Value,
    #[serde(default)]
    pub(crate) request_headers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) response_headers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) response_body: Option<String>,
    #[serde(default)]
    pub(crate) response_truncated: bool,
}

/// How long a try took.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timings {
    #[serde(default)]
    pub(crate) total_us: u64,
}

/// A destination.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DestinationView {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) url: Option<String>,
    #[serde(default)]
    pub(crate) definition: Map<String, Value>,
    #[serde(default)]
    pub(crate) declared_in: Option<String>,
    #[serde(default)]
    pub(crate) revision: u64,
    #[serde(default)]
    pub(crate) standing: StandingView,
    #[serde(default)]
    pub(crate) failing_since_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) queue: QueueView,
    #[serde(default)]
    pub(crate) jobs: Vec<String>,
    #[serde(default)]
    pub(crate) heads: Vec<OrderHeadView>,
}

impl DestinationView {
    /// What it can be called by.
    pub(crate) fn handle(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

/// Whether anything is sent to a destination.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StandingView {
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) since_ms: Option<UnixMs>,
}

impl StandingView {
    /// The standing with its reason, in a line.
    pub(crate) fn text(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{} ({detail})", self.state),
            None => self.state.clone(),
        }
    }
}

/// What waits for a destination.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueView {
    #[serde(default)]
    pub(crate) pending: u64,
    #[serde(default)]
    pub(crate) waiting: u64,
    #[serde(default)]
    pub(crate) leased: u64,
    #[serde(default)]
    pub(crate) blocked: u64,
    #[serde(default)]
    pub(crate) next_at_ms: Option<UnixMs>,
}

impl QueueView {
    /// How many deliveries are not settled.
    pub(crate) fn open(&self) -> u64 {
        self.pending + self.waiting + self.leased
    }
}

/// A delivery that others of its order wait for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderHeadView {
    pub(crate) delivery_id: String,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) next_at_ms: Option<UnixMs>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) behind: u64,
}

/// A key that was changed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotatedView {
    #[serde(default)]
    pub(crate) secret: Option<String>,
    #[serde(default)]
    pub(crate) public_key: Option<String>,
    pub(crate) overlap_until_ms: UnixMs,
}

/// What a destination would be sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RenderedView {
    pub(crate) content_type: String,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A page of destinations.
#[derive(Deserialize)]
pub(crate) struct DestinationsPage {
    pub(crate) destinations: Vec<DestinationView>,
    #[serde(flatten)]
    pub(crate) page: Page,
}

/// What came of a test event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestView {
    pub(crate) delivered: bool,
    #[serde(default)]
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) event_id: String,
    #[serde(default)]
    pub(crate) attempt: TestAttempt,
}

/// The one try of a test event.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestAttempt {
    #[serde(default)]
    pub(crate) class: String,
    #[serde(default)]
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) response_body: Option<String>,
    #[serde(default)]
    pub(crate) response_truncated: bool,
    #[serde(default)]
    pub(crate) request_headers: Vec<(String, String)>,
    /// How long each phase took, in microseconds.
    #[serde(default)]
    pub(crate) timings: Map<String, Value>,
}
