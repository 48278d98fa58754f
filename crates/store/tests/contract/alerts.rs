//! Alerts: written with the trouble that they tell of, once for each cause of an incident, and taken to the next rung where
//! the one before does not answer.

use clawhook_model::{
    AlertPurpose, AutoDisableReason, DeliveryState, DeliveryStatus, ErrorReason, GatewayAlerts, Job,
    RunOutcome, Target, UnixMs,
};
use clawhook_store::{
    AlertCounts, AlertFilter, AlertRecord, Claim, Claimed, GatewayNotice, LeasedDelivery, OccurrenceOutcome,
    RunFinished, SyntheticAlert, Verdict,
};
use serde_json::{Value, json};

use crate::destinations::define;
use crate::outbox::settle_as;
use crate::world::{World, claim, finish, t};

const PAGER: &str = "https://example.com/pager?key=s3cret";
const SECOND: &str = "https://example.com/second";

/// A world in which the gateway tells of every trouble, first at one place and then at another.
fn world() -> World {
    let world = World::new();
    let block = json!({ "to": PAGER, "fallback": [SECOND] });
    world.store.set_alerts(GatewayAlerts::parse(block, None).expect("a good block"));
    world
}

async fn silent_job(world: &World, id: &str) -> Job {
    world.add_with(id, json!({ "delivery": { "mode": "none" } })).await
}

fn failed(reason: ErrorReason) -> RunOutcome {
    RunOutcome::error(reason, "it broke")
}

/// Ends a run of each second so.
async fn runs(world: &World, job: &Job, from: i64, outcomes: impl IntoIterator<Item = RunOutcome>) {
    for (second, outcome) in (from..).zip(outcomes) {
        run_at(world, job, t(second * 1000), outcome).await;
    }
}

async fn run_at(world: &World, job: &Job, at: UnixMs, outcome: RunOutcome) {
    let (claimed, run) = world.claim(job, at, Some(at.plus_millis(1000))).await;
    assert_eq!(claimed, Claimed::Won(vec![run.id]));
    let finished = world.store.finish_run(finish(job, &run, outcome, at)).await;
    assert_eq!(finished.expect("the run is stored"), RunFinished::Done);
}

async fn alerts(world: &World) -> Vec<AlertRecord> {
    let filter = AlertFilter { limit: 100, ..AlertFilter::default() };
    let mut alerts = world.store.alerts(filter).await.expect("the alerts").alerts;
    alerts.reverse();
    alerts
}

fn targets(alert: &AlertRecord) -> Vec<(String, DeliveryState)> {
    alert.deliveries.iter().map(|delivery| (delivery.target.shown(), delivery.state)).collect()
}

fn body(delivery: &LeasedDelivery) -> Value {
    serde_json::from_slice(&delivery.body).expect("events are JSON")
}

async fn settle_all(world: &World, now: UnixMs, verdict: Verdict) -> Vec<Value> {
    let leased = world.lease(now).await;
    for delivery in &leased {
        world.store.settle_attempt(settle_as(delivery, now, verdict.clone())).await.expect("it is settled");
    }
    leased.iter().map(body).collect()
}

#[tokio::test]
async fn the_second_failure_in_a_row_is_told_in_the_transaction_that_ends_the_run() {
    let world = world();
    let job = silent_job(&world, "shaky").await;
    runs(&world, &job, 1, [failed(ErrorReason::Timeout)]).await;
    assert_eq!(alerts(&world).await.len(), 0);
    runs(&world, &job, 2, [failed(ErrorReason::Timeout)]).await;
    let told = alerts(&world).await;
    assert_eq!(told.len(), 1);
    assert_eq!(targets(&told[0]), [("https://example.com/pager?key=***".to_owned(), DeliveryState::Pending)]);
    let event = &told[0].body;
    assert_eq!(event["message"], "Automation \"shaky\" failed 2 times\nCause: timeout\nLast error: it broke");
    assert_eq!((&event["jobId"], &event["consecutive"]), (&json!("shaky"), &json!(2)));
    assert!(event["runAtMs"].is_i64() && event["runId"].is_string(), "{event}");
    let state = world.state(&job.id).await;
    assert_eq!(state.alerts.last_alert_at(), Some(t(2000)));
    assert_eq!(state.last_alert.unwrap().status, DeliveryStatus::Unknown);
}

#[tokio::test]
async fn an_alert_that_does_not_arrive_goes_to_the_next_rung_with_the_death_of_the_first() {
    let world = world();
    let job = silent_job(&world, "shaky").await;
    runs(&world, &job, 1, [failed(ErrorReason::Timeout), failed(ErrorReason::Timeout)]).await;
    settle_all(&world, t(3000), Verdict::Dead).await;
    let told = alerts(&world).await.remove(0);
    assert_eq!(
        targets(&told)[1..],
        [(SECOND.to_owned(), DeliveryState::Pending)],
        "the rung above is written with the death of the one below"
    );
    assert_eq!(told.deliveries[1].after, Some(told.deliveries[0].id));
    settle_all(&world, t(4000), Verdict::Delivered).await;
    let told = alerts(&world).await.remove(0);
    assert_eq!(told.status(), DeliveryStatus::Delivered);
    let alert = world.state(&job.id).await.last_alert.unwrap();
    assert_eq!((alert.status, alert.error), (DeliveryStatus::Delivered, None));
    assert_eq!(
        world.store.alert_counts(None).await.unwrap(),
        AlertCounts { delivered: 1, pending: 0, dead: 0 }
    );
}

