//! `/ack/…`: the page behind the link by which a person acknowledges. It lies outside `/api`, because people have no
//! token: the link itself is their proof.
//!
//! Opening it asks, and only the button acknowledges, because programs that look at links in messages open them, too.

use axum::Json;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use utoipa::IntoParams;

use super::error::{ApiError, ErrorBody};
use super::query::{Params, PathId, Query, QueryForm};
use crate::verbs::{AlertVerbError, Verbs};

/// What makes a link.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Link {
    /// Until when the link holds, in milliseconds since the epoch.
    until: String,
    /// The hash that proves it.
    token: String,
}

impl QueryForm for Link {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let mut part = |name: &'static str| params.text(name).unwrap_or_default();
        Ok(Self { until: part("until"), token: part("token") })
    }
}

/// What came of opening or confirming a link.
enum Shown {
    Asks,
    Acknowledged,
}

/// Asks whether to acknowledge; it acknowledges at once where `delivery.oneClickAcknowledge` is set.
#[utoipa::path(
    get, path = "/ack/{id}", tag = "acknowledgements", security(()),
    params(("id" = String, Path, description = "The delivery."), Link),
    responses(
        (status = 200, description = "A page that asks, or JSON that says so.", body = String, content_type = "text/html"),
        (status = 403, description = "The link is not this gateway's.", body = ErrorBody),
        (status = 410, description = "The link's time is over.", body = ErrorBody),
    )
)]
pub(super) async fn ask(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    headers: HeaderMap,
    Query(link): Query<Link>,
) -> Response {
    if verbs.acknowledges_at_once() {
        return confirm(State(verbs), PathId(id), headers, Query(link)).await;
    }
    let found = verbs.look_at_link(&id, &link.until, &link.token).await;
    answer(
        &headers,
        found.map(|found| {
            use clawhook_model::AckState::Acknowledged;
            match found.delivery.acknowledgement {
                Some(given) if given.state == Acknowledged => Shown::Acknowledged,
                _ => Shown::Asks,
            }
        }),
    )
}

/// Acknowledges.
#[utoipa::path(
    post, path = "/ack/{id}", tag = "acknowledgements", security(()),
    params(("id" = String, Path, description = "The delivery."), Link),
    responses(
        (status = 200, description = "It is acknowledged.", body = String, content_type = "text/html"),
        (status = 403, description = "The link is not this gateway's.", body = ErrorBody),
        (status = 409, description = "Nobody is asked to.", body = ErrorBody),
        (status = 410, description = "The link's time is over.", body = ErrorBody),
    )
)]
pub(super) async fn confirm(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    headers: HeaderMap,
    Query(link): Query<Link>,
) -> Response {
    let done = verbs.acknowledge_by_link(&id, &link.until, &link.token).await;
    answer(&headers, done.map(|_| Shown::Acknowledged))
}

/// A page for people, JSON for programs. Neither is kept by anybody, nor tells others the link.
fn answer(headers: &HeaderMap, done: Result<Shown, AlertVerbError>) -> Response {
    let wants_page = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let mut response = match done {
        Err(error) if wants_page => {
            let refusal = ApiError::from(error);
            (refusal.status(), Html(page("This link cannot be used", &refusal.to_sentence(), false)))
                .into_response()
        }
        Err(error) => ApiError::from(error).into_response(),
        Ok(Shown::Asks) if wants_page => {
            Html(page("Acknowledge?", "Nobody has acknowledged this message yet.", true)).into_response()
        }
        Ok(Shown::Acknowledged) if wants_page => {
            Html(page("Acknowledged", "Nobody will be asked for this message again.", false)).into_response()
        }
        Ok(Shown::Asks) => Json(json!({ "acknowledged": false, "confirm": "POST" })).into_response(),
        Ok(Shown::Acknowledged) => Json(json!({ "acknowledged": true })).into_response(),
    };
    let out = response.headers_mut();
    out.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    out.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
    out.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn page(title: &str, text: &str, asks: bool) -> String {
    // The form goes to the very address of the page, link and all.
    let form = if asks { "<form method=\"post\"><button>Acknowledge</button></form>" } else { "" };
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>body{{font:1.1rem system-ui;margin:15vh auto;\
         max-width:30rem;padding:0 1rem;text-align:center}}button{{font:inherit;padding:.6rem 1.4rem}}</style>\
         <h1>{title}</h1><p>{text}</p>{form}</html>"
    )
}

impl From<AlertVerbError> for ApiError {
    fn from(error: AlertVerbError) -> Self {
        use clawhook_delivery::AckLinkError::{Expired, Forged};
        let status = match &error {
            AlertVerbError::Job(_) => {
                let AlertVerbError::Job(error) = error else { unreachable!("it was just looked at") };
                return Self::from(error);
            }
            AlertVerbError::NotFound(_) | AlertVerbError::NoDelivery(_) => StatusCode::NOT_FOUND,
            AlertVerbError::NoRoute(_) | AlertVerbError::NotAsked(_) => StatusCode::CONFLICT,
            AlertVerbError::Link(Forged) => StatusCode::FORBIDDEN,
            AlertVerbError::Link(Expired(_)) => StatusCode::GONE,
            AlertVerbError::Store(fault) => super::error::store_status(fault),
        };
        Self::new(status, error.code(), error.to_string()).hint(error.hint())
    }
}
