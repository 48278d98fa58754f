//! What a destination's definition makes of its requests: secrets and their change, headers, bodies.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::{Clock as _, ManualClock};
use clawhook_model::{DestinationDefinition, UnixMs};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::destinations::{DESTINATIONS, added, job_to, path, until};
use crate::harness::{Answer, TestGateway, start_at};
use crate::receiver::{LOCAL, Receiver, Request};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// A variable that cargo sets for every test, and what it holds.
const VARIABLE: (&str, &str) = ("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"));

/// The destination `ops` at this receiver, with these members beside its address.
fn ops(receiver: &Receiver, members: &Value) -> Value {
    let mut definition = json!({ "name": "ops", "url": receiver.url });
    definition.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    definition
}

/// Runs a job that says `hello`, and gives what the receiver got of it.
async fn delivered(gateway: &TestGateway, receiver: &Receiver) -> Request {
    let job = gateway.job(&job_to(&json!([{ "destination": "ops" }]))).await;
    let entry = gateway.run_to_the_end(&job).await;
    assert_eq!(entry["completionStatus"], "succeeded", "{entry}");
    receiver.requests().pop().unwrap()
}

/// Whether an independent library takes the request for one that was signed with `secret`.
fn verifies(request: &Request, secret: &str) -> bool {
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, request.headers[name].parse().unwrap());
    }
    Webhook::new(secret).unwrap().verify(&request.body, &headers).is_ok()
}

fn signatures(request: &Request) -> usize {
    request.headers["webhook-signature"].split(' ').count()
}

/// Asserts that no file under `folder` holds the text: neither the database nor its log, nor any other.
fn assert_nowhere_in(folder: &Path, text: &str) {
    let files = count_without(folder, text);
    assert!(files > 0, "there is a database in {}", folder.display());
}

/// How many files there are under `folder`, none of which holds the text.
fn count_without(folder: &Path, text: &str) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files += count_without(&entry.path(), text);
        } else if entry.file_type().unwrap().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{} holds the secret", entry.path().display());
            files += 1;
        }
    }
    files
}

async fn rotate(gateway: &TestGateway, body: &Value) -> Answer {
    gateway.post(&format!("{}/rotate-secret", path("ops")), body).await
}

#[tokio::test]
async fn i12_a_written_secret_signs_and_stands_in_no_file_and_no_answer() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    let signing = json!({ "signing": { "secret": OLD }, "headers": { "Authorization": "Bearer t0ps3cret" } });
    let made = added(&gateway, &ops(&receiver, &signing)).await;
    assert_eq!(made["definition"]["signing"], json!({ "secret": "***" }));
    assert_eq!(made["definition"]["headers"], json!({ "authorization": "***" }));

    let request = delivered(&gateway, &receiver).await;
    assert!(verifies(&request, OLD), "{request:?}");
    assert_eq!(request.headers["authorization"], "Bearer t0ps3cret");
    let tested = gateway.post(&format!("{}/test", path("ops")), &json!({})).await.ok(200).clone();
    assert_eq!(tested["delivered"], true);
    assert!(!tested.to_string().contains("t0ps3cret"), "{tested}");
    for secret in [OLD, "t0ps3cret"] {
        assert_nowhere_in(gateway.state_dir.path(), secret);
    }
    let state_dir = gateway.stop().await;
    assert_nowhere_in(state_dir.path(), OLD);
}

