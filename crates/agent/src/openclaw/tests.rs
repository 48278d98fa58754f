//! Turns at a gateway that answers what its script says. The answers are those of a real one, version 2026.9.6.

use std::sync::Mutex;

use clawhook_clock::ManualClock;
use clawhook_model::{AgentId, ErrorReason, Role, SessionId, SessionRef, Thinking, TranscriptEntry, UnixMs};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::live::LiveOutput;
use crate::profile::AgentProfile;
use crate::toolbox::NoTools;

/// docs/openclaw-gateway.md shows what is sent.
const DOCUMENT: &str = include_str!("../../../../docs/openclaw-gateway.md");

const TOKEN: &str = "hook-token-0123456789";

/// What the gateway does with a request.
#[derive(Clone)]
enum Script {
    Answer { status: u16, headers: &'static str, body: String },
    HangUp,
    Silence,
}

struct Gateway {
    options: OpenClawOptions,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
    _server: AbortOnDropHandle<()>,
}

/// What differs from an isolated job's plain message.
#[derive(Default)]
struct Differing {
    model: Option<&'static str>,
    session: Option<SessionRef>,
    history: Vec<TranscriptEntry>,
    thinking: Option<Thinking>,
    tools_allow: Option<Vec<String>>,
    output_schema: Option<Value>,
    time_left: Option<Duration>,
}

impl Gateway {
    async fn of(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let requests: Arc<Mutex<Vec<_>>> = Arc::default();
        let heard = Arc::clone(&requests);
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let (head, body) = loop {
                    assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    if let Ok(body) = serde_json::from_str::<Value>(body) {
                        break (head.to_owned(), body);
                    }
                };
                heard.lock().unwrap().push((head, body));
                match &script {
                    Script::Answer { status, headers, body } => {
                        let head = format!(
                            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                            body.len()
                        );
                        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                    }
                    Script::HangUp => {}
                    Script::Silence => std::future::pending().await,
                }
            }
        });
        let options = OpenClawOptions { base_url, token: Some(TOKEN.into()), session_key_prefix: None };
        Self { options, requests, _server: AbortOnDropHandle::new(server) }
    }

    async fn answering(body: &str) -> Self {
        Self::of(Script::Answer { status: 200, headers: "", body: body.to_owned() }).await
    }

    async fn ended(status: &str, disposition: &str) -> Self {
        let completion = json!({ "status": status, "replyDisposition": disposition });
        Self::answering(&json!({ "ok": true, "runId": "r1", "completion": completion }).to_string()).await
    }

    async fn ask(&self, differing: Differing) -> (Said, Result<(), TryError>) {
        let clock = Arc::new(ManualClock::at(UnixMs::from_millis(1_000)));
        let backend = OpenClawBackend::new(self.options.clone(), SharedClient::default(), clock);
        let isolated = SessionRef::isolated(&AgentId::main(), &"job-1".parse().unwrap(), SessionId::random());
        let ask = Ask {
            profile: &AgentProfile::default(),
            provider: "home",
            model: differing.model.unwrap_or("writer"),
            session: differing.session.as_ref().unwrap_or(&isolated),
            system: None,
            history: &differing.history,
            text: "Write.",
            thinking: differing.thinking,
            tools: &NoTools,
            tools_allow: differing.tools_allow.as_deref(),
            may_be_silent: true,
            output_schema: differing.output_schema.as_ref(),
            unfenced: false,
            time_left: differing.time_left.or(Some(Duration::from_secs(90))),
            live: &LiveOutput::default(),
        };
        let mut said = Said::default();
        let end = backend.answer(&ask, &mut said, &CancellationToken::new()).await;
        (said, end)
    }

    async fn fail(&self) -> TryError {
        self.ask(Differing::default()).await.1.unwrap_err()
    }

    fn request(&self) -> (String, Value) {
        self.requests.lock().unwrap().first().cloned().unwrap()
    }
}

