//! `clawhook listen`: what it verifies, answers, remembers and shows.

use std::time::{Duration, Instant};

use clawhook_clock::{Clock as _, SystemClock};
use clawhook_delivery::{SigningSecret, sign};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::processes::{Home, Running, json_lines, send};

/// A receiver with a secret, and the sender that shares it.
struct Pair {
    home: Home,
    secret: SigningSecret,
}

impl Pair {
    fn new() -> Self {
        let home = Home::new();
        let secret = SigningSecret::generate().unwrap();
        home.write(".clawhook/signing-secret", &format!("{}\n", secret.to_file_text().expose_secret()));
        Self { home, secret }
    }

    fn start(&self, flags: &[&str]) -> Running {
        self.home.start(&[&["listen", "--port", "0"], flags].concat())
    }

    fn start_json(&self, flags: &[&str]) -> Running {
        let args = [&["listen", "--port", "0", "--json"], flags].concat();
        Running::start_quietly(&mut self.home.command(&args))
    }

    fn post(&self, to: &Running, body: &[u8]) -> (u16, String) {
        post_signed(to, &self.secret, "evt_1", SystemClock.now().as_secs(), body)
    }
}

fn post_signed(to: &Running, secret: &SigningSecret, id: &str, at_secs: i64, body: &[u8]) -> (u16, String) {
    let signature = sign(secret, id, at_secs, body);
    let timestamp = at_secs.to_string();
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", &timestamp),
        ("webhook-signature", &signature),
        ("clawhook-attempt", "1"),
    ];
    send(&to.url, "POST", &headers, body)
}

fn event(run: &str) -> Vec<u8> {
    format!(
        r#"{{"jobId":"job-1","runId":"{run}","jobName":"daily","status":"ok","durationMs":1250,"summary":"one\ntwo"}}"#
    )
    .into_bytes()
}

fn next_json(from: &Running) -> Value {
    serde_json::from_str(&from.next_line()).unwrap()
}

#[test]
fn a_genuine_event_is_accepted_once_and_recognised_when_it_comes_again() {
    let pair = Pair::new();
    let receiver = pair.start_json(&[]);
    for (run, verdict) in [("run_1", "accepted"), ("run_1", "duplicate"), ("run_2", "accepted")] {
        let (status, answer) = pair.post(&receiver, &event(run));
        assert_eq!(status, 200);
        assert!(answer.contains(verdict), "{answer}");
        let line = next_json(&receiver);
        assert_eq!((&line["verdict"], &line["runId"]), (&verdict.into(), &run.into()), "{line}");
        assert_eq!(line["signature"], "valid");
        assert_eq!(line["event"]["summary"], "one\ntwo");
    }
    let (code, rest) = receiver.stop();
    assert_eq!((code, rest), (0, Vec::new()));
}

#[test]
fn what_is_not_genuine_is_answered_401_and_its_content_not_shown() {
    let pair = Pair::new();
    let receiver = pair.start_json(&[]);
    let now = SystemClock.now().as_secs();
    let other = SigningSecret::generate().unwrap();
    let body = event("run_1");
    assert_eq!(post_signed(&receiver, &other, "evt_1", now, &body).0, 401);
    assert!(next_json(&receiver)["error"].as_str().unwrap().contains("no signature matches"));
    assert_eq!(post_signed(&receiver, &pair.secret, "evt_1", now - 3_600, &body).0, 401);
    assert!(next_json(&receiver)["error"].as_str().unwrap().contains("3600 s ago"));
    assert_eq!(send(&receiver.url, "POST", &[], &body).0, 401);
    let line = next_json(&receiver);
    assert_eq!((&line["verdict"], &line["signature"]), (&"refused".into(), &"wrong".into()));
    assert_eq!(line["event"], Value::Null);
    assert_eq!(line["path"], "/hook", "a token in the query is not shown");
    assert_eq!(send(&receiver.url, "GET", &[], b"").0, 405);
    next_json(&receiver);

    assert_eq!(pair.post(&receiver, &body).0, 200);
    assert_eq!(next_json(&receiver)["verdict"], "accepted", "what was refused was not handled");
}

