//! Alerts and acknowledgements through a running gateway: from a failing command to the second route and the recovery, and
//! from a delivery to the link in somebody's hand.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, TestGateway, echo};
use crate::receiver::Receiver;

/// A configuration that tells of trouble at two places, gives up at the first refusal, and may call this machine.
fn config(first: &Receiver, second: &Receiver, more: &str) -> String {
    let (first, second) = (&first.url, &second.url);
    format!(
        r#"{{
            cron: {{
                webhookSsrfPolicy: {{ allowedHostnames: ["127.0.0.1"] }},
                failureAlert: {{ after: 1, to: "{first}", fallback: ["{second}"] }},
                {more}
            }},
            delivery: {{ retrySchedule: [] }},
        }}"#
    )
}

/// Looks until something is so.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1200 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("in vain: {what}");
}

async fn event(receiver: &Receiver, kind: &str) -> Value {
    let found = |request: crate::receiver::Request| (request.event["type"] == kind).then_some(request.event);
    until(kind, async || receiver.requests().into_iter().find_map(found)).await
}

async fn delivery(gateway: &TestGateway, id: &str) -> Value {
    gateway.get(&format!("/api/v1/deliveries/{id}")).await.ok(200).clone()
}

async fn open(gateway: &TestGateway, method: Method, link: &str) -> Answer {
    let path = link.strip_prefix(gateway.url.as_str()).expect("the link leads to the gateway");
    gateway.request(method, path, None, "").await
}

#[tokio::test]
async fn a_failure_is_told_at_the_second_route_where_the_first_is_down_and_so_is_the_recovery() {
    let (down, second) = (Receiver::start(500).await, Receiver::start(200).await);
    let gateway = TestGateway::start(&config(&down, &second, "")).await;
    let flag = gateway.state_dir.path().join("mended");
    let job = json!({
        "name": "shaky",
        "schedule": { "kind": "every", "everyMs": 500 },
        "payload": { "kind": "command", "argv": ["/usr/bin/test", "-e", flag] },
        "delivery": { "mode": "none" },
    });
    let job = gateway.job(&job).await;
    let alert = event(&second, "job.alert").await;
    assert_eq!(event(&down, "job.alert").await["eventId"], alert["eventId"]);
    let message = alert["message"].as_str().unwrap();
    assert!(message.starts_with("Automation \"shaky\" failed 1 times\nCause: exit\n"), "{message}");
    let path = format!("/api/v1/alerts/{}", alert["eventId"].as_str().unwrap());
    let shown = until("its outcome", async || {
        let shown = gateway.get(&path).await.ok(200).clone();
        (shown["outcome"] == "delivered").then_some(shown)
    })
    .await;
    assert_eq!((&shown["deliveries"][0]["state"], &shown["jobId"]), (&json!("dead"), &json!(job)));
    let told = gateway.get(&format!("/api/v1/jobs/{job}")).await.ok(200).clone();
    assert_eq!(told["lastFailureNotificationDeliveryStatus"], "delivered");
    std::fs::write(flag, "").unwrap();
    // To enable a job again forgives it its backoff.
    gateway.post(&format!("/api/v1/jobs/{job}/disable"), &json!({})).await.ok(200);
    gateway.post(&format!("/api/v1/jobs/{job}/enable"), &json!({})).await.ok(200);
    assert_eq!(event(&second, "job.recovered").await["jobId"], json!(job));
    gateway.stop().await;
}

