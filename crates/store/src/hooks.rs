//! What is asked of inbound hooks.

use std::time::Duration;

use bytes::Bytes;
use clawhook_model::{AgentId, EventId, HookRequestId, Job, JobDefinition, JobId, RunId, SessionRef, UnixMs};
use serde_json::Value;

use crate::{NewDelivery, NewRun};

/// For how long after it was over a request is remembered by its key at least.
pub const KEY_LIFE: Duration = Duration::from_hours(24);

/// A hook as the configuration has it.
#[derive(Debug, Clone)]
pub struct KeptHook {
    /// Its job, as it is where there is none yet.
    pub job: Job,
    /// How many of its runs go on at once.
    pub at_once: u32,
    /// Whether the configuration has nothing of it begin.
    pub held: bool,
}

/// How a hook stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookState {
    /// Its job.
    pub job_id: JobId,
    /// How many of its runs go on at once.
    pub at_once: u32,
    /// Whether the configuration has nothing of it begin.
    pub held: bool,
    /// Since when a person has nothing that was accepted begin.
    pub paused_at: Option<UnixMs>,
}

/// A request to a hook, and what it asks for.
#[derive(Debug, Clone)]
pub struct AcceptHook {
    /// The hook's job.
    pub job_id: JobId,
    /// The request.
    pub request: NewHookRequest,
    /// What makes a second request the same one.
    pub key: Option<HookKey>,
    /// How many of the hook's runs wait at most.
    pub depth: u32,
    /// What it asks for, piece by piece; nothing is recorded, and that is all.
    pub asks: Vec<HookAsk>,
}

/// What makes a second request the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookKey {
    /// A digest of who asks and of their key.
    pub key: [u8; 32],
    /// A digest of what they ask for.
    pub work: [u8; 32],
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct NewHookRequest {
    /// Its identity.
    pub id: HookRequestId,
    /// Where it came, behind the hooks' own path.
    pub path: String,
    /// Who sent it, as an address.
    pub client: Option<String>,
    /// Its headers as JSON, secrets masked.
    pub headers: Value,
    /// Its exact bytes.
    pub body: Bytes,
    /// What is answered, and is answered again.
    pub answer: Value,
    /// The request that it repeats, where a person asked for that.
    pub replay_of: Option<HookRequestId>,
}

/// A piece of what a request asks for.
#[derive(Debug, Clone)]
pub enum HookAsk {
    /// A run, by its own definition.
    Run(Box<HookRun>),
    /// A text for an agent's session.
    Wake(Box<HookWake>),
    /// An event that is carried on, without a run.
    Event(Box<HookEvent>),
}

/// A run that a request asks for.
#[derive(Debug, Clone)]
pub struct HookRun {
    /// The run.
    pub run: NewRun,
    /// The definition that it runs by.
    pub work: JobDefinition,
}

/// A text for an agent's session.
#[derive(Debug, Clone)]
pub struct HookWake {
    /// The session.
    pub session: SessionRef,
    /// Whose it is.
    pub agent_id: AgentId,
    /// The text.
    pub text: String,
    /// The run that tells the agent of it at once; there is none more where one waits already.
    pub run: Option<HookRun>,
}

/// An event that is carried on.
#[derive(Debug, Clone)]
pub struct HookEvent {
    /// Its identity.
    pub id: EventId,
    /// Its bytes.
    pub body: Bytes,
    /// Where it is carried.
    pub deliveries: Vec<NewDelivery>,
}

/// What became of what a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookOutcome {
    /// It is queued.
    Queued,
    /// The very text waits already.
    Coalesced,
    /// It is an event.
    Published,
    /// It asked for nothing.
    Ignored,
}

impl HookOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Coalesced, Self::Published, Self::Ignored];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Coalesced => "coalesced",
            Self::Published => "published",
            Self::Ignored => "ignored",
        }
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum HookAccepted {
    /// It is durable, with what it asks for.
    Done(HookOutcome),
    /// It was made before, and this was answered.
    Repeated {
        /// The request that was made before.
        request: HookRequestId,
        /// What was answered.
        answer: Value,
    },
    /// Its key was used before for other work; nothing was done.
    KeyReused {
        /// The request that was made before.
        request: HookRequestId,
    },
    /// More would wait than may; nothing was done.
    Full {
        /// How many wait.
        waiting: u32,
    },
    /// The hook is switched off; nothing was done.
    Disabled,
    /// There is no such hook.
    NoHook,
}

/// A request that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct HookRequest {
    /// Its identity.
    pub id: HookRequestId,
    /// The hook's job.
    pub job_id: JobId,
    /// Where it came, behind the hooks' own path.
    pub path: String,
    /// When it came.
    pub received_at: UnixMs,
    /// When the last of its runs ended.
    pub completed_at: Option<UnixMs>,
    /// What became of it.
    pub outcome: HookOutcome,
    /// Whether it had a key.
    pub has_key: bool,
    /// The request that it repeats.
    pub replay_of: Option<HookRequestId>,
    /// Who sent it.
    pub client: Option<String>,
    /// What was answered.
    pub answer: Value,
    /// Its headers, secrets masked.
    pub headers: Value,
    /// How long its body is.
    pub body_bytes: u64,
    /// Its runs that are still known, in order.
    pub runs: Vec<RunId>,
}

/// Which requests; the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookRequestFilter {
    /// Only those of this hook.
    pub job_id: Option<JobId>,
    /// Only those that are not over (`true`) or that are (`false`).
    pub open: Option<bool>,
    /// Only those before this one.
    pub before: Option<HookRequestId>,
    /// How many at most.
    pub limit: usize,
}
