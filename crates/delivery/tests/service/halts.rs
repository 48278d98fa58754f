//! What halts a destination, what becomes of what waits for it, and what lets it go on.

use std::time::Duration;

use clawhook_model::{DeliveryId, DeliveryState, Destination, DestinationId, HaltReason, Standing};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::world::{T0, World, seconds};

const HOUR: Duration = Duration::from_hours(1);

/// Many short retries: none is used up before the destination is halted.
fn patient(there: &Receiver) -> Value {
    json!({ "url": there.url, "retry": { "schedule": vec!["5s"; 30], "window": "30d" } })
}

fn halted_for(reason: HaltReason) -> impl Fn(&Destination) -> bool {
    move |destination| destination.standing.halt().is_some_and(|halt| halt.reason == reason)
}

async fn accept(world: &World, count: usize) -> Vec<DeliveryId> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(world.accept_for("ops").await);
    }
    ids
}

/// A destination that fails from the start, with its circuit open; two deliveries were never tried.
async fn failing(world: &World, there: &mut Receiver) -> (DestinationId, Vec<DeliveryId>) {
    let ops = world.define("ops", patient(there)).await;
    let ids = accept(world, 12).await;
    there.take(10).await;
    world.destination_once(ops, |ops| ops.failing_since == Some(T0)).await;
    world.rests_until(T0.plus(seconds(5))).await;
    (ops, ids)
}

#[tokio::test]
async fn i04_who_is_gone_is_paused_and_gets_all_that_waited_once_resumed() {
    let world = World::new();
    let mut there = Receiver::always(410).await;
    let ops = world.define("ops", json!({ "url": there.url })).await;
    let first = world.accept_for("ops").await;
    there.next().await;
    world.attempts(first, 1).await;
    let paused = world.destination_once(ops, halted_for(HaltReason::Gone)).await;
    assert!(matches!(paused.standing, Standing::Paused(_)));
    let mut ids = accept(&world, 3).await;
    world.goes_on_elsewhere().await;
    assert_eq!((world.untried(&ids).await, there.unasked()), (3, 0));
    assert_eq!(world.story(first).await.delivery.state, DeliveryState::Waiting);

    there.answers(200);
    world.resume(ops).await;
    ids.push(first);
    world.move_until_delivered(&ids).await;
    assert_eq!(there.unasked(), 4);
}

#[tokio::test]
async fn i04_who_keeps_failing_is_paused_then_disabled_and_keeps_what_waits() {
    let world = World::with(|options| {
        (options.pause_after, options.disable_after) = (seconds(12), 2 * HOUR);
    });
    let mut there = Receiver::always(500).await;
    let (ops, mut ids) = failing(&world, &mut there).await;
    for (at, reason) in [(5, None), (15, Some(HaltReason::Failing))] {
        world.move_to(T0.plus(seconds(at))).await;
        there.next().await;
        world.rests_until(T0.plus(if at == 5 { seconds(15) } else { seconds(15) + HOUR })).await;
        let standing = world.destination(ops).await.standing;
        assert_eq!(standing.halt().map(|halt| halt.reason), reason);
    }
    ids.extend(accept(&world, 2).await);
    for hours in 1..=2 {
        let next = T0.plus(seconds(15) + hours * HOUR);
        world.rests_until(next).await;
        assert_eq!(there.unasked(), 0, "one probe an hour");
        world.clock.set(next);
        there.next().await;
    }
    let disabled = world.destination_once(ops, |ops| matches!(ops.standing, Standing::Disabled(_))).await;
    assert!(halted_for(HaltReason::Failing)(&disabled));
    world.clock.advance(10 * HOUR);
    world.goes_on_elsewhere().await;
    assert_eq!(there.unasked(), 0, "a person must resume it");
    for id in &ids {
        assert!(!world.story(*id).await.delivery.state.is_settled());
    }

    there.answers(200);
    world.resume(ops).await;
    world.move_until_delivered(&ids).await;
    world.destination_once(ops, |ops| ops.failing_since.is_none()).await;
}

#[tokio::test]
async fn a_probe_that_gets_an_answer_ends_a_pause_because_of_failure() {
    for status in [200, 404, 429] {
        let world = World::with(|options| options.pause_after = seconds(4));
        let mut there = Receiver::always(500).await;
        let (ops, ids) = failing(&world, &mut there).await;
        world.move_to(T0.plus(seconds(5))).await;
        there.next().await;
        world.rests_until(T0.plus(seconds(5) + HOUR)).await;
        assert!(halted_for(HaltReason::Failing)(&world.destination(ops).await));
        there.answers(status);
        world.clock.set(T0.plus(seconds(5) + HOUR));
        there.next().await;
        there.answers(200);
        world.destination_once(ops, |ops| ops.standing == Standing::Active).await;
        world.destination_once(ops, |ops| ops.failing_since.is_none()).await;
        world.move_until_delivered(&ids).await;
    }
}

#[tokio::test]
async fn a_probe_that_finds_the_receiver_gone_does_not_end_the_pause() {
    let world = World::with(|options| options.pause_after = seconds(4));
    let mut there = Receiver::always(500).await;
    let (ops, _) = failing(&world, &mut there).await;
    world.move_to(T0.plus(seconds(5))).await;
    there.next().await;
    world.rests_until(T0.plus(seconds(5) + HOUR)).await;
    there.answers(410);
    world.clock.set(T0.plus(seconds(5) + HOUR));
    there.next().await;
    world.destination_once(ops, halted_for(HaltReason::Gone)).await;
    world.goes_on_elsewhere().await;
    assert!(halted_for(HaltReason::Gone)(&world.destination(ops).await));
    assert_eq!(there.unasked(), 0);
}

#[tokio::test]
async fn a_failure_that_an_earlier_process_noted_is_over_with_the_first_success() {
    let world = World::new();
    let mut there = Receiver::start([200, 500]).await;
    let ops = world.define("ops", patient(&there)).await;
    world.store.note_failing(ops, Some(T0.plus_millis(-1))).await.unwrap();
    let first = world.accept_for("ops").await;
    there.next().await;
    world.settled(first, DeliveryState::Delivered).await;
    world.destination_once(ops, |ops| ops.failing_since.is_none()).await;
    world.clock.advance(25 * HOUR);
    let second = world.accept_for("ops").await;
    world.attempts(second, 1).await;
    world.goes_on_elsewhere().await;
    assert_eq!(world.destination(ops).await.standing, Standing::Active, "one failure is no long outage");
}
