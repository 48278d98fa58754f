//! A call of a hook, and what came of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::HookStage;
use crate::id::DeliveryId;
use crate::run::Usage;
use crate::time::UnixMs;

/// How much of a hook's output is kept with its run.
const KEPT_OUTPUT: usize = 4 * 1024;

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GateDecision {
    /// The run goes on.
    Proceed,
    /// There is nothing to do this time: the run is skipped.
    Skip,
    /// The run may not be: it ends as an error.
    Error,
}

impl GateDecision {
    /// Every decision.
    pub const ALL: [Self; 3] = [Self::Proceed, Self::Skip, Self::Error];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proceed => "proceed",
            Self::Skip => "skip",
            Self::Error => "error",
        }
    }

    /// The decision of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.as_str() == word)
    }
}

/// A gate's answer in JSON: `{"decision": "proceed"|"skip"|"error", "reason"?, "append"?}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GateVerdict {
    /// What it says.
    pub decision: GateDecision,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// What is added to the run's prompt.
    #[serde(default)]
    pub append: Option<String>,
}

/// An answer that is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("its answer is no verdict: expected {{\"decision\": \"proceed\" | \"skip\" | \"error\"}}")]
pub struct NoGateVerdict;

impl GateVerdict {
    /// The JSON Schema of a verdict.
    pub fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["decision"],
            "properties": {
                "decision": { "enum": GateDecision::ALL.map(GateDecision::as_str) },
                "reason": { "type": "string" },
                "append": { "type": "string" },
            },
        })
    }

    /// Reads a verdict; none where the text holds no object with a decision, so that it says nothing.
    pub fn read(text: &str) -> Result<Option<Self>, NoGateVerdict> {
        let Ok(value @ Value::Object(_)) = serde_json::from_str::<Value>(text) else { return Ok(None) };
        if value.get("decision").is_none() {
            return Ok(None);
        }
        serde_json::from_value(value).map(Some).map_err(|_| NoGateVerdict)
    }
}

/// How a call of a hook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookCallState {
    /// Written with the run's end, and not begun.
    Pending,
    /// Under way.
    Running,
    /// It did what it should; of a gate, that it answered.
    Done,
    /// It failed.
    Failed,
    /// The gateway ended while it was under way; it is not repeated.
    Interrupted,
}

impl HookCallState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Done, Self::Failed, Self::Interrupted];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a call brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookReport {
    /// What the gate said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<GateDecision>,
    /// Why, in the gate's words or in ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The exit code of a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The HTTP status of a webhook's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The start of what it put out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Tokens that its turn used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl HookReport {
    /// It failed, for this reason.
    pub fn failed(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }

    /// Takes the start of what was put out.
    #[must_use]
    pub fn with_output(mut self, text: &str) -> Self {
        let end = text.floor_char_boundary(KEPT_OUTPUT);
        let kept = if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() };
        self.output = Some(kept).filter(|text| !text.trim().is_empty());
        self
    }
}

/// A call of a hook, as it is kept with its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCall {
    /// When its turn came.
    pub stage: HookStage,
    /// The hook.
    pub name: String,
    /// Whether the configuration has it, and not the job.
    pub is_global: bool,
    /// What it does: the wire's name.
    pub kind: String,
    /// How it stands. Of a webhook that is told, it is what its delivery says.
    pub state: HookCallState,
    /// When it began.
    pub started_at: Option<UnixMs>,
    /// When it was over.
    pub ended_at: Option<UnixMs>,
    /// The delivery that it is.
    pub delivery: Option<DeliveryId>,
    /// What it brought.
    pub report: HookReport,
}

impl HookCall {
    /// How long it took, in milliseconds.
    pub fn duration_ms(&self) -> Option<u64> {
        u64::try_from(self.ended_at?.since(self.started_at?).as_millis()).ok()
    }

    /// The call as events and answers show it.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("name", json!(self.name));
        put("stage", json!(self.stage.as_str()));
        put("kind", json!(self.kind));
        put("state", json!(self.state.as_str()));
        if self.is_global {
            put("global", json!(true));
        }
        if let Some(at) = self.started_at {
            put("startedAtMs", json!(at));
        }
        if let Some(ms) = self.duration_ms() {
            put("durationMs", json!(ms));
        }
        if let Some(delivery) = self.delivery {
            put("deliveryId", json!(delivery));
        }
        if let Ok(Value::Object(mut report)) = serde_json::to_value(&self.report) {
            out.append(&mut report);
        }
        Value::Object(out)
    }
}