#[tokio::test]
async fn a_secret_that_is_changed_signs_beside_the_one_before_until_the_overlap_ends() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    added(&gateway, &ops(&receiver, &json!({ "signing": { "secret": OLD } }))).await;

    let rotated = rotate(&gateway, &json!({})).await.ok(200).clone();
    let new = rotated["secret"].as_str().unwrap();
    let request = delivered(&gateway, &receiver).await;
    assert_eq!(signatures(&request), 2, "{request:?}");
    assert!(verifies(&request, OLD) && verifies(&request, new), "{request:?}");
    let shown = gateway.get(&path("ops")).await.ok(200)["definition"]["signing"].clone();
    let retiring = json!({ "secret": "***", "untilMs": rotated["overlapUntilMs"] });
    assert_eq!(shown, json!({ "secret": "***", "retiring": retiring }));
    assert_nowhere_in(gateway.state_dir.path(), new);

    // One that is brought along, at once: nothing else signs any more.
    let brought = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let at_once = rotate(&gateway, &json!({ "secret": brought, "overlap": "0s" })).await.ok(200).clone();
    assert_eq!(at_once.get("secret"), None);
    let request = delivered(&gateway, &receiver).await;
    assert_eq!(signatures(&request), 1, "{request:?}");
    assert!(verifies(&request, brought) && !verifies(&request, new), "{request:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_destination_that_signed_with_the_gateways_keys_gets_its_own_with_an_overlap() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    let schemes = json!({ "signing": { "schemes": ["v1", "v1a"] } });
    added(&gateway, &ops(&receiver, &schemes)).await;
    let gateways = std::fs::read_to_string(gateway.state_dir.path().join("signing-secret")).unwrap();

    let rotated = rotate(&gateway, &json!({ "secret": true, "overlap": "1h" })).await.ok(200).clone();
    let request = delivered(&gateway, &receiver).await;
    assert!(verifies(&request, gateways.trim()), "{request:?}");
    assert!(verifies(&request, rotated["secret"].as_str().unwrap()), "{request:?}");
    assert_eq!(signatures(&request), 3, "two of v1, one of v1a: {request:?}");

    let rotated = rotate(&gateway, &json!({ "privateKey": true })).await.ok(200).clone();
    assert!(rotated["publicKey"].as_str().unwrap().starts_with("whpk_"), "{rotated}");
    assert_eq!(rotated.get("secret"), None, "a private key is never shown");
    let request = delivered(&gateway, &receiver).await;
    assert_eq!(signatures(&request), 4, "two of each: {request:?}");

    // A key that was ended at once does not come back with the overlap of another.
    rotate(&gateway, &json!({ "privateKey": true, "overlap": "0s" })).await.ok(200);
    rotate(&gateway, &json!({ "secret": true, "overlap": "1h" })).await.ok(200);
    let request = delivered(&gateway, &receiver).await;
    assert_eq!(signatures(&request), 3, "two of v1, one of v1a: {request:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_that_cannot_be_changed_so_stays_as_it_is() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    added(&gateway, &ops(&receiver, &json!({ "signing": { "secret": OLD } }))).await;
    for (given, code, field) in [
        (json!({ "secrt": true }), "unknown_field", Some("secrt")),
        (json!({ "secret": true, "privateKey": true }), "invalid_destination", Some("privateKey")),
        (json!({ "overlap": "31d" }), "invalid_destination", Some("overlap")),
        (json!({ "overlap": "soon" }), "invalid_destination", Some("overlap")),
        (json!({ "secret": { "evn": "X" } }), "invalid_destination", Some("secret")),
        (json!({ "secret": "too short" }), "unready", None),
        (json!({ "secret": { "env": "CLAWHOOK_TEST_IS_NOT_SET" } }), "unready", None),
    ] {
        let answer = rotate(&gateway, &given).await;
        let error = answer.refused(422, code);
        assert_eq!(error["field"].as_str(), field, "{answer:?}");
        assert!(!answer.body.to_string().contains("too short"), "{answer:?}");
    }
    assert_eq!(gateway.get(&path("ops")).await.ok(200)["revision"], 1);
    assert!(verifies(&delivered(&gateway, &receiver).await, OLD));
    gateway.stop().await;
}

#[tokio::test]
async fn a_chat_gets_its_own_message_and_headers_come_from_where_they_are_kept() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    let (variable, value) = VARIABLE;
    let members = json!({
        "format": "slack",
        "headers": { "X-Key": { "env": variable }, "X-Team": "ops" },
    });
    let made = added(&gateway, &ops(&receiver, &members)).await;
    assert_eq!(made["definition"]["headers"], json!({ "x-key": { "env": variable }, "x-team": "***" }));
    let request = delivered(&gateway, &receiver).await;
    assert_eq!((request.headers["x-key"].as_str(), request.headers["x-team"].as_str()), (value, "ops"));
    assert_eq!(
        (&request.event["text"], &request.event["blocks"][1]["text"]["text"]),
        (&json!("echo: ok"), &json!("hello"))
    );
    assert!(request.event.get("action").is_none(), "{request:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_template_arrives_as_it_is_shown_and_a_wrong_one_is_refused_with_its_line() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    let template = |body: &str| {
        let headers = json!({ "X-Job": "{{ event.jobName }}" });
        json!({ "format": { "template": { "body": body, "headers": headers } } })
    };
    let refused = gateway.post(DESTINATIONS, &ops(&receiver, &template("{\n  {{ event.summary"))).await;
    let message = refused.refused(422, "unready")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`format`") && message.contains("line 2"), "{message}");

    let made = added(&gateway, &ops(&receiver, &template("{\"said\": {{ event.summary }}}"))).await;
    assert_eq!(
        made["definition"]["format"]["template"]["headers"],
        json!({ "X-Job": "{{ event.jobName }}" })
    );
    let request = delivered(&gateway, &receiver).await;
    assert_eq!((&request.event, request.headers["x-job"].as_str()), (&json!({ "said": "hello" }), "echo"));

    let runs = gateway.get("/api/v1/runs").await.ok(200).clone();
    let run = runs["entries"][0]["runId"].as_str().unwrap();
    let rendered = gateway.get(&format!("{}/render?runId={run}", path("ops"))).await.ok(200).clone();
    assert_eq!(rendered["body"].as_str().unwrap().as_bytes(), request.body);
    assert_eq!(
        (&rendered["contentType"], &rendered["headers"]),
        (&json!("application/json"), &json!([["x-job", "echo"]]))
    );
    gateway.get(&format!("{}/render", path("ops"))).await.ok(200);
    let nothing = "00000000-0000-7000-8000-000000000000";
    gateway.get(&format!("{}/render?runId=run_{nothing}", path("ops"))).await.refused(404, "not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_refused_while_somebody_is_looking() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    for (members, told) in [
        (
            json!({ "signing": { "secret": { "env": "CLAWHOOK_TEST_IS_NOT_SET" } } }),
            "`signing.secret`: the environment variable `CLAWHOOK_TEST_IS_NOT_SET` is not set",
        ),
        (
            json!({ "headers": { "X-Key": { "file": "/nowhere/at/all" } } }),
            "`headers.x-key`: the file `/nowhere/at/all` cannot be read",
        ),
        (json!({ "signing": { "secret": "short" } }), "`signing.secret`: the secret has 5 characters"),
    ] {
        let answer = gateway.post(DESTINATIONS, &ops(&receiver, &members)).await;
        let error = answer.refused(422, "unready");
        assert!(error["message"].as_str().unwrap().contains(told), "{error}");
    }
    assert_eq!(gateway.get(DESTINATIONS).await.ok(200)["total"], 0);
    gateway.stop().await;
}

