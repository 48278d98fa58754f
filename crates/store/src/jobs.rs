//! Asking for jobs.

use clawhook_model::{Job, JobDefinition, UnixMs};

/// Which jobs, and in what order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFilter {
    /// Only jobs that are enabled (`true`) or disabled (`false`).
    pub enabled: Option<bool>,
    /// Only jobs whose id, name, display name, description or agent holds this text, whatever its case.
    pub text: Option<String>,
    /// The order.
    pub sort: JobSort,
    /// Whether the order is turned round.
    pub descending: bool,
    /// How many are passed over.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// What jobs are ordered by; ties by id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JobSort {
    /// The next instant; jobs without one come last.
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
    pub total: usize,
}

/// What an edit does to the next instant that a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextRun {
    /// It stays what it is, whatever was claimed since the job was read.
    Keep,
    /// It becomes this one, or none.
    Set(Option<UnixMs>),
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
    /// Whether the failures so far are forgiven, and the job is no longer switched off for them.
    pub forgives: bool,
}

/// What came of an edit.
#[derive(Debug, Clone)]
pub enum JobUpdated {
    /// It is stored; this is the job now.
    Done(Box<Job>),
    /// Somebody else edited the job in the meantime.
    Changed,
    /// There is no such job.
    NotFound,
}
