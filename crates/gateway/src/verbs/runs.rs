//! Reading runs: their entries, and what was said in them.

use std::time::Duration;

use clawhook_engine::RunCancelled;
use clawhook_model::{CompletionStatus, ErrorReason, RunId, RunProgress, RunStatus, TranscriptEntry};
use clawhook_store::{RunFilter, RunPage, RunRecord, StoreError, Topic};
use thiserror::Error;
use tokio::time::Instant;

use super::jobs::job_id;
use super::live::MOST_FOLLOWERS;
use super::{Verbs, shown, store_code};

/// How long a waiting caller rests at most between two looks. Its rests grow up to this, so that a short wait ends at
/// once, and many long ones on a busy gateway do not turn every commit into a thousand readings.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// Why a verb on runs was not done.
#[derive(Debug, Error)]
pub(crate) enum RunVerbError {
    /// There is no such run.
    #[error("Run not found: {0}.")]
    NotFound(String),
    /// There is no such job, and none of its runs is left.
    #[error("Automation not found: {0}.")]
    NoSuchJob(String),
    /// What is over cannot be cancelled.
    #[error("the run `{run}` is over already: it ended as {}{}", status.as_str(), reason.map(|reason| format!(" ({})", reason.as_str())).unwrap_or_default())]
    Over {
        /// The run.
        run: RunId,
        /// How it ended.
        status: RunStatus,
        /// Why it did not end well.
        reason: Option<ErrorReason>,
    },
    /// As many runs are followed as may be.
    #[error("{MOST_FOLLOWERS} runs are followed at the moment, and no more can be")]
    TooManyFollowers,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RunVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::NoSuchJob(_) => "not_found",
            Self::Over { .. } => "already_over",
            Self::TooManyFollowers => "too_many_followers",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(id) => id.parse::<RunId>().err().map(|error| error.to_string()),
            Self::NoSuchJob(_) => Some("list the jobs, disabled ones too, to see their ids".to_owned()),
            Self::Over { .. } => {
                Some("a delivery of its result that waits can be cancelled by itself".to_owned())
            }
            Self::TooManyFollowers => {
                Some("try again when somebody has stopped; the run goes on by itself".to_owned())
            }
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }
}

impl Verbs {
    /// A page of runs.
    pub(crate) async fn runs(&self, filter: RunFilter) -> Result<RunPage, RunVerbError> {
        Ok(self.with.store.runs(filter).await?)
    }

    /// A page of a job's runs. A removed job's runs can be read while there are any.
    pub(crate) async fn job_runs(&self, job: &str, filter: RunFilter) -> Result<RunPage, RunVerbError> {
        let id = job_id(job).map_err(|_| RunVerbError::NoSuchJob(shown(job)))?;
        let any = RunFilter { job_id: Some(id.clone()), limit: 1, ..RunFilter::default() };
        let page = self.with.store.runs(RunFilter { job_id: Some(id.clone()), ..filter }).await?;
        let unknown = page.total == 0
            && self.with.store.job(&id).await?.is_none()
            && self.with.store.runs(any).await?.total == 0;
        if unknown { Err(RunVerbError::NoSuchJob(shown(job))) } else { Ok(page) }
    }

    /// A run. Where it is not complete, the answer waits for that, though no longer than `wait`.
    pub(crate) async fn run(&self, id: &str, wait: Duration) -> Result<RunRecord, RunVerbError> {
        let not_found = || RunVerbError::NotFound(shown(id));
        let run: RunId = id.parse().map_err(|_| not_found())?;
        let deadline = Instant::now() + wait;
        let mut settled = self.with.store.subscribe(Topic::Settled);
        let mut rest = Duration::from_millis(1);
        loop {
            settled.mark_unchanged();
            let record = self.with.store.run(run).await?.ok_or_else(not_found)?;
            if is_complete(&record) || wait.is_zero() {
                return Ok(record);
            }
            let rested = tokio::time::sleep(rest);
            let news = async {
                rested.await;
                settled.changed().await
            };
            rest = (rest * 2).min(LONGEST_REST);
            tokio::select! {
                news = news => if news.is_err() { return Ok(record) },
                () = tokio::time::sleep_until(deadline) => return self.latest(run, record).await,
                () = self.with.stopping.cancelled() => return Ok(record),
            }
        }
    }

    /// The record as it is now, or as it was if the run has gone since.
    async fn latest(&self, run: RunId, record: RunRecord) -> Result<RunRecord, RunVerbError> {
        Ok(self.with.store.run(run).await?.unwrap_or(record))
    }

    /// Ends a run, and gives it as it is then; the answer waits for its end, though no longer than `wait`.
    pub(crate) async fn cancel_run(&self, id: &str, wait: Duration) -> Result<RunRecord, RunVerbError> {
        let not_found = || RunVerbError::NotFound(shown(id));
        let run: RunId = id.parse().map_err(|_| not_found())?;
        let mut settled = self.with.store.subscribe(Topic::Settled);
        let cancelled = self.with.engine.cancel_run(run).await?;
        let deadline = Instant::now() + wait;
        loop {
            settled.mark_unchanged();
            let record = self.with.store.run(run).await?.ok_or_else(not_found)?;
            match &record.run.progress {
                RunProgress::Finished { outcome, .. } if cancelled == RunCancelled::AlreadyOver => {
                    let reason = outcome.error.as_ref().map(|error| error.reason);
                    return Err(RunVerbError::Over { run, status: outcome.status, reason });
                }
                RunProgress::Finished { .. } => return Ok(record),
                RunProgress::Queued(_) | RunProgress::Running { .. } => {}
            }
            tokio::select! {
                news = settled.changed() => if news.is_err() { return Ok(record) },
                () = tokio::time::sleep_until(deadline) => return self.latest(run, record).await,
                () = self.with.stopping.cancelled() => return Ok(record),
            }
        }
    }

    /// What was said in a run.
    pub(crate) async fn transcript(&self, id: &str) -> Result<Vec<TranscriptEntry>, RunVerbError> {
        let not_found = || RunVerbError::NotFound(shown(id));
        let run = id.parse().map_err(|_| not_found())?;
        let entries = self.with.store.transcript(run).await?;
        if entries.is_empty() && self.with.store.run(run).await?.is_none() {
            return Err(not_found());
        }
        Ok(entries)
    }
}

fn is_complete(record: &RunRecord) -> bool {
    matches!(record.completion(), Some(CompletionStatus::Succeeded | CompletionStatus::Failed))
}
