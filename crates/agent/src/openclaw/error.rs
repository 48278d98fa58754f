//! What can go wrong between the gateway and another one, as a class for programs and a sentence for people.

use std::time::Duration;

use clawhook_model::{ErrorReason, UnixMs};
use serde_json::Value;
use thiserror::Error;

use super::options::OpenClawOptions;
use crate::backend::TryError;
use crate::quote::quote;

/// Why an agent over there did not answer. Each is said of it: it …
#[derive(Debug, Error)]
pub(super) enum HookError {
    #[error("could not be asked: {0}")]
    Client(String),
    #[error("could not be asked: the token holds characters that cannot be sent")]
    UnsendableToken,
    #[error("cannot be held to the tools that the job allows")]
    ToolsAllow,
    #[error(
        "cannot fill the job's outputSchema, because OpenClaw's hooks do not tell what an agent answered"
    )]
    OutputSchema,
    #[error("could not be reached at {address}: {why}")]
    Unreachable { address: String, why: String },
    #[error("was not heard of again: the connection to {0} broke before the answer came")]
    Broken(String),
    #[error("did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("was refused (HTTP {status})")]
    Refused { status: u16, said: String, retry_at: Option<UnixMs> },
    #[error("sent an answer that is not OpenClaw's")]
    Unreadable,
    #[error("took the message (run {0}) and does not tell what became of it")]
    NoCompletion(String),
    #[error("failed over there (run {0})")]
    Failed(String),
    #[error("was not run over there (run {0})")]
    Skipped(String),
    #[error("ended with the state `{state}` (run {run})")]
    OddEnd { run: String, state: String },
    #[error("ended its turn without a word (run {0})")]
    Empty(String),
}

impl HookError {
    /// The failure of `subject`, an agent of the provider `provider`.
    pub(super) fn into_try_error(self, subject: &str, provider: &str, options: &OpenClawOptions) -> TryError {
        let quoted = |text: &str| quote(text, options.token());
        let settings = format!("models.providers.{provider}");
        let what = quoted(&self.to_string());
        let (reason, what) = match &self {
            Self::Client(_) => (ErrorReason::Unknown, what),
            Self::UnsendableToken => (ErrorReason::Auth, format!("{what}. Check {settings}.token")),
            Self::ToolsAllow => (
                ErrorReason::Unavailable,
                format!("{what}. Take toolsAllow off the job, and say over there what the agent may use"),
            ),
            Self::OutputSchema => (
                ErrorReason::Unavailable,
                format!("{what}. Use the gateway's OpenAI-compatible endpoint for this job"),
            ),
            Self::Unreachable { .. } => (
                ErrorReason::Network,
                format!("{what}. Check {settings}.baseUrl, and that the gateway there is up"),
            ),
            Self::Broken(_) | Self::TimedOut(_) => {
                let reason =
                    if matches!(self, Self::Broken(_)) { ErrorReason::Network } else { ErrorReason::Timeout };
                (reason, format!("{what}. It may still be at work over there"))
            }
            Self::Refused { status, said, .. } => {
                let (reason, advice) = refusal(*status, said, &settings);
                let said = quoted(said);
                let said = if said.is_empty() { said } else { format!(". It says: \"{said}\"") };
                (reason, format!("{what}. {advice}{said}"))
            }
            Self::Unreadable => {
                (ErrorReason::ServerError, format!("{what}. Check that {settings}.baseUrl is a gateway's"))
            }
            Self::NoCompletion(_) => (
                ErrorReason::Format,
                format!(
                    "{what}: it is older than `waitForCompletion`. Update OpenClaw there, or use its OpenAI-compatible endpoint"
                ),
            ),
            Self::Failed(_) => {
                (ErrorReason::Unknown, format!("{what}; why stands in the log of the gateway there"))
            }
            Self::Skipped(_) => {
                (ErrorReason::Unavailable, format!("{what}; why stands in the log of the gateway there"))
            }
            Self::OddEnd { .. } => (ErrorReason::Unknown, what),
            Self::Empty(_) => (ErrorReason::EmptyResponse, what),
        };
        TryError {
            retry_at: if let Self::Refused { retry_at, .. } = self { retry_at } else { None },
            is_final: self.may_be_at_work(),
            ..TryError::new(reason, format!("{subject} {what}."))
        }
    }

    /// Whether the agent over there may have begun: then another one must not be asked to do the same again.
    fn may_be_at_work(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::TimedOut(_) | Self::NoCompletion(_) | Self::OddEnd { .. })
    }
}

/// The class of a refusal, and what to do.
fn refusal(status: u16, said: &str, settings: &str) -> (ErrorReason, String) {
    match status {
        400 if said.contains("unknown agentId") || said.contains("agentId is not allowed") => (
            ErrorReason::ModelNotFound,
            "Name an agent that the gateway there has and lets hooks use".to_owned(),
        ),
        400 if said.contains("sessionKey") => (
            ErrorReason::Format,
            format!(
                "Allow it there (hooks.allowRequestSessionKey, hooks.allowedSessionKeyPrefixes), or take {settings}.sessionKeyPrefix away"
            ),
        ),
        400 | 422 => (ErrorReason::Format, "Its version may be too old or too new".to_owned()),
        401 | 403 => (ErrorReason::Auth, format!("Check that {settings}.token is the gateway's hooks.token")),
        404 | 405 => (
            ErrorReason::ModelNotFound,
            format!("Switch hooks on there (hooks.enabled), and check {settings}.baseUrl"),
        ),
        408 => (ErrorReason::Timeout, "Try again later".to_owned()),
        413 => (ErrorReason::ContextOverflow, "Shorten the job's message".to_owned()),
        429 => (ErrorReason::RateLimit, "Ask it less often".to_owned()),
        409 | 503 | 529 => (ErrorReason::Overloaded, "Try again later".to_owned()),
        500.. => (ErrorReason::ServerError, "Try again later".to_owned()),
        _ => (ErrorReason::Unknown, format!("Check {settings}.baseUrl")),
    }
}

/// What a refusal says, in the gateway's JSON or as plain text.
pub(super) fn words_of(body: &[u8]) -> String {
    let json = serde_json::from_slice::<Value>(body).ok();
    let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
    error.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_class() {
        for (status, said, reason) in [
            (400, "unknown agentId \"x\"", ErrorReason::ModelNotFound),
            (400, "sessionKey is disabled for externally supplied hook payload values", ErrorReason::Format),
            (400, "message required", ErrorReason::Format),
            (401, "Unauthorized", ErrorReason::Auth),
            (403, "", ErrorReason::Auth),
            (404, "Not Found", ErrorReason::ModelNotFound),
            (409, "", ErrorReason::Overloaded),
            (413, "payload too large", ErrorReason::ContextOverflow),
            (429, "Too Many Requests", ErrorReason::RateLimit),
            (502, "", ErrorReason::ServerError),
            (503, "", ErrorReason::Overloaded),
            (302, "", ErrorReason::Unknown),
        ] {
            assert_eq!(refusal(status, said, "s").0, reason, "{status} {said}");
        }
    }
}
