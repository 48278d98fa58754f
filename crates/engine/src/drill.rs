//! The drill: an alert that tells of nothing is sent now and then, and must come back acknowledged.
//!
//! Alerts are needed seldom, and a way that is never gone is found blocked on the day. The drill goes the very way of an
//! alert, up its ladder where a rung does not acknowledge it. Where nobody does, an alarm is raised: it turns `/readyz`
//! red and stops the outside ping, so that the news arrives although the alerts do not.

use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::{AckState, AlertDrill, AlertPurpose, AskRules, UnixMs};
use clawhook_store::{AlertRecord, Store, StoreError, SyntheticAlert, Topic};
use tokio_util::sync::CancellationToken;

use crate::alarms::{AlarmKind, Alarms};

/// How long it waits where the store cannot be read or written.
const PAUSE: Duration = Duration::from_secs(1);

/// The task that drills. What it knows of the last drill stands in the store, so that a restart neither forgets one nor
/// brings one too many.
#[derive(Clone)]
pub struct Drill {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    alarms: Alarms,
    options: AlertDrill,
}

impl Drill {
    /// A drill; nothing happens before [`Drill::run`].
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, alarms: Alarms, options: AlertDrill) -> Self {
        Self { store, clock, alarms, options }
    }

    /// Drills until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut changes = self.store.subscribe(Topic::Asks);
        while !shutdown.is_cancelled() {
            changes.mark_unchanged();
            let wake = match self.round().await {
                Ok(wake) => wake,
                Err(error) => {
                    tracing::error!(%error, "the alerts are not drilled: the store cannot be read or written");
                    self.clock.now().plus(PAUSE)
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                _ = changes.changed() => {}
                () = self.clock.sleep_until(wake) => {}
            }
        }
    }

    /// Judges the last drill, and begins the next where it is time; says when that is.
    async fn round(&self) -> Result<UnixMs, StoreError> {
        let now = self.clock.now();
        let last = self.store.last_drill().await?;
        if let Some(last) = &last {
            self.judge(last, now);
            let next = last.raised_at.plus(self.options.every);
            // One that lies ahead was begun under a wrong clock.
            if last.raised_at <= now && now < next {
                return Ok(next);
            }
        }
        let within_ms = u64::try_from(self.options.within.as_millis()).unwrap_or(u64::MAX);
        let alert = SyntheticAlert {
            purpose: AlertPurpose::Drill,
            job: None,
            targets: self.options.targets.clone(),
            ask: Some(AskRules { within_ms, times: 0, quiet_hours: None }),
        };
        self.store.raise_synthetic(alert, now).await?;
        tracing::info!("the alerts are drilled");
        Ok(now.plus(self.options.every))
    }

    fn judge(&self, last: &AlertRecord, now: UnixMs) {
        match last.acknowledgement() {
            Some(AckState::Acknowledged) => self.alarms.clear(AlarmKind::AlertDrill),
            Some(AckState::Unacknowledged) => {
                let detail = format!(
                    "the drill of the alerts of {} came back from none of its {} routes; alerts may reach nobody",
                    last.raised_at,
                    self.options.targets.len()
                );
                self.alarms.raise(AlarmKind::AlertDrill, detail, now);
            }
            Some(AckState::Open | AckState::Ended) | None => {}
        }
    }
}