#[tokio::test]
async fn an_alert_that_arrives_nowhere_says_so_at_its_job() {
    let world = world();
    let job = silent_job(&world, "shaky").await;
    runs(&world, &job, 1, [failed(ErrorReason::Timeout), failed(ErrorReason::Timeout)]).await;
    settle_all(&world, t(3000), Verdict::Dead).await;
    settle_all(&world, t(4000), Verdict::Dead).await;
    assert_eq!(world.lease(t(5000)).await.len(), 0, "there is no third rung");
    let shown = world.store.job(&job.id).await.unwrap().unwrap().to_json();
    assert_eq!(shown["lastFailureNotificationDeliveryStatus"], "not-delivered");
    assert_eq!(shown["state"]["lastFailureNotificationDelivered"], false);
    assert_eq!(shown["state"]["lastFailureAlertAtMs"], t(2000).as_millis());
    assert_eq!(world.store.alert_counts(None).await.unwrap().dead, 1);
}

#[tokio::test]
async fn a_flood_of_failures_in_a_day_is_one_alert_and_one_word_of_recovery() {
    let world = world();
    let job = silent_job(&world, "flood").await;
    // Ten failures in a row switch a job off; refused credentials do not.
    let mut at = t(1000);
    for _ in 0..360 {
        let (claimed, run) = world.claim(&job, at, Some(at.plus_millis(240_000))).await;
        assert_eq!(claimed, Claimed::Won(vec![run.id]));
        world.store.finish_run(finish(&job, &run, failed(ErrorReason::Auth), at)).await.unwrap();
        at = at.plus_millis(240_000);
    }
    assert_eq!(alerts(&world).await.len(), 1);
    assert_eq!(settle_all(&world, at, Verdict::Delivered).await.len(), 1);
    run_at(&world, &job, at, RunOutcome::ok("well")).await;
    let told = settle_all(&world, at.plus_millis(1), Verdict::Delivered).await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["type"], &told[0]["failures"]), (&json!("job.recovered"), &json!(360)));
    run_at(&world, &job, at.plus_millis(1000), RunOutcome::ok("well")).await;
    assert_eq!(world.lease(at.plus_millis(1001)).await.len(), 0, "recovery is told once");
    assert!(world.state(&job.id).await.alerts.told.is_empty());
}

#[tokio::test]
async fn recovery_is_told_to_whom_the_alert_reached_and_to_nobody_else() {
    let world = world();
    let job = silent_job(&world, "shaky").await;
    runs(&world, &job, 1, [failed(ErrorReason::Timeout), failed(ErrorReason::Timeout)]).await;
    settle_all(&world, t(3000), Verdict::Dead).await;
    settle_all(&world, t(3001), Verdict::Delivered).await;
    runs(&world, &job, 3, [RunOutcome::ok("well")]).await;
    let leased = world.lease(t(4000)).await;
    assert_eq!(leased.len(), 1);
    let delivery = world.store.delivery(leased[0].id).await.unwrap().unwrap().delivery;
    assert_eq!(delivery.target.shown(), SECOND);
}

#[tokio::test]
async fn a_result_that_is_given_up_is_told_elsewhere_and_so_is_that_results_arrive_again() {
    let world = world();
    let job = world.add("doomed").await;
    let run = world.run(&job, t(1000)).await;
    settle_all(&world, t(1500), Verdict::Dead).await;
    let told = alerts(&world).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].body["scope"], "delivery");
    assert_eq!(told[0].body["runId"], run.id.to_string());
    assert!(told[0].body["message"].as_str().unwrap().contains("could not deliver its result"));
    assert!(!told[0].body.to_string().contains("s3cret"));
    settle_all(&world, t(1600), Verdict::Delivered).await;
    world.run(&job, t(2000)).await;
    settle_all(&world, t(2500), Verdict::Dead).await;
    assert_eq!(alerts(&world).await.len(), 1, "the same is told once");
    world.run(&job, t(3000)).await;
    settle_all(&world, t(3500), Verdict::Delivered).await;
    let told = settle_all(&world, t(3600), Verdict::Delivered).await;
    assert_eq!((&told[0]["type"], &told[0]["scope"]), (&json!("job.recovered"), &json!("delivery")));
}

#[tokio::test]
async fn the_way_that_failed_is_not_asked_to_tell_of_it() {
    let world = World::new();
    let hook = "https://example.com/hook?token=s3cret";
    let alert = json!({ "failureAlert": { "mode": "webhook", "to": hook } });
    let job = world.add_with("alone", alert).await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1500), Verdict::Dead).await;
    assert_eq!(alerts(&world).await.len(), 0);
}

