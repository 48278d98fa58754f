//! `clawhook conformance`: what it makes of a good endpoint, and of endpoints that each have one fault.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clawhook_clock::{Clock as _, SystemClock};
use clawhook_delivery::{SignedHeaders, SigningSecret, VerifyError, sign, verify};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::processes::{Ended, Home};

const TOLERANCE: Duration = Duration::from_secs(300);

/// What an endpoint does with a request.
enum Answer {
    Status(u16),
    Redirect(&'static str),
    Text(String),
    Never,
}

/// A request as an endpoint of the test sees it.
struct Received {
    method: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn signed(&self) -> SignedHeaders<'_> {
        SignedHeaders {
            id: self.header("webhook-id"),
            timestamp: self.header("webhook-timestamp"),
            signature: self.header("webhook-signature"),
        }
    }

    fn verify(&self, secret: &SigningSecret, tolerance: Duration) -> Result<(), VerifyError> {
        verify(secret, &self.signed(), &self.body, SystemClock.now().as_secs(), tolerance)
    }

    fn answer(&self, secret: &SigningSecret) -> Answer {
        Answer::Status(if self.verify(secret, TOLERANCE).is_ok() { 204 } else { 401 })
    }
}

/// An endpoint on this machine, with one rule for all requests.
struct Endpoint {
    home: Home,
    url: String,
    secret: SigningSecret,
    _runtime: Runtime,
}

impl Endpoint {
    fn start(rule: impl Fn(&SigningSecret, &Received) -> Answer + Send + Sync + 'static) -> Self {
        let secret = SigningSecret::generate().unwrap();
        let home = Home::new();
        home.write("secret", secret.to_file_text().expose_secret());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let rule: Arc<dyn Fn(&Received) -> Answer + Send + Sync> = {
            let secret = secret.clone();
            Arc::new(move |received| rule(&secret, received))
        };
        runtime.spawn(accept(listener, rule));
        Self { home, url, secret, _runtime: runtime }
    }

    fn examine(&self, flags: &[&str]) -> Ended {
        let file = self.home.path("secret");
        let args = ["conformance", &self.url, "--allow-private", "--secret-file", file.to_str().unwrap()];
        let ended = self.home.run(&[&args, flags].concat());
        let secret = self.secret.to_file_text();
        assert!(!ended.stdout.contains(secret.expose_secret()), "{ended:?}");
        ended
    }

    /// The exit code and what was found out.
    #[track_caller]
    fn findings(&self, flags: &[&str]) -> (i32, Value) {
        let ended = self.examine(&[&["--json"], flags].concat());
        let findings = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
        (ended.code, findings)
    }

    /// The endpoint fails in these cases and in no other.
    #[track_caller]
    fn fails_in(&self, names: &[&str]) {
        let (code, findings) = self.findings(&[]);
        assert_eq!(names_of(&findings, "fail"), names, "{findings:#}");
        assert_eq!(names_of(&findings, "skipped"), [""; 0], "{findings:#}");
        assert_eq!(code, i32::from(!names.is_empty()));
    }
}

async fn accept(listener: TcpListener, rule: Arc<dyn Fn(&Received) -> Answer + Send + Sync>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let rule = rule.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, rule.clone()));
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    rule: Arc<dyn Fn(&Received) -> Answer + Send + Sync>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let received = Received { method: head.method.to_string(), headers: head.headers, body };
    let builder = Response::builder();
    Ok(match rule(&received) {
        Answer::Status(status) => builder.status(status).body(Full::default()).unwrap(),
        Answer::Redirect(to) => builder.status(302).header("location", to).body(Full::default()).unwrap(),
        Answer::Text(text) => builder.body(Full::from(text)).unwrap(),
        Answer::Never => std::future::pending().await,
    })
}

fn names_of<'a>(findings: &'a Value, verdict: &str) -> Vec<&'a str> {
    let cases = findings["cases"].as_array().unwrap();
    cases
        .iter()
        .filter(|case| case["verdict"] == verdict)
        .map(|case| case["name"].as_str().unwrap())
        .collect()
}

fn case<'a>(findings: &'a Value, name: &str) -> &'a Value {
    findings["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap()
}

#[test]
fn a_good_endpoint_passes_every_case() {
    let endpoint = Endpoint::start(|secret, received| received.answer(secret));
    let (code, findings) = endpoint.findings(&[]);
    assert_eq!((code, &findings["verdict"]), (0, &"pass".into()), "{findings:#}");
    assert!(findings["latencyMs"]["p50"].is_u64(), "{findings:#}");
    assert_eq!(names_of(&findings, "pass").len(), findings["cases"].as_array().unwrap().len());
    for member in ["name", "sent", "expected", "came", "statuses", "verdict", "advice"] {
        assert!(case(&findings, "rotation").get(member).is_some(), "{member}");
    }
}

