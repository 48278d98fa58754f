//! Sending once more through the API: one delivery, a run, a range; and ending what waits.

use serde_json::{Value, json};

use crate::counting_receiver::Receiver;
use crate::harness::{TestGateway, echo};

/// What gives up at the first refusal, and may call this machine.
const GIVES_UP: &str = r#"{
    cron: { webhookSsrfPolicy: { allowedHostnames: ["127.0.0.1"] } },
    delivery: { retrySchedule: [] },
}"#;

/// A job whose result goes to `url`.
fn job_to(url: &str) -> Value {
    let mut job = echo("result");
    job["delivery"] = json!({ "mode": "webhook", "to": url });
    job
}

/// The delivery once it is in `state`.
async fn delivery_in(gateway: &TestGateway, id: &str, state: &str) -> Value {
    loop {
        let detail = gateway.get(&format!("/api/v1/deliveries/{id}")).await.ok(200).clone();
        if detail["state"] == state {
            return detail;
        }
        tokio::task::yield_now().await;
    }
}

async fn replay_over(gateway: &TestGateway, id: &str) -> Value {
    loop {
        let detail = gateway.get(&format!("/api/v1/replays/{id}")).await.ok(200).clone();
        if detail["state"] != "running" && detail["outcomes"]["open"] == 0 {
            return detail;
        }
        tokio::task::yield_now().await;
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_dead_delivery_is_replayed_to_its_own_destination_and_its_run_is_green() {
    let receiver = Receiver::answering(404);
    let gateway = TestGateway::start(GIVES_UP).await;
    let job = gateway.job(&job_to(&receiver.url("/hook?token=s3cret"))).await;
    let entry = gateway.run_to_the_end(&job).await;
    assert_eq!(entry["completionStatus"], "failed");
    let id = text(&entry["deliveries"][0]["id"]).to_owned();
    let dead = delivery_in(&gateway, &id, "dead").await;
    assert_eq!((&dead["cause"], &dead["required"]), (&json!("receiver"), &json!(true)));
    let status = gateway.get("/api/v1/status").await.ok(200)["deliveries"].clone();
    assert_eq!(status["deadByCause"], json!({ "receiver": 1, "configuration": 0, "gateway": 0 }));

    receiver.answer(200);
    let replayed = gateway.post(&format!("/api/v1/deliveries/{id}/replay"), &json!({})).await;
    assert_eq!((&replayed.ok(202)["id"], &replayed.body["added"]), (&json!(id), &json!(false)));
    let run = gateway.get(&format!("/api/v1/runs/{}?waitSeconds=60", text(&entry["runId"]))).await;
    assert_eq!(run.ok(200)["completionStatus"], "succeeded");
    let arrived = receiver.arrived(2).await;
    assert_eq!(arrived[0].webhook_id, arrived[1].webhook_id);
    assert_eq!(arrived[0].body, arrived[1].body);
    assert_eq!(delivery_in(&gateway, &id, "delivered").await.get("cause"), None);
    gateway.stop().await;
}

#[tokio::test]
async fn a_delivered_one_is_replayed_by_another_delivery_that_both_tell_of() {
    let receiver = Receiver::answering(200);
    let gateway = TestGateway::start(GIVES_UP).await;
    let job = gateway.job(&job_to(&receiver.url("/hook"))).await;
    let entry = gateway.run_to_the_end(&job).await;
    let first = text(&entry["deliveries"][0]["id"]).to_owned();
    let path = format!("/api/v1/deliveries/{first}/replay");
    // Without a body it goes where it went before.
    let again = gateway.send(http::Method::POST, &path, "").await.ok(202).clone();
    assert_eq!((&again["added"], &again["replayOf"]), (&json!(true), &json!(first)));
    delivery_in(&gateway, text(&again["id"]), "delivered").await;

    receiver.answer(404);
    let elsewhere = json!({ "to": receiver.url("/other?key=s3cret") });
    let other = gateway.post(&path, &elsewhere).await.ok(202).clone();
    let other = delivery_in(&gateway, text(&other["id"]), "dead").await;
    assert!(text(&other["target"]).ends_with("/other?key=***"), "{other}");
    let arrived = receiver.arrived(3).await;
    let paths: Vec<&str> = arrived.iter().map(|arrived| arrived.path.as_str()).collect();
    assert_eq!(paths, ["/hook", "/hook", "/other?key=s3cret"]);
    assert!(arrived.iter().all(|one| (one.attempt, &one.webhook_id) == (1, &arrived[0].webhook_id)));

    let shown = delivery_in(&gateway, &first, "delivered").await;
    assert_eq!(shown["replayedAs"], json!([again["id"], other["id"]]));
    let run = gateway.get(&format!("/api/v1/runs/{}", text(&entry["runId"]))).await.ok(200).clone();
    assert_eq!(
        (&run["completionStatus"], &run["deliveryStatus"]),
        (&json!("succeeded"), &json!("delivered"))
    );
    assert_eq!(run["deliveries"].as_array().unwrap().len(), 3);
    assert_eq!(
        (&run["deliveries"][2]["required"], &run["deliveries"][2]["state"]),
        (&json!(false), &json!("dead"))
    );
    gateway.stop().await;
}

#[tokio::test]
async fn i08_a_run_is_redelivered_without_being_run_again() {
    let receiver = Receiver::answering(200);
    let gateway = TestGateway::start(GIVES_UP).await;
    let job = gateway.job(&job_to(&receiver.url("/hook"))).await;
    let entry = gateway.run_to_the_end(&job).await;
    let path = format!("/api/v1/runs/{}/replay", text(&entry["runId"]));
    // The job may be gone; its results are there.
    gateway.delete(&format!("/api/v1/jobs/{job}")).await.ok(200);
    let again = gateway.post(&path, &json!({})).await.ok(202).clone();
    assert_eq!((again["deliveries"].as_array().unwrap().len(), &again["refused"]), (1, &json!([])));
    gateway.post(&path, &json!({ "to": receiver.url("/late") })).await.ok(202);
    let mut arrived = receiver.arrived(3).await;
    arrived.sort_by(|one, other| one.path.cmp(&other.path));
    let paths: Vec<&str> = arrived.iter().map(|arrived| arrived.path.as_str()).collect();
    assert_eq!(paths, ["/hook", "/hook", "/late"]);
    assert_eq!(gateway.get("/api/v1/runs").await.ok(200)["total"], 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_range_is_counted_then_replayed_and_its_progress_and_outcomes_can_be_read() {
    let receiver = Receiver::answering(404);
    let gateway = TestGateway::start(GIVES_UP).await;
    let job = gateway.job(&job_to(&receiver.url("/hook"))).await;
    let other = gateway.job(&job_to(&receiver.url("/other"))).await;
    for id in [&job, &job, &job, &other] {
        gateway.run_to_the_end(id).await;
    }
    receiver.answer(200);
    let request =
        json!({ "filter": { "jobId": job, "states": ["dead"], "causes": ["receiver"] }, "dryRun": true });
    let counted = gateway.post("/api/v1/replays", &request).await;
    assert_eq!(counted.ok(200), &json!({ "matched": 3 }));
    assert_eq!(gateway.get("/api/v1/replays").await.ok(200)["total"], 0);

    let mut request = request;
    request["dryRun"] = json!(false);
    request["perSecond"] = json!(1000);
    let begun = gateway.post("/api/v1/replays", &request).await.ok(202).clone();
    assert_eq!((&begun["matched"], &begun["state"]), (&json!(3), &json!("running")));
    assert_eq!(begun["filter"], json!({ "jobId": job, "states": ["dead"], "causes": ["receiver"] }));
    let over = replay_over(&gateway, text(&begun["id"])).await;
    assert_eq!((&over["state"], &over["done"], &over["skipped"]), (&json!("done"), &json!(3), &json!(0)));
    assert_eq!(over["outcomes"], json!({ "open": 0, "delivered": 3, "dead": 0, "cancelled": 0 }));
    let arrived = receiver.arrived(7).await;
    assert!(arrived[4..].iter().all(|arrived| (arrived.path.as_str(), arrived.attempt) == ("/hook", 2)));
    let left = gateway.get("/api/v1/deliveries?state=dead").await.ok(200).clone();
    assert_eq!((&left["total"], &left["deliveries"][0]["jobId"]), (&json!(1), &json!(other)));

    let path = format!("/api/v1/replays/{}/cancel", text(&begun["id"]));
    gateway.post(&path, &json!({})).await.refused(409, "replay_over");
    let done = gateway.get("/api/v1/replays?state=done").await.ok(200).clone();
    assert_eq!(done["replays"][0]["id"], begun["id"]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_replay_that_is_cancelled_stops() {
    let receiver = Receiver::answering(404);
    let gateway = TestGateway::start(GIVES_UP).await;
    let job = gateway.job(&job_to(&receiver.url("/hook"))).await;
    for _ in 0..2 {
        gateway.run_to_the_end(&job).await;
    }
    let request = json!({ "filter": {}, "to": receiver.url("/slow"), "perSecond": 0.001 });
    let begun = gateway.post("/api/v1/replays", &request).await.ok(202).clone();
    receiver.arrived(3).await;
    assert_eq!(gateway.get("/api/v1/status").await.ok(200)["replays"]["running"], 1);
    let path = format!("/api/v1/replays/{}", text(&begun["id"]));
    let ended = gateway.post(&format!("{path}/cancel"), &json!({})).await.ok(200).clone();
    assert_eq!((&ended["state"], &ended["done"]), (&json!("cancelled"), &json!(1)));
    assert_eq!(ended["reason"], "cancelled by hand");
    gateway.stop().await;
}

#[tokio::test]
async fn what_waits_can_be_cancelled_and_what_does_not_says_why() {
    let config = GIVES_UP.replace("[]", r#"["1h"]"#);
    let receiver = Receiver::answering(500);
    let gateway = TestGateway::start(&config).await;
    let job = gateway.job(&job_to(&receiver.url("/hook"))).await;
    let asked = gateway.post(&format!("/api/v1/jobs/{job}/run"), &json!({})).await;
    let run = text(&asked.ok(202)["runId"]).to_owned();
    receiver.arrived(1).await;
    let list = gateway.get(&format!("/api/v1/deliveries?runId={run}")).await.ok(200).clone();
    let id = text(&list["deliveries"][0]["id"]).to_owned();
    delivery_in(&gateway, &id, "waiting").await;
    gateway.post(&format!("/api/v1/deliveries/{id}/replay"), &json!({})).await.refused(409, "under_way");
    let path = format!("/api/v1/deliveries/{id}/cancel");
    let cancelled = gateway.post(&path, &json!({})).await.ok(200).clone();
    assert_eq!(
        (&cancelled["state"], &cancelled["reason"]),
        (&json!("cancelled"), &json!("cancelled by hand"))
    );
    let again = gateway.post(&path, &json!({})).await;
    assert!(text(&again.refused(409, "settled")["message"]).contains("cancelled already"));
    let entry = gateway.get(&format!("/api/v1/runs/{run}?waitSeconds=60")).await.ok(200).clone();
    assert_eq!(entry["completionStatus"], "failed");
    gateway.stop().await;
}

#[tokio::test]
async fn deliveries_are_listed_by_destination_cause_and_time() {
    let receiver = Receiver::answering(404);
    let gateway = TestGateway::start(GIVES_UP).await;
    let url = receiver.url("/one?token=s3cret");
    let job = gateway.job(&job_to(&url)).await;
    let entry = gateway.run_to_the_end(&job).await;
    gateway.run_to_the_end(&gateway.job(&job_to(&receiver.url("/two"))).await).await;
    let id = text(&entry["deliveries"][0]["id"]);
    let shown = gateway.get(&format!("/api/v1/deliveries/{id}")).await.ok(200).clone();
    let (handle, made) = (text(&shown["destinationId"]), shown["createdAtMs"].as_i64().unwrap());
    let encoded: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    for (query, total) in [
        (format!("destination={handle}"), 1),
        (format!("destination={encoded}"), 1),
        ("cause=receiver".to_owned(), 2),
        ("cause=gateway,configuration".to_owned(), 0),
        (format!("sinceMs={made}&untilMs={}", made + 1), 1),
        (format!("untilMs={made}"), 0),
    ] {
        let page = gateway.get(&format!("/api/v1/deliveries?{query}")).await;
        assert_eq!(page.ok(200)["total"], total, "{query}");
    }
    gateway.get("/api/v1/deliveries?destination=nobody").await.refused(404, "unknown_destination");
    gateway.get("/api/v1/deliveries?destination=No%20Name").await.refused(400, "invalid_query");
    gateway.get("/api/v1/deliveries?cause=weather").await.refused(400, "invalid_query");
    gateway.stop().await;
}

#[tokio::test]
async fn a_replay_that_could_not_work_is_refused_with_what_to_do() {
    let gateway = TestGateway::start("{}").await;
    let cases = [
        (json!({}), 422, "invalid_replay", "`filter` is required"),
        (json!({ "filter": { "stats": [] } }), 422, "unknown_field", "filter.stats"),
        (json!({ "filter": { "states": ["pending"] } }), 422, "invalid_replay", "pending"),
        (json!({ "filter": {}, "perSecond": -1 }), 422, "invalid_replay", "perSecond"),
        (json!({ "filter": {}, "to": "nobody" }), 404, "unknown_destination", "nobody"),
        (json!({ "filter": {}, "to": "dst_99" }), 404, "unknown_destination", "dst_99"),
        (json!({ "filter": { "destination": "nobody" } }), 404, "unknown_destination", "nobody"),
        (json!({ "filter": {}, "to": "https://10.0.0.7/?key=s3cret" }), 422, "webhook_refused", "10.0.0.7"),
    ];
    for (request, status, code, said) in cases {
        let refused = gateway.post("/api/v1/replays", &request).await;
        let error = refused.refused(status, code).to_string();
        assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
    }
    let mut silent = echo("NO_REPLY");
    silent["delivery"] = json!({ "mode": "webhook", "to": "https://example.com/" });
    let entry = gateway.run_to_the_end(&gateway.job(&silent).await).await;
    let path = format!("/api/v1/deliveries/{}/replay", text(&entry["deliveries"][0]["id"]));
    gateway.post(&path, &json!({ "to": "https://example.com/other" })).await.refused(409, "suppressed");
    let quiet = gateway.run_to_the_end(&gateway.job(&echo("x")).await).await;
    let path = format!("/api/v1/runs/{}/replay", text(&quiet["runId"]));
    gateway.post(&path, &json!({})).await.refused(409, "nothing_to_send");
    gateway.post(&path, &json!({ "too": "ops" })).await.refused(422, "unknown_field");
    gateway.stop().await;
}
