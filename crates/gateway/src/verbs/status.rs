//! How the gateway itself is.

use std::time::Duration;

use clawhook_model::UnixMs;
use clawhook_store::{Counts, StoreError};

use super::{Facts, Verbs};

/// How the gateway is.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// What does not change.
    pub(crate) facts: Facts,
    /// How long it has been running.
    pub(crate) uptime: Duration,
    /// What is wrong, one sentence each.
    pub(crate) problems: Vec<String>,
    /// The fault of the store's last write.
    pub(crate) store_fault: Option<StoreError>,
    /// How much of what there is.
    pub(crate) counts: Counts,
}

impl Verbs {
    /// What keeps the gateway from doing its work, one sentence each; none while all is well.
    pub(crate) fn problems(&self) -> Vec<String> {
        let fault = self.with.store.fault().map(|fault| fault.to_string());
        let stopping = self.with.stopping.is_cancelled().then(|| "the gateway is stopping".to_owned());
        fault.into_iter().chain(stopping).chain(self.with.engine.problems()).collect()
    }

    /// How the gateway is.
    pub(crate) async fn status(&self) -> Result<Status, StoreError> {
        let now = self.with.clock.now();
        Ok(Status {
            facts: self.with.facts.clone(),
            uptime: now.since(self.started_at()),
            problems: self.problems(),
            store_fault: self.with.store.fault(),
            counts: self.with.store.counts(now).await?,
        })
    }

    fn started_at(&self) -> UnixMs {
        self.with.facts.started_at
    }
}