#[tokio::test]
async fn a_result_is_sent_again_until_the_link_in_its_header_acknowledges_it() {
    let (unused, receiver) = (Receiver::start(200).await, Receiver::start(200).await);
    let gateway = TestGateway::start(&config(&unused, &unused, "")).await;
    let mut job = echo("wake up");
    let ask = json!({ "within": "1s", "times": 100 });
    job["delivery"] = json!({ "mode": "webhook", "to": receiver.url, "acknowledge": ask });
    let job = gateway.job(&job).await;
    let entry = gateway.run_to_the_end(&job).await;
    assert_eq!(entry["completionStatus"], "succeeded", "a result that has arrived is complete");
    let id = entry["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let asked = until("the second asking", async || {
        let asked = receiver.requests();
        (asked.len() > 1).then_some(asked)
    })
    .await;
    assert_eq!(asked[0].headers["webhook-id"], asked[1].headers["webhook-id"]);
    assert_eq!(asked[0].body, asked[1].body);
    let link = asked[0].headers["clawhook-ack-url"].clone();
    assert_ne!(link, asked[1].headers["clawhook-ack-url"], "each asking has its own link");
    let attempts = delivery(&gateway, &id).await["attempts"].to_string();
    assert!(!attempts.contains(link.split_once("token=").unwrap().1), "the record does not show the link");

    let looked = open(&gateway, Method::GET, &link).await;
    assert_eq!(looked.ok(200), &json!({ "acknowledged": false, "confirm": "POST" }));
    assert_eq!(looked.headers["cache-control"], "no-store");
    assert_eq!(delivery(&gateway, &id).await["acknowledgement"]["state"], "open", "to look changes nothing");
    let forged = format!("{}0", &link[..link.len() - 1]);
    let forged = if forged == link { format!("{}1", &link[..link.len() - 1]) } else { forged };
    for method in [Method::GET, Method::POST] {
        open(&gateway, method, &forged).await.refused(403, "bad_link");
    }
    assert_eq!(open(&gateway, Method::POST, &link).await.ok(200), &json!({ "acknowledged": true }));
    let acknowledged = delivery(&gateway, &id).await["acknowledgement"].clone();
    assert_eq!((&acknowledged["state"], &acknowledged["by"]), (&json!("acknowledged"), &json!("link")));
    assert_eq!(open(&gateway, Method::GET, &link).await.ok(200), &json!({ "acknowledged": true }));
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_with_the_token_acknowledges_and_what_does_not_ask_is_refused() {
    let (unused, receiver) = (Receiver::start(200).await, Receiver::start(200).await);
    let gateway = TestGateway::start(&config(&unused, &unused, "")).await;
    let mut job = echo("x");
    job["delivery"] = json!({ "mode": "webhook", "to": receiver.url, "acknowledge": { "within": "1h" } });
    let asking = gateway.run_to_the_end(&gateway.job(&job).await).await;
    job["delivery"] = json!({ "mode": "webhook", "to": receiver.url });
    let plain = gateway.run_to_the_end(&gateway.job(&job).await).await;
    let path =
        |entry: &Value| format!("/api/v1/deliveries/{}/ack", entry["deliveries"][0]["id"].as_str().unwrap());
    gateway.post(&path(&plain), &json!({})).await.refused(409, "not_asked");
    gateway.post(&path(&asking), &json!({ "bye": "anna" })).await.refused(422, "invalid_request");
    let done = gateway.post(&path(&asking), &json!({ "by": "anna" })).await;
    assert_eq!(done.ok(200)["acknowledgement"]["by"], "anna");
    gateway.post("/api/v1/deliveries/dlv_x/ack", &json!({})).await.refused(404, "not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn a_test_tries_every_route_and_without_one_it_is_refused() {
    let (down, second) = (Receiver::start(404).await, Receiver::start(200).await);
    let gateway = TestGateway::start(&config(&down, &second, "")).await;
    let sent = gateway.post("/api/v1/alerts/test", &json!({})).await.ok(202).clone();
    let path = format!("/api/v1/alerts/{}", sent["id"].as_str().unwrap());
    let states = until("both routes", async || {
        let shown = gateway.get(&path).await.ok(200).clone();
        let states: Vec<Value> = shown["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|delivery| delivery["state"].clone())
            .collect();
        (!states.iter().any(|state| state == "pending" || state == "leased" || state == "waiting"))
            .then_some(states)
    })
    .await;
    assert_eq!(states.iter().filter(|state| *state == "delivered").count(), 1, "{states:?}");
    assert_eq!(gateway.get("/api/v1/alerts").await.ok(200)["total"], 1);
    gateway.stop().await;
    let bare = TestGateway::start("{}").await;
    bare.post("/api/v1/alerts/test", &json!({})).await.refused(409, "no_route");
    bare.stop().await;
}

#[tokio::test]
async fn a_drill_that_nobody_acknowledges_goes_to_the_next_route_and_then_raises_an_alarm() {
    let (first, second) = (Receiver::start(200).await, Receiver::start(200).await);
    let drill = r#"alertDrill: { every: "1h", within: "1s" },"#;
    let gateway = TestGateway::start(&config(&first, &second, drill)).await;
    let sent = event(&second, "job.alert").await;
    assert_eq!((&sent["purpose"], sent.get("jobId")), (&json!("drill"), None));
    assert_eq!(first.requests().len(), 1);
    let raised = until("the alarm", async || {
        let status = gateway.get("/api/v1/status").await.ok(200).clone();
        let alarms = status["alarms"].as_array().unwrap().clone();
        alarms.into_iter().find(|alarm| alarm["alarm"] == "alert-drill")
    })
    .await;
    assert!(raised["detail"].as_str().unwrap().contains("2 routes"), "{raised}");
    // Better late than never: whoever acknowledges it ends the alarm.
    let link = second.requests()[0].headers["clawhook-ack-url"].clone();
    open(&gateway, Method::POST, &link).await.ok(200);
    until("the alarm's end", async || {
        let status = gateway.get("/api/v1/status").await.ok(200).clone();
        status["alarms"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_route_that_cannot_be_taken_is_refused_when_the_job_is_saved_and_none_at_all_is_noted() {
    let gateway = TestGateway::start("{}").await;
    let mut job = echo("x");
    job["failureAlert"] = json!({ "destination": "gone" });
    let refused = gateway.post("/api/v1/jobs", &job).await;
    assert_eq!(refused.refused(422, "unknown_destination")["field"], "failureAlert");
    job["failureAlert"] = json!({ "to": "http://10.0.0.7/" });
    assert_eq!(
        gateway.post("/api/v1/jobs", &job).await.refused(422, "webhook_refused")["field"],
        "failureAlert"
    );
    job["failureAlert"] = json!({ "after": 3 });
    let saved = gateway.post("/api/v1/jobs", &job).await;
    assert!(saved.ok(201)["notes"].to_string().contains("failureAlert has no route"), "{saved:?}");
    job["delivery"] = json!({ "mode": "webhook", "to": "https://example.com/",
        "acknowledge": { "quietHours": { "start": "22:00", "end": "07:00", "timezone": "Nowhere/Here" } } });
    let refused = gateway.post("/api/v1/jobs", &job).await;
    assert_eq!(refused.refused(422, "invalid_job")["field"], "delivery.acknowledge.quietHours.timezone");
    gateway.stop().await;
}
