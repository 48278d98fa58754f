//! The ledger: what became of a job's due instants, and running those after all that were not run.

use clawhook_engine::BackfillNow;
use clawhook_model::{BackfillRequest, DefinitionError, JobId, Overlap, UnixMs};
use clawhook_schedule::{ScheduleError, Timetable};
use clawhook_store::{Occurrence, OccurrenceFilter, StoreError};
use serde_json::Value;
use thiserror::Error;

use super::jobs::{definition_error_field, job_id};
use super::{Verbs, shown, store_code};

/// Which of a job's due instants, the newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct LedgerFilter {
    /// Only instants before this one.
    pub(crate) before: Option<UnixMs>,
    /// Only instants that were run, skipped or missed: one of these words.
    pub(crate) outcome: Option<&'static str>,
    /// How many at most.
    pub(crate) limit: usize,
}

/// A page of a job's due instants, the newest first.
#[derive(Debug)]
pub(crate) struct LedgerPage {
    /// The instants.
    pub(crate) occurrences: Vec<Occurrence>,
    /// Before which instant the next page lies, where there is one.
    pub(crate) next_before: Option<UnixMs>,
}

/// What came of a backfill.
#[derive(Debug)]
pub(crate) struct Backfilled {
    /// The instants that are queued, or would be.
    pub(crate) queued: Vec<UnixMs>,
    /// The instants that were run before, and are not run again.
    pub(crate) already_ran: Vec<UnixMs>,
    /// Whether it was only asked what would be done.
    pub(crate) dry_run: bool,
}

/// Why a verb on the ledger was not done.
#[derive(Debug, Error)]
pub(crate) enum LedgerVerbError {
    /// There is no such job, and it has left no record.
    #[error("Automation not found: {0}.")]
    NotFound(String),
    /// It is no request.
    #[error(transparent)]
    Request(#[from] DefinitionError),
    /// The job's schedule cannot be read any more.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The stretch reaches into the future.
    #[error("`to`: {to} is to come; it is {now} now")]
    ToCome {
        /// The end that was given.
        to: UnixMs,
        /// The present.
        now: UnixMs,
    },
    /// The job was due more often than one backfill may have it run.
    #[error("the job was due more than {most} times from {from} to {to}", most = BackfillRequest::MOST)]
    TooLong {
        /// The beginning that was given.
        from: UnixMs,
        /// The end that was given.
        to: UnixMs,
    },
    /// More runs of the job would wait than may.
    #[error("{open} runs of the job are not over, and with the backfill there would be more than {most}", most = Overlap::MOST_OPEN)]
    TooManyOpen {
        /// How many there are.
        open: u32,
    },
    /// The gateway takes no more work.
    #[error("the gateway is stopping and begins no run")]
    Stopping,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LedgerVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Request(DefinitionError::UnknownField { .. }) => "unknown_field",
            Self::Request(_) | Self::ToCome { .. } => "invalid_backfill",
            Self::Schedule(_) => "invalid_schedule",
            Self::TooLong { .. } => "too_many_instants",
            Self::TooManyOpen { .. } => "too_many_runs",
            Self::Stopping => "stopping",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(_) => Some("list the jobs, disabled ones too, to see their ids".to_owned()),
            Self::Request(error) => error.hint(),
            Self::Schedule(error) => error.hint(),
            Self::ToCome { .. } => {
                Some("a backfill runs what has passed; what is to come is run when it is due".to_owned())
            }
            Self::TooLong { .. } => Some("choose a shorter stretch, and do one after another".to_owned()),
            Self::TooManyOpen { .. } => {
                Some("wait until some of them are over, or choose a shorter stretch".to_owned())
            }
            Self::Stopping => Some("try again when the gateway is back".to_owned()),
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }

    /// The field of the request that it is about.
    pub(crate) fn field(&self) -> Option<String> {
        match self {
            Self::Request(error) => definition_error_field(error),
            Self::ToCome { .. } => Some("to".to_owned()),
            _ => None,
        }
    }
}

impl Verbs {
    /// What became of a job's due instants. A removed job's ledger can still be read.
    pub(crate) async fn ledger(
        &self,
        job: &str,
        filter: LedgerFilter,
    ) -> Result<LedgerPage, LedgerVerbError> {
        let job_id = job_id(job).map_err(|_| not_found(job))?;
        let LedgerFilter { before, outcome, limit } = filter;
        // One more than is shown tells whether more follow.
        let filter = OccurrenceFilter {
            job_id: job_id.clone(),
            before,
            outcome: outcome.map(str::to_owned),
            limit: limit + 1,
        };
        let mut occurrences = self.with.store.occurrences(filter).await?;
        if occurrences.is_empty() && self.is_unknown(&job_id).await? {
            return Err(not_found(job));
        }
        let has_more = occurrences.len() > limit;
        occurrences.truncate(limit);
        let next_before = occurrences.last().filter(|_| has_more).map(|last| last.due_at);
        Ok(LedgerPage { occurrences, next_before })
    }

    async fn is_unknown(&self, job: &JobId) -> Result<bool, StoreError> {
        let store = &self.with.store;
        Ok(store.job(job).await?.is_none()
            && store.occurrences(OccurrenceFilter::newest(job, 1)).await?.is_empty())
    }

    /// Runs the instants of a stretch of the past after all at which the job was due and was not run.
    pub(crate) async fn backfill(&self, job: &str, given: Value) -> Result<Backfilled, LedgerVerbError> {
        let BackfillRequest { from, to, dry_run } = BackfillRequest::parse(given)?;
        let id = job_id(job).map_err(|_| not_found(job))?;
        let found = self.with.store.job(&id).await?.ok_or_else(|| not_found(job))?;
        let now = self.with.clock.now();
        if to > now {
            return Err(LedgerVerbError::ToCome { to, now });
        }
        let timetable = Timetable::new(&found.definition.schedule, &id, &self.with.host_zone)?;
        let just_before = from.plus_millis(-1);
        let instants: Vec<UnixMs> =
            timetable.due_between(just_before, to).take(BackfillRequest::MOST + 1).collect();
        if instants.len() > BackfillRequest::MOST {
            return Err(LedgerVerbError::TooLong { from, to });
        }
        match self.with.engine.backfill(&id, &instants, dry_run).await? {
            BackfillNow::Done { queued, already_ran } => Ok(Backfilled { queued, already_ran, dry_run }),
            BackfillNow::TooMany { open } => Err(LedgerVerbError::TooManyOpen { open }),
            BackfillNow::NotFound => Err(not_found(job)),
            BackfillNow::Stopping => Err(LedgerVerbError::Stopping),
        }
    }
}

fn not_found(job: &str) -> LedgerVerbError {
    LedgerVerbError::NotFound(shown(job))
}
