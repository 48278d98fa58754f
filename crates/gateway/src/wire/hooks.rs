//! Hooks and their requests as answers show them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clawhook_inbound::HookKind;
use clawhook_store::HookRequest;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::runs::RunEntry;
use crate::verbs::{HookDetail, HookTrial, InspectedRequest};

/// An inbound hook, and how it stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hook)]
pub(crate) struct HookView {
    /// Its id.
    #[schema(example = "agent")]
    id: String,
    /// Its standing job.
    #[schema(example = "hook-agent")]
    job_id: String,
    /// Where it is; `*` is every path.
    #[schema(example = "/hooks/agent")]
    path: String,
    /// What it does: `agent`, `wake` or `deliverOnly`.
    action: &'static str,
    /// What proves who sent a request: `token` or `signature`.
    proof: &'static str,
    /// How it stands: `active`, `paused` (accepts, and begins nothing), `disabled` (refuses), or `absent`, where a job
    /// that is not its own has the id of its job.
    state: &'static str,
    /// Since when a person has it paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_at_ms: Option<i64>,
    /// How many of its runs go on at a time.
    max_concurrent_runs: u32,
    /// How many may wait.
    queue_depth: u32,
    /// How many requests a minute it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_minute: Option<u32>,
    /// How many of its runs are under way.
    running: u32,
    /// How many wait.
    waiting: u32,
    /// How many failed in a row.
    consecutive_errors: u32,
}

impl From<&HookDetail> for HookView {
    fn from(detail: &HookDetail) -> Self {
        let HookDetail { hook, path, job, state } = detail;
        let limits = hook.limits();
        let is_halted = state.as_ref().is_some_and(|state| state.held || state.paused_at.is_some());
        let word = match job {
            None => "absent",
            Some(job) if !job.definition.enabled => "disabled",
            Some(_) if is_halted => "paused",
            Some(_) => "active",
        };
        let open = job.as_ref().map(|job| job.state.open_runs).unwrap_or_default();
        Self {
            id: hook.id().to_string(),
            job_id: format!("hook-{}", hook.id()),
            path: path.clone(),
            action: match (hook.kind(), hook.action()) {
                (HookKind::Wake, _) | (_, clawhook_inbound::Action::Wake) => "wake",
                (_, clawhook_inbound::Action::DeliverOnly) => "deliverOnly",
                _ => "agent",
            },
            proof: if hook.signature().is_some() { "signature" } else { "token" },
            state: word,
            paused_at_ms: state
                .as_ref()
                .and_then(|state| state.paused_at)
                .map(clawhook_model::UnixMs::as_millis),
            max_concurrent_runs: limits.max_concurrent_runs,
            queue_depth: limits.queue_depth,
            rate_per_minute: limits.rate_per_minute,
            running: open.running,
            waiting: open.waiting,
            consecutive_errors: job.as_ref().map_or(0, |job| job.state.consecutive_errors),
        }
    }
}

/// The hooks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookList {
    hooks: Vec<HookView>,
}

impl HookList {
    pub(crate) fn new(hooks: &[HookDetail]) -> Self {
        Self { hooks: hooks.iter().map(HookView::from).collect() }
    }
}

/// A request that was made to a hook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HookRequest)]
pub(crate) struct HookRequestView {
    /// Its id.
    request_id: String,
    /// The hook.
    hook: String,
    /// Where it came, behind `hooks.path`.
    path: String,
    /// When it came.
    received_at_ms: i64,
    /// When the last of its runs ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at_ms: Option<i64>,
    /// What became of it: `queued`, `coalesced`, `published` or `ignored`.
    outcome: &'static str,
    /// Whether it had what tells it from its repetition.
    has_key: bool,
    /// The request that it repeats, where a person asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_of: Option<String>,
    /// The address that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// How long its body is, in bytes.
    body_bytes: u64,
    /// What was answered.
    answer: Value,
    /// Its runs that are still known.
    run_ids: Vec<String>,
}

impl From<&HookRequest> for HookRequestView {
    fn from(request: &HookRequest) -> Self {
        let job = request.job_id.as_str();
        Self {
            request_id: request.id.to_string(),
            hook: job.strip_prefix("hook-").unwrap_or(job).to_owned(),
            path: request.path.clone(),
            received_at_ms: request.received_at.as_millis(),
            completed_at_ms: request.completed_at.map(clawhook_model::UnixMs::as_millis),
            outcome: request.outcome.as_str(),
            has_key: request.has_key,
            replay_of: request.replay_of.map(|id| id.to_string()),
            client: request.client.clone(),
            body_bytes: request.body_bytes,
            answer: request.answer.clone(),
            run_ids: request.runs.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Requests, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HookRequestList {
    requests: Vec<HookRequestView>,
    /// What `before` is on the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<String>,
}

impl HookRequestList {
    pub(crate) fn new(requests: &[HookRequest], limit: usize) -> Self {
        let last = requests.last().filter(|_| requests.len() == limit);
        Self {
            requests: requests.iter().map(HookRequestView::from).collect(),
            next_before: last.map(|request| request.id.to_string()),
        }
    }
}

/// A request with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HookRequestDetail)]
pub(crate) struct HookRequestDetail {
    #[serde(flatten)]
    request: HookRequestView,
    /// Its headers, pairs of name and value, secrets masked; null once they are forgotten with the body.
    #[schema(required = true)]
    headers: Value,
    /// Its body, where that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Its body in Base64, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// Its runs that are still known.
    runs: Vec<RunEntry>,
}

impl From<&InspectedRequest> for HookRequestDetail {
    fn from(inspected: &InspectedRequest) -> Self {
        let text = std::str::from_utf8(&inspected.body).ok();
        Self {
            request: HookRequestView::from(&inspected.request),
            headers: inspected.request.headers.clone(),
            body: text.map(str::to_owned),
            body_base64: text.is_none().then(|| STANDARD.encode(&inspected.body)),
            runs: inspected.runs.iter().map(RunEntry::from).collect(),
        }
    }
}

/// What a request would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HookTrial)]
pub(crate) struct HookTrialView {
    /// Whether its signature is right; absent where the hook wants none.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<bool>,
    /// Why it would be ignored: `filtered`, `transformed` or `empty`.
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<&'static str>,
    /// What would be answered to a service that asks whether anybody is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
    /// How many elements would be left out.
    dropped: usize,
    /// Whether a repetition would be known as one.
    has_key: bool,
    /// What would be asked for: each is a `run`, a `wake` or an `event`.
    #[schema(value_type = Vec<Object>)]
    asks: Vec<Value>,
}

impl From<HookTrial> for HookTrialView {
    fn from(trial: HookTrial) -> Self {
        let HookTrial { signed, ignored, challenge, dropped, has_identity, asks } = trial;
        Self { signed, ignored, challenge, dropped, has_key: has_identity, asks }
    }
}

/// A request that was done once more.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HookReplayed)]
pub(crate) struct HookReplayedView {
    /// The request that it repeats.
    replay_of: String,
    /// What a caller would be answered; null where the hook does not want it.
    #[schema(required = true)]
    answer: Value,
}

impl HookReplayedView {
    pub(crate) fn new(replay_of: String, answer: Value) -> Self {
        Self { replay_of, answer }
    }
}
