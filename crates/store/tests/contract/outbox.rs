//! Deliveries: leased behind a fence, settled once, and never lost.

use std::sync::Arc;

use clawhook_model::{
    Attempt, AttemptClass, AttemptReport, CompletionStatus, DeliveryId, DeliveryState, PhaseTimings, UnixMs,
};
use clawhook_store::{
    DeliveryFilter, DeliveryRetried, LeasedDelivery, SettleAttempt, Settled, Spends, Store, Topic, Verdict,
};
use proptest::prelude::*;

use crate::world::{World, t};

pub(crate) fn settle_as(delivery: &LeasedDelivery, now: UnixMs, verdict: Verdict) -> SettleAttempt {
    let class =
        if verdict == Verdict::Delivered { AttemptClass::Delivered } else { AttemptClass::ServerError };
    let report = AttemptReport::failed(class, "as told", PhaseTimings::default());
    let decision = "as told".to_owned();
    let number = delivery.attempt;
    let attempt =
        Attempt { delivery_id: delivery.id, number, started_at: now, report, next_at: None, decision };
    let reason = (verdict != Verdict::Delivered).then(|| "as told".to_owned());
    SettleAttempt {
        delivery_id: delivery.id,
        lease: delivery.lease,
        attempt,
        verdict,
        reason,
        acknowledged: false,
        now,
    }
}

/// Leases everything that is due and settles it so.
pub(crate) async fn settle_all(world: &World, now: UnixMs, verdict: Verdict) {
    for delivery in world.lease(now).await {
        let settled = world.store.settle_attempt(settle_as(&delivery, now, verdict.clone())).await;
        assert_eq!(settled.expect("the attempt is settled"), Settled::Done);
    }
}

async fn state(store: &Arc<dyn Store>, id: DeliveryId) -> DeliveryState {
    store.delivery(id).await.expect("the store answers").expect("the delivery").delivery.state
}

#[tokio::test]
async fn a_delivery_is_in_one_workers_hands_at_a_time() {
    let world = World::new();
    let job = world.add("fair").await;
    world.run(&job, t(1000)).await;
    assert_eq!(world.lease(t(1000)).await.len(), 1);
    assert!(world.lease(t(1000)).await.is_empty());
}

#[tokio::test]
async fn i05_a_worker_that_lost_its_lease_changes_nothing() {
    let world = World::new();
    let job = world.add("zombie").await;
    world.run(&job, t(1000)).await;
    let stale = world.lease(t(1000)).await.remove(0);
    let fresh = world.lease(t(50_000)).await.remove(0);
    assert_eq!(fresh.attempt, 2);
    let late = world.store.settle_attempt(settle_as(&stale, t(50_001), Verdict::Dead)).await.unwrap();
    assert_eq!(late, Settled::LeaseLost);
    assert_eq!(state(&world.store, stale.id).await, DeliveryState::Leased);
    let settled = world.store.settle_attempt(settle_as(&fresh, t(50_002), Verdict::Delivered)).await.unwrap();
    assert_eq!(settled, Settled::Done);
    let story = world.store.delivery(stale.id).await.unwrap().unwrap();
    let classes: Vec<_> =
        story.attempts.iter().map(|attempt| (attempt.number, attempt.report.class)).collect();
    assert_eq!(classes, [(1, AttemptClass::Interrupted), (2, AttemptClass::Delivered)]);
}

#[tokio::test]
async fn the_leases_of_a_dead_owner_are_void_at_once() {
    let world = World::new();
    let job = world.add("killed").await;
    world.run(&job, t(1000)).await;
    let before = world.lease(t(1000)).await.remove(0);
    let world = world.reopen();
    world.store.recover().await.unwrap();
    let after = world.lease(t(1100)).await.remove(0);
    assert_eq!((after.id, after.event_id), (before.id, before.event_id), "i09: one id for ever");
    assert_eq!((after.attempt, after.retries_used), (2, 0), "an interrupted attempt uses up no retry");
}

#[tokio::test]
async fn a_retry_waits_for_its_time_and_a_dead_one_for_a_person() {
    let world = World::new();
    let job = world.add("patient").await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::RetryAt { at: t(6000), spends: Spends::Retry }).await;
    assert!(world.lease(t(5999)).await.is_empty());
    assert_eq!(world.next_due(t(5000)).await, Some(t(6000)));
    let again = world.lease(t(6000)).await.remove(0);
    assert_eq!((again.attempt, again.retries_used), (2, 1));
    world.store.settle_attempt(settle_as(&again, t(6001), Verdict::Dead)).await.unwrap();
    assert_eq!(world.next_due(t(6001)).await, None);
    assert_eq!(world.store.retry_delivery(again.id, t(9000)).await.unwrap(), DeliveryRetried::Due);
    let by_hand = world.lease(t(9000)).await.remove(0);
    assert_eq!((by_hand.attempt, by_hand.retries_used), (3, 0), "numbers go on, the schedule starts over");
    world.store.settle_attempt(settle_as(&by_hand, t(9001), Verdict::Delivered)).await.unwrap();
    assert_eq!(
        world.store.retry_delivery(again.id, t(9002)).await.unwrap(),
        DeliveryRetried::AlreadyDelivered
    );
}

