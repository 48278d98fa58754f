//! `/api/v1/alerts`, and what is acknowledged with the gateway's token.

use axum::Json;
use axum::extract::State;
use clawhook_model::JobId;
use clawhook_store::AlertFilter;
use http::StatusCode;
use serde_json::Value;
use utoipa::IntoParams;

use super::body::OptionalJsonObject;
use super::error::{ApiError, ErrorBody};
use super::jobs::{LARGEST_PAGE, PAGE};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::Verbs;
use crate::wire::{AckRequest, AlertList, AlertTest, AlertView, DeliveryDetail};

/// Which alerts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Only alerts of this job.
    #[param(value_type = Option<String>)]
    job_id: Option<JobId>,
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
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            offset: params.number("offset", 0..=usize::MAX)?,
        })
    }
}

/// Lists alerts, the newest first.
#[utoipa::path(
    get, path = "/api/v1/alerts", tag = "alerts", params(ListQuery),
    responses((status = 200, description = "A page of alerts.", body = AlertList))
)]
pub(super) async fn list(
    State(verbs): State<Verbs>,
    Query(query): Query<ListQuery>,
) -> Result<Json<AlertList>, ApiError> {
    let (offset, limit) = (query.offset.unwrap_or(0), query.limit.unwrap_or(PAGE));
    let page = verbs.alerts(AlertFilter { job_id: query.job_id, offset, limit }).await?;
    Ok(Json(AlertList::new(&page, offset, limit)))
}

/// Reads an alert with its deliveries.
#[utoipa::path(
    get, path = "/api/v1/alerts/{id}", tag = "alerts",
    params(("id" = String, Path, description = "The alert: its event.")),
    responses(
        (status = 200, description = "The alert.", body = AlertView),
        (status = 404, description = "There is no such alert.", body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<AlertView>, ApiError> {
    Ok(Json(AlertView::from(&verbs.alert(&id).await?)))
}

/// Sends an alert that tells of nothing to every route of a job, or of the gateway, through the whole outbox. It counts
/// for no job. Read it again to see how each route fared.
#[utoipa::path(
    post, path = "/api/v1/alerts/test", tag = "alerts", request_body = AlertTest,
    responses(
        (status = 202, description = "It is on its way.", body = AlertView),
        (status = 404, description = "There is no such job.", body = ErrorBody),
        (status = 409, description = "There is no route.", body = ErrorBody),
    )
)]
pub(super) async fn test(
    State(verbs): State<Verbs>,
    _: Query<NoQuery>,
    OptionalJsonObject(given): OptionalJsonObject,
) -> Result<(StatusCode, Json<AlertView>), ApiError> {
    let job = only_text(&given, "jobId")?;
    let alert = verbs.test_alert(job.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(AlertView::from(&alert))))
}

/// Acknowledges an alert that asks for it.
#[utoipa::path(
    post, path = "/api/v1/alerts/{id}/ack", tag = "alerts",
    params(("id" = String, Path, description = "The alert: its event.")), request_body = AckRequest,
    responses(
        (status = 200, description = "It is acknowledged.", body = AlertView),
        (status = 404, description = "There is no such alert.", body = ErrorBody),
        (status = 409, description = "Nobody is asked to.", body = ErrorBody),
    )
)]
pub(super) async fn acknowledge(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
    OptionalJsonObject(given): OptionalJsonObject,
) -> Result<Json<AlertView>, ApiError> {
    let by = only_text(&given, "by")?;
    Ok(Json(AlertView::from(&verbs.acknowledge_alert(&id, by.as_deref()).await?)))
}

/// Acknowledges the event of a delivery: nobody is asked for it any more.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/ack", tag = "deliveries",
    operation_id = "acknowledge",
    params(("id" = String, Path, description = "The delivery.")), request_body = AckRequest,
    responses(
        (status = 200, description = "It is acknowledged.", body = DeliveryDetail),
        (status = 404, description = "There is no such delivery.", body = ErrorBody),
        (status = 409, description = "Nobody is asked to.", body = ErrorBody),
    )
)]
pub(super) async fn acknowledge_delivery(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
    OptionalJsonObject(given): OptionalJsonObject,
) -> Result<Json<DeliveryDetail>, ApiError> {
    let by = only_text(&given, "by")?;
    Ok(Json(DeliveryDetail::from(verbs.acknowledge(&id, by.as_deref()).await?)))
}

/// The one member that a body may have, a text.
fn only_text(given: &Value, name: &'static str) -> Result<Option<String>, ApiError> {
    let refuse = |message: String, field: &str| {
        let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", message);
        Err(error.field(Some(field.chars().take(100).collect::<String>())))
    };
    if let Some(other) = given.as_object().into_iter().flatten().map(|(key, _)| key).find(|key| *key != name)
    {
        let shown: String = other.chars().take(100).collect();
        return refuse(format!("unknown field `{shown}`: there is `{name}` alone"), other);
    }
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => refuse(format!("`{name}` must be a text"), name),
    }
}
