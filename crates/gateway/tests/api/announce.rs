//! Results are announced: the route is told when a job is saved, refused where there is none, and taken when it runs.

use serde_json::{Value, json};

use crate::harness::{TestGateway, echo};
use crate::receiver::Receiver;

/// A gateway with these channels.
async fn gateway(channels: &str) -> TestGateway {
    let text = format!(
        "{{ channels: {{ {channels} }}, delivery: {{ retrySchedule: [] }},
            models: {{ providers: {{ local: {{ baseUrl: 'http://127.0.0.1:9/v1' }} }} }},
            agents: {{ defaults: {{ model: 'local/tiny' }} }} }}"
    );
    TestGateway::start(&text).await
}

/// A channel that posts to the receiver.
fn channel(receiver: &Receiver, more: &str) -> String {
    let base = receiver.url.split("/hook").next().unwrap();
    format!("webhook: {{ url: '{base}/say/{{to}}', allowPrivate: true, token: 's3cret', {more} }}")
}

fn announced(text: &str, delivery: Value) -> Value {
    let mut job = echo(text);
    job["delivery"] = delivery;
    job["delivery"]["mode"] = json!("announce");
    job
}

#[tokio::test]
async fn a_result_is_announced_where_the_job_says_and_the_saved_job_tells_the_route() {
    let receiver = Receiver::start(200).await;
    let gateway = gateway(&channel(&receiver, "to: 'team'")).await;
    let completion = json!({ "mode": "webhook", "to": "https://example.com/done" });
    let delivery = json!({ "to": "webhook:ops", "completionDestination": completion });
    let made = gateway.post("/api/v1/jobs", &announced("All quiet.", delivery)).await;
    let saved = made.ok(201).clone();
    assert_eq!(saved["deliveryPreview"]["label"], "announce:webhook:ops");
    assert_eq!(saved["deliveryPreview"]["detail"], "account default; named by the job");
    let run = gateway.run_to_the_end(saved["id"].as_str().unwrap()).await;
    assert_eq!(
        (&run["deliveryStatus"], &run["completionStatus"]),
        (&json!("delivered"), &json!("succeeded"))
    );
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].event.to_string().contains("All quiet."), "{}", requests[0].event);
    let deliveries = gateway.get("/api/v1/deliveries").await;
    let list = deliveries.ok(200)["deliveries"].as_array().unwrap().clone();
    let announcement = list.iter().find(|it| it["target"].as_str().unwrap().starts_with("announce")).unwrap();
    let detail = gateway.get(&format!("/api/v1/deliveries/{}", announcement["id"].as_str().unwrap())).await;
    let shown = detail.ok(200).to_string();
    assert!(shown.contains("\"accountId\":\"default\"") && !shown.contains("s3cret"), "{shown}");
    let completion = list.iter().find(|it| it["target"].as_str().unwrap().contains("example.com")).unwrap();
    assert_eq!(completion["required"], false, "completion does not wait for what is beside it");
    let page = gateway.get_as("/api/v1/events?types=run.finished", "application/json").await;
    let resolved = &page.ok(200)["events"][0]["event"]["delivery"]["resolved"];
    assert_eq!(
        (&resolved["ok"], &resolved["to"], &resolved["source"]),
        (&json!(true), &json!("ops"), &json!("explicit"))
    );
}

#[tokio::test]
async fn what_has_no_way_is_refused_and_says_what_to_do() {
    let receiver = Receiver::start(200).await;
    let none = gateway("").await;
    let refused = none.post("/api/v1/jobs", &announced("x", json!({}))).await;
    let error = refused.refused(422, "no_route");
    assert!(error["hint"].as_str().unwrap().contains("channels.<channel>"), "{error}");
    let two = gateway(&format!("{}, ntfy: {{ to: 'alerts' }}", channel(&receiver, ""))).await;
    for (delivery, said) in [
        (json!({}), "several"),
        (json!({ "channel": "last" }), "several"),
        (json!({ "channel": "webhook" }), "no recipient"),
        (json!({ "channel": "slack", "to": "C1" }), "no channel `slack`"),
        (json!({ "channel": "ntfy", "accountId": "b" }), "no account `b`"),
        (json!({ "to": "ntfy:not a topic" }), "topic"),
    ] {
        let refused = two.post("/api/v1/jobs", &announced("x", delivery.clone())).await;
        let message = refused.body["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(refused.status.as_u16(), 422, "{delivery}");
        assert!(message.contains(said), "{delivery}: {message}");
    }
    two.post("/api/v1/jobs", &announced("x", json!({ "bestEffort": true }))).await.ok(201);
    two.post("/api/v1/jobs", &announced("x", json!({ "to": "webhook:ops" }))).await.ok(201);
}

#[tokio::test]
async fn an_agents_job_that_says_nothing_is_announced_where_there_is_a_way() {
    let receiver = Receiver::start(200).await;
    let job = json!({
        "schedule": { "kind": "every", "everyMs": 86_400_000 }, "payload": { "kind": "agentTurn", "message": "hi" },
    });
    let with = gateway(&channel(&receiver, "to: 'team'")).await;
    let saved = with.post("/api/v1/jobs", &job).await.ok(201).clone();
    assert_eq!(saved["delivery"]["mode"], "announce");
    assert_eq!(saved["deliveryPreview"]["label"], "announce:webhook:team");
    let mut silent = job.clone();
    silent["delivery"] = json!({ "mode": "none" });
    assert_eq!(with.post("/api/v1/jobs", &silent).await.ok(201)["delivery"]["mode"], "none");
    assert_eq!(with.post("/api/v1/jobs", &echo("x")).await.ok(201)["delivery"]["mode"], "none");
    let without = gateway("").await;
    assert_eq!(without.post("/api/v1/jobs", &job).await.ok(201)["delivery"]["mode"], "none");
}

#[tokio::test]
async fn channels_are_listed_and_tried_out_and_a_result_is_sent_once_more_to_a_place() {
    let receiver = Receiver::start(200).await;
    let gateway = gateway(&channel(&receiver, "to: 'team'")).await;
    let listed = gateway.get("/api/v1/channels").await.ok(200).clone();
    let account = &listed["accounts"][0];
    assert_eq!(
        (&account["channel"], &account["accountId"], &account["isDefault"]),
        (&json!("webhook"), &json!("default"), &json!(true))
    );
    assert!(!listed.to_string().contains("s3cret"), "{listed}");
    let tested = gateway.post("/api/v1/channels/test", &json!({ "channel": "webhook", "to": "me" })).await;
    assert_eq!(tested.ok(200)["ok"], true);
    receiver.answer(403);
    let tested = gateway.post("/api/v1/channels/test", &json!({ "to": "webhook:me" })).await;
    assert_eq!(tested.ok(200)["ok"], false);
    gateway.post("/api/v1/channels/test", &json!({ "channel": "slack" })).await.refused(422, "no_route");
    gateway.post("/api/v1/channels/test", &json!({ "chanel": "slack" })).await.refused(422, "invalid_place");
    receiver.answer(200);
    let job = gateway.job(&announced("Once more.", json!({}))).await;
    let run = gateway.run_to_the_end(&job).await;
    let before = receiver.requests().len();
    let path = format!("/api/v1/runs/{}/replay", run["runId"].as_str().unwrap());
    gateway.post(&path, &json!({ "to": "webhook:elsewhere" })).await.ok(202);
    let begun = std::time::Instant::now();
    while receiver.requests().len() == before {
        assert!(begun.elapsed().as_secs() < 60, "it is sent");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
