//! What a run still brings after it was given up.

use bytes::Bytes;
use clawhook_model::{
    CompletionStatus, DeliveryId, DeliveryStatus, ErrorReason, EventId, EventKind, RunOutcome,
    plan_deliveries,
};
use clawhook_store::{LateEvent, LateResult, NewDelivery, Verdict};

use crate::outbox::{settle_all, settle_as};
use crate::world::{World, t};

fn given_up() -> RunOutcome {
    RunOutcome::error(ErrorReason::Timeout, "too long")
}

#[tokio::test]
async fn a_late_result_is_kept_beside_its_run_once_and_only_when_the_run_is_over() {
    let world = World::new();
    let job = world.add("late").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    let outcome = RunOutcome::ok("at last");
    let late = LateResult {
        run_id: run.id,
        job_id: job.id.clone(),
        agent_id: run.agent_id.clone(),
        at: t(5000),
        outcome: outcome.clone(),
        event: None,
        day: 0,
    };
    assert!(!world.store.record_late(late.clone()).await.unwrap(), "it is still under way");
    world.end(&job, &run, given_up(), t(2000)).await;
    assert!(world.store.record_late(late.clone()).await.unwrap());
    let second = LateResult { at: t(6000), outcome: RunOutcome::ok("once more"), ..late };
    assert!(!world.store.record_late(second).await.unwrap());
    let world = world.reopen();
    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(record.late, Some((t(5000), Box::new(outcome))));
    assert_eq!(record.completion(), Some(CompletionStatus::Failed), "it does not make the run a good one");
}

#[tokio::test]
async fn a_late_result_that_is_sent_has_an_event_of_its_own_and_the_runs_completion_does_not_wait_for_it() {
    let world = World::new();
    let job = world.add("told").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    world.end(&job, &run, given_up(), t(2000)).await;
    settle_all(&world, t(2000), Verdict::Delivered).await;
    let before = world.store.run(run.id).await.unwrap().unwrap();
    let first_event = world.store.run_event(run.id).await.unwrap().unwrap();

    let outcome = RunOutcome::ok("at last");
    let plan = plan_deliveries(&job.definition.delivery, &outcome).remove(0);
    let event = LateEvent {
        id: EventId::new(t(5000)),
        body: Bytes::from_static(b"{\"late\":true}"),
        deliveries: vec![NewDelivery { id: DeliveryId::new(t(5000)), plan }],
    };
    let (run_id, job_id, agent_id) = (run.id, job.id.clone(), run.agent_id.clone());
    let late =
        LateResult { run_id, job_id, agent_id, at: t(5000), outcome, event: Some(event.clone()), day: 0 };
    assert!(world.store.record_late(late).await.unwrap());
    let leased = world.lease(t(5000)).await;
    assert_eq!((leased.len(), leased[0].kind, &leased[0].body), (1, EventKind::RunLate, &event.body));
    assert_eq!(world.store.run_event(run.id).await.unwrap().unwrap().id, first_event.id);
    world.store.settle_attempt(settle_as(&leased[0], t(5001), Verdict::Dead)).await.unwrap();
    let after = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(after.deliveries.len(), 2);
    assert_eq!(after.delivery_status(), DeliveryStatus::Delivered);
    assert_eq!(after.completion(), before.completion());
}
