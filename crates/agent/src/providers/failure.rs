//! What can go wrong between the gateway and a model, as a class for programs and a sentence for people.
//!
//! The sentence names the model and what to do. Of what the provider sent it quotes one cleaned line at most, and
//! never the key.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use clawhook_model::{ErrorReason, UnixMs};
use serde_json::Value;
use thiserror::Error;

use super::client::{CONNECT_TIMEOUT, ClientError};
use super::options::ChatEndpoint;
use crate::ModelRef;
use crate::backend::TryError;
use crate::quote::quote;

/// Phrases by which providers say that the input is too long; the class decides whether a retry makes sense.
const CONTEXT_OVERFLOW_PHRASES: [&str; 8] = [
    "input token count",
    "context length",
    "context_length",
    "maximum context",
    "context window",
    "context size",
    "prompt is too long",
    "too many tokens",
];

/// Whom a failure is about.
#[derive(Debug, Clone)]
pub(super) struct Target<'a> {
    /// The model.
    pub(super) model: ModelRef,
    /// Where it is.
    pub(super) endpoint: &'a ChatEndpoint,
}

/// What a provider says went wrong; nothing of it may be shown before it has been cleaned.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    /// A word or a number for programs.
    pub(super) code: Option<String>,
    /// A sentence for people.
    pub(super) message: Option<String>,
    /// How long to wait, where it is said beside the sentence.
    pub(super) retry_delay: Option<String>,
}

impl Complaint {
    /// Reads the body of a refused request; one that is not JSON says nothing.
    pub(super) fn of_body(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        // Some providers wrap the object in a list, others leave the `error` out.
        let body = body.get(0).unwrap_or(&body);
        Self::of_error(body.get("error").unwrap_or(body))
    }

    /// Reads an error object, or an error that is a text.
    pub(super) fn of_error(error: &Value) -> Self {
        let text = |name| match error.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let message = error.as_str().map(str::to_owned).or_else(|| text("message"));
        let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
        let retry_delay = details.filter_map(|detail| detail.get("retryDelay")?.as_str()).next();
        let code = text("code").or_else(|| text("type")).or_else(|| text("status"));
        Self { code, message, retry_delay: retry_delay.map(str::to_owned) }
    }
}

/// Why a call brought no answer, or half of one.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// Nothing could be sent.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The key cannot stand in a header.
    #[error("the API key holds characters that cannot be sent")]
    UnsendableKey,
    /// A header that the configuration adds cannot be sent.
    #[error("the header `{0}` cannot be sent")]
    UnsendableHeader(String),
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// There was no connection, or it broke before the answer began.
    #[error("{0}")]
    Unreachable(String),
    /// The gateway itself has no network.
    #[error("{0}")]
    Offline(String),
    /// The connection broke inside the answer.
    #[error("the connection broke before the answer was complete")]
    Broken,
    /// The provider said no.
    #[error("the provider refused")]
    Refused {
        /// The HTTP status; none where the refusal came inside a stream.
        status: Option<u16>,
        /// What the provider says.
        complaint: Complaint,
        /// When it may be asked again, where it said so.
        retry_at: Option<UnixMs>,
    },
    /// The answer is of a type that a chat endpoint does not send.
    #[error("the answer is {content_type}")]
    WrongForm {
        /// The type.
        content_type: String,
    },
    /// The answer cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The model, or its provider, would not answer.
    #[error("the model declined")]
    Declined {
        /// The provider's word for it.
        word: String,
    },
    /// The answer holds no text.
    #[error("the answer holds no text")]
    Empty {
        /// Why the model ended its turn.
        finish_reason: Option<String>,
    },
}

impl CallError {
    /// An answer that is not the JSON it should be. The parser's own words are left out, since they quote the answer.
    pub(super) fn not_a_reply(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self::Malformed(format!("it is not JSON (line {line}, column {column})"))
    }

    /// A request that found no answer. Of the error the innermost cause is kept, which never holds the address.
    pub(super) fn unreachable(error: &reqwest::Error) -> Self {
        if error.is_connect() && error.is_timeout() {
            return Self::Unreachable(format!("no connection within {CONNECT_TIMEOUT:?}"));
        }
        let mut cause: Option<&dyn StdError> = error.source();
        while let Some(inner) = cause.and_then(StdError::source) {
            cause = Some(inner);
        }
        let Some(cause) = cause else { return Self::Unreachable("the request could not be sent".to_owned()) };
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let why = cause.to_string();
        if is_offline(kind, &why) { Self::Offline(why) } else { Self::Unreachable(why) }
    }

    /// Whether the provider refused because it was offered tools.
    pub(super) fn is_about_tools(&self) -> bool {
        let Self::Refused { complaint, status: Some(400 | 404 | 422 | 500 | 501), .. } = self else {
            return false;
        };
        complaint.message.as_deref().is_some_and(|message| message.to_ascii_lowercase().contains("tool"))
    }

