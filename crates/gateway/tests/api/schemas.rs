//! The schemas of what leaves the house are there for everybody.

use http::Method;
use serde_json::{Value, json};

use crate::harness::TestGateway;

#[tokio::test]
async fn the_events_schema_is_listed_and_served_to_everybody_as_it_is_published() {
    let gateway = TestGateway::with_model().await;
    let list = gateway.request(Method::GET, "/api/v1/schemas", None, "").await;
    let entry = &list.ok(200)["schemas"][0];
    assert_eq!(
        entry,
        &json!({
            "event": "run.finished",
            "version": 1,
            "id": "urn:clawhook:schema:run.finished:v1",
            "path": "/api/v1/schemas/run.finished.v1.json",
        })
    );
    let served = gateway.request(Method::GET, entry["path"].as_str().unwrap(), None, "").await;
    assert_eq!(served.headers["content-type"], "application/schema+json");
    let published: Value = serde_json::from_str(clawhook_model::RUN_FINISHED_SCHEMA).unwrap();
    assert_eq!(served.ok(200), &published);
    // What is beside them is closed as everything else is.
    for path in ["/api/v1/schemas/", "/api/v1/schemas/nothing.json", "/api/v1/schemas/../status"] {
        gateway.request(Method::GET, path, None, "").await.refused(401, "unauthorized");
    }
    gateway.stop().await;
}

#[test]
fn the_openapi_document_describes_the_webhook_by_the_events_schema() {
    let document: Value = serde_json::from_str(&clawhook_gateway::openapi_json()).unwrap();
    let webhook = &document["webhooks"]["run.finished"]["post"];
    let reference = webhook["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    let published: Value = serde_json::from_str(clawhook_model::RUN_FINISHED_SCHEMA).unwrap();
    assert_eq!(document.pointer(reference.trim_start_matches('#')), Some(&published));
    let schema = &document["paths"]["/api/v1/schemas/run.finished.v1.json"]["get"];
    assert_eq!(schema["security"], json!([{}]));
    assert_eq!(schema["responses"].get("401"), None);
}
