//! Running jobs, and reading what came of it.

use serde_json::json;

use crate::harness::{TestGateway, echo};

/// A job that is under way until its file `go` appears.
fn waiting(gate: &std::path::Path) -> serde_json::Value {
    let script = format!("until [ -e {} ]; do sleep 0.01; done; echo gone", gate.display());
    json!({
        "name": "waiting",
        "schedule": { "kind": "every", "everyMs": 86_400_000 },
        "payload": { "kind": "command", "argv": ["/bin/sh", "-c", script] },
    })
}

#[tokio::test]
async fn a_run_can_be_asked_for_and_waited_for_and_read() {
    let gateway = TestGateway::with_model().await;
    let id = gateway.job(&echo("hello")).await;
    let entry = gateway.run_to_the_end(&id).await;
    assert_eq!(entry["jobId"], json!(id));
    assert_eq!((&entry["state"], &entry["action"]), (&json!("finished"), &json!("finished")));
    assert_eq!((&entry["status"], &entry["completionStatus"]), (&json!("ok"), &json!("succeeded")));
    assert_eq!((&entry["summary"], &entry["trigger"]), (&json!("hello"), &json!("manual")));
    assert_eq!((&entry["deliveryStatus"], &entry["deliveries"]), (&json!("not-requested"), &json!([])));

    let run = entry["runId"].as_str().unwrap();
    let transcript = gateway.get(&format!("/api/v1/runs/{run}/transcript")).await;
    assert!(!transcript.ok(200)["entries"].as_array().unwrap().is_empty());
    for path in [format!("/api/v1/jobs/{id}/runs?status=ok"), format!("/api/v1/runs?jobId={id}")] {
        let page = gateway.get(&path).await;
        assert_eq!(page.ok(200)["entries"], json!([entry]));
    }
    assert_eq!(gateway.get(&format!("/api/v1/jobs/{id}/runs?status=error")).await.ok(200)["total"], 0);
    let none_due = gateway.get(&format!("/api/v1/jobs/{id}/occurrences")).await;
    assert_eq!(none_due.ok(200), &json!({ "occurrences": [] }));
    gateway.stop().await;
}

#[tokio::test]
async fn a_job_under_way_is_not_run_again() {
    let gateway = TestGateway::with_model().await;
    let gate = gateway.state_dir.path().join("go");
    let id = gateway.job(&waiting(&gate)).await;
    let path = format!("/api/v1/jobs/{id}/run");
    let first = gateway.post(&path, &json!({})).await;
    let run = first.ok(202)["runId"].clone();
    assert_eq!(first.body, json!({ "ok": true, "enqueued": true, "runId": run }));
    let second = gateway.post(&path, &json!({})).await;
    assert_eq!(
        second.ok(200),
        &json!({ "ok": true, "ran": false, "reason": "already-running", "runId": run })
    );

    let unfinished = gateway.get(&format!("/api/v1/runs/{}", run.as_str().unwrap())).await;
    assert_eq!((unfinished.ok(200).get("status"), unfinished.body.get("ts")), (None, None));
    std::fs::write(&gate, "").unwrap();
    let entry = gateway.get(&format!("/api/v1/runs/{}?waitSeconds=60", run.as_str().unwrap())).await;
    assert_eq!(entry.ok(200)["summary"], "gone");
    gateway.stop().await;
}

#[tokio::test]
async fn a_due_occurrence_is_run_and_stands_in_the_ledger() {
    let gateway = TestGateway::with_model().await;
    let mut job = echo("due");
    job["deleteAfterRun"] = json!(false);
    // Over by a moment, as an instant is when its request was under way: due at once.
    job["schedule"] = json!({ "kind": "at", "at": (now_ms() - 5_000).to_string() });
    let id = gateway.job(&job).await;
    let occurrence = loop {
        let ledger = gateway.get(&format!("/api/v1/jobs/{id}/occurrences")).await;
        if let Some(first) = ledger.ok(200)["occurrences"].get(0) {
            break first.clone();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(occurrence["outcome"], "ran");
    let run = occurrence["runId"].as_str().unwrap();
    let entry = gateway.get(&format!("/api/v1/runs/{run}?waitSeconds=60")).await;
    assert_eq!(entry.ok(200)["scheduledAtMs"], occurrence["dueAtMs"]);

    // That instant has its record. Switching the job off and on does not make it due again.
    let path = format!("/api/v1/jobs/{id}");
    gateway.post(&format!("{path}/disable"), &json!({})).await.ok(200);
    gateway.post(&format!("{path}/enable"), &json!({})).await.refused(422, "invalid_schedule");
    gateway.stop().await;
}

#[tokio::test]
async fn a_delivery_can_be_read_with_its_attempts_and_tried_again_by_hand() {
    let config = r#"{
        cron: { webhookSsrfPolicy: { allowedHostnames: ["127.0.0.1"] } },
        delivery: { retrySchedule: [] },
    }"#;
    let gateway = TestGateway::start(config).await;
    // A port that was free a moment ago and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut job = echo("result");
    job["delivery"] =
        json!({ "mode": "webhook", "to": format!("http://127.0.0.1:{port}/hook?token=s3cret") });
    let id = gateway.job(&job).await;
    let entry = gateway.run_to_the_end(&id).await;
    assert_eq!((&entry["status"], &entry["completionStatus"]), (&json!("ok"), &json!("failed")));
    assert_eq!(entry["deliveryStatus"], "not-delivered");

    let shown = &entry["deliveries"][0];
    assert_eq!((&shown["state"], &shown["attempts"]), (&json!("dead"), &json!(1)));
    let path = format!("/api/v1/deliveries/{}", shown["id"].as_str().unwrap());
    let detail = gateway.get(&path).await;
    assert_eq!(detail.ok(200)["attemptCount"], 1);
    assert_eq!(detail.body["attempts"][0]["class"], "connect_failed");
    let dead = gateway.get(&format!("/api/v1/deliveries?jobId={id}&state=dead,cancelled")).await;
    assert_eq!(dead.ok(200)["deliveries"][0]["attempts"], 1);
    for answer in [detail, dead, gateway.get("/api/v1/status").await] {
        assert!(!answer.body.to_string().contains("s3cret"), "{answer:?}");
    }
    assert_eq!(gateway.post(&format!("{path}/retry"), &json!({})).await.ok(202)["id"], shown["id"]);
    gateway.stop().await;
}

#[tokio::test]
async fn what_was_suppressed_is_not_sent_by_hand_either() {
    let gateway = TestGateway::with_model().await;
    let mut job = echo("NO_REPLY");
    job["delivery"] = json!({ "mode": "webhook", "to": "https://example.com/" });
    let id = gateway.job(&job).await;
    let entry = gateway.run_to_the_end(&id).await;
    assert_eq!(
        (&entry["completionStatus"], &entry["deliverySuppressionReason"]),
        (&json!("succeeded"), &json!("silent"))
    );
    let delivery = entry["deliveries"][0]["id"].as_str().unwrap();
    gateway
        .post(&format!("/api/v1/deliveries/{delivery}/retry"), &json!({}))
        .await
        .refused(409, "suppressed");
    gateway.stop().await;
}

fn now_ms() -> i64 {
    use clawhook_clock::Clock as _;
    clawhook_clock::SystemClock.now().as_millis()
}
