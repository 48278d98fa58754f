//! Jobs: what is stored stays as it was given, and edits do not run over each other.

use clawhook_store::{
    Claimed, JobEdit, JobFilter, JobOrder, JobRemoved, JobSort, JobTotal, JobUpdated, Left, NextRun,
    OccurrenceOutcome, PageStart,
};
use serde_json::json;

use crate::world::{LANE, World, t};

fn by_name(offset: usize) -> PageStart {
    PageStart::Offset(JobOrder { by: JobSort::Name, descending: false }, offset)
}

fn everything() -> JobFilter {
    JobFilter { enabled: None, text: None, start: by_name(0), limit: 100 }
}

#[tokio::test]
async fn a_job_outlives_the_process_as_it_was_given() {
    let world = World::new();
    let job = world.add("kept").await;
    let world = world.reopen();
    assert_eq!(world.store.job(&job.id).await.unwrap(), Some(job));
}

#[tokio::test]
async fn an_edit_from_an_old_reading_is_refused() {
    let world = World::new();
    let job = world.add("edited").await;
    let first = job.definition.patched(json!({ "description": "first" }), t(0)).unwrap();
    let second = job.definition.patched(json!({ "description": "second" }), t(0)).unwrap();
    let update = |after| world.edit(&job, after, NextRun::Keep, t(5));
    assert!(matches!(update(first.clone()).await, JobUpdated::Done(job) if job.definition == first));
    assert!(matches!(update(second).await, JobUpdated::Changed));
    assert_eq!(world.store.job(&job.id).await.unwrap().unwrap().definition, first);
}

#[tokio::test]
async fn an_edit_that_keeps_the_schedule_never_moves_the_next_instant_back() {
    let world = World::new();
    let read = world.add("renamed").await;
    world.run(&read, t(1000)).await;
    let after = read.definition.patched(json!({ "name": "another" }), t(0)).unwrap();
    world.edit(&read, after, NextRun::Keep, t(1500)).await;
    assert_eq!(world.due_at().await, Some(t(2000)));
}

#[tokio::test]
async fn pages_are_filtered_ordered_and_counted() {
    let world = World::new();
    world.add_with("b", json!({ "name": "Beta report" })).await;
    world.add_with("a", json!({ "name": "alpha" })).await;
    world.add_with("c", json!({ "name": "gamma", "enabled": false, "description": "the REPORT" })).await;
    let names = |filter| {
        let store = world.store.clone();
        async move {
            let page = store.jobs(filter).await.unwrap();
            let names = page.jobs.into_iter().map(|job| job.definition.name).collect::<Vec<_>>();
            (names, page.total)
        }
    };
    assert_eq!(
        names(everything()).await,
        (vec!["alpha".into(), "Beta report".into(), "gamma".into()], JobTotal::Exactly(3))
    );
    let report = JobFilter { text: Some("report".into()), ..everything() };
    assert_eq!(names(report).await, (vec!["Beta report".into(), "gamma".into()], JobTotal::Exactly(2)));
    let enabled = JobFilter { enabled: Some(true), limit: 1, start: by_name(1), ..everything() };
    assert_eq!(names(enabled).await, (vec!["Beta report".into()], JobTotal::Exactly(2)));
}

#[tokio::test]
async fn a_job_that_is_disabled_is_not_due() {
    let world = World::new();
    let job = world.add("off").await;
    let after = job.definition.patched(json!({ "enabled": false }), t(0)).unwrap();
    world.edit(&job, after, NextRun::Set(None), t(5)).await;
    assert!(world.store.due_jobs(LANE, t(60_000), 10).await.unwrap().is_empty());
    assert_eq!(world.due_at().await, None);
}

#[tokio::test]
async fn a_removed_job_is_gone_at_once_and_its_running_run_still_ends_with_its_event() {
    let world = World::new();
    let job = world.add("removed").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    let left = Left { waited_for: Some(t(2000)), passed: Vec::new() };
    assert_eq!(world.store.remove_job(&job.id, left.clone(), t(1)).await.unwrap(), JobRemoved::Done);
    assert_eq!(world.store.remove_job(&job.id, left, t(1)).await.unwrap(), JobRemoved::NotFound);
    assert_eq!(world.store.job(&job.id).await.unwrap(), None);
    assert_eq!(world.store.jobs(everything()).await.unwrap().total, JobTotal::Exactly(0));
    let world = world.reopen();
    let interrupted = world.store.recover().await.unwrap();
    assert_eq!((interrupted[0].run.id, &interrupted[0].job.id), (run.id, &job.id));
    let outcome = clawhook_model::RunOutcome::ok("late");
    world.store.finish_run(crate::world::finish(&job, &run, outcome, t(1500))).await.unwrap();
    assert_eq!(world.lease(t(1500)).await.len(), 1);
    assert_eq!(world.store.counts(t(1500)).await.unwrap().jobs, 0);
}

/// A job that waits for `t(1000)` when it is `t(2500)`, and what whoever moves that instant leaves.
async fn late(world: &World) -> (clawhook_model::Job, Left) {
    let job = world.add("late").await;
    let skipped = |due_at| (due_at, OccurrenceOutcome::Skipped("moved".to_owned()));
    let left = Left { waited_for: Some(t(1000)), passed: vec![skipped(t(1000)), skipped(t(2000))] };
    (job, left)
}

#[tokio::test]
async fn i01_an_edit_that_moves_the_next_instant_records_the_instants_that_had_come() {
    let world = World::new();
    crate::destinations::define(&world, "watch", json!({ "subscriptions": [{ "events": ["run.skipped"] }] }))
        .await;
    let (job, left) = late(&world).await;
    let after = job.definition.patched(json!({ "enabled": false }), t(0)).unwrap();
    let edit = JobEdit {
        before: job.definition.clone(),
        after,
        next_run: NextRun::Set(None),
        left: left.clone(),
        forgives: false,
        tells: Vec::new(),
    };
    let updated = world.store.update_job(&job.id, edit, t(2500)).await.unwrap();
    assert!(matches!(updated, JobUpdated::Done(job) if job.state.next_run_at.is_none()));
    assert_eq!(world.ledger(&job.id).await, left.passed);
    assert_eq!(world.lease(t(2500)).await.len(), 2, "both are told");
}

#[tokio::test]
async fn i01_a_removal_records_the_instants_that_had_come() {
    let world = World::new();
    let (job, left) = late(&world).await;
    assert_eq!(world.store.remove_job(&job.id, left.clone(), t(2500)).await.unwrap(), JobRemoved::Done);
    assert_eq!(world.ledger(&job.id).await, left.passed);
}

#[tokio::test]
async fn i01_whoever_moves_an_instant_that_was_claimed_in_the_meantime_has_to_look_again() {
    let world = World::new();
    let (job, left) = late(&world).await;
    let (claimed, run) = world.claim(&job, t(1000), Some(t(3000))).await;
    assert_eq!(claimed, Claimed::Won(vec![run.id]));
    let after = job.definition.patched(json!({ "enabled": false }), t(0)).unwrap();
    let edit = JobEdit {
        before: job.definition.clone(),
        after,
        next_run: NextRun::Set(None),
        left: left.clone(),
        forgives: false,
        tells: Vec::new(),
    };
    assert!(matches!(world.store.update_job(&job.id, edit, t(2500)).await.unwrap(), JobUpdated::Changed));
    assert_eq!(world.store.remove_job(&job.id, left, t(2500)).await.unwrap(), JobRemoved::Changed);
    assert_eq!(world.ledger(&job.id).await, [(t(1000), OccurrenceOutcome::Ran(run.id))]);
}
