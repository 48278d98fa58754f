//! Runs are cancelled and followed, down to the provider's connection and the command's processes.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::harness::{TestGateway, echo};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A model server that begins to answer, and then waits; it tells that it was asked, and that its connection ended.
async fn hung_model() -> (String, oneshot::Receiver<()>, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let ((asked, was_asked), (ended, has_ended)) = (oneshot::channel(), oneshot::channel());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await.unwrap();
        let begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        stream.write_all(begin).await.unwrap();
        asked.send(()).unwrap();
        // What is still sent is read; the end of the connection is what counts.
        while stream.read(&mut head).await.is_ok_and(|read| read > 0) {}
        ended.send(()).unwrap();
    });
    (url, was_asked, has_ended)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

/// Returns the text of a file once it is there and not empty.
async fn text_of(path: &Path) -> String {
    soon(async {
        loop {
            match std::fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
}

fn is_there(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}

async fn begin(gateway: &TestGateway, job: &Value) -> String {
    let id = gateway.job(job).await;
    let asked = gateway.post(&format!("/api/v1/jobs/{id}/run"), &json!({})).await;
    asked.ok(202)["runId"].as_str().unwrap().to_owned()
}

/// The events of a run, as they come.
struct Live(BufReader<TcpStream>);

impl Live {
    async fn follow(gateway: &TestGateway, run: &str) -> Self {
        let authority = gateway.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect_to(authority).await;
        let head = format!(
            "GET /api/v1/runs/{run}/live HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {}\r\n\r\n",
            gateway.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut live = Self(BufReader::new(stream));
        assert!(live.line().await.starts_with("HTTP/1.1 200"));
        live
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        soon(self.0.read_line(&mut line)).await.unwrap();
        line.trim_end().to_owned()
    }

    /// The next event: its name and its data.
    async fn next(&mut self) -> (String, Value) {
        let name = loop {
            if let Some(name) = self.line().await.strip_prefix("event: ") {
                break name.to_owned();
            }
        };
        let data = self.line().await;
        (name, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
    }

    /// What the run put out until its end, and the end.
    async fn into_end(mut self) -> (String, Value) {
        let mut told = String::new();
        loop {
            match self.next().await {
                (name, data) if name == "end" => return (told, data),
                (_, data) => told.push_str(data["text"].as_str().unwrap_or_default()),
            }
        }
    }
}

trait ConnectTo {
    async fn connect_to(authority: &str) -> TcpStream;
}

impl ConnectTo for TcpStream {
    #[expect(clippy::disallowed_methods, reason = "the test's own gateway")]
    async fn connect_to(authority: &str) -> Self {
        Self::connect(authority).await.unwrap()
    }
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends_its_commands_whole_tree_of_processes() {
    let gateway = TestGateway::start("{}").await;
    let pids = gateway.state_dir.path().join("pids");
    let script = format!("sleep 1000 & echo $$ $! > {}; wait", pids.display());
    let mut job = echo("");
    job["payload"]["argv"] = json!(["/bin/sh", "-c", script]);
    let run = begin(&gateway, &job).await;
    let pids = text_of(&pids).await;
    assert!(pids.split(' ').all(is_there));

    let cancelled = gateway.post(&format!("/api/v1/runs/{run}/cancel?waitSeconds=60"), &json!({})).await;
    let entry = cancelled.ok(200);
    assert_eq!((&entry["status"], &entry["errorReason"]), (&json!("error"), &json!("cancelled")));
    assert!(!pids.split(' ').any(is_there), "nothing of it is left");
    let again = gateway.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await;
    let error = again.refused(409, "already_over");
    assert!(error["message"].as_str().unwrap().contains("error (cancelled)"), "{error}");
    let unknown = gateway.post("/api/v1/runs/run_0198c2d57b1a7c3e9f40a1b2c3d4e5f6/cancel", &json!({})).await;
    unknown.refused(404, "not_found");
    gateway.post("/api/v1/runs/x/cancel", &json!({})).await.refused(404, "not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_lets_go_of_its_models_connection() {
    let (url, was_asked, has_ended) = hung_model().await;
    let gateway = TestGateway::start(&format!(
        "{{ models: {{ providers: {{ hung: {{ baseUrl: '{url}' }} }} }}, agents: {{ defaults: {{ model: 'hung/x' }} }} }}"
    ))
    .await;
    let mut job = echo("");
    job["payload"] = json!({ "kind": "agentTurn", "message": "hi" });
    let run = begin(&gateway, &job).await;
    soon(was_asked).await.unwrap();
    let cancelled = gateway.post(&format!("/api/v1/runs/{run}/cancel?waitSeconds=60"), &json!({})).await;
    assert_eq!(cancelled.ok(200)["errorReason"], "cancelled");
    soon(has_ended).await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn whoever_follows_a_run_is_told_what_came_what_comes_and_how_it_ends() {
    let gateway = TestGateway::start("{}").await;
    let go = gateway.state_dir.path().join("go");
    let script = format!("echo first; until [ -e {} ]; do sleep 0.01; done; echo second", go.display());
    let mut job = echo("");
    job["payload"]["argv"] = json!(["/bin/sh", "-c", script]);
    let run = begin(&gateway, &job).await;
    let mut early = Live::follow(&gateway, &run).await;
    let mut told = String::new();
    while !told.contains("first") {
        told.push_str(early.next().await.1["text"].as_str().unwrap_or_default());
    }
    let late = Live::follow(&gateway, &run).await;
    std::fs::write(&go, "").unwrap();
    let (told, end) = late.into_end().await;
    assert_eq!((told.as_str(), &end["summary"]), ("first\nsecond\n", &json!("first\nsecond")));
    assert_eq!(early.into_end().await.1, end);
    let (told, after) = Live::follow(&gateway, &run).await.into_end().await;
    assert_eq!((told.as_str(), &after), ("", &end), "what is over is told at once");
    gateway.get("/api/v1/runs/x/live").await.refused(404, "not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn a_run_that_waits_says_why_and_is_followed_once_it_begins() {
    let gateway = TestGateway::start("{ cron: { maxConcurrentRuns: 1 } }").await;
    let mut blocker = echo("");
    blocker["payload"]["argv"] = json!(["/bin/sh", "-c", "sleep 1000"]);
    let blocker = begin(&gateway, &blocker).await;
    let go = gateway.state_dir.path().join("go");
    let script = format!("echo hello; until [ -e {} ]; do sleep 0.01; done", go.display());
    let mut job = echo("");
    job["payload"]["argv"] = json!(["/bin/sh", "-c", script]);
    let run = begin(&gateway, &job).await;
    let mut live = Live::follow(&gateway, &run).await;
    let (name, data) = live.next().await;
    assert_eq!((name.as_str(), &data["deferred"]), ("waiting", &json!(false)));
    assert!(data["reason"].as_str().unwrap().contains("slot"), "{data}");
    gateway.post(&format!("/api/v1/runs/{blocker}/cancel"), &json!({})).await.ok(202);
    let mut told = String::new();
    while !told.contains("hello") {
        told.push_str(live.next().await.1["text"].as_str().unwrap_or_default());
    }
    std::fs::write(&go, "").unwrap();
    assert_eq!(live.into_end().await.1["status"], "ok");
    gateway.stop().await;
}

#[tokio::test]
async fn only_so_many_follow_at_once_and_a_stopping_gateway_waits_for_none_of_them() {
    let gateway = TestGateway::start("{}").await;
    let mut job = echo("");
    job["payload"]["argv"] = json!(["/bin/sh", "-c", "echo up; sleep 1000"]);
    let run = begin(&gateway, &job).await;
    let mut followers = Vec::new();
    for _ in 0..64 {
        followers.push(Live::follow(&gateway, &run).await);
    }
    gateway.get(&format!("/api/v1/runs/{run}/live")).await.refused(429, "too_many_followers");
    gateway.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await.ok(202);
    soon(gateway.stop()).await;
}
