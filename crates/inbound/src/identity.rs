//! What tells a request from its repetition (contract §5.6).

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::definition::HookId;
use crate::request::{Head, Request};
use crate::scheme::Scheme;
use crate::token::Token;
use crate::work::{AgentWork, RequestIdentity};

/// The longest key, in characters.
const LONGEST_KEY: usize = 256;
/// The headers in which callers give one, in their order; after them comes the body.
const HEADERS: [&str; 2] = ["idempotency-key", "x-openclaw-idempotency-key"];

/// The key that the caller gave.
pub(crate) fn given_key(head: &Head<'_>, payload: &Value) -> Option<String> {
    let fit = |key: &str| {
        let key = key.trim();
        (1..=LONGEST_KEY).contains(&key.chars().count()).then(|| key.to_owned())
    };
    let in_header = HEADERS.iter().find_map(|name| head.header(name).and_then(fit));
    in_header.or_else(|| payload.get("idempotencyKey").and_then(Value::as_str).and_then(fit))
}

/// The id that a service gives to what it sends, the same for each of its tries.
pub(crate) fn delivery_id(scheme: &Scheme, head: &Head<'_>, payload: &Value) -> Option<String> {
    let of_header = |name: &str| head.header(name).map(str::to_owned);
    let of_payload = |name: &str| payload.get(name).and_then(Value::as_str).map(str::to_owned);
    let id = match scheme {
        Scheme::Standard => of_header("webhook-id"),
        Scheme::Github => of_header("x-github-delivery"),
        // What GitLab sends again after a failure has its key; what its user sends again by hand has another event's id.
        Scheme::Gitlab => of_header("idempotency-key").or_else(|| of_header("x-gitlab-event-uuid")),
        Scheme::Stripe => of_payload("id"),
        Scheme::Slack => of_payload("event_id"),
        Scheme::Hmac(_) => None,
    };
    id.filter(|id| (1..=LONGEST_KEY).contains(&id.chars().count()))
}

/// The identity of what a service delivers: its hook and its id.
pub(crate) fn of_delivery(hook: &HookId, id: &str) -> RequestIdentity {
    RequestIdentity { key: digest(&[b"delivery", hook.as_str().as_bytes(), id.as_bytes()]), work: [0; 32] }
}

/// The identity of a request to `agent`: its caller and its key, and the work it asks for; whether the caller waits is no part
/// of that.
pub(crate) fn of_turn(caller: &Token, path: &str, work: &AgentWork, key: &str) -> RequestIdentity {
    let AgentWork {
        message,
        name,
        agent_id,
        session_key,
        session_mode,
        model,
        thinking,
        timeout,
        delivery,
        wake_mode,
        allow_unsafe: _,
        tools_allow: _,
        wait: _,
    } = work;
    let fields = format!(
        "{message:?} {name:?} {agent_id} {session_key:?} {session_mode:?} {model:?} {thinking:?} {timeout:?} \
         {delivery:?} {wake_mode:?}"
    );
    RequestIdentity {
        key: digest(&[b"turn", caller.digest(), path.as_bytes(), key.as_bytes()]),
        work: digest(&[fields.as_bytes()]),
    }
}

/// The identity of a request to another hook: its caller or its hook and its key, and the bytes that it came with.
pub(crate) fn of_request(
    caller: Option<&Token>,
    hook: &HookId,
    request: &Request<'_>,
    key: &str,
) -> RequestIdentity {
    RequestIdentity {
        key: digest(&[
            b"request",
            caller.map_or(&[0; 32][..], |caller| caller.digest()),
            hook.as_str().as_bytes(),
            request.head.path.as_bytes(),
            key.as_bytes(),
        ]),
        work: digest(&[request.head.query.unwrap_or_default().as_bytes(), request.body]),
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}
