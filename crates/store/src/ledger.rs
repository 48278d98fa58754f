//! The ledger: one durable record for every due instant of a job (invariants 1 and 2).

use clawhook_model::{JobId, RunId, UnixMs};

use crate::runs::NewRun;

/// What became of one due instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// The instant.
    pub due_at: UnixMs,
    /// What became of it.
    pub outcome: OccurrenceOutcome,
    /// When that was recorded.
    pub recorded_at: UnixMs,
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

/// What was decided for a job that is due; written whole or not at all.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The job.
    pub job_id: JobId,
    /// The instant the job waits for; if it waits for another by now, the claim is lost.
    pub due_at: UnixMs,
    /// Instants that leave a record without a run.
    pub passed: Vec<(UnixMs, OccurrenceOutcome)>,
    /// The run, where there is one, with the instant it stands for.
    pub run: Option<NewRun>,
    /// The next instant to wait for.
    pub next_run_at: Option<UnixMs>,
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It is written, and its run is this process's to finish.
    Won,
    /// The instant of its run has its record already, as happens when the clock was set back: the job waits for its
    /// next instant, and nothing is run again.
    AlreadyRecorded,
    /// The job was edited, disabled or removed, is already running, or somebody else was faster.
    Lost,
}