#[test]
fn the_receiver_of_the_command_line_passes_every_case() {
    let home = Home::new();
    let secret = SigningSecret::generate().unwrap();
    home.write(".clawhook/signing-secret", secret.to_file_text().expose_secret());
    let receiver = home.start(&["listen", "--port", "0"]);
    let text = home.run(&["conformance", &receiver.url, "--allow-private"]).ok();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("Verdict  Case"), "{text}");
    assert!(lines[1].starts_with("pass     good-event"), "{text}");
    assert!(lines.last().unwrap().ends_with("/: 22 passed"), "{text}");
    assert!(receiver.next_line().contains("clawhook-conformance"), "the events say that they are tests");
}

#[test]
fn an_endpoint_that_verifies_nothing_fails_wherever_it_should_refuse() {
    Endpoint::start(|_, _| Answer::Status(200)).fails_in(&[
        "wrong-key",
        "missing-signature",
        "malformed-signature",
        "empty-signature",
        "changed-body",
        "changed-id",
        "changed-timestamp",
        "old-timestamp",
        "future-timestamp",
    ]);
}

#[test]
fn an_endpoint_that_takes_one_signature_alone_fails_where_there_are_two() {
    let endpoint = Endpoint::start(|secret, received| {
        let SignedHeaders { id, timestamp, signature } = received.signed();
        let right = sign(secret, id, timestamp.parse().unwrap(), &received.body) == signature;
        Answer::Status(if right && received.verify(secret, TOLERANCE).is_ok() { 200 } else { 401 })
    });
    endpoint.fails_in(&["rotation", "unknown-version"]);
}

#[test]
fn an_endpoint_that_ignores_the_timestamp_fails_with_old_and_future_ones() {
    let endpoint = Endpoint::start(|secret, received| {
        let ever = Duration::from_secs(1 << 40);
        Answer::Status(if received.verify(secret, ever).is_ok() { 200 } else { 401 })
    });
    endpoint.fails_in(&["old-timestamp", "future-timestamp"]);
}

#[test]
fn an_endpoint_that_verifies_rewritten_json_fails_with_exact_bytes() {
    let endpoint = Endpoint::start(|secret, received| {
        let Ok(value) = serde_json::from_slice::<Value>(&received.body) else { return Answer::Status(401) };
        let body = Bytes::from(value.to_string());
        let rewritten = Received { method: String::new(), headers: received.headers.clone(), body };
        rewritten.answer(secret)
    });
    endpoint.fails_in(&["exact-bytes"]);
}

#[test]
fn an_endpoint_that_breaks_on_what_it_did_not_expect_fails_there() {
    let breaks_on_long = Endpoint::start(|secret, received| {
        if received.body.len() > 1 << 20 { Answer::Status(500) } else { received.answer(secret) }
    });
    breaks_on_long.fails_in(&["large"]);

    let throws_on_malformed = Endpoint::start(|secret, received| {
        if received.header("webhook-signature").contains('%') {
            Answer::Status(500)
        } else {
            received.answer(secret)
        }
    });
    throws_on_malformed.fails_in(&["malformed-signature"]);

    let knows_every_field = Endpoint::start(|secret, received| {
        let is_new = received.body.windows(10).any(|window| window == b"futureText");
        if is_new { Answer::Status(422) } else { received.answer(secret) }
    });
    knows_every_field.fails_in(&["added-fields"]);

    let json_alone = Endpoint::start(|secret, received| {
        if received.header("content-type") == "application/json" {
            received.answer(secret)
        } else {
            Answer::Status(500)
        }
    });
    json_alone.fails_in(&["content-type"]);
}

#[test]
fn an_endpoint_that_refuses_old_news_fails_where_it_comes_late_or_out_of_order() {
    let newest = Mutex::new(0);
    let only_forward = Endpoint::start(move |secret, received| {
        let Ok(event) = serde_json::from_slice::<Value>(&received.body) else { return Answer::Status(401) };
        let at = event["runAtMs"].as_i64().unwrap();
        let mut newest = newest.lock().unwrap();
        match received.verify(secret, TOLERANCE) {
            Err(_) => Answer::Status(401),
            Ok(()) if at + 60_000 < *newest => Answer::Status(409),
            Ok(()) => {
                *newest = at.max(*newest);
                Answer::Status(200)
            }
        }
    });
    only_forward.fails_in(&["reordered", "late"]);
}

#[test]
fn a_refusal_in_other_words_is_a_warning_and_no_failure() {
    let endpoint = Endpoint::start(|secret, received| match received.answer(secret) {
        Answer::Status(401) => Answer::Status(400),
        other => other,
    });
    let (code, findings) = endpoint.findings(&[]);
    assert_eq!((code, &findings["verdict"]), (0, &"warn".into()), "{findings:#}");
    assert!(case(&findings, "wrong-key")["advice"].as_str().unwrap().contains("401"));
}

