//! What follows from a failed run is durable with its end: backoff, another try, the end of the job's being run.

use std::time::Duration;

use clawhook_model::{
    AutoDisableReason, ErrorReason, FailureRules, Job, RunOutcome, RunStatus, Trigger, UnixMs,
};
use clawhook_store::{JobEdit, Left, NextRun, OccurrenceOutcome, RunStart, RunStarted, StartRun};
use serde_json::json;

use crate::destinations::define;
use crate::world::{LANE, World, begun, finish, open_runs, planned, t};

const HOUR: i64 = 3_600_000;

fn broken() -> RunOutcome {
    RunOutcome::error(ErrorReason::Exit, "it broke")
}

fn busy() -> RunOutcome {
    RunOutcome::error(ErrorReason::RateLimit, "slow down")
}

fn after(end: UnixMs, seconds: u64) -> UnixMs {
    end.plus(Duration::from_secs(seconds))
}

/// Claims the instant that the job waits for and ends its run so; the next instant is an hour later.
async fn run_as(world: &World, job: &Job, due: UnixMs, outcome: RunOutcome) -> clawhook_store::NewRun {
    let (claimed, run) = world.claim(job, due, Some(due.plus_millis(HOUR))).await;
    assert_eq!(claimed, clawhook_store::Claimed::Won(vec![run.id]));
    world.end(job, &run, outcome, due).await;
    run
}

#[tokio::test]
async fn a_job_that_fails_backs_off_longer_each_time_and_a_success_ends_it() {
    let world = World::new();
    let job = world.add("fails").await;
    let mut due = t(1000);
    for (failures, seconds) in [(1, 30), (2, 60), (3, 300)] {
        run_as(&world, &job, due, broken()).await;
        let state = world.state(&job.id).await;
        assert_eq!((state.consecutive_errors, state.backoff_until), (failures, Some(after(due, seconds))));
        assert!(!state.open_runs.any(), "what will not pass is not tried again");
        due = due.plus_millis(HOUR);
    }
    let world = world.reopen();
    run_as(&world, &job, due, RunOutcome::ok("well")).await;
    let state = world.state(&job.id).await;
    assert_eq!((state.consecutive_errors, state.backoff_until), (0, None));
}

#[tokio::test]
async fn an_error_that_may_pass_queues_another_try_with_the_end_of_the_run() {
    let world = World::new();
    let job = world.add("tries").await;
    let first = run_as(&world, &job, t(1000), busy()).await;
    assert_eq!(world.open(&job.id).await, (0, 1));
    assert_eq!(world.state(&job.id).await.backoff_until, None);
    let world = world.reopen();
    assert!(world.begin(t(30_999)).await.is_empty());
    let second = world.begin(t(31_000)).await.remove(0);
    assert_eq!((second.trigger, second.attempt, second.scheduled_at), (Trigger::Retry, 2, Some(t(1000))));
    assert_ne!(second.id, first.id);
    let record = world.ledger(&job.id).await;
    assert_eq!(
        record,
        [(t(1000), OccurrenceOutcome::Ran(second.id))],
        "one record, which names the last try"
    );
    world.end_queued(&job, &second, RunOutcome::ok("well"), t(31_000)).await;
    let state = world.state(&job.id).await;
    assert_eq!((state.consecutive_errors, state.open_runs.any()), (0, false));
    assert_eq!(state.last_run.unwrap().run_id, second.id);
}

#[tokio::test]
async fn an_occurrence_is_tried_four_times_at_most_and_then_its_job_backs_off() {
    let world = World::new();
    let job = world.add("gives-up").await;
    run_as(&world, &job, t(1000), busy()).await;
    let mut end = t(1000);
    for (attempt, seconds) in [(2, 30), (3, 60), (4, 300)] {
        end = after(end, seconds);
        let again = world.begin(end).await.remove(0);
        assert_eq!(again.attempt, attempt);
        world.end_queued(&job, &again, busy(), end).await;
    }
    let state = world.state(&job.id).await;
    assert_eq!((state.consecutive_errors, state.open_runs.any()), (4, false));
    assert_eq!(state.backoff_until, Some(after(end, 900)));
}

#[tokio::test]
async fn where_the_next_instant_comes_sooner_there_is_no_other_try_and_the_job_backs_off() {
    let world = World::new();
    let job = world.add("soon").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(20_000))).await;
    world.end(&job, &run, busy(), t(1000)).await;
    let state = world.state(&job.id).await;
    assert_eq!((state.open_runs.any(), state.backoff_until), (false, Some(t(31_000))));
}

