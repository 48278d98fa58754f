//! One hook, ready to be used.

use clawhook_model::{UnixMs, WebhookTarget};
use serde_json::Value;

use crate::definition::{Action, HookDefinition, HookId, Limits};
use crate::refusal::Unproven;
use crate::request::Request;
use crate::scheme::SignatureCheck;

/// What kind of hook it is.
#[derive(Debug, Clone)]
pub enum HookKind {
    /// `POST …/agent`: a turn of an agent, which the caller describes.
    Agent,
    /// `POST …/wake`: a system event, which the caller describes.
    Wake,
    /// One that the configuration describes.
    Mapping(Box<HookDefinition>),
}

/// One hook.
#[derive(Debug, Clone)]
pub struct Hook {
    pub(crate) id: HookId,
    pub(crate) kind: HookKind,
    pub(crate) limits: Limits,
    pub(crate) callback: Option<WebhookTarget>,
    pub(crate) return_output: bool,
}

impl Hook {
    /// The hook that a definition describes.
    pub(crate) fn of(definition: HookDefinition) -> Self {
        Self {
            id: definition.id.clone(),
            limits: definition.limits,
            callback: definition.callback.clone(),
            return_output: definition.return_output,
            kind: HookKind::Mapping(Box::new(definition)),
        }
    }

    /// What it is known by.
    pub fn id(&self) -> &HookId {
        &self.id
    }

    /// What kind of hook it is.
    pub fn kind(&self) -> &HookKind {
        &self.kind
    }

    /// What it does.
    pub fn action(&self) -> Action {
        match &self.kind {
            HookKind::Agent => Action::Agent,
            HookKind::Wake => Action::Wake,
            HookKind::Mapping(definition) => definition.action,
        }
    }

    /// How much it may take on.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where the result of each run is sent, beside where the work itself says.
    pub fn callback(&self) -> Option<&WebhookTarget> {
        self.callback.as_ref()
    }

    /// Whether a caller who waits is given what the agent said.
    pub fn returns_output(&self) -> bool {
        self.return_output
    }

    /// How its requests are signed; none where they need a token.
    pub fn signature(&self) -> Option<&SignatureCheck> {
        match &self.kind {
            HookKind::Mapping(definition) => definition.signature.as_deref(),
            HookKind::Agent | HookKind::Wake => None,
        }
    }

    /// Whether the request is signed as this hook wants it, over the very bytes that came. A hook without a signature is
    /// content.
    pub fn verify(&self, request: &Request<'_>, now: UnixMs) -> Result<(), Unproven> {
        let Some(check) = self.signature() else { return Ok(()) };
        check
            .verify(request, now)
            .map_err(|error| Unproven::Signature { hook: self.id.to_string(), why: error.to_string() })
    }

    /// Whether requests to this path below that of all hooks may be its own.
    pub(crate) fn is_at(&self, sub_path: &str) -> bool {
        match &self.kind {
            HookKind::Agent | HookKind::Wake => self.id.as_str() == sub_path,
            HookKind::Mapping(definition) => {
                definition.matching.path.as_deref().is_none_or(|path| path == sub_path)
            }
        }
    }

    /// Whether a request to such a path with this payload is its own.
    pub(crate) fn takes(&self, payload: &Value) -> bool {
        match &self.kind {
            HookKind::Agent | HookKind::Wake => true,
            HookKind::Mapping(definition) => {
                let source = payload.get("source").and_then(Value::as_str);
                definition.matching.source.as_deref().is_none_or(|wanted| source == Some(wanted))
            }
        }
    }
}
