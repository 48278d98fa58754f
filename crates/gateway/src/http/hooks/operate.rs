//! `/api/v1/hooks`: what operators do with hooks.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clawhook_model::HookRequestId;
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::http::body::{JsonObject, OptionalJsonObject};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::jobs::{LARGEST_PAGE, PAGE};
use crate::http::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::{HookVerbError, Taken, TrialRequest, Verbs, store_code};
use crate::wire::{HookList, HookReplayedView, HookRequestDetail, HookRequestList, HookTrialView, HookView};

impl From<HookVerbError> for ApiError {
    fn from(error: HookVerbError) -> Self {
        let status = match &error {
            HookVerbError::Refused(refusal) => match refusal.status() {
                StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => StatusCode::NOT_FOUND,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            },
            HookVerbError::NoSuchHook(_) | HookVerbError::NoSuchRequest(_) => StatusCode::NOT_FOUND,
            HookVerbError::Unfit { .. } | HookVerbError::Loop(_) | HookVerbError::KeyReused(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            HookVerbError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            HookVerbError::Full { .. }
            | HookVerbError::BeingAnswered
            | HookVerbError::Disabled
            | HookVerbError::Forgotten(_)
            | HookVerbError::Off => StatusCode::CONFLICT,
            HookVerbError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            HookVerbError::Store(fault) => {
                tracing::error!(%fault, code = store_code(fault), "a verb on hooks failed");
                return Self::from(fault.clone());
            }
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint())
    }
}

/// Lists the inbound hooks, in the order in which they are asked whether a request is theirs.
#[utoipa::path(
    get, path = "/api/v1/hooks", tag = "hooks",
    responses((status = 200, description = "The hooks; none where hooks are off.", body = HookList))
)]
pub(in crate::http) async fn list(
    State(verbs): State<Verbs>,
    _: Query<NoQuery>,
) -> Result<Json<HookList>, ApiError> {
    Ok(Json(HookList::new(&verbs.list_hooks().await?)))
}

/// Has a hook accept requests and begin nothing. What waits begins when it is resumed; when its queue is full it refuses.
#[utoipa::path(
    post, path = "/api/v1/hooks/{hook}/pause", tag = "hooks",
    params(("hook" = String, Path, description = "The hook.")),
    responses(
        (status = 200, description = "It is paused.", body = HookView),
        (status = 404, description = "There is no such hook.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn pause(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<HookView>, ApiError> {
    Ok(Json(HookView::from(&verbs.pause_hook(&id, true).await?)))
}

/// Has what waits of a paused hook begin.
#[utoipa::path(
    post, path = "/api/v1/hooks/{hook}/resume", tag = "hooks",
    params(("hook" = String, Path, description = "The hook.")),
    responses(
        (status = 200, description = "It goes on, unless the configuration has it paused.", body = HookView),
        (status = 404, description = "There is no such hook.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn resume(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<HookView>, ApiError> {
    Ok(Json(HookView::from(&verbs.pause_hook(&id, false).await?)))
}

/// A request that is made to try a hook out.
#[derive(ToSchema)]
#[schema(as = HookTrialRequest)]
#[expect(dead_code, reason = "it documents what is read member by member")]
pub(in crate::http) struct TrialBody {
    /// Its headers, by name.
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// Its query, without the `?`.
    query: Option<String>,
    /// Its body, as text.
    body: Option<String>,
    /// Its body, in Base64.
    body_base64: Option<String>,
}

/// Tells what a request would do. Nothing of it is done, and it needs neither token nor signature.
#[utoipa::path(
    post, path = "/api/v1/hooks/{hook}/test", tag = "hooks", request_body = TrialBody,
    params(("hook" = String, Path, description = "The hook.")),
    responses(
        (status = 200, description = "What it would do.", body = HookTrialView),
        (status = 404, description = "There is no such hook.", body = ErrorBody),
        (status = 422, description = "It would be refused.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn test(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
    JsonObject(given): JsonObject,
) -> Result<Json<HookTrialView>, ApiError> {
    Ok(Json(HookTrialView::from(verbs.try_hook(&id, trial(given)?).await?)))
}

fn trial(given: Value) -> Result<TrialRequest, ApiError> {
    let Value::Object(mut given) = given else { return Err(bad("body", "an object")) };
    let mut text = |key: &str| match given.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(key, "a text")),
    };
    let (query, body, base64) = (text("query")?, text("body")?, text("bodyBase64")?);
    let headers = match given.remove("headers") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(headers)) => headers
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(value) => Ok((name, value)),
                _ => Err(bad("headers", "texts by name")),
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(bad("headers", "texts by name")),
    };
    if let Some(key) = given.keys().next() {
        let message = format!("unknown field `{key}`");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_field", message)
            .field(key.clone())
            .hint("the fields are headers, query, body and bodyBase64".to_owned()));
    }
    let body = match (body, base64) {
        (Some(_), Some(_)) => return Err(bad("bodyBase64", "left out where there is `body`")),
        (Some(body), None) => Bytes::from(body),
        (None, Some(base64)) => {
            Bytes::from(STANDARD.decode(base64).map_err(|_| bad("bodyBase64", "Base64"))?)
        }
        (None, None) => Bytes::new(),
    };
    Ok(TrialRequest { headers, query, body })
}

