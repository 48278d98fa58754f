//! Instants of the past that are run after all.

use clawhook_model::{Job, Overlap, RunId, RunOutcome, SessionId, Trigger, UnixMs};
use clawhook_store::{Backfill, Backfilled, OccurrenceFilter, OccurrenceOutcome};
use serde_json::json;

use crate::world::{World, claim, t};

fn backfill(job: &Job, instants: &[UnixMs]) -> Backfill {
    let instant = |due: &UnixMs| (*due, RunId::new(*due), SessionId::random());
    Backfill {
        job_id: job.id.clone(),
        instants: instants.iter().map(instant).collect(),
        overlap: Overlap::Skip,
        dry_run: false,
    }
}

/// A job whose instants at 1 s and 3 s were missed, and whose instant at 2 s was run.
async fn with_gaps(world: &World, overlap: &str) -> Job {
    let job = world.add_with("gaps", json!({ "overlap": overlap })).await;
    let miss = |due| {
        let mut missed = claim(&job.id, due, None, Some(due.plus_millis(1000)));
        missed.passed = vec![(due, OccurrenceOutcome::Missed("nobody was there".to_owned()))];
        missed
    };
    world.store.claim(vec![miss(t(1000))], t(1500)).await.expect("the claim is answered");
    world.run(&job, t(2000)).await;
    world.store.claim(vec![miss(t(3000))], t(3500)).await.expect("the claim is answered");
    job
}

#[tokio::test]
async fn i01_what_was_missed_is_run_in_order_and_its_record_keeps_the_reason() {
    let world = World::new();
    let job = with_gaps(&world, "skip").await;
    let wanted = backfill(&job, &[t(0), t(1000), t(2000), t(3000)]);
    let done = world.store.backfill(wanted, t(10_000)).await.unwrap();
    let expected = Backfilled::Done { queued: vec![t(0), t(1000), t(3000)], already_ran: vec![t(2000)] };
    assert_eq!(done, expected);
    assert_eq!(world.open(&job.id).await, (0, 3));
    for due in [t(0), t(1000), t(3000)] {
        let begun = world.begin(t(20_000)).await;
        assert_eq!(begun.len(), 1, "one after the other");
        assert_eq!((begun[0].trigger, begun[0].scheduled_at), (Trigger::Backfill, Some(due)));
        world.end_queued(&job, &begun[0], RunOutcome::ok("done"), t(20_000)).await;
    }
    let ledger = world.store.occurrences(OccurrenceFilter::newest(&job.id, 10)).await.unwrap();
    let told: Vec<_> = ledger.iter().map(|one| (one.outcome.as_str(), one.was_passed.as_deref())).collect();
    let missed = Some("nobody was there");
    assert_eq!(told, [("ran", missed), ("ran", None), ("ran", missed), ("ran", None)]);
    assert_eq!(world.due_at().await, Some(t(4000)), "the schedule stays where it is");
    assert_eq!(world.open(&job.id).await, (0, 0));
}

#[tokio::test]
async fn what_ran_is_left_alone_however_often_it_is_asked_for() {
    let world = World::new();
    let job = with_gaps(&world, "skip").await;
    world.store.backfill(backfill(&job, &[t(1000)]), t(10_000)).await.unwrap();
    let ledger = world.ledger(&job.id).await;
    let again = world.store.backfill(backfill(&job, &[t(1000), t(2000)]), t(10_001)).await.unwrap();
    assert_eq!(again, Backfilled::Done { queued: Vec::new(), already_ran: vec![t(1000), t(2000)] });
    assert_eq!(world.ledger(&job.id).await, ledger);
    assert_eq!(world.open(&job.id).await, (0, 1));
}

#[tokio::test]
async fn a_dry_run_tells_and_writes_nothing() {
    let world = World::new();
    let job = with_gaps(&world, "skip").await;
    let ledger = world.ledger(&job.id).await;
    let dry = Backfill { dry_run: true, ..backfill(&job, &[t(1000), t(2000)]) };
    let told = world.store.backfill(dry, t(10_000)).await.unwrap();
    assert_eq!(told, Backfilled::Done { queued: vec![t(1000)], already_ran: vec![t(2000)] });
    assert_eq!((world.ledger(&job.id).await, world.open(&job.id).await), (ledger, (0, 0)));
}

#[tokio::test]
async fn no_more_runs_wait_than_may_and_then_none_is_queued() {
    let world = World::new();
    let job = world.add("many").await;
    let instants: Vec<UnixMs> = (0..=i64::from(Overlap::MOST_OPEN)).map(|ms| t(-2000 + ms)).collect();
    let refused = world.store.backfill(backfill(&job, &instants), t(0)).await.unwrap();
    assert_eq!(refused, Backfilled::TooMany { open: 0 });
    assert!(world.ledger(&job.id).await.is_empty());
    assert_eq!(world.open(&job.id).await, (0, 0));
    let nobody = Backfill { job_id: "nobody".parse().unwrap(), ..backfill(&job, &[t(0)]) };
    assert_eq!(world.store.backfill(nobody, t(0)).await.unwrap(), Backfilled::NotFound);
}

#[tokio::test]
async fn where_runs_may_overlap_they_are_run_side_by_side_and_else_behind_the_one_under_way() {
    let world = World::new();
    let side_by_side = with_gaps(&world, "allowAll").await;
    world.store.backfill(backfill(&side_by_side, &[t(1000), t(3000)]), t(10_000)).await.unwrap();
    assert_eq!(world.begin(t(10_000)).await.len(), 2);

    let world = World::new();
    let in_line = with_gaps(&world, "skip").await;
    let (_, run) = world.claim(&in_line, t(4000), Some(t(5000))).await;
    world.store.backfill(backfill(&in_line, &[t(1000)]), t(10_000)).await.unwrap();
    assert!(world.begin(t(10_000)).await.is_empty());
    world.end(&in_line, &run, RunOutcome::ok("done"), t(11_000)).await;
    assert_eq!(world.begin(t(11_000)).await.len(), 1);
}

#[tokio::test]
async fn a_failed_backfill_is_neither_tried_again_nor_counted_against_its_job() {
    let world = World::new();
    let job = with_gaps(&world, "skip").await;
    world.store.backfill(backfill(&job, &[t(1000)]), t(10_000)).await.unwrap();
    let run = world.begin(t(10_000)).await.remove(0);
    let outcome = RunOutcome::error(clawhook_model::ErrorReason::RateLimit, "slow down");
    world.end_queued(&job, &run, outcome, t(10_000)).await;
    let state = world.state(&job.id).await;
    assert_eq!((state.consecutive_errors, state.backoff_until, state.open_runs.any()), (0, None, false));
}