#[tokio::test]
async fn what_waits_for_a_run_that_failed_begins_when_the_backoff_is_over_and_a_run_by_hand_at_once() {
    let world = World::new();
    let job = world.add_with("in-line", json!({ "overlap": "bufferAll" })).await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    world.claim_all(&job, open_runs(1, 0), &[planned(&job, t(2000), RunStart::AfterOthers)], t(2000)).await;
    world.end(&job, &run, broken(), t(2500)).await;
    assert!(world.begin(t(32_499)).await.is_empty());
    let second = world.begin(t(32_500)).await.remove(0);
    assert_eq!(second.scheduled_at, Some(t(2000)));

    let by_hand = StartRun {
        job_id: job.id.clone(),
        run_id: clawhook_model::RunId::new(t(33_000)),
        session_id: clawhook_model::SessionId::random(),
        held: Vec::new(),
        overlap: clawhook_model::Overlap::Skip,
    };
    world.store.start_run(by_hand, t(33_000)).await.unwrap();
    world.end_queued(&job, &second, broken(), t(34_000)).await;
    assert_eq!(world.begin(t(34_000)).await[0].trigger, Trigger::Manual);
}

#[tokio::test]
async fn what_a_job_could_not_help_counts_nothing() {
    for reason in [ErrorReason::Interrupted, ErrorReason::Cancelled, ErrorReason::Offline] {
        let world = World::new();
        let job = world.add("helpless").await;
        run_as(&world, &job, t(1000), broken()).await;
        let before = world.state(&job.id).await;
        run_as(&world, &job, t(1000 + HOUR), RunOutcome::error(reason, "not its fault")).await;
        let state = world.state(&job.id).await;
        assert_eq!(state.consecutive_errors, 1, "{reason:?} neither adds to the streak nor ends it");
        assert_eq!(state.backoff_until, before.backoff_until);
        assert_eq!(state.open_runs.waiting, u32::from(reason == ErrorReason::Offline), "{reason:?}");
    }
}

#[tokio::test]
async fn a_run_by_hand_neither_counts_nor_forgives() {
    let world = World::new();
    let job = world.add("by-hand").await;
    run_as(&world, &job, t(1000), broken()).await;
    let before = world.state(&job.id).await;
    for (at, outcome) in [(t(2000), RunOutcome::ok("well")), (t(3000), busy())] {
        let start = StartRun {
            job_id: job.id.clone(),
            run_id: clawhook_model::RunId::new(at),
            session_id: clawhook_model::SessionId::random(),
            held: vec![LANE],
            overlap: clawhook_model::Overlap::Skip,
        };
        let RunStarted::Begun(run, _) = world.store.start_run(start, at).await.unwrap() else {
            panic!("it begins")
        };
        world.end(&job, &run, outcome, at).await;
        let state = world.state(&job.id).await;
        assert_eq!(
            (state.consecutive_errors, state.backoff_until, state.open_runs),
            (before.consecutive_errors, before.backoff_until, open_runs(0, 0))
        );
    }
}

/// A job with nine failures in a row, that waits for `t(1000)`.
async fn nearly_off(world: &World) -> Job {
    let job = world.add_with("nearly-off", json!({ "overlap": "bufferAll" })).await;
    for number in 0..9 {
        let (_, run) = world.claim(&job, t(1000 + number), Some(t(1001 + number))).await;
        world.end(&job, &run, broken(), t(1000 + number)).await;
    }
    assert_eq!(world.state(&job.id).await.consecutive_errors, 9);
    job
}

#[tokio::test]
async fn the_tenth_failure_switches_a_job_off_and_tells_why() {
    let world = World::new();
    define(&world, "watch", json!({ "subscriptions": [{ "events": ["job.auto_disabled"] }] })).await;
    let job = nearly_off(&world).await;
    let (_, tenth) = world.claim(&job, t(1009), Some(t(1010))).await;
    let waiting = planned(&job, t(1010), RunStart::AfterOthers);
    world.claim_all(&job, open_runs(1, 0), std::slice::from_ref(&waiting), t(1010)).await;
    world.end(&job, &tenth, broken(), t(2000)).await;

    let stored = world.store.job(&job.id).await.unwrap().unwrap();
    let disabled = stored.state.auto_disabled.clone().unwrap();
    assert_eq!(disabled.reason, AutoDisableReason::ConsecutiveFailures);
    assert_eq!((disabled.consecutive_errors, disabled.at_ms), (10, t(2000)));
    assert_eq!((stored.is_enabled(), stored.state.next_run_at), (false, None));
    assert!(stored.definition.enabled, "the owner's own switch stays as it is");
    let told: Vec<_> = world.lease(t(2000)).await.into_iter().map(|delivery| delivery.kind).collect();
    assert!(told.contains(&clawhook_model::EventKind::JobAutoDisabled), "{told:?}");

    let let_go = world.begin(t(2000)).await;
    assert_eq!(let_go.iter().map(|run| run.id).collect::<Vec<_>>(), [waiting.run.id]);
    let why = "the job was disabled before the run began".to_owned();
    let mut outcome = RunOutcome::error(ErrorReason::Unknown, why.clone());
    outcome.status = RunStatus::Skipped;
    let mut end = finish(&job, &begun(&let_go[0]), outcome, t(2000));
    end.passed = Some(OccurrenceOutcome::Skipped(why.clone()));
    world.store.finish_run(end).await.unwrap();
    assert_eq!(world.ledger(&job.id).await.last(), Some(&(t(1010), OccurrenceOutcome::Skipped(why))));
    let state = world.state(&job.id).await;
    assert_eq!(state.consecutive_errors, 10, "what was not executed ends no streak");
    assert_eq!(state.open_runs, open_runs(0, 0));
}

