//! Leasing, settling and reading deliveries.

use bytes::Bytes;
use clawhook_model::{
    Attempt, DeadCause, Delivery, DeliveryId, DeliveryState, DestinationId, EventId, EventKind, JobId,
    LeaseId, RunId, UnixMs,
};

use crate::replays::DeadCounts;

/// The two queues of a destination. A retry waits apart, so that a storm of them cannot stand before first tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueClass {
    /// What was never tried.
    FirstTry,
    /// What is tried again.
    Retry,
}

/// When the earliest delivery of a queue is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueNews {
    /// Whose queue.
    pub destination: DestinationId,
    /// Which of its two.
    pub class: QueueClass,
    /// When its earliest delivery is due.
    pub at: UnixMs,
}

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// The present.
    pub now: UnixMs,
    /// From which queues, and how many of each at most.
    pub shares: Vec<LeaseShare>,
}

/// How much one queue may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseShare {
    /// Whose queue.
    pub destination: DestinationId,
    /// Which of its two.
    pub class: QueueClass,
    /// How many deliveries at most.
    pub most: usize,
    /// When the leases end by themselves. They must outlive the whole request budget (invariant 5).
    pub until: UnixMs,
    /// Whether a paused destination gives too: one delivery that finds out whether it is well again.
    pub probe: bool,
}

/// What a worker got.
#[derive(Debug, Clone, Default)]
pub struct LeaseBatch {
    /// The deliveries.
    pub leased: Vec<LeasedDelivery>,
    /// What is left in the queues that were asked: the next of each; a queue that is not named is empty.
    pub left: Vec<QueueNews>,
}

/// What waits in the outbox.
#[derive(Debug, Clone, Default)]
pub struct OpenQueues {
    /// Every queue that has something, with its earliest.
    pub queues: Vec<QueueNews>,
    /// When the next lease ends by itself.
    pub lease_ends_at: Option<UnixMs>,
}

/// A delivery in a worker's hands.
#[derive(Debug, Clone)]
pub struct LeasedDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// The fence.
    pub lease: LeaseId,
    /// When the lease ends by itself.
    pub until: UnixMs,
    /// The event's identity, sent as `webhook-id`.
    pub event_id: EventId,
    /// What the event tells of.
    pub kind: EventKind,
    /// When the event came about.
    pub occurred_at: UnixMs,
    /// The event's bytes.
    pub body: Bytes,
    /// Where to.
    pub destination: DestinationId,
    /// Which queue it came from.
    pub class: QueueClass,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// How many steps of the retry schedule are used up.
    pub retries_used: u32,
    /// How many attempts the receiver has refused.
    pub refusals: u32,
    /// When its retry schedule began.
    pub armed_at: UnixMs,
    /// Whether somebody is to acknowledge the event.
    pub asks: bool,
    /// Of a message to people: how many of its parts have arrived on attempts before.
    pub pieces_sent: u32,
}

/// A part of a message to people that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceArrived {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The lease under which it was sent.
    pub lease: LeaseId,
    /// Its number, from 1.
    pub piece: u32,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It arrived.
    Delivered,
    /// It is tried again.
    RetryAt {
        /// When.
        at: UnixMs,
        /// What the attempt used up of what the delivery was granted.
        spends: Spends,
    },
    /// It is given up.
    Dead,
}

/// What an attempt uses up of what a delivery was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spends {
    /// Nothing: the fault is on our own side, or the destination is paused.
    Nothing,
    /// A step of the retry schedule.
    Retry,
    /// A step of the retry schedule, and one of the tries that a receiver may refuse.
    RefusalAndRetry,
}

impl Spends {
    /// Whether a step of the retry schedule is used up.
    pub fn a_retry(self) -> bool {
        self != Self::Nothing
    }

    /// Whether one of the tries that a receiver may refuse is used up.
    pub fn a_refusal(self) -> bool {
        self == Self::RefusalAndRetry
    }
}

/// An attempt and what follows from it.
#[derive(Debug, Clone)]
pub struct SettleAttempt {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The fence.
    pub lease: LeaseId,
    /// The attempt.
    pub attempt: Attempt,
    /// What follows.
    pub verdict: Verdict,
    /// Why it stands where it stands, for lists.
    pub reason: Option<String>,
    /// Whether the receiver's answer acknowledged the event.
    pub acknowledged: bool,
    /// The present.
    pub now: UnixMs,
}

/// What came of settling an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is durable.
    Done,
    /// The lease is gone; nothing was changed.
    LeaseLost,
}

/// What came of asking for another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryRetried {
    /// It is due: now, or once those before it in an order are settled.
    Due,
    /// A worker is trying at this moment.
    UnderWay,
    /// It has arrived already.
    AlreadyDelivered,
    /// It was not to be sent.
    Suppressed,
    /// It has no address that this version can send to.
    NoSender,
    /// Its destination was removed.
    NoDestination,
    /// There is no such delivery.
    NotFound,
}

/// What came of ending a delivery by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryCancelled {
    /// It is cancelled; what stood behind it in an order goes on.
    Done,
    /// A worker is trying at this moment.
    UnderWay,
    /// It was settled before.
    Settled(DeliveryState),
    /// There is no such delivery.
    NotFound,
}

/// Which deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only deliveries of this job.
    pub job_id: Option<JobId>,
    /// Only deliveries of this run.
    pub run_id: Option<RunId>,
    /// Only deliveries to this destination.
    pub destination: Option<DestinationId>,
    /// Only deliveries in one of these states; empty is all.
    pub states: Vec<DeliveryState>,
    /// Only deliveries that are dead for one of these causes; empty is all.
    pub causes: Vec<DeadCause>,
    /// Only deliveries that were accepted at this instant or later.
    pub since: Option<UnixMs>,
    /// Only deliveries that were accepted before this instant.
    pub until: Option<UnixMs>,
    /// How many are passed over.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// A page of deliveries.
#[derive(Debug, Clone)]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// How many match in all.
    pub total: usize,
}

/// A delivery with the story of its attempts.
#[derive(Debug, Clone)]
pub struct DeliveryWithAttempts {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts, in order.
    pub attempts: Vec<Attempt>,
    /// The deliveries by which its event was sent once more, in order.
    pub replayed_as: Vec<DeliveryId>,
}

/// How much of what there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs.
    pub jobs: u64,
    /// Jobs that their owners have enabled.
    pub jobs_enabled: u64,
    /// Of these, jobs that the gateway has switched off.
    pub jobs_switched_off: u64,
    /// The earliest next instant of all.
    pub next_run_at: Option<UnixMs>,
    /// Runs that wait for a slot.
    pub runs_queued: u64,
    /// Runs under way.
    pub runs_running: u64,
    /// Deliveries that wait for a worker or for their time, or are being tried.
    pub deliveries_open: u64,
    /// Deliveries that wait for a destination which is paused or disabled; they are open too.
    pub deliveries_halted: u64,
    /// Deliveries that were given up.
    pub deliveries_dead: DeadCounts,
    /// Replays that go on.
    pub replays_running: u64,
    /// How often work was refused, because it was too many hops away from its beginning; since the store was made.
    pub loops_broken: u64,
    /// When the longest overdue delivery was due, of those whose destination is active; none where nothing is overdue.
    pub oldest_due_delivery_at: Option<UnixMs>,
}
