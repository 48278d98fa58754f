//! A run that is asked to wait goes back to the queue with its identity.

use clawhook_engine::RunCancelled;
use clawhook_model::{ErrorReason, JobId, Run, RunId, RunProgress, RunStatus, UnixMs, Wait};
use clawhook_store::RunFilter;
use serde_json::{Value, json};

use crate::world::{Life, Script, T0, options, outcome, remains, t};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn once() -> Value {
    json!({ "schedule": { "kind": "at", "at": t(1000).to_rfc3339() }, "deleteAfterRun": false })
}

async fn run_of(life: &Life, job: &JobId) -> Run {
    let filter = RunFilter { job_id: Some(job.clone()), limit: 10, ..RunFilter::default() };
    let mut page = life.store.runs(filter).await.expect("the store answers");
    assert_eq!(page.total, 1, "there is one run and no more");
    page.runs.remove(0).run
}

/// Returns the job's run once it is put back.
async fn put_back(life: &Life, job: &JobId) -> Run {
    loop {
        let run = run_of(life, job).await;
        if run.deferrals > 0 && matches!(run.progress, RunProgress::Queued(_)) {
            return run;
        }
        tokio::task::yield_now().await;
    }
}

async fn event(life: &Life, run: RunId) -> Value {
    serde_json::from_slice(
        &life.store.run_event(run).await.expect("the store answers").expect("the store answers").body,
    )
    .expect("the store answers")
}

/// A life in which the run of a job that is due once was asked to wait until `until`.
async fn deferred(folder: &std::path::Path, until: UnixMs) -> (Life, JobId, Run) {
    let life = Life::begin(folder, T0, options());
    let job = life.add("limited", once()).await;
    life.runtime.next([Script::AskAgain(until)]);
    life.go_on(t(1000)).await;
    life.runtime.began(1).await;
    let run = put_back(&life, &job).await;
    (life, job, run)
}

#[tokio::test]
async fn i01_a_run_that_is_asked_to_wait_begins_again_then_as_the_same_run_of_the_same_instant() {
    let folder = tempfile::tempdir().unwrap();
    let (life, job, run) = deferred(folder.path(), t(MINUTE)).await;
    let wait = Wait { ready_at: Some(t(MINUTE)), why: Some("slow down".to_owned()) };
    assert_eq!((run.deferrals, run.progress), (1, RunProgress::Queued(wait)));
    assert_eq!(life.ledger(&job).await, [(1000, "ran")]);
    life.runtime.next([Script::AskAgain(t(2 * MINUTE))]);
    life.go_on(t(MINUTE - 1)).await;
    assert!(life.runtime.none_began());
    life.go_on(t(MINUTE)).await;
    life.runtime.began(1).await;
    life.go_on(t(2 * MINUTE)).await;
    let after = life.finished(&job, 1).await.remove(0);
    assert_eq!(outcome(&after), (RunStatus::Ok, None, Some("done")));
    assert_eq!((after.run.id, after.run.deferrals, after.run.attempt), (run.id, 2, 1));
    assert_eq!(life.ledger(&job).await, [(1000, "ran")]);
    let event = event(&life, run.id).await;
    assert_eq!((&event["deferrals"], event.get("attempt")), (&json!(2), None));
    assert_eq!(event["scheduledAtMs"], json!(t(1000)));
    assert_eq!(life.state(&job).await.consecutive_errors, 0);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_jobs_bound_on_lateness_or_than_a_day() {
    for (bound, until, waits) in [
        (json!({ "maxLatenessSeconds": 30 }), t(30_000), true),
        (json!({ "maxLatenessSeconds": 30 }), t(32_000), false),
        (json!({}), t(24 * HOUR), true),
        (json!({}), t(24 * HOUR + 2000), false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let life = Life::begin(folder.path(), T0, options());
        let mut job = once();
        job["misfire"] = bound.clone();
        let job = life.add("bounded", job).await;
        life.runtime.next([Script::AskAgain(until)]);
        life.go_on(t(1000)).await;
        life.runtime.began(1).await;
        if waits {
            put_back(&life, &job).await;
            continue;
        }
        let after = life.finished(&job, 1).await.remove(0);
        assert_eq!(outcome(&after).1, Some(ErrorReason::RateLimit), "{bound} {until}");
    }
}

#[tokio::test]
async fn who_is_asked_again_and_again_for_a_moment_more_waits_twice_as_long_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let (life, job, run) = deferred(folder.path(), t(1001)).await;
    let mut now = t(1000);
    let ready_at = |run: &Run| match &run.progress {
        RunProgress::Queued(wait) => wait.ready_at,
        _ => None,
    };
    assert_eq!(ready_at(&run), Some(t(2000)), "a second at least");
    for seconds in [2, 4, 8] {
        life.runtime.next([Script::AskAgain(now)]);
        now = ready_at(&run_of(&life, &job).await).expect("it waits");
        life.go_on(now).await;
        life.runtime.began(1).await;
        let again = put_back(&life, &job).await;
        assert_eq!(ready_at(&again), Some(now.plus(std::time::Duration::from_secs(seconds))));
    }
}

#[tokio::test]
async fn a_run_by_hand_waits_for_a_day_at_most_however_often_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let far = json!({ "schedule": { "kind": "at", "at": t(1000 * HOUR).to_rfc3339() } });
    let job = life.add("by-hand", far).await;
    life.runtime.next([Script::AskAgain(t(13 * HOUR)), Script::AskAgain(t(26 * HOUR))]);
    life.handle.run_now(&job).await.unwrap();
    life.runtime.began(1).await;
    put_back(&life, &job).await;
    life.clock.set(t(13 * HOUR));
    let after = life.finished(&job, 1).await.remove(0);
    assert_eq!((outcome(&after).1, after.run.deferrals), (Some(ErrorReason::RateLimit), 1));
}

#[tokio::test]
async fn i01_a_run_that_was_put_back_and_is_cancelled_never_begins_again_and_its_instant_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (life, job, run) = deferred(folder.path(), t(MINUTE)).await;
    assert_eq!(life.handle.cancel_run(run.id).await.unwrap(), RunCancelled::Done);
    let after = life.finished(&job, 1).await.remove(0);
    assert_eq!((after.run.id, outcome(&after).1), (run.id, Some(ErrorReason::Cancelled)));
    assert_eq!(event(&life, run.id).await["errorReason"], json!("cancelled"));
    let state = life.state(&job).await;
    assert_eq!((state.consecutive_errors, state.backoff_until), (0, None));
    life.go_on(t(2 * MINUTE)).await;
    assert!(life.runtime.none_began());
    assert_eq!(life.ledger(&job).await, [(1000, "skipped")]);
    assert!(life.reasons(&job).await[0].contains("cancelled before it began"));
}

#[tokio::test]
async fn a_run_that_was_put_back_survives_a_kill_and_is_not_taken_for_an_interrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let (_killed, job, run) = deferred(folder.path(), t(MINUTE)).await;
    let remains = remains(folder.path());
    let life = Life::begin(remains.path(), t(2000), options());
    life.go_on(t(MINUTE - 1)).await;
    assert!(life.runtime.none_began());
    life.go_on(t(MINUTE)).await;
    let after = life.finished(&job, 1).await.remove(0);
    assert_eq!((after.run.id, outcome(&after).0), (run.id, RunStatus::Ok));
    assert_eq!(life.ledger(&job).await, [(1000, "ran")]);
}