    /// The failure of a try that asked `target`.
    pub(super) fn into_try_error(self, target: &Target<'_>) -> TryError {
        let Target { model, endpoint } = target;
        let quote = |text: &str| quote(text, endpoint.secrets());
        let settings = format!("models.providers.{}", model.provider);
        let mut retry_at = None;
        let (reason, what) = match self {
            Self::Client(error) => (ErrorReason::Unknown, format!("could not be asked: {error}")),
            Self::UnsendableKey => {
                (ErrorReason::Auth, format!("could not be asked: {self}. Check {settings}.apiKey"))
            }
            Self::UnsendableHeader(_) => {
                (ErrorReason::Format, format!("could not be asked: {self}. Check {settings}.headers"))
            }
            Self::Silent(limit) => (
                ErrorReason::Timeout,
                format!(
                    "said nothing for {limit:?}, so it was given up. Check that {} is well",
                    endpoint.address()
                ),
            ),
            Self::Unreachable(why) => (
                ErrorReason::Network,
                format!(
                    "could not be reached at {}: {}. Check {settings}.baseUrl, and that the provider is up",
                    endpoint.address(),
                    quote(&why),
                ),
            ),
            Self::Offline(why) => (
                ErrorReason::Offline,
                format!("could not be asked, because this machine has no network: {}", quote(&why)),
            ),
            Self::Broken => (
                ErrorReason::Network,
                format!(
                    "did not finish: the connection to {} broke before the answer was complete",
                    endpoint.address()
                ),
            ),
            Self::Refused { status, complaint, retry_at: again } => {
                let refusal = refusal(status, &complaint, target);
                let waits = matches!(refusal.0, ErrorReason::RateLimit | ErrorReason::Overloaded);
                retry_at = again.filter(|_| waits);
                refusal
            }
            Self::WrongForm { content_type } => (
                ErrorReason::ServerError,
                format!(
                    "sent {} instead of an answer. Check that {settings}.baseUrl is the address under which the API \
                     {} lies",
                    quote(&content_type),
                    endpoint.api,
                ),
            ),
            Self::Malformed(why) => {
                (ErrorReason::ServerError, format!("sent an answer that cannot be read: {}", quote(&why)))
            }
            Self::Empty { finish_reason } => {
                (ErrorReason::EmptyResponse, empty(finish_reason.as_deref(), quote))
            }
            Self::Declined { word } => (
                ErrorReason::Refusal,
                format!(
                    "declined to answer (finish reason: {}). Change the job's message, or its model",
                    quote(&word)
                ),
            ),
        };
        TryError { retry_at, ..TryError::new(reason, format!("{model} {what}.")) }
    }
}

/// Whether nothing at all can be reached from here: then it is neither the provider's fault nor the job's. A name that
/// cannot be looked up for the time being (`EAI_AGAIN`) is what a machine without a network says first.
fn is_offline(kind: Option<io::ErrorKind>, why: &str) -> bool {
    matches!(kind, Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown))
        || why.contains("Temporary failure in name resolution")
        || why.contains("Try again")
}

fn empty(finish_reason: Option<&str>, quote: impl Fn(&str) -> String) -> String {
    match finish_reason {
        Some(reason) => format!("ended its turn without a word (finish reason: {})", quote(reason)),
        None => "ended its turn without a word".to_owned(),
    }
}

fn refusal(status: Option<u16>, complaint: &Complaint, target: &Target<'_>) -> (ErrorReason, String) {
    let Target { model, endpoint } = target;
    let reason = classify(status, complaint);
    let settings = format!("models.providers.{}", model.provider);
    let what = match reason {
        ErrorReason::Auth if endpoint.key().is_none() => {
            format!("wants credentials{}, and it has no key. Set {settings}.apiKey", http(status))
        }
        ErrorReason::Auth => match &endpoint.key_reference {
            Some(reference) => {
                format!("refused the credentials{}. Check {settings}.apiKey ({reference})", http(status))
            }
            None => format!("refused the credentials{}. Check {settings}.apiKey", http(status)),
        },
        ErrorReason::Billing => {
            format!("wants to be paid{}. Add credit to the account of {settings}", http(status))
        }
        ErrorReason::ModelNotFound => {
            format!("was not found{}. Check the model's name and {settings}.baseUrl", http(status))
        }
        ErrorReason::ContextOverflow => {
            format!("cannot take a message of this length{}. Shorten the job's message", http(status))
        }
        ErrorReason::Format => format!("could not read the request{}", http(status)),
        ErrorReason::RateLimit => format!("asks to slow down{}. Run its jobs less often", http(status)),
        ErrorReason::Overloaded => format!("has no capacity at the moment{}. Try again later", http(status)),
        ErrorReason::Timeout => format!("took too long by its own measure{}. Try again later", http(status)),
        ErrorReason::Unknown => {
            format!("answered in an unexpected way{}. Check {settings}.baseUrl", http(status))
        }
        _ => format!("failed on the provider's side{}. Try again later", http(status)),
    };
    match complaint.message.as_deref().map(|said| quote(said, endpoint.secrets())) {
        Some(said) if !said.is_empty() => (reason, format!("{what}. The provider says: \"{said}\"")),
        _ => (reason, what),
    }
}