#[tokio::test]
async fn a_message_goes_to_the_agent_it_names_and_the_end_of_its_turn_is_awaited() {
    let gateway = Gateway::ended("ok", "visible").await;
    let (said, end) = gateway.ask(Differing { thinking: Some(Thinking::High), ..Differing::default() }).await;
    end.unwrap();
    assert_eq!(said.text, "The agent has answered (OpenClaw run r1).");
    assert!(!said.silent);
    let (head, body) = gateway.request();
    assert!(head.starts_with("POST /hooks/agent HTTP/1.1"), "{head}");
    assert!(head.contains(&format!("authorization: Bearer {TOKEN}")), "{head}");
    let expected = json!({
        "message": "Write.", "name": "Clawhook", "agentId": "writer", "thinking": "high", "timeoutSeconds": 90,
        "wakeMode": "next-heartbeat", "deliver": false, "waitForCompletion": true,
    });
    assert_eq!(body, expected);
    let shown = format!("```json\n{expected:#}\n```");
    assert!(DOCUMENT.contains(&shown), "docs/openclaw-gateway.md needs this:\n{shown}");
}

#[tokio::test]
async fn the_default_agent_is_not_named() {
    let gateway = Gateway::ended("ok", "visible").await;
    gateway.ask(Differing { model: Some("default"), ..Differing::default() }).await.1.unwrap();
    assert_eq!(gateway.request().1.get("agentId"), None);
}

#[tokio::test]
async fn a_kept_session_is_kept_over_there_where_that_is_allowed_and_else_told_with_the_message() {
    let history = [TranscriptEntry::said(UnixMs::from_millis(0), Role::User, "My name is Ada.")];
    let history = || history.to_vec();

    let mut gateway = Gateway::ended("ok", "visible").await;
    gateway.options.session_key_prefix = Some("hook:clawhook:".to_owned());
    let main = Some(SessionRef::main(&AgentId::main()));
    gateway.ask(Differing { session: main, history: history(), ..Differing::default() }).await.1.unwrap();
    let (_, body) = gateway.request();
    assert_eq!(
        (&body["sessionKey"], &body["sessionMode"]),
        (&json!("hook:clawhook:main:main"), &json!("persistent"))
    );
    assert_eq!(body["message"], "Write.");

    let mut gateway = Gateway::ended("ok", "visible").await;
    gateway.ask(Differing { history: history(), ..Differing::default() }).await.1.unwrap();
    let (_, body) = gateway.request();
    assert_eq!(body.get("sessionKey"), None);
    assert!(body["message"].as_str().unwrap().contains("user: My name is Ada."));

    gateway = Gateway::ended("ok", "visible").await;
    gateway.options.session_key_prefix = Some("hook:clawhook:".to_owned());
    gateway.ask(Differing::default()).await.1.unwrap();
    assert_eq!(
        gateway.request().1.get("sessionKey"),
        None,
        "the run of an isolated job has a session of its own"
    );
}

