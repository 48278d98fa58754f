//! `/api/v1/destinations`.

use axum::Json;
use axum::extract::State;
use clawhook_store::DestinationFilter;
use http::StatusCode;
use serde_json::Value;
use utoipa::IntoParams;

use super::body::{JsonObject, OptionalJsonObject};
use super::error::{ApiError, ErrorBody};
use super::jobs::{LARGEST_PAGE, PAGE};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::Verbs;
use crate::wire::{
    DestinationCreate, DestinationDetailView, DestinationList, DestinationPatch, DestinationTestView,
    PauseRequest, Removed,
};

/// Adds a destination.
#[utoipa::path(
    post, path = "/api/v1/destinations", tag = "destinations", request_body = DestinationCreate,
    responses(
        (status = 201, description = "It is stored.", body = DestinationDetailView),
        (status = 409, description = "There is one of this name.", body = ErrorBody),
        (status = 422, description = "It is refused; the answer says why and what to do.", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(verbs): State<Verbs>,
    _: Query<NoQuery>,
    JsonObject(given): JsonObject,
) -> Result<(StatusCode, Json<DestinationDetailView>), ApiError> {
    let added = verbs.add_destination(given).await?;
    Ok((StatusCode::CREATED, Json(DestinationDetailView::from(&added))))
}

/// Which destinations.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// The implicit ones too, which came about because a job named a URL.
    implicit: Option<bool>,
    /// Only those to which nothing is sent.
    halted: Option<bool>,
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// How many are passed over.
    offset: Option<usize>,
}

impl QueryForm for ListQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self {
            implicit: params.flag("implicit")?,
            halted: params.flag("halted")?,
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            offset: params.number("offset", 0..=usize::MAX)?,
        })
    }
}

/// Lists destinations, the named ones first.
#[utoipa::path(
    get, path = "/api/v1/destinations", tag = "destinations", params(ListQuery),
    responses((status = 200, description = "A page of destinations.", body = DestinationList))
)]
pub(super) async fn list(
    State(verbs): State<Verbs>,
    Query(query): Query<ListQuery>,
) -> Result<Json<DestinationList>, ApiError> {
    let (offset, limit) = (query.offset.unwrap_or(0), query.limit.unwrap_or(PAGE));
    let (implicit, halted_only) = (query.implicit.unwrap_or(false), query.halted.unwrap_or(false));
    let page = verbs.destinations(DestinationFilter { implicit, halted_only, offset, limit }).await?;
    Ok(Json(DestinationList::new(&page, offset, limit)))
}

/// Reads a destination.
#[utoipa::path(
    get, path = "/api/v1/destinations/{id}", tag = "destinations",
    params(("id" = String, Path, description = "Its name, or its handle `dst_…`.")),
    responses(
        (status = 200, description = "The destination.", body = DestinationDetailView),
        (status = 404, description = "There is no such destination.", body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<DestinationDetailView>, ApiError> {
    Ok(Json(DestinationDetailView::from(&verbs.destination(&id).await?)))
}

/// What an edit is based on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct EditQuery {
    /// The `revision` that the caller has read; a destination of another revision stays as it is.
    expected_revision: Option<u64>,
}

impl QueryForm for EditQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let revision = params.number("expectedRevision", 0..=usize::MAX)?;
        Ok(Self { expected_revision: revision.and_then(|revision| u64::try_from(revision).ok()) })
    }
}

/// Edits a destination: what is left out stays, `null` clears, and a value written back as it was shown is kept.
#[utoipa::path(
    patch, path = "/api/v1/destinations/{id}", tag = "destinations", request_body = DestinationPatch,
    params(("id" = String, Path, description = "Its name, or its handle `dst_…`."), EditQuery),
    responses(
        (status = 200, description = "The destination as it is now.", body = DestinationDetailView),
        (status = 404, description = "There is no such destination.", body = ErrorBody),
        (status = 409, description = "It is not what the caller has read, or is declared in a file, or implicit.", body = ErrorBody),
        (status = 422, description = "The edit is refused.", body = ErrorBody),
    )
)]
pub(super) async fn edit(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    Query(query): Query<EditQuery>,
    JsonObject(patch): JsonObject,
) -> Result<Json<DestinationDetailView>, ApiError> {
    let edited = verbs.edit_destination(&id, patch, query.expected_revision).await?;
    Ok(Json(DestinationDetailView::from(&edited)))
}

