//! `/api/v1/channels`: by whom people are told.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::body::JsonObject;
use super::error::{ApiError, ErrorBody};
use super::query::{NoQuery, Query};
use crate::verbs::Verbs;
use crate::wire::{ChannelList, ChannelTestRequest, ChannelTestView};

/// Lists the accounts of the channels that are configured.
#[utoipa::path(
    get, path = "/api/v1/channels", tag = "channels",
    responses((status = 200, description = "The accounts.", body = ChannelList))
)]
pub(super) async fn list(State(verbs): State<Verbs>, _: Query<NoQuery>) -> Json<ChannelList> {
    Json(verbs.channel_accounts().into())
}

/// Sends a test message, once, by the account and through the guard. Nothing follows from how it ends.
#[utoipa::path(
    post, path = "/api/v1/channels/test", tag = "channels", request_body = ChannelTestRequest,
    responses(
        (status = 200, description = "It was sent, and this came of it.", body = ChannelTestView),
        (status = 422, description = "There is no such place.", body = ErrorBody),
        (status = 409, description = "It cannot be tried out at the moment.", body = ErrorBody),
    )
)]
pub(super) async fn test(
    State(verbs): State<Verbs>,
    _: Query<NoQuery>,
    JsonObject(request): JsonObject,
) -> Result<Json<ChannelTestView>, ApiError> {
    let request: ChannelTestRequest = serde_json::from_value(request).map_err(|error| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_place", error.to_string())
    })?;
    Ok(Json(verbs.test_place(&request.into()).await?.into()))
}
