//! The door of inbound hooks (contract §5.2): outside `/api`, with tokens and signatures of its own.
//!
//! The order of what is looked at is OpenClaw's: the path, a token in the query, the method, the token, the body, the hook.
//! What a request means is for the `inbound` crate to say; here its bytes are read within bounds, and wrong tokens counted.

mod answer;
pub(super) mod operate;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use clawhook_inbound::{Head, Refusal, Unproven};
use clawhook_model::RunId;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;

use crate::hooks::Hooks;
use crate::verbs::{Completion, HookVerbError, Incoming, Taken, Verbs};

/// How long a client may take to send its body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The address that a connection came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Answers requests to hooks; all others go on.
pub(super) async fn door(State(verbs): State<Verbs>, request: Request, next: Next) -> Response {
    let Some(hooks) = verbs.hooks().cloned() else { return next.run(request).await };
    if hooks.set.sub_path(request.uri().path()).is_none() {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let client = head.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let visit = Visit { verbs: &verbs, hooks: &hooks, client };
    match followed_run(&hooks, &head) {
        Some(run) => visit.follow(&head, &run).await,
        None => visit.take(&head, body).await,
    }
}

/// The run that a caller asks about: `GET <path>/runs/<run>`.
fn followed_run(hooks: &Hooks, head: &Parts) -> Option<String> {
    let sub_path = hooks.set.sub_path(head.uri.path())?;
    let run = sub_path.strip_prefix("runs/")?;
    (head.method == Method::GET && !run.contains('/')).then(|| run.to_owned())
}

/// One request at the door.
struct Visit<'a> {
    verbs: &'a Verbs,
    hooks: &'a Hooks,
    client: Option<IpAddr>,
}

impl Visit<'_> {
    async fn take(&self, parts: &Parts, body: Body) -> Response {
        match self.try_take(parts, body).await {
            Ok(response) => response,
            Err(error) => self.refuse(&error),
        }
    }

    async fn try_take(&self, parts: &Parts, body: Body) -> Result<Response, HookVerbError> {
        let set = &self.hooks.set;
        let head = head_of(parts);
        let entry = set.enter(&head).unwrap_or(Err(Refusal::UnknownHook))?;
        let has_token = entry.caller.is_some();
        if has_token {
            self.forgive();
        }
        let body = read(body, set.max_body_bytes(), BODY_TIME).await?;
        let received_at = self.verbs.now();
        let request = clawhook_inbound::Request { head, body: &body, received_at };
        let call = set.open(entry, &request, received_at)?;
        if !has_token {
            self.forgive();
        }
        let returns_output = call.hook().returns_output();
        let incoming = Incoming { request, body: body.clone(), client: self.client, replay_of: None };
        let (body, waits_for, _being_answered) = match self.verbs.take_hook(call, incoming).await? {
            Taken::Ignored => return Ok(answer::empty(StatusCode::NO_CONTENT)),
            Taken::Challenge(text) => return Ok(answer::text(StatusCode::OK, &text)),
            Taken::Answer { body, waits_for, being_answered } => (body, waits_for, being_answered),
        };
        let mut body = body;
        if !waits_for.is_empty()
            && let Some(completion) = self.verbs.hook_completion(&waits_for, returns_output).await?
        {
            body["completion"] = json!(completion);
        }
        Ok(answer::json(StatusCode::OK, &body))
    }

    /// Tells how a run stands that a request asked for, to whoever may ask that hook for runs.
    async fn follow(&self, parts: &Parts, run: &str) -> Response {
        match self.try_follow(parts, run).await {
            Ok(response) => response,
            Err(error) => self.refuse(&error),
        }
    }

    async fn try_follow(&self, parts: &Parts, run: &str) -> Result<Response, HookVerbError> {
        let set = &self.hooks.set;
        if head_of(parts).query_value("token").is_some() {
            return Err(Refusal::TokenInQuery.into());
        }
        let Some(caller) = set.caller(&parts.headers) else {
            return Err(Refusal::Unauthorized(Unproven::Token).into());
        };
        self.forgive();
        let unknown = || HookVerbError::Refused(Refusal::UnknownHook);
        let id: RunId = run.parse().map_err(|_| unknown())?;
        let (hook, received_at, record) = self.verbs.hook_run(id).await?.ok_or_else(unknown)?;
        if !set.may_follow(caller, &hook) {
            return Err(unknown());
        }
        let output = set.hook(&hook).is_some_and(clawhook_inbound::Hook::returns_output);
        let mut body = json!({
            "ok": true,
            "runId": id,
            "state": record.run.progress.state().as_str(),
            "receivedAtMs": received_at,
        });
        if let Some(completion) = Completion::of(&record, output) {
            body["completion"] = json!(completion);
        }
        Ok(answer::json(StatusCode::OK, &body))
    }

    /// Answers what is refused. Who shows a wrong token too often is told to wait.
    fn refuse(&self, error: &HookVerbError) -> Response {
        if let HookVerbError::Refused(refusal) = error {
            if let Some(cause) = refusal.cause() {
                tracing::info!(client = ?self.client, %cause, "a request to a hook is refused");
            }
            if matches!(refusal, Refusal::Unauthorized(_)) && !self.may_try() {
                return answer::locked_out();
            }
            return answer::refusal(refusal);
        }
        answer::fault(error)
    }

    fn may_try(&self) -> bool {
        let now = self.verbs.now();
        self.client.is_none_or(|client| self.hooks.wrong_tokens.may_try(client, now))
    }

    fn forgive(&self) {
        if let Some(client) = self.client {
            self.hooks.wrong_tokens.forgive(client);
        }
    }
}

fn head_of(parts: &Parts) -> Head<'_> {
    Head { method: &parts.method, path: parts.uri.path(), query: parts.uri.query(), headers: &parts.headers }
}

/// The bytes of a body, no more than `most` and within its time.
async fn read(body: Body, most: usize, within: Duration) -> Result<Bytes, Refusal> {
    let read = tokio::time::timeout(within, Limited::new(body, most).collect()).await;
    match read.map_err(|_| Refusal::TooSlow)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Err(_) => Err(Refusal::Field("the body could not be read".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_come_is_waited_for_no_longer_than_its_time() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(never, 100, Duration::from_millis(1)).await, Err(Refusal::TooSlow));
    }

    #[tokio::test]
    async fn a_body_of_just_the_size_is_taken_and_one_byte_more_is_not() {
        assert_eq!(read(Body::from("12345"), 5, BODY_TIME).await, Ok(Bytes::from("12345")));
        assert_eq!(read(Body::from("123456"), 5, BODY_TIME).await, Err(Refusal::TooLarge));
    }
}
