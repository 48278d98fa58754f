//! The network and the receivers behind it: what they take, what they answer, and how they fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clawhook_clock::Clock;
use clawhook_delivery::{
    Carrier, ConnectionProfile, PostRequest, ProfileError, ProfileOptions, SecretReader, UnreadableSecret,
};
use clawhook_model::{AttemptClass, AttemptReport, PhaseTimings, RetryAfter, SecretSource};
use secrecy::SecretString;

use super::climate::Climate;
use super::clock::SimClock;
use super::trace::Trace;
use crate::chance::Chance;

/// The time for everything.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The network of one simulation. Cheap to clone: all clones are one network.
#[derive(Debug, Clone)]
pub(super) struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Arc<SimClock>,
    trace: Arc<Trace>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chance: Chance,
    climate: Climate,
    received: BTreeMap<(String, String), Received>,
    broken: Vec<String>,
}

/// What a receiver knows of one event.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    /// The bytes of its first request.
    pub(super) body: Bytes,
    /// How often it was sent, as far as the receiver saw it.
    pub(super) seen: u64,
    /// How often the receiver answered that it has it.
    pub(super) accepted: u64,
    /// The highest number that an attempt called itself by.
    attempt: u64,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The receiver sees it and answers.
    Answered { status: u16, retry_after: Option<RetryAfter> },
    /// The receiver sees it, and its answer is lost.
    AnswerLost,
    /// The receiver sees it and says nothing.
    Silence,
    /// It reaches nobody.
    Unsent(AttemptClass),
}

impl Network {
    pub(super) fn new(clock: Arc<SimClock>, trace: Arc<Trace>, chance: Chance, climate: Climate) -> Self {
        let state = State { chance, climate, received: BTreeMap::new(), broken: Vec::new() };
        Self { inner: Arc::new(Inner { clock, trace, state: Mutex::new(state) }) }
    }

    /// From now on things go wrong as in `climate`.
    pub(super) fn enter(&self, climate: Climate) {
        self.with(|state| state.climate = climate);
    }

    /// What receivers have seen, by their address and the event's id.
    pub(super) fn received(&self) -> BTreeMap<(String, String), Received> {
        self.with(|state| state.received.clone())
    }

    /// What no receiver should ever see.
    pub(super) fn broken(&self) -> Vec<String> {
        self.with(|state| state.broken.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.inner.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn way(&mut self, now: clawhook_model::UnixMs) -> Way {
        if self.chance.within(0..=99) >= self.climate.requests_fail {
            return Way::Answered { status: 200, retry_after: None };
        }
        let answered = |status| Way::Answered { status, retry_after: None };
        let seconds = self.chance.within(0..=4_000);
        match self.chance.within(0..=19) {
            0..=4 => answered(500),
            5 => Way::Answered { status: 503, retry_after: Some(RetryAfter::Seconds(seconds)) },
            6..=7 => Way::Answered { status: 429, retry_after: Some(RetryAfter::Seconds(seconds)) },
            8 => Way::Answered {
                status: 429,
                retry_after: Some(RetryAfter::At(now.plus(Duration::from_secs(seconds)))),
            },
            9 => answered(404),
            10 => answered(302),
            11 if seconds < 400 => answered(410),
            11..=13 => Way::AnswerLost,
            14..=15 => Way::Silence,
            16 => Way::Unsent(AttemptClass::DnsFailed),
            17 => Way::Unsent(AttemptClass::TlsFailed),
            _ => Way::Unsent(AttemptClass::ConnectFailed),
        }
    }

    /// The receiver looks at what came, and holds it against what came before.
    fn receive(&mut self, request: &PostRequest<'_>, accepts: bool) {
        let url = request.url.expose().to_owned();
        let header = |name: &str| {
            let value = request.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let id = header("webhook-id");
        let attempt = header("clawhook-attempt").parse().unwrap_or(0);
        for missing in ["webhook-id", "webhook-signature", "webhook-timestamp"] {
            if header(missing).is_empty() {
                self.broken.push(format!("i09: a request to {url} came without `{missing}`"));
            }
        }
        if header("idempotency-key") != id {
            self.broken.push(format!("i09: a request to {url} has two identities"));
        }
        let received = self.received.entry((url.clone(), id)).or_default();
        if received.seen == 0 {
            received.body = request.body.clone();
        } else if received.body != request.body {
            self.broken.push(format!("i09: {url} got other bytes under the same id"));
        }
        if attempt <= received.attempt {
            self.broken.push(format!(
                "i05: {url} got attempt {attempt} after attempt {} of the same event",
                received.attempt
            ));
        }
        received.attempt = received.attempt.max(attempt);
        received.seen += 1;
        received.accepted += u64::from(accepts);
    }
}

#[async_trait]
impl Carrier for Network {
    fn total_timeout(&self) -> Duration {
        TIMEOUT
    }

    fn timeout_for(&self, _: &ConnectionProfile) -> Duration {
        TIMEOUT
    }

    async fn profile(&self, _: ProfileOptions) -> Result<ConnectionProfile, ProfileError> {
        Ok(ConnectionProfile::default())
    }

    async fn send(&self, request: PostRequest<'_>) -> AttemptReport {
        let now = self.inner.clock.now();
        let (way, there, back) = self.with(|state| {
            let leg = |chance: &mut Chance| Duration::from_millis(chance.within(1..=2_000));
            (state.way(now), leg(&mut state.chance), leg(&mut state.chance))
        });
        tokio::time::sleep(there).await;
        let accepts = matches!(way, Way::Answered { status: 200, .. });
        if !matches!(way, Way::Unsent(_)) {
            self.with(|state| state.receive(&request, accepts));
        }
        let host = request.url.url().host_str().unwrap_or_default();
        self.inner.trace.note(self.inner.clock.now(), format!("a request to {host}: {way:?}"));
        let failed = |class| AttemptReport::failed(class, "as simulated", PhaseTimings::default());
        match way {
            Way::Answered { status, retry_after } => {
                tokio::time::sleep(back).await;
                let class = AttemptClass::of_status(status);
                let error = (!class.is_delivered()).then(|| format!("the receiver answered {status}"));
                AttemptReport { status: Some(status), error, retry_after, ..failed(class) }
            }
            Way::AnswerLost => failed(AttemptClass::AnswerLost),
            Way::Silence => {
                tokio::time::sleep(TIMEOUT - there).await;
                failed(AttemptClass::AnswerTimeout)
            }
            Way::Unsent(class) => failed(class),
        }
    }
}

/// A simulated operator keeps no secrets.
#[derive(Debug)]
pub(super) struct NoSecrets;

#[async_trait]
impl SecretReader for NoSecrets {
    async fn read(&self, _: &SecretSource, context: &str) -> Result<SecretString, UnreadableSecret> {
        Err(UnreadableSecret::Unset(context.to_owned()))
    }
}
