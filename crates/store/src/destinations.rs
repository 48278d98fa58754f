//! Defining, halting and reading destinations.

use clawhook_model::{
    DeliveryId, DeliveryState, Destination, DestinationDefinition, DestinationName, JobId, UnixMs,
};

/// A destination that is to be.
#[derive(Debug, Clone)]
pub struct NewDestination {
    /// Its name.
    pub name: DestinationName,
    /// What its operator says of it.
    pub definition: DestinationDefinition,
    /// Where it is declared, if that is a configuration file.
    pub declared_in: Option<String>,
    /// The present.
    pub now: UnixMs,
}

/// Who halts or resumes a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decider {
    /// A person, whose word goes.
    Person,
    /// The gateway, which never touches what a person paused, nor what is disabled.
    Gateway,
}

/// What came of changing a destination.
#[derive(Debug, Clone)]
pub enum DestinationUpdated {
    /// It is changed.
    Done(Box<Destination>),
    /// It was changed by another in the meantime.
    Changed,
    /// There is no such named destination.
    NotFound,
}

/// What came of removing a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationRemoved {
    /// It is gone.
    Done,
    /// So many deliveries wait for it; nothing was changed (invariant 4).
    InUse(u64),
    /// Jobs name it, whose next results would have nowhere to go; nothing was changed.
    Named,
    /// There is no such named destination.
    NotFound,
}

/// A destination and what waits for it.
#[derive(Debug, Clone)]
pub struct DestinationWithQueue {
    /// The destination.
    pub destination: Destination,
    /// What waits for it.
    pub queue: QueueState,
}

/// What waits for a destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueState {
    /// Deliveries that were never tried.
    pub pending: u64,
    /// Deliveries that are to be tried again.
    pub waiting: u64,
    /// Deliveries that are being tried.
    pub leased: u64,
    /// Deliveries, of the pending ones, that stand behind another in an order.
    pub blocked: u64,
    /// When the earliest is due.
    pub next_at: Option<UnixMs>,
}

/// A delivery for which others of its order wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderHead {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its job.
    pub job_id: JobId,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it is tried next; none while it is being tried.
    pub next_at: Option<UnixMs>,
    /// Why it is not delivered yet.
    pub reason: Option<String>,
    /// How many wait for it.
    pub behind: u64,
}

/// Which destinations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DestinationFilter {
    /// The implicit ones too.
    pub implicit: bool,
    /// Only those that are halted.
    pub halted_only: bool,
    /// How many are passed over.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// A page of destinations.
#[derive(Debug, Clone)]
pub struct DestinationPage {
    /// The destinations.
    pub destinations: Vec<DestinationWithQueue>,
    /// How many match in all.
    pub total: usize,
}
