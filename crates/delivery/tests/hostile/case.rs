//! One hostile receiver and what is promised of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clawhook_delivery::{ConnectionProfile, Guard, GuardPolicy, PostRequest, Transport, TransportOptions};
use clawhook_model::{AttemptClass, AttemptReport, WebhookUrl};
use http::HeaderMap;
use tokio::task::JoinSet;

use crate::receiver::{Conversation, Receiver};

/// How much of an answer's body is kept here.
const MAX_RESPONSE_BYTES: usize = 16 * 1024;
/// What a receiver can get rid of at most: what is read, and what the system holds for both sides meanwhile.
const MAX_SAID: usize = 2 * 1024 * 1024;
/// How much longer than its budget a case may take on a machine under load.
const LATITUDE: Duration = Duration::from_secs(10);

type Behaviour = Arc<dyn Fn(Conversation) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A row of the table.
pub(crate) struct Case {
    does: &'static str,
    behave: Behaviour,
    scheme: &'static str,
    class: AttemptClass,
    status: Option<u16>,
    says: &'static str,
    kept: Option<&'static str>,
    runs_out: bool,
    body: usize,
}

/// A row: what the receiver does, and the class that the attempt gets.
pub(crate) fn case<F, Fut>(does: &'static str, class: AttemptClass, behave: F) -> Case
where
    F: Fn(Conversation) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let behave: Behaviour = Arc::new(move |conversation| Box::pin(behave(conversation)));
    let (scheme, says, kept) = ("http", "", None);
    Case { does, behave, scheme, class, status: None, says, kept, runs_out: false, body: 11 }
}

impl Case {
    /// The status that the report shows.
    pub(crate) fn status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// What the report's error holds, among other words.
    pub(crate) fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// How the part of the body that is kept begins.
    pub(crate) fn keeps(self, start: &'static str) -> Self {
        Self { kept: Some(start), ..self }
    }

    /// The attempt ends because its time does.
    pub(crate) fn runs_out(self) -> Self {
        Self { runs_out: true, ..self }
    }

    /// The receiver is called under https.
    pub(crate) fn over_https(self) -> Self {
        Self { scheme: "https", ..self }
    }

    /// How many bytes of a body it is given.
    pub(crate) fn given(self, body: usize) -> Self {
        Self { body, ..self }
    }

    async fn hold(self) {
        let options = if self.runs_out { hasty() } else { patient() };
        let budget = options.total_timeout;
        let mut receiver = Receiver::start_counting({
            let behave = self.behave.clone();
            move |conversation| behave(conversation)
        });
        let transport = transport(options, &["127.0.0.1"]);
        let url = receiver.url_on(self.scheme, "127.0.0.1");
        let began_at = Instant::now();
        let report = post(&transport, &url, Bytes::from(vec![b' '; self.body])).await;
        let (took, said) = (began_at.elapsed(), receiver.said());
        drop(transport);

        self.check_end(&report);
        self.check_time(took, budget, &report);
        assert!(said <= MAX_SAID, "{said} bytes were read");
        check_what_is_kept(&report);
        let hung_up = tokio::time::timeout(LATITUDE, receiver.all_hung_up());
        hung_up.await.expect("the connection is closed");
        assert!(receiver.unseen() <= 1, "it was sent more than once");
    }

    fn check_end(&self, report: &AttemptReport) {
        assert_eq!((report.class, report.status), (self.class, self.status), "{report:?}");
        assert_eq!(report.peer.is_some(), report.timings.connect_us.is_some(), "{report:?}");
        let error = report.error.as_deref().unwrap_or_default();
        assert!(error.contains(self.says), "{error}");
        assert_eq!(error.is_empty(), self.class.is_delivered() && self.says.is_empty(), "{error}");
        if let Some(start) = self.kept {
            let body = report.response_body.as_deref().unwrap_or_default();
            assert!(body.starts_with(start), "{body:.80}");
        }
    }

    fn check_time(&self, took: Duration, budget: Duration, report: &AttemptReport) {
        assert!(took < budget + LATITUDE, "it took {took:?}");
        let connecting = report.class == AttemptClass::ConnectTimeout;
        if self.runs_out {
            assert!(took >= if connecting { hasty().connect_timeout } else { budget }, "it took {took:?}");
        } else {
            assert!(took < budget, "it took {took:?}");
        }
    }
}

/// Whatever a receiver answers, its record is bounded.
fn check_what_is_kept(report: &AttemptReport) {
    // A byte that is not UTF-8 is replaced by a character of three.
    let body = report.response_body.as_ref().map_or(0, String::len);
    assert!(body <= 3 * MAX_RESPONSE_BYTES, "{body} bytes of the body are kept");
    assert!(report.response_headers.iter().count() <= 65);
    let whole = serde_json::to_string(report).unwrap().len();
    assert!(whole <= 6 * MAX_RESPONSE_BYTES + 64 * 1024, "the record has {whole} bytes");
}

/// Holds every case, all at once, and names those that do not hold.
pub(crate) async fn hold(cases: impl IntoIterator<Item = Case>) {
    let mut under_way = JoinSet::new();
    for case in cases {
        under_way.spawn(async move {
            let does = case.does;
            (does, tokio::spawn(case.hold()).await)
        });
    }
    let ended = under_way.join_all().await;
    assert!(!ended.is_empty());
    let broken: Vec<&str> = ended.iter().filter(|(_, end)| end.is_err()).map(|(does, _)| *does).collect();
    assert!(broken.is_empty(), "a receiver that …\n  {}", broken.join("\n  "));
}

pub(crate) fn transport(options: TransportOptions, allowed: &[&str]) -> Transport {
    let allowed_hosts = allowed.iter().map(|host| (*host).to_owned()).collect();
    // Whatever port a receiver got, it is not for its port that it is refused.
    let ports = (1_024..=u16::MAX).collect();
    Transport::new(options, Guard::new(GuardPolicy { allowed_hosts, ports }))
}

/// Options with time enough for a machine under load.
pub(crate) fn patient() -> TransportOptions {
    let total_timeout = Duration::from_secs(30);
    TransportOptions {
        connect_timeout: total_timeout,
        total_timeout,
        max_response_bytes: MAX_RESPONSE_BYTES,
        ..TransportOptions::default()
    }
}

/// Options for a time that runs out.
pub(crate) fn hasty() -> TransportOptions {
    TransportOptions {
        connect_timeout: Duration::from_millis(700),
        total_timeout: Duration::from_millis(1_000),
        ..patient()
    }
}

pub(crate) async fn post(transport: &Transport, url: &WebhookUrl, body: Bytes) -> AttemptReport {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert("webhook-id", "evt_1".parse().unwrap());
    let profile = &ConnectionProfile::default();
    transport.send(PostRequest { method: http::Method::POST, url, headers, body, profile }).await
}