#[test]
fn while_a_good_event_is_not_accepted_nothing_else_is_tried() {
    let redirects = Endpoint::start(|_, _| Answer::Redirect("/login"));
    let (code, findings) = redirects.findings(&[]);
    assert_eq!((code, names_of(&findings, "fail")), (1, vec!["good-event"]), "{findings:#}");
    assert_eq!(names_of(&findings, "skipped").len(), findings["cases"].as_array().unwrap().len() - 1);
    assert!(case(&findings, "good-event")["advice"].as_str().unwrap().contains("/login"));

    let hangs = Endpoint::start(|_, _| Answer::Never);
    let (code, findings) = hangs.findings(&["--timeout", "200ms"]);
    assert_eq!((code, names_of(&findings, "fail")), (1, vec!["good-event"]), "{findings:#}");
    assert!(
        case(&findings, "good-event")["advice"].as_str().unwrap().contains("answer, and work afterwards")
    );

    let busy = Endpoint::start(|_, _| Answer::Status(503));
    let (code, findings) = busy.findings(&[]);
    assert_eq!((code, names_of(&findings, "fail")), (1, vec!["good-event"]), "{findings:#}");

    let other_secret = SigningSecret::generate().unwrap();
    let knows_another = Endpoint::start(move |_, received| received.answer(&other_secret));
    let (code, findings) = knows_another.findings(&[]);
    assert_eq!((code, names_of(&findings, "fail")), (1, vec!["good-event"]), "{findings:#}");
}

/// An endpoint that processes what `is_new` says, and answers a GET with the count.
fn counting(is_new: impl Fn(&mut HashSet<String>, &str) -> bool + Send + Sync + 'static) -> Endpoint {
    let seen = Mutex::new((HashSet::new(), 0u64));
    Endpoint::start(move |secret, received| {
        let (known, processed) = &mut *seen.lock().unwrap();
        if received.method == "GET" {
            return Answer::Text(format!(r#"{{"processed":{processed}}}"#));
        }
        if received.verify(secret, TOLERANCE).is_ok() {
            *processed += u64::from(is_new(known, received.header("webhook-id")));
        }
        received.answer(secret)
    })
}

#[test]
fn where_the_endpoint_counts_it_is_proven_that_a_repeat_is_processed_once() {
    for (endpoint, verdict, came) in [
        (counting(|known, id| known.insert(id.to_owned())), "pass", "processed once"),
        (counting(|_, _| true), "fail", "processed 2 times"),
        (counting(|_, _| false), "fail", "processed never"),
    ] {
        let (_, findings) = endpoint.findings(&["--effects-url", &endpoint.url, "--timeout", "1s"]);
        let repeated = case(&findings, "repeated");
        assert_eq!(repeated["verdict"], verdict, "{findings:#}");
        assert!(repeated["came"].as_str().unwrap().contains(came), "{repeated:#}");
    }
}

#[test]
fn an_effects_url_that_does_not_count_is_told_before_anything_is_sent() {
    let endpoint = Endpoint::start(|secret, received| {
        assert_eq!(received.method, "GET");
        received.answer(secret)
    });
    let ended = endpoint.examine(&["--effects-url", &format!("{}?token=s3cret", endpoint.url)]);
    ended.failed(2, "answered 401, and the count was expected");
    assert!(!ended.stderr.contains("s3cret"), "{ended:?}");
}

#[test]
fn the_bearer_token_goes_along_and_is_not_shown() {
    let endpoint = Endpoint::start(|secret, received| match received.header("authorization") {
        "Bearer t0ken" => received.answer(secret),
        _ => Answer::Status(403),
    });
    let (code, findings) = endpoint.findings(&["--bearer", "t0ken"]);
    assert_eq!(code, 0, "{findings:#}");
    assert!(!findings.to_string().contains("t0ken"));
    assert_eq!(endpoint.findings(&[]).0, 1);
}

#[test]
fn an_endpoint_that_cannot_be_reached_ends_with_exit_code_2() {
    let home = Home::new();
    let run = |args: &[&str]| {
        let mut command = home.command(&[&["conformance"], args].concat());
        command.env("CLAWHOOK_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        Home::end(&mut command)
    };
    run(&["http://127.0.0.1:1/hook", "--allow-private"]).failed(2, "could not be reached");
    run(&["http://127.0.0.1:1/hook"]).failed(2, "hint: --allow-private");
    run(&["https://127.0.0.1:1/hook"]).failed(2, "hint: --allow-private");
    run(&["http://169.254.169.254/hook"]).failed(2, "error: ");
}
