//! What runs cost, through the API: usage, budgets, forecasts and metrics.

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{TestGateway, echo};

/// A model server that answers everything with one word, for which it counts 90 tokens read and 10 written.
async fn model() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 65536];
                let _ = stream.read(&mut head).await;
                let usage = json!({ "prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100 });
                let said = json!({ "choices": [{ "index": 0, "delta": { "content": "hello" } }] });
                let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }], "usage": usage });
                let body = format!("data: {said}\n\ndata: {end}\n\ndata: [DONE]\n\n");
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                stream.write_all(format!("{head}{body}").as_bytes()).await.ok();
            });
        }
    });
    url
}

async fn gateway() -> TestGateway {
    let url = model().await;
    TestGateway::start(&format!(
        "{{ models: {{ providers: {{ fake: {{ baseUrl: '{url}' }} }} }}, agents: {{ defaults: {{ model: 'fake/x' }} }} }}"
    ))
    .await
}

fn asks(budget: &Value) -> Value {
    let mut job = echo("");
    job["payload"] = json!({ "kind": "agentTurn", "message": "hi" });
    job["schedule"] = json!({ "kind": "every", "everyMs": 21_600_000 });
    if !budget.is_null() {
        job["budget"] = budget.clone();
    }
    job
}

async fn text(gateway: &TestGateway, path: &str) -> String {
    let authority = gateway.url.strip_prefix("http://").unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test's own gateway")]
    let mut stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let token = &gateway.token;
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_runs_use_is_summed_by_job_agent_model_and_day_and_outlives_the_job() {
    let gateway = gateway().await;
    let job = gateway.job(&asks(&Value::Null)).await;
    for _ in 0..2 {
        assert_eq!(gateway.run_to_the_end(&job).await["usage"]["total_tokens"], 100);
    }
    gateway.run_to_the_end(&gateway.job(&echo("free")).await).await;
    gateway.delete(&format!("/api/v1/jobs/{job}")).await.ok(200);
    let used = json!({
        "runs": 2, "unpricedRuns": 2, "inputTokens": 180, "outputTokens": 20, "totalTokens": 200,
    });
    for (by, key, value) in
        [("job", "jobId", job.as_str()), ("agent", "agentId", "main"), ("model", "model", "x")]
    {
        let answer = gateway.get(&format!("/api/v1/usage?by={by}")).await;
        assert_eq!((&answer.ok(200)["total"], &answer.body["rows"][0][key]), (&used, &json!(value)), "{by}");
        assert_eq!(answer.body["rows"].as_array().unwrap().len(), 1);
    }
    let days = gateway.get("/api/v1/usage").await;
    assert_eq!((&days.ok(200)["by"], &days.body["rows"][0]["day"]), (&json!("day"), &days.body["to"]));
    assert_eq!(gateway.get("/api/v1/usage?jobId=another").await.ok(200)["rows"], json!([]));
    assert_eq!(gateway.get("/api/v1/usage?to=2020-01-31&days=31").await.ok(200)["from"], "2020-01-01");
    gateway.get("/api/v1/usage?from=soon").await.refused(400, "invalid_query");
    gateway.stop().await;
}

#[tokio::test]
async fn a_job_shows_what_of_its_budget_is_spent_and_what_is_to_be_expected() {
    let gateway = gateway().await;
    let job = gateway.job(&asks(&json!({ "tokensPerDay": 150 }))).await;
    let path = format!("/api/v1/jobs/{job}");
    let before = gateway.get(&path).await;
    assert_eq!(before.ok(200)["forecast"], json!({ "basedOnRuns": 0, "pricedRuns": 0, "runsPerDay": 4 }));
    assert_eq!(before.body["budgetToday"], json!({ "spentUsd": 0.0, "spentTokens": 0 }));
    for _ in 0..2 {
        gateway.run_to_the_end(&job).await;
    }
    let after = gateway.get(&path).await;
    let forecast = json!({
        "basedOnRuns": 2, "pricedRuns": 0, "tokensPerRun": 100, "runsPerDay": 4, "tokensPerDay": 400,
    });
    assert_eq!(after.ok(200)["forecast"], forecast);
    assert_eq!(after.body["budgetToday"]["spentTokens"], 200);
    let listed = gateway.get("/api/v1/jobs").await;
    let today = &listed.ok(200)["jobs"][0]["budgetToday"];
    assert!(today["usedUp"].as_str().unwrap().contains("200 of 150 tokens"), "{today}");
    let skipped = gateway.run_to_the_end(&job).await;
    assert_eq!((&skipped["status"], &skipped["errorReason"]), (&json!("skipped"), &json!("budget")));
    gateway.stop().await;
}

#[tokio::test]
async fn the_metrics_count_runs_and_tokens_and_need_the_token() {
    let gateway = gateway().await;
    gateway.run_to_the_end(&gateway.job(&asks(&Value::Null)).await).await;
    let mut fails = echo("");
    fails["payload"]["argv"] = json!(["/bin/false"]);
    gateway.run_to_the_end(&gateway.job(&fails).await).await;
    gateway.request(Method::GET, "/metrics", None, "").await.refused(401, "unauthorized");
    let page = text(&gateway, "/metrics").await;
    for line in [
        "content-type: text/plain; version=0.0.4; charset=utf-8",
        "clawhook_runs_total{status=\"ok\",class=\"\"} 1",
        "clawhook_runs_total{status=\"error\",class=\"exit\"} 1",
        "clawhook_tokens_total{agent=\"main\",model=\"fake/x\",kind=\"input\"} 90",
        "clawhook_slots_used 0",
        "clawhook_alarms{alarm=\"overdue\"} 0",
        "clawhook_deliveries{state=\"dead\"} 0",
        "clawhook_jobs{state=\"enabled\"} 2",
    ] {
        assert!(page.lines().any(|shown| shown == line), "no `{line}` in:\n{page}");
    }
    // Each sample follows the head of its metric, and each metric has one.
    for line in page.split_once("\r\n\r\n").unwrap().1.lines().filter(|line| line.starts_with("clawhook_")) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert_eq!(page.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
    }
    gateway.stop().await;
}
