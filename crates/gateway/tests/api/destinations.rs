//! Destinations: added, edited, halted, tried out, declared, and what depends on them.

use serde_json::{Value, json};

use crate::harness::{Answer, TestGateway, echo, start_in};
use crate::receiver::{LOCAL, Receiver};

pub(crate) const DESTINATIONS: &str = "/api/v1/destinations";

pub(crate) fn path(handle: &str) -> String {
    format!("{DESTINATIONS}/{handle}")
}

/// The definition of a destination that nothing is sent to in these tests.
fn quiet(name: &str) -> Value {
    json!({ "name": name, "url": "https://example.com/hook?token=s3cret" })
}

/// A job whose result goes to these receivers.
pub(crate) fn job_to(targets: &Value) -> Value {
    let mut job = echo("hello");
    job["delivery"] = json!({ "mode": "webhook", "targets": targets });
    job
}

pub(crate) async fn added(gateway: &TestGateway, definition: &Value) -> Value {
    gateway.post(DESTINATIONS, definition).await.ok(201).clone()
}

/// Reads until the answer is as it is waited for.
pub(crate) async fn until(gateway: &TestGateway, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let answer = gateway.get(path).await.ok(200).clone();
        if is_so(&answer) {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_destination_is_added_and_read_by_its_name_and_by_its_handle() {
    let gateway = TestGateway::start("{}").await;
    let mut definition = quiet("ops");
    definition["limits"] = json!({ "maxConcurrent": 2, "perSecond": 0.5, "timeout": "5s" });
    definition["order"] = json!("job");
    let made = added(&gateway, &definition).await;
    assert_eq!(
        (&made["name"], &made["target"], &made["implicit"]),
        (&json!("ops"), &json!("ops"), &json!(false))
    );
    assert_eq!(made["url"], "https://example.com/hook?token=***");
    assert_eq!(made["definition"]["limits"], definition["limits"]);
    assert_eq!((&made["standing"], &made["revision"]), (&json!({ "state": "active" }), &json!(1)));
    assert_eq!(made["queue"], json!({ "pending": 0, "waiting": 0, "leased": 0, "blocked": 0 }));
    assert_eq!((&made["jobs"], &made["heads"], made.get("declaredIn")), (&json!([]), &json!([]), None));
    for handle in ["ops", made["id"].as_str().unwrap()] {
        assert_eq!(gateway.get(&path(handle)).await.ok(200), &made);
    }
    let list = gateway.get(DESTINATIONS).await.ok(200).clone();
    assert_eq!((&list["total"], &list["destinations"][0]["name"]), (&json!(1), &json!("ops")));
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_destination_is_refused_with_the_field_and_what_to_do() {
    let gateway = TestGateway::start("{}").await;
    added(&gateway, &quiet("ops")).await;
    let with = |name: &str, key: &str, value: Value| {
        let mut definition = quiet(name);
        definition[key] = value;
        definition
    };
    for (given, status, code, field) in [
        (json!({}), 422, "invalid_destination", Some("name")),
        (json!({ "name": "Ops!", "url": "https://example.com" }), 422, "invalid_destination", Some("name")),
        (with("a", "name", json!(7)), 422, "invalid_destination", Some("name")),
        (json!({ "name": "a" }), 422, "invalid_destination", Some("url")),
        (with("a", "url", json!("ftp://example.com/")), 422, "invalid_destination", Some("url")),
        (with("a", "url", json!("http://10.0.0.1/")), 422, "webhook_refused", Some("url")),
        (with("a", "url", json!("https://example.com/?token=***")), 422, "invalid_destination", Some("url")),
        (with("a", "sendEmtpy", json!(true)), 422, "unknown_field", Some("sendEmtpy")),
        (with("a", "order", json!("fifo")), 422, "invalid_destination", Some("order")),
        (
            with("a", "limits", json!({ "perSecond": 0 })),
            422,
            "invalid_destination",
            Some("limits.perSecond"),
        ),
        (with("a", "limits", json!({ "timeout": "1h" })), 422, "invalid_destination", Some("limits.timeout")),
        (quiet("ops"), 409, "name_taken", None),
    ] {
        let answer = gateway.post(DESTINATIONS, &given).await;
        let error = answer.refused(status, code);
        assert_eq!(error["field"].as_str(), field, "{answer:?}");
        assert!(!answer.body.to_string().contains("s3cret"), "{answer:?}");
    }
    let near = gateway.post(DESTINATIONS, &with("a", "sendEmtpy", json!(true))).await;
    assert_eq!(near.body["error"]["hint"], "did you mean `sendEmpty`?");
    assert_eq!(gateway.get(DESTINATIONS).await.ok(200)["total"], 1);
    gateway.stop().await;
}

#[tokio::test]
async fn what_names_no_destination_is_not_found_by_any_verb() {
    let gateway = TestGateway::start("{}").await;
    for handle in ["nope", "dst_99", "dst_x", "No%20pe", "dst_-1"] {
        let path = path(handle);
        let answers: [Answer; 6] = [
            gateway.get(&path).await,
            gateway.patch(&path, &json!({ "order": "job" })).await,
            gateway.delete(&path).await,
            gateway.post(&format!("{path}/pause"), &json!({})).await,
            gateway.post(&format!("{path}/resume"), &json!({})).await,
            gateway.post(&format!("{path}/test"), &json!({})).await,
        ];
        for answer in answers {
            assert!(answer.refused(404, "not_found")["hint"].as_str().unwrap().contains("destinations list"));
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_edit_keeps_what_is_left_out_clears_with_null_and_keeps_what_is_masked() {
    let gateway = TestGateway::start("{}").await;
    let mut definition = quiet("ops");
    definition["limits"] = json!({ "maxConcurrent": 2, "perSecond": 0.5 });
    let made = added(&gateway, &definition).await;
    let edit = async |patch: Value| gateway.patch(&path("ops"), &patch).await;

    let edited =
        edit(json!({ "limits": { "perSecond": null, "timeout": "5s" }, "order": "destination" })).await;
    let edited = edited.ok(200);
    assert_eq!(edited["definition"]["limits"], json!({ "maxConcurrent": 2, "timeout": "5s" }));
    assert_eq!((&edited["definition"]["order"], &edited["revision"]), (&json!("destination"), &json!(2)));
    assert_eq!(edited["id"], made["id"]);

    // Written back as it was read, name and all, it is what it was: the token is still there.
    let mut as_read = edited["definition"].clone();
    as_read["name"] = json!("ops");
    assert_eq!(edit(as_read).await.ok(200)["definition"], edited["definition"]);
    let elsewhere = edit(json!({ "url": "https://example.org/hook?token=***" })).await;
    assert_eq!(elsewhere.refused(422, "invalid_destination")["field"], "url");

    let cleared = edit(json!({ "limits": null, "order": null })).await;
    assert_eq!(cleared.ok(200)["definition"], json!({ "url": "https://example.com/hook?token=***" }));
    let subscriptions = json!([{ "events": ["run.missed"] }]);
    let subscribed = edit(json!({ "subscriptions": subscriptions })).await;
    assert_eq!(subscribed.ok(200)["definition"]["subscriptions"], subscriptions);
    edit(json!({ "name": "other" })).await.refused(422, "invalid_destination");
    edit(json!({ "url": null })).await.refused(422, "invalid_destination");
    edit(json!({ "urk": "x" })).await.refused(422, "unknown_field");
    gateway.stop().await;
}

#[tokio::test]
async fn an_edit_based_on_an_older_reading_changes_nothing() {
    let gateway = TestGateway::start("{}").await;
    added(&gateway, &quiet("ops")).await;
    let from_first = format!("{}?expectedRevision=1", path("ops"));
    gateway.patch(&from_first, &json!({ "order": "job" })).await.ok(200);
    let second = gateway.patch(&from_first, &json!({ "order": "destination" })).await;
    let error = second.refused(409, "destination_changed");
    assert!(error["message"].as_str().unwrap().contains("its revision is 2, not 1"), "{error}");
    assert_eq!(gateway.get(&path("ops")).await.body["definition"]["order"], "job");
    gateway.stop().await;
}

#[tokio::test]
async fn a_destination_that_a_job_names_or_something_waits_for_is_not_removed() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    added(&gateway, &json!({ "name": "ops", "url": receiver.url })).await;
    gateway.post(&format!("{}/pause", path("ops")), &json!({})).await.ok(200);
    let job = gateway.job(&job_to(&json!([{ "destination": "ops" }]))).await;
    let named = gateway.delete(&path("ops")).await;
    let error = named.refused(409, "in_use");
    assert!(error["message"].as_str().unwrap().contains(&format!("the job {job} names it")), "{error}");

    let asked = gateway.post(&format!("/api/v1/jobs/{job}/run"), &json!({})).await;
    let run = asked.ok(202)["runId"].as_str().unwrap().to_owned();
    until(&gateway, &path("ops"), |ops| ops["queue"]["pending"] == 1).await;
    gateway.delete(&format!("/api/v1/jobs/{job}")).await.ok(200);
    let waited_for = gateway.delete(&path("ops")).await;
    let error = waited_for.refused(409, "in_use");
    assert!(error["message"].as_str().unwrap().contains("1 delivery waits for it"), "{error}");

    gateway.post(&format!("{}/resume", path("ops")), &json!({})).await.ok(200);
    let entry = gateway.get(&format!("/api/v1/runs/{run}?waitSeconds=60")).await;
    assert_eq!(entry.ok(200)["completionStatus"], "succeeded");
    assert_eq!(gateway.delete(&path("ops")).await.ok(200), &json!({ "ok": true, "removed": true }));
    gateway.get(&path("ops")).await.refused(404, "not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn i04_what_waits_for_a_paused_destination_is_kept_and_goes_when_it_is_resumed() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    added(&gateway, &json!({ "name": "ops", "url": receiver.url })).await;
    let job = gateway.job(&job_to(&json!([{ "destination": "ops" }]))).await;
    assert_eq!(gateway.get(&path("ops")).await.ok(200)["jobs"], json!([job]));

    let paused = gateway.post(&format!("{}/pause", path("ops")), &json!({ "reason": "moving house" })).await;
    let standing = &paused.ok(200)["standing"];
    assert_eq!(
        (&standing["state"], &standing["reason"], &standing["detail"]),
        (&json!("paused"), &json!("by_hand"), &json!("moving house"))
    );
    assert!(standing["sinceMs"].is_i64());
    let asked = gateway.post(&format!("/api/v1/jobs/{job}/run"), &json!({})).await;
    let run = format!("/api/v1/runs/{}", asked.ok(202)["runId"].as_str().unwrap());
    let entry = until(&gateway, &run, |entry| entry["state"] == "finished").await;
    assert_eq!((&entry["status"], &entry["deliveries"][0]["state"]), (&json!("ok"), &json!("pending")));
    let held = gateway.get(&path("ops")).await.ok(200).clone();
    assert_eq!(held["queue"]["pending"], 1);
    assert!(held["queue"]["nextAtMs"].is_i64());

    // The gateway is ready for its work, and the operator is told what waits for a hand.
    gateway.get("/readyz").await.ok(200);
    let status = gateway.get("/api/v1/status").await.ok(200).clone();
    assert_eq!((&status["healthy"], &status["deliveries"]["halted"]), (&json!(true), &json!(1)));
    let warning = status["warnings"][0].as_str().unwrap();
    assert!(warning.contains("`ops` is paused (moving house), and 1 delivery waits for it"), "{warning}");
    let halted = gateway.get(&format!("{DESTINATIONS}?halted=true")).await;
    assert_eq!(halted.ok(200)["destinations"][0]["name"], "ops");
    assert_eq!(receiver.requests().len(), 0);

    let resumed = gateway.post(&format!("{}/resume", path("ops")), &json!({})).await;
    assert_eq!(resumed.ok(200)["standing"], json!({ "state": "active" }));
    let entry = gateway.get(&format!("{run}?waitSeconds=60")).await;
    assert_eq!(entry.ok(200)["completionStatus"], "succeeded");
    assert_eq!(receiver.requests().len(), 1);
    let status = gateway.get("/api/v1/status").await.ok(200).clone();
    assert_eq!((&status["warnings"], &status["deliveries"]["halted"]), (&json!([]), &json!(0)));
    gateway.stop().await;
}

#[tokio::test]
async fn a_pause_takes_a_reason_or_nothing_at_all() {
    let gateway = TestGateway::start("{}").await;
    added(&gateway, &quiet("ops")).await;
    let pause = format!("{}/pause", path("ops"));
    let silent = gateway.send(http::Method::POST, &pause, "").await;
    assert_eq!(silent.ok(200)["standing"]["detail"], "paused by hand");
    let again = gateway.post(&pause, &json!({ "reason": "other" })).await;
    assert_eq!(again.ok(200)["standing"]["detail"], "other");
    gateway.post(&pause, &json!({ "reason": "x".repeat(501) })).await.refused(422, "invalid_destination");
    gateway.post(&pause, &json!({ "reason": 7 })).await.refused(422, "invalid_destination");
    gateway.post(&pause, &json!({ "raeson": "x" })).await.refused(422, "unknown_field");
    gateway.stop().await;
}

#[tokio::test]
async fn a_test_event_is_sent_signed_and_marked_and_its_attempt_is_told() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    added(&gateway, &json!({ "name": "ops", "url": receiver.url })).await;
    let test = format!("{}/test", path("ops"));
    let tested = gateway.post(&test, &json!({})).await.ok(200).clone();
    assert_eq!((&tested["delivered"], &tested["target"]), (&json!(true), &json!("ops")));
    let attempt = &tested["attempt"];
    assert_eq!((&attempt["class"], &attempt["status"]), (&json!("delivered"), &json!(200)));
    assert_eq!(attempt["responseBody"], "I did.");
    assert!(attempt["requestHeaders"].to_string().contains("webhook-id"), "{attempt}");
    assert!(attempt["timings"]["totalUs"].is_u64(), "{attempt}");

    let [request] = receiver.requests().try_into().unwrap();
    assert_eq!(tested["eventId"], request.headers["webhook-id"]);
    assert!(request.headers["webhook-signature"].starts_with("v1,"), "{request:?}");
    assert_eq!((&request.event["jobName"], &request.event["test"]), (&json!("clawhook-test"), &json!(true)));
    assert_eq!(
        (&request.event["action"], &request.event["eventId"]),
        (&json!("finished"), &tested["eventId"])
    );

    // It is tried while it is halted, and what is refused is told and counts for nothing.
    gateway.post(&format!("{}/pause", path("ops")), &json!({})).await.ok(200);
    receiver.answer(503);
    let refused = gateway.post(&test, &json!({})).await.ok(200).clone();
    assert_eq!((&refused["delivered"], &refused["attempt"]["status"]), (&json!(false), &json!(503)));
    assert!(!refused.to_string().contains("s3cret"), "{refused}");
    let ops = gateway.get(&path("ops")).await.ok(200).clone();
    assert_eq!((&ops["standing"]["detail"], ops.get("failingSinceMs")), (&json!("paused by hand"), None));
    assert_eq!(gateway.get("/api/v1/deliveries").await.ok(200)["total"], 0);
    gateway.stop().await;
}

#[tokio::test]
async fn i07_a_job_with_two_receivers_of_which_one_fails_is_not_green() {
    let gateway = TestGateway::start(LOCAL).await;
    let (good, bad) = (Receiver::start(200).await, Receiver::start(500).await);
    added(&gateway, &json!({ "name": "bad", "url": bad.url })).await;
    let job = gateway.job(&job_to(&json!([{ "to": good.url }, { "destination": "bad" }]))).await;
    let entry = gateway.run_to_the_end(&job).await;
    assert_eq!((&entry["status"], &entry["completionStatus"]), (&json!("ok"), &json!("failed")));
    // One that is dead decides, whenever the other arrives.
    let run = format!("/api/v1/runs/{}", entry["runId"].as_str().unwrap());
    let states = |entry: &Value| json!([entry["deliveries"][0]["state"], entry["deliveries"][1]["state"]]);
    until(&gateway, &run, |entry| states(entry) == json!(["delivered", "dead"])).await;
    let shown = gateway.get(&format!("/api/v1/jobs/{job}")).await.ok(200).clone();
    assert_eq!(shown["status"], "ok (not delivered)");
    assert_eq!((good.requests().len(), bad.requests().len()), (1, 1));

    // A delivery names its destination; the URL's own came about by itself and can be looked at, but not edited.
    let bad_one = gateway.get("/api/v1/deliveries?state=dead").await.ok(200)["deliveries"][0].clone();
    assert_eq!(bad_one["target"], "bad");
    assert_eq!(gateway.get(&path("bad")).await.ok(200)["id"], bad_one["destinationId"]);
    let all = gateway.get(&format!("{DESTINATIONS}?implicit=true")).await.ok(200).clone();
    assert_eq!(all["total"], 2);
    let implicit = &all["destinations"][1];
    assert_eq!((&implicit["implicit"], implicit.get("name")), (&json!(true), None));
    assert!(!all.to_string().contains("s3cret"), "{all}");
    let handle = path(implicit["id"].as_str().unwrap());
    gateway.patch(&handle, &json!({ "order": "job" })).await.refused(409, "implicit_destination");
    gateway.delete(&handle).await.refused(409, "implicit_destination");
    assert_eq!(
        gateway.post(&format!("{handle}/pause"), &json!({})).await.ok(200)["standing"]["state"],
        "paused"
    );
    assert_eq!(gateway.post(&format!("{handle}/test"), &json!({})).await.ok(200)["delivered"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn the_delivery_that_holds_an_order_up_is_shown() {
    let gateway = TestGateway::start(LOCAL).await;
    let receiver = Receiver::start(200).await;
    added(&gateway, &json!({ "name": "ops", "url": receiver.url, "order": "destination" })).await;
    gateway.post(&format!("{}/pause", path("ops")), &json!({})).await.ok(200);
    for _ in 0..2 {
        let job = gateway.job(&job_to(&json!([{ "destination": "ops" }]))).await;
        gateway.post(&format!("/api/v1/jobs/{job}/run"), &json!({})).await.ok(202);
    }
    let ops = until(&gateway, &path("ops"), |ops| ops["queue"]["pending"] == 2).await;
    assert_eq!(ops["queue"]["blocked"], 1);
    assert_eq!((&ops["heads"][0]["state"], &ops["heads"][0]["behind"]), (&json!("pending"), &json!(1)));
    gateway.stop().await;
}

/// Starts a gateway again with another configuration.
async fn again(state_dir: tempfile::TempDir, config: &str) -> TestGateway {
    let gateway = start_in(state_dir.path(), config).await.unwrap();
    TestGateway::run(gateway, state_dir)
}

fn declaring(name: &str, definition: &str) -> String {
    format!("{{ delivery: {{ destinations: {{ {name}: {definition} }} }} }}")
}

#[tokio::test]
async fn a_declared_destination_is_there_when_the_gateway_starts_and_is_changed_in_its_file_alone() {
    let first = declaring("ops", "{ url: 'https://example.com/a' }");
    let gateway = TestGateway::start(&first).await;
    let declared = gateway.get(&path("ops")).await.ok(200).clone();
    let file = std::env::current_dir().unwrap().join("clawhook.json5").display().to_string();
    assert_eq!((&declared["declaredIn"], &declared["revision"]), (&json!(file), &json!(1)));
    for refused in
        [gateway.patch(&path("ops"), &json!({ "order": "job" })).await, gateway.delete(&path("ops")).await]
    {
        let error = refused.refused(409, "declared_destination");
        assert!(error["message"].as_str().unwrap().contains(&file), "{error}");
    }
    gateway.post(&format!("{}/pause", path("ops")), &json!({})).await.ok(200);

    let gateway = again(gateway.stop().await, &first).await;
    assert_eq!(gateway.get(&path("ops")).await.ok(200)["revision"], 1, "nothing has changed");
    let changed = declaring("ops", "{ url: 'https://example.com/b', order: 'job' }");
    let gateway = again(gateway.stop().await, &changed).await;
    let ops = gateway.get(&path("ops")).await.ok(200).clone();
    assert_eq!((&ops["url"], &ops["revision"]), (&json!("https://example.com/b"), &json!(2)));
    assert_eq!((&ops["id"], &ops["standing"]["state"]), (&declared["id"], &json!("paused")), "still itself");

    let gateway = again(gateway.stop().await, "{}").await;
    gateway.get(&path("ops")).await.refused(404, "not_found");
    assert_eq!(gateway.get("/api/v1/status").await.ok(200)["warnings"], json!([]));
    gateway.stop().await;
}

#[tokio::test]
async fn a_declaration_takes_over_a_destination_that_was_added_by_hand() {
    let gateway = TestGateway::start("{}").await;
    let by_hand = added(&gateway, &quiet("ops")).await;
    let config = declaring("ops", "{ url: 'https://example.com/hook?token=s3cret' }");
    let gateway = again(gateway.stop().await, &config).await;
    let declared = gateway.get(&path("ops")).await.ok(200).clone();
    assert_eq!(declared["id"], by_hand["id"]);
    assert!(declared["declaredIn"].is_string());
    gateway.delete(&path("ops")).await.refused(409, "declared_destination");
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_declared_no_more_is_kept_while_something_depends_on_it_and_the_operator_is_told() {
    let gateway = TestGateway::start(&declaring("ops", "{ url: 'https://example.com/' }")).await;
    let mut job = job_to(&json!([{ "destination": "ops" }]));
    job["enabled"] = json!(false);
    let job = gateway.job(&job).await;
    let gateway = again(gateway.stop().await, "{}").await;
    assert_eq!(gateway.get(&path("ops")).await.ok(200)["jobs"], json!([job]));
    let status = gateway.get("/api/v1/status").await.ok(200).clone();
    let warning = status["warnings"][0].as_str().unwrap();
    assert!(warning.contains("`ops`") && warning.contains(&format!("the job {job} names it")), "{warning}");
    gateway.patch(&path("ops"), &json!({ "order": "job" })).await.refused(409, "declared_destination");
    gateway.delete(&path("ops")).await.refused(409, "in_use");

    gateway.delete(&format!("/api/v1/jobs/{job}")).await.ok(200);
    let status = gateway.get("/api/v1/status").await.ok(200).clone();
    assert!(status["warnings"][0].as_str().unwrap().contains("started again"), "{status}");
    gateway.delete(&path("ops")).await.ok(200);
    assert_eq!(gateway.get("/api/v1/status").await.ok(200)["warnings"], json!([]));
    gateway.stop().await;
}
