//! What becomes of instants at which the gateway was not running, through a restart.

use clawhook_engine::EngineOptions;
use clawhook_model::{JobId, RunProgress, Trigger};
use serde_json::{Value, json};

use crate::world::{Life, T0, options, remains, t};

/// A gateway with one job that was killed at `T0`, and starts again so many milliseconds later.
async fn restarted(job: Value, after_ms: i64) -> (Life, JobId, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let killed = Life::begin(folder.path(), T0, options());
    let id = killed.add("away", job).await;
    let remains = remains(folder.path());
    (Life::begin(remains.path(), t(after_ms), options()), id, remains)
}

#[tokio::test]
async fn five_of_eight_jobs_are_caught_up_at_once_and_the_others_five_seconds_apart() {
    let folder = tempfile::tempdir().unwrap();
    let killed = Life::begin(folder.path(), T0, options());
    let mut jobs = Vec::new();
    for number in 0..8 {
        let at = json!({ "schedule": { "kind": "at", "at": t(1000 + number).to_rfc3339() } });
        jobs.push(killed.add(&format!("job-{number}"), at).await);
    }
    let remains = remains(folder.path());
    let many = EngineOptions { max_concurrent_runs: 20, ..options() };
    let life = Life::begin(remains.path(), t(100_000), many);
    life.go_on(t(120_000)).await;
    let mut began = Vec::new();
    for job in &jobs {
        let runs = life.finished(job, 1).await;
        let RunProgress::Finished { started_at, .. } = runs[0].run.progress else { panic!("it is over") };
        assert_eq!(runs[0].run.trigger, Trigger::CatchUp);
        began.push(started_at.since(t(100_000)).as_secs());
    }
    began.sort_unstable();
    assert_eq!(began, [0, 0, 0, 0, 0, 5, 10, 15]);
}

#[tokio::test]
async fn i01_the_policy_skip_runs_nothing_of_what_was_missed_and_goes_on_with_the_next() {
    let every = json!({ "kind": "every", "everyMs": 100_000, "anchorMs": T0 });
    let (life, job, _folder) = restarted(json!({ "schedule": every, "misfire": "skip" }), 390_000).await;
    let missed = [(100_000, "missed"), (200_000, "missed"), (300_000, "missed")];
    assert_eq!(life.recorded(&job, 3).await, missed);
    assert_eq!(life.reasons(&job).await[2], "the gateway was not running; the misfire policy is skip");
    assert!(life.runtime.none_began());
    life.go_on(t(400_000)).await;
    assert_eq!(life.finished(&job, 1).await[0].run.scheduled_at, Some(t(400_000)));
}

#[tokio::test]
async fn a_restart_at_the_wrong_moment_costs_nobody_a_run() {
    let every = json!({ "kind": "every", "everyMs": 100_000, "anchorMs": T0 });
    let (life, job, _folder) = restarted(json!({ "schedule": every, "misfire": "skip" }), 110_000).await;
    assert_eq!(life.finished(&job, 1).await[0].run.scheduled_at, Some(t(100_000)));
}

#[tokio::test]
async fn i01_the_policy_each_runs_the_last_so_many_in_order() {
    let each = json!({ "misfire": { "policy": "each", "max": 3 } });
    let (life, job, _folder) = restarted(each, 6500).await;
    let runs = life.finished(&job, 3).await;
    let instants: Vec<_> = runs.iter().filter_map(|record| record.run.scheduled_at).collect();
    assert_eq!(instants, [t(4000), t(5000), t(6000)]);
    let missed = [(1000, "missed"), (2000, "missed"), (3000, "missed")];
    assert_eq!(
        life.ledger(&job).await,
        [&missed[..], &[(4000, "ran"), (5000, "ran"), (6000, "ran")]].concat()
    );
    let why = "the gateway was not running; the misfire policy runs the last 3 instants";
    assert_eq!(life.reasons(&job).await, [why, why, why]);
}

#[tokio::test]
async fn i01_what_is_later_than_its_job_allows_is_missed_whatever_the_policy() {
    let misfire = json!({ "misfire": { "policy": "each", "maxLatenessSeconds": 2 } });
    let (life, job, _folder) = restarted(misfire, 4500).await;
    life.finished(&job, 2).await;
    let ledger = [(1000, "missed"), (2000, "missed"), (3000, "ran"), (4000, "ran")];
    assert_eq!(life.ledger(&job).await, ledger);
}
