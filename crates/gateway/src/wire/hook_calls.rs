//! Calls of hooks, as answers show them. The model writes their JSON for events too; the types here are its schema.

use clawhook_model::{HookCall, UnixMs};
use serde::Serialize;
use utoipa::ToSchema;

use super::runs::Usage;

/// A call of a hook, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HookCall)]
pub(crate) struct HookCallView {
    /// The hook.
    name: String,
    /// When its turn came.
    #[schema(example = "pre")]
    stage: &'static str,
    /// What it does.
    #[schema(example = "command")]
    kind: String,
    /// How it stands: `pending`, `running`, `done`, `failed` or `interrupted`.
    #[schema(example = "done")]
    state: &'static str,
    /// Whether the configuration has it, and not the job.
    global: bool,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at_ms: Option<i64>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    /// The delivery that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_id: Option<String>,
    /// What the gate said: `proceed`, `skip` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The exit code of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    /// The HTTP status of a webhook's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The start of what it put out.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The tokens that its turn used.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

impl From<&HookCall> for HookCallView {
    fn from(call: &HookCall) -> Self {
        let report = call.report.clone();
        Self {
            name: call.name.clone(),
            stage: call.stage.as_str(),
            kind: call.kind.clone(),
            state: call.state.as_str(),
            global: call.is_global,
            started_at_ms: call.started_at.map(UnixMs::as_millis),
            duration_ms: call.duration_ms(),
            delivery_id: call.delivery.map(|delivery| delivery.to_string()),
            decision: report.decision.map(clawhook_model::GateDecision::as_str),
            reason: report.reason,
            exit_code: report.exit_code,
            status: report.status,
            output: report.output,
            error: report.error,
            usage: report.usage.map(Usage::from),
        }
    }
}

/// The calls of hooks that followed the making of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreationCallList {
    /// The calls, the last first; at most a hundred.
    pub(crate) hooks: Vec<HookCallView>,
}
