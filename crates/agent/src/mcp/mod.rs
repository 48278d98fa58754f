//! Tools for model agents, from MCP servers.
//!
//! The cast: [`McpOptions`] say which servers there are. For each turn [`McpServers`] starts those of which the agent and
//! its job may use anything, all at once, has them tell their tools, and puts what is allowed into a [`Toolbox`]. A program
//! is started anew for each turn and an HTTP session is opened anew, so that no run sees another's state; both end with the
//! turn. An agent without a word on tools has none, and starts nothing.
//!
//! What servers say is hostile: its size is bounded on each of its ways (messages, lists, schemas, answers), names are
//! cleaned, and a server that is silent or dies makes its tools fail, never the gateway.
//!
//! Not guaranteed: that a server does what its tools say, or keeps to itself what the gateway's environment tells it; it is
//! the operator's choice, as commands are. What a tool answers is shown to the model and recorded as it is.

mod answer;
mod begin;
mod connection;
#[cfg(test)]
mod document;
mod failure;
mod line_watch;
mod listing;
mod names;
mod policy;
mod turn_tools;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::try_join_all;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::begin::{Begin, Handshake};
use self::connection::Connection;
use self::failure::StartError;
pub use self::failure::ToolsError;
use self::listing::{Choice, Listing};
use self::names::Names;
use self::policy::{Allowed, ServerNames};
use self::turn_tools::TurnTools;
use crate::providers::SharedClient;
use crate::toolbox::NoTools;
use crate::{AgentProfile, ServerAddress, Toolbox};

/// How long a server may take to start and to tell its tools, where nothing else is said.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Which tool servers there are.
#[derive(Debug, Clone)]
pub struct McpOptions {
    /// The servers by name.
    pub servers: BTreeMap<String, McpServer>,
    /// Where programs start that name no folder, for agents without a workspace.
    pub cwd: PathBuf,
}

impl Default for McpOptions {
    fn default() -> Self {
        Self { servers: BTreeMap::new(), cwd: PathBuf::from("/") }
    }
}

/// A tool server.
#[derive(Debug, Clone)]
pub struct McpServer {
    /// How it is reached.
    pub transport: McpTransport,
    /// How long it may take to start and to tell its tools.
    pub startup_timeout: Duration,
}

impl From<McpTransport> for McpServer {
    /// With the usual time to start.
    fn from(transport: McpTransport) -> Self {
        Self { transport, startup_timeout: STARTUP_TIMEOUT }
    }
}

/// How a tool server is reached.
#[derive(Clone)]
pub enum McpTransport {
    /// A program that speaks over its standard input and output.
    Program {
        /// The program and its arguments.
        argv: Vec<String>,
        /// Its folder, taken from the agent's workspace where it is relative; none is the workspace itself.
        cwd: Option<PathBuf>,
        /// Variables set over the gateway's environment.
        env: BTreeMap<String, SecretString>,
    },
    /// A streamable HTTP endpoint.
    Http {
        /// Where it is.
        url: Url,
        /// What is sent with each request.
        headers: BTreeMap<String, SecretString>,
    },
}

impl fmt::Debug for McpTransport {
    /// Arguments, values of variables and headers, and queries can be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { argv, cwd, env } => f
                .debug_struct("Program")
                .field("program", &argv.first())
                .field("cwd", cwd)
                .field("env", &env.keys())
                .finish_non_exhaustive(),
            Self::Http { url, headers } => f
                .debug_struct("Http")
                .field("origin", &url.origin().ascii_serialization())
                .field("headers", &headers.keys())
                .finish_non_exhaustive(),
        }
    }
}

/// The tool servers of the gateway.
pub struct McpServers {
    servers: Vec<Server>,
    cwd: PathBuf,
    client: SharedClient,
}

struct Server {
    configured: String,
    /// The name that its tools bear.
    tools: String,
    settings: McpServer,
}

impl fmt::Debug for McpServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.servers.iter().map(|server| (&server.configured, &server.settings));
        f.debug_map().entries(servers).finish()
    }
}

impl McpServers {
    /// These servers. Nothing is started before the first turn that may use one.
    pub fn new(options: McpOptions) -> Self {
        let mut names = Names::default();
        let servers = options.servers.into_iter().map(|(configured, settings)| {
            let tools = names.add(&names::of_server(&configured));
            Server { configured, tools, settings }
        });
        Self { servers: servers.collect(), cwd: options.cwd, client: SharedClient::default() }
    }

