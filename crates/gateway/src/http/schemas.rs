//! The schemas of what leaves the house. They are as public as the program: no token is asked for.

use axum::Json;
use axum::response::{IntoResponse, Response};
use clawhook_model::{RUN_FINISHED, RUN_FINISHED_SCHEMA, RUN_FINISHED_SCHEMA_ID, SCHEMA_VERSION};
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::query::{NoQuery, Query};

const LIST: &str = "/api/v1/schemas";
const FINISHED: &str = "/api/v1/schemas/run.finished.v1.json";

/// The name of the event's schema among the document's components.
const COMPONENT: &str = "RunFinished";

/// Whether a path answers everybody.
pub(super) fn is_public(path: &str) -> bool {
    matches!(path, LIST | FINISHED)
}

/// The schemas that are published.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SchemaList {
    /// One for each event and version.
    schemas: [SchemaEntry; 1],
}

/// A published schema.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SchemaEntry {
    /// The event that it describes.
    event: &'static str,
    /// Its version.
    version: u32,
    /// Its identity, the `$id`.
    id: &'static str,
    /// Where it is served.
    path: &'static str,
}

/// The schemas of the events that webhooks are sent. It needs no token.
#[utoipa::path(
    get, path = "/api/v1/schemas", tag = "schemas", security(()),
    responses((status = 200, description = "The schemas.", body = SchemaList))
)]
pub(super) async fn list(_: Query<NoQuery>) -> Json<SchemaList> {
    let finished = SchemaEntry {
        event: RUN_FINISHED,
        version: SCHEMA_VERSION,
        id: RUN_FINISHED_SCHEMA_ID,
        path: FINISHED,
    };
    Json(SchemaList { schemas: [finished] })
}

/// The JSON Schema (2020-12) of the finished event. It needs no token.
#[utoipa::path(
    get, path = "/api/v1/schemas/run.finished.v1.json", tag = "schemas", security(()),
    responses((status = 200, description = "A JSON Schema.", body = Object, content_type = "application/schema+json"))
)]
pub(super) async fn run_finished(_: Query<NoQuery>) -> Response {
    ([(CONTENT_TYPE, "application/schema+json")], RUN_FINISHED_SCHEMA).into_response()
}

/// Adds to the OpenAPI document what is sent, not served: the event as a component, and the webhook that carries it.
pub(super) fn describe(document: &mut Value) {
    let schema: Value = serde_json::from_str(RUN_FINISHED_SCHEMA)
        .unwrap_or_else(|error| unreachable!("the event's schema is JSON: {error}"));
    document["components"]["schemas"][COMPONENT] = schema;
    document["webhooks"] = json!({
        RUN_FINISHED: { "post": {
            "operationId": "webhooks_run_finished",
            "summary": "A run has ended.",
            "description": "Sent to a job's receivers in their destinations' formats; this is the format `event`.",
            "security": [{}],
            "requestBody": {
                "required": true,
                "content": { "application/json": {
                    "schema": { "$ref": format!("#/components/schemas/{COMPONENT}") },
                } },
            },
            "responses": { "2XX": { "description": "It has arrived. Anything else is a failed attempt." } },
        } },
    });
}