#[tokio::test]
async fn refused_credentials_switch_no_job_off() {
    let world = World::new();
    let job = nearly_off(&world).await;
    run_as(&world, &job, t(1009), RunOutcome::error(ErrorReason::Auth, "who are you")).await;
    let state = world.state(&job.id).await;
    assert_eq!((state.consecutive_errors, state.auto_disabled), (10, None));
    assert_eq!(state.backoff_until, Some(after(t(1009), 3600)));
}

#[tokio::test]
async fn only_who_forgives_switches_such_a_job_on_again() {
    let world = World::new();
    let job = nearly_off(&world).await;
    run_as(&world, &job, t(1009), broken()).await;
    let read = world.store.job(&job.id).await.unwrap().unwrap();
    let renamed = read.definition.patched(json!({ "description": "renamed" }), t(0)).unwrap();
    world.edit(&read, renamed.clone(), NextRun::Keep, t(3000)).await;
    assert!(!world.store.job(&job.id).await.unwrap().unwrap().is_enabled());
    let edit = JobEdit {
        before: renamed.clone(),
        after: renamed,
        next_run: NextRun::Set(Some(t(4000))),
        left: Left::default(),
        forgives: true,
        tells: Vec::new(),
    };
    world.store.update_job(&job.id, edit, t(3500)).await.unwrap();
    let forgiven = world.store.job(&job.id).await.unwrap().unwrap();
    assert!(forgiven.is_enabled());
    let state = forgiven.state;
    assert_eq!(
        (state.consecutive_errors, state.backoff_until, state.auto_disabled, state.next_run_at),
        (0, None, None, Some(t(4000)))
    );
}

#[tokio::test]
async fn a_one_shot_is_tried_again_and_neither_backs_off_nor_is_switched_off() {
    let world = World::new();
    let at = json!({ "schedule": { "kind": "at", "at": "2026-03-01" } });
    let job = world.add_with("once", at).await;
    let (_, run) = world.claim(&job, t(1000), None).await;
    let rules = FailureRules { disable_after: 1, ..FailureRules::default() };
    let mut end = finish(&job, &run, busy(), t(1000));
    end.failure = std::sync::Arc::new(rules);
    world.store.finish_run(end).await.unwrap();
    let state = world.state(&job.id).await;
    assert_eq!((state.backoff_until, state.auto_disabled), (None, None));
    let again = world.begin(t(31_000)).await.remove(0);
    assert_eq!((again.trigger, again.attempt), (Trigger::Retry, 2));
    world.end_queued(&job, &again, broken(), t(31_000)).await;
    let state = world.state(&job.id).await;
    assert_eq!((state.open_runs.any(), state.backoff_until), (false, None));
}

#[tokio::test]
async fn another_try_that_is_not_made_leaves_the_record_of_the_one_that_was() {
    let world = World::new();
    let job = world.add("half").await;
    run_as(&world, &job, t(1000), busy()).await;
    let off = job.definition.patched(json!({ "enabled": false }), t(0)).unwrap();
    world.edit(&job, off, NextRun::Set(None), t(2000)).await;
    let again = world.begin(t(2000)).await.remove(0);
    let mut outcome = RunOutcome::error(ErrorReason::Unknown, "disabled");
    outcome.status = RunStatus::Skipped;
    let mut end = finish(&job, &begun(&again), outcome, t(2000));
    end.passed = Some(OccurrenceOutcome::Skipped("disabled".to_owned()));
    world.store.finish_run(end).await.unwrap();
    assert_eq!(world.ledger(&job.id).await, [(t(1000), OccurrenceOutcome::Ran(again.id))]);
}

#[tokio::test]
async fn a_disabled_job_is_not_tried_again() {
    let world = World::new();
    let job = world.add("off").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(1000 + HOUR))).await;
    let off = job.definition.patched(json!({ "enabled": false }), t(0)).unwrap();
    world.edit(&job, off, NextRun::Set(None), t(1500)).await;
    world.end(&job, &run, busy(), t(2000)).await;
    let state = world.state(&job.id).await;
    assert_eq!((state.open_runs.any(), state.backoff_until), (false, None));
}
