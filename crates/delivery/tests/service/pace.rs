//! How fast and in which order a destination is sent to.

use std::time::Duration;

use clawhook_model::{DeliveryId, DeliveryState, DestinationId};
use serde_json::json;

use super::receiver::{Answer, Receiver};
use super::world::{T0, World, seconds};

/// Accepts so many deliveries while nothing may be sent.
async fn gather(world: &World, ops: DestinationId, count: usize) -> Vec<DeliveryId> {
    world.pause(ops).await;
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(world.accept_for("ops").await);
    }
    ids
}

#[tokio::test]
async fn a_wish_to_be_left_alone_holds_for_all_that_wait_and_for_nobody_else() {
    for (max_retry_after, asked, held) in [("1h", 30, 30), ("10s", 3600, 10)] {
        let world = World::new();
        let mut there = Receiver::start([Answer::later(429, asked)]).await;
        let mut elsewhere = Receiver::well().await;
        let retry = json!({ "schedule": ["5s"], "maxRetryAfter": max_retry_after });
        world.define("ops", json!({ "url": there.url, "retry": retry })).await;
        let first = world.accept_for("ops").await;
        there.next().await;
        world.attempts(first, 1).await;
        let others = [world.accept_for("ops").await, world.accept_for("ops").await];
        let (other, _) = world.accept(&elsewhere.url).await;
        elsewhere.next().await;
        world.settled(other, DeliveryState::Delivered).await;
        let until = T0.plus(seconds(held));
        world.rests_until(until).await;
        assert_eq!((world.untried(&others).await, there.unasked()), (2, 0));
        world.clock.set(until);
        there.take(2).await;
        for id in others {
            assert_eq!(world.attempts(id, 1).await.delivery.state, DeliveryState::Delivered);
        }
        assert!(world.story(first).await.delivery.next_at >= Some(until), "its jitter comes on top");
        world.move_until_delivered(&[first]).await;
    }
}

#[tokio::test]
async fn ten_failures_open_the_circuit_and_one_probe_finds_out_whether_it_is_well() {
    let world = World::with(|options| {
        (options.max_concurrent, options.max_concurrent_per_destination) = (64, 32);
    });
    let mut there = Receiver::always(500).await;
    let ops = world.define("ops", json!({ "url": there.url })).await;
    let ids = gather(&world, ops, 30).await;
    world.resume(ops).await;
    let mut seen = there.take(16).await;
    world.rests_until(T0.plus(seconds(5))).await;
    assert_eq!((world.untried(&ids).await, there.unasked()), (14, 0), "its window, and no more");
    world.destination_once(ops, |ops| ops.failing_since == Some(T0)).await;

    world.clock.set(T0.plus(seconds(5)));
    seen.push(there.next().await);
    world.rests_until(T0.plus(seconds(15))).await;
    assert_eq!(there.unasked(), 0, "one probe, and then twice the time");
    assert_eq!(world.destination(ops).await.failing_since, Some(T0));

    there.answers(200);
    world.clock.set(T0.plus(seconds(15)));
    world.move_until_delivered(&ids).await;
    world.destination_once(ops, |ops| ops.failing_since.is_none()).await;
    seen.extend(there.take(30).await);
    assert_eq!(there.unasked(), 0);
    for id in ids {
        let story = world.story(id).await;
        let event_id = story.delivery.event_id.to_string();
        let arrived = seen.iter().filter(|request| request.headers["webhook-id"] == event_id).count();
        assert_eq!(story.attempts.len(), arrived, "no try is counted that was not made");
    }
}

#[tokio::test]
async fn a_receiver_sees_the_events_of_a_job_in_their_order_whatever_fails() {
    let world = World::new();
    let mut there = Receiver::start([500]).await;
    world.define("ops", json!({ "url": there.url, "order": "job" })).await;
    let mut job = world.job_for("ops").await;
    let events: [&'static [u8]; 3] = [br#"{"n":1}"#, br#"{"n":2}"#, br#"{"n":3}"#];
    let mut ids = Vec::new();
    for event in events {
        ids.push(world.finish(&mut job, event).await.0);
    }
    assert_eq!(there.next().await.body, events[0]);
    world.attempts(ids[0], 1).await;
    assert_eq!((world.untried(&ids[1..]).await, there.unasked()), (2, 0));
    world.move_to_next(ids[0]).await;
    for event in events {
        assert_eq!(there.next().await.body, event);
    }
    world.settled(ids[2], DeliveryState::Delivered).await;
}

#[tokio::test]
async fn a_rate_is_kept_by_the_clock() {
    let world = World::new();
    let mut there = Receiver::well().await;
    let limits = json!({ "perSecond": 2 });
    let ops = world.define("ops", json!({ "url": there.url, "limits": limits })).await;
    let ids = gather(&world, ops, 6).await;
    world.resume(ops).await;
    there.take(2).await;
    for half_seconds in 1..=4 {
        let next = T0.plus(half_seconds * Duration::from_millis(500));
        world.rests_until(next).await;
        assert_eq!(there.unasked(), 0, "no more than the rate");
        world.clock.set(next);
        there.next().await;
    }
    world.move_until_delivered(&ids).await;
}
