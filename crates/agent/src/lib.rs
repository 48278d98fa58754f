//! How one turn runs.
//!
//! The cast: a [`Turn`] says what is to be done (a message for a model, or a command), in which session, and within
//! what time. A [`Runtime`] does it and hands back a [`TurnResult`]: the outcome, and what was said on the way, for
//! the transcript. A runtime stores nothing and delivers nothing; it must end what it started when it is cancelled or
//! out of time, whole process trees included, and it never panics on what a provider or a command sends.
//!
//! [`Agents`] is the one the gateway wires in. It knows which agents there are, hands commands to [`CommandRuntime`] and has
//! messages answered by a chain of candidates: each is a model of a [`Provider`], behind one trait for all kinds of them. It can
//! say before a job is saved that its work could never run.
//!
//! Not guaranteed: that a provider stops charging when a turn is cancelled, or that a command which left its process
//! group on purpose is found again.

mod acp;
mod agent_error;
mod agents;
mod backend;
mod briefing;
mod chain;
mod child;
mod command;
mod conversation;
mod live;
mod mcp;
mod model_ref;
mod openclaw;
mod output_schema;
mod profile;
mod providers;
mod quote;
mod secrets;
mod system_prompt;
mod toolbox;
mod workspace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_model::{AgentId, RunOutcome, SessionRef, Thinking, TranscriptEntry, UnixMs};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use acp::{AcpOptions, AcpPermissions, AcpRule, AcpRuleError, AcpToolKind, AcpToolKindError};
pub use agent_error::AgentError;
pub use agents::{AgentOptions, Agents};
pub use child::Environment;
pub use command::{CommandOptions, CommandRuntime};
pub use live::{LiveOutput, LivePiece};
pub use mcp::{McpOptions, McpServer, McpServers, McpTransport, ToolsError};
pub use model_ref::{ModelRef, ModelRefError, NoSuchModel};
pub use openclaw::OpenClawOptions;
pub use output_schema::SchemaError;
pub use profile::{AgentProfile, ToolPolicy, TurnLimits};
pub use providers::{ChatApi, ChatEndpoint, ModelInfo, Provider, ProviderApi, UnknownApi};
pub use toolbox::{ServerAddress, ToolAnswer, ToolSpec, Toolbox};

/// What one turn is asked to do.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The agent to run as.
    pub agent: AgentId,
    /// The session the turn belongs to.
    pub session: SessionRef,
    /// The work.
    pub work: Work,
    /// How long it may take in all; `None` is no limit.
    pub timeout: Option<Duration>,
    /// Who hears what the turn brings while it goes on.
    pub live: LiveOutput,
}

/// The work of a turn.
#[derive(Debug, Clone)]
pub enum Work {
    /// One message to an agent.
    Message(Box<Message>),
    /// One command.
    Command(Command),
}

/// One message to an agent.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// What was said in the session before, the oldest first; it is bounded by whoever read it.
    pub history: Vec<TranscriptEntry>,
    /// The text.
    pub text: String,
    /// `provider/model`, where it is not the agent's own.
    pub model: Option<String>,
    /// The models to ask where that fails, where they are not the agent's own; an empty list is none.
    pub fallbacks: Option<Vec<String>>,
    /// How hard the model is to think, where it is not the agent's own.
    pub thinking: Option<Thinking>,
    /// Which of the agent's tools it may use, where that is narrower than the agent's own policy.
    pub tools_allow: Option<Vec<String>>,
    /// Whether the files of the agent's workspace stay out of the prompt.
    pub light_context: bool,
    /// Whether what comes from outside is given to the model without a fence.
    pub unfenced: bool,
    /// What the result must be: a JSON Schema.
    pub output_schema: Option<Value>,
}

/// A command to run (contract §1.3, `command`).
#[derive(Debug, Clone)]
pub struct Command {
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
    /// The working directory; `None` is the gateway's state directory.
    pub cwd: Option<PathBuf>,
    /// Variables set over the gateway's environment.
    pub env: BTreeMap<String, String>,
    /// What the command reads on its standard input.
    pub input: Option<String>,
    /// The command is ended when it has printed nothing for so long.
    pub no_output_timeout: Option<Duration>,
    /// How many bytes of each output stream are kept; the rest is dropped and said to be.
    pub output_max_bytes: Option<usize>,
    /// What it must print: a JSON Schema.
    pub output_schema: Option<Value>,
}

/// What a turn brought.
#[derive(Debug, Clone)]
pub struct TurnResult {
    /// How it ended.
    pub outcome: RunOutcome,
    /// What was said, in order.
    pub transcript: Vec<TranscriptEntry>,
    /// When to try again, where nobody answered and at least one of those who were asked said when to ask again: the earliest
    /// such instant. The turn has done nothing that a later one would do twice.
    pub ask_again_at: Option<UnixMs>,
}

impl TurnResult {
    /// A turn that ended so, and in which nothing was said.
    pub fn of(outcome: RunOutcome) -> Self {
        Self { outcome, transcript: Vec::new(), ask_again_at: None }
    }
}

/// Something that can run turns.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Runs one turn to its end. When `cancel` is cancelled it ends early, with what it has so far and an outcome of
    /// class `interrupted`. Where what the turn needs is not there, nothing is begun and the outcome is `skipped`.
    async fn run_turn(&self, turn: Turn, cancel: CancellationToken) -> TurnResult;
}