#[tokio::test]
async fn every_end_over_there_has_its_class_here() {
    let (said, end) = Gateway::ended("ok", "silent").await.ask(Differing::default()).await;
    end.unwrap();
    assert!(said.silent);
    for (status, disposition, reason) in [
        ("ok", "empty", ErrorReason::EmptyResponse),
        ("error", "empty", ErrorReason::Unknown),
        ("skipped", "empty", ErrorReason::Unavailable),
        ("odd", "visible", ErrorReason::Unknown),
    ] {
        let error = Gateway::ended(status, disposition).await.fail().await;
        assert_eq!(error.reason, reason, "{status} {disposition}");
        assert!(
            error.message.starts_with("home/writer ") && error.message.contains("run r1"),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn a_gateway_that_does_not_tell_the_end_is_no_success_and_nobody_else_is_asked_to_do_the_same() {
    for status in [200, 202] {
        let body = r#"{"ok":true,"runId":"b832b1ec"}"#.to_owned();
        let error = Gateway::of(Script::Answer { status, headers: "", body }).await.fail().await;
        assert_eq!((error.reason, error.is_final), (ErrorReason::Format, true));
        assert_eq!(
            error.message,
            "home/writer took the message (run b832b1ec) and does not tell what became of it: it is older than \
             `waitForCompletion`. Update OpenClaw there, or use its OpenAI-compatible endpoint."
        );
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_when_to_come_back() {
    let refused =
        |status, headers, body: &str| Gateway::of(Script::Answer { status, headers, body: body.to_owned() });
    let error = refused(401, "", "Unauthorized").await.fail().await;
    assert_eq!(error.reason, ErrorReason::Auth);
    assert_eq!(
        error.message,
        "home/writer was refused (HTTP 401). Check that models.providers.home.token is the gateway's hooks.token. It \
         says: \"Unauthorized\"."
    );
    let error = refused(400, "", r#"{"ok":false,"error":"unknown agentId \"writer\""}"#).await.fail().await;
    assert_eq!((error.reason, error.is_final), (ErrorReason::ModelNotFound, false));
    assert!(error.message.contains("It says: \"unknown agentId \"writer\"\""), "{}", error.message);
    let error = refused(429, "retry-after: 60\r\n", "Too Many Requests").await.fail().await;
    assert_eq!((error.reason, error.retry_at), (ErrorReason::RateLimit, Some(UnixMs::from_millis(61_000))));
    let error = refused(302, "location: http://127.0.0.1:1/\r\n", "").await.fail().await;
    assert_eq!(error.reason, ErrorReason::Unknown);
}

#[tokio::test]
async fn i12_the_token_is_in_no_error_and_not_in_what_debug_shows() {
    let body = format!(r#"{{"ok":false,"error":"bad token {TOKEN}"}}"#);
    let gateway = Gateway::of(Script::Answer { status: 403, headers: "", body }).await;
    let error = gateway.fail().await;
    assert!(error.message.contains("bad token ***"), "{}", error.message);
    assert!(!format!("{:?}", gateway.options).contains(TOKEN));
}

#[tokio::test]
async fn what_the_hooks_cannot_do_is_refused_before_anything_is_begun() {
    let gateway = Gateway::ended("ok", "visible").await;
    for allow in [vec![], vec!["read".to_owned()]] {
        let error =
            gateway.ask(Differing { tools_allow: Some(allow), ..Differing::default() }).await.1.unwrap_err();
        assert_eq!(error.reason, ErrorReason::Unavailable);
    }
    let schema = json!({ "type": "object" });
    let error =
        gateway.ask(Differing { output_schema: Some(schema), ..Differing::default() }).await.1.unwrap_err();
    assert!(error.message.contains("do not tell what an agent answered"), "{}", error.message);
    assert!(gateway.requests.lock().unwrap().is_empty());
    let all = vec!["*".to_owned()];
    gateway.ask(Differing { tools_allow: Some(all), ..Differing::default() }).await.1.unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_not_asked_of_another_and_an_unreachable_gateway_is() {
    let error = Gateway::of(Script::HangUp).await.fail().await;
    assert_eq!((error.reason, error.is_final), (ErrorReason::Network, true));

    let gateway = Gateway::of(Script::Silence).await;
    let error = gateway
        .ask(Differing { time_left: Some(Duration::from_millis(200)), ..Differing::default() })
        .await
        .1
        .unwrap_err();
    assert_eq!((error.reason, error.is_final), (ErrorReason::Timeout, true));

    let mut gateway = Gateway::of(Script::HangUp).await;
    gateway.options.base_url = "http://127.0.0.1:1".parse().unwrap();
    let error = gateway.fail().await;
    assert_eq!((error.reason, error.is_final), (ErrorReason::Network, false));
    assert!(
        error.message.contains("could not be reached at 127.0.0.1:1: Connection refused"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn what_is_not_openclaws_answer_is_an_error() {
    for body in ["<html>hello</html>".to_owned(), "[]".to_owned(), "x".repeat(ANSWER_LIMIT + 1)] {
        let error = Gateway::answering(&body).await.fail().await;
        assert_eq!(error.reason, ErrorReason::ServerError);
    }
}
