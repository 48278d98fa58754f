//! Asking for jobs.

mod cursor;

use clawhook_model::{Job, JobDefinition, UnixMs};
use serde::{Deserialize, Serialize};

use crate::job_hooks::NewHookCall;
use crate::ledger::OccurrenceOutcome;

pub use self::cursor::{JobCursor, NoJobCursor};
pub(crate) use self::cursor::{Key, Place};

/// Which jobs, and in what order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFilter {
    /// Only jobs that their owners have enabled (`true`) or disabled (`false`). Those that the gateway has switched off
    /// are among the first, so that nobody loses sight of them.
    pub enabled: Option<bool>,
    /// Only jobs whose id, name, display name, description or agent holds this text, whatever its case.
    pub text: Option<String>,
    /// Where in which order the page begins.
    pub start: PageStart,
    /// How many at most.
    pub limit: usize,
}

/// Where a page of jobs begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageStart {
    /// After so many of the jobs that match; finding it takes the longer the more they are.
    Offset(JobOrder, usize),
    /// Where another page ended, however far that is, and whatever was added or removed before it.
    After(JobCursor),
}

/// What jobs are ordered by, and which way; ties by their age, the same way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOrder {
    /// What they are ordered by.
    pub by: JobSort,
    /// Whether the order is turned round.
    pub descending: bool,
}

/// What jobs are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobSort {
    /// The next instant; jobs without one come last, either way.
    #[default]
    NextRunAt,
    /// The last change.
    UpdatedAt,
    /// The name, whatever its case.
    Name,
}

/// A page of jobs.
#[derive(Debug, Clone)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// How many match in all.
    pub total: JobTotal,
    /// Where the next page begins, unless this is the last one. A search that has looked at as many jobs as one page
    /// may ends early, perhaps with nothing found, and goes on from here.
    pub next: Option<JobCursor>,
}

/// How many jobs match in all, as far as the page tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobTotal {
    /// So many.
    Exactly(usize),
    /// So many among those that were looked at, and perhaps more.
    AtLeast(usize),
    /// A search that goes on from a cursor does not count.
    Unknown,
}

/// What an edit does to the next instant that a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextRun {
    /// It stays what it is, whatever was claimed since the job was read.
    Keep,
    /// It becomes this one, or none. Invariant 1 holds for the one that it was, too: see [`Left`].
    Set(Option<UnixMs>),
}

/// The instant that a job waits for no more, where a person moves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// The instant that the job waited for when it was read; where it waits for another by now, because it was claimed
    /// since, the edit or the removal is refused.
    pub waited_for: Option<UnixMs>,
    /// Instants that had come by then and were not claimed, each with its record.
    pub passed: Vec<(UnixMs, OccurrenceOutcome)>,
}

impl Left {
    /// What a job waits for, where that has not come.
    pub fn ahead(job: &Job) -> Self {
        Self { waited_for: job.state.next_run_at, passed: Vec::new() }
    }
}

/// An edit of a job.
#[derive(Debug, Clone)]
pub struct JobEdit {
    /// The definition that the edit was made from; if the job has another by now, it is refused.
    pub before: JobDefinition,
    /// The definition that it makes.
    pub after: JobDefinition,
    /// What becomes of the next instant.
    pub next_run: NextRun,
    /// The instant that is left; it counts for nothing where the next instant is kept.
    pub left: Left,
    /// Whether the failures so far are forgiven, and the job is no longer switched off for them.
    pub forgives: bool,
    /// The hooks that are told of it.
    pub tells: Vec<NewHookCall>,
}

/// What came of an edit.
#[derive(Debug, Clone)]
pub enum JobUpdated {
    /// It is stored; this is the job now.
    Done(Box<Job>),
    /// Somebody else edited the job in the meantime, or it was claimed.
    Changed,
    /// The job would wait for itself, on this way: from the job back to it. Nothing was changed.
    Circle(Vec<String>),
    /// There is no such job.
    NotFound,
}

/// What came of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobRemoved {
    /// It is gone.
    Done,
    /// It was edited or claimed in the meantime.
    Changed,
    /// There is no such job.
    NotFound,
}
