//! How the gateway is, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use clawhook_engine::Tally;
use clawhook_store::{AlertCounts, Counts, StoreError};

use super::Verbs;

/// The words of all alarms, so that each has its sample while it is not raised.
const ALARMS: [&str; 6] = ["overdue", "slots", "timer-silent", "store", "alert-drill", "task-panicked"];

/// How the gateway is, in numbers.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// How long it has been running.
    pub(crate) uptime: Duration,
    /// Whether nothing keeps it from its work.
    pub(crate) healthy: bool,
    /// How many alarms of each kind are raised.
    pub(crate) alarms: BTreeMap<&'static str, u64>,
    /// What there is.
    pub(crate) counts: Counts,
    /// How many deliveries were given up.
    pub(crate) dead: u64,
    /// For how long the longest overdue delivery has been due.
    pub(crate) oldest_overdue: Duration,
    /// How alerts have fared.
    pub(crate) alerts: AlertCounts,
    /// What came of runs since the start.
    pub(crate) tally: Tally,
    /// How many runs may be under way at once.
    pub(crate) slots: usize,
    /// How many slots are held.
    pub(crate) slots_used: usize,
}

impl Verbs {
    /// How the gateway is, in numbers.
    pub(crate) async fn metrics(&self) -> Result<Metrics, StoreError> {
        let now = self.with.clock.now();
        let counts = self.with.store.counts(now).await?;
        let mut alarms: BTreeMap<&'static str, u64> = ALARMS.into_iter().map(|alarm| (alarm, 0)).collect();
        for alarm in self.with.watchdog.alarms() {
            *alarms.entry(alarm.kind.as_str()).or_default() += 1;
        }
        let slots = self.with.engine.run_slots();
        Ok(Metrics {
            uptime: now.since(self.with.facts.started_at),
            healthy: self.problems().is_empty(),
            alarms,
            dead: counts.deliveries_dead.total(),
            oldest_overdue: counts.oldest_due_delivery_at.map_or(Duration::ZERO, |due| now.since(due)),
            counts,
            alerts: self.with.store.alert_counts(None).await?,
            tally: self.with.engine.tally(),
            slots,
            slots_used: slots.saturating_sub(self.with.engine.free_slots()),
        })
    }
}
