//! Reading a body that is one JSON object.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use clawhook_model::format_duration;
use http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;

use super::error::ApiError;

/// The most that is read of a body.
const LARGEST_BODY: usize = 1024 * 1024;

/// How long a client may take to send its body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A JSON object, whatever the content type says: there is nothing else that a body here could be.
pub(super) struct JsonObject(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse(&read_within(BODY_TIME, request.into_body()).await?)
    }
}

/// A JSON object, or an empty body, which means one without members.
pub(super) struct OptionalJsonObject(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for OptionalJsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read_within(BODY_TIME, request.into_body()).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(Value::Object(serde_json::Map::new())));
        }
        let JsonObject(value) = parse(&bytes)?;
        Ok(Self(value))
    }
}

async fn read_within(time: Duration, body: Body) -> Result<Bytes, ApiError> {
    tokio::time::timeout(time, read(body)).await.unwrap_or_else(|_| {
        let message = format!("the body was not sent within {}", format_duration(time));
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message))
    })
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message =
                format!("the body is longer than {LARGEST_BODY} bytes, which is the most that is read");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message))
        }
        Err(error) => {
            let message = format!("the body could not be read: {error}");
            Err(ApiError::new(StatusCode::BAD_REQUEST, "body_unreadable", message))
        }
    }
}

fn parse(bytes: &[u8]) -> Result<JsonObject, ApiError> {
    if bytes.trim_ascii().is_empty() {
        let message = "the body is empty, and it must be a JSON object";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message));
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", format!("the body is not JSON: {error}"))
    })?;
    if value.is_object() {
        return Ok(JsonObject(value));
    }
    let message = format!("the body must be a JSON object, not {}", kind_of(&value));
    Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "not_an_object", message))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_come_is_waited_for_no_longer_than_its_time() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = read_within(Duration::from_millis(1), never).await.unwrap_err();
        assert_eq!(refused.into_response().status(), StatusCode::REQUEST_TIMEOUT);
    }
}
