//! How one turn runs.
//!
//! The cast: a [`Turn`] says what is to be done (a message for a model, or a command), in which session, and within
//! what time. A [`Runtime`] does it and hands back a [`TurnResult`]: the outcome, and what was said on the way, for
//! the transcript. A runtime stores nothing and delivers nothing; it must end what it started when it is cancelled or
//! out of time, whole process trees included, and it never panics on what a provider or a command sends.
//!
//! [`Runtimes`] is the one the gateway wires in: it hands messages to [`ModelRuntime`] and commands to
//! [`CommandRuntime`], and can say before a job is saved that its work could never run.
//!
//! Not guaranteed: that a provider stops charging when a turn is cancelled, or that a command which left its process
//! group on purpose is found again.

mod command;
mod model_runtime;
mod runtimes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_model::{AgentId, RunOutcome, SessionRef, TranscriptEntry};
use tokio_util::sync::CancellationToken;

pub use command::{CommandOptions, CommandRuntime, Environment};
pub use model_runtime::{ModelOptions, ModelRef, ModelRefError, ModelRuntime, NoSuchModel, Provider};
pub use runtimes::{CheckError, Runtimes};

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
}

/// The work of a turn.
#[derive(Debug, Clone)]
pub enum Work {
    /// One message to a model.
    Message {
        /// The text.
        text: String,
        /// `provider/model`; `None` is the agent's own.
        model: Option<String>,
    },
    /// One command.
    Command(Command),
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
}

/// What a turn brought.
#[derive(Debug, Clone)]
pub struct TurnResult {
    /// How it ended.
    pub outcome: RunOutcome,
    /// What was said, in order.
    pub transcript: Vec<TranscriptEntry>,
}

/// Something that can run turns.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Runs one turn to its end. When `cancel` is cancelled it ends early, with what it has so far and an outcome of
    /// class `interrupted`.
    async fn run_turn(&self, turn: Turn, cancel: CancellationToken) -> TurnResult;
}
