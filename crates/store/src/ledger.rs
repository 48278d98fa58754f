//! The ledger: one durable record for every due instant of a job (invariants 1 and 2).

use clawhook_model::{AutoDisabled, JobId, OpenRuns, Overlap, RunId, SessionId, UnixMs};

use crate::runs::{NewRun, RunRecord};

/// What became of one due instant.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// The instant.
    pub due_at: UnixMs,
    /// What became of it.
    pub outcome: OccurrenceOutcome,
    /// Why it was not run when it was due, where it was run after all.
    pub was_passed: Option<String>,
    /// When that was recorded.
    pub recorded_at: UnixMs,
    /// The last try, of an instant that was run.
    pub run: Option<RunRecord>,
}

/// What became of a due instant: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OccurrenceOutcome {
    /// It was run.
    Ran(RunId),
    /// It was due, and deliberately not run.
    Skipped(String),
    /// It could not be run when it was due.
    Missed(String),
}

impl OccurrenceOutcome {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ran(_) => "ran",
            Self::Skipped(_) => "skipped",
            Self::Missed(_) => "missed",
        }
    }
}

/// Which of a job's occurrences, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OccurrenceFilter {
    /// The job.
    pub job_id: JobId,
    /// Only instants before this one.
    pub before: Option<UnixMs>,
    /// Only instants that were run, skipped or missed: one of these words.
    pub outcome: Option<String>,
    /// How many at most.
    pub limit: usize,
}

impl OccurrenceFilter {
    /// The newest occurrences of `job`, `limit` at most.
    pub fn newest(job: &JobId, limit: usize) -> Self {
        Self { job_id: job.clone(), before: None, outcome: None, limit }
    }
}

/// What was decided for a job that is due; written whole or not at all.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The job.
    pub job_id: JobId,
    /// The instant the job waits for; if it waits for another by now, the claim is lost.
    pub due_at: UnixMs,
    /// The runs that were not over when it was decided; if there are more by now, the claim is lost.
    pub open: OpenRuns,
    /// Instants that leave a record without a run.
    pub passed: Vec<(UnixMs, OccurrenceOutcome)>,
    /// The runs, each with the instant it stands for.
    pub runs: Vec<PlannedRun>,
    /// The next instant to wait for.
    pub next_run_at: Option<UnixMs>,
    /// Why the job is switched off.
    pub disables: Option<AutoDisabled>,
}

/// A run of a claim.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    /// The run.
    pub run: NewRun,
    /// When it begins.
    pub start: RunStart,
}

/// When a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStart {
    /// At once: the caller holds a slot for it.
    Now,
    /// It is queued, and ready from this instant on.
    At(UnixMs),
    /// It is queued until the job's runs before it are over.
    AfterOthers,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is written. These are its runs: those that begin at once are this process's to finish. A run whose instant was
    /// run already, as happens when the clock was set back, is not among them, and is not run again.
    Won(Vec<RunId>),
    /// The job was edited, disabled or removed, has more runs open, or somebody else was faster.
    Lost,
}

/// When something of a lane is to be done next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneWake {
    /// The earliest instant that a job waits for.
    pub due_at: Option<UnixMs>,
    /// The earliest instant from which a queued run may begin.
    pub ready_at: Option<UnixMs>,
}

/// Instants of the past that are to be run after all.
#[derive(Debug, Clone)]
pub struct Backfill {
    /// The job.
    pub job_id: JobId,
    /// The instants, in order, each with the run and the session it would get.
    pub instants: Vec<(UnixMs, RunId, SessionId)>,
    /// What holds where the job has no overlap policy of its own.
    pub overlap: Overlap,
    /// Whether it is only to be told what would be done.
    pub dry_run: bool,
}

/// What came of a backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backfilled {
    /// It is done, or would be.
    Done {
        /// The instants that are queued.
        queued: Vec<UnixMs>,
        /// The instants that were run before, or whose records are forgotten by now; they are not run again.
        already_ran: Vec<UnixMs>,
    },
    /// More runs of the job would wait than may; nothing was done.
    TooMany {
        /// How many are open already.
        open: u32,
    },
    /// There is no such job.
    NotFound,
}

/// What is later than it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overdue {
    /// The job whose instant has waited longest for its record, with that instant.
    pub job: Option<(JobId, UnixMs)>,
    /// The run that has waited longest for a slot, with the instant since when it could have begun.
    pub run: Option<(RunId, UnixMs)>,
}
