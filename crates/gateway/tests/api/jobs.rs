//! Making, editing, listing and removing jobs.

use serde_json::{Value, json};

use crate::harness::{TestGateway, echo};

#[tokio::test]
async fn the_documented_job_is_taken_as_it_stands() {
    let gateway = TestGateway::with_model().await;
    let job = json!({
        "name": "Webhook Response Test",
        "schedule": { "kind": "at", "at": "2030-02-18T14:00:00.000Z" },
        "sessionTarget": "isolated",
        "payload": { "kind": "agentTurn", "message": "Analyze the latest sales data and provide a summary." },
        "delivery": { "mode": "webhook", "to": "https://example.com/openclaw/webhook" }
    });
    let made = gateway.post("/api/v1/jobs", &job).await;
    let made = made.ok(201);
    assert_eq!(made["schedule"]["at"], "2030-02-18T14:00:00.000Z");
    assert_eq!(made["upcoming"], json!(["2030-02-18T14:00:00.000Z"]));
    assert_eq!(made["notes"], json!([]));
    assert_eq!(made["deleteAfterRun"], true);
    let read = gateway.get(&format!("/api/v1/jobs/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(read.ok(200)["configRevision"], made["configRevision"]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_job_whose_result_goes_nowhere_says_so_and_shows_its_next_five_instants() {
    let gateway = TestGateway::with_model().await;
    let made = gateway.post("/api/v1/jobs", &echo("x")).await;
    assert_eq!(made.ok(201)["notes"].as_array().unwrap().len(), 1);
    assert_eq!(made.body["upcoming"].as_array().unwrap().len(), 5);
    assert_eq!(made.body["state"]["nextRunAtMs"], made.body["nextRunAtMs"]);
    gateway.stop().await;
}

#[tokio::test]
async fn an_edit_of_other_fields_leaves_the_next_instant_and_one_of_the_schedule_moves_it() {
    let gateway = TestGateway::with_model().await;
    let id = gateway.job(&echo("x")).await;
    let path = format!("/api/v1/jobs/{id}");
    let before = gateway.get(&path).await.ok(200).clone();

    let renamed = gateway.patch(&path, &json!({ "name": "other" })).await.ok(200).clone();
    assert_eq!(renamed["nextRunAtMs"], before["nextRunAtMs"]);
    assert_eq!(renamed["name"], "other");

    let schedule = json!({ "schedule": { "kind": "at", "at": "2031-01-01T00:00:00Z" } });
    let moved = gateway.patch(&path, &schedule).await.ok(200).clone();
    assert_eq!(moved["upcoming"], json!(["2031-01-01T00:00:00.000Z"]));

    let off = gateway.post(&format!("{path}/disable"), &json!({})).await.ok(200).clone();
    assert_eq!(
        (&off["enabled"], off.get("nextRunAtMs"), &off["upcoming"]),
        (&json!(false), None, &json!([]))
    );
    let on = gateway.post(&format!("{path}/enable"), &json!({})).await.ok(200).clone();
    assert_eq!(on["nextRunAtMs"], moved["nextRunAtMs"]);
    gateway.stop().await;
}

#[tokio::test]
async fn an_edit_based_on_an_older_reading_changes_nothing() {
    let gateway = TestGateway::with_model().await;
    let id = gateway.job(&echo("x")).await;
    let path = format!("/api/v1/jobs/{id}");
    let revision = gateway.get(&path).await.body["configRevision"].as_str().unwrap().to_owned();
    let with_revision = format!("{path}?expectedConfigRevision={revision}");
    gateway.patch(&with_revision, &json!({ "name": "first" })).await.ok(200);
    let second = gateway.patch(&with_revision, &json!({ "name": "second" })).await;
    second.refused(409, "job_changed");
    assert_eq!(gateway.get(&path).await.body["name"], "first");
    gateway.stop().await;
}

#[tokio::test]
async fn edits_at_the_same_time_are_all_made() {
    let gateway = TestGateway::with_model().await;
    let id = gateway.job(&echo("x")).await;
    let path = format!("/api/v1/jobs/{id}");
    let edits = [json!({ "name": "n" }), json!({ "description": "d" }), json!({ "displayName": "l" })];
    let (first, second, third) = tokio::join!(
        gateway.patch(&path, &edits[0]),
        gateway.patch(&path, &edits[1]),
        gateway.patch(&path, &edits[2]),
    );
    for answer in [first, second, third] {
        answer.ok(200);
    }
    let now = gateway.get(&path).await.body;
    assert_eq!(
        (&now["name"], &now["description"], &now["displayName"]),
        (&json!("n"), &json!("d"), &json!("l"))
    );
    gateway.stop().await;
}

#[tokio::test]
async fn lists_show_enabled_jobs_by_default_and_come_in_pages() {
    let gateway = TestGateway::with_model().await;
    for name in ["zinnia", "rose", "tulip"] {
        let mut job = echo("x");
        job["name"] = json!(name);
        job["enabled"] = json!(name != "zinnia");
        gateway.job(&job).await;
    }
    let names = |page: &Value| -> Vec<String> {
        page["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect()
    };
    let enabled = gateway.get("/api/v1/jobs?sortBy=name").await.ok(200).clone();
    assert_eq!(names(&enabled), ["rose", "tulip"]);
    let all = gateway
        .get("/api/v1/jobs?includeDisabled=true&sortBy=name&sortDir=desc&limit=2")
        .await
        .ok(200)
        .clone();
    assert_eq!(names(&all), ["zinnia", "tulip"]);
    assert_eq!((&all["total"], &all["hasMore"], &all["nextOffset"]), (&json!(3), &json!(true), &json!(2)));
    let rest = gateway
        .get("/api/v1/jobs?includeDisabled=true&sortBy=name&sortDir=desc&limit=2&offset=2")
        .await
        .ok(200)
        .clone();
    assert_eq!((names(&rest), &rest["nextOffset"]), (vec!["rose".to_owned()], &Value::Null));
    let next = all["nextCursor"].as_str().unwrap();
    let rest = gateway.get(&format!("/api/v1/jobs?includeDisabled=true&limit=2&after={next}")).await;
    let rest = rest.ok(200);
    assert_eq!(
        (names(rest), &rest["total"], &rest["hasMore"]),
        (vec!["rose".to_owned()], &json!(3), &json!(false))
    );
    assert_eq!((rest.get("offset"), &rest["nextCursor"]), (None, &Value::Null));
    let found = gateway.get("/api/v1/jobs?query=TULIP").await.ok(200).clone();
    assert_eq!(names(&found), ["tulip"]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_removed_job_is_gone_and_its_runs_can_still_be_read() {
    let gateway = TestGateway::with_model().await;
    let id = gateway.job(&echo("hello")).await;
    gateway.run_to_the_end(&id).await;
    let path = format!("/api/v1/jobs/{id}");
    assert_eq!(gateway.delete(&path).await.ok(200), &json!({ "ok": true, "removed": true }));
    let gone = gateway.get(&path).await;
    assert_eq!(gone.refused(404, "not_found")["message"], format!("Automation not found: {id}."));
    gateway.delete(&path).await.refused(404, "not_found");
    assert_eq!(gateway.get(&format!("{path}/runs")).await.ok(200)["total"], 1);
    gateway.stop().await;
}

#[tokio::test]
async fn i12_a_token_in_a_webhooks_query_is_shown_in_no_answer() {
    let gateway = TestGateway::with_model().await;
    let mut job = echo("x");
    job["delivery"] = json!({ "mode": "webhook", "to": "https://example.com/hook?token=s3cret" });
    job["payload"]["env"] = json!({ "KEY": "s3cret" });
    let made = gateway.post("/api/v1/jobs", &job).await;
    assert_eq!(made.ok(201)["delivery"]["to"], "https://example.com/hook?token=***");
    let path = format!("/api/v1/jobs/{}", made.body["id"].as_str().unwrap());
    let bad_port = json!({ "delivery": { "to": "https://example.com:22/?token=s3cret" } });
    let answers = [
        gateway.patch(&path, &json!({ "delivery": { "to": "ftp://example.com/?token=s3cret" } })).await,
        gateway.patch(&path, &bad_port).await,
        gateway.patch(&path, &json!({ "delivery": made.body["delivery"] })).await,
        gateway.get(&path).await,
        gateway.get("/api/v1/jobs").await,
        made,
    ];
    for answer in answers {
        assert!(!answer.body.to_string().contains("s3cret"), "{answer:?}");
    }
    gateway.stop().await;
}
