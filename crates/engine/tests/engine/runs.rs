//! Runs from beginning to end: slots, restarts, panics, one-shots.

use clawhook_engine::{EngineOptions, RunNow};
use clawhook_model::{ErrorReason, Provenance, RunId, RunStatus, Trigger};
use clawhook_store::RunFilter;
use serde_json::json;

use crate::world::{Life, Script, T0, options, outcome, remains, t};

#[tokio::test]
async fn a_job_runs_when_its_time_has_come_and_its_result_is_in_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("tick", json!({})).await;
    life.clock.set(t(999));
    assert!(life.runtime.none_began());
    life.clock.set(t(1000));
    let runs = life.finished(&job, 1).await;
    assert_eq!(outcome(&runs[0]), (RunStatus::Ok, None, Some("done")));
    assert_eq!((runs[0].run.trigger, runs[0].run.scheduled_at), (Trigger::Schedule, Some(t(1000))));
    assert_eq!(runs[0].deliveries.len(), 1);
    assert_eq!(life.ledger(&job).await, [(1000, "ran")]);
    let event = life.store.run_event(runs[0].run.id).await.unwrap().unwrap();
    let beginning = Provenance { hops: 0, trail: vec!["gateway/tick".to_owned()] };
    assert_eq!(Provenance::of_event(&event.body), Some(beginning));
}

#[tokio::test]
async fn i01_after_a_downtime_each_missed_instant_has_its_record_and_one_run_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let killed = Life::begin(folder.path(), T0, options());
    let job = killed.add("late", json!({})).await;
    let remains = remains(folder.path());
    let life = Life::begin(remains.path(), t(3500), options());
    let runs = life.finished(&job, 1).await;
    assert_eq!((runs.len(), runs[0].run.trigger), (1, Trigger::CatchUp));
    assert_eq!(life.ledger(&job).await, [(1000, "missed"), (2000, "missed"), (3000, "ran")]);
}

#[tokio::test]
async fn i02_a_run_that_a_kill_interrupted_is_recorded_told_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let killed = Life::begin(folder.path(), T0, options());
    let at = json!({ "schedule": { "kind": "at", "at": t(1000).to_rfc3339() } });
    let job = killed.add("killed", at).await;
    killed.runtime.next([Script::Work]);
    killed.clock.set(t(1000));
    killed.runtime.began(1).await;
    let remains = remains(folder.path());
    let life = Life::begin(remains.path(), t(2000), options());
    let runs = life.finished(&job, 1).await;
    assert_eq!(outcome(&runs[0]), (RunStatus::Error, Some(ErrorReason::Interrupted), None));
    assert_eq!(runs[0].deliveries.len(), 1, "a failure is told too");
    assert_eq!(life.ledger(&job).await, [(1000, "ran")]);
    assert!(life.runtime.none_began(), "nothing is run again");
}

#[tokio::test]
async fn no_more_runs_than_slots_and_a_free_slot_goes_to_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let far =
        json!({ "schedule": { "kind": "at", "at": t(3_600_000).to_rfc3339() }, "deleteAfterRun": false });
    let mut jobs = Vec::new();
    for name in ["one", "two", "three"] {
        jobs.push(life.add(name, far.clone()).await);
    }
    life.runtime.next([Script::Work, Script::Work, Script::Answer("third")]);
    let mut runs: Vec<RunId> = Vec::new();
    for job in &jobs {
        let RunNow::Accepted(run) = life.handle.run_now(job).await.unwrap() else { panic!("it is accepted") };
        runs.push(run);
    }
    life.runtime.began(2).await;
    assert_eq!(life.handle.run_now(&jobs[2]).await.unwrap(), RunNow::AlreadyRunning(runs[2]));
    assert!(life.runtime.none_began());
    assert_eq!(life.store.counts(T0).await.unwrap().runs_queued, 1);
    // The shutdown ends the two that work; their slots are free, but nothing new begins.
    let third = jobs[2].clone();
    drop(life.stop().await);
    let life = Life::begin(folder.path(), t(10), options());
    let after = life.finished(&third, 1).await;
    assert_eq!(after[0].run.id, runs[2], "what was accepted is run by the next life");
}

#[tokio::test]
async fn i01_what_is_due_while_the_job_still_runs_is_skipped_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("slow", json!({})).await;
    life.runtime.next([Script::Work]);
    life.clock.set(t(1000));
    life.runtime.began(1).await;
    life.clock.set(t(2000));
    assert_eq!(life.recorded(&job, 2).await, [(1000, "ran"), (2000, "skipped")]);
}

#[tokio::test]
async fn a_runtime_that_panics_ends_its_run_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("panics", json!({})).await;
    life.runtime.next([Script::Panic]);
    life.clock.set(t(1000));
    life.finished(&job, 1).await;
    // The job backs off for half a minute.
    life.clock.set(t(31_000));
    let runs = life.finished(&job, 2).await;
    assert_eq!(outcome(&runs[0]).0, RunStatus::Error);
    assert_eq!(outcome(&runs[1]), (RunStatus::Ok, None, Some("done")));
}

#[tokio::test]
async fn a_shutdown_ends_what_still_runs_after_the_grace_and_keeps_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("stopped", json!({})).await;
    life.runtime.next([Script::Work]);
    life.clock.set(t(1000));
    life.runtime.began(1).await;
    let handle = life.handle.clone();
    let store = life.stop().await;
    assert_eq!(handle.run_now(&job).await.unwrap(), RunNow::Stopping);
    let filter = RunFilter { job_id: Some(job), limit: 10, ..RunFilter::default() };
    let runs = store.runs(filter).await.unwrap().runs;
    assert_eq!(outcome(&runs[0]).1, Some(ErrorReason::Interrupted));
}

#[tokio::test]
async fn a_one_shot_without_delivery_goes_after_its_run_and_not_after_a_run_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let once =
        json!({ "schedule": { "kind": "at", "at": t(1000).to_rfc3339() }, "delivery": { "mode": "none" } });
    let job = life.add("once", once).await;
    life.handle.run_now(&job).await.unwrap();
    life.finished(&job, 1).await;
    assert!(life.store.job(&job).await.unwrap().is_some());
    life.clock.set(t(1000));
    life.finished(&job, 2).await;
    assert!(life.store.job(&job).await.unwrap().is_none());
}

#[tokio::test]
async fn with_the_schedule_off_only_runs_by_hand_happen() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, EngineOptions { run_jobs_on_schedule: false, ..options() });
    let job = life.add("off", json!({})).await;
    life.clock.set(t(5000));
    life.handle.run_now(&job).await.unwrap();
    let runs = life.finished(&job, 1).await;
    assert_eq!(runs[0].run.trigger, Trigger::Manual);
    assert!(life.ledger(&job).await.is_empty());
}
