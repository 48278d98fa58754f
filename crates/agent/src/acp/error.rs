//! What can go wrong between the gateway and an agent, as a class for programs and a sentence for people.

use std::path::PathBuf;

use agent_client_protocol_schema::v1::{Error as RpcError, ErrorCode};
use clawhook_model::ErrorReason;
use thiserror::Error;

use super::options::AcpOptions;
use super::wire::WireError;
use crate::backend::TryError;
use crate::child::LaunchError;
use crate::quote::quote;

/// Why an agent did not answer, or not to the end. Each is said of the agent: it …
#[derive(Debug, Error)]
pub(super) enum AcpError {
    #[error("could not be started {0}")]
    Launch(#[from] LaunchError),
    #[error("has no folder to work in: {} cannot be used: {error}", .folder.display())]
    Folder { folder: PathBuf, error: std::io::Error },
    #[error("may not work in {}: it lies outside the agent's workspace {}", .folder.display(), .workspace.display())]
    OutsideWorkspace { folder: PathBuf, workspace: PathBuf },
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It is gone; its last words.
    #[error("{0}")]
    Ended(String),
    #[error("speaks version {0} of the Agent Client Protocol, and not version 1")]
    Version(String),
    #[error("wants to be signed in{}", offered(.methods))]
    SignIn { methods: Vec<String> },
    #[error("refused `{method}`")]
    Refused { method: &'static str, error: RpcError },
    #[error("answered `{0}` with something that cannot be read")]
    Unreadable(&'static str),
    #[error("has no model `{wanted}`: it offers {offered}")]
    NoSuchModel { wanted: String, offered: String },
    #[error("has no mode `{wanted}`: it offers {offered}")]
    NoSuchMode { wanted: String, offered: String },
    #[error("cannot use the tool server `{0}`: it connects to no server over HTTP")]
    ToolServer(String),
    #[error("called more than {0} tools")]
    ToolCalls(u32),
    #[error("asked for leave more than {0} times")]
    Permissions(usize),
    #[error("asked its model more often than it may")]
    Requests,
    #[error("declined to answer")]
    Refusal,
    #[error("broke its turn off")]
    BrokenOff,
    #[error("ended its turn without a word")]
    Empty,
    /// More was said than is kept; what is kept is the answer.
    #[error("said more than is kept")]
    Full,
    #[error("was stopped")]
    Stopped,
}

impl AcpError {
    /// Whether the agent may still be at work.
    pub(super) fn leaves_it_working(&self) -> bool {
        matches!(self, Self::Stopped | Self::Full | Self::ToolCalls(_) | Self::Permissions(_))
    }

    /// The failure of `subject`, an agent that is the provider `provider`, without the values of its variables.
    pub(super) fn into_try_error(self, subject: &str, provider: &str, options: &AcpOptions) -> TryError {
        let quoted = |text: &str| quote(text, options.secrets());
        let settings = format!("models.providers.{provider}");
        let what = quoted(&self.to_string());
        let (reason, what) = match &self {
            Self::Launch(_) => {
                (ErrorReason::Launch, format!("{what}. Check {settings}.command, and that it is installed"))
            }
            Self::Folder { .. } => {
                (ErrorReason::Launch, format!("{what}. Make the folder, or name another workspace"))
            }
            Self::OutsideWorkspace { .. } => {
                (ErrorReason::Launch, format!("{what}. Name a folder inside it in {settings}.cwd"))
            }
            Self::Wire(WireError::Silent(_)) => (ErrorReason::Timeout, format!("{what}, and was ended")),
            Self::Wire(WireError::Garbage(line)) => {
                let hint = format!("Check that {settings}.command starts it as an ACP agent");
                (ErrorReason::ServerError, format!("{what}: \"{}\". {hint}", quoted(line)))
            }
            Self::Wire(_) | Self::Unreadable(_) => (ErrorReason::ServerError, what),
            Self::Ended(_) => (ErrorReason::ServerError, format!("{what} before its turn was over")),
            Self::Version(_) => {
                (ErrorReason::Format, format!("{what}. Install a version of it that speaks version 1"))
            }
            Self::SignIn { .. } => (
                ErrorReason::Auth,
                format!(
                    "{what}. Sign in once by hand, give its key in {settings}.env, or name a way in {settings}.auth"
                ),
            ),
            Self::Refused { error, .. } => {
                let reason = class_of(error);
                let said = quoted(&words_of(error));
                (reason, if said.is_empty() { what } else { format!("{what}: \"{said}\"") })
            }
            Self::NoSuchModel { .. } => {
                (ErrorReason::ModelNotFound, format!("{what}. `{provider}/default` leaves it its own"))
            }
            Self::NoSuchMode { .. } => (ErrorReason::Unavailable, format!("{what}. Check {settings}.mode")),
            Self::ToolServer(_) => (
                ErrorReason::Unavailable,
                format!("{what}. Deny the server's tools to agents that run on it"),
            ),
            Self::ToolCalls(_) | Self::Permissions(_) => (
                ErrorReason::TurnLimit,
                format!("{what}, and was stopped. Raise the agent's limits.toolCalls, or ask for less"),
            ),
            Self::Requests => {
                (ErrorReason::TurnLimit, format!("{what} in one turn. Raise its own limit, or ask for less"))
            }
            Self::Refusal => (ErrorReason::Refusal, what),
            Self::BrokenOff | Self::Full => (ErrorReason::Unknown, what),
            Self::Empty => (ErrorReason::EmptyResponse, what),
            Self::Stopped => (ErrorReason::Interrupted, what),
        };
        let is_final = matches!(self, Self::ToolCalls(_) | Self::Permissions(_) | Self::Stopped);
        TryError { is_final, ..TryError::new(reason, format!("{subject} {what}.")) }
    }
}

fn offered(methods: &[String]) -> String {
    if methods.is_empty() { String::new() } else { format!(" (it offers {})", methods.join(", ")) }
}

/// What the other side says: its sentence, and what it adds to it.
fn words_of(error: &RpcError) -> String {
    let details = error.data.as_ref().and_then(|data| {
        let of = |name| data.get(name)?.as_str();
        data.as_str().or_else(|| of("details")).or_else(|| of("message"))
    });
    match details {
        Some(details) if details != error.message => format!("{}: {details}", error.message),
        _ => error.message.clone(),
    }
}

/// The class of a refusal. The protocol knows few codes, and agents pass their providers' errors on in words.
fn class_of(error: &RpcError) -> ErrorReason {
    if error.code == ErrorCode::AuthRequired {
        return ErrorReason::Auth;
    }
    let words = words_of(error).to_ascii_lowercase();
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if has(&["rate limit", "rate_limit", "too many requests", "429"]) {
        ErrorReason::RateLimit
    } else if has(&["quota", "billing", "credit", "402"]) {
        ErrorReason::Billing
    } else if has(&["unauthorized", "api key", "api_key", "authentication", "401", "403"]) {
        ErrorReason::Auth
    } else if has(&[
        "context length",
        "context_length",
        "context window",
        "prompt is too long",
        "too many tokens",
    ]) {
        ErrorReason::ContextOverflow
    } else if has(&["overloaded", "503", "529"]) {
        ErrorReason::Overloaded
    } else if has(&["connection", "network", "econnrefused", "enotfound", "fetch failed"]) {
        ErrorReason::Network
    } else {
        match error.code {
            ErrorCode::MethodNotFound | ErrorCode::InvalidParams | ErrorCode::InvalidRequest => {
                ErrorReason::Format
            }
            _ => ErrorReason::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_classes_of_what_is_behind_them() {
        for (code, message, reason) in [
            (-32000, "Authentication required", ErrorReason::Auth),
            (-32603, "429 Too Many Requests", ErrorReason::RateLimit),
            (-32603, "insufficient_quota", ErrorReason::Billing),
            (-32603, "Incorrect API key provided", ErrorReason::Auth),
            (-32603, "This model's maximum context length is 8192", ErrorReason::ContextOverflow),
            (-32603, "overloaded_error", ErrorReason::Overloaded),
            (-32603, "fetch failed", ErrorReason::Network),
            (-32603, "Internal error", ErrorReason::ServerError),
            (-32602, "Invalid params", ErrorReason::Format),
        ] {
            assert_eq!(class_of(&RpcError::new(code, message)), reason, "{code} {message}");
        }
    }

    #[test]
    fn i12_an_agents_own_words_are_told_without_the_values_of_its_variables() {
        let error = RpcError::new(-32603, "Internal error")
            .data(serde_json::json!({ "details": "bad key sk-123456\nfor you" }));
        let error = AcpError::Refused { method: "session/prompt", error };
        let env = [("KEY".to_owned(), "sk-123456".into())].into();
        let options = AcpOptions { env, ..AcpOptions::default() };
        let told = error.into_try_error("qwen/default", "qwen", &options);
        assert_eq!(
            told.message,
            "qwen/default refused `session/prompt`: \"Internal error: bad key *** for you\"."
        );
    }
}
