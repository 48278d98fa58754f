//! Webhooks as gates and as what follows runs, and hooks that are refused while somebody is looking.

use serde_json::json;

use crate::harness::{TestGateway, WITH_MODEL, echo};
use crate::receiver::{LOCAL, Receiver};

#[tokio::test]
async fn hooks_and_chains_that_could_never_work_are_refused_when_the_job_is_saved() {
    let gateway = TestGateway::start(WITH_MODEL).await;
    for (change, code) in [
        (
            json!({ "hooks": { "pre": [{ "kind": "webhook", "destination": "nowhere" }] } }),
            "unknown_destination",
        ),
        (
            json!({ "hooks": { "post": [{ "kind": "webhook", "to": "https://127.0.0.1/" }] } }),
            "webhook_refused",
        ),
        (
            json!({ "hooks": { "pre": [{ "kind": "agentTurn", "message": "x", "agentId": "nobody" }] } }),
            "unknown_agent",
        ),
        (
            json!({ "hooks": { "pre": [{ "kind": "agentTurn", "message": "x", "model": "no/such" }] } }),
            "cannot_run",
        ),
        (json!({ "after": ["nobody"] }), "unknown_upstream"),
        (json!({ "hooks": { "pre": [{ "kind": "command" }] } }), "invalid_job"),
    ] {
        let mut job = echo("x");
        for (key, value) in change.as_object().unwrap() {
            job[key] = value.clone();
        }
        gateway.post("/api/v1/jobs", &job).await.refused(422, code);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_name_that_several_jobs_have_cannot_be_waited_for_and_its_id_can() {
    let gateway = TestGateway::start(WITH_MODEL).await;
    let mut twin = echo("x");
    twin["name"] = json!("twin");
    let first = gateway.job(&twin).await;
    gateway.job(&twin).await;
    let mut job = echo("y");
    job["after"] = json!(["twin"]);
    gateway.post("/api/v1/jobs", &job).await.refused(422, "unknown_upstream");
    job["after"] = json!([first, { "job": first, "on": "failure" }]);
    gateway.post("/api/v1/jobs", &job).await.refused(422, "invalid_job");
    job["after"] = json!([first]);
    job["schedule"] = json!({ "kind": "event", "source": "job" });
    let made = gateway.post("/api/v1/jobs", &job).await;
    assert_eq!(made.ok(201)["after"], json!([{ "job": first, "on": "success" }]));
    assert_eq!(made.body["upcoming"], json!([]));
    let id = made.body["id"].as_str().unwrap();
    let itself = gateway.patch(&format!("/api/v1/jobs/{id}"), &json!({ "after": [id] })).await;
    itself.refused(422, "circle");
    gateway.delete(&format!("/api/v1/jobs/{first}")).await.refused(409, "awaited");
    gateway.stop().await;
}

#[tokio::test]
async fn a_webhook_gate_is_called_signed_and_one_that_follows_is_a_delivery_that_nobody_waits_for() {
    let (gate, told) = (Receiver::start(500).await, Receiver::start(500).await);
    let gateway = TestGateway::start(LOCAL).await;
    let mut job = echo("x");
    job["hooks"] = json!({
        "pre": [{ "name": "policy", "kind": "webhook", "to": gate.url }],
        "post": [{ "name": "log", "kind": "webhook", "to": told.url }],
    });
    let job = gateway.job(&job).await;
    let refused = gateway.run_to_the_end(&job).await;
    assert_eq!(
        (&refused["status"], &refused["errorReason"]),
        (&json!("error"), &json!("hook")),
        "{refused:#}"
    );
    assert_eq!(
        (&refused["hooks"][0]["status"], refused["hooks"].as_array().unwrap().len()),
        (&json!(500), 1)
    );
    let asked = gate.requests().remove(0);
    assert!(asked.headers.contains_key("webhook-signature"), "{asked:?}");
    assert_eq!((asked.headers["clawhook-hops"].as_str(), &asked.event["stage"]), ("0", &json!("pre")));
    assert_eq!(asked.event["job"]["hooks"]["pre"][0]["to"], gate.url.replace("s3cret", "***"));
    gate.answer(204);
    let ran = gateway.run_to_the_end(&job).await;
    assert_eq!((&ran["status"], &ran["completionStatus"]), (&json!("ok"), &json!("succeeded")), "{ran:#}");
    let path = format!("/api/v1/runs/{}", ran["runId"].as_str().unwrap());
    let read = loop {
        let read = gateway.get(&path).await.ok(200).clone();
        if read["hooks"][1]["state"] != "pending" && read["hooks"][1]["state"] != "running" {
            break read;
        }
    };
    assert_eq!((&read["hooks"][1]["name"], &read["hooks"][1]["state"]), (&json!("log"), &json!("failed")));
    assert_eq!(read["hooks"][1]["deliveryId"], read["deliveries"][0]["id"]);
    assert_eq!(
        (&read["deliveries"][0]["required"], &read["completionStatus"]),
        (&json!(false), &json!("succeeded"))
    );
    assert_eq!(told.requests()[0].event["hooks"][0]["name"], "policy");
    gateway.stop().await;
}
