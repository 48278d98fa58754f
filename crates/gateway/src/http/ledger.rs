//! `/api/v1/jobs/{id}/occurrences`, and running those after all that were not run.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use clawhook_model::UnixMs;
use http::StatusCode;
use utoipa::IntoParams;

use super::body::JsonObject;
use super::error::{ApiError, ErrorBody};
use super::jobs::{LARGEST_PAGE, PAGE};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::{LedgerFilter, Verbs};
use crate::wire::{BackfillCreate, BackfilledView, OccurrenceList};

/// Which instants.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct OccurrencesQuery {
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Only instants before this one: RFC 3339, or milliseconds since the epoch.
    #[param(value_type = Option<String>)]
    before: Option<UnixMs>,
    /// Only instants of which this became: `ran`, `skipped` or `missed`.
    outcome: Option<&'static str>,
}

impl QueryForm for OccurrencesQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let outcomes = ["ran", "skipped", "missed"].map(|word| (word, word));
        Ok(Self {
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            before: params.instant("before")?,
            outcome: params.word("outcome", &outcomes)?,
        })
    }
}

/// Lists a job's due instants and what became of each: ran, skipped or missed.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/occurrences", tag = "runs",
    params(("id" = String, Path, description = "The job."), OccurrencesQuery),
    responses(
        (status = 200, description = "The instants, the newest first.", body = OccurrenceList),
        (status = 404, description = "There is no such job, and it has left no record.", body = ErrorBody),
    )
)]
pub(super) async fn occurrences(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    Query(query): Query<OccurrencesQuery>,
) -> Result<Json<OccurrenceList>, ApiError> {
    let OccurrencesQuery { limit, before, outcome } = query;
    let filter = LedgerFilter { before, outcome, limit: limit.unwrap_or(PAGE) };
    Ok(Json(OccurrenceList::from(verbs.ledger(&id, filter).await?)))
}

/// Runs the instants of a stretch of the past after all at which the job was due and was not run. They wait their turn
/// by its overlap policy.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/backfill", tag = "jobs", request_body = BackfillCreate,
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 202, description = "The runs are durable, and begin as soon as it is their turn.", body = BackfilledView),
        (status = 200, description = "With `dryRun`: what would be run.", body = BackfilledView),
        (status = 404, description = "There is no such job.", body = ErrorBody),
        (status = 409, description = "Too many runs of the job are not over.", body = ErrorBody),
        (status = 422, description = "It is refused; the answer says why and what to do.", body = ErrorBody),
    )
)]
pub(super) async fn backfill(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
    JsonObject(given): JsonObject,
) -> Result<Response, ApiError> {
    let done = verbs.backfill(&id, given).await?;
    let status = if done.dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(BackfilledView::from(done))).into_response())
}
