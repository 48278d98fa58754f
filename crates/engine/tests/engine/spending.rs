//! What runs cost is counted, and a budget that is used up keeps the next ones from beginning.

use std::sync::Arc;

use clawhook_engine::{EngineOptions, RunNow};
use clawhook_model::{Budget, CompletionStatus, ErrorReason, JobId, RunStatus, Usd};
use clawhook_store::{UsageBy, UsageFilter, UsageKey};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::world::{Life, Script, T0, options, outcome, t};

const HOUR: i64 = 60 * 60 * 1000;

fn hourly(budget: &Value) -> Value {
    json!({ "schedule": { "kind": "every", "everyMs": HOUR, "anchorMs": T0 }, "budget": budget })
}

async fn skipped_for_its_budget(life: &Life, job: &JobId) {
    life.runtime.next([Script::Spend(900, Usd::from_micros(500)), Script::Spend(200, Usd::from_micros(500))]);
    for hour in 1..=2 {
        life.go_on(t(hour * HOUR)).await;
        life.runtime.began(1).await;
    }
    life.go_on(t(3 * HOUR)).await;
    let runs = life.finished(job, 3).await;
    assert_eq!(outcome(&runs[2]).1, Some(ErrorReason::Budget));
    assert_eq!(outcome(&runs[2]).0, RunStatus::Skipped);
    assert!(life.runtime.none_began());
    assert_eq!(life.ledger(job).await, [(HOUR, "ran"), (2 * HOUR, "ran"), (3 * HOUR, "skipped")]);
    assert!(life.reasons(job).await[0].contains("budget"), "{:?}", life.reasons(job).await);
    assert_eq!(runs[2].deliveries.len(), 1, "it is told of");
    assert_eq!(runs[2].completion(), Some(CompletionStatus::Failed));
    let state = life.state(job).await;
    assert_eq!((state.consecutive_errors, state.backoff_until), (0, None));
    assert_eq!(state.auto_disabled, None);
}

#[tokio::test]
async fn i01_once_the_jobs_budget_of_the_day_is_used_up_its_instants_are_skipped_until_the_next_day() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("dear", hourly(&json!({ "tokensPerDay": 1000 }))).await;
    skipped_for_its_budget(&life, &job).await;
    life.clock.set(t(25 * HOUR));
    let runs = life.finished(&job, 4).await;
    assert_eq!(outcome(&runs[3]).0, RunStatus::Ok, "another day");
}

#[tokio::test]
async fn i01_once_the_gateways_budget_of_the_day_is_used_up_nothing_that_costs_begins() {
    let folder = tempfile::tempdir().unwrap();
    let budget = Budget { usd_per_day: Some(Usd::from_micros(1000)), ..Budget::default() };
    let life = Life::begin(folder.path(), T0, EngineOptions { budget, ..options() });
    let job = life.add("dear", hourly(&json!({ "usdPerDay": 5 }))).await;
    skipped_for_its_budget(&life, &job).await;
}

#[tokio::test]
async fn a_run_that_waited_for_its_session_asks_the_budget_again_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let budget = Budget { tokens_per_day: Some(1000), ..Budget::default() };
    let life = Life::begin(folder.path(), T0, EngineOptions { budget, ..options() });
    let shared = json!({ "sessionTarget": "session:x" });
    let first = life.add("first", shared.clone()).await;
    let second = life.add("second", shared).await;
    let other = life.add("other", json!({})).await;
    let release = Arc::new(Semaphore::new(0));
    life.runtime.next([Script::SpendLater(release.clone(), 1000, Usd::from_micros(1))]);
    let RunNow::Accepted(_) = life.handle.run_now(&first).await.unwrap() else { panic!("{first}") };
    life.runtime.began(1).await;
    for job in [&second, &other] {
        let RunNow::Accepted(_) = life.handle.run_now(job).await.unwrap() else { panic!("{job}") };
    }
    // It has the slot that the second one left while it waits.
    life.finished(&other, 1).await;
    release.add_permits(1);
    let runs = life.finished(&second, 1).await;
    assert_eq!((outcome(&runs[0]).0, outcome(&runs[0]).1), (RunStatus::Skipped, Some(ErrorReason::Budget)));
    assert_eq!(life.runtime.turns().len(), 2);
}

#[tokio::test]
async fn i01_a_run_whose_model_is_not_there_is_skipped_and_its_instant_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("alone", json!({})).await;
    life.runtime.next([Script::Fail(ErrorReason::Exit)]);
    life.clock.set(t(1000));
    life.finished(&job, 1).await;
    life.asleep().await;
    assert_eq!(life.state(&job).await.consecutive_errors, 1);
    life.runtime.next([Script::Skip(ErrorReason::Unavailable)]);
    life.handle.backfill(&job, &[t(-1000)], false).await.unwrap();
    let runs = life.finished(&job, 2).await;
    assert_eq!(outcome(&runs[1]).1, Some(ErrorReason::Unavailable));
    assert_eq!(life.ledger(&job).await[0], (-1000, "skipped"));
    assert_eq!(life.reasons(&job).await, ["as told"]);
}

#[tokio::test]
async fn what_runs_use_is_told_by_job_agent_model_and_day_with_those_that_have_no_price() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let (one, other) = (life.add("one", json!({})).await, life.add("other", json!({})).await);
    life.runtime.next([Script::Spend(10, Usd::from_micros(30)), Script::Spend(7, Usd::from_micros(50))]);
    for job in [&one, &other] {
        life.handle.run_now(job).await.unwrap();
        life.finished(job, 1).await;
    }
    let filter =
        |by| UsageFilter { from: i32::MIN, to: i32::MAX, by, job_id: None, agent_id: None, limit: 10 };
    let report = life.store.usage(filter(UsageBy::Job)).await.unwrap();
    let rows: Vec<_> = report.rows.iter().map(|(key, used)| (key.clone(), used.usd.as_micros())).collect();
    assert_eq!(rows, [(UsageKey::Job(other), 50), (UsageKey::Job(one.clone()), 30)]);
    assert_eq!((report.total.runs, report.total.total_tokens, report.total.unpriced), (2, 17, 0));
    let only = UsageFilter { job_id: Some(one), limit: 1, ..filter(UsageBy::Agent) };
    let report = life.store.usage(only).await.unwrap();
    assert_eq!((report.rows.len(), report.total.usd), (1, Usd::from_micros(30)));
    assert_eq!(life.store.usage(filter(UsageBy::Day)).await.unwrap().rows.len(), 1);
    assert_eq!(life.store.usage(filter(UsageBy::Model)).await.unwrap().rows.len(), 1);
}
