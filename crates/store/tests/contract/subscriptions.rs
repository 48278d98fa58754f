//! Subscriptions: who asked for a kind of event gets it, written with what it tells of, and never counts for a run.

use clawhook_model::{CompletionStatus, DeliveryState, ErrorReason, RunOutcome, UnixMs};
use clawhook_store::{Claim, Claimed, NextRun, OccurrenceOutcome, Verdict};
use serde_json::{Value, json};

use crate::destinations::{define, definition};
use crate::outbox::settle_as;
use crate::world::{World, claim, finish, t};

async fn subscribe(world: &World, name: &str, events: Value) {
    define(world, name, json!({ "subscriptions": [{ "events": events }] })).await;
}

/// The types of the events that wait for a destination, in their order.
async fn told(world: &World, now: UnixMs) -> Vec<String> {
    let mut leased = world.lease(now).await;
    leased.sort_by_key(|delivery| delivery.event_id);
    leased
        .iter()
        .map(|delivery| {
            let body: Value = serde_json::from_slice(&delivery.body).expect("events are JSON");
            assert!(body["type"].is_null() || body["type"] == delivery.kind.as_str());
            delivery.kind.as_str().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn changes_of_a_job_are_told() {
    let world = World::new();
    subscribe(&world, "audit", json!(["job.added", "job.updated", "job.removed"])).await;
    let job = world.add_with("seen", json!({ "delivery": { "mode": "none" } })).await;
    let renamed = job.definition.patched(json!({ "name": "other" }), t(1)).unwrap();
    world.edit(&job, renamed, NextRun::Keep, t(2)).await;
    world.remove(&job.id, t(3)).await;
    world.remove(&job.id, t(4)).await;
    assert_eq!(told(&world, t(5)).await, ["job.added", "job.updated", "job.removed"]);
}

#[tokio::test]
async fn instants_that_pass_without_a_run_are_told() {
    let world = World::new();
    subscribe(&world, "watch", json!(["run.missed", "run.skipped"])).await;
    let job = world.add("away").await;
    let passed = vec![
        (t(1000), OccurrenceOutcome::Missed("the gateway was not running".to_owned())),
        (t(2000), OccurrenceOutcome::Skipped("the run before was under way".to_owned())),
    ];
    let claim = Claim { passed, ..claim(&job.id, t(1000), None, Some(t(3000))) };
    assert_eq!(world.store.claim(vec![claim], t(2500)).await.unwrap(), [Claimed::Won(Vec::new())]);
    let mut kinds = told(&world, t(2500)).await;
    kinds.sort();
    assert_eq!(kinds, ["run.missed", "run.skipped"]);
}

#[tokio::test]
async fn a_finished_run_is_told_by_status_and_does_not_wait_for_those_who_listen() {
    let world = World::new();
    let failures = json!({ "subscriptions": [{ "events": ["run.finished"], "statuses": ["error"] }] });
    define(&world, "pager", failures).await;
    let job = world.add("loud").await;
    let first = world.run(&job, t(1000)).await;
    assert_eq!(
        world.store.run(first.id).await.unwrap().unwrap().deliveries.len(),
        1,
        "a success is not told"
    );
    let (_, run) = world.claim(&job, t(2000), Some(t(3000))).await;
    let failed = RunOutcome::error(ErrorReason::Timeout, "too long");
    world.store.finish_run(finish(&job, &run, failed, t(2000))).await.unwrap();
    let record = world.store.run(run.id).await.unwrap().unwrap();
    let required: Vec<bool> = record.deliveries.iter().map(|delivery| delivery.required).collect();
    assert_eq!(required, [true, false]);
    for delivery in world.lease(t(2000)).await {
        let own = record.deliveries.iter().find(|known| known.id == delivery.id);
        let verdict = if own.is_some_and(|own| !own.required) { Verdict::Dead } else { Verdict::Delivered };
        world.store.settle_attempt(settle_as(&delivery, t(2001), verdict)).await.unwrap();
    }
    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(record.deliveries[1].state, DeliveryState::Dead);
    assert_eq!(record.delivery_status(), clawhook_model::DeliveryStatus::Delivered);
}

#[tokio::test]
async fn a_destination_that_a_job_names_and_that_listens_gets_the_event_once() {
    let world = World::new();
    subscribe(&world, "ops", json!(["run.finished"])).await;
    let delivery = json!({ "mode": "webhook", "destination": "ops" });
    let job = world.add_with("both", json!({ "delivery": delivery })).await;
    let run = world.run(&job, t(1000)).await;
    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!((record.deliveries.len(), record.deliveries[0].required), (1, true));
}

#[tokio::test]
async fn a_success_after_failures_is_told_once() {
    let world = World::new();
    subscribe(&world, "relief", json!(["job.recovered"])).await;
    let job = world.add_with("shaky", json!({ "delivery": { "mode": "none" } })).await;
    let outcomes = [
        RunOutcome::error(ErrorReason::Timeout, "too long"),
        RunOutcome::error(ErrorReason::Timeout, "too long"),
        RunOutcome::ok("well"),
        RunOutcome::ok("well"),
    ];
    for (second, outcome) in (1..).zip(outcomes) {
        let (_, run) = world.claim(&job, t(second * 1000), Some(t(second * 1000 + 1000))).await;
        world.store.finish_run(finish(&job, &run, outcome, t(second * 1000))).await.unwrap();
    }
    let leased = world.lease(t(9000)).await;
    assert_eq!(leased.len(), 1);
    let body: Value = serde_json::from_slice(&leased[0].body).unwrap();
    assert_eq!((body["type"].as_str(), body["failures"].as_u64()), (Some("job.recovered"), Some(2)));
}

#[tokio::test]
async fn a_dead_delivery_is_told_and_the_death_of_that_telling_is_not() {
    let world = World::new();
    subscribe(&world, "morgue", json!(["delivery.dead"])).await;
    let job = world.add("doomed").await;
    let run = world.run(&job, t(1000)).await;
    for expected in [1, 1, 0] {
        let leased = world.lease(t(3000)).await;
        assert_eq!(leased.len(), expected);
        for delivery in leased {
            world.store.settle_attempt(settle_as(&delivery, t(2001), Verdict::Dead)).await.unwrap();
        }
    }
    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(record.completion(), Some(CompletionStatus::Failed));
}

#[tokio::test]
async fn who_no_longer_listens_is_told_nothing() {
    let world = World::new();
    let relief = define(&world, "audit", json!({ "subscriptions": [{ "events": ["job.added"] }] })).await;
    world
        .store
        .update_destination(relief.id, relief.revision, definition(&json!({})), None, t(1))
        .await
        .unwrap();
    world.add("unseen").await;
    assert!(told(&world, t(5)).await.is_empty());
}
