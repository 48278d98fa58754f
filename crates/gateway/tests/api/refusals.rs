//! What is refused, and how it is said.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{TestGateway, echo};

/// A job that is fine but for what `change` does to it.
fn job_but(change: impl FnOnce(&mut Value)) -> Value {
    let mut job = json!({
        "name": "n",
        "schedule": { "kind": "cron", "expr": "0 9 * * *", "tz": "Europe/Berlin" },
        "sessionTarget": "isolated",
        "payload": { "kind": "agentTurn", "message": "m" },
        "delivery": { "mode": "webhook", "to": "https://example.com/hook" },
    });
    change(&mut job);
    job
}

#[tokio::test]
async fn a_job_that_could_not_work_is_refused_when_it_is_saved_with_its_field_and_what_to_do() {
    let gateway = TestGateway::with_model().await;
    let set = |pointer: &'static str, value: Value| {
        move |job: &mut Value| *job.pointer_mut(pointer).unwrap() = value
    };
    let cases = [
        (job_but(set("/sessionTarget", json!("main"))), "invalid_job", "sessionTarget", "agentTurn"),
        (job_but(set("/schedule/tz", json!("Europe/Berlln"))), "invalid_schedule", "schedule.tz", "Berlin"),
        (
            job_but(set("/schedule/expr", json!("0 9 30 2 *"))),
            "invalid_schedule",
            "schedule",
            "never comes due",
        ),
        (job_but(set("/schedule/expr", json!("61 * * * *"))), "invalid_schedule", "schedule.expr", "61"),
        (
            job_but(set("/schedule", json!({ "kind": "at", "at": "2020-01-01" }))),
            "invalid_schedule",
            "schedule.at",
            "in the past",
        ),
        (job_but(|job| job["schedul"] = json!({})), "unknown_field", "schedul", "did you mean `schedule`?"),
        (
            job_but(|job| job["payload"]["mesage"] = json!("m")),
            "unknown_field",
            "payload.mesage",
            "payload.message",
        ),
        (
            job_but(|job| job["agentId"] = json!("nobody")),
            "unknown_agent",
            "agentId",
            "agents.entries.nobody",
        ),
        (
            job_but(|job| job["payload"]["model"] = json!("elsewhere/gpt")),
            "cannot_run",
            "payload.model",
            "models.providers",
        ),
        (job_but(set("/delivery/to", json!("http://127.0.0.1/"))), "webhook_refused", "delivery.to", "https"),
        (
            job_but(set("/delivery/to", json!("https://10.0.0.7/"))),
            "webhook_refused",
            "delivery.to",
            "10.0.0.7",
        ),
        (
            job_but(set("/delivery/to", json!("https://localhost/"))),
            "webhook_refused",
            "delivery.to",
            "localhost",
        ),
        (job_but(set("/delivery", json!({ "mode": "webhook" }))), "invalid_job", "delivery.to", "URL"),
        (job_but(|job| job["pacing"] = json!({ "min": "1h" })), "not_served", "pacing", "leave"),
        (job_but(|job| job["failureAlert"] = json!({ "after": 0 })), "invalid_job", "failureAlert.after", ""),
    ];
    for (job, code, field, said) in cases {
        let answer = gateway.post("/api/v1/jobs", &job).await;
        let error = answer.refused(422, code);
        assert_eq!(error["field"], field, "{error}");
        assert!(error.to_string().contains(said), "{error} does not say `{said}`");
    }
    assert_eq!(gateway.get("/api/v1/jobs?includeDisabled=1").await.ok(200)["total"], 0);
    gateway.stop().await;
}

