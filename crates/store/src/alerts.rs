//! Alerts, and acknowledgements that are waited for.

use clawhook_model::{
    AckState, AlertPurpose, AskRules, Delivery, DeliveryState, DeliveryStatus, EventId, JobId, QuietHours,
    Target, UnixMs,
};

/// Which alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Only alerts of this job.
    pub job_id: Option<JobId>,
    /// How many are passed over.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// An alert and how it fares.
#[derive(Debug, Clone)]
pub struct AlertRecord {
    /// Its event.
    pub event_id: EventId,
    /// When it was raised.
    pub raised_at: UnixMs,
    /// The event's members.
    pub body: serde_json::Value,
    /// Its deliveries, those to subscribers too, in their order.
    pub deliveries: Vec<Delivery>,
}

impl AlertRecord {
    /// Whether it has arrived anywhere.
    pub fn status(&self) -> DeliveryStatus {
        alert_status(&self.deliveries.iter().map(|delivery| delivery.state).collect::<Vec<_>>())
    }

    /// Whether somebody has acknowledged it, where that is asked for.
    pub fn acknowledgement(&self) -> Option<AckState> {
        self.deliveries.iter().find_map(|delivery| Some(delivery.acknowledgement.as_ref()?.state))
    }
}

/// An alert has arrived where any of its deliveries has.
pub(crate) fn alert_status(states: &[DeliveryState]) -> DeliveryStatus {
    if states.is_empty() {
        DeliveryStatus::NotRequested
    } else if states.contains(&DeliveryState::Delivered) {
        DeliveryStatus::Delivered
    } else if states.iter().any(|state| !state.is_settled()) {
        DeliveryStatus::Unknown
    } else {
        DeliveryStatus::NotDelivered
    }
}

/// How the alerts that are kept have fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// They have arrived somewhere.
    pub delivered: u64,
    /// They are on their way.
    pub pending: u64,
    /// Every route was tried in vain.
    pub dead: u64,
}

/// An alert that tells of nothing.
#[derive(Debug, Clone)]
pub struct SyntheticAlert {
    /// Whether it is a test or a drill.
    pub purpose: AlertPurpose,
    /// The job whose routes are tried, by its id and name.
    pub job: Option<(JobId, String)>,
    /// Where it goes.
    pub targets: Vec<Target>,
    /// How an acknowledgement is asked for.
    pub ask: Option<AskRules>,
}

/// A page of alerts, the newest first.
#[derive(Debug, Clone)]
pub struct AlertPage {
    /// The alerts.
    pub alerts: Vec<AlertRecord>,
    /// How many match in all.
    pub total: usize,
}

/// Somebody who is to be asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The ladder.
    pub ladder: i64,
    /// When it was due.
    pub at: UnixMs,
    /// When nobody is asked.
    pub quiet_hours: Option<QuietHours>,
}

/// What becomes of an asking that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskAnswer {
    /// The event is sent again.
    Ask,
    /// It is quiet until then.
    Postpone(UnixMs),
}

/// What came of acknowledging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// It is acknowledged.
    Done,
    /// It was so before.
    Before,
    /// Nobody asked for it.
    NotAsked,
    /// There is no such delivery.
    NotFound,
}
