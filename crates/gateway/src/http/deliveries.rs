//! `/api/v1/deliveries`.

use axum::Json;
use axum::extract::State;
use clawhook_model::{DeliveryState, JobId, RunId};
use clawhook_store::DeliveryFilter;
use http::StatusCode;
use utoipa::IntoParams;

use super::error::{ApiError, ErrorBody};
use super::jobs::{LARGEST_PAGE, PAGE};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::Verbs;
use crate::wire::{DeliveryDetail, DeliveryList, DeliveryView};

/// Which deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Only deliveries of this job.
    #[param(value_type = Option<String>)]
    job_id: Option<JobId>,
    /// Only deliveries of this run.
    #[param(value_type = Option<String>)]
    run_id: Option<RunId>,
    /// Only deliveries in one of these states, with commas between them.
    #[param(value_type = Option<String>, example = "pending,waiting")]
    state: Vec<DeliveryState>,
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// How many are passed over.
    offset: Option<usize>,
}

impl QueryForm for ListQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self {
            job_id: params.id("jobId")?,
            run_id: params.id("runId")?,
            state: params.words("state", &DeliveryState::ALL.map(|state| (state.as_str(), state)))?,
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            offset: params.number("offset", 0..=usize::MAX)?,
        })
    }
}

/// Lists deliveries, the newest first.
#[utoipa::path(
    get, path = "/api/v1/deliveries", tag = "deliveries", params(ListQuery),
    responses((status = 200, description = "A page of deliveries.", body = DeliveryList))
)]
pub(super) async fn list(
    State(verbs): State<Verbs>,
    Query(query): Query<ListQuery>,
) -> Result<Json<DeliveryList>, ApiError> {
    let (offset, limit) = (query.offset.unwrap_or(0), query.limit.unwrap_or(PAGE));
    let ListQuery { job_id, run_id, state: states, .. } = query;
    let page = verbs
        .deliveries(DeliveryFilter { job_id, run_id, states, offset, limit, ..DeliveryFilter::default() })
        .await?;
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
