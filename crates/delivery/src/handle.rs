//! What others can ask of the delivery service: to try a destination out.

use std::sync::Arc;

use clawhook_model::{AttemptReport, DestinationId, EventId, HaltReason, UnixMs};
use clawhook_store::StoreError;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::destination::Ready;
use crate::sample::Sample;
use crate::service::{Core, Outgoing};

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
    #[error("nothing can be sent to it: {detail}")]
    Unready {
        /// The kind of reason.
        reason: HaltReason,
        /// The reason in words, without secrets.
        detail: String,
    },
    /// Others are trying destinations out at this moment.
    #[error("{TESTS} tests are under way already, which is the most at a time")]
    Busy,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeliveryHandle {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, places: Arc::new(Semaphore::new(TESTS)) }
    }

    /// Sends a test event, once, by the very way of a real delivery. The destination is made ready afresh, so that what
    /// is tried is what it is now; it may be halted. Nothing follows from how it ends: it counts for no circuit, no
    /// standing and no delivery.
    pub async fn test(&self, destination: DestinationId) -> Result<TestReport, TestRefused> {
        let _place = self.places.try_acquire().map_err(|_| TestRefused::Busy)?;
        let found = self.core.store.destination(destination).await?.ok_or(TestRefused::Gone)?.destination;
        let ready = Ready::prepare(&found)
            .map_err(|unready| TestRefused::Unready { reason: unready.reason, detail: unready.detail })?;
        let started_at = self.core.clock.now();
        let Sample { event_id, body } = Sample::for_receiver(&found.target, started_at);
        let report = self.core.attempt(&ready, Outgoing { event_id, body, attempt: 1 }, started_at).await;
        Ok(TestReport { event_id, started_at, report })
    }
}
