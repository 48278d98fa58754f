//! One way to have a message answered: a model behind an API, an ACP agent, an OpenClaw gateway.
//!
//! A turn has a list of candidates, each a [`Backend`] and a model there. They are asked one after the other until one
//! answers; what each of them said and did is kept, and each failure is told by name at the end.

use std::time::Duration;

use async_trait::async_trait;
use clawhook_model::{ErrorReason, SessionRef, Thinking, TranscriptEntry, UnixMs, Usage};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::live::LiveOutput;
use crate::profile::AgentProfile;
use crate::toolbox::Toolbox;

/// Somebody who answers messages.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// Whether it is there at all, without asking it anything: its program exists, its server takes connections. The
    /// sentence says what is missing and what to do. Whoever calls caches the answer.
    async fn preflight(&self, ask: &Ask<'_>) -> Result<(), String>;

    /// Whether it is a program that is started in the agent's workspace, so that it can be there for one agent and not for another.
    fn starts_in_workspace(&self) -> bool {
        false
    }

    /// Whether it calls tools itself, so that it is told where their servers are and none is started for it.
    fn calls_tools_itself(&self) -> bool {
        false
    }

    /// Answers `ask` into `said`. What was said before a failure stays there. It ends what it started when `stop` is
    /// cancelled, and then its error does not matter.
    async fn answer(&self, ask: &Ask<'_>, said: &mut Said, stop: &CancellationToken) -> Result<(), TryError>;
}

/// What somebody is asked.
pub(crate) struct Ask<'a> {
    /// The agent as which the message is answered.
    pub(crate) profile: &'a AgentProfile,
    /// The provider's name in the configuration.
    pub(crate) provider: &'a str,
    /// The model, as the provider names it.
    pub(crate) model: &'a str,
    /// The session.
    pub(crate) session: &'a SessionRef,
    /// What the agent is told before anything else.
    pub(crate) system: Option<&'a str>,
    /// What was said in the session before, the oldest first.
    pub(crate) history: &'a [TranscriptEntry],
    /// The message.
    pub(crate) text: &'a str,
    /// How hard to think.
    pub(crate) thinking: Option<Thinking>,
    /// The tools that may be used.
    pub(crate) tools: &'a dyn Toolbox,
    /// What the job narrows the tools to; an empty list is none at all.
    pub(crate) tools_allow: Option<&'a [String]>,
    /// Whether the agent may end the turn by saying, with a tool, that there is nothing to report.
    pub(crate) may_be_silent: bool,
    /// What the result must be: a JSON Schema, for those who can be held to one while they speak.
    pub(crate) output_schema: Option<&'a Value>,
    /// What comes from outside is given without a fence.
    pub(crate) unfenced: bool,
    /// The time that is left for the whole turn.
    pub(crate) time_left: Option<Duration>,
    /// Who hears what comes.
    pub(crate) live: &'a LiveOutput,
}

/// What somebody answered.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// The result: what was said last.
    pub(crate) text: String,
    /// Everything that was said and done, in order, the result included, the message not.
    pub(crate) transcript: Vec<TranscriptEntry>,
    /// Tokens used.
    pub(crate) usage: Option<Usage>,
    /// The model that answered, where it told another name than it was asked by.
    pub(crate) model: Option<String>,
    /// Whether the agent said, by the tool for that, that there is nothing to report.
    pub(crate) silent: bool,
    /// Whether the result was cut at its limit.
    pub(crate) cut: bool,
    /// What is worth a note, in words.
    pub(crate) notes: Vec<String>,
}

/// Why somebody did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TryError {
    /// The class.
    pub(crate) reason: ErrorReason,
    /// What happened and what to do, without secrets; it names the model.
    pub(crate) message: String,
    /// When it may be asked again, where it said so.
    pub(crate) retry_at: Option<UnixMs>,
    /// Whether asking somebody else could help.
    pub(crate) is_final: bool,
}

impl TryError {
    /// An error after which another may be asked.
    pub(crate) fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_at: None, is_final: false }
    }
}
