//! What can be asked of the gateway. Every door calls these verbs, so that what one door refuses, all refuse.
//!
//! The cast: [`Verbs`] holds what a verb needs and is cheap to clone. Each group of verbs has one error, which says
//! what is wrong ([`Display`](std::fmt::Display)), what to do (`hint`), and a word for programs (`code`). What an
//! error means to a protocol, such as an HTTP status, is that door's business.
//!
//! Not guaranteed: that two verbs see the same state. Each is one or two transactions of the store, and an edit that
//! was based on an old reading is refused or made again.

mod alerts;
mod channels;
mod deliveries;
mod destination_ref;
mod destination_secrets;
mod destinations;
mod event_log;
mod heartbeats;
mod hooks;
mod job_hooks;
mod jobs;
mod ledger;
mod live;
mod metrics;
mod replays;
mod runs;
mod sessions;
mod spending;
mod status;

use std::path::PathBuf;
use std::sync::Arc;

use clawhook_agent::Agents;
use clawhook_clock::Clock;
use clawhook_delivery::{AckLinks, DeliveryHandle, Guard, SigningKeyPair, SigningSecret};
use clawhook_model::UnixMs;
use clawhook_store::{Store, StoreError};
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::live::MOST_FOLLOWERS;

pub(crate) use destination_secrets::{DEFAULT_OVERLAP, LONGEST_OVERLAP, Rotated, RotatedKey, sealed};

use crate::config::AlertsConfig;
use crate::config::ChannelsConfig;
use crate::declarations::Declarations;
use crate::hooks::Hooks;
use crate::pinger::PingReport;
use crate::secrets::Sealer;
use clawhook_engine::{Audit, EngineHandle, ReaperHandle, WatchdogHandle};

pub(crate) use alerts::AlertVerbError;
pub(crate) use channels::{ChannelVerbError, ListedAccount, PlaceTested};
pub(crate) use deliveries::DeliveryVerbError;
pub(crate) use destination_ref::DestinationRefVerbError;
pub(crate) use destinations::{DestinationDetail, DestinationTested, DestinationVerbError};
pub(crate) use event_log::{EventVerbError, LogFollower, LogNews};
pub(crate) use hooks::{
    AGAIN_IN, Completion, HookDetail, HookTrial, HookVerbError, Incoming, InspectedRequest, Taken,
    TrialRequest,
};
pub(crate) use jobs::{JobVerbError, ListedJobs, RunRequested, SavedJob, SchedulePreview};
pub(crate) use ledger::{Backfilled, LedgerFilter, LedgerPage, LedgerVerbError};
pub(crate) use live::{Following, LiveNews};
pub(crate) use metrics::Metrics;
pub(crate) use replays::{RangeReplayed, ReplayVerbError, RunSentAgain, why_not};
pub(crate) use runs::RunVerbError;
pub(crate) use sessions::{RemovedSession, SessionVerbError};
pub(crate) use spending::{BudgetToday, Forecast, JobSpending, UsageAnswer, UsageQuestion, date_of};
pub(crate) use status::Status;

/// The verbs, with what they work on.
#[derive(Clone)]
pub(crate) struct Verbs {
    with: Arc<VerbOptions>,
    /// Whoever follows a run holds one.
    followers: Arc<Semaphore>,
    /// So does whoever follows the log.
    log_followers: Arc<Semaphore>,
}

/// What the verbs work on.
pub(crate) struct VerbOptions {
    /// What is durably so.
    pub(crate) store: Arc<dyn Store>,
    /// Runs jobs.
    pub(crate) engine: EngineHandle,
    /// Tells what should have happened by the clock and did not.
    pub(crate) watchdog: WatchdogHandle,
    /// Counts the instants that were corrected.
    pub(crate) audit: Audit,
    /// Tells what was forgotten, and what holds a store that takes too much room.
    pub(crate) reaper: ReaperHandle,
    /// Tells how the last ping went.
    pub(crate) ping_report: PingReport,
    /// Tries destinations out.
    pub(crate) delivery: DeliveryHandle,
    /// Seals the secrets of destinations.
    pub(crate) sealer: Sealer,
    /// What is signed with where a destination has no secret of its own.
    pub(crate) signing_secret: SigningSecret,
    /// What is signed with where a destination has no private key of its own.
    pub(crate) signing_key: SigningKeyPair,
    /// Which destinations the configuration declares.
    pub(crate) declarations: Declarations,
    /// Says which addresses a job may name.
    pub(crate) guard: Guard,
    /// The inbound hooks, where there are any.
    pub(crate) hooks: Option<Hooks>,
    /// By whom and where can be announced.
    pub(crate) channels: ChannelsConfig,
    /// Says which agents and models a job may name.
    pub(crate) agents: Agents,
    /// When trouble is told, and where.
    pub(crate) alerts: AlertsConfig,
    /// Makes and checks the links that acknowledge.
    pub(crate) ack_links: AckLinks,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// The zone of cron expressions that name none.
    pub(crate) host_zone: TimeZone,
    /// What does not change while the gateway runs.
    pub(crate) facts: Facts,
    /// Cancelled when the gateway stops, so that nobody is kept waiting.
    pub(crate) stopping: CancellationToken,
}

/// What does not change while the gateway runs.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Where clients reach it.
    pub(crate) url: String,
    /// When it started.
    pub(crate) started_at: UnixMs,
    /// Its state.
    pub(crate) state_dir: PathBuf,
    /// Its store.
    pub(crate) store_path: PathBuf,
    /// Whether jobs are run when they are due.
    pub(crate) cron_enabled: bool,
    /// How many runs can be under way at once.
    pub(crate) slots: usize,
}

impl Verbs {
    /// The verbs on what is given.
    pub(crate) fn new(options: VerbOptions) -> Self {
        Self {
            with: Arc::new(options),
            followers: Arc::new(Semaphore::new(MOST_FOLLOWERS)),
            log_followers: Arc::new(Semaphore::new(event_log::MOST_FOLLOWERS)),
        }
    }
}

impl Verbs {
    /// The time.
    pub(crate) fn now(&self) -> UnixMs {
        self.with.clock.now()
    }
}

/// What a message repeats of an id that names nothing: no more than an id can have.
fn shown(id: &str) -> String {
    id.chars().take(200).collect()
}

/// The word for programs that a fault of the store has.
pub(crate) fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Full(_) => "store_full",
        StoreError::ReadOnly(_) => "store_read_only",
        StoreError::Corrupt(_) => "store_damaged",
        StoreError::Closed => "stopping",
        StoreError::InUse { .. }
        | StoreError::TooNew { .. }
        | StoreError::Open { .. }
        | StoreError::BadRow(_)
        | StoreError::Engine(_) => "store_failed",
    }
}
