//! Results that somebody is to acknowledge: sent again until somebody does, then to who is next, and never twice at once.

use clawhook_model::{AckState, Acknowledgement, Delivery, DeliveryState, Job, UnixMs};
use clawhook_store::{
    Acknowledged, Ask, AskAnswer, DeliveryCancelled, DeliveryFilter, SettleAttempt, Verdict,
};
use serde_json::{Value, json};

use crate::outbox::settle_as;
use crate::world::{World, t};

const SECOND: &str = "https://example.com/second";

async fn insistent(world: &World, acknowledge: Value) -> Job {
    let delivery = json!({ "mode": "webhook", "to": "https://example.com/hook", "acknowledge": acknowledge });
    world.add_with("insist", json!({ "delivery": delivery })).await
}

async fn deliveries(world: &World) -> Vec<Delivery> {
    let filter = DeliveryFilter { limit: 100, ..DeliveryFilter::default() };
    let mut deliveries = world.store.deliveries(filter).await.expect("the deliveries").deliveries;
    deliveries.reverse();
    deliveries
}

async fn settle_all(world: &World, now: UnixMs, verdict: Verdict) -> usize {
    let leased = world.lease(now).await;
    for delivery in &leased {
        assert!(delivery.asks);
        world.store.settle_attempt(settle_as(delivery, now, verdict.clone())).await.expect("it is settled");
    }
    leased.len()
}

async fn ask(world: &World, now: UnixMs) -> Vec<bool> {
    let mut answered = Vec::new();
    for ask in world.store.due_asks(now, 10).await.expect("the asks") {
        answered.push(world.store.answer_ask(ask, AskAnswer::Ask, now).await.expect("it is answered"));
    }
    answered
}

async fn acknowledgement(world: &World) -> Acknowledgement {
    deliveries(world).await[0].acknowledgement.clone().expect("it asks")
}

#[tokio::test]
async fn what_nobody_acknowledges_is_sent_again_and_then_goes_to_who_is_next() {
    let world = World::new();
    let job = insistent(&world, json!({ "within": "1m", "times": 2, "then": [{ "to": SECOND }] })).await;
    let run = world.run(&job, t(1000)).await;
    let mut now = t(1000);
    for expected in ["hook", "hook", "hook", "second", "second", "second"] {
        assert_eq!(settle_all(&world, now, Verdict::Delivered).await, 1);
        let all = deliveries(&world).await;
        assert!(all.last().unwrap().target.shown().ends_with(expected), "{expected}");
        assert_eq!(
            ask(&world, now.plus_millis(59_999)).await.len(),
            0,
            "nobody is asked before the time is over"
        );
        now = now.plus_millis(60_000);
        assert_eq!(world.store.next_ask().await.unwrap(), Some(now));
        assert_eq!(ask(&world, now).await, [true]);
    }
    assert_eq!(world.store.next_ask().await.unwrap(), None);
    let all = deliveries(&world).await;
    assert!(all.iter().all(|delivery| delivery.event_id == all[0].event_id), "it is one event");
    assert!(all.windows(2).all(|pair| pair[1].after == Some(pair[0].id)), "each names the one before");
    assert_eq!(acknowledgement(&world).await.state, AckState::Unacknowledged);
    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(record.delivery_status(), clawhook_model::DeliveryStatus::Delivered);
}

#[tokio::test]
async fn an_acknowledgement_ends_the_asking_and_calls_off_what_is_on_its_way() {
    let world = World::new();
    let job = insistent(&world, json!({ "within": "1m", "times": 3 })).await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Delivered).await;
    ask(&world, t(61_000)).await;
    let first = deliveries(&world).await[0].id;
    let done = world.store.acknowledge(first, "anna".to_owned(), t(62_000)).await.unwrap();
    assert_eq!(done, Acknowledged::Done);
    assert_eq!(deliveries(&world).await[1].state, DeliveryState::Cancelled);
    let acknowledged = acknowledgement(&world).await;
    let expected = (AckState::Acknowledged, Some("anna".to_owned()), Some(t(62_000)));
    assert_eq!((acknowledged.state, acknowledged.by, acknowledged.at), expected);
    assert_eq!(world.store.next_ask().await.unwrap(), None);
    let again = world.store.acknowledge(first, "bert".to_owned(), t(63_000)).await.unwrap();
    assert_eq!(again, Acknowledged::Before);
    assert_eq!(acknowledgement(&world).await.by.as_deref(), Some("anna"));
}

