//! What follows from failures: backoff, another try, the end of a job's being run; and instants that come too late.

use std::sync::Arc;

use clawhook_engine::{EngineOptions, RunNow};
use clawhook_model::{ErrorReason, RunProgress, RunStatus, Trigger, UnixMs};
use clawhook_store::RunRecord;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::world::{Life, Script, T0, options, outcome, t};

const HOUR: i64 = 3_600_000;

fn every(ms: i64) -> Value {
    json!({ "schedule": { "kind": "every", "everyMs": ms, "anchorMs": T0 } })
}

fn began_at(record: &RunRecord) -> UnixMs {
    match &record.run.progress {
        RunProgress::Finished { started_at, .. } => *started_at,
        other => panic!("it is {other:?}"),
    }
}

#[tokio::test]
async fn i01_what_is_due_while_a_job_backs_off_is_skipped_and_the_last_is_held_until_the_end_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("fails", every(9000)).await;
    life.runtime.next([Script::Fail(ErrorReason::Exit)]);
    life.go_on(t(9000)).await;
    life.finished(&job, 1).await;
    life.go_on(t(38_999)).await;
    let ledger = [(9000, "ran"), (18_000, "skipped"), (27_000, "skipped"), (36_000, "ran")];
    assert_eq!(life.recorded(&job, 4).await, ledger);
    for reason in life.reasons(&job).await {
        assert_eq!(reason, format!("the job's runs failed, and it backs off until {}", t(39_000)));
    }
    assert_eq!(life.finished(&job, 1).await.len(), 1);
    life.go_on(t(39_000)).await;
    let runs = life.finished(&job, 2).await;
    assert_eq!((runs[1].run.scheduled_at, began_at(&runs[1])), (Some(t(36_000)), t(39_000)));
}

#[tokio::test]
async fn an_error_that_may_pass_is_tried_again_long_before_the_next_instant() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("busy", every(HOUR)).await;
    life.runtime.next([Script::Fail(ErrorReason::Overloaded)]);
    life.clock.set(t(HOUR));
    life.finished(&job, 1).await;
    life.go_on(t(HOUR + 30_000)).await;
    let runs = life.finished(&job, 2).await;
    assert_eq!(
        (runs[1].run.trigger, runs[1].run.attempt, began_at(&runs[1])),
        (Trigger::Retry, 2, t(HOUR + 30_000))
    );
    assert_eq!(outcome(&runs[1]).0, RunStatus::Ok);
    let event = life.store.run_event(runs[1].run.id).await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&event.body).unwrap();
    assert_eq!((&event["attempt"], &event["trigger"]), (&json!(2), &json!("retry")));
    assert_eq!(life.ledger(&job).await, [(HOUR, "ran")]);
}

#[tokio::test]
async fn ten_failures_in_a_row_switch_a_job_off() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("hopeless", every(2 * HOUR)).await;
    for number in 1..=10 {
        assert!(life.store.job(&job).await.unwrap().unwrap().is_enabled());
        life.runtime.next([Script::Fail(ErrorReason::Exit)]);
        life.clock.set(t(i64::from(number) * 2 * HOUR));
        life.finished(&job, number as usize).await;
        life.runtime.began(1).await;
    }
    let stored = life.store.job(&job).await.unwrap().unwrap();
    assert_eq!((stored.is_enabled(), stored.state.next_run_at), (false, None));
    assert_eq!(stored.state.auto_disabled.unwrap().consecutive_errors, 10);
    life.asleep().await;
    life.clock.set(t(22 * HOUR));
    life.asleep().await;
    assert!(life.runtime.none_began());
    assert_eq!(life.ledger(&job).await.len(), 10);
}

#[tokio::test]
async fn i01_an_instant_that_waited_too_long_for_a_slot_is_missed_and_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, EngineOptions { max_concurrent_runs: 1, ..options() });
    let blocker = life.add("blocker", every(HOUR)).await;
    let release = Arc::new(Semaphore::new(0));
    life.runtime.next([Script::Deaf(release.clone())]);
    assert!(matches!(life.handle.run_now(&blocker).await.unwrap(), RunNow::Accepted(_)));
    life.runtime.began(1).await;
    let at = json!({ "kind": "at", "at": t(1000).to_rfc3339() });
    let job = life.add("late", json!({ "schedule": at, "misfire": { "maxLatenessSeconds": 5 } })).await;
    life.go_on(t(7000)).await;
    assert_eq!(life.ledger(&job).await, [(1000, "ran")], "its run waits for the slot");
    release.add_permits(1);
    let runs = life.finished(&job, 1).await;
    assert_eq!(outcome(&runs[0]).0, RunStatus::Skipped);
    assert_eq!(life.ledger(&job).await, [(1000, "missed")]);
    assert_eq!(life.reasons(&job).await, ["it would have been later than the 5s that the job allows"]);
    assert!(life.runtime.none_began());
}

#[tokio::test]
async fn i01_what_had_come_when_a_job_was_switched_off_has_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, EngineOptions { run_jobs_on_schedule: false, ..options() });
    let job = life.add("off", every(1000)).await;
    let owner = life.store.job(&job).await.unwrap().unwrap();
    let disabled = clawhook_model::AutoDisabled {
        reason: clawhook_model::AutoDisableReason::ConsecutiveFailures,
        at_ms: t(2500),
        consecutive_errors: 10,
        detail: None,
    };
    let claim = clawhook_store::Claim {
        job_id: owner.id.clone(),
        due_at: t(1000),
        open: owner.state.open_runs,
        passed: Vec::new(),
        runs: Vec::new(),
        next_run_at: Some(t(1000)),
        disables: Some(disabled),
    };
    life.store.claim(vec![claim], t(2500)).await.unwrap();
    life.stop().await;
    let life = Life::begin(folder.path(), t(9500), options());
    assert_eq!(life.recorded(&job, 2).await, [(1000, "skipped"), (2000, "skipped")]);
    life.go_on(t(20_000)).await;
    assert_eq!(life.ledger(&job).await.len(), 2, "it was off by then");
    assert_eq!(life.state(&job).await.next_run_at, None);
}