/// Removes a destination for which nothing waits and that no job names. Its history stays.
#[utoipa::path(
    delete, path = "/api/v1/destinations/{id}", tag = "destinations",
    params(("id" = String, Path, description = "Its name, or its handle `dst_…`.")),
    responses(
        (status = 200, description = "It is gone.", body = Removed),
        (status = 404, description = "There is no such destination.", body = ErrorBody),
        (status = 409, description = "It is in use, or is declared in a file, or implicit.", body = ErrorBody),
    )
)]
pub(super) async fn remove(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<Removed>, ApiError> {
    verbs.remove_destination(&id).await?;
    Ok(Json(Removed { ok: true, removed: true }))
}

/// Sends nothing more to a destination until it is resumed. What waits for it is kept.
#[utoipa::path(
    post, path = "/api/v1/destinations/{id}/pause", tag = "destinations", request_body = Option<PauseRequest>,
    params(("id" = String, Path, description = "Its name, or its handle `dst_…`.")),
    responses(
        (status = 200, description = "The destination as it is now.", body = DestinationDetailView),
        (status = 404, description = "There is no such destination.", body = ErrorBody),
        (status = 409, description = "It is disabled already.", body = ErrorBody),
        (status = 422, description = "The reason is refused.", body = ErrorBody),
    )
)]
pub(super) async fn pause(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
    OptionalJsonObject(given): OptionalJsonObject,
) -> Result<Json<DestinationDetailView>, ApiError> {
    let paused = verbs.pause_destination(&id, pause_reason(&given)?).await?;
    Ok(Json(DestinationDetailView::from(&paused)))
}

fn pause_reason(given: &Value) -> Result<Option<String>, ApiError> {
    let refused = |code, field: &str, message: String| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message).field(field.to_owned())
    };
    let mut reason = None;
    for (key, value) in given.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("reason", Value::Null) => {}
            ("reason", Value::String(text)) => {
                reason = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            }
            ("reason", _) => {
                return Err(refused("invalid_destination", key, "`reason` must be a text".to_owned()));
            }
            _ => {
                let shown: String = key.chars().take(100).collect();
                let message = format!("unknown field `{shown}`");
                let hint = "a pause takes `reason` and nothing else".to_owned();
                return Err(refused("unknown_field", &shown, message).hint(hint));
            }
        }
    }
    Ok(reason)
}

/// Sends to a destination again, whatever halted it.
#[utoipa::path(
    post, path = "/api/v1/destinations/{id}/resume", tag = "destinations",
    params(("id" = String, Path, description = "Its name, or its handle `dst_…`.")),
    responses(
        (status = 200, description = "The destination as it is now.", body = DestinationDetailView),
        (status = 404, description = "There is no such destination.", body = ErrorBody),
    )
)]
pub(super) async fn resume(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<DestinationDetailView>, ApiError> {
    Ok(Json(DestinationDetailView::from(&verbs.resume_destination(&id).await?)))
}

/// Sends a test event, once, signed and by the very way of a real delivery, whether the destination is halted or not.
/// Nothing follows from how it ends.
#[utoipa::path(
    post, path = "/api/v1/destinations/{id}/test", tag = "destinations",
    params(("id" = String, Path, description = "Its name, or its handle `dst_…`.")),
    responses(
        (status = 200, description = "It was tried; `delivered` says whether the receiver took it.", body = DestinationTestView),
        (status = 404, description = "There is no such destination.", body = ErrorBody),
        (status = 409, description = "It cannot be sent to, or too many tests are under way.", body = ErrorBody),
    )
)]
pub(super) async fn test(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<DestinationTestView>, ApiError> {
    Ok(Json(DestinationTestView::from(verbs.test_destination(&id).await?)))
}