    /// Whether a pattern of a tool policy can ever fit a tool of these servers.
    pub fn know(&self, pattern: &str) -> bool {
        self.servers.iter().any(|server| server.names().is_reached_by(pattern))
    }

    /// The names of the servers, as they are configured.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(|server| server.configured.as_str())
    }

    /// The tools of a turn of an agent, whose job may name those of them that it wants. Starts the servers that have any
    /// of them, and fails where one of these does not come up: to go on without it would silently change what the agent can
    /// do.
    pub async fn toolbox(
        &self,
        profile: &AgentProfile,
        tools_allow: Option<&[String]>,
        stop: &CancellationToken,
    ) -> Result<Box<dyn Toolbox>, ToolsError> {
        let allowed = Allowed::by(&profile.tools, tools_allow);
        let servers: Vec<_> = self.servers.iter().filter(|server| allowed.any_of(server.names())).collect();
        if servers.is_empty() {
            return Ok(Box::new(NoTools));
        }
        let base = profile.workspace.as_deref().unwrap_or(&self.cwd);
        let started = try_join_all(servers.iter().map(|server| {
            let choice = Choice { server: server.names(), allowed };
            self.connect(server, base, choice)
        }));
        let started = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(ToolsError::Cancelled),
            started = started => started?,
        };
        let mut tools = TurnTools::new(self.addresses(&allowed), profile.limits.tool_timeout);
        for (server, (connection, listing)) in servers.into_iter().zip(started) {
            tools.add(&server.configured, connection, listing);
        }
        Ok(Box::new(tools))
    }

    /// A toolbox without tools of its own, for a turn of an agent that connects to servers itself. Nothing is started. Since
    /// nobody stands between such an agent and a server, it is told only of those whose every tool it may use.
    pub fn handover(&self, profile: &AgentProfile, tools_allow: Option<&[String]>) -> Box<dyn Toolbox> {
        let allowed = Allowed::by(&profile.tools, tools_allow);
        Box::new(TurnTools::new(self.addresses(&allowed), profile.limits.tool_timeout))
    }

    /// Connects as nearly every server wants it, and where one does not know that, in the newer way.
    async fn connect(
        &self,
        server: &Server,
        base: &Path,
        choice: Choice<'_>,
    ) -> Result<(Connection, Listing), ToolsError> {
        let by = |handshake| Begin { handshake, limit: server.settings.startup_timeout, choice };
        match self.try_to_connect(server, base, by(Handshake::Initialize)).await {
            Err(failed) if failed.try_discovery => {
                self.try_to_connect(server, base, by(Handshake::Discover)).await
            }
            tried => tried,
        }
        .map_err(|failed| failed.error)
    }

    async fn try_to_connect(
        &self,
        server: &Server,
        base: &Path,
        begin: Begin<'_>,
    ) -> Result<(Connection, Listing), StartError> {
        let name = &server.configured;
        match &server.settings.transport {
            McpTransport::Program { argv, cwd, env } => {
                let cwd = cwd.as_ref().map_or_else(|| base.to_owned(), |cwd| base.join(cwd));
                Box::pin(Connection::to_program(name, argv, &cwd, env, begin)).await
            }
            McpTransport::Http { url, headers } => {
                let client = self.client.get().await;
                let client = client.map_err(|error| ToolsError::Client(error.to_string()))?.clone();
                Box::pin(Connection::to_endpoint(name, url, headers, client, begin)).await
            }
        }
    }

    fn addresses(&self, allowed: &Allowed<'_>) -> Vec<ServerAddress> {
        let handed_over = self.servers.iter().filter(|server| allowed.all_of(server.names()));
        handed_over.filter_map(Server::address).collect()
    }
}

impl Server {
    fn names(&self) -> ServerNames<'_> {
        ServerNames { configured: &self.configured, tools: &self.tools }
    }

    /// None where the address cannot say what the settings do: a program's own folder.
    fn address(&self) -> Option<ServerAddress> {
        let exposed = |values: &BTreeMap<String, SecretString>| {
            let pairs = values.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
            pairs.collect()
        };
        let name = self.configured.clone();
        match &self.settings.transport {
            McpTransport::Program { cwd: Some(_), .. } => None,
            McpTransport::Program { argv, cwd: None, env } => {
                Some(ServerAddress::Program { name, argv: argv.clone(), env: exposed(env) })
            }
            McpTransport::Http { url, headers } => {
                Some(ServerAddress::Http { name, url: url.to_string(), headers: exposed(headers) })
            }
        }
    }
}
