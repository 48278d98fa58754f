//! `/api/v1/jobs`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use clawhook_store::{JobCursor, JobFilter, JobOrder, JobSort, NoJobCursor, PageStart};
use http::StatusCode;
use serde_json::Value;
use utoipa::IntoParams;

use super::body::JsonObject;
use super::error::{ApiError, ErrorBody};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::{RunRequested, Verbs};
use crate::wire::{
    self, CreationCallList, HookCallView, JobCreate, JobList, JobPatch, Removed, RunRequestedView,
    SavedJobView,
};

/// How many entries a page has where the query does not say, and the most it may ask for.
pub(super) const PAGE: usize = 50;
pub(super) const LARGEST_PAGE: usize = 200;

/// Makes a job.
#[utoipa::path(
    post, path = "/api/v1/jobs", tag = "jobs", request_body = JobCreate,
    responses(
        (status = 201, description = "It is stored.", body = SavedJobView),
        (status = 422, description = "It is refused; the answer says why and what to do.", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(verbs): State<Verbs>,
    _: Query<NoQuery>,
    JsonObject(given): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let saved = verbs.create_job(given).await?;
    Ok((StatusCode::CREATED, Json(wire::saved_job(&saved, true))))
}

/// Which jobs.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Disabled ones too. Those that the gateway has switched off are listed either way.
    include_disabled: Option<bool>,
    /// Only jobs whose id, name, label, description or agent holds this text.
    query: Option<String>,
    /// The order: `nextRunAtMs` (where it is left out), `updatedAtMs` or `name`.
    #[param(value_type = Option<String>)]
    sort_by: Option<JobSort>,
    /// `asc` (where it is left out) or `desc`.
    #[param(value_type = Option<String>)]
    sort_dir: Option<bool>,
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// How many are passed over; the more they are, the longer it takes. `after` is quick everywhere.
    offset: Option<usize>,
    /// The `nextCursor` of an earlier page, which this one follows, in the same order.
    after: Option<String>,
}

impl ListQuery {
    /// Where the page begins.
    fn start(&self) -> Result<PageStart, ApiError> {
        let given = self.sort_by.is_some() || self.sort_dir.is_some();
        let order =
            JobOrder { by: self.sort_by.unwrap_or_default(), descending: self.sort_dir.unwrap_or(false) };
        let Some(after) = &self.after else { return Ok(PageStart::Offset(order, self.offset.unwrap_or(0))) };
        if self.offset.is_some() {
            return Err(refused(
                "`after` and `offset` both say where the page begins",
                "leave one of them out",
            ));
        }
        let cursor: JobCursor =
            after.trim().parse().map_err(|error: NoJobCursor| refused(error.to_string(), error.hint()))?;
        if given && cursor.order() != order {
            let message =
                format!("`after` is a place in a list of another order than `{}`", self.order_words());
            return Err(refused(message, "leave `sortBy` and `sortDir` out, or begin with the first page"));
        }
        Ok(PageStart::After(cursor))
    }

    fn order_words(&self) -> String {
        let sort = self.sort_by.unwrap_or_default();
        let word = SORTS.iter().find(|(_, by)| *by == sort).map_or("", |(word, _)| word);
        format!("{word} {}", if self.sort_dir == Some(true) { "desc" } else { "asc" })
    }
}

fn refused(message: impl Into<String>, hint: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", message)
        .field("after".to_owned())
        .hint(hint.to_owned())
}

const SORTS: [(&str, JobSort); 3] =
    [("nextRunAtMs", JobSort::NextRunAt), ("updatedAtMs", JobSort::UpdatedAt), ("name", JobSort::Name)];

impl QueryForm for ListQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self {
            include_disabled: params.flag("includeDisabled")?,
            query: params.text("query"),
            sort_by: params.word("sortBy", &SORTS)?,
            sort_dir: params.word("sortDir", &[("asc", false), ("desc", true)])?,
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            offset: params.number("offset", 0..=usize::MAX)?,
            after: params.text("after"),
        })
    }
}

