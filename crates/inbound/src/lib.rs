//! What a request from outside means: who signed it, which hook it is for, whether it is wanted, which work it asks for.
//!
//! The cast: the [`HookSet`] is made once from the configuration. A request is let in by its head ([`HookSet::enter`]:
//! path, method, token), and, when its body is there, opened ([`HookSet::open`]: signature over the raw bytes, JSON,
//! the [`Hook`] it is for, the caller's rights). The [`Call`] that comes of it is read ([`Call::read`]) as [`Work`], or as
//! something that the hook does not want. Whatever is wrong is a [`Refusal`], which knows the answer in OpenClaw's words
//! (contract §5).
//!
//! Who owns what: agent, session, tools, model and receivers are the hook's, and a caller can choose only what the
//! operator left open. What comes from outside goes to an agent in a fence, unless the operator said otherwise.
//!
//! All of it is a function of bytes, headers, definitions and the instant that it is given. What is not guaranteed: that
//! the work is done, or that it is done once; who accepts it keeps the [`RequestIdentity`] and looks there first.

mod agents;
mod body;
mod builtin;
mod call;
mod definition;
mod filter;
mod hook;
mod hook_set;
mod identity;
mod mapping;
mod operator;
mod presets;
mod refusal;
mod request;
mod scheme;
mod sessions;
mod template;
mod token;
mod transform;
mod work;

pub use call::Call;
pub use definition::{
    Action, AgentRules, DefinitionProblem, Delivery, HookDefinition, HookField, HookId, HookIdError,
    HooksDefinition, Limits, Matching, SessionRules,
};
pub use filter::{Filter, FilterError, FilterTest};
pub use hook::{Hook, HookKind};
pub use hook_set::{Entry, HookSet};
pub use presets::Preset;
pub use refusal::{Refusal, RefusalBody, Unproven};
pub use request::{Head, Request};
pub use scheme::{DEFAULT_TOLERANCE, Scheme, SchemeKeyError, SignatureCheck};
pub use template::{Lookup, MAX_TEMPLATE_BYTES, Template, TemplateError};
pub use token::{Token, TokenDefinition};
pub use transform::{JqError, JqProgram, TextTemplate, TextTemplateError, Transform};
pub use work::{AgentWork, Asked, DeliverOnly, Reading, RequestIdentity, SessionMode, Unwanted, Wake, Work};
