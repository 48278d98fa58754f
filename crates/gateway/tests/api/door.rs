//! The door itself: who comes in, what is documented, and how it closes.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use clawhook_delivery::PublicKey;
use http::Method;
use serde_json::{Value, json};

use crate::harness::{TestGateway, echo, start_in};

#[tokio::test]
async fn without_the_token_nothing_under_api_answers_not_even_that_it_is_not_there() {
    let gateway = TestGateway::with_model().await;
    let almost = format!("Bearer {}x", gateway.token);
    for authorization in [None, Some("Bearer wrong"), Some("Bearer"), Some(almost.as_str())] {
        for path in ["/api", "/api/v1/jobs", "/api/v1/nothing", "/api/v1/openapi.json"] {
            let answer = gateway.request(Method::GET, path, authorization, "").await;
            let error = answer.refused(401, "unauthorized");
            assert!(error["hint"].as_str().unwrap().contains("gateway-token"), "{error}");
            assert!(!error.to_string().contains(&gateway.token));
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    for (path, said) in
        [("/healthz", json!({ "ok": true, "status": "live" })), ("/readyz", json!({ "ready": true }))]
    {
        let answer = gateway.request(Method::GET, path, None, "").await;
        assert_eq!(answer.ok(200), &said);
    }
    gateway.stop().await;
}

/// What the API has, by the contract with its clients.
const OPERATIONS: &[&str] = &[
    "GET /ack/{id}",
    "POST /ack/{id}",
    "GET /api/v1/alerts",
    "GET /api/v1/alerts/{id}",
    "POST /api/v1/alerts/test",
    "POST /api/v1/alerts/{id}/ack",
    "POST /api/v1/deliveries/{id}/ack",
    "DELETE /api/v1/destinations/{id}",
    "DELETE /api/v1/jobs/{id}",
    "GET /api/v1/channels",
    "GET /api/v1/deliveries",
    "GET /api/v1/deliveries/{id}",
    "GET /api/v1/destinations",
    "GET /api/v1/destinations/{id}",
    "GET /api/v1/destinations/{id}/render",
    "GET /api/v1/events",
    "GET /api/v1/hook-requests/{request}",
    "POST /api/v1/hook-requests/{request}/replay",
    "GET /api/v1/hooks",
    "POST /api/v1/hooks/{hook}/pause",
    "GET /api/v1/hooks/{hook}/requests",
    "POST /api/v1/hooks/{hook}/resume",
    "POST /api/v1/hooks/{hook}/test",
    "GET /api/v1/jobs",
    "GET /api/v1/jobs/{id}",
    "GET /api/v1/jobs/{id}/hooks",
    "GET /api/v1/jobs/{id}/occurrences",
    "GET /api/v1/jobs/{id}/runs",
    "GET /api/v1/openapi.json",
    "GET /api/v1/replays",
    "GET /api/v1/replays/{id}",
    "GET /api/v1/runs",
    "GET /api/v1/runs/{runId}",
    "GET /api/v1/runs/{runId}/live",
    "GET /api/v1/runs/{runId}/transcript",
    "GET /api/v1/sessions",
    "GET /api/v1/sessions/{session}",
    "DELETE /api/v1/sessions/{session}",
    "GET /api/v1/sessions/{session}/transcript",
    "GET /api/v1/schemas",
    "GET /api/v1/schemas/run.finished.v1.json",
    "GET /api/v1/signing-keys",
    "GET /api/v1/status",
    "GET /api/v1/usage",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "PATCH /api/v1/destinations/{id}",
    "PATCH /api/v1/jobs/{id}",
    "POST /api/v1/channels/test",
    "POST /api/v1/deliveries/{id}/cancel",
    "POST /api/v1/deliveries/{id}/replay",
    "POST /api/v1/deliveries/{id}/retry",
    "POST /api/v1/destinations",
    "POST /api/v1/destinations/{id}/pause",
    "POST /api/v1/destinations/{id}/resume",
    "POST /api/v1/destinations/{id}/rotate-secret",
    "POST /api/v1/destinations/{id}/test",
    "POST /api/v1/jobs",
    "POST /api/v1/jobs/{id}/backfill",
    "POST /api/v1/jobs/{id}/disable",
    "POST /api/v1/jobs/{id}/enable",
    "POST /api/v1/jobs/{id}/run",
    "POST /api/v1/replays",
    "POST /api/v1/replays/{id}/cancel",
    "POST /api/v1/runs/{runId}/cancel",
    "POST /api/v1/runs/{runId}/replay",
];

fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path =
        |(path, item): (&String, &Value)| {
            let path = path.clone();
            item.as_object().unwrap().clone().into_iter().map(move |(method, operation)| {
                (method.to_uppercase().parse().unwrap(), path.clone(), operation)
            })
        };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn every_operation_is_documented_is_there_and_is_closed_without_the_token() {
    let gateway = TestGateway::with_model().await;
    let served = gateway.get("/api/v1/openapi.json").await;
    let document = served.ok(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document, &serde_json::from_str::<Value>(&clawhook_gateway::openapi_json()).unwrap());
    let operations = operations(document);
    let listed: BTreeSet<String> =
        operations.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let expected: BTreeSet<String> = OPERATIONS.iter().map(|operation| (*operation).to_owned()).collect();
    assert_eq!(listed, expected);
    let ids: BTreeSet<&str> =
        operations.iter().map(|(_, _, operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len(), "{ids:?}");

    for (method, path, operation) in &operations {
        let concrete = path.replace("{id}", "x").replace("{runId}", "x").replace("{session}", "x");
        let concrete = concrete.replace("{hook}", "x").replace("{request}", "x");
        let stranger = gateway.request(method.clone(), &concrete, None, "").await;
        if operation["security"] == json!([{}]) {
            // A link that acknowledges is its own proof.
            let expected = if path.starts_with("/ack/") { 403 } else { 200 };
            assert_eq!(stranger.status, expected, "{method} {path}");
            continue;
        }
        stranger.refused(401, "unauthorized");
        // The documented path leads to a handler: whatever it says, it is not that there is no such path.
        // The log is a stream without an end, unless a page of it is asked for.
        let friend = match path.as_str() {
            "/api/v1/events" => gateway.get_as(path, "application/json").await,
            _ => gateway.send(method.clone(), &concrete, "").await,
        };
        let code = friend.body["error"]["code"].as_str().unwrap_or_default();
        assert!(!["no_such_path", "method_not_allowed"].contains(&code), "{method} {path}: {friend:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_public_signing_key_is_everybodys_and_stays_the_same() {
    let gateway = TestGateway::with_model().await;
    let answer = gateway.request(Method::GET, "/api/v1/signing-keys", None, "").await;
    let [key] = answer.ok(200)["keys"].as_array().unwrap().as_slice() else { panic!("{answer:?}") };
    assert_eq!(key["scheme"], "v1a");
    let public = PublicKey::parse(key["publicKey"].as_str().unwrap()).unwrap();
    assert_eq!(key["keyId"], public.key_id());
    assert!(!answer.body.to_string().contains("whsk_"));

    let keys = answer.body;
    let state_dir = gateway.stop().await;
    let again = start_in(state_dir.path(), "{}").await.unwrap();
    let again = TestGateway::run(again, state_dir);
    assert_eq!(again.get("/api/v1/signing-keys").await.ok(200), &keys);
    again.stop().await;
}

#[tokio::test]
async fn the_documented_query_parameters_are_the_ones_that_are_taken() {
    let gateway = TestGateway::with_model().await;
    let document = gateway.get("/api/v1/openapi.json").await.ok(200).clone();
    for (method, path, operation) in operations(&document) {
        if !path.starts_with("/api/") {
            continue;
        }
        let concrete = path.replace("{id}", "x").replace("{runId}", "x").replace("{session}", "x");
        let answer = gateway.send(method.clone(), &format!("{concrete}?zzzzzzzzzzzz=1"), "{}").await;
        let hint = answer.refused(400, "invalid_query")["hint"].as_str().unwrap().to_owned();
        let taken: BTreeSet<&str> = hint
            .strip_prefix("this path takes ")
            .unwrap()
            .split(", ")
            .filter(|name| *name != "no parameters")
            .collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let documented: BTreeSet<&str> =
            in_query.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(taken, documented, "{method} {path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn every_reference_in_the_document_leads_to_a_schema() {
    let document: Value = serde_json::from_str(&clawhook_gateway::openapi_json()).unwrap();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 10);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.insert(reference.clone());
            }
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_status_tells_how_the_gateway_is() {
    let gateway = TestGateway::with_model().await;
    gateway.job(&echo("x")).await;
    let status = gateway.get("/api/v1/status").await.ok(200).clone();
    assert_eq!((&status["healthy"], &status["problems"]), (&json!(true), &json!([])));
    assert_eq!((&status["jobs"]["total"], &status["jobs"]["enabled"]), (&json!(1), &json!(1)));
    assert!(status["jobs"]["nextRunAtMs"].is_i64());
    assert_eq!(status["url"], json!(gateway.url));
    assert_eq!(status["pid"], json!(std::process::id()));
    assert_eq!(status["store"].get("fault"), None);
    gateway.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_run_is_answered_when_the_gateway_stops() {
    let gateway = TestGateway::start(r#"{ cron: { shutdownGrace: "10ms" } }"#).await;
    let begun = gateway.state_dir.path().join("begun");
    let id = gateway
        .job(&json!({
            "schedule": { "kind": "every", "everyMs": 86_400_000 },
            "payload": { "kind": "command", "argv": ["/bin/sh", "-c", ": > begun; exec sleep 600"] },
        }))
        .await;
    let asked = gateway.post(&format!("/api/v1/jobs/{id}/run"), &json!({})).await;
    let path = format!("/api/v1/runs/{}?waitSeconds=60", asked.ok(202)["runId"].as_str().unwrap());
    while !begun.exists() {
        gateway.get("/healthz").await.ok(200);
    }
    // Two requests in one piece: when the first is answered, the second has been read.
    let (first_answered, answered) = tokio::sync::oneshot::channel();
    let requests = format!("{}{}", raw_get(&gateway, "/healthz"), raw_get(&gateway, &path));
    let address = gateway.url.trim_start_matches("http://").to_owned();
    let client = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        let mut said = Vec::new();
        while !said.ends_with(br#"{"ok":true,"status":"live"}"#) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
        first_answered.send(()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    answered.await.unwrap();
    gateway.begin_stop();
    let answer = client.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""state":"running""#), "{answer}");
    let state_dir = gateway.stop().await;

    // The run was ended, and the next gateway knows.
    let gateway = crate::harness::start_in(state_dir.path(), "{}").await.unwrap();
    let gateway = TestGateway::run(gateway, state_dir);
    let entry = gateway.get(&path).await;
    assert_eq!(
        (&entry.ok(200)["status"], &entry.body["errorReason"]),
        (&json!("error"), &json!("interrupted"))
    );
    gateway.stop().await;
}

fn raw_get(gateway: &TestGateway, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", gateway.token)
}

#[tokio::test]
async fn a_connection_that_sends_nonsense_does_no_harm() {
    let gateway = TestGateway::with_model().await;
    let address = gateway.url.trim_start_matches("http://").to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 400"));
    gateway.get("/healthz").await.ok(200);
    gateway.stop().await;
}
