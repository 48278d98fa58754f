//! What a job does, in which session and within what bounds, as answers show it. The model writes the JSON; the types here
//! are its schema.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// What a job does.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[schema(as = Payload)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum PayloadView {
    /// One turn of an agent.
    #[serde(rename_all = "camelCase")]
    AgentTurn {
        /// What the agent is told.
        message: String,
        /// `provider/model`, where it is not the agent's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The models that are asked where that fails, where they are not the agent's own; an empty list is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        fallbacks: Option<Vec<String>>,
        /// How hard the model is to think, where it is not the agent's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        thinking: Option<ThinkingView>,
        /// Which of the agent's tools it may use: names, with `*` for any part of one. An empty list is none at all.
        #[serde(skip_serializing_if = "Option::is_none")]
        tools_allow: Option<Vec<String>>,
        /// Whether the files of the agent's workspace stay out of its prompt; false where it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        light_context: Option<bool>,
        /// Whether what comes from outside is given to the model without a fence; false where it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        allow_unsafe_external_content: Option<bool>,
        /// The time limit; 0 is none. The agent's where it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<f64>,
    },
    /// A text for the agent's main session.
    SystemEvent {
        /// The text.
        text: String,
    },
    /// A look of the agent after its main session. The gateway's own: a job of this kind cannot be made.
    Heartbeat,
    /// A command, without a model.
    #[serde(rename_all = "camelCase")]
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
        /// The working directory.
        #[serde(skip_serializing_if = "Option::is_none")]
        cwd: Option<String>,
        /// Variables. Their values are write-only: they are shown as `***`, which, written back, keeps them.
        #[serde(skip_serializing_if = "Option::is_none")]
        env: Option<BTreeMap<String, String>>,
        /// Standard input.
        #[serde(skip_serializing_if = "Option::is_none")]
        input: Option<String>,
        /// The time limit; 0 is none. Ten minutes where it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<f64>,
        /// The limit of silence; 0 is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        no_output_timeout_seconds: Option<f64>,
        /// How much of each output stream is kept.
        #[serde(skip_serializing_if = "Option::is_none")]
        output_max_bytes: Option<u64>,
    },
}

/// How hard a model is to think.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Thinking)]
#[cfg_attr(not(test), expect(dead_code, reason = "the schema of what the model reads and writes"))]
pub(crate) enum ThinkingView {
    /// Not at all.
    Off,
    /// As little as the model can.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// Very much.
    XHigh,
    /// As much as the model can.
    Max,
}

/// Which session a job runs in: `main`, the agent's main session, for `systemEvent`; for `agentTurn` and `command`
/// `isolated`, a fresh one for each run, `current`, a fresh one that is shown the end of the conversation `sessionKey` and
/// adds its reply to it, or `session:<name>`, one that is kept under this name.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionTarget, value_type = String, pattern = "^(main|isolated|current|session:.+)$", example = "isolated")]
pub(crate) struct SessionTargetView(String);

/// How much a job's runs may use in a day.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Budget)]
pub(crate) struct BudgetView {
    /// Money, in US dollars, by the prices of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    usd_per_day: Option<f64>,
    /// Tokens, read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_day: Option<u64>,
}

/// What becomes of a run's own session once the run is over.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Cleanup)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum CleanupView {
    /// It is kept for as long as the gateway keeps sessions.
    Keep,
    /// It goes as soon as everything is delivered.
    Delete,
}

/// When a system event wakes the main session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = WakeMode)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum WakeModeView {
    /// At once.
    Now,
    /// With the next heartbeat.
    NextHeartbeat,
}

#[cfg(test)]
mod tests {
    use clawhook_model::Thinking;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_level_of_thinking_is_the_models() {
        let ours = [
            ThinkingView::Off,
            ThinkingView::Minimal,
            ThinkingView::Low,
            ThinkingView::Medium,
            ThinkingView::High,
            ThinkingView::XHigh,
            ThinkingView::Max,
        ];
        assert_eq!(json!(ours), json!(Thinking::ALL.map(Thinking::as_str)));
    }
}
