//! What becomes of an instant while the runs before it are not over: each policy through the real timer.

use std::sync::Arc;
use std::time::Duration;

use clawhook_engine::EngineOptions;
use clawhook_model::{ErrorReason, RunProgress, RunStatus, UnixMs};
use clawhook_store::RunRecord;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::world::{Life, Script, T0, options, outcome, t};

/// Work that goes on until it is let go.
fn work() -> (Arc<Semaphore>, Script) {
    let release = Arc::new(Semaphore::new(0));
    (release.clone(), Script::Deaf(release))
}

fn instants(runs: &[RunRecord]) -> Vec<Option<UnixMs>> {
    runs.iter().map(|record| record.run.scheduled_at).collect()
}

/// When a run began and ended.
fn span(record: &RunRecord) -> (UnixMs, UnixMs) {
    match &record.run.progress {
        RunProgress::Finished { started_at, ended_at, .. } => (*started_at, *ended_at),
        other => panic!("it is {other:?}"),
    }
}

#[tokio::test]
async fn buffer_one_lets_one_instant_wait_and_skips_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("one", json!({ "overlap": "bufferOne" })).await;
    let (release, script) = work();
    life.runtime.next([script]);
    life.go_on(t(3000)).await;
    assert_eq!(life.recorded(&job, 3).await, [(1000, "ran"), (2000, "ran"), (3000, "skipped")]);
    assert_eq!(life.reasons(&job).await, ["a run of the job waits already"]);
    release.add_permits(1);
    let runs = life.finished(&job, 2).await;
    assert_eq!(instants(&runs), [Some(t(1000)), Some(t(2000))]);
    assert_eq!(span(&runs[1]), (t(3000), t(3000)), "it begins when the one before has ended");
}

#[tokio::test]
async fn buffer_all_runs_every_instant_in_order_and_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("all", json!({ "overlap": { "policy": "bufferAll", "max": 3 } })).await;
    let (first, second) = (work(), work());
    life.runtime.next([first.1, second.1]);
    life.go_on(t(5000)).await;
    let ledger = [(1000, "ran"), (2000, "ran"), (3000, "ran"), (4000, "ran"), (5000, "skipped")];
    assert_eq!(life.recorded(&job, 5).await, ledger);
    assert_eq!(life.reasons(&job).await, ["3 runs of the job wait already"]);
    life.runtime.began(1).await;
    first.0.add_permits(1);
    life.runtime.began(1).await;
    life.asleep().await;
    assert!(life.runtime.none_began(), "there is a slot, and yet the third waits for the second");
    second.0.add_permits(1);
    let runs = life.finished(&job, 4).await;
    assert_eq!(instants(&runs), [Some(t(1000)), Some(t(2000)), Some(t(3000)), Some(t(4000))]);
}

#[tokio::test]
async fn cancel_other_ends_the_run_under_way_and_begins_the_new_one_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("newest", json!({ "overlap": "cancelOther" })).await;
    life.runtime.next([Script::Work]);
    life.go_on(t(1000)).await;
    life.runtime.began(1).await;
    life.clock.set(t(2000));
    let runs = life.finished(&job, 2).await;
    assert_eq!(outcome(&runs[0]).1, Some(ErrorReason::Cancelled));
    assert_eq!(outcome(&runs[1]), (RunStatus::Ok, None, Some("done")));
    assert!(span(&runs[0]).1 <= span(&runs[1]).0);
    assert_eq!(life.ledger(&job).await, [(1000, "ran"), (2000, "ran")]);
    let state = life.state(&job).await;
    assert_eq!((state.consecutive_errors, state.backoff_until), (0, None), "to be replaced is no failure");
}

#[tokio::test]
async fn allow_all_runs_side_by_side_and_never_more_than_there_are_slots() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("crowd", json!({ "overlap": "allowAll" })).await;
    let release = Arc::new(Semaphore::new(0));
    life.runtime.next((0..3).map(|_| Script::Deaf(release.clone())));
    life.go_on(t(3000)).await;
    life.runtime.began(2).await;
    assert_eq!(life.recorded(&job, 3).await, [(1000, "ran"), (2000, "ran"), (3000, "ran")]);
    let open = life.state(&job).await.open_runs;
    assert_eq!((open.running, open.waiting), (2, 1));
    assert!(life.runtime.none_began());
    release.add_permits(1);
    life.runtime.began(1).await;
    release.add_permits(2);
    assert_eq!(life.finished(&job, 3).await.len(), 3);
}

#[tokio::test]
async fn a_run_that_ignores_its_cancellation_is_given_up_and_what_it_still_brings_is_kept() {
    for (late_results, deliveries) in [(false, 1), (true, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let hasty = EngineOptions { max_concurrent_runs: 1, patience: Duration::from_millis(5), ..options() };
        let life = Life::begin(folder.path(), T0, hasty);
        let delivery =
            json!({ "mode": "webhook", "to": "https://example.com/", "lateResults": late_results });
        let job = life.add("deaf", json!({ "overlap": "cancelOther", "delivery": delivery })).await;
        let (release, script) = work();
        life.runtime.next([script]);
        life.go_on(t(1000)).await;
        life.runtime.began(1).await;
        life.clock.set(t(2000));
        let runs = life.finished(&job, 2).await;
        assert_eq!(outcome(&runs[0]).1, Some(ErrorReason::Cancelled));
        assert_eq!(outcome(&runs[1]).2, Some("done"), "the only slot is free");
        release.add_permits(1);
        let record = life.late(runs[0].run.id).await;
        let (at, late) = record.late.clone().unwrap();
        assert_eq!((at, late.summary.as_deref()), (t(2000), Some("at last")));
        assert_eq!(outcome(&record).0, RunStatus::Error, "the run stays what it was");
        assert_eq!(record.deliveries.len(), deliveries);
    }
}

#[tokio::test]
async fn a_run_that_outlasts_its_limit_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let life =
        Life::begin(folder.path(), T0, EngineOptions { patience: Duration::from_millis(5), ..options() });
    let payload = json!({ "kind": "agentTurn", "message": "go", "timeoutSeconds": 0.005 });
    let at = json!({ "kind": "at", "at": t(1000).to_rfc3339() });
    let job = life.add("endless", json!({ "payload": payload, "schedule": at })).await;
    life.runtime.next([work().1]);
    life.clock.set(t(1000));
    let runs = life.finished(&job, 1).await;
    assert_eq!(outcome(&runs[0]).1, Some(ErrorReason::Timeout));
}
