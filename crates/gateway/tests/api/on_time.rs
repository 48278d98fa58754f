//! What becomes of instants that cannot simply be run when they are due, through the API.

use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::{Clock as _, ManualClock};
use clawhook_model::UnixMs;
use serde_json::{Value, json};

use crate::harness::{TestGateway, start_at};

/// 2026-02-18T00:00:00Z
const NOW: UnixMs = UnixMs::from_millis(1_771_372_800_000);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// A gateway whose time is moved by hand.
struct World {
    gateway: TestGateway,
    clock: ManualClock,
    config: String,
}

impl World {
    async fn new(config: &str) -> Self {
        let clock = ManualClock::at(NOW);
        let state_dir = tempfile::tempdir().unwrap();
        let gateway = start_at(state_dir.path(), config, Arc::new(clock.clone())).await.unwrap();
        Self { gateway: TestGateway::run(gateway, state_dir), clock, config: config.to_owned() }
    }

    /// Stops the gateway, and has it come back after so long.
    async fn away_for(self, length: Duration) -> Self {
        let Self { gateway, clock, config } = self;
        let state_dir = gateway.stop().await;
        clock.advance(length);
        let gateway = start_at(state_dir.path(), &config, Arc::new(clock.clone())).await.unwrap();
        Self { gateway: TestGateway::run(gateway, state_dir), clock, config }
    }

    async fn job(&self, id: &str) -> Value {
        self.gateway.get(&format!("/api/v1/jobs/{id}")).await.ok(200).clone()
    }

