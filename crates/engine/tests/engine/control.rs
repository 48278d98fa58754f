//! Runs are cancelled and followed.

use std::sync::Arc;
use std::time::Duration;

use clawhook_agent::LivePiece;
use clawhook_engine::{EngineOptions, RunCancelled, RunNow};
use clawhook_model::{ErrorReason, JobId, RunId, RunStatus};
use clawhook_store::RunFilter;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::world::{Life, Script, T0, options, outcome, t};

fn once() -> Value {
    json!({ "schedule": { "kind": "at", "at": t(1000).to_rfc3339() }, "deleteAfterRun": false })
}

async fn newest(life: &Life, job: &JobId) -> RunId {
    let filter = RunFilter { job_id: Some(job.clone()), limit: 1, ..RunFilter::default() };
    life.store.runs(filter).await.expect("the store answers").runs[0].run.id
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends_is_told_of_and_counts_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("endless", json!({})).await;
    life.runtime.next([Script::Work]);
    life.go_on(t(1000)).await;
    life.runtime.began(1).await;
    let run = newest(&life, &job).await;
    assert_eq!(life.handle.cancel_run(run).await.unwrap(), RunCancelled::Done);
    let after = life.finished(&job, 1).await.remove(0);
    assert_eq!(outcome(&after), (RunStatus::Error, Some(ErrorReason::Cancelled), None));
    assert_eq!(after.deliveries.len(), 1, "it is told of");
    let state = life.state(&job).await;
    assert_eq!((state.consecutive_errors, state.backoff_until), (0, None));
    assert_eq!(life.handle.cancel_run(run).await.unwrap(), RunCancelled::AlreadyOver);
    assert_eq!(life.handle.cancel_run(RunId::new(T0)).await.unwrap(), RunCancelled::NotFound);
    assert_eq!(life.ledger(&job).await, [(1000, "ran")], "it had begun");
}

#[tokio::test]
async fn a_run_that_ignores_that_it_is_cancelled_is_given_up_and_its_slot_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let hasty = EngineOptions { max_concurrent_runs: 1, patience: Duration::from_millis(5), ..options() };
    let life = Life::begin(folder.path(), T0, hasty);
    let job = life.add("deaf", json!({})).await;
    let release = Arc::new(Semaphore::new(0));
    life.runtime.next([Script::Deaf(release.clone())]);
    life.go_on(t(1000)).await;
    life.runtime.began(1).await;
    let run = newest(&life, &job).await;
    life.handle.cancel_run(run).await.unwrap();
    assert_eq!(outcome(&life.finished(&job, 1).await[0]).1, Some(ErrorReason::Cancelled));
    let other = life.add("other", json!({})).await;
    life.handle.run_now(&other).await.unwrap();
    assert_eq!(outcome(&life.finished(&other, 1).await[0]).2, Some("done"));
    release.add_permits(1);
    assert_eq!(life.late(run).await.late.unwrap().1.summary.as_deref(), Some("at last"));
}

#[tokio::test]
async fn i01_a_queued_run_that_is_cancelled_never_begins_and_its_instant_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, EngineOptions { max_concurrent_runs: 1, ..options() });
    let blocker = life.add("blocker", once()).await;
    life.runtime.next([Script::Work]);
    life.handle.run_now(&blocker).await.unwrap();
    life.runtime.began(1).await;
    let job = life.add("queued", once()).await;
    life.go_on(t(1000)).await;
    life.recorded(&job, 1).await;
    let run = newest(&life, &job).await;
    assert_eq!(life.handle.cancel_run(run).await.unwrap(), RunCancelled::Done);
    let after = life.finished(&job, 1).await.remove(0);
    assert_eq!(outcome(&after), (RunStatus::Error, Some(ErrorReason::Cancelled), None));
    assert_eq!(after.deliveries.len(), 1);
    assert!(life.runtime.none_began());
    assert_eq!(life.ledger(&job).await, [(1000, "skipped")]);
}

#[tokio::test]
async fn i01_a_run_that_is_cancelled_while_it_waits_for_its_sessions_turn_never_takes_one() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let mut shared = once();
    shared["sessionTarget"] = json!("session:shared");
    let (first, second) = (life.add("first", shared.clone()).await, life.add("second", shared).await);
    life.runtime.next([Script::Work]);
    life.handle.run_now(&first).await.unwrap();
    life.runtime.began(1).await;
    let RunNow::Accepted(run) = life.handle.run_now(&second).await.unwrap() else { panic!("it is accepted") };
    // It begins, and finds the session taken.
    while life.handle.follow(run).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(life.handle.cancel_run(run).await.unwrap(), RunCancelled::Done);
    assert_eq!(outcome(&life.finished(&second, 1).await[0]).1, Some(ErrorReason::Cancelled));
    assert!(life.runtime.none_began());
}

#[tokio::test]
async fn whoever_follows_a_run_hears_what_it_said_and_learns_of_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("talks", json!({})).await;
    let mut begins = life.handle.begins();
    begins.mark_unchanged();
    life.runtime.next([Script::Say("hello")]);
    life.go_on(t(1000)).await;
    begins.changed().await.unwrap();
    life.runtime.began(1).await;
    let run = newest(&life, &job).await;
    let mut follow = life.handle.follow(run).unwrap();
    assert_eq!(follow.so_far, [LivePiece::Text { text: "hello".to_owned() }]);
    assert!(!follow.is_cut);
    life.handle.cancel_run(run).await.unwrap();
    assert!(follow.pieces.recv().await.is_err(), "its turn is over");
    life.finished(&job, 1).await;
    assert!(life.handle.follow(run).is_none());
}
