//! Who may come in with a token, and how far.

use std::collections::BTreeSet;

use clawhook_model::{AgentId, SecretText};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::definition::HookId;

/// The header of OpenClaw's clients that cannot set `Authorization`.
const TOKEN_HEADER: &str = "x-openclaw-token";

/// A token as it is configured.
#[derive(Debug, Clone)]
pub struct TokenDefinition {
    /// What it is called: `hooks.token` is `default`.
    pub name: String,
    /// The token.
    pub token: SecretText,
    /// The hooks that it may use; none is all of them.
    pub hooks: Option<BTreeSet<HookId>>,
    /// The agents that it may reach; none is all that hooks may.
    pub agents: Option<BTreeSet<AgentId>>,
    /// Whether what its holder sends to `agent` and `wake` is given to the agent without a fence.
    pub allow_unsafe_external_content: bool,
}

/// A token that callers present. It is kept as a digest.
#[derive(Debug, Clone)]
pub struct Token {
    name: String,
    digest: [u8; 32],
    hooks: Option<BTreeSet<HookId>>,
    agents: Option<BTreeSet<AgentId>>,
    allow_unsafe: bool,
}

impl Token {
    pub(crate) fn new(definition: &TokenDefinition) -> Self {
        Self {
            name: definition.name.clone(),
            digest: digest(definition.token.expose().trim().as_bytes()),
            hooks: definition.hooks.clone(),
            agents: definition.agents.clone(),
            allow_unsafe: definition.allow_unsafe_external_content,
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its digest, by which requests of one caller belong together.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    pub(crate) fn may_use(&self, hook: &HookId) -> bool {
        self.hooks.as_ref().is_none_or(|hooks| hooks.contains(hook))
    }

    pub(crate) fn may_reach(&self, agent: &AgentId) -> bool {
        self.agents.as_ref().is_none_or(|agents| agents.contains(agent))
    }

    pub(crate) fn allows_unsafe(&self) -> bool {
        self.allow_unsafe
    }
}

/// The token that a request presents: `Authorization: Bearer`, or else OpenClaw's own header.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
    });
    let own = || headers.get(TOKEN_HEADER).map(|value| value.as_bytes().trim_ascii());
    bearer.or_else(own).filter(|token| !token.is_empty())
}

/// Whose token it is. All are compared, each in constant time.
pub(crate) fn holder<'t>(tokens: &'t [Token], presented: &[u8]) -> Option<&'t Token> {
    let given = digest(presented);
    let mut holder = None;
    for token in tokens {
        if bool::from(token.digest.ct_eq(&given)) {
            holder = holder.or(Some(token));
        }
    }
    holder
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
