//! Why there are no tools, or no answer of one.

use std::error::Error;
use std::io;
use std::time::Duration;

use clawhook_model::ErrorReason;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::{AuthRequiredError, StreamableHttpError};
use thiserror::Error;

use crate::quote::quote;

const CLOSED: &str = "it closed the connection";

/// Why a turn cannot have the tools that its agent is allowed. Nothing of the turn has begun.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ToolsError {
    /// The program is not there, or may not be run.
    #[error("the tool server `{server}` could not be started {problem}")]
    Launch {
        /// The server.
        server: String,
        /// What the system said.
        problem: String,
    },
    /// It started, and did not say which tools it has.
    #[error("the tool server `{server}` has not told its tools within {limit:?}{last_words}")]
    Silent {
        /// The server.
        server: String,
        /// For how long it was waited.
        limit: Duration,
        /// What became of it.
        last_words: String,
    },
    /// It answered with something else than its tools, or not at all.
    #[error("the tool server `{server}` cannot be used: {problem}{last_words}")]
    Broken {
        /// The server.
        server: String,
        /// What went wrong.
        problem: String,
        /// What became of it.
        last_words: String,
    },
    /// A header cannot be sent.
    #[error("the header `{header}` of the tool server `{server}` is not one that HTTP can carry")]
    Header {
        /// The server.
        server: String,
        /// The header's name.
        header: String,
    },
    /// There is no HTTP client.
    #[error("no tool server can be reached over HTTP: {0}")]
    Client(String),
    /// The turn was given up.
    #[error("the turn was cancelled while its tool servers were started")]
    Cancelled,
}

impl ToolsError {
    /// The class of a run that ends so before it has begun.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::Cancelled => ErrorReason::Interrupted,
            _ => ErrorReason::Unavailable,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Launch { server, .. } => {
                Some(format!("check `mcp.servers.{server}`: its command, its arguments and its folder"))
            }
            Self::Silent { server, .. } => Some(format!(
                "run the command of `mcp.servers.{server}` by hand; one that installs itself first may need to be installed before"
            )),
            Self::Broken { server, .. } => {
                Some(format!("check that `mcp.servers.{server}` is an MCP server, and what it wants"))
            }
            Self::Header { server, .. } => Some(format!("correct `mcp.servers.{server}.headers`")),
            Self::Client(_) | Self::Cancelled => None,
        }
    }
}

/// Why one way to reach a server failed, and whether the other one is worth a try.
#[derive(Debug)]
pub(super) struct StartError {
    pub(super) error: ToolsError,
    pub(super) try_discovery: bool,
}

impl From<ToolsError> for StartError {
    fn from(error: ToolsError) -> Self {
        Self { error, try_discovery: false }
    }
}

/// Why a connection did not come about, in words.
pub(super) fn of_start(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::ConnectionClosed(_) => CLOSED.to_owned(),
        ClientInitializeError::JsonRpcError(error) => {
            format!("it refused to begin: {} ({})", quote(&error.message, None), error.code.0)
        }
        ClientInitializeError::TransportError { error, .. } => of_transport(error),
        ClientInitializeError::ExpectedInitResponse(_) | ClientInitializeError::ExpectedInitResult(_) => {
            "what it answered is not the answer to `initialize`".to_owned()
        }
        error => quote(&error.to_string(), None),
    }
}

/// Why a request brought nothing, in words.
pub(super) fn of_request(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => format!("{} ({})", quote(&error.message, None), error.code.0),
        ServiceError::TransportSend(error) => of_transport(error),
        ServiceError::TransportClosed => CLOSED.to_owned(),
        ServiceError::UnexpectedResponse => "its answer is not of the form that was asked for".to_owned(),
        error => quote(&error.to_string(), None),
    }
}

/// The innermost cause, for those around it name the address with its query.
fn of_transport(error: &DynamicTransportError) -> String {
    let mut cause: &(dyn Error + 'static) = error.error.as_ref();
    while let Some(inner) = inner_cause(cause) {
        cause = inner;
    }
    if cause.is::<AuthRequiredError>() {
        return "it wants to be told who asks (HTTP 401)".to_owned();
    }
    if cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return CLOSED.to_owned();
    }
    match cause.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "it was too slow".to_owned(),
        Some(_) => "the request failed".to_owned(),
        None => quote(&cause.to_string(), None),
    }
}

/// The variant of an error of the HTTP client does not call it its source.
fn inner_cause<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => Some(error),
        _ => cause.source(),
    }
}