#[tokio::test]
async fn i04_a_declared_destination_whose_secret_is_missing_waits_for_it_and_then_goes() {
    let receiver = Receiver::start(200).await;
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("ops");
    let config = format!(
        "{{
            cron: {{ webhookSsrfPolicy: {{ allowedHostnames: ['127.0.0.1'] }} }},
            delivery: {{ destinations: {{ ops: {{
                url: '{}', signing: {{ secret: {{ file: '{}' }} }},
            }} }} }},
        }}",
        receiver.url,
        file.display()
    );
    let clock = ManualClock::at(UnixMs::from_millis(1_771_372_800_000));
    let state_dir = tempfile::tempdir().unwrap();
    let gateway = start_at(state_dir.path(), &config, Arc::new(clock.clone())).await.unwrap();
    let gateway = TestGateway::run(gateway, state_dir);

    let job = gateway.job(&job_to(&json!([{ "destination": "ops" }]))).await;
    let asked = gateway.post(&format!("/api/v1/jobs/{job}/run"), &json!({})).await;
    let run = format!("/api/v1/runs/{}", asked.ok(202)["runId"].as_str().unwrap());
    let paused = until(&gateway, &path("ops"), |ops| ops["standing"]["state"] == "paused").await;
    assert_eq!(paused["standing"]["reason"], "secret");
    let detail = paused["standing"]["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("`signing.secret`: the file `{}`", file.display())), "{detail}");
    until(&gateway, &path("ops"), |ops| ops["queue"]["pending"] == 1).await;

    std::fs::write(&file, format!("{OLD}\n")).unwrap();
    // It is looked at again within a minute of the clock's.
    while gateway.get(&path("ops")).await.ok(200)["standing"]["state"] == "paused" {
        let within = clock.now().plus(Duration::from_mins(1));
        if let Some(wake) = clock.next_wake().filter(|wake| *wake <= within) {
            clock.set(wake);
        }
        tokio::task::yield_now().await;
    }
    let entry = until(&gateway, &run, |entry| entry["completionStatus"] != "unknown").await;
    assert_eq!(entry["completionStatus"], "succeeded");
    let request = receiver.requests().pop().unwrap();
    let seconds = request.headers["webhook-timestamp"].parse().unwrap();
    let expected = Webhook::new(OLD).unwrap().sign(&request.headers["webhook-id"], seconds, &request.body);
    assert_eq!(request.headers["webhook-signature"], expected.unwrap());
    gateway.stop().await;
}

#[test]
fn the_documentations_example_is_a_definition_with_every_field() {
    const DOCUMENT: &str = include_str!("../../../../docs/destinations.md");
    let (_, example) = DOCUMENT.split_once("with every field:\n\n```json\n").unwrap();
    let (example, _) = example.split_once("\n```").unwrap();
    let mut example: Value = serde_json::from_str(example).unwrap();
    let members = example.as_object_mut().unwrap();
    assert_eq!(members.remove("name"), Some(json!("ops")));
    DestinationDefinition::parse(example.clone()).unwrap();

    let openapi: Value = serde_json::from_str(&clawhook_gateway::openapi_json()).unwrap();
    let schemas = &openapi["components"]["schemas"];
    // `retiring` comes about when a key is changed.
    let kept: &[&str] = &["retiring"];
    for (schema, prefix) in [
        ("DestinationDefinition", ""),
        ("Signing", "signing"),
        ("Retry", "retry"),
        ("Network", "network"),
        ("Limits", "limits"),
    ] {
        let section = if prefix.is_empty() { &example } else { &example[prefix] };
        for field in schemas[schema]["properties"].as_object().unwrap().keys() {
            let name = if prefix.is_empty() { field.clone() } else { format!("{prefix}.{field}") };
            assert!(
                section.get(field).is_some() || kept.contains(&field.as_str()),
                "`{name}` is not in the example"
            );
            let is_section = example[&name].is_object() && !["headers", "format"].contains(&name.as_str());
            assert!(is_section || DOCUMENT.contains(&format!("\n| `{name}` |")), "`{name}` has no row");
        }
    }
}