#[tokio::test]
async fn an_agents_turn_without_a_model_is_refused_and_a_command_is_not() {
    let gateway = TestGateway::start("{}").await;
    let answer = gateway.post("/api/v1/jobs", &job_but(|_| {})).await;
    let error = answer.refused(422, "cannot_run");
    assert!(error["hint"].as_str().unwrap().contains("agents.defaults.model"), "{error}");
    gateway.job(&echo("x")).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_host_that_the_operator_allows_is_not_refused() {
    let gateway =
        TestGateway::start(r#"{ cron: { webhookSsrfPolicy: { allowedHostnames: ["127.0.0.1"] } } }"#).await;
    let mut job = echo("x");
    job["delivery"] = json!({ "mode": "webhook", "to": "http://127.0.0.1:9/" });
    gateway.job(&job).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_edit_is_held_to_the_same_rules_but_only_for_what_it_changes() {
    let gateway = TestGateway::with_model().await;
    let id = gateway.job(&job_but(|_| {})).await;
    let path = format!("/api/v1/jobs/{id}");
    gateway.patch(&path, &json!({ "agentId": "nobody" })).await.refused(422, "unknown_agent");
    gateway
        .patch(&path, &json!({ "delivery": { "to": "http://10.0.0.7/" } }))
        .await
        .refused(422, "webhook_refused");
    gateway
        .patch(&path, &json!({ "schedule": { "kind": "cron", "expr": "x" } }))
        .await
        .refused(422, "invalid_schedule");
    gateway.patch(&path, &json!({ "nme": "x" })).await.refused(422, "unknown_field");
    gateway.patch(&path, &json!([])).await.refused(422, "not_an_object");

    // The gateway comes back without models: the job can be renamed and switched off, but not on again.
    let state_dir = gateway.stop().await;
    let gateway = crate::harness::start_in(state_dir.path(), "{}").await.unwrap();
    let gateway = TestGateway::run(gateway, state_dir);
    gateway.patch(&path, &json!({ "name": "other" })).await.ok(200);
    gateway.post(&format!("{path}/disable"), &json!({})).await.ok(200);
    gateway.post(&format!("{path}/enable"), &json!({})).await.refused(422, "cannot_run");
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_with_its_place() {
    let gateway = TestGateway::with_model().await;
    let broken = gateway.send(Method::POST, "/api/v1/jobs", "{\n  \"name\": \"n\",,\n}").await;
    let message = broken.refused(400, "invalid_json")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("line 2 column 15"), "{message}");
    gateway.send(Method::POST, "/api/v1/jobs", "").await.refused(400, "invalid_json");
    gateway.send(Method::POST, "/api/v1/jobs", "[]").await.refused(422, "not_an_object");
    gateway.send(Method::POST, "/api/v1/jobs", &"[".repeat(100_000)).await.refused(400, "invalid_json");
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_refused() {
    let gateway = TestGateway::with_model().await;
    let most = job_but(|job| {
        let room = 1024 * 1024 - job.to_string().len();
        job["payload"]["message"] = json!("m".repeat(room + 1));
    });
    assert_eq!(most.to_string().len(), 1024 * 1024);
    gateway.post("/api/v1/jobs", &most).await.ok(201);
    let mut over = most;
    over["name"] = json!("nn");
    gateway.post("/api/v1/jobs", &over).await.refused(413, "body_too_large");
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_or_impossible_query_parameter_is_refused_by_name() {
    let gateway = TestGateway::with_model().await;
    for _ in 0..2 {
        gateway.post("/api/v1/jobs", &job_but(|_| {})).await.ok(201);
    }
    let first = gateway.get("/api/v1/jobs?limit=1").await;
    let next = first.ok(200)["nextCursor"].as_str().unwrap();
    let cases = [
        ("/api/v1/jobs?includeDisabeld=true", "did you mean `includeDisabled`?"),
        ("/api/v1/jobs?limit=0", "from 1 to 200"),
        ("/api/v1/jobs?limit=201", "from 1 to 200"),
        ("/api/v1/jobs?limit=1&limit=2", "more than once"),
        ("/api/v1/jobs?sortBy=size", "nextRunAtMs, updatedAtMs, name"),
        ("/api/v1/jobs?after=17", "`17` is not a place in a list of jobs"),
        (&format!("/api/v1/jobs?after={next}&offset=1"), "leave one of them out"),
        (&format!("/api/v1/jobs?after={next}&sortBy=name"), "another order than `name asc`"),
        ("/api/v1/status?verbose=1", "takes no parameters"),
        ("/api/v1/deliveries?state=pending,lost", "not `lost`"),
        ("/api/v1/deliveries?runId=dlv_1", "is not a run id"),
        ("/api/v1/runs/run_0198c2d57b1a7c3e9f40a1b2c3d4e5f6?waitSeconds=61", "from 0 to 60"),
    ];
    for (path, said) in cases {
        let answer = gateway.get(path).await;
        let error = answer.refused(400, "invalid_query");
        assert!(error.to_string().contains(said), "{path}: {error}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_found() {
    let gateway = TestGateway::with_model().await;
    let run = "run_0198c2d57b1a7c3e9f40a1b2c3d4e5f6";
    for path in [
        "/api/v1/jobs/nope",
        "/api/v1/jobs/a%2Fb",
        "/api/v1/jobs/nope/runs",
        "/api/v1/jobs/nope/occurrences",
        "/api/v1/runs/nope",
        &format!("/api/v1/runs/{run}"),
        &format!("/api/v1/runs/{run}?waitSeconds=60"),
        &format!("/api/v1/runs/{run}/transcript"),
        "/api/v1/deliveries/nope",
        "/api/v1/deliveries/dlv_0198c2d57b1a7c3e9f40a1b2c3d4e5f6",
        "/api/v1/replays/nope",
        "/api/v1/replays/rpl_0198c2d57b1a7c3e9f40a1b2c3d4e5f6",
    ] {
        gateway.get(path).await.refused(404, "not_found");
    }
    let unknown = "dlv_0198c2d57b1a7c3e9f40a1b2c3d4e5f6";
    for path in [
        "/api/v1/jobs/nope/run",
        "/api/v1/jobs/nope/enable",
        "/api/v1/deliveries/nope/retry",
        "/api/v1/deliveries/nope/cancel",
        "/api/v1/deliveries/nope/replay",
        &format!("/api/v1/deliveries/{unknown}/cancel"),
        &format!("/api/v1/deliveries/{unknown}/replay"),
        &format!("/api/v1/runs/{run}/replay"),
        "/api/v1/replays/nope/cancel",
        "/api/v1/replays/rpl_0198c2d57b1a7c3e9f40a1b2c3d4e5f6/cancel",
    ] {
        gateway.post(path, &json!({})).await.refused(404, "not_found");
    }
    gateway.get("/api/v1/nothing").await.refused(404, "no_such_path");
    let wrong = gateway.send(Method::PUT, "/api/v1/jobs", "{}").await;
    wrong.refused(405, "method_not_allowed");
    assert!(wrong.headers["allow"].to_str().unwrap().contains("POST"));
    gateway.stop().await;
}
