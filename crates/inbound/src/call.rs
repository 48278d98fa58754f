//! A request that found its hook.

use serde_json::Value;

use crate::builtin;
use crate::hook::{Hook, HookKind};
use crate::hook_set::HookSet;
use crate::mapping;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::token::Token;
use crate::work::Reading;

/// A genuine request, with the hook that it is for.
#[derive(Debug)]
pub struct Call<'s> {
    pub(crate) set: &'s HookSet,
    pub(crate) hook: &'s Hook,
    pub(crate) caller: Option<&'s Token>,
    pub(crate) sub_path: String,
    pub(crate) payload: Value,
}

impl<'s> Call<'s> {
    /// The hook.
    pub fn hook(&self) -> &'s Hook {
        self.hook
    }

    /// Whose token it came with; none where it is signed.
    pub fn caller(&self) -> Option<&'s Token> {
        self.caller
    }

    /// The payload.
    pub fn payload(&self) -> &Value {
        &self.payload
    }

    /// What the request asks for. `now` in its templates is the instant at which it came.
    pub fn read(self, request: &Request<'_>) -> Result<Reading, Refusal> {
        match &self.hook.kind {
            HookKind::Agent => builtin::agent(&self, request).map(Reading::Asks),
            HookKind::Wake => builtin::wake(&self).map(Reading::Asks),
            HookKind::Mapping(definition) => mapping::read(self, definition, request),
        }
    }
}