fn http(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!(" (HTTP {status})"))
}

/// The class of a refusal. Providers disagree on statuses, so some of their words are stronger than the number.
fn classify(status: Option<u16>, complaint: &Complaint) -> ErrorReason {
    let code = complaint.code.as_deref().unwrap_or_default();
    let words = format!("{code} {}", complaint.message.as_deref().unwrap_or_default()).to_ascii_lowercase();
    let status = status.or_else(|| code.parse().ok());
    match status {
        Some(401 | 403) => ErrorReason::Auth,
        Some(402) => ErrorReason::Billing,
        Some(404) => ErrorReason::ModelNotFound,
        Some(408) => ErrorReason::Timeout,
        Some(413) => ErrorReason::ContextOverflow,
        Some(400) if words.contains("api key") => ErrorReason::Auth,
        Some(400) if words.contains("credit balance") => ErrorReason::Billing,
        Some(429) | None if code == "insufficient_quota" => ErrorReason::Billing,
        Some(429) => ErrorReason::RateLimit,
        Some(503 | 529) => ErrorReason::Overloaded,
        Some(500..) => ErrorReason::ServerError,
        Some(400..) | None if CONTEXT_OVERFLOW_PHRASES.iter().any(|phrase| words.contains(phrase)) => {
            ErrorReason::ContextOverflow
        }
        Some(400..) | None if code == "model_not_found" => ErrorReason::ModelNotFound,
        Some(400..) => ErrorReason::Format,
        None if words.contains("authentication") => ErrorReason::Auth,
        None if words.contains("not_found") => ErrorReason::ModelNotFound,
        None if words.contains("rate_limit") || words.contains("rate limit") => ErrorReason::RateLimit,
        None if words.contains("overloaded") => ErrorReason::Overloaded,
        None => ErrorReason::ServerError,
        Some(_) => ErrorReason::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(code: &str, message: &str) -> Complaint {
        Complaint { code: Some(code.to_owned()), message: Some(message.to_owned()), retry_delay: None }
    }

    #[test]
    fn every_refusal_has_its_class() {
        let silent = Complaint::default();
        let by_status = [
            (302, ErrorReason::Unknown),
            (400, ErrorReason::Format),
            (401, ErrorReason::Auth),
            (402, ErrorReason::Billing),
            (403, ErrorReason::Auth),
            (404, ErrorReason::ModelNotFound),
            (408, ErrorReason::Timeout),
            (413, ErrorReason::ContextOverflow),
            (422, ErrorReason::Format),
            (429, ErrorReason::RateLimit),
            (500, ErrorReason::ServerError),
            (502, ErrorReason::ServerError),
            (503, ErrorReason::Overloaded),
            (529, ErrorReason::Overloaded),
        ];
        for (status, reason) in by_status {
            assert_eq!(classify(Some(status), &silent), reason, "HTTP {status}");
        }
        let by_words = [
            (Some(429), complaint("insufficient_quota", ""), ErrorReason::Billing),
            (Some(400), complaint("context_length_exceeded", ""), ErrorReason::ContextOverflow),
            (Some(400), complaint("x", "Your prompt is too long"), ErrorReason::ContextOverflow),
            (Some(400), complaint("model_not_found", ""), ErrorReason::ModelNotFound),
            (
                Some(400),
                complaint("400", "API key not valid. Please pass a valid API key."),
                ErrorReason::Auth,
            ),
            (
                Some(400),
                complaint("invalid_request_error", "Your credit balance is too low"),
                ErrorReason::Billing,
            ),
            (None, complaint("authentication_error", ""), ErrorReason::Auth),
            (None, complaint("429", ""), ErrorReason::RateLimit),
            (None, complaint("overloaded_error", ""), ErrorReason::Overloaded),
            (None, complaint("server_error", "oops"), ErrorReason::ServerError),
        ];
        for (status, complaint, reason) in by_words {
            assert_eq!(classify(status, &complaint), reason, "{status:?} {complaint:?}");
        }
    }

    #[test]
    fn a_machine_without_a_network_is_told_from_a_provider_that_is_down() {
        use io::ErrorKind;
        for (kind, why, offline) in [
            (Some(ErrorKind::NetworkUnreachable), "Network is unreachable (os error 101)", true),
            (Some(ErrorKind::NetworkDown), "Network is down (os error 100)", true),
            (None, "failed to lookup address information: Temporary failure in name resolution", true),
            (None, "failed to lookup address information: Name or service not known", false),
            (Some(ErrorKind::ConnectionRefused), "Connection refused (os error 111)", false),
            (Some(ErrorKind::HostUnreachable), "No route to host (os error 113)", false),
        ] {
            assert_eq!(is_offline(kind, why), offline, "{why}");
        }
    }
}
