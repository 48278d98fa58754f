//! Sending once more what was carried before: one delivery, a run's, or a range of them.

use clawhook_model::{
    DeliveryId, DeliveryState, Replay, ReplayFilter, ReplayId, ReplayState, Target, UnixMs,
};

/// How an event is sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentAgain {
    /// The delivery itself is due again, with its whole retry schedule before it.
    Rearmed(DeliveryId),
    /// Another delivery of the same event was made; what became of the first one stands.
    Added(DeliveryId),
}

impl SentAgain {
    /// The delivery that is due.
    pub fn delivery(self) -> DeliveryId {
        match self {
            Self::Rearmed(id) | Self::Added(id) => id,
        }
    }
}

/// Why a delivery is not sent once more; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSentAgain {
    /// It is on its way already.
    Open(DeliveryState),
    /// It was not to be sent.
    Suppressed,
    /// Its target is none that this version can send to.
    NoSender,
    /// Its destination was removed.
    NoDestination,
    /// The same replay has sent this event there already.
    SentByThisReplay,
}

/// What came of asking for one delivery once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryReplayed {
    /// It is sent.
    Sent(SentAgain),
    /// It is not.
    Refused(NotSentAgain),
    /// There is no such delivery.
    NotFound,
}

/// What came of asking for a run's event once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunReplayed {
    /// What came of each of the run's own deliveries; or, with a destination of the caller's choice, of the one to it.
    Done {
        /// What is sent.
        sent: Vec<SentAgain>,
        /// What is not.
        refused: Vec<(DeliveryId, NotSentAgain)>,
    },
    /// The run is not over, so that there is no event yet.
    NotOver,
    /// There is no such run.
    NotFound,
}

/// A replay that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReplay {
    /// Its identity.
    pub id: ReplayId,
    /// Which deliveries.
    pub filter: ReplayFilter,
    /// Where to, if not to each one's own destination.
    pub to: Option<Target>,
    /// How many a second at most.
    pub per_second: Option<f64>,
    /// The present.
    pub now: UnixMs,
}

/// A replay that goes on, as far as whoever drives it must know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunningReplay {
    /// Which.
    pub id: ReplayId,
    /// How many a second at most.
    pub per_second: Option<f64>,
}

/// What came of driving a replay on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayAdvanced {
    /// So many more deliveries are due, and there may be more to come.
    Running {
        /// How many.
        sent: usize,
    },
    /// It is over, or there is no such replay.
    Over,
}

/// What came of ending a replay by hand.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplayCancelled {
    /// It is over; what it had queued is still sent.
    Done(Box<Replay>),
    /// It was over before.
    Over(ReplayState),
    /// There is no such replay.
    NotFound,
}

/// A replay and what became of the deliveries that it queued.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayWithOutcomes {
    /// The replay.
    pub replay: Replay,
    /// What became of them.
    pub outcomes: ReplayOutcomes,
}

/// What became of the deliveries that a replay queued; one that a later replay queued again counts there alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayOutcomes {
    /// They wait or are being tried.
    pub open: u64,
    /// They arrived.
    pub delivered: u64,
    /// They were given up again.
    pub dead: u64,
    /// A person ended them.
    pub cancelled: u64,
}

/// Which replays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayListFilter {
    /// Only those in this state.
    pub state: Option<ReplayState>,
    /// How many are passed over.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// A page of replays.
#[derive(Debug, Clone)]
pub struct ReplayPage {
    /// The replays.
    pub replays: Vec<Replay>,
    /// How many match in all.
    pub total: usize,
}

/// How many deliveries are dead, by the side on which the cause lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeadCounts {
    /// The receiver's.
    pub receiver: u64,
    /// The configuration's.
    pub configuration: u64,
    /// The gateway's.
    pub gateway: u64,
}

impl DeadCounts {
    /// All of them.
    pub fn total(self) -> u64 {
        self.receiver + self.configuration + self.gateway
    }
}