/// Lists jobs: the enabled ones, where the query does not say otherwise.
#[utoipa::path(
    get, path = "/api/v1/jobs", tag = "jobs", params(ListQuery),
    responses((status = 200, description = "A page of jobs.", body = JobList))
)]
pub(super) async fn list(
    State(verbs): State<Verbs>,
    Query(query): Query<ListQuery>,
) -> Result<Json<JobList>, ApiError> {
    let (start, limit) = (query.start()?, query.limit.unwrap_or(PAGE));
    let enabled = if query.include_disabled == Some(true) { None } else { Some(true) };
    let filter = JobFilter { enabled, text: query.query, start: start.clone(), limit };
    let page = verbs.list_jobs(filter).await?;
    Ok(Json(wire::job_list(&page, &start, limit)))
}

/// Reads a job.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The job.", body = SavedJobView),
        (status = 404, description = "There is no such job.", body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(wire::saved_job(&verbs.job(&id).await?, false)))
}

/// What an edit is based on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct EditQuery {
    /// The `configRevision` that the caller has read; a job of another revision stays as it is.
    expected_config_revision: Option<String>,
}

impl QueryForm for EditQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self { expected_config_revision: params.text("expectedConfigRevision") })
    }
}

/// Edits a job: what is left out stays, `null` clears.
#[utoipa::path(
    patch, path = "/api/v1/jobs/{id}", tag = "jobs", request_body = JobPatch,
    params(("id" = String, Path, description = "The job."), EditQuery),
    responses(
        (status = 200, description = "The job as it is now.", body = SavedJobView),
        (status = 404, description = "There is no such job.", body = ErrorBody),
        (status = 409, description = "The job is not what the caller has read.", body = ErrorBody),
        (status = 422, description = "The edit is refused.", body = ErrorBody),
    )
)]
pub(super) async fn edit(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    Query(query): Query<EditQuery>,
    JsonObject(patch): JsonObject,
) -> Result<Json<Value>, ApiError> {
    let saved = verbs.edit_job(&id, patch, query.expected_config_revision.as_deref()).await?;
    Ok(Json(wire::saved_job(&saved, true)))
}

/// Removes a job. Its history stays, and what waits in the outbox is still delivered.
#[utoipa::path(
    delete, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "It is gone.", body = Removed),
        (status = 404, description = "There is no such job.", body = ErrorBody),
    )
)]
pub(super) async fn remove(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<Removed>, ApiError> {
    verbs.remove_job(&id).await?;
    Ok(Json(Removed { ok: true, removed: true }))
}

/// Has a job run when it is due.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/enable", tag = "jobs", params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The job as it is now.", body = SavedJobView),
        (status = 404, description = "There is no such job.", body = ErrorBody),
        (status = 422, description = "It could not run.", body = ErrorBody),
    )
)]
pub(super) async fn enable(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(wire::saved_job(&verbs.set_enabled(&id, true).await?, false)))
}

/// Has a job run no more when it is due.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/disable", tag = "jobs", params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The job as it is now.", body = SavedJobView),
        (status = 404, description = "There is no such job.", body = ErrorBody),
    )
)]
pub(super) async fn disable(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(wire::saved_job(&verbs.set_enabled(&id, false).await?, false)))
}

/// Runs a job now, enabled or not. Its schedule does not move.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/run", tag = "jobs", params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 202, description = "The run is durable, and begins as soon as there is a slot.", body = RunRequestedView),
        (status = 200, description = "The job's last run is not over.", body = RunRequestedView),
        (status = 404, description = "There is no such job.", body = ErrorBody),
        (status = 503, description = "The gateway is stopping.", body = ErrorBody),
    )
)]
pub(super) async fn run(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Response, ApiError> {
    let requested = verbs.run_job(&id).await?;
    let status = match requested {
        RunRequested::Enqueued(_) => StatusCode::ACCEPTED,
        RunRequested::AlreadyRunning(_) => StatusCode::OK,
    };
    Ok((status, Json(RunRequestedView::from(requested))).into_response())
}

/// The `postCreate` hooks that were told when a job was added or edited, and what came of them.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/hooks", tag = "jobs", params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The calls, the last first.", body = CreationCallList),
        (status = 404, description = "There is no such job.", body = ErrorBody),
    )
)]
pub(super) async fn creation_calls(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<CreationCallList>, ApiError> {
    let calls = verbs.creation_calls(&id).await?;
    Ok(Json(CreationCallList { hooks: calls.iter().map(HookCallView::from).collect() }))
}
