//! Which path is whose.

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode, Uri};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::require_token;
use super::error::ApiError;
use super::{
    Door, acknowledge, alerts, channels, deliveries, destination_keys, destinations, events, hooks, jobs,
    ledger, live, metrics, openapi, replays, runs, schemas, sessions, signing_keys, status, usage,
};

/// The router of the whole door.
pub(crate) fn router(door: Door) -> Router {
    let token = door.token.clone();
    let (routes, _) = assemble();
    routes
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_such_path)
        .layer(axum::middleware::from_fn_with_state(token, require_token))
        .layer(axum::middleware::from_fn_with_state(door.verbs.clone(), hooks::door))
        .with_state(door)
}

/// The routes and, from the same list, their documentation.
pub(super) fn assemble() -> (Router<Door>, OpenApi) {
    let (routes, mut document) = OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(jobs::create, jobs::list))
        .routes(routes!(jobs::get, jobs::edit, jobs::remove))
        .routes(routes!(jobs::enable))
        .routes(routes!(jobs::disable))
        .routes(routes!(jobs::run))
        .routes(routes!(jobs::creation_calls))
        .routes(routes!(runs::of_job))
        .routes(routes!(ledger::occurrences))
        .routes(routes!(ledger::backfill))
        .routes(routes!(runs::list))
        .routes(routes!(runs::get))
        .routes(routes!(runs::transcript))
        .routes(routes!(runs::cancel))
        .routes(routes!(live::live))
        .routes(routes!(events::events))
        .routes(routes!(channels::list))
        .routes(routes!(channels::test))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::get, sessions::remove))
        .routes(routes!(sessions::transcript))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::get))
        .routes(routes!(deliveries::retry))
        .routes(routes!(deliveries::cancel))
        .routes(routes!(deliveries::replay))
        .routes(routes!(alerts::acknowledge_delivery))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::test))
        .routes(routes!(alerts::get))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(acknowledge::ask, acknowledge::confirm))
        .routes(routes!(replays::of_run))
        .routes(routes!(replays::create, replays::list))
        .routes(routes!(replays::get))
        .routes(routes!(replays::cancel))
        .routes(routes!(destinations::create, destinations::list))
        .routes(routes!(destinations::get, destinations::edit, destinations::remove))
        .routes(routes!(destinations::pause))
        .routes(routes!(destinations::resume))
        .routes(routes!(destinations::test))
        .routes(routes!(destination_keys::rotate_secret))
        .routes(routes!(destination_keys::render))
        .routes(routes!(hooks::operate::list))
        .routes(routes!(hooks::operate::pause))
        .routes(routes!(hooks::operate::resume))
        .routes(routes!(hooks::operate::test))
        .routes(routes!(hooks::operate::requests))
        .routes(routes!(hooks::operate::request))
        .routes(routes!(hooks::operate::replay))
        .routes(routes!(schemas::list))
        .routes(routes!(schemas::run_finished))
        .routes(routes!(status::status))
        .routes(routes!(usage::usage))
        .routes(routes!(signing_keys::signing_keys))
        .routes(routes!(openapi::openapi))
        .routes(routes!(metrics::metrics))
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .split_for_parts();
    openapi::finish(&mut document);
    (routes, document)
}

async fn no_such_path(uri: Uri) -> Response {
    let shown: String = uri.path().chars().take(200).collect();
    ApiError::new(StatusCode::NOT_FOUND, "no_such_path", format!("there is nothing at `{shown}`"))
        .hint("the paths are listed at /api/v1/openapi.json".to_owned())
        .into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let shown: String = uri.path().chars().take(200).collect();
    let message = format!("`{shown}` does not take {method}");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        .hint("the `Allow` header lists the methods it takes".to_owned())
        .into_response()
}
