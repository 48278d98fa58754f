//! The beginning of a session: the two sides agree on a revision of the protocol, and the server tells its tools.

use std::time::Duration;

use rmcp::model::{ClientCapabilities, ClientConfig, ErrorCode, Implementation, ProtocolVersion};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService,
};
use rmcp::transport::Transport;
use tokio::time::timeout;

use super::failure::{self, StartError, ToolsError};
use super::listing::{Choice, Listing};
use crate::secrets::Secrets;

/// A session with a server.
pub(super) type Session = RunningService<RoleClient, ClientConfig>;

/// How a session is begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begin<'a> {
    pub(super) handshake: Handshake,
    /// How long it may take.
    pub(super) limit: Duration,
    pub(super) choice: Choice<'a>,
}

/// How the two sides agree on a revision of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    /// As nearly every server does; those that know more still do.
    Initialize,
    /// As servers do that know only revisions without `initialize`.
    Discover,
}

/// Why a session did not begin.
#[derive(Debug)]
pub(super) enum BeginError {
    /// The server did not say enough in time.
    Silent(Duration),
    /// What went wrong, in words that may hold secrets, and whether the other handshake could do better.
    Broken { problem: String, try_discovery: bool },
}

impl Begin<'_> {
    /// Begins a session over `transport` and lists the tools.
    pub(super) async fn over<T>(self, transport: T) -> Result<(Session, Listing), BeginError>
    where
        T: Transport<RoleClient> + 'static,
    {
        let begun = timeout(self.limit, async {
            let session = Box::pin(config().serve_with_lifecycle(transport, self.handshake.lifecycle()));
            let session = session.await.map_err(|error| BeginError::of(&error))?;
            let listing = Listing::read(&session, self.choice).await;
            let listing = listing.map_err(|error| BeginError::broken(failure::of_request(&error)))?;
            Ok((session, listing))
        });
        begun.await.unwrap_or(Err(BeginError::Silent(self.limit)))
    }
}

/// What we are, without capabilities: nobody is there to be asked, and the gateway lends a server no model.
fn config() -> ClientConfig {
    let ourselves = Implementation::new("clawhook", env!("CARGO_PKG_VERSION"));
    ClientConfig::new(ClientCapabilities::default(), ourselves)
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
}

impl Handshake {
    fn lifecycle(self) -> ClientLifecycleMode {
        match self {
            Self::Initialize => ClientLifecycleMode::Initialize,
            Self::Discover => {
                ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] }
            }
        }
    }
}

impl BeginError {
    fn of(error: &ClientInitializeError) -> Self {
        let refusal = match error {
            ClientInitializeError::JsonRpcError(error) => Some(error.code),
            _ => None,
        };
        let no_such_handshake = [ErrorCode::METHOD_NOT_FOUND, ErrorCode::UNSUPPORTED_PROTOCOL_VERSION];
        let try_discovery = refusal.is_some_and(|code| no_such_handshake.contains(&code));
        Self::Broken { problem: failure::of_start(error), try_discovery }
    }

    fn broken(problem: String) -> Self {
        Self::Broken { problem, try_discovery: false }
    }

    /// The failure of `server`, whose end is told by `last_words`.
    pub(super) fn of_server(self, server: &str, secrets: &Secrets, last_words: String) -> StartError {
        let server = server.to_owned();
        match self {
            Self::Silent(limit) => ToolsError::Silent { server, limit, last_words }.into(),
            Self::Broken { problem, try_discovery } => {
                let problem = secrets.mask(&problem);
                StartError { error: ToolsError::Broken { server, problem, last_words }, try_discovery }
            }
        }
    }
}