fn bad(field: &str, expected: &str) -> ApiError {
    let message = format!("`{field}` must be {expected}");
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_type", message).field(field.to_owned())
}

/// Which requests.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(in crate::http) struct RequestsQuery {
    /// Only those that are not over (`true`), or that are (`false`).
    open: Option<bool>,
    /// Only those before this one: the `nextBefore` of an earlier page.
    #[param(value_type = Option<String>)]
    before: Option<HookRequestId>,
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

impl QueryForm for RequestsQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let before = params.text("before").map(|text| text.trim().parse::<HookRequestId>()).transpose();
        Ok(Self {
            open: params.flag("open")?,
            before: before.map_err(|error| {
                ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", error.to_string())
                    .field("before".to_owned())
            })?,
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
        })
    }
}

/// Lists the requests of a hook, the newest first.
#[utoipa::path(
    get, path = "/api/v1/hooks/{hook}/requests", tag = "hooks",
    params(("hook" = String, Path, description = "The hook."), RequestsQuery),
    responses(
        (status = 200, description = "A page of requests.", body = HookRequestList),
        (status = 404, description = "There is no such hook, and no request of it is known.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn requests(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    Query(query): Query<RequestsQuery>,
) -> Result<Json<HookRequestList>, ApiError> {
    let RequestsQuery { open, before, limit } = query;
    let limit = limit.unwrap_or(PAGE);
    Ok(Json(HookRequestList::new(&verbs.hook_requests(&id, open, before, limit).await?, limit)))
}

/// Reads a request with its headers, its body and its runs. Secrets in headers are masked.
#[utoipa::path(
    get, path = "/api/v1/hook-requests/{request}", tag = "hooks",
    params(("request" = String, Path, description = "The request.")),
    responses(
        (status = 200, description = "The request.", body = HookRequestDetail),
        (status = 404, description = "There is no such request.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn request(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Json<HookRequestDetail>, ApiError> {
    Ok(Json(HookRequestDetail::from(&verbs.hook_request(&id).await?)))
}

/// Has a request done once more, by the hook as it is now. It is a request of its own, whatever key the first one had.
#[utoipa::path(
    post, path = "/api/v1/hook-requests/{request}/replay", tag = "hooks",
    params(("request" = String, Path, description = "The request.")),
    responses(
        (status = 202, description = "It is accepted, or the hook does not want it.", body = HookReplayedView),
        (status = 404, description = "There is no such request, or no such hook any more.", body = ErrorBody),
        (status = 409, description = "It cannot be done at the moment.", body = ErrorBody),
        (status = 422, description = "The hook as it is now refuses it.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn replay(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
    _: OptionalJsonObject,
) -> Result<(StatusCode, Json<HookReplayedView>), ApiError> {
    let (first, taken) = verbs.replay_hook_request(&id).await?;
    let answer = match taken {
        Taken::Answer { body, .. } => body,
        Taken::Ignored => Value::Null,
        Taken::Challenge(text) => json!({ "challenge": text }),
    };
    Ok((StatusCode::ACCEPTED, Json(HookReplayedView::new(first.to_string(), answer))))
}
