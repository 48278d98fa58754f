//! Why a request is refused, in the words that OpenClaw's clients know (contract §5).

use http::StatusCode;
use thiserror::Error;

/// Why a request is refused. Its message is what the caller is told, and tells nothing of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A token stands in the query, where logs would keep it.
    #[error(
        "Hook token must be provided via Authorization: Bearer <token> or X-OpenClaw-Token header (query parameters are not allowed)."
    )]
    TokenInQuery,
    /// Another method than POST.
    #[error("Method Not Allowed")]
    Method,
    /// No token and no signature that is right. The caller is not told which.
    #[error("Unauthorized")]
    Unauthorized(Unproven),
    /// There is no such hook.
    #[error("Not Found")]
    UnknownHook,
    /// The body is larger than the hook takes.
    #[error("payload too large")]
    TooLarge,
    /// The body did not come in time.
    #[error("request body timeout")]
    TooSlow,
    /// The body is not JSON.
    #[error("{0}")]
    Json(String),
    /// There is no message.
    #[error("message required")]
    NoMessage,
    /// There is no text.
    #[error("text required")]
    NoText,
    /// The model is not the text of a name.
    #[error("model required")]
    NoModel,
    /// A field has a value that it cannot have.
    #[error("{0}")]
    Field(String),
    /// There is no such agent.
    #[error("unknown agentId \"{0}\"")]
    UnknownAgent(String),
    /// The agent is not one of those that hooks may name.
    #[error("agentId is not allowed by hooks.allowedAgentIds")]
    AgentNotAllowed,
    /// The caller chose a session, and may not.
    #[error(
        "sessionKey is disabled for externally supplied hook payload values; set hooks.allowRequestSessionKey=true to enable"
    )]
    SessionKeyNotAllowed,
    /// The session is not one of those that hooks may name.
    #[error("sessionKey must start with one of: {0}")]
    SessionKeyPrefix(String),
    /// The mapping came to no message.
    #[error("hook mapping requires message")]
    MappingWithoutMessage,
    /// The mapping came to no text.
    #[error("hook mapping requires text")]
    MappingWithoutText,
    /// The transform failed.
    #[error("hook mapping failed")]
    Mapping(String),
}

/// What a request lacks that would prove who sent it; for the log, never for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unproven {
    /// There is no token, or one that nobody has.
    #[error("the token is missing or is none of those that are configured")]
    Token,
    /// The token may not use this hook.
    #[error("the token `{token}` may not use the hook `{hook}`")]
    Rights {
        /// The token's name.
        token: String,
        /// The hook.
        hook: String,
    },
    /// The signature is missing or wrong.
    #[error("the signature for the hook `{hook}` is not right: {why}")]
    Signature {
        /// The hook.
        hook: String,
        /// What is wrong.
        why: String,
    },
}

/// What the answer to a refused request holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalBody {
    /// Plain text.
    Text(String),
    /// `{"ok": false, "error": …}`.
    Error(String),
}

impl Refusal {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::UnknownHook => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Mapping(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> RefusalBody {
        match self {
            Self::TokenInQuery | Self::Method | Self::Unauthorized(_) | Self::UnknownHook => {
                RefusalBody::Text(self.to_string())
            }
            _ => RefusalBody::Error(self.to_string()),
        }
    }

    /// The methods of the header `Allow`, where the answer has one.
    pub fn allow(&self) -> Option<&'static str> {
        matches!(self, Self::Method).then_some("POST")
    }

    /// What went wrong inside, for the log; the caller is not told.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Unauthorized(unproven) => Some(unproven.to_string()),
            Self::Mapping(cause) => Some(cause.clone()),
            _ => None,
        }
    }
}
