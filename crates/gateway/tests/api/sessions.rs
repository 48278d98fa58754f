//! Sessions and heartbeats: looking at them, and what is refused.

use serde_json::{Value, json};

use crate::harness::{TestGateway, WITH_MODEL, echo, start_in};

/// The same configuration, with a heartbeat.
fn with_heartbeat(every: &str) -> String {
    WITH_MODEL.replace("defaults: {", &format!("defaults: {{ heartbeat: {{ every: \"{every}\" }},"))
}

fn in_session(target: &str) -> Value {
    let mut job = echo("hello");
    job["sessionTarget"] = json!(target);
    job
}

fn system_event(wake: &str) -> Value {
    json!({
        "name": "event",
        "schedule": { "kind": "every", "everyMs": 86_400_000 },
        "payload": { "kind": "systemEvent", "text": "a mail came" },
        "wakeMode": wake,
        "delivery": { "mode": "none" },
    })
}

#[tokio::test]
async fn sessions_are_listed_read_and_removed_by_their_keys_names_and_ids() {
    let gateway = TestGateway::with_model().await;
    let kept = gateway.job(&in_session("session:daily")).await;
    let alone = gateway.job(&in_session("isolated")).await;
    gateway.run_to_the_end(&kept).await;
    gateway.run_to_the_end(&kept).await;
    let own = gateway.run_to_the_end(&alone).await;

    let page = gateway.get("/api/v1/sessions?limit=1").await;
    assert_eq!(page.ok(200)["sessions"][0]["sessionKey"], own["sessionKey"]);
    let next = page.body["nextCursor"].as_str().unwrap();
    let rest = gateway.get(&format!("/api/v1/sessions?after={next}")).await;
    assert_eq!(rest.ok(200)["sessions"][0]["sessionKey"], "agent:main:daily");
    assert_eq!((&rest.body["hasMore"], &rest.body["nextCursor"]), (&json!(false), &Value::Null));
    let found = gateway.get("/api/v1/sessions?kept=true&query=DAILY&agentId=main").await;
    assert_eq!(found.ok(200)["sessions"].as_array().unwrap().len(), 1);
    let daily = found.body["sessions"][0].clone();
    assert_eq!(
        (&daily["kept"], &daily["jobId"], &daily["eventsWaiting"]),
        (&json!(true), &json!(kept), &json!(0))
    );
    gateway.get("/api/v1/sessions?after=17").await.refused(400, "invalid_query");

    let id = daily["sessionId"].as_str().unwrap();
    for which in ["daily", "agent%3Amain%3ADaily", id] {
        assert_eq!(gateway.get(&format!("/api/v1/sessions/{which}")).await.ok(200), &daily, "{which}");
    }
    let said = gateway.get("/api/v1/sessions/daily/transcript").await;
    let entries = said.ok(200)["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["remembered"] == true && entry["runId"].is_string()));
    let last = gateway.get("/api/v1/sessions/daily/transcript?limit=1").await;
    assert_eq!(last.ok(200)["entries"], json!([entries.last().unwrap()]));
    let before = &last.body["before"];
    let older = gateway.get(&format!("/api/v1/sessions/daily/transcript?before={before}")).await;
    assert_eq!(older.ok(200)["entries"].as_array().unwrap().len(), entries.len() - 1);

    let removed = gateway.delete("/api/v1/sessions/daily").await;
    assert_eq!((&removed.ok(200)["entries"], &removed.body["session"]), (&json!(entries.len()), &daily));
    gateway.delete("/api/v1/sessions/daily").await.refused(404, "not_found");
    gateway.run_to_the_end(&kept).await;
    gateway.get("/api/v1/sessions/daily").await.ok(200);
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_in_which_a_run_is_under_way_is_not_removed() {
    let gateway = TestGateway::with_model().await;
    let gate = gateway.state_dir.path().join("go");
    let mut job = in_session("session:busy");
    let first = gateway.job(&job).await;
    gateway.run_to_the_end(&first).await;
    let script = format!("until [ -e {} ]; do sleep 0.01; done", gate.display());
    job["payload"]["argv"] = json!(["/bin/sh", "-c", script]);
    let job = gateway.job(&job).await;
    let asked = gateway.post(&format!("/api/v1/jobs/{job}/run"), &json!({})).await;
    let run = asked.ok(202)["runId"].as_str().unwrap().to_owned();
    let refused = gateway.delete("/api/v1/sessions/busy").await;
    let message = refused.refused(409, "session_busy")["message"].as_str().unwrap();
    assert!(message.contains(&run), "{message}");
    std::fs::write(&gate, "").unwrap();
    gateway.get(&format!("/api/v1/runs/{run}?waitSeconds=60")).await.ok(200);
    gateway.delete("/api/v1/sessions/busy").await.ok(200);
    gateway.stop().await;
}

#[tokio::test]
async fn a_text_for_now_needs_a_model_and_one_for_the_heartbeat_says_where_it_waits() {
    let gateway = TestGateway::start("{}").await;
    let refused = gateway.post("/api/v1/jobs", &system_event("now")).await;
    refused.refused(422, "cannot_run");
    let saved = gateway.post("/api/v1/jobs", &system_event("next-heartbeat")).await;
    let notes = saved.ok(201)["notes"].to_string();
    assert!(notes.contains("no heartbeat is configured for the agent `main`"), "{notes}");
    let id = saved.body["id"].as_str().unwrap().to_owned();
    let refused = gateway.patch(&format!("/api/v1/jobs/{id}"), &json!({ "wakeMode": "now" })).await;
    refused.refused(422, "cannot_run");
    let run = gateway.run_to_the_end(&id).await;
    assert_eq!((&run["status"], &run["sessionKey"]), (&json!("ok"), &json!("agent:main:main")));
    let main = gateway.get("/api/v1/sessions/main").await;
    assert_eq!(main.ok(200)["eventsWaiting"], 1);
    gateway.stop().await;

    let gateway = TestGateway::start(&with_heartbeat("30m")).await;
    let saved = gateway.post("/api/v1/jobs", &system_event("next-heartbeat")).await;
    assert!(!saved.ok(201)["notes"].to_string().contains("heartbeat"), "{:?}", saved.body["notes"]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_heartbeat_is_the_configurations_and_can_be_run_and_switched_and_nothing_else() {
    let gateway = TestGateway::start(&with_heartbeat("30m")).await;
    for agent in ["main", "sales"] {
        let beat = gateway.get(&format!("/api/v1/jobs/heartbeat-{agent}")).await;
        assert_eq!(beat.ok(200)["payload"], json!({ "kind": "heartbeat" }));
        assert_eq!((&beat.body["agentId"], &beat.body["sessionTarget"]), (&json!(agent), &json!("main")));
        assert_eq!(beat.body["schedule"]["everyMs"], 1_800_000);
        assert!(beat.body["nextRunAtMs"].is_i64());
    }
    assert_eq!(gateway.get("/api/v1/jobs").await.ok(200)["jobs"].as_array().unwrap().len(), 2);
    let path = "/api/v1/jobs/heartbeat-main";
    let refused = gateway.patch(path, &json!({ "name": "mine" })).await;
    assert!(
        refused.refused(409, "system_owned")["hint"].as_str().unwrap().contains("agents.defaults.heartbeat")
    );
    gateway.delete(path).await.refused(409, "system_owned");
    let made = json!({ "schedule": { "everyMs": 1000 }, "payload": { "kind": "heartbeat" } });
    gateway.post("/api/v1/jobs", &made).await.refused(422, "invalid_job");
    let event = gateway.job(&system_event("next-heartbeat")).await;
    let turned = json!({ "payload": { "kind": "heartbeat" } });
    gateway.patch(&format!("/api/v1/jobs/{event}"), &turned).await.refused(422, "invalid_job");
    // Nothing waits, so nobody is asked.
    let run = gateway.run_to_the_end("heartbeat-main").await;
    assert_eq!((&run["status"], &run["summary"]), (&json!("ok"), &json!("HEARTBEAT_OK")));
    let off = gateway.post(&format!("{path}/disable"), &json!({})).await;
    assert_eq!(off.ok(200)["enabled"], false);
    let state_dir = gateway.stop().await;

    let gateway = start_in(state_dir.path(), &with_heartbeat("45m")).await.unwrap();
    let gateway = TestGateway::run(gateway, state_dir);
    let beat = gateway.get(path).await;
    assert_eq!(
        (&beat.ok(200)["schedule"]["everyMs"], &beat.body["enabled"]),
        (&json!(2_700_000), &json!(false))
    );
    let state_dir = gateway.stop().await;

    let gateway = start_in(state_dir.path(), WITH_MODEL).await.unwrap();
    let gateway = TestGateway::run(gateway, state_dir);
    gateway.get(path).await.refused(404, "not_found");
    let runs = gateway.get("/api/v1/jobs/heartbeat-main/runs").await;
    assert_eq!(runs.ok(200)["total"], 1, "its history stays");
    gateway.stop().await;
}
