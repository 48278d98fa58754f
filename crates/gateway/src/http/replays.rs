//! `/api/v1/replays`, and the replay of one run.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use clawhook_model::ReplayState;
use clawhook_store::ReplayListFilter;
use http::StatusCode;
use utoipa::IntoParams;

use super::body::{JsonObject, OptionalJsonObject};
use super::error::{ApiError, ErrorBody};
use super::jobs::{LARGEST_PAGE, PAGE};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::{RangeReplayed, Verbs};
use crate::wire::{Counted, ReplayCreate, ReplayDetail, ReplayList, ReplayTo, ReplayView, RunSentAgainView};

/// Sends the result of a run once more, under the same `webhook-id`, without running it again: to each destination that
/// its job asked for, or to another alone.
#[utoipa::path(
    post, path = "/api/v1/runs/{runId}/replay", tag = "replays", operation_id = "run",
    params(("runId" = String, Path, description = "The run.")), request_body = ReplayTo,
    responses(
        (status = 202, description = "It is due.", body = RunSentAgainView),
        (status = 404, description = "There is no such run or destination.", body = ErrorBody),
        (status = 409, description = "The run is not over, or nothing of it can be sent.", body = ErrorBody),
    )
)]
pub(super) async fn of_run(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
    OptionalJsonObject(given): OptionalJsonObject,
) -> Result<(StatusCode, Json<RunSentAgainView>), ApiError> {
    let again = verbs.replay_run(&id, given).await?;
    Ok((StatusCode::ACCEPTED, Json(RunSentAgainView::from(again))))
}

/// Begins to send once more all deliveries that match. It is durable: it goes on by itself, after a restart too.
#[utoipa::path(
    post, path = "/api/v1/replays", tag = "replays", request_body = ReplayCreate,
    responses(
        (status = 202, description = "It goes on.", body = ReplayView),
        (status = 200, description = "It was only counted, with `dryRun`.", body = Counted),
        (status = 404, description = "There is no such destination.", body = ErrorBody),
        (status = 422, description = "It is refused; the answer says why and what to do.", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(verbs): State<Verbs>,
    _: Query<NoQuery>,
    JsonObject(given): JsonObject,
) -> Result<Response, ApiError> {
    Ok(match verbs.replay_range(given).await? {
        RangeReplayed::Counted(matched) => Json(Counted { matched }).into_response(),
        RangeReplayed::Begun(replay) => {
            (StatusCode::ACCEPTED, Json(ReplayView::from(&*replay))).into_response()
        }
    })
}

/// Which replays.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Only those in this state: `running`, `done` or `cancelled`.
    #[param(value_type = Option<String>)]
    state: Option<ReplayState>,
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// How many are passed over.
    offset: Option<usize>,
}

impl QueryForm for ListQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self {
            state: params.word("state", &ReplayState::ALL.map(|state| (state.as_str(), state)))?,
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            offset: params.number("offset", 0..=usize::MAX)?,
        })
    }
}

/// Lists replays, the newest first.
#[utoipa::path(
    get, path = "/api/v1/replays", tag = "replays", params(ListQuery),
    responses((status = 200, description = "A page of replays.", body = ReplayList))
)]
pub(super) async fn list(
    State(verbs): State<Verbs>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ReplayList>, ApiError> {
    let (offset, limit) = (query.offset.unwrap_or(0), query.limit.unwrap_or(PAGE));
    let page = verbs.replays(ReplayListFilter { state: query.state, offset, limit }).await?;
    Ok(Json(ReplayList::new(&page, offset, limit)))
}

/// Reads how far a replay has come, and what became of what it queued.
#[utoipa::path(
    get, path = "/api/v1/replays/{id}", tag = "replays",
    params(("id" = String, Path, description = "The replay.")),
    responses(
        (status = 200, description = "The replay.", body = ReplayDetail),
        (status = 404, description = "There is no such replay.", body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<ReplayDetail>, ApiError> {
    Ok(Json(ReplayDetail::from(verbs.replay(&id).await?)))
}

/// Ends a replay. What it has queued is still sent.
#[utoipa::path(
    post, path = "/api/v1/replays/{id}/cancel", tag = "replays",
    params(("id" = String, Path, description = "The replay.")),
    responses(
        (status = 200, description = "It is over.", body = ReplayView),
        (status = 404, description = "There is no such replay.", body = ErrorBody),
        (status = 409, description = "It was over before.", body = ErrorBody),
    )
)]
pub(super) async fn cancel(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<ReplayView>, ApiError> {
    Ok(Json(ReplayView::from(&verbs.cancel_replay(&id).await?)))
}