    /// The job, once `holds` is true of it.
    async fn job_once(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let job = self.job(id).await;
            if holds(&job) {
                return job;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The ledger's rows, the newest first, once `holds` is true of them.
    async fn ledger_once(&self, id: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        loop {
            let ledger = self.gateway.get(&format!("/api/v1/jobs/{id}/occurrences")).await;
            let rows = ledger.ok(200)["occurrences"].as_array().unwrap();
            if holds(rows) {
                return rows.clone();
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A command that is due every so often, from so long after the beginning.
fn every(interval: Duration, argv: &[&str]) -> Value {
    json!({
        "name": "n",
        "schedule": { "kind": "every", "everyMs": interval.as_millis(), "anchorMs": NOW },
        "payload": { "kind": "command", "argv": argv },
    })
}

fn at(instant: UnixMs) -> String {
    instant.to_rfc3339()
}

#[tokio::test]
async fn what_a_job_says_of_misfires_and_overlaps_is_shown_merged_and_cleared() {
    let world = World::new("{}").await;
    let mut job = every(HOUR, &["/bin/true"]);
    job["misfire"] = json!("each");
    job["overlap"] = json!({ "policy": "buffer_all", "max": 7 });
    job["delivery"] = json!({ "mode": "webhook", "to": "https://example.com/", "lateResults": true });
    let made = world.gateway.post("/api/v1/jobs", &job).await.ok(201).clone();
    assert_eq!(made["misfire"], json!({ "policy": "each", "max": 10 }));
    assert_eq!(made["overlap"], json!({ "policy": "bufferAll", "max": 7 }));
    assert_eq!(made["delivery"]["lateResults"], true);
    assert_eq!(made["effective"], json!({ "misfire": made["misfire"], "overlap": made["overlap"] }));

    let path = format!("/api/v1/jobs/{}", made["id"].as_str().unwrap());
    let patch = async |patch: Value| world.gateway.patch(&path, &patch).await.ok(200).clone();
    let later = patch(json!({ "misfire": { "maxLatenessSeconds": 60 } })).await;
    assert_eq!(later["misfire"], json!({ "policy": "each", "max": 10, "maxLatenessSeconds": 60 }));
    let once = patch(json!({ "misfire": { "policy": "once" }, "overlap": { "max": 9 } })).await;
    assert_eq!(once["misfire"], json!({ "policy": "once", "maxLatenessSeconds": 60 }));
    assert_eq!(once["overlap"], json!({ "policy": "bufferAll", "max": 9 }));
    let cleared =
        patch(json!({ "misfire": null, "overlap": null, "delivery": { "lateResults": false } })).await;
    let gone = ["misfire", "overlap"].map(|member| cleared.get(member));
    assert_eq!((gone, cleared["delivery"].get("lateResults")), ([None, None], None));
    let defaults = json!({ "misfire": { "policy": "once" }, "overlap": { "policy": "skip" } });
    assert_eq!(cleared["effective"], defaults);
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_jobs_answer_says_what_holds_where_it_says_nothing_and_where_its_stagger_puts_it() {
    let world = World::new(
        "{ cron: { misfire: { policy: 'each', max: 3, maxLateness: '90m' }, overlap: 'bufferOne' } }",
    )
    .await;
    let mut job = every(HOUR, &["/bin/true"]);
    job["schedule"] = json!({ "kind": "cron", "expr": "0 * * * *", "tz": "Europe/Berlin" });
    job["misfire"] = json!({ "policy": "skip" });
    let made = world.gateway.post("/api/v1/jobs", &job).await.ok(201).clone();
    let misfire = json!({ "policy": "skip", "maxLatenessSeconds": 5400.0 });
    assert_eq!(made["effective"], json!({ "misfire": misfire, "overlap": { "policy": "bufferOne" } }));

    let preview = &made["schedulePreview"];
    assert_eq!((&preview["timeZone"], &preview["staggerMs"]), (&json!("Europe/Berlin"), &json!(300_000)));
    let offset = preview["offsetMs"].as_i64().unwrap();
    assert_eq!(made["nextRunAtMs"].as_i64().unwrap() % 3_600_000, offset);
    assert!(preview["text"].as_str().unwrap().contains("stagger 5m"), "{preview}");
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_meant_is_refused_with_its_field_the_value_and_what_to_do() {
    let world = World::new("{}").await;
    for (member, value, field, said) in [
        ("misfire", json!("never"), "misfire.policy", "`never` is not skip, once or each"),
        ("misfire", json!({ "policy": "each", "max": 1001 }), "misfire.max", "`1001` is not between"),
        ("misfire", json!({ "policy": "once", "max": 3 }), "misfire.max", "only the policy `each`"),
        ("misfire", json!({ "maxLatenessSeconds": "1h" }), "misfire.maxLatenessSeconds", "not the text `1h`"),
        ("overlap", json!("replace"), "overlap.policy", "`replace` is not skip"),
        ("overlap", json!({ "policy": "skip", "max": 1 }), "overlap.max", "only the policy `bufferAll`"),
        ("overlap", json!({ "max": 1 }), "overlap.policy", "is required"),
    ] {
        let mut job = every(HOUR, &["/bin/true"]);
        job[member] = value;
        let answer = world.gateway.post("/api/v1/jobs", &job).await;
        let error = answer.refused(422, "invalid_job");
        assert_eq!(error["field"], field, "{error}");
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
        assert!(error["hint"].is_string(), "{error}");
    }
    let mut job = every(HOUR, &["/bin/true"]);
    job["delivery"] = json!({ "mode": "none", "lateResults": true });
    world.gateway.post("/api/v1/jobs", &job).await.refused(422, "invalid_job");
    world.gateway.stop().await;
}

#[tokio::test]
async fn i01_an_instant_that_is_due_while_a_run_is_under_way_is_in_the_ledger_as_skipped_with_the_reason() {
    let world = World::new("{}").await;
    let gate = world.gateway.state_dir.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.01; done", gate.display());
    let id = world.gateway.job(&every(MINUTE, &["/bin/sh", "-c", &script])).await;
    world.clock.advance(MINUTE);
    let first = world.ledger_once(&id, |rows| rows.len() == 1 && rows[0]["state"] == "running").await;
    assert_eq!((&first[0]["outcome"], first[0].get("status")), (&json!("ran"), None));
    assert_eq!((&first[0]["latenessMs"], &first[0]["attempt"]), (&json!(0), &json!(1)));
    assert_eq!(world.job(&id).await["state"]["runsRunning"], 1);

    world.clock.advance(MINUTE);
    let rows = world.ledger_once(&id, |rows| rows.len() == 2).await;
    assert_eq!(rows[0]["outcome"], "skipped");
    assert_eq!(rows[0]["reason"], "the job's previous run was still under way");
    assert_eq!(rows[0]["dueAtMs"], json!(NOW.plus(MINUTE * 2)));

    let path = format!("/api/v1/jobs/{id}/occurrences");
    let page = async |query: &str| world.gateway.get(&format!("{path}?{query}")).await.ok(200).clone();
    assert_eq!(page("outcome=skipped").await["occurrences"], json!([rows[0]]));
    assert_eq!(page("outcome=missed").await, json!({ "occurrences": [] }));
    let newest = page("limit=1").await;
    assert_eq!(newest["nextBeforeMs"], rows[0]["dueAtMs"]);
    let rest = page(&format!("limit=1&before={}", newest["nextBeforeMs"])).await;
    assert_eq!(rest, json!({ "occurrences": [rows[1]] }));
    for (query, said) in [("outcome=lost", "ran, skipped, missed, not `lost`"), ("before=noon", "not `noon`")]
    {
        let answer = world.gateway.get(&format!("{path}?{query}")).await;
        let error = answer.refused(400, "invalid_query");
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
    }

    std::fs::write(&gate, "").unwrap();
    let over = world.ledger_once(&id, |rows| rows[1]["state"] == "finished").await;
    assert_eq!((&over[1]["status"], &over[1]["completionStatus"]), (&json!("ok"), &json!("succeeded")));
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_backs_off_is_switched_off_in_plain_sight_and_begins_afresh_when_it_is_enabled() {
    let world = World::new("{ cron: { failures: { disableAfter: 2 } } }").await;
    let id = world.gateway.job(&every(MINUTE, &["/bin/false"])).await;
    world.clock.advance(MINUTE);
    let failed = world.job_once(&id, |job| job["state"].get("backoffUntilMs").is_some()).await;
    let until = NOW.plus(MINUTE).plus(Duration::from_secs(30));
    assert_eq!(failed["state"]["backoffUntilMs"], json!(until));
    assert_eq!((&failed["state"]["consecutiveErrors"], &failed["status"]), (&json!(1), &json!("error")));

    world.clock.advance(MINUTE);
    let off = world.job_once(&id, |job| job["state"].get("autoDisabled").is_some()).await;
    let disabled = &off["state"]["autoDisabled"];
    assert_eq!(
        (&disabled["reason"], &disabled["consecutiveErrors"], &disabled["atMs"]),
        (&json!("consecutive-failures"), &json!(2), &json!(NOW.plus(MINUTE * 2)))
    );
    assert_eq!((&off["status"], &off["enabled"]), (&json!("auto-disabled"), &json!(false)));
    assert_eq!((off.get("nextRunAtMs"), &off["upcoming"]), (None, &json!([])));
    let listed = async || world.gateway.get("/api/v1/jobs").await.ok(200)["total"].clone();
    assert_eq!(listed().await, 1, "what the gateway switched off is not hidden");

    let on = world.gateway.post(&format!("/api/v1/jobs/{id}/enable"), &json!({})).await.ok(200).clone();
    assert_eq!((&on["enabled"], &on["nextRunAtMs"]), (&json!(true), &json!(NOW.plus(MINUTE * 3))));
    let state = &on["state"];
    assert_eq!((state.get("autoDisabled"), state.get("backoffUntilMs")), (None, None));
    assert_eq!(state["consecutiveErrors"], 0);
    world.clock.advance(MINUTE);
    let again = world.job_once(&id, |job| job["state"].get("backoffUntilMs").is_some()).await;
    assert_eq!(again["state"]["consecutiveErrors"], 1);

    world.gateway.post(&format!("/api/v1/jobs/{id}/disable"), &json!({})).await.ok(200);
    assert_eq!(listed().await, 0, "what its owner switched off is");
    world.gateway.stop().await;
}

#[tokio::test]
async fn instants_that_were_missed_are_run_after_all_once_and_keep_the_reason_why_they_were_not() {
    let world = World::new("{}").await;
    let mut job = every(HOUR, &["/bin/true"]);
    job["misfire"] = json!("skip");
    let id = world.gateway.job(&job).await;
    let world = world.away_for(HOUR * 2 + MINUTE * 5).await;
    let missed = world.ledger_once(&id, |rows| rows.len() == 2).await;
    assert!(missed.iter().all(|row| row["outcome"] == "missed" && row.get("wasPassed").is_none()));
    let next = world.job(&id).await["nextRunAtMs"].clone();

    let path = format!("/api/v1/jobs/{id}/backfill");
    // Both ends belong to it, and so does an instant from before the job was there.
    let mut request = json!({ "from": at(NOW), "to": NOW.plus(HOUR * 2), "dryRun": true });
    let instants: Vec<String> = (0..=2).map(|hours| at(NOW.plus(HOUR * hours))).collect();
    let told = world.gateway.post(&path, &request).await;
    assert_eq!(told.ok(200), &json!({ "queued": instants, "alreadyRan": [], "dryRun": true }));
    assert_eq!(world.ledger_once(&id, |_| true).await, missed, "nothing was done");

    request["dryRun"] = json!(false);
    let done = world.gateway.post(&path, &request).await;
    assert_eq!(done.ok(202), &json!({ "queued": instants, "alreadyRan": [], "dryRun": false }));
    let over = |rows: &[Value]| rows.len() == 3 && rows.iter().all(|row| row["state"] == "finished");
    let rows = world.ledger_once(&id, over).await;
    for (row, hours) in rows.iter().zip([2, 1, 0]) {
        assert_eq!((&row["outcome"], &row["trigger"]), (&json!("ran"), &json!("backfill")));
        assert_eq!((&row["status"], &row["dueAtMs"]), (&json!("ok"), &json!(NOW.plus(HOUR * hours))));
        let late = world.clock.now().since(NOW.plus(HOUR * hours));
        assert_eq!(row["latenessMs"], json!(late.as_millis()));
    }
    assert_eq!(rows[0]["wasPassed"], missed[0]["reason"]);
    assert_eq!(rows[2].get("wasPassed"), None);
    assert_eq!(world.job(&id).await["nextRunAtMs"], next, "the schedule has not moved");

    let again = world.gateway.post(&path, &request).await;
    assert_eq!(again.ok(202), &json!({ "queued": [], "alreadyRan": instants, "dryRun": false }));
    world.gateway.stop().await;
}

#[tokio::test]
async fn a_backfill_that_cannot_be_meant_is_refused_with_the_value_and_what_to_do() {
    let world = World::new("{}").await;
    let mut job = every(Duration::from_secs(1), &["/bin/true"]);
    job["enabled"] = json!(false);
    job["schedule"]["anchorMs"] = json!(0);
    let id = world.gateway.job(&job).await;
    let path = format!("/api/v1/jobs/{id}/backfill");
    let hour_ago = NOW.plus_millis(-3_600_000);
    for (request, code, field, said) in [
        (json!({ "from": hour_ago, "to": NOW.plus(HOUR) }), "invalid_backfill", json!("to"), "is to come"),
        (json!({ "from": NOW, "to": hour_ago }), "invalid_backfill", json!("to"), "lies before `from`"),
        (json!({ "to": NOW }), "invalid_backfill", json!("from"), "is required"),
        (json!({ "from": "noon", "to": NOW }), "invalid_backfill", json!("from"), "`noon` is no time"),
        (json!({ "from": NOW, "until": NOW }), "invalid_backfill", json!("to"), "is required"),
        (
            json!({ "from": NOW, "to": NOW, "dryRum": true }),
            "unknown_field",
            json!("dryRum"),
            "unknown field `dryRum`",
        ),
        (json!({ "from": hour_ago, "to": NOW }), "too_many_instants", Value::Null, "more than 1000 times"),
    ] {
        let answer = world.gateway.post(&path, &request).await;
        let error = answer.refused(422, code);
        assert_eq!(error["field"], field, "{error}");
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
        assert!(error["hint"].is_string(), "{error}");
    }
    let request = json!({ "from": NOW, "to": NOW });
    world.gateway.post("/api/v1/jobs/nope/backfill", &request).await.refused(404, "not_found");
    assert_eq!(world.ledger_once(&id, |_| true).await, Vec::<Value>::new());
    world.gateway.stop().await;
}
