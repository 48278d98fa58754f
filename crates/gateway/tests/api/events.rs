//! The log of events: streams that are taken up again, pages, filters, and what is kept no more.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::harness::{TestGateway, echo, start_in};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

/// One block of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Block {
    id: Option<u64>,
    name: String,
    data: Value,
}

/// A stream, as it comes.
struct Stream(BufReader<TcpStream>);

impl Stream {
    async fn open(gateway: &TestGateway, query: &str, headers: &str) -> Self {
        let authority = gateway.url.strip_prefix("http://").unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test's own gateway")]
        let mut stream = TcpStream::connect(authority).await.unwrap();
        let head = format!(
            "GET /api/v1/events{query} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {}\r\n{headers}\r\n",
            gateway.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut stream = Self(BufReader::new(stream));
        assert!(stream.line().await.starts_with("HTTP/1.1 200"));
        stream
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        soon(self.0.read_line(&mut line)).await.unwrap();
        line.trim_end().to_owned()
    }

    /// The next block; heads, lengths of chunks and comments are passed over.
    async fn next(&mut self) -> Block {
        let mut block = Block::default();
        loop {
            let line = self.line().await;
            if let Some(id) = line.strip_prefix("id: ") {
                block.id = Some(id.parse().unwrap());
            } else if let Some(name) = line.strip_prefix("event: ") {
                block.name = name.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                block.data = serde_json::from_str(data).unwrap();
            } else if line.is_empty() && block != Block::default() {
                return block;
            }
        }
    }

    /// The names and numbers of the next blocks.
    async fn take(&mut self, many: usize) -> Vec<(String, u64)> {
        let mut taken = Vec::new();
        for _ in 0..many {
            let block = self.next().await;
            taken.push((block.name, block.id.unwrap()));
        }
        taken
    }
}

async fn page(gateway: &TestGateway, query: &str) -> Value {
    let answer = gateway.get_as(&format!("/api/v1/events{query}"), "application/json").await;
    answer.ok(200).clone()
}

fn names(taken: &[(String, u64)]) -> Vec<&str> {
    taken.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_stream_tells_what_happens_and_goes_on_where_it_was_left() {
    let gateway = TestGateway::start("{}").await;
    let mut stream = Stream::open(&gateway, "", "").await;
    let job = gateway.job(&echo("hello")).await;
    gateway.run_to_the_end(&job).await;
    let told = stream.take(3).await;
    assert_eq!(names(&told), ["job.added", "run.started", "run.finished"]);
    drop(stream);
    gateway.delete(&format!("/api/v1/jobs/{job}")).await.ok(200);
    let state = gateway.stop().await;
    let gateway = start_in(state.path(), "{}").await.unwrap();
    let gateway = TestGateway::run(gateway, state);
    let headers = format!("last-event-id: {}\r\n", told[1].1);
    let mut stream = Stream::open(&gateway, "?after=0", &headers).await;
    let first = stream.next().await;
    assert_eq!((first.name.as_str(), first.id), ("run.finished", Some(told[2].1)));
    assert_eq!((&first.data["summary"], &first.data["action"]), (&json!("hello"), &json!("finished")));
    assert_eq!(names(&stream.take(1).await), ["job.removed"]);
    gateway.job(&echo("again")).await;
    assert_eq!(names(&stream.take(1).await), ["job.added"], "and then what happens next");
}

#[tokio::test]
async fn a_stream_is_filtered() {
    let gateway = TestGateway::start("{}").await;
    let (seen, other) = (gateway.job(&echo("seen")).await, gateway.job(&echo("other")).await);
    let query = format!("?after=0&types=run.*,job.removed&job={seen}");
    let mut stream = Stream::open(&gateway, &query, "").await;
    let mut failures = Stream::open(&gateway, "?status=error", "").await;
    gateway.run_to_the_end(&other).await;
    gateway.run_to_the_end(&seen).await;
    gateway.delete(&format!("/api/v1/jobs/{seen}")).await.ok(200);
    assert_eq!(names(&stream.take(3).await), ["run.started", "run.finished", "job.removed"]);
    let mut fails = echo("");
    fails["payload"]["argv"] = json!(["/bin/sh", "-c", "exit 3"]);
    let fails = gateway.job(&fails).await;
    gateway.run_to_the_end(&fails).await;
    let failed = failures.next().await;
    assert_eq!((failed.name.as_str(), &failed.data["jobId"]), ("run.finished", &json!(fails)));
}

#[tokio::test]
async fn pages_are_for_those_who_poll() {
    let gateway = TestGateway::start("{}").await;
    let job = gateway.job(&echo("hello")).await;
    gateway.run_to_the_end(&job).await;
    let newest = page(&gateway, "?limit=1").await;
    assert_eq!((&newest["nextAfter"], &newest["end"]), (&json!(3), &json!(3)));
    let event = &newest["events"][0];
    assert_eq!(
        (&event["type"], &event["action"], &event["seq"]),
        (&json!("run.finished"), &json!("finished"), &json!(3))
    );
    assert_eq!((&event["event"]["summary"], &event["jobId"]), (&json!("hello"), &json!(job)));
    let first = page(&gateway, "?after=0&limit=2").await;
    assert_eq!((first["events"].as_array().unwrap().len(), &first["nextAfter"]), (2, &json!(2)));
    let rest = page(&gateway, "?after=2").await;
    assert_eq!(rest["events"][0], *event);
    assert_eq!(page(&gateway, "?after=3").await["events"], json!([]));
    assert!(first.get("gap").is_none());
}

#[tokio::test]
async fn what_cannot_be_told_is_refused() {
    let gateway = TestGateway::start("{}").await;
    let get =
        async |query: &str| gateway.get_as(&format!("/api/v1/events{query}"), "text/event-stream").await;
    for ahead in [get("?after=99").await, gateway.get_as("/api/v1/events?after=99", "application/json").await]
    {
        let error = ahead.refused(400, "no_such_position");
        assert!(error["message"].as_str().unwrap().contains("99"), "{error}");
    }
    let unknown = get("?types=run.*,job.exploded").await;
    let error = unknown.refused(400, "invalid_query");
    assert!(error["hint"].as_str().unwrap().contains("run.finished"), "{error}");
    for query in ["?limit=5", "?after=-1", "?typs=run.*", "?status=great"] {
        get(query).await.refused(400, "invalid_query");
    }
    let open = gateway.request(Method::GET, "/api/v1/events", None, "").await;
    open.refused(401, "unauthorized");
}

#[tokio::test]
async fn a_slow_client_loses_nothing() {
    let gateway = TestGateway::start("{}").await;
    let mut stream = Stream::open(&gateway, "?types=job.*", "").await;
    let text = "x".repeat(60_000);
    let mut ids = Vec::new();
    for number in 0..150 {
        let mut job = echo("");
        job["description"] = json!(text);
        job["name"] = json!(number.to_string());
        ids.push(gateway.job(&job).await);
    }
    // Far more than a page and the sockets between us hold has gathered by now.
    for id in ids {
        let block = stream.next().await;
        assert_eq!((block.name.as_str(), &block.data["jobId"]), ("job.added", &json!(id)));
    }
}
