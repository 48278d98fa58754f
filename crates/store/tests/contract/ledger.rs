//! Occurrences and runs: one record each, one claim each, and nothing without its commit.

use clawhook_model::{
    CompletionStatus, DeliveryStatus, ErrorReason, Lane, Overlap, Role, RunId, RunOutcome, RunStatus,
    SessionId, SuppressionReason, TranscriptEntry,
};
use clawhook_store::{
    AfterRun, Claimed, NextRun, OccurrenceFilter, OccurrenceOutcome, RunFilter, RunFinished, RunStarted,
    StartRun,
};
use serde_json::json;

use crate::world::{LANE, World, claim, finish, t};

fn by_hand(job: &clawhook_model::Job, held: Vec<Lane>) -> StartRun {
    StartRun {
        job_id: job.id.clone(),
        run_id: RunId::new(t(0)),
        session_id: SessionId::random(),
        held,
        overlap: Overlap::Skip,
    }
}

#[tokio::test]
async fn i01_the_next_instant_moves_only_with_the_record_of_the_last() {
    let world = World::new();
    let job = world.add("ticks").await;
    let missed = OccurrenceOutcome::Missed("why".to_owned());
    let mut first = claim(&job.id, t(1000), None, Some(t(4000)));
    first.passed = vec![(t(1000), missed.clone()), (t(2000), missed.clone()), (t(3000), missed.clone())];
    assert_eq!(world.store.claim(vec![first], t(3500)).await.unwrap(), [Claimed::Won(Vec::new())]);
    let world = world.reopen();
    assert_eq!(world.due_at().await, Some(t(4000)));
    let recorded: Vec<_> = world.ledger(&job.id).await.into_iter().map(|(due, _)| due).collect();
    assert_eq!(recorded, [t(1000), t(2000), t(3000)]);
}