#[tokio::test]
async fn i04_removing_or_disabling_a_job_drops_nothing_that_waits() {
    let world = World::new();
    let job = world.add("gone").await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::RetryAt { at: t(2000), spends: Spends::Retry }).await;
    world.remove(&job.id, t(1500)).await;
    settle_all(&world, t(2000), Verdict::Delivered).await;
    let filter = DeliveryFilter { job_id: Some(job.id.clone()), limit: 10, ..DeliveryFilter::default() };
    let page = world.store.deliveries(filter).await.unwrap();
    assert_eq!(page.deliveries[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn who_waits_for_work_is_told_of_it() {
    let world = World::new();
    let job = world.add("told").await;
    let (mut outbox, mut settled) =
        (world.store.subscribe(Topic::Outbox), world.store.subscribe(Topic::Settled));
    outbox.mark_unchanged();
    settled.mark_unchanged();
    world.run(&job, t(1000)).await;
    assert!(outbox.has_changed().unwrap() && settled.has_changed().unwrap());
}

#[tokio::test]
async fn what_there_is_is_counted() {
    let world = World::new();
    let job = world.add("counted").await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(1000), Verdict::Dead).await;
    world.run(&job, t(2000)).await;
    let counts = world.store.counts(t(5000)).await.unwrap();
    assert_eq!((counts.jobs, counts.jobs_enabled, counts.next_run_at), (1, 1, Some(t(3000))));
    assert_eq!((counts.deliveries_open, counts.deliveries_dead.total()), (1, 1));
    assert_eq!(counts.oldest_due_delivery_at, Some(t(2000)));
}

/// What may happen to a delivery, in any order.
#[derive(Debug, Clone)]
enum Step {
    Lease,
    Deliver,
    Retry,
    GiveUp,
    ByHand,
    Restart,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Lease),
        1 => Just(Step::Deliver),
        2 => Just(Step::Retry),
        1 => Just(Step::GiveUp),
        1 => Just(Step::ByHand),
        1 => Just(Step::Restart),
        2 => (1u16..60_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens, in whatever order: the delivery stands in exactly one state that fits its facts, attempts are
    /// numbered without gaps, and once delivered it stays so.
    #[test]
    fn i04_no_order_of_events_loses_a_delivery(steps in proptest::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            let job = world.add("any").await;
            let run = world.run(&job, t(1000)).await;
            let id = world.store.run(run.id).await.unwrap().unwrap().deliveries[0].id;
            let (mut now, mut held, mut delivered) = (t(2000), None, false);
            for step in steps {
                match step {
                    Step::Lease => held = world.lease(now).await.pop().or(held),
                    Step::Wait(ms) => now = now.plus_millis(i64::from(ms)),
                    Step::ByHand => { world.store.retry_delivery(id, now).await.unwrap(); }
                    Step::Restart => {
                        world = world.reopen();
                        world.store.recover().await.unwrap();
                    }
                    Step::Deliver | Step::Retry | Step::GiveUp => {
                        let Some(lease) = held.take() else { continue };
                        let verdict = match step {
                            Step::Deliver => Verdict::Delivered,
                            Step::Retry => Verdict::RetryAt { at: now.plus_millis(500), spends: Spends::Retry },
                            _ => Verdict::Dead,
                        };
                        let settled = world.store.settle_attempt(settle_as(&lease, now, verdict.clone())).await.unwrap();
                        delivered |= settled == Settled::Done && verdict == Verdict::Delivered;
                    }
                }
                let story = world.store.delivery(id).await.unwrap().unwrap();
                let delivery = &story.delivery;
                prop_assert_eq!(delivery.state == DeliveryState::Delivered, delivered);
                let waits = matches!(delivery.state, DeliveryState::Pending | DeliveryState::Waiting);
                prop_assert_eq!(delivery.next_at.is_some(), waits);
                prop_assert_eq!(delivery.settled_at.is_some(), delivery.state.is_settled());
                let numbers: Vec<u32> = story.attempts.iter().map(|attempt| attempt.number).collect();
                prop_assert_eq!(&numbers, &(1..=u32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
                let record = world.store.run(run.id).await.unwrap().unwrap();
                prop_assert_eq!(record.completion() == Some(CompletionStatus::Succeeded), delivered);
            }
            Ok(())
        })?;
    }
}
