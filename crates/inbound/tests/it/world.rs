//! A gateway's hooks, and requests to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use clawhook_inbound::{
    AgentRules, AgentWork, Asked, Head, HookDefinition, HookId, HookSet, HooksDefinition, Limits, Matching,
    Reading, Refusal, Request, Scheme, SessionRules, SignatureCheck, Template, TokenDefinition, Unproven,
    Work,
};
use clawhook_model::{AgentId, SecretText, UnixMs};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

pub(crate) const TOKEN: &str = "the-token-of-the-hooks";
pub(crate) const NOW: UnixMs = UnixMs::from_millis(1_767_225_600_000);

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::normalise(name)
}

pub(crate) fn token(name: &str, text: &str) -> TokenDefinition {
    TokenDefinition {
        name: name.to_owned(),
        token: SecretText::from(text.to_owned()),
        hooks: None,
        agents: None,
        allow_unsafe_external_content: false,
    }
}

pub(crate) fn definition() -> HooksDefinition {
    HooksDefinition {
        path: "/hooks".to_owned(),
        max_body_bytes: 256 * 1024,
        tokens: vec![token("default", TOKEN)],
        agents: AgentRules {
            known: BTreeSet::from([AgentId::main(), agent("sales"), agent("ops")]),
            default: AgentId::main(),
            allowed: None,
        },
        sessions: SessionRules::default(),
        channels: vec!["telegram".to_owned()],
        limits: Limits::default(),
        callback: None,
        return_output: false,
        hooks: Vec::new(),
    }
}

/// A mapping at `/hooks/<id>` with this text.
pub(crate) fn mapping(id: &str, text: &str) -> HookDefinition {
    HookDefinition {
        matching: Matching { path: Some(id.to_owned()), source: None },
        text: Some(template(text)),
        ..HookDefinition::new(hook_id(id))
    }
}

pub(crate) fn hook_id(id: &str) -> HookId {
    id.parse().unwrap()
}

pub(crate) fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

pub(crate) fn signed(scheme: Scheme, keys: &[&str]) -> Option<Arc<SignatureCheck>> {
    let check = SignatureCheck::new(scheme, keys.iter().copied(), clawhook_inbound::DEFAULT_TOLERANCE);
    Some(Arc::new(check.unwrap()))
}

pub(crate) fn with_hooks(hooks: Vec<HookDefinition>) -> HookSet {
    HookSet::new(HooksDefinition { hooks, ..definition() }).unwrap()
}

/// A request, built up.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) at: UnixMs,
}

impl Post {
    /// A POST without a token.
    pub(crate) fn bare(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: Method::POST,
            path: path.to_owned(),
            query: None,
            headers: HeaderMap::new(),
            body: body.into(),
            at: NOW,
        }
    }

    /// A POST with the token.
    pub(crate) fn new(path: &str, body: &Value) -> Self {
        Self::bare(path, body.to_string()).with("authorization", &format!("Bearer {TOKEN}"))
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(crate) fn to(&self, set: &HookSet) -> Result<Reading, Refusal> {
        let head = Head {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        };
        let entry = set.enter(&head).unwrap()?;
        let request = Request { head, body: &self.body, received_at: self.at };
        set.open(entry, &request, self.at)?.read(&request)
    }

    pub(crate) fn asked(&self, set: &HookSet) -> Asked {
        match self.to(set).unwrap() {
            Reading::Asks(asked) => asked,
            other => panic!("it asks for nothing: {other:?}"),
        }
    }

    pub(crate) fn turn(&self, set: &HookSet) -> AgentWork {
        match self.asked(set).work.remove(0) {
            Work::Agent(turn) => *turn,
            other => panic!("no turn: {other:?}"),
        }
    }

    pub(crate) fn refused(&self, set: &HookSet) -> Refusal {
        self.to(set).unwrap_err()
    }

    /// Status and text of the refusal.
    pub(crate) fn answer(&self, set: &HookSet) -> (u16, String) {
        let refusal = self.refused(set);
        (refusal.status().as_u16(), refusal.to_string())
    }
}

pub(crate) fn is_unsigned(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Unauthorized(Unproven::Signature { .. }))
}
