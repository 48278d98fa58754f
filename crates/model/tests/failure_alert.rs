//! What a job says of alerts: read strictly, merged by patches, and resolved into a route.

use clawhook_model::{DefinitionError, FailureAlert, GatewayAlerts, JobDefinition, Target, UnixMs};
use serde_json::{Value, json};

fn parse(delivery: &Value, alert: &Value) -> Result<JobDefinition, DefinitionError> {
    let job = json!({
        "name": "daily",
        "schedule": { "kind": "every", "everyMs": 60_000 },
        "sessionTarget": "isolated",
        "payload": { "kind": "agentTurn", "message": "x" },
        "delivery": delivery,
        "failureAlert": alert,
    });
    JobDefinition::parse(job, UnixMs::EPOCH)
}

fn job(delivery: &Value, alert: &Value) -> JobDefinition {
    parse(delivery, alert).expect("a good job")
}

fn webhook() -> Value {
    json!({ "mode": "webhook", "to": "https://example.com/in" })
}

fn gateway(block: Value) -> GatewayAlerts {
    GatewayAlerts::parse(block, None).expect("a good block")
}

fn shown(job: &JobDefinition, gateway: &GatewayAlerts, failed: Option<&Target>) -> Vec<String> {
    job.alert_targets(gateway, failed).iter().map(Target::shown).collect()
}

#[test]
fn what_is_read_is_what_is_written() {
    let alert = json!({
        "after": 3, "cooldownMs": 60_000, "includeSkipped": true, "mode": "webhook",
        "to": "https://example.com/alerts?key=s3cret", "fallback": ["pager", "https://example.org/second", { "channel": "slack", "to": "#ops" }],
    });
    let job = job(&webhook(), &alert);
    assert_eq!(JobDefinition::from_stored_json(job.to_stored_json()).unwrap(), job);
    let stored = &job.to_stored_json()["failureAlert"];
    assert_eq!((&stored["after"], &stored["to"]), (&json!(3), &alert["to"]));
}

#[test]
fn false_is_kept_apart_from_nothing() {
    let off = job(&webhook(), &json!(false));
    assert_eq!(off.failure_alert, FailureAlert::Off);
    assert_eq!(off.to_stored_json()["failureAlert"], json!(false));
    let gateway = gateway(json!({ "to": "https://example.com/alerts" }));
    assert_eq!(off.alert_rules(&gateway), None);
    let cleared = off.patched(json!({ "failureAlert": null }), UnixMs::EPOCH).unwrap();
    assert_eq!(cleared.failure_alert, FailureAlert::Inherit);
    assert!(cleared.alert_rules(&gateway).is_some());
}

#[test]
fn bad_input_is_refused_with_its_place() {
    for (alert, why) in [
        (json!({ "after": 0 }), "`failureAlert.after`"),
        (json!({ "cooldownMs": -1 }), "`failureAlert.cooldownMs`"),
        (json!({ "mode": "pigeon" }), "`failureAlert.mode`"),
        (json!({ "mode": "webhook" }), "`failureAlert.to`"),
        (json!({ "mode": "webhook", "to": "ops" }), "`failureAlert.to`"),
        (json!({ "mode": "webhook", "destination": "a", "channel": "slack" }), "`failureAlert`"),
        (json!({ "to": "https://example.com/", "destination": "a" }), "`failureAlert`"),
        (json!({ "fallback": "pager" }), "`failureAlert.fallback`"),
        (json!({ "fallback": ["pager", "pager"] }), "`failureAlert.fallback`"),
        (json!({ "aftre": 2 }), "`failureAlert.aftre`"),
        (json!("on"), "`failureAlert`"),
    ] {
        let error = parse(&webhook(), &alert).expect_err("it is refused").to_string();
        assert!(error.contains(why), "{alert}: {error}");
    }
}

