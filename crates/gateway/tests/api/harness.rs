//! A gateway in a directory of its own, and a client for it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use clawhook_clock::{Clock, SystemClock};
use clawhook_gateway::config::Config;
use clawhook_gateway::{Gateway, GatewayOptions, RunError, StartError};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A configuration with a model, whose provider nobody asks in these tests.
pub(crate) const WITH_MODEL: &str = r#"{
    models: { providers: { local: { baseUrl: "http://127.0.0.1:9/v1" } } },
    agents: { defaults: { model: "local/tiny" }, entries: { sales: {} } },
}"#;

/// A running gateway.
pub(crate) struct TestGateway {
    pub(crate) url: String,
    pub(crate) state_dir: TempDir,
    pub(crate) token: String,
    client: Client<HttpConnector, Full<Bytes>>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The answer's error: its status, code, and the error itself.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> &Value {
        assert_eq!(
            (self.status.as_u16(), self.body["error"]["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        &self.body["error"]
    }

    /// The body of an answer of this status.
    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        &self.body
    }
}

pub(crate) fn config(text: &str) -> Config {
    Config::parse(text, "clawhook.json5", &|_| None).unwrap()
}

/// Starts a gateway on a free port of the loopback.
pub(crate) async fn start_in(state_dir: &Path, config_text: &str) -> Result<Gateway, StartError> {
    start_at(state_dir, config_text, Arc::new(SystemClock)).await
}

/// Starts a gateway that goes by this clock.
pub(crate) async fn start_at(
    state_dir: &Path,
    config_text: &str,
    clock: Arc<dyn Clock>,
) -> Result<Gateway, StartError> {
    let options = GatewayOptions {
        config: config(config_text),
        state_dir: state_dir.to_owned(),
        bind: None,
        port: Some(0),
    };
    Gateway::start(options, clock).await
}

impl TestGateway {
    pub(crate) async fn with_model() -> Self {
        Self::start(WITH_MODEL).await
    }

    pub(crate) async fn start(config_text: &str) -> Self {
        let state_dir = tempfile::tempdir().unwrap();
        let gateway = start_in(state_dir.path(), config_text).await.unwrap();
        Self::run(gateway, state_dir)
    }

    pub(crate) fn run(gateway: Gateway, state_dir: TempDir) -> Self {
        let url = gateway.url().to_owned();
        let token = std::fs::read_to_string(state_dir.path().join("gateway-token")).unwrap_or_default();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(gateway.run(shutdown.clone()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { url, state_dir, token: token.trim().to_owned(), client, shutdown, task }
    }

    /// Stops the gateway and waits for its end.
    pub(crate) async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        self.state_dir
    }

    /// Has the gateway told to stop, without waiting.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, &body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "").await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.request(method, path, Some(&bearer), body.to_owned()).await
    }

    /// Gets an answer of this type.
    pub(crate) async fn get_as(&self, path: &str, accepted: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let request = Request::builder().uri(format!("{}{path}", self.url)).header("accept", accepted);
        self.answered(request.header("authorization", bearer), Bytes::new()).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&str>,
        body: impl Into<Bytes>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        // What can be a stream is asked for as a page: the whole answer is read.
        let mut request = request.header("accept", "application/json");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        self.answered(request, body.into()).await
    }

    async fn answered(&self, request: http::request::Builder, body: Bytes) -> Answer {
        let response = self.client.request(request.body(Full::new(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Makes a job and returns its id.
    pub(crate) async fn job(&self, job: &Value) -> String {
        let made = self.post("/api/v1/jobs", job).await;
        made.ok(201)["id"].as_str().unwrap().to_owned()
    }

    /// Runs a job and returns the run's entry once it is complete.
    pub(crate) async fn run_to_the_end(&self, job: &str) -> Value {
        let asked = self.post(&format!("/api/v1/jobs/{job}/run"), &json!({})).await;
        let run = asked.ok(202)["runId"].as_str().unwrap().to_owned();
        self.get(&format!("/api/v1/runs/{run}?waitSeconds=60")).await.ok(200).clone()
    }
}

/// A job that says something at once and needs nothing: a command, due in a far future.
pub(crate) fn echo(text: &str) -> Value {
    json!({
        "name": "echo",
        "schedule": { "kind": "every", "everyMs": 86_400_000 },
        "payload": { "kind": "command", "argv": ["/bin/echo", text] },
    })
}