#[tokio::test]
async fn missed_instants_and_the_end_of_a_job_are_told() {
    let world = world();
    let job = silent_job(&world, "away").await;
    let missed = |at| (at, OccurrenceOutcome::Missed("the gateway was not running".to_owned()));
    let passed = vec![missed(t(1000)), missed(t(2000))];
    let claim = Claim { passed, ..claim(&job.id, t(1000), None, Some(t(3000))) };
    world.store.claim(vec![claim], t(2500)).await.unwrap();
    let told = alerts(&world).await;
    assert_eq!((told.len(), &told[0].body["cause"]), (1, &json!("missed")));
    assert_eq!(told[0].body["scheduledAtMs"], t(2000).as_millis());
    runs(&world, &job, 3, vec![failed(ErrorReason::Exit); 10]).await;
    let causes: Vec<Value> =
        alerts(&world).await.into_iter().map(|alert| alert.body["cause"].clone()).collect();
    let off = AutoDisableReason::ConsecutiveFailures.as_str();
    assert_eq!(causes, ["missed", off], "what failed meanwhile cools down; that nothing follows does not");
}

#[tokio::test]
async fn who_says_false_is_told_nothing() {
    let world = world();
    let quiet = json!({ "delivery": { "mode": "none" }, "failureAlert": false });
    let job = world.add_with("quiet", quiet).await;
    runs(&world, &job, 1, vec![failed(ErrorReason::Timeout); 3]).await;
    assert_eq!(alerts(&world).await.len(), 0);
    assert_eq!(world.state(&job.id).await.alerts.failures, 3);
}

#[tokio::test]
async fn a_rung_that_is_gone_is_passed_over_and_subscribers_are_told_too() {
    let world = World::new();
    define(&world, "ears", json!({ "subscriptions": [{ "events": ["job.alert"] }] })).await;
    let alert = json!({
        "delivery": { "mode": "none" },
        "failureAlert": { "after": 1, "destination": "gone", "fallback": [SECOND] },
    });
    let job = world.add_with("shaky", alert).await;
    runs(&world, &job, 1, [failed(ErrorReason::Timeout)]).await;
    let told = alerts(&world).await.remove(0);
    let expected = [
        ("gone".to_owned(), DeliveryState::Dead),
        (SECOND.to_owned(), DeliveryState::Pending),
        ("ears".to_owned(), DeliveryState::Pending),
    ];
    assert_eq!(targets(&told), expected);
}

#[tokio::test]
async fn what_is_wrong_with_the_gateway_is_told_once_within_the_cooldown() {
    let world = world();
    let alarm = || GatewayNotice::Alarm { alarm: "overdue", detail: "a job is late".to_owned() };
    world.store.tell_of_gateway(alarm(), t(0)).await.unwrap();
    settle_all(&world, t(1), Verdict::Delivered).await;
    let cleared = GatewayNotice::Cleared { alarm: "overdue", since: t(0) };
    world.store.tell_of_gateway(cleared, t(1000)).await.unwrap();
    let told = settle_all(&world, t(1001), Verdict::Delivered).await;
    assert_eq!(told[0]["type"], "gateway.alarm_cleared");
    for second in 2..50 {
        world.store.tell_of_gateway(alarm(), t(second * 1000)).await.unwrap();
    }
    assert_eq!(alerts(&world).await.len(), 1);
    world.store.tell_of_gateway(alarm(), t(3_600_001)).await.unwrap();
    assert_eq!(alerts(&world).await.len(), 2);
}

#[tokio::test]
async fn a_test_goes_to_each_route_and_counts_for_no_job() {
    let world = world();
    let job = silent_job(&world, "tested").await;
    let targets = vec![Target::parse_text(PAGER).unwrap(), Target::parse_text(SECOND).unwrap()];
    let named = Some((job.id.clone(), "tested".to_owned()));
    let test = SyntheticAlert { purpose: AlertPurpose::Test, job: named, targets, ask: None };
    let event = world.store.raise_synthetic(test, t(1)).await.unwrap();
    let told = settle_all(&world, t(2), Verdict::Delivered).await;
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|told| told["purpose"] == "test" && told["jobId"] == "tested"));
    assert_eq!(world.store.alert(event).await.unwrap().unwrap().status(), DeliveryStatus::Delivered);
    let state = world.state(&job.id).await;
    assert_eq!((state.alerts.is_empty(), state.last_alert), (true, None));
}

#[tokio::test]
async fn what_was_told_is_known_after_a_restart() {
    let world = world();
    let job = silent_job(&world, "shaky").await;
    runs(&world, &job, 1, [failed(ErrorReason::Timeout), failed(ErrorReason::Timeout)]).await;
    let world = world.reopen();
    world.store.set_alerts(GatewayAlerts::parse(json!({ "to": PAGER }), None).unwrap());
    runs(&world, &job, 3, [failed(ErrorReason::Timeout)]).await;
    assert_eq!(alerts(&world).await.len(), 1);
}
