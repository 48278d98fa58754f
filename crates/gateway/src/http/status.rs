//! How the gateway is: for people, and for whoever probes it.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::query::{NoQuery, Query};
use crate::verbs::Verbs;
use crate::wire::StatusView;

/// How the gateway is.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "gateway",
    responses((status = 200, description = "How the gateway is.", body = StatusView))
)]
pub(super) async fn status(
    State(verbs): State<Verbs>,
    _: Query<NoQuery>,
) -> Result<Json<StatusView>, ApiError> {
    Ok(Json(StatusView::from(verbs.status().await?)))
}

/// The gateway's process is there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Live {
    /// Always true.
    ok: bool,
    /// Always `live`.
    status: &'static str,
}

/// Whether the gateway's process answers. It needs no token.
#[utoipa::path(
    get, path = "/healthz", tag = "gateway", security(()),
    responses((status = 200, description = "It answers.", body = Live))
)]
pub(super) async fn healthz() -> Json<Live> {
    Json(Live { ok: true, status: "live" })
}

/// Whether the gateway can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Whether it can.
    ready: bool,
    /// What is wrong, one sentence each; absent while all is well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    problems: Vec<String>,
}

/// Whether the gateway can do its work. It needs no token.
#[utoipa::path(
    get, path = "/readyz", tag = "gateway", security(()),
    responses(
        (status = 200, description = "It can.", body = Readiness),
        (status = 503, description = "It cannot.", body = Readiness),
    )
)]
pub(super) async fn readyz(State(verbs): State<Verbs>) -> (StatusCode, Json<Readiness>) {
    let problems = verbs.problems();
    let ready = problems.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, problems }))
}