#[tokio::test]
async fn the_receiver_can_acknowledge_with_its_answer() {
    let world = World::new();
    let job = insistent(&world, json!({})).await;
    world.run(&job, t(1000)).await;
    let leased = world.lease(t(1000)).await;
    let settle = SettleAttempt { acknowledged: true, ..settle_as(&leased[0], t(1001), Verdict::Delivered) };
    world.store.settle_attempt(settle).await.unwrap();
    let acknowledged = acknowledgement(&world).await;
    assert_eq!((acknowledged.state, acknowledged.by.as_deref()), (AckState::Acknowledged, Some("receiver")));
    assert_eq!(world.store.next_ask().await.unwrap(), None);
}

#[tokio::test]
async fn a_rung_that_dies_gives_way_at_once() {
    let world = World::new();
    let job = insistent(&world, json!({ "then": [SECOND] })).await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Dead).await;
    let all = deliveries(&world).await;
    assert_eq!((all[0].state, all[1].state), (DeliveryState::Dead, DeliveryState::Pending));
    assert_eq!((all[1].target.shown().as_str(), all[1].required), (SECOND, false));
}

#[tokio::test]
async fn an_asking_is_answered_once_however_often_it_is_looked_at() {
    let world = World::new();
    let job = insistent(&world, json!({ "within": "1m" })).await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Delivered).await;
    let due: Vec<Ask> = world.store.due_asks(t(61_000), 10).await.unwrap();
    let answers = [AskAnswer::Postpone(t(90_000)), AskAnswer::Ask, AskAnswer::Ask];
    let mut done = Vec::new();
    for answer in answers {
        done.push(world.store.answer_ask(due[0].clone(), answer, t(61_000)).await.unwrap());
    }
    assert_eq!(done, [true, false, false]);
    assert_eq!(world.store.next_ask().await.unwrap(), Some(t(90_000)));
    assert_eq!(deliveries(&world).await.len(), 1);
}

#[tokio::test]
async fn nobody_is_asked_for_silence_or_for_what_a_person_has_ended() {
    let world = World::new();
    let job = insistent(&world, json!({})).await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    world.end(&job, &run, clawhook_model::RunOutcome::ok(""), t(1000)).await;
    assert_eq!(deliveries(&world).await[0].acknowledgement, None);
    world.run(&job, t(2000)).await;
    let waits = deliveries(&world).await[1].id;
    assert_eq!(world.store.cancel_delivery(waits, t(2001)).await.unwrap(), DeliveryCancelled::Done);
    let ended = deliveries(&world).await[1].acknowledgement.clone().unwrap();
    assert_eq!(ended.state, AckState::Ended);
    let plain = world.add("plain").await;
    world.run(&plain, t(1000)).await;
    let unasked = deliveries(&world).await[2].id;
    let refused = world.store.acknowledge(unasked, "anna".to_owned(), t(3000)).await.unwrap();
    assert_eq!(refused, Acknowledged::NotAsked);
}

#[tokio::test]
async fn what_waits_for_an_acknowledgement_survives_a_restart() {
    let world = World::new();
    let job = insistent(&world, json!({ "within": "1m" })).await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Delivered).await;
    let world = world.reopen();
    assert_eq!(world.store.next_ask().await.unwrap(), Some(t(61_000)));
    assert_eq!(ask(&world, t(61_000)).await, [true]);
    assert_eq!(settle_all(&world, t(61_000), Verdict::Delivered).await, 1);
}
