//! The OpenAPI document, made from the router's own handlers.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use utoipa::openapi::schema::Components;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};

use super::query::{NoQuery, Query};
use super::router;

/// The name of the one way to prove who is asking.
const BEARER: &str = "bearer";

/// What the document says before the handlers add to it.
pub(super) fn frame() -> OpenApi {
    let mut components = Components::new();
    components.add_security_scheme(BEARER, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Clawhook")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Runs agent jobs on a schedule and guarantees that each result reaches its webhook. \
                     Instants are milliseconds since the Unix epoch where a name ends in `Ms`.",
                ))
                .license(Some(utoipa::openapi::License::new("MIT OR Apache-2.0")))
                .build(),
        )
        .components(Some(components))
        .security(Some([SecurityRequirement::new(BEARER, Vec::<String>::new())]))
        .build()
}

/// Adds what every guarded operation can answer.
pub(super) fn finish(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        if !path.starts_with("/api/") {
            continue;
        }
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete, &mut item.put];
        for operation in operations.into_iter().flatten() {
            for (status, description) in
                [("400", "The request cannot be read."), ("401", "The token is missing or wrong.")]
            {
                let refusal = Ref::from_schema_name("ErrorBody");
                let content = ContentBuilder::new().schema(Some(refusal)).build();
                let response = ResponseBuilder::new()
                    .description(description)
                    .content("application/json", content)
                    .build();
                operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
            }
        }
    }
}

/// The document.
pub(crate) fn document() -> OpenApi {
    router::assemble().1
}

/// The document of this API.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "gateway",
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = Object))
)]
pub(super) async fn serve(_: Query<NoQuery>) -> Response {
    static TEXT: LazyLock<Bytes> =
        LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());
    ([(CONTENT_TYPE, "application/json")], TEXT.clone()).into_response()
}
