//! The OpenAPI document, made from the router's own handlers.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Components;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};

use super::query::{NoQuery, Query};
use super::{metrics, router, schemas};

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

/// Adds what every guarded operation can answer, and gives each operation an id of its own.
pub(super) fn finish(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete, &mut item.put];
        for operation in operations.into_iter().flatten() {
            name_by_group(operation);
            if path.starts_with("/api/") || path == metrics::PATH {
                add_refusals(operation);
            }
            if schemas::is_public(path) {
                operation.responses.responses.remove("401");
            }
        }
    }
}

/// A handler's name is its own within its group alone: `list` becomes `jobs_list`.
fn name_by_group(operation: &mut Operation) {
    let group = operation.tags.iter().flatten().next();
    operation.operation_id =
        group.zip(operation.operation_id.as_ref()).map(|(group, id)| format!("{group}_{id}"));
}

/// An operation that names its own security is one that needs no token.
fn add_refusals(operation: &mut Operation) {
    let refusals = [
        ("400", "The request cannot be read."),
        ("401", "The token is missing or wrong."),
        ("default", "Any other refusal."),
    ];
    let is_open = operation.security.is_some();
    for (status, description) in refusals.into_iter().filter(|(status, _)| !is_open || *status != "401") {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let response =
            ResponseBuilder::new().description(description).content("application/json", content).build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
    }
}

/// The document.
pub(crate) fn document() -> Value {
    let (_, document) = router::assemble();
    let mut document = json!(document);
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        // Only in an edit does null mean something: it clears.
        schemas
            .iter_mut()
            .filter(|(name, _)| !["JobPatch", "DestinationPatch"].contains(&name.as_str()))
            .for_each(|(_, schema)| absent_is_not_null(schema));
    }
    schemas::describe(&mut document);
    document
}

/// A member that is left out where there is nothing to tell is documented as optional and null; it is never null.
fn absent_is_not_null(schema: &mut Value) {
    for parts in ["oneOf", "allOf"] {
        schema
            .get_mut(parts)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .for_each(absent_is_not_null);
    }
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().into_iter().flatten().any(|required| required == name);
    let members = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for (_, member) in members.filter(|(name, _)| !is_required(name)) {
        let of_type = |schema: &Value| schema.get("type").and_then(Value::as_array)?.first().cloned();
        let of_reference = |schema: &Value| schema.get("oneOf").and_then(Value::as_array)?.first().cloned();
        if let Some(only) = of_type(member) {
            member["type"] = only;
        } else if let Some(only) = of_reference(member) {
            *member = only;
        }
    }
}

/// The document of this API.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "gateway",
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = Object))
)]
pub(super) async fn openapi(_: Query<NoQuery>) -> Response {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    ([(CONTENT_TYPE, "application/json")], TEXT.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_always_there_may_be_null() {
        let schemas = document()["components"]["schemas"].take();
        assert_eq!(schemas["RunEntry"]["properties"]["error"]["type"], "string");
        assert_eq!(schemas["RunEntry"]["properties"]["status"]["$ref"], "#/components/schemas/RunStatus");
        assert_eq!(schemas["Page"]["properties"]["nextOffset"]["type"], json!(["integer", "null"]));
        assert_eq!(schemas["JobPatch"]["properties"]["description"]["type"], json!(["string", "null"]));
        assert_eq!(schemas["Schedule"]["oneOf"][2]["properties"]["tz"]["type"], "string");
    }
}
