//! What a request asks for.

use std::time::Duration;

use clawhook_model::{AgentId, DeliverySettings, SessionName, Thinking, WakeMode};
use serde_json::Value;

/// One piece of work that a request asks for.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a request asks for few of them, and they are read once")]
pub enum Work {
    /// A system event for an agent.
    Wake(Wake),
    /// A turn of an agent.
    Agent(Box<AgentWork>),
    /// An event that is sent on as it is, without an agent.
    DeliverOnly(DeliverOnly),
}

/// A system event for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// The text, with what comes from outside in a fence.
    pub text: String,
    /// Whether the agent is woken for it at once.
    pub mode: WakeMode,
    /// The agent.
    pub agent_id: AgentId,
    /// The session; none is the agent's main one.
    pub session_key: Option<SessionName>,
}

/// A turn of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentWork {
    /// What the agent is told, with what comes from outside in a fence.
    pub message: String,
    /// What the run is called, in one short line. It may come from outside: it is for lists, and no part of a prompt.
    pub name: String,
    /// The agent.
    pub agent_id: AgentId,
    /// The session that was asked for; none is one of its own, `hook:<uuid>`.
    pub session_key: Option<SessionName>,
    /// Whether what was said in the session before is a part of the turn.
    pub session_mode: SessionMode,
    /// `provider/model`, where it is not the agent's own.
    pub model: Option<String>,
    /// How hard the model is to think, where it is not the agent's own.
    pub thinking: Option<Thinking>,
    /// How long it may take, where the agent does not say.
    pub timeout: Option<Duration>,
    /// Where the result goes. Without a receiver it is told to the agent's main session.
    pub delivery: DeliverySettings,
    /// Whether the main session is woken at once for the note of its end.
    pub wake_mode: WakeMode,
    /// Whether what comes from outside is given to the model without a fence.
    pub allow_unsafe: bool,
    /// Which of the agent's tools it may use; none is all that the agent may. What comes from outside has no tools where
    /// the hook does not say.
    pub tools_allow: Option<Vec<String>>,
    /// Whether the answer waits for the end.
    pub wait: bool,
}

/// Whether a hook's run remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionMode {
    /// Each run starts clean.
    #[default]
    Isolated,
    /// The session is kept from run to run.
    Persistent,
}

/// An event that is sent on as it is, without an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliverOnly {
    /// What it is called, in one short line; it may come from outside.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its data: what the hook's transform made of the request, or the request's payload.
    pub data: Value,
    /// Where it goes; there is at least one receiver.
    pub delivery: DeliverySettings,
}

/// Everything that one request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The pieces, at least one. Several are the elements of a `forEach`, in their order.
    pub work: Vec<Work>,
    /// How many elements of the `forEach` were beyond the most that one request may ask for, and are left out.
    pub dropped: usize,
    /// What tells the request from its repetition; none where nothing does.
    pub identity: Option<RequestIdentity>,
}

/// What tells a request from its repetition, as digests: the same caller and the same key. Such a request that asks for other
/// work is no repetition, and is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestIdentity {
    /// Who asks, where, and by which key.
    pub key: [u8; 32],
    /// What is asked for; the same for all that a service delivers under one id.
    pub work: [u8; 32],
}

/// What a genuine request for a hook comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// There is something to do.
    Asks(Asked),
    /// The hook does not want it: its filter, its transform or an empty list says so. The answer is 204 without a body.
    Ignored(Unwanted),
    /// The service wants to know whether anybody is here: the answer is 200 with this text.
    Challenge(String),
}

/// Why a request is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// A filter of the hook does not let it through.
    Filtered,
    /// The transform made nothing of it.
    Transformed,
    /// There was nothing in the list of its `forEach`.
    Empty,
}

impl Unwanted {
    /// In words, for logs and counts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filtered => "filtered",
            Self::Transformed => "transformed",
            Self::Empty => "empty",
        }
    }
}
