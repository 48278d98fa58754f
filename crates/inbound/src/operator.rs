//! What the gateway itself asks of its hooks, beside letting requests in.

use clawhook_model::UnixMs;
use http::HeaderMap;

use crate::body;
use crate::call::Call;
use crate::definition::HookId;
use crate::hook_set::HookSet;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::token::{self, Token};

impl HookSet {
    /// Whose token a request presents; none where it presents none, or one that nobody has.
    pub fn caller(&self, headers: &HeaderMap) -> Option<&Token> {
        token::holder(&self.tokens, token::presented(headers)?)
    }

    /// Whether a token's holder may be told what came of a hook's requests: whoever may use it with that token.
    pub fn may_follow(&self, caller: &Token, hook: &HookId) -> bool {
        self.hook(hook).is_some_and(|hook| hook.signature().is_none() && caller.may_use(&hook.id))
    }

    /// Opens a request in the name of the operator, who needs neither a token nor a signature: to try a hook out, or to have
    /// a request of the past done once more. It has the rights of the hook, and those of no token.
    pub fn open_for_operator<'s>(
        &'s self,
        hook: &HookId,
        request: &Request<'_>,
    ) -> Result<Call<'s>, Refusal> {
        let hook = self.hook(hook).ok_or(Refusal::UnknownHook)?;
        if request.body.len() > self.max_body_bytes() {
            return Err(Refusal::TooLarge);
        }
        let sub_path = self.sub_path(request.head.path).unwrap_or_default().to_owned();
        Ok(Call { set: self, hook, caller: None, sub_path, payload: body::payload(request.body)? })
    }

    /// Whether a request is signed as a hook wants it; one without a signature is content.
    pub fn is_signed(&self, hook: &HookId, request: &Request<'_>, now: UnixMs) -> bool {
        self.hook(hook).is_some_and(|hook| hook.verify(request, now).is_ok())
    }
}
