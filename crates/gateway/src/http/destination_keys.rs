//! `/api/v1/destinations/{id}/rotate-secret` and `…/render`: a destination's keys, and the bodies it would be sent.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use clawhook_model::{DefinitionError, RunId, SecretSource, parse_duration};
use http::StatusCode;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::body::OptionalJsonObject;
use super::error::{ApiError, ErrorBody};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::{DEFAULT_OVERLAP, DestinationVerbError, LONGEST_OVERLAP, RotatedKey, Verbs};
use crate::wire::{RenderedView, RotateRequest, RotatedView};

/// Gives a destination another key. The one before signs beside it until the overlap ends, so that the receiver can
/// learn the new one in peace. A secret that is made here is in the answer, and is never shown again.
#[utoipa::path(
    post, path = "/api/v1/destinations/{id}/rotate-secret", tag = "destinations",
    request_body = Option<RotateRequest>,
    params(("id" = String, Path, description = "Its name, or its handle `dst_…`.")),
    responses(
        (status = 200, description = "It is changed.", body = RotatedView),
        (status = 404, description = "There is no such destination.", body = ErrorBody),
        (status = 409, description = "It is declared in a file, or implicit.", body = ErrorBody),
        (status = 422, description = "The key is refused.", body = ErrorBody),
    )
)]
pub(super) async fn rotate_secret(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
    OptionalJsonObject(given): OptionalJsonObject,
) -> Result<Json<RotatedView>, ApiError> {
    let wanted = Wanted::read(given)?;
    let rotated = verbs.rotate_destination_key(&id, wanted.key, wanted.brought, wanted.overlap).await?;
    Ok(Json(RotatedView::from(rotated)))
}

/// Which key is to be changed, for which, and for how long both sign.
struct Wanted {
    key: RotatedKey,
    brought: Option<SecretSource>,
    overlap: Duration,
}

impl Wanted {
    fn read(given: Value) -> Result<Self, ApiError> {
        let Value::Object(mut given) = given else { unreachable!("the body was read as an object") };
        let overlap = overlap(&mut given)?;
        let secret = taken(&mut given, "secret");
        let private_key = taken(&mut given, "privateKey");
        if let Some(unknown) = given.keys().next() {
            let shown: String = unknown.chars().take(100).collect();
            let hint =
                "it takes `secret` or `privateKey` (a secret, or `true` to have one made), and `overlap`";
            let error = refused("unknown_field", format!("unknown field `{shown}`"), &shown);
            return Err(error.hint(hint.to_owned()));
        }
        let (key, field, source) = match (secret, private_key) {
            (secret, None) => (RotatedKey::Secret, "secret", secret),
            (None, Some(key)) => (RotatedKey::PrivateKey, "privateKey", Some(key)),
            (Some(_), Some(_)) => {
                let message = "`secret` and `privateKey` are changed one at a time".to_owned();
                return Err(refused("invalid_destination", message, "privateKey"));
            }
        };
        let brought = match source {
            None | Some(Value::Bool(true)) => None,
            Some(source) => Some(SecretSource::parse(field, &source).map_err(wrong)?),
        };
        Ok(Self { key, brought, overlap })
    }
}

fn taken(given: &mut Map<String, Value>, key: &str) -> Option<Value> {
    given.remove(key).filter(|value| !value.is_null())
}

fn overlap(given: &mut Map<String, Value>) -> Result<Duration, ApiError> {
    let Some(value) = taken(given, "overlap") else { return Ok(DEFAULT_OVERLAP) };
    let read = value.as_str().and_then(|text| parse_duration(text).ok());
    read.filter(|overlap| *overlap <= LONGEST_OVERLAP).ok_or_else(|| {
        let message = format!("`overlap` must be a duration from 0s to 30d, such as \"24h\", not {value}");
        refused("invalid_destination", message, "overlap")
    })
}

fn wrong(error: DefinitionError) -> ApiError {
    DestinationVerbError::Definition(error).into()
}

fn refused(code: &'static str, message: String, field: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message).field(field.to_owned())
}

/// Of which run.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct RenderQuery {
    /// The run whose event is rendered; a sample where it is left out.
    #[param(value_type = Option<String>)]
    run_id: Option<RunId>,
}

impl QueryForm for RenderQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self { run_id: params.id("runId")? })
    }
}

/// Shows the body and the headers that a stored run's event takes at a destination. Nothing is sent.
#[utoipa::path(
    get, path = "/api/v1/destinations/{id}/render", tag = "destinations",
    params(("id" = String, Path, description = "Its name, or its handle `dst_…`."), RenderQuery),
    responses(
        (status = 200, description = "What it would be sent.", body = RenderedView),
        (status = 404, description = "There is no such destination, or no such run.", body = ErrorBody),
        (status = 422, description = "The body cannot be made.", body = ErrorBody),
    )
)]
pub(super) async fn render(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    Query(query): Query<RenderQuery>,
) -> Result<Json<RenderedView>, ApiError> {
    Ok(Json(RenderedView::from(verbs.render_for_destination(&id, query.run_id).await?)))
}
