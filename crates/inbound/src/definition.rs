//! Hooks as they are configured: every part well formed by itself. What holds between them is for the
//! [`HookSet`](crate::HookSet).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clawhook_model::{AgentId, SessionName, WakeMode, WebhookTarget};
use thiserror::Error;

use crate::filter::Filter;
use crate::scheme::SignatureCheck;
use crate::template::Template;
use crate::token::TokenDefinition;
use crate::transform::Transform;
use crate::work::SessionMode;

/// The longest id, in characters.
const LONGEST_ID: usize = 63;

/// What a hook is known by: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or a digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookId(String);

/// A text is no hook's id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a hook's id: 1 to {LONGEST_ID} lower-case letters, digits, `-`, `_` or `.`, the first a letter or a digit"
)]
pub struct HookIdError(String);

impl HookId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hook `POST …/agent`.
    pub fn agent() -> Self {
        Self("agent".to_owned())
    }

    /// The hook `POST …/wake`.
    pub fn wake() -> Self {
        Self("wake".to_owned())
    }
}

impl FromStr for HookId {
    type Err = HookIdError;

    fn from_str(text: &str) -> Result<Self, HookIdError> {
        let fits = text.len() <= LONGEST_ID
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c));
        if fits { Ok(Self(text.to_owned())) } else { Err(HookIdError(text.chars().take(80).collect())) }
    }
}

impl fmt::Display for HookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All hooks of a gateway.
#[derive(Debug, Clone)]
pub struct HooksDefinition {
    /// The path below which they lie, `/hooks`.
    pub path: String,
    /// The largest body that is taken.
    pub max_body_bytes: usize,
    /// Who may come in. Without a token nobody may use a hook that has no signature.
    pub tokens: Vec<TokenDefinition>,
    /// Which agents there are, and which of them hooks may reach.
    pub agents: AgentRules,
    /// Which sessions hooks may name.
    pub sessions: SessionRules,
    /// The chat channels that there are, by their ids.
    pub channels: Vec<String>,
    /// How much the hooks `agent` and `wake` may take on.
    pub limits: Limits,
    /// Where the result of a run of the hook `agent` is sent, beside where its caller wants it.
    pub callback: Option<WebhookTarget>,
    /// Whether a caller of the hook `agent` who waits is given what the agent said.
    pub return_output: bool,
    /// The other hooks, in the order in which they are asked whether a request is theirs.
    pub hooks: Vec<HookDefinition>,
}

/// Which agents there are, and which of them hooks may reach.
#[derive(Debug, Clone)]
pub struct AgentRules {
    /// All of them.
    pub known: BTreeSet<AgentId>,
    /// The one that is meant where none is named.
    pub default: AgentId,
    /// Those that hooks may reach, the default agent too; none is all.
    pub allowed: Option<BTreeSet<AgentId>>,
}

/// Which sessions hooks may name.
#[derive(Debug, Clone, Default)]
pub struct SessionRules {
    /// The session where none is named; none is a new one for each request.
    pub default_key: Option<SessionName>,
    /// Whether what comes from outside may name one.
    pub allow_request: bool,
    /// What their names must begin with, in lower case; an empty list is no rule.
    pub prefixes: Vec<String>,
}

/// How much one hook may take on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many of its runs go on at a time.
    pub max_concurrent_runs: u32,
    /// How many may wait; beyond that requests are refused.
    pub queue_depth: u32,
    /// How many requests a minute are taken; none is no limit.
    pub rate_per_minute: Option<u32>,
    /// Whether its work is accepted and waits.
    pub paused: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_concurrent_runs: 4, queue_depth: 10_000, rate_per_minute: None, paused: false }
    }
}

/// Which requests are a hook's; of two that are not there, all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matching {
    /// The path below that of all hooks, without slashes around it.
    pub path: Option<String>,
    /// The text `source` of the payload.
    pub source: Option<String>,
}

/// What a hook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// A turn of an agent.
    #[default]
    Agent,
    /// A system event.
    Wake,
    /// An event that is sent on as it is.
    DeliverOnly,
}

/// Where what comes of a hook is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Nowhere: the agent's main session is told.
    #[default]
    None,
    /// To a place in a chat channel.
    Announce {
        /// The channel, or `last`.
        channel: String,
        /// The recipient.
        to: Option<Template>,
        /// The account that sends.
        account_id: Option<String>,
    },
    /// To these receivers; there is at least one.
    Webhook(Vec<WebhookTarget>),
}

/// One hook beside `agent` and `wake`.
#[derive(Debug, Clone)]
pub struct HookDefinition {
    /// What it is known by.
    pub id: HookId,
    /// Which requests are its own.
    pub matching: Matching,
    /// How its requests are signed; without a signature they need a token.
    pub signature: Option<Arc<SignatureCheck>>,
    /// Which of them it wants: those that pass all of these.
    pub filters: Vec<Filter>,
    /// What it does.
    pub action: Action,
    /// When a system event, or the note of a run's end, wakes the agent.
    pub wake_mode: WakeMode,
    /// What its runs are called.
    pub name: Option<Template>,
    /// The agent; none is the default one.
    pub agent_id: Option<Template>,
    /// The session; none is `hooks.defaultSessionKey`, or else a new one for each request.
    pub session_key: Option<Template>,
    /// Whether the session is kept from run to run.
    pub session_mode: SessionMode,
    /// What the agent is told, or the text of the event.
    pub text: Option<Template>,
    /// `provider/model`, where it is not the agent's own.
    pub model: Option<Template>,
    /// How hard the model is to think.
    pub thinking: Option<Template>,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// Where the result goes.
    pub delivery: Delivery,
    /// Which of the agent's tools a run may use. Where it is not said: none, or, for content that is trusted, all.
    pub tools_allow: Option<Vec<String>>,
    /// Whether what comes from outside is given to the agent without a fence.
    pub allow_unsafe_external_content: bool,
    /// The list at the top of the payload whose elements each are a request of their own.
    pub for_each: Option<String>,
    /// What turns the request into something else.
    pub transform: Transform,
    /// How much it may take on.
    pub limits: Limits,
    /// Where the result of each run is sent beside.
    pub callback: Option<WebhookTarget>,
    /// Whether a caller who waits is given what the agent said.
    pub return_output: bool,
    /// Whether it is one of the house's own, whose session's key may come from the payload.
    pub is_preset: bool,
}

impl HookDefinition {
    /// A hook that takes a turn of the default agent, without anything else.
    pub fn new(id: HookId) -> Self {
        Self {
            id,
            matching: Matching::default(),
            signature: None,
            filters: Vec::new(),
            action: Action::Agent,
            wake_mode: WakeMode::Now,
            name: None,
            agent_id: None,
            session_key: None,
            session_mode: SessionMode::Isolated,
            text: None,
            model: None,
            thinking: None,
            timeout: None,
            delivery: Delivery::None,
            tools_allow: None,
            allow_unsafe_external_content: false,
            for_each: None,
            transform: Transform::default(),
            limits: Limits::default(),
            callback: None,
            return_output: false,
            is_preset: false,
        }
    }
}

/// Something that does not hold between the parts of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionProblem {
    /// The hook, by its place among the definitions; none is all of them.
    pub hook: Option<usize>,
    /// The key.
    pub field: HookField,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A key of a hook, or of all hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the key of its name")]
pub enum HookField {
    Id,
    Match,
    Signature,
    AgentId,
    SessionKey,
    SessionMode,
    DefaultSessionKey,
    AllowedSessionKeyPrefixes,
    Text,
    Delivery,
    ForEach,
    Transform,
}
