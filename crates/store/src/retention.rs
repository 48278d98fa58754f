//! How long what is over is kept, and forgetting it step by step.

use std::time::Duration;

use clawhook_model::{JobId, UnixMs};

const DAY: Duration = Duration::from_hours(24);
const GIB: u64 = 1024 * 1024 * 1024;

/// How long what is over is kept. Whatever is not over, and whatever has not arrived yet, is kept in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// How long a run's own session is kept with what was said in it; for ever where there is none.
    pub session_max_age: Option<Duration>,
    /// How long runs, their events, deliveries and attempts, the ledger and what was said in sessions that go on are
    /// kept; for ever where there is none.
    pub history_max_age: Option<Duration>,
    /// How many runs, and how many of its ledger's records, are kept of one job at most.
    pub runs_per_job: Option<u32>,
    /// How much room the store may take before the oldest history goes, however young it is.
    pub max_bytes: Option<u64>,
}

impl Retention {
    /// Nothing is ever forgotten.
    pub const KEEP_ALL: Self =
        Self { session_max_age: None, history_max_age: None, runs_per_job: None, max_bytes: None };
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            session_max_age: Some(DAY),
            history_max_age: Some(7 * DAY),
            runs_per_job: Some(2_000),
            // The full history of several hundred busy jobs, and a small part of a small server's disk.
            max_bytes: Some(2 * GIB),
        }
    }
}

/// How far a pass through the store has come. A pass that begins with the default looks at everything; one that goes on
/// from the end of another passes over the old rows which that one looked at and kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneCursor {
    pub(crate) stage: PruneStage,
    /// Whether a pass before this one has looked at everything.
    pub(crate) goes_on: bool,
    /// What was looked at last in this stage.
    pub(crate) after: PruneMark,
    /// Up to where the passes before have looked at runs and at runs' own sessions.
    pub(crate) runs_seen: i64,
    pub(crate) sessions_seen: i64,
    /// Up to which job the passes before have counted runs, and records of the ledger.
    pub(crate) runs_counted: Option<JobId>,
    pub(crate) ledger_counted: Option<JobId>,
    pub(crate) requests_counted: Option<JobId>,
    /// How many jobs this pass has looked at in this stage.
    pub(crate) jobs: usize,
}

/// What a pass looks at, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum PruneStage {
    #[default]
    CleanedSessions,
    OldSessions,
    OldRuns,
    RunsPerJob,
    Bytes,
    Ledger,
    Notices,
    Requests,
    Replays,
    Conversations,
    Spending,
}

/// The place within a stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum PruneMark {
    #[default]
    Start,
    Row(i64),
    /// A row among those of one instant.
    RowAt(UnixMs, i64),
    Key(String),
    /// A row among those of one job.
    RowOf(JobId, i64),
}

/// What one step of a pass has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// What went.
    pub rows: PrunedRows,
    /// Where to go on.
    pub then: PruneNext,
    /// How long it took to find and to forget it; zero in a simulation, where nothing may depend on the machine.
    pub took: Duration,
    /// Where the store takes more room than it may and nothing more may go: why.
    pub held: Option<HeldSpace>,
}

/// Where a pass goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneNext {
    /// In the next step.
    Step(PruneCursor),
    /// It is over; the next pass begins here.
    Pass(PruneCursor),
}

/// How much of what went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrunedRows {
    /// Runs, each with its event.
    pub runs: u64,
    /// Sessions.
    pub sessions: u64,
    /// Entries of transcripts.
    pub entries: u64,
    /// Events.
    pub events: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Attempts.
    pub attempts: u64,
    /// Records of the ledger.
    pub occurrences: u64,
    /// Replays.
    pub replays: u64,
    /// Texts that waited for a turn that never came.
    pub system_events: u64,
    /// Requests to hooks.
    pub hook_requests: u64,
    /// Days of what was spent, by job and model.
    pub spending: u64,
}

impl PrunedRows {
    /// All of them together.
    pub fn total(&self) -> u64 {
        let Self { runs, sessions, entries, events, deliveries, attempts, .. } = *self;
        let Self { occurrences, replays, system_events, hook_requests, spending, .. } = *self;
        runs + sessions
            + entries
            + events
            + deliveries
            + attempts
            + occurrences
            + replays
            + system_events
            + hook_requests
            + spending
    }

    /// Adds what went besides.
    pub fn add(&mut self, more: &Self) {
        self.runs += more.runs;
        self.sessions += more.sessions;
        self.entries += more.entries;
        self.events += more.events;
        self.deliveries += more.deliveries;
        self.attempts += more.attempts;
        self.occurrences += more.occurrences;
        self.replays += more.replays;
        self.system_events += more.system_events;
        self.hook_requests += more.hook_requests;
        self.spending += more.spending;
    }
}

/// Why a store takes more room than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldSpace {
    /// How much it takes.
    pub bytes: u64,
    /// How many deliveries are not over yet.
    pub deliveries_open: u64,
    /// How many are dead, and so young that somebody may still want to send them again.
    pub deliveries_dead: u64,
}

/// The room that a store takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// The store's file.
    pub bytes: u64,
    /// The part of it that holds nothing, and is written to again before the file grows.
    pub free: u64,
}

/// What came of giving room back to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reclaimed {
    /// How much was given back.
    pub bytes: u64,
    /// How much of the file still holds nothing.
    pub free: u64,
    /// How long that took; zero in a simulation.
    pub took: Duration,
}
