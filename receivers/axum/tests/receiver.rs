//! The receiver on a real socket.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, UNIX_EPOCH};

use clawhook_axum_receiver::{Receiver, WEBHOOK_PATH};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_AAKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Started {
    port: u16,
    events: mpsc::Receiver<Value>,
}

/// A receiver on a free port, whose queue has room for `room` events and is emptied by the test.
async fn start(room: usize) -> Started {
    let (queue, events) = mpsc::channel(room);
    let router = Receiver::new(SECRET, queue).unwrap().into_router();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Started { port, events }
}

struct Signed<'a> {
    id: &'a str,
    timestamp: i64,
    signature: String,
    body: String,
}

fn now() -> i64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap()
}

fn signed<'a>(secret: &str, id: &'a str, timestamp: i64, body: &Value) -> Signed<'a> {
    let body = body.to_string();
    let signature = Webhook::new(secret).unwrap().sign(id, timestamp, body.as_bytes()).unwrap();
    Signed { id, timestamp, signature, body }
}

impl Started {
    /// Sends a request with an ordinary blocking client, and gives the answer's status.
    async fn post(&self, request: Signed<'_>) -> u16 {
        let Signed { id, timestamp, signature, body } = request;
        let length = body.len();
        let message = format!(
            "POST {WEBHOOK_PATH} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nwebhook-id: {id}\r\n\
             webhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let port = self.port;
        tokio::task::spawn_blocking(move || exchange(port, &message)).await.unwrap()
    }

    fn queued(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| event["runId"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The status of the answer to `message`.
fn exchange(port: u16, message: &str) -> u16 {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(message.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn event(run: &str) -> Value {
    json!({ "jobId": "job-1", "runId": run, "summary": "整理今日重點" })
}

#[tokio::test]
async fn a_signed_event_is_accepted_and_a_repeat_is_not_queued_again() {
    let mut receiver = start(10).await;
    for (id, run) in [("evt_1", "run_1"), ("evt_1", "run_1"), ("evt_2", "run_2")] {
        assert_eq!(receiver.post(signed(SECRET, id, now(), &event(run))).await, 204);
    }
    assert_eq!(receiver.queued(), ["run_1", "run_2"]);
}

#[tokio::test]
async fn what_is_not_genuine_is_refused_with_401() {
    let mut receiver = start(10).await;
    let good = || signed(SECRET, "evt_1", now(), &event("run_1"));
    for (what, request) in [
        ("another secret", signed(OTHER_SECRET, "evt_1", now(), &event("run_1"))),
        ("too old", signed(SECRET, "evt_1", now() - 600, &event("run_1"))),
        ("from the future", signed(SECRET, "evt_1", now() + 600, &event("run_1"))),
        ("a changed byte", Signed { body: event("run_2").to_string(), ..good() }),
        ("another id", Signed { id: "evt_2", ..good() }),
        ("no base64", Signed { signature: "v1,%%%".to_owned(), ..good() }),
        ("no comma", Signed { signature: "v1".to_owned(), ..good() }),
        ("no signature", Signed { signature: String::new(), ..good() }),
    ] {
        assert_eq!(receiver.post(request).await, 401, "{what}");
    }
    assert!(receiver.queued().is_empty());
}

#[tokio::test]
async fn a_body_of_a_mebibyte_is_accepted_and_one_of_more_than_two_is_not() {
    let receiver = start(10).await;
    let large = json!({ "summary": "x".repeat(1 << 20) });
    assert_eq!(receiver.post(signed(SECRET, "evt_1", now(), &large)).await, 204);
    // One byte too many, so that the receiver has read all of it when it refuses.
    let too_large = json!("x".repeat((1 << 21) - 1));
    assert_eq!(receiver.post(signed(SECRET, "evt_2", now(), &too_large)).await, 413);
}

#[tokio::test]
async fn a_full_queue_answers_503_and_the_event_is_taken_when_there_is_room_again() {
    let mut receiver = start(1).await;
    let send = |id| signed(SECRET, id, now(), &event("run"));
    assert_eq!(receiver.post(send("evt_1")).await, 204, "the answer does not wait for the work");
    assert_eq!(receiver.post(send("evt_2")).await, 503);
    assert_eq!(receiver.post(send("evt_1")).await, 204, "a repeat needs no room");
    receiver.events.recv().await.unwrap();
    assert_eq!(receiver.post(send("evt_2")).await, 204);
}
