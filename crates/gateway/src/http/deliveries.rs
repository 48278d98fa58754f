//! `/api/v1/deliveries`.

use axum::Json;
use axum::extract::State;
use clawhook_model::{DeadCause, DeliveryState, DestinationRef, JobId, MAX_DATE_MS, RunId, UnixMs};
use clawhook_store::DeliveryFilter;
use http::StatusCode;
use utoipa::IntoParams;

use super::body::OptionalJsonObject;
use super::error::{ApiError, ErrorBody};
use super::jobs::{LARGEST_PAGE, PAGE};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::Verbs;
use crate::wire::{DeliveryDetail, DeliveryList, DeliveryView, ReplayTo, SentAgainView};

/// Which deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Only deliveries to this destination: its name, its `dst_…`, or the URL that jobs name.
    #[param(value_type = Option<String>)]
    destination: Option<DestinationRef>,
    /// Only deliveries of this job.
    #[param(value_type = Option<String>)]
    job_id: Option<JobId>,
    /// Only deliveries of this run.
    #[param(value_type = Option<String>)]
    run_id: Option<RunId>,
    /// Only deliveries in one of these states, with commas between them.
    #[param(value_type = Option<String>, example = "pending,waiting")]
    state: Vec<DeliveryState>,
    /// Only deliveries that are dead for one of these causes, with commas between them: `receiver`, `configuration` or
    /// `gateway`.
    #[param(value_type = Option<String>, example = "receiver")]
    cause: Vec<DeadCause>,
    /// Only deliveries that were accepted at this instant or later.
    #[param(value_type = Option<i64>)]
    since_ms: Option<UnixMs>,
    /// Only deliveries that were accepted before this instant.
    #[param(value_type = Option<i64>)]
    until_ms: Option<UnixMs>,
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// How many are passed over.
    offset: Option<usize>,
}

impl QueryForm for ListQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self {
            destination: params.id("destination")?,
            job_id: params.id("jobId")?,
            run_id: params.id("runId")?,
            state: params.words("state", &DeliveryState::ALL.map(|state| (state.as_str(), state)))?,
            cause: params.words("cause", &DeadCause::ALL.map(|cause| (cause.as_str(), cause)))?,
            since_ms: instant(params, "sinceMs")?,
            until_ms: instant(params, "untilMs")?,
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            offset: params.number("offset", 0..=usize::MAX)?,
        })
    }
}

fn instant(params: &mut Params, name: &'static str) -> Result<Option<UnixMs>, ApiError> {
    let ms = params.number(name, 0..=usize::try_from(MAX_DATE_MS).unwrap_or(usize::MAX))?;
    Ok(ms.and_then(|ms| i64::try_from(ms).ok()).map(UnixMs::from_millis))
}

/// Lists deliveries, the newest first.
#[utoipa::path(
    get, path = "/api/v1/deliveries", tag = "deliveries", params(ListQuery),
    responses(
        (status = 200, description = "A page of deliveries.", body = DeliveryList),
        (status = 404, description = "There is no such destination.", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(verbs): State<Verbs>,
    Query(query): Query<ListQuery>,
) -> Result<Json<DeliveryList>, ApiError> {
    let (offset, limit) = (query.offset.unwrap_or(0), query.limit.unwrap_or(PAGE));
    let filter = DeliveryFilter {
        job_id: query.job_id,
        run_id: query.run_id,
        destination: None,
        states: query.state,
        causes: query.cause,
        since: query.since_ms,
        until: query.until_ms,
        offset,
        limit,
    };
    let page = verbs.deliveries(query.destination, filter).await?;
    Ok(Json(DeliveryList::new(&page, offset, limit)))
}

/// Reads a delivery with the story of its attempts.
#[utoipa::path(
    get, path = "/api/v1/deliveries/{id}", tag = "deliveries",
    params(("id" = String, Path, description = "The delivery.")),
    responses(
        (status = 200, description = "The delivery.", body = DeliveryDetail),
        (status = 404, description = "There is no such delivery.", body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<DeliveryDetail>, ApiError> {
    Ok(Json(DeliveryDetail::from(verbs.delivery(&id).await?)))
}

/// Has a delivery that has not arrived tried again at once, with its whole retry schedule before it.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/retry", tag = "deliveries",
    params(("id" = String, Path, description = "The delivery.")),
    responses(
        (status = 202, description = "It is due.", body = DeliveryView),
        (status = 404, description = "There is no such delivery.", body = ErrorBody),
        (status = 409, description = "It is being tried, has arrived, or was not to be sent.", body = ErrorBody),
    )
)]
pub(super) async fn retry(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<(StatusCode, Json<DeliveryView>), ApiError> {
    let found = verbs.retry_delivery(&id).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryView::from(&found.delivery))))
}

/// Ends a delivery that waits. What stood behind it in an order goes on; it can be replayed later.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/cancel", tag = "deliveries",
    params(("id" = String, Path, description = "The delivery.")),
    responses(
        (status = 200, description = "It is cancelled.", body = DeliveryView),
        (status = 404, description = "There is no such delivery.", body = ErrorBody),
        (status = 409, description = "It is being tried, or is over already.", body = ErrorBody),
    )
)]
pub(super) async fn cancel(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<DeliveryView>, ApiError> {
    let found = verbs.cancel_delivery(&id).await?;
    Ok(Json(DeliveryView::from(&found.delivery)))
}

/// Sends the event of a delivery once more, under the same `webhook-id`. What is dead or cancelled is itself due again;
/// what has arrived, or is to go to another destination, gets another delivery beside it.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/replay", tag = "deliveries",
    params(("id" = String, Path, description = "The delivery.")), request_body = ReplayTo,
    responses(
        (status = 202, description = "It is due.", body = SentAgainView),
        (status = 404, description = "There is no such delivery or destination.", body = ErrorBody),
        (status = 409, description = "It is on its way, or was not to be sent.", body = ErrorBody),
    )
)]
pub(super) async fn replay(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
    OptionalJsonObject(given): OptionalJsonObject,
) -> Result<(StatusCode, Json<SentAgainView>), ApiError> {
    let (delivery, added) = verbs.replay_delivery(&id, given).await?;
    Ok((StatusCode::ACCEPTED, Json(SentAgainView::new(&delivery, added))))
}
