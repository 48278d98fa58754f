//! What is answered to a request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clawhook_clock::Clock;
use clawhook_delivery::{SignedHeaders, SigningSecret, verify};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::report::{Report, Signature, Verdict};
use super::seen::{Identity, Seen};

/// The longest body that is taken.
const LONGEST_BODY: usize = 10 * 1024 * 1024;
/// How far the time of a signature may be off.
const TOLERANCE: Duration = Duration::from_secs(300);
/// How long a client may take for a request's body.
const BODY: Duration = Duration::from_secs(60);

/// How genuine requests are answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    /// This many get 500 first.
    pub(super) fail_first: u64,
    /// The others get this.
    pub(super) status: StatusCode,
    /// Each waits so long.
    pub(super) delay: Duration,
}

/// Takes requests one by one, from all connections.
pub(super) struct Receiver {
    secret: Option<SigningSecret>,
    answers: Answers,
    clock: Arc<dyn Clock>,
    reports: mpsc::Sender<Report>,
    memory: Mutex<Memory>,
}

struct Memory {
    seen: Seen,
    failures_left: u64,
}

/// Why a request is not taken.
struct Refusal {
    status: StatusCode,
    why: String,
    signature: Signature,
}

impl Receiver {
    /// A receiver that has seen nothing yet.
    pub(super) fn new(
        secret: Option<SigningSecret>,
        answers: Answers,
        clock: Arc<dyn Clock>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let memory = Mutex::new(Memory { seen: Seen::default(), failures_left: answers.fail_first });
        Self { secret, answers, clock, reports, memory }
    }

    /// Verifies, decides, reports and answers.
    ///
    /// It is reported before the delay: whoever hangs up in the meantime has been received all the same.
    pub(super) async fn receive(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = match tokio::time::timeout(BODY, Limited::new(body, LONGEST_BODY).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        };
        let report = match body {
            Ok(body) => self.decide(&head.method, head.uri.path(), &head.headers, &body),
            Err(status) => {
                let why = status.canonical_reason().unwrap_or("the body could not be read").to_owned();
                let refusal = Refusal { status, why, signature: Signature::Unverified };
                self.report(head.uri.path(), &head.headers, &[], Err(refusal))
            }
        };
        let answer = answer(&report);
        // Without a printer the process is about to end.
        self.reports.send(report).await.ok();
        if !self.answers.delay.is_zero() {
            tokio::time::sleep(self.answers.delay).await;
        }
        answer
    }

    fn decide(&self, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Report {
        let genuine = if method == Method::POST {
            self.check_signature(headers, body)
        } else {
            let why = format!("{method} is not POST");
            Err(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, why, signature: Signature::Unverified })
        };
        self.report(path, headers, body, genuine)
    }

    fn check_signature(&self, headers: &HeaderMap, body: &[u8]) -> Result<Signature, Refusal> {
        let Some(secret) = &self.secret else { return Ok(Signature::Unverified) };
        let refused =
            |why: String| Refusal { status: StatusCode::UNAUTHORIZED, why, signature: Signature::Wrong };
        let header = |name: &str| text(headers, name).ok_or_else(|| refused(format!("there is no `{name}`")));
        let signed = SignedHeaders {
            id: header("webhook-id")?,
            timestamp: header("webhook-timestamp")?,
            signature: header("webhook-signature")?,
        };
        match verify(secret, &signed, body, self.clock.now().as_secs(), TOLERANCE) {
            Ok(()) => Ok(Signature::Valid),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    fn report(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        genuine: Result<Signature, Refusal>,
    ) -> Report {
        // What is not genuine is neither shown nor believed.
        let event: Option<Value> = if genuine.is_ok() { serde_json::from_slice(body).ok() } else { None };
        let text_of = |name: &str| text(headers, name).map(str::to_owned);
        let webhook_id = text_of("webhook-id");
        let (status, verdict, signature, why) = match genuine {
            Ok(signature) => {
                let (status, verdict) = self.take(identity(event.as_ref(), webhook_id.as_deref()));
                (status, verdict, signature, None)
            }
            Err(Refusal { status, why, signature }) => (status, Verdict::Refused, signature, Some(why)),
        };
        Report {
            at: self.clock.now(),
            status: status.as_u16(),
            verdict,
            signature,
            why,
            path: path.to_owned(),
            bytes: body.len(),
            sha256: hex(&Sha256::digest(body)),
            webhook_id,
            attempt: text_of("clawhook-attempt"),
            event,
        }
    }

    /// Decides on a genuine request. What is answered with an error was not handled, and is new when it comes again.
    fn take(&self, identity: Option<Identity>) -> (StatusCode, Verdict) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.failures_left > 0 {
            memory.failures_left -= 1;
            return (StatusCode::INTERNAL_SERVER_ERROR, Verdict::Failed);
        }
        let status = self.answers.status;
        if !status.is_success() {
            return (status, Verdict::Failed);
        }
        match identity {
            Some(identity) if memory.seen.contains(&identity) => (status, Verdict::Duplicate),
            Some(identity) => {
                memory.seen.insert(identity);
                (status, Verdict::Accepted)
            }
            None => (status, Verdict::Accepted),
        }
    }
}

fn identity(event: Option<&Value>, webhook_id: Option<&str>) -> Option<Identity> {
    let member = |name: &str| event.and_then(|event| event[name].as_str()).map(str::to_owned);
    match (member("jobId"), member("runId")) {
        (Some(job), Some(run)) => Some(Identity::Run { job, run }),
        _ => webhook_id.map(|id| Identity::Webhook(id.to_owned())),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn answer(report: &Report) -> Response<Full<Bytes>> {
    let body = match &report.why {
        None => json!({ "verdict": report.verdict }),
        Some(why) => json!({ "verdict": report.verdict, "error": why }),
    };
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = StatusCode::from_u16(report.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    answer
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_else(|_| unreachable!("a text takes more text"));
        text
    })
}
