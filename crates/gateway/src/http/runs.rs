//! `/api/v1/runs`, and what a job has of them.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use clawhook_model::{JobId, RunState, RunStatus};
use clawhook_store::RunFilter;
use http::StatusCode;
use utoipa::IntoParams;

use super::error::{ApiError, ErrorBody};
use super::jobs::{LARGEST_PAGE, PAGE};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::Verbs;
use crate::wire::{RunEntry, RunList, Transcript};

/// The longest that an answer waits for its run, in seconds.
const LONGEST_WAIT: usize = 60;

/// Which of a job's runs.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct JobRunsQuery {
    /// Only runs that ended so: `ok`, `error` or `skipped`; `all` are all.
    #[param(value_type = Option<String>)]
    status: Option<RunStatus>,
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// How many are passed over.
    offset: Option<usize>,
}

impl QueryForm for JobRunsQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let statuses = [
            ("all", None),
            ("ok", Some(RunStatus::Ok)),
            ("error", Some(RunStatus::Error)),
            ("skipped", Some(RunStatus::Skipped)),
        ];
        Ok(Self {
            status: params.word("status", &statuses)?.flatten(),
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            offset: params.number("offset", 0..=usize::MAX)?,
        })
    }
}

impl JobRunsQuery {
    fn filter(self) -> RunFilter {
        RunFilter {
            job_id: None,
            status: self.status,
            finished_only: false,
            offset: self.offset.unwrap_or(0),
            limit: self.limit.unwrap_or(PAGE),
        }
    }
}

/// Lists a job's runs, the newest first. A removed job's can be read while there are any.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/runs", tag = "runs",
    params(("id" = String, Path, description = "The job."), JobRunsQuery),
    responses(
        (status = 200, description = "A page of runs.", body = RunList),
        (status = 404, description = "There is no such job, and there are no runs of it.", body = ErrorBody),
    )
)]
pub(super) async fn of_job(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    Query(query): Query<JobRunsQuery>,
) -> Result<Json<RunList>, ApiError> {
    let filter = query.filter();
    let (offset, limit) = (filter.offset, filter.limit);
    let page = verbs.job_runs(&id, filter).await?;
    Ok(Json(RunList::new(&page, offset, limit)))
}

/// Which runs.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct RunsQuery {
    /// Only runs of this job.
    #[param(value_type = Option<String>)]
    job_id: Option<JobId>,
    /// Only runs that ended so: `ok`, `error` or `skipped`; `all` are all.
    #[param(value_type = Option<String>)]
    status: Option<RunStatus>,
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// How many are passed over.
    offset: Option<usize>,
}

impl QueryForm for RunsQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let job_id = params.id("jobId")?;
        let JobRunsQuery { status, limit, offset } = JobRunsQuery::read(params)?;
        Ok(Self { job_id, status, limit, offset })
    }
}

/// Lists runs, the newest first.
#[utoipa::path(
    get, path = "/api/v1/runs", tag = "runs", params(RunsQuery),
    responses((status = 200, description = "A page of runs.", body = RunList))
)]
pub(super) async fn list(
    State(verbs): State<Verbs>,
    Query(query): Query<RunsQuery>,
) -> Result<Json<RunList>, ApiError> {
    let RunsQuery { job_id, status, limit, offset } = query;
    let filter = RunFilter { job_id, ..JobRunsQuery { status, limit, offset }.filter() };
    let (offset, limit) = (filter.offset, filter.limit);
    let page = verbs.runs(filter).await?;
    Ok(Json(RunList::new(&page, offset, limit)))
}

/// How long to wait.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct WaitQuery {
    /// The answer waits for the run to be complete, delivery included, though no longer than this.
    #[param(minimum = 0, maximum = 60)]
    wait_seconds: Option<usize>,
}

impl QueryForm for WaitQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self { wait_seconds: params.number("waitSeconds", 0..=LONGEST_WAIT)? })
    }
}

/// Reads a run.
#[utoipa::path(
    get, path = "/api/v1/runs/{runId}", tag = "runs",
    params(("runId" = String, Path, description = "The run."), WaitQuery),
    responses(
        (status = 200, description = "The run.", body = RunEntry),
        (status = 404, description = "There is no such run.", body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    Query(query): Query<WaitQuery>,
) -> Result<Json<RunEntry>, ApiError> {
    let record = verbs.run(&id, seconds(query.wait_seconds)).await?;
    Ok(Json(RunEntry::from(&record)))
}

/// How long to wait for a run's end.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct CancelQuery {
    /// The answer waits for the run to be over, though no longer than this.
    #[param(minimum = 0, maximum = 60)]
    wait_seconds: Option<usize>,
}

impl QueryForm for CancelQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self { wait_seconds: params.number("waitSeconds", 0..=LONGEST_WAIT)? })
    }
}

/// Ends a run. One that is under way is told to end, its model's connection and its command's processes with it, and is
/// given up where it does not; one that waits never begins. It ends with the class `cancelled`, which counts for nothing.
#[utoipa::path(
    post, path = "/api/v1/runs/{runId}/cancel", tag = "runs",
    params(("runId" = String, Path, description = "The run."), CancelQuery),
    responses(
        (status = 200, description = "The run is over.", body = RunEntry),
        (status = 202, description = "The run is told to end.", body = RunEntry),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        (status = 409, description = "The run was over before.", body = ErrorBody),
    )
)]
pub(super) async fn cancel(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    Query(query): Query<CancelQuery>,
) -> Result<(StatusCode, Json<RunEntry>), ApiError> {
    let record = verbs.cancel_run(&id, seconds(query.wait_seconds)).await?;
    let is_over = record.run.progress.state() == RunState::Finished;
    let status = if is_over { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(RunEntry::from(&record))))
}

fn seconds(wait: Option<usize>) -> Duration {
    Duration::from_secs(u64::try_from(wait.unwrap_or(0)).unwrap_or(0))
}

/// Reads what was said in a run.
#[utoipa::path(
    get, path = "/api/v1/runs/{runId}/transcript", tag = "runs",
    params(("runId" = String, Path, description = "The run.")),
    responses(
        (status = 200, description = "What was said; empty while the run is not over.", body = Transcript),
        (status = 404, description = "There is no such run.", body = ErrorBody),
    )
)]
pub(super) async fn transcript(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<Transcript>, ApiError> {
    Ok(Json(Transcript::from(verbs.transcript(&id).await?)))
}