#[test]
fn a_patch_merges_and_what_is_written_back_masked_keeps_its_secret() {
    let secret = "https://example.com/alerts?key=s3cret";
    let job = job(
        &webhook(),
        &json!({ "after": 3, "mode": "webhook", "to": secret, "fallback": [secret.replace("alerts", "b")] }),
    );
    let shown = clawhook_model::Job {
        id: "j".parse().unwrap(),
        definition: job.clone(),
        created_at: UnixMs::EPOCH,
        updated_at: UnixMs::EPOCH,
        state: clawhook_model::JobState::default(),
    }
    .to_json();
    assert!(!shown.to_string().contains("s3cret"));
    let mut alert = shown["failureAlert"].clone();
    alert["after"] = json!(5);
    let patched = job.patched(json!({ "failureAlert": alert }), UnixMs::EPOCH).unwrap();
    let stored = &patched.to_stored_json()["failureAlert"];
    assert_eq!((&stored["after"], &stored["to"]), (&json!(5), &json!(secret)));
    assert!(stored["fallback"][0]["to"].as_str().unwrap().contains("s3cret"));
    let moved =
        patched.patched(json!({ "failureAlert": { "destination": "pager" } }), UnixMs::EPOCH).unwrap();
    let stored = &moved.to_stored_json()["failureAlert"];
    assert_eq!((stored.get("to"), &stored["destination"]), (None, &json!("pager")));
}

#[test]
fn the_route_is_the_rules_own_or_the_failure_destination_or_where_results_are_announced() {
    let none = GatewayAlerts::default();
    let global = gateway(json!({ "mode": "webhook", "to": "https://example.com/global" }));
    let announce = json!({ "mode": "announce", "channel": "slack", "to": "#jobs" });
    assert_eq!(shown(&job(&webhook(), &Value::Null), &none, None), Vec::<String>::new());
    assert_eq!(shown(&job(&announce, &Value::Null), &none, None), ["announce:slack:#jobs"]);
    assert_eq!(shown(&job(&announce, &Value::Null), &global, None), ["https://example.com/global"]);
    let mut elsewhere = announce.clone();
    elsewhere["failureDestination"] = json!({ "to": "#alerts", "channel": "slack" });
    assert_eq!(shown(&job(&elsewhere, &Value::Null), &global, None), ["announce:slack:#alerts"]);
    let own = json!({ "to": "#mine" });
    assert_eq!(shown(&job(&elsewhere, &own), &global, None), ["announce:slack:#mine"]);
}

#[test]
fn the_way_that_failed_is_not_used_to_tell_of_it() {
    let failed = Target::parse_text("https://example.com/in").unwrap();
    let alert = json!({ "mode": "webhook", "to": "https://example.com/in", "fallback": ["pager", "https://example.com/in"] });
    assert_eq!(shown(&job(&webhook(), &alert), &GatewayAlerts::default(), Some(&failed)), ["pager"]);
}

#[test]
fn a_delivery_that_may_fail_mutes_inherited_alerts_only() {
    let global = gateway(json!({ "to": "https://example.com/global" }));
    let mut best_effort = webhook();
    best_effort["bestEffort"] = json!(true);
    assert_eq!(job(&best_effort, &Value::Null).alert_rules(&global), None);
    assert!(job(&best_effort, &json!({ "after": 1 })).alert_rules(&global).is_some());
    let off = gateway(json!({ "enabled": false, "to": "https://example.com/global" }));
    assert_eq!(job(&webhook(), &Value::Null).alert_rules(&off), None);
}

#[test]
fn the_older_block_gives_the_route_that_the_newer_leaves_open() {
    let older = json!({ "mode": "webhook", "to": "https://example.com/older" });
    let merged = GatewayAlerts::parse(json!({ "after": 4 }), Some(older.clone())).unwrap();
    assert_eq!(merged.rules.after, 4);
    assert_eq!(merged.targets()[0].shown(), "https://example.com/older");
    let newer = GatewayAlerts::parse(json!({ "mode": "announce", "channel": "slack" }), Some(older)).unwrap();
    assert_eq!(newer.targets()[0].shown(), "announce:slack");
}

#[test]
fn a_main_job_has_a_failure_destination_only_beside_a_webhook() {
    let main = |mode: &str| {
        let mut delivery =
            json!({ "mode": mode, "failureDestination": { "to": "https://example.com/failed" } });
        if mode == "webhook" {
            delivery["to"] = json!("https://example.com/in");
        }
        JobDefinition::parse(
            json!({
                "schedule": { "kind": "every", "everyMs": 60_000 },
                "payload": { "kind": "systemEvent", "text": "x" },
                "delivery": delivery,
            }),
            UnixMs::EPOCH,
        )
    };
    assert!(main("webhook").is_ok());
    assert!(main("none").unwrap_err().to_string().contains("delivery.failureDestination"));
}
