//! The ping: for as long as all is well somebody else hears of it, and notices when they hear no more.
//!
//! A gateway that is gone cannot say so, and one whose alarm cannot be sent cannot either. So the sign of life comes from
//! here and its absence is noticed elsewhere. While an alarm is raised, or the watchdog is silent, none is sent. A ping that
//! fails is a warning and no alarm: it would silence itself.

use std::sync::{Arc, Mutex, PoisonError};

use clawhook_clock::Clock;
use clawhook_delivery::DeliveryHandle;
use clawhook_engine::WatchdogHandle;
use tokio_util::sync::CancellationToken;

use crate::config::PingConfig;

/// The task that pings. A clone goes on where the one before it fell.
#[derive(Clone)]
pub(crate) struct Pinger {
    ping: PingConfig,
    delivery: DeliveryHandle,
    watchdog: WatchdogHandle,
    clock: Arc<dyn Clock>,
    report: PingReport,
}

/// How the last ping went. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct PingReport {
    failure: Arc<Mutex<Option<String>>>,
}

impl Pinger {
    pub(crate) fn new(
        ping: PingConfig,
        delivery: DeliveryHandle,
        watchdog: WatchdogHandle,
        clock: Arc<dyn Clock>,
        report: PingReport,
    ) -> Self {
        Self { ping, delivery, watchdog, clock, report }
    }

    /// Pings until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let pinging = async {
            loop {
                // The watchdog has its first look before the first sign of life.
                self.clock.sleep(self.ping.every).await;
                if self.watchdog.problems().is_empty() {
                    self.ping().await;
                }
            }
        };
        shutdown.run_until_cancelled(pinging).await;
    }

    async fn ping(&self) {
        let pinged = Box::pin(self.delivery.ping(&self.ping.url)).await;
        let failure = pinged.err().map(|failed| failed.to_string());
        if let Some(failure) = &failure {
            tracing::warn!("{failure}");
        }
        self.report.note(failure);
    }
}

impl PingReport {
    /// Why the last ping failed; none where it did not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}
