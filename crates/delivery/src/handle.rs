//! What others can ask of the delivery service: to try a destination out, and to ping.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use clawhook_model::{
    AnnounceTarget, AttemptReport, Destination, DestinationDefinition, DestinationId, DestinationName,
    EventId, EventKind, UnixMs, WebhookUrl,
};
use clawhook_store::{StoreError, StoredEvent};
use http::{HeaderMap, Method};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::destination::{Unready, Way};
use crate::format::{FormatError, RenderError, RenderInput, Rendered, Renderer};
use crate::sample::Sample;
use crate::service::{Core, Outgoing};
use crate::transport::{ConnectionProfile, PostRequest};

/// How many tests go on at a time. They stand beside the bound on deliveries, so there are few.
const TESTS: usize = 4;

/// The delivery service, as others talk to it. Cheap to clone.
#[derive(Clone)]
pub struct DeliveryHandle {
    core: Arc<Core>,
    places: Arc<Semaphore>,
}

/// What came of sending a test event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestReport {
    /// The event's identity, as the receiver saw it.
    pub event_id: EventId,
    /// When the attempt began.
    pub started_at: UnixMs,
    /// What it brought.
    pub report: AttemptReport,
}

/// Why no test event was sent.
#[derive(Debug, Error)]
pub enum TestRefused {
    /// There is no such destination.
    #[error("there is no such destination any more")]
    Gone,
    /// The destination cannot be made ready to be sent to.
    #[error("nothing can be sent to it: {0}")]
    Unready(#[from] Unready),
    /// Others are trying destinations out at this moment.
    #[error("{TESTS} tests are under way already, which is the most at a time")]
    Busy,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why no body can be shown.
#[derive(Debug, Error)]
pub enum RenderRefused {
    /// The format itself is wrong.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The format does not fit the event.
    #[error(transparent)]
    Event(#[from] RenderError),
}

/// Where a ping goes. Such addresses are secrets, whole: of this one nothing but the host is ever shown.
#[derive(Clone)]
pub struct PingUrl(WebhookUrl);

impl PingUrl {
    /// The host, for people.
    pub fn host(&self) -> &str {
        self.0.url().host_str().unwrap_or_default()
    }

    /// The address, for the guard.
    pub fn url(&self) -> &WebhookUrl {
        &self.0
    }
}

impl fmt::Debug for PingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PingUrl({})", self.host())
    }
}

/// A text that is no address to ping; it is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is no https URL without user name, password and fragment")]
pub struct NoPingUrl;

impl FromStr for PingUrl {
    type Err = NoPingUrl;

    fn from_str(given: &str) -> Result<Self, NoPingUrl> {
        given.parse().map(Self).map_err(|_| NoPingUrl)
    }
}

/// A ping that nobody took.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a ping to `{host}` failed: {why}")]
pub struct PingFailed {
    /// Whom it was to reach.
    pub host: String,
    /// Why it did not: its class, and the answer's status where there was one.
    pub why: String,
}

impl DeliveryHandle {
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, places: Arc::new(Semaphore::new(TESTS)) }
    }

    /// Makes a definition ready as it would be once it is stored under this name, and tells why it cannot be.
    pub async fn check(
        &self,
        name: &DestinationName,
        definition: &DestinationDefinition,
    ) -> Result<(), Unready> {
        self.core.prepare_definition(name, definition).await.map(|_| ())
    }

    /// The public half of a definition's own private key; none where that cannot be read.
    pub async fn public_key(
        &self,
        name: &DestinationName,
        definition: &DestinationDefinition,
    ) -> Option<String> {
        self.core.public_key(name, definition).await
    }

    /// The body that an event takes at a destination, as its format stands now; that of a sample where there is no
    /// event. Nothing is sent, and no secret is read.
    pub fn render(
        &self,
        destination: &Destination,
        event: Option<StoredEvent>,
    ) -> Result<Rendered, RenderRefused> {
        let format = destination.definition.as_ref().map(|definition| definition.format.clone());
        let renderer = Renderer::new(&format.unwrap_or_default())?;
        let event = event.unwrap_or_else(|| {
            let now = self.core.clock.now();
            let Sample { event_id, body } = Sample::for_receiver(&destination.target, now);
            StoredEvent { id: event_id, kind: EventKind::RunFinished, occurred_at: now, body }
        });
        let StoredEvent { id: event_id, kind, occurred_at, body } = event;
        let input = RenderInput { event_id, kind: kind.as_str(), occurred_at, body: &body, ack_url: None };
        Ok(renderer.render(&input)?)
    }

    /// Sends a test event, once, by the very way of a real delivery. The destination is made ready afresh, so that what
    /// is tried is what it is now; it may be halted. Nothing follows from how it ends: it counts for no circuit, no
    /// standing and no delivery.
    pub async fn test(&self, destination: DestinationId) -> Result<TestReport, TestRefused> {
        let _place = self.places.try_acquire().map_err(|_| TestRefused::Busy)?;
        let found = self.core.store.destination(destination).await?.ok_or(TestRefused::Gone)?.destination;
        let ready = self.core.prepare(&found).await?;
        let started_at = self.core.clock.now();
        let Sample { event_id, body } = Sample::for_receiver(&found.target, started_at);
        let outgoing = Outgoing {
            event_id,
            kind: EventKind::RunFinished,
            occurred_at: started_at,
            asks: None,
            body,
            attempt: 1,
        };
        let report = match &ready.way {
            Way::Post(post) => self.core.attempt(post, &ready.profile, outgoing, started_at).await,
            Way::Say(say) => self.core.say_test(say, event_id, started_at).await,
        };
        Ok(TestReport { event_id, started_at, report })
    }

    /// Sends a test message to a place, once, by the account that is named with it and through the guard. Nothing follows from
    /// how it ends.
    pub async fn test_place(&self, target: &AnnounceTarget) -> Result<TestReport, TestRefused> {
        let _place = self.places.try_acquire().map_err(|_| TestRefused::Busy)?;
        let ready = self.core.prepare_place(target).await?;
        let started_at = self.core.clock.now();
        let event_id = EventId::new(started_at);
        let report = match &ready.way {
            Way::Say(say) => self.core.say_test(say, event_id, started_at).await,
            Way::Post(_) => unreachable!("a place is made ready to be spoken to"),
        };
        Ok(TestReport { event_id, started_at, report })
    }

    /// Sends one empty POST, by the way of a delivery: the same guard, the same limits. It is not signed, and nothing of
    /// it is recorded.
    pub async fn ping(&self, to: &PingUrl) -> Result<(), PingFailed> {
        let profile = ConnectionProfile::default();
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let report = self
            .core
            .send(PostRequest { method: Method::POST, url: &to.0, profile: &profile, headers, body })
            .await;
        if report.class.is_delivered() {
            return Ok(());
        }
        // The report's own words may hold what the receiver said, and what it was asked.
        let class = report.class.as_str();
        let why = report.status.map_or_else(|| class.to_owned(), |status| format!("{class} (HTTP {status})"));
        Err(PingFailed { host: to.host().to_owned(), why })
    }
}
