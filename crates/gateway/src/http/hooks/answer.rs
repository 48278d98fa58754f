//! Answers to callers of hooks, in the shapes that OpenClaw's clients know.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use clawhook_inbound::{Refusal, RefusalBody};
use clawhook_store::StoreError;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json as value};

use crate::hooks::LOCKED_OUT;
use crate::verbs::{AGAIN_IN, HookVerbError};

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    of(status, Some(JSON), body.to_string())
}

pub(super) fn text(status: StatusCode, body: &str) -> Response {
    of(status, Some(TEXT), body.to_owned())
}

pub(super) fn empty(status: StatusCode) -> Response {
    of(status, None, String::new())
}

fn of(status: StatusCode, content_type: Option<&'static str>, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

fn again_in(response: Response, wait: Duration) -> Response {
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    with(response, RETRY_AFTER, &secs.max(1).to_string())
}

/// An answer to whoever showed wrong tokens too often.
pub(super) fn locked_out() -> Response {
    again_in(text(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"), LOCKED_OUT)
}

/// The answer to a request that is not right.
pub(super) fn refusal(refusal: &Refusal) -> Response {
    let response = match refusal.body() {
        RefusalBody::Text(body) => text(refusal.status(), &body),
        RefusalBody::Error(error) => json(refusal.status(), &value!({ "ok": false, "error": error })),
    };
    match refusal.allow() {
        Some(methods) => with(response, ALLOW, methods),
        None => response,
    }
}

/// The answer to a request that is right, and cannot be taken.
pub(super) fn fault(error: &HookVerbError) -> Response {
    let status = match error {
        HookVerbError::Refused(refused) => return refusal(refused),
        HookVerbError::Unfit { .. } => StatusCode::BAD_REQUEST,
        HookVerbError::Loop(_) => StatusCode::LOOP_DETECTED,
        HookVerbError::KeyReused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        HookVerbError::BeingAnswered => StatusCode::CONFLICT,
        HookVerbError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        HookVerbError::Store(StoreError::Full(_)) => StatusCode::INSUFFICIENT_STORAGE,
        HookVerbError::Full { .. }
        | HookVerbError::Disabled
        | HookVerbError::NoSuchHook(_)
        | HookVerbError::NoSuchRequest(_)
        | HookVerbError::Forgotten(_)
        | HookVerbError::Off
        | HookVerbError::Stopping
        | HookVerbError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    // What is wrong with the store is its operator's to know.
    let message = match error {
        HookVerbError::Store(fault) => {
            tracing::error!(%fault, "a request to a hook cannot be kept");
            "the request cannot be kept at the moment".to_owned()
        }
        other => other.to_string(),
    };
    let response = json(status, &value!({ "ok": false, "error": message }));
    match error {
        HookVerbError::TooMany { wait } => again_in(response, *wait),
        HookVerbError::BeingAnswered => again_in(response, AGAIN_IN),
        _ if status.is_server_error() && status != StatusCode::LOOP_DETECTED => again_in(response, AGAIN_IN),
        _ => response,
    }
}