#[test]
fn the_first_requests_fail_and_are_new_when_they_come_again() {
    let pair = Pair::new();
    let receiver = pair.start_json(&["--fail-first", "2"]);
    for (status, verdict) in [(500, "failed"), (500, "failed"), (200, "accepted"), (200, "duplicate")] {
        assert_eq!(pair.post(&receiver, &event("run_1")).0, status);
        assert_eq!(next_json(&receiver)["verdict"], verdict);
    }
}

#[test]
fn a_status_is_answered_as_wanted() {
    let pair = Pair::new();
    for (status, verdict) in [("204", "accepted"), ("503", "failed"), ("302", "failed")] {
        let receiver = pair.start_json(&["--status", status]);
        assert_eq!(pair.post(&receiver, &event("run_1")).0.to_string(), status);
        assert_eq!(next_json(&receiver)["verdict"], verdict);
    }
}

#[test]
fn an_answer_waits_as_long_as_wanted() {
    let pair = Pair::new();
    for delay in ["300", "300ms"] {
        let receiver = pair.start(&["--delay", delay]);
        let began = Instant::now();
        assert_eq!(pair.post(&receiver, &event("run_1")).0, 200);
        assert!(began.elapsed() >= Duration::from_millis(300));
    }
}

#[test]
fn the_request_log_has_time_status_and_hash_of_every_request() {
    let pair = Pair::new();
    let log = pair.home.path("requests.jsonl");
    let receiver = pair.start_json(&["--fail-first", "1", "--log", log.to_str().unwrap()]);
    let body = event("run_1");
    pair.post(&receiver, &body);
    pair.post(&receiver, &body);
    assert_eq!(receiver.stop().0, 0);
    let lines = json_lines(&log);
    let hash: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(lines.len(), 2);
    for (line, status) in lines.iter().zip([500, 200]) {
        assert_eq!(line["status"], status);
        assert_eq!(line["sha256"], hash);
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(line.get("event").is_none(), "{line}");
    }
}

#[test]
fn people_see_what_came_and_no_control_characters() {
    let pair = Pair::new();
    let receiver = pair.start(&[]);
    let body = br#"{"jobId":"job-1","runId":"run_1","jobName":"da\u001b[31mily","status":"ok","durationMs":1250,"summary":"one\ntw\u001b]0;o"}"#;
    pair.post(&receiver, body);
    let headline = receiver.next_line();
    assert!(headline.ends_with("200 accepted  da[31mily: ok in 1.25s"), "{headline}");
    let facts = receiver.next_line();
    assert!(facts.contains("try 1, signature valid,"), "{facts}");
    assert_eq!(receiver.next_line(), "    job job-1, run run_1");
    assert_eq!(receiver.next_line(), "    | one");
    assert_eq!(receiver.next_line(), "    | tw]0;o");
}

#[test]
fn without_a_secret_it_says_that_it_verifies_nothing() {
    let home = Home::new();
    let receiver = home.start(&["listen", "--port", "0"]);
    assert!(receiver.next_message().starts_with("warning: NOTHING IS VERIFIED"));
    assert_eq!(send(&receiver.url, "POST", &[], &event("run_1")).0, 200);
    assert!(receiver.next_line().contains("200 accepted"));
    assert!(receiver.next_line().contains("not verified"));
}

#[test]
fn a_secret_that_is_none_is_refused_and_not_shown() {
    let home = Home::new();
    let ended = home.run(&["listen", "--port", "0", "--secret", "s3cret"]);
    ended.failed(1, "a signing secret begins with `whsec_`");
    assert!(!ended.stderr.contains("s3cret"), "{ended:?}");
    let missing = home.path("missing");
    home.run(&["listen", "--port", "0", "--secret-file", missing.to_str().unwrap()]).failed(1, "missing");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let home = Home::new();
    let first = home.start(&["listen", "--port", "0"]);
    let port = first.url.rsplit(':').next().unwrap();
    home.run(&["listen", "--port", port]).failed(1, &format!("cannot listen on 127.0.0.1:{port}"));
}