#[tokio::test]
async fn i02_an_instant_is_claimed_once() {
    let world = World::new();
    let job = world.add("once").await;
    let (first, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    let (second, _) = world.claim(&job, t(1000), Some(t(2000))).await;
    assert_eq!((first, second), (Claimed::Won(vec![run.id]), Claimed::Lost));
    assert_eq!(world.ledger(&job.id).await, [(t(1000), OccurrenceOutcome::Ran(run.id))]);
}

#[tokio::test]
async fn i02_an_instant_that_comes_again_because_the_clock_was_set_back_is_not_run_again() {
    let world = World::new();
    let job = world.add("again").await;
    let run = world.run(&job, t(1000)).await;
    let after = job.definition.patched(json!({ "description": "x" }), t(0)).unwrap();
    let back = NextRun::Set(Some(t(1000)));
    world.edit(&job, after, back, t(900)).await;
    let (claimed, _) = world.claim(&job, t(1000), Some(t(2000))).await;
    assert_eq!(claimed, Claimed::Won(Vec::new()));
    assert_eq!(world.ledger(&job.id).await, [(t(1000), OccurrenceOutcome::Ran(run.id))]);
    assert_eq!(world.due_at().await, Some(t(2000)));
    assert_eq!(world.store.counts(t(1000)).await.unwrap().runs_running, 0);
}

#[tokio::test]
async fn i02_an_instant_that_was_missed_and_comes_again_is_run_and_keeps_why_it_was_missed() {
    let world = World::new();
    let job = world.add("right").await;
    let mut first = claim(&job.id, t(1000), None, Some(t(2000)));
    first.passed = vec![(t(1000), OccurrenceOutcome::Missed("the clock was ahead".to_owned()))];
    world.store.claim(vec![first], t(1500)).await.unwrap();
    assert!(world.store.correct_next_run(&job.id, Some(t(2000)), Some(t(1000))).await.unwrap());
    let run = world.run(&job, t(1000)).await;
    let record = world.store.occurrences(OccurrenceFilter::newest(&job.id, 10)).await.unwrap().remove(0);
    assert_eq!(record.outcome, OccurrenceOutcome::Ran(run.id));
    assert_eq!(record.was_passed.as_deref(), Some("the clock was ahead"));
}

#[tokio::test]
async fn i02_a_second_gateway_on_one_store_is_told_who_holds_it() {
    let world = World::new();
    let error = crate::world::open(&world.path()).err().expect("the store is taken");
    assert!(error.to_string().contains("in use by another gateway (the test)"), "{error}");
}

#[tokio::test]
async fn a_job_with_a_run_under_way_gets_no_second_one() {
    let world = World::new();
    let job = world.add("busy").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    let (second, _) = world.claim(&job, t(2000), Some(t(3000))).await;
    assert_eq!(second, Claimed::Lost);
    let started = world.store.start_run(by_hand(&job, vec![LANE]), t(2000)).await.unwrap();
    assert!(matches!(started, RunStarted::AlreadyRunning(active) if active == run.id));
}

#[tokio::test]
async fn i03_a_finished_run_its_event_and_its_deliveries_survive_together() {
    let world = World::new();
    let job = world.add("whole").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    let mut end = finish(&job, &run, RunOutcome::ok("the output"), t(1200));
    end.transcript = vec![TranscriptEntry::said(t(1100), Role::System, "hello")];
    assert_eq!(world.store.finish_run(end.clone()).await.unwrap(), RunFinished::Done);
    let world = world.reopen();
    let record = world.store.run(run.id).await.unwrap().unwrap();
    assert_eq!(record.deliveries.len(), 1);
    assert_eq!(world.store.transcript(run.id).await.unwrap(), end.transcript);
    let leased = world.lease(t(1300)).await;
    assert_eq!((leased[0].event_id, &leased[0].body), (end.event_id, &end.event));
}

#[tokio::test]
async fn i05_a_run_is_ended_once_and_only_by_its_owner() {
    let world = World::new();
    let job = world.add("fenced").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    let world = world.reopen();
    let end = finish(&job, &run, RunOutcome::ok("late"), t(1500));
    assert_eq!(world.store.finish_run(end.clone()).await.unwrap(), RunFinished::Fenced);
    assert_eq!(world.store.recover().await.unwrap().len(), 1);
    assert_eq!(world.store.finish_run(end.clone()).await.unwrap(), RunFinished::Done);
    assert_eq!(world.store.finish_run(end).await.unwrap(), RunFinished::Fenced);
    assert_eq!(world.lease(t(2000)).await.len(), 1);
}

#[tokio::test]
async fn i07_three_facts_are_told_apart() {
    let world = World::new();
    let job = world.add("facts").await;
    let record = |id| {
        let store = world.store.clone();
        async move { store.run(id).await.unwrap().unwrap() }
    };
    let run = world.run(&job, t(1000)).await;
    let open = record(run.id).await;
    assert_eq!(
        (open.delivery_status(), open.completion()),
        (DeliveryStatus::Unknown, Some(CompletionStatus::Unknown))
    );

    let (_, silent) = world.claim(&job, t(2000), Some(t(3000))).await;
    world.store.finish_run(finish(&job, &silent, RunOutcome::ok("NO_REPLY"), t(2000))).await.unwrap();
    let silent = record(silent.id).await;
    assert_eq!(silent.suppression(), Some(SuppressionReason::Silent));
    assert_eq!(silent.completion(), Some(CompletionStatus::Succeeded));

    let (_, failed) = world.claim(&job, t(3000), Some(t(4000))).await;
    let outcome = RunOutcome::error(ErrorReason::Timeout, "too long");
    world.store.finish_run(finish(&job, &failed, outcome, t(3000))).await.unwrap();
    assert_eq!(record(failed.id).await.completion(), Some(CompletionStatus::Failed));
    let state = world.store.job(&job.id).await.unwrap().unwrap().state;
    assert_eq!(state.consecutive_errors, 1);
    assert_eq!(state.last_run.unwrap().error.as_deref(), Some("too long"));
}

#[tokio::test]
async fn a_queued_run_waits_over_a_restart_and_begins_when_there_is_a_slot() {
    let world = World::new();
    let job = world.add("queued").await;
    let start = by_hand(&job, Vec::new());
    assert!(matches!(world.store.start_run(start.clone(), t(0)).await.unwrap(), RunStarted::Queued(LANE)));
    let world = world.reopen();
    assert!(world.store.recover().await.unwrap().is_empty());
    let begun = world.store.claim_queued(LANE, 5, t(20)).await.unwrap();
    assert_eq!(begun.iter().map(|queued| queued.run.id).collect::<Vec<_>>(), [start.run_id]);
    assert!(world.store.claim_queued(LANE, 5, t(20)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_run_by_hand_leaves_the_schedule_where_it_is() {
    let world = World::new();
    let job = world.add("by-hand").await;
    let started = world.store.start_run(by_hand(&job, vec![LANE]), t(500)).await.unwrap();
    let RunStarted::Begun(run, begun) = started else { panic!("it holds a slot") };
    assert_eq!(begun.state.next_run_at, Some(t(1000)));
    world.store.finish_run(finish(&job, &run, RunOutcome::ok("x"), t(600))).await.unwrap();
    assert_eq!(world.due_at().await, Some(t(1000)));
    assert!(world.ledger(&job.id).await.is_empty());
}

#[tokio::test]
async fn a_one_shot_goes_when_its_result_has_arrived_and_not_before() {
    let world = World::new();
    let job = world.add_with("one-shot", json!({ "schedule": { "kind": "at", "at": "2026-03-01" } })).await;
    let (_, run) = world.claim(&job, t(1000), None).await;
    let mut end = finish(&job, &run, RunOutcome::ok("x"), t(1000));
    end.after = AfterRun::RemoveWhenComplete;
    world.store.finish_run(end).await.unwrap();
    assert!(world.store.job(&job.id).await.unwrap().is_some());
    crate::outbox::settle_all(&world, t(2000), clawhook_store::Verdict::Delivered).await;
    assert!(world.store.job(&job.id).await.unwrap().is_none());
    assert_eq!(
        world.store.run(run.id).await.unwrap().unwrap().completion(),
        Some(CompletionStatus::Succeeded)
    );
}

#[tokio::test]
async fn runs_are_paged_the_newest_first() {
    let world = World::new();
    let job = world.add("history").await;
    let (first, second) = (world.run(&job, t(1000)).await, world.run(&job, t(2000)).await);
    let filter = RunFilter { job_id: Some(job.id.clone()), limit: 10, ..RunFilter::default() };
    let page = world.store.runs(filter.clone()).await.unwrap();
    assert_eq!(page.runs.iter().map(|record| record.run.id).collect::<Vec<_>>(), [second.id, first.id]);
    let failed = RunFilter { status: Some(RunStatus::Error), ..filter };
    assert_eq!(world.store.runs(failed).await.unwrap().total, 0);
}
