//! Jobs that begin when others have ended.

use clawhook_engine::{EngineOptions, RunNow};
use clawhook_model::{ErrorReason, JobId, RunId, RunStatus, Trigger};
use serde_json::{Value, json};

use crate::world::{Life, Script, T0, options, outcome, t};

/// A job that is not due within the story.
fn rare(after: &Value) -> Value {
    let never = json!({ "kind": "at", "at": t(1_000_000_000).to_rfc3339() });
    json!({ "schedule": never, "after": after, "delivery": { "mode": "none" } })
}

async fn run_now(life: &Life, job: &JobId) -> RunId {
    let RunNow::Accepted(run) = life.handle.run_now(job).await.expect("the store answers") else {
        panic!("it is accepted")
    };
    run
}

#[tokio::test]
async fn each_link_is_made_once_with_what_the_one_before_brought_and_one_hop_further() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let first = life.add("first", rare(&json!([]))).await;
    let second = life.add("second", rare(&json!(["first"]))).await;
    let third = life.add("third", rare(&json!([{ "job": "second", "passResult": false }]))).await;
    life.runtime.next([Script::Answer("the facts"), Script::Answer("a draft"), Script::Answer("sent")]);
    let began = run_now(&life, &first).await;
    let last = life.finished(&third, 1).await.remove(0);
    let middle = life.finished(&second, 1).await.remove(0);
    assert_eq!((middle.run.trigger, middle.run.upstream), (Trigger::Chain, Some(began)));
    assert_eq!(last.run.upstream, Some(middle.run.id));
    assert_eq!((middle.run.provenance.hops, last.run.provenance.hops), (1, 2));
    assert_eq!(last.run.provenance.trail, ["gateway/first", "gateway/second"]);
    let turns = life.runtime.turns();
    let told = &turns[1].1.text;
    assert!(
        told.starts_with(&format!(
            "go\n\nThe job `first` has ended (ok, {began}). It put out:\n<<<external "
        )),
        "{told}"
    );
    assert!(told.contains("\nthe facts\n"), "{told}");
    assert_eq!(turns[2].1.text, "go", "the third does not want to know");
    life.go_on(t(5_000)).await;
    assert_eq!((life.finished(&second, 1).await.len(), life.finished(&third, 1).await.len()), (1, 1));
    assert!(life.store.job(&second).await.unwrap().is_some(), "a one-shot is not used up by a chain");
}

#[tokio::test]
async fn a_link_follows_the_end_that_it_names_and_a_failure_that_is_tried_again_is_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let once = json!({ "kind": "at", "at": t(1000).to_rfc3339() });
    let gate = json!({ "pre": [{ "kind": "command", "argv": ["x"] }] });
    let first = life.add("first", json!({ "schedule": once, "hooks": gate })).await;
    let good = life.add("good", rare(&json!([{ "job": "first", "on": "success" }]))).await;
    let bad = life.add("bad", rare(&json!([{ "job": "first", "on": "failure" }]))).await;
    let any = life.add("any", rare(&json!([{ "job": "first", "on": "always" }]))).await;
    life.runtime.next([Script::Exit(10, "")]);
    run_now(&life, &first).await;
    life.finished(&any, 1).await;
    life.runtime.next([Script::Exit(0, ""), Script::Fail(ErrorReason::RateLimit)]);
    life.clock.set(t(1000));
    life.finished(&first, 2).await;
    life.go_on(t(2000)).await;
    assert_eq!(life.finished(&any, 1).await.len(), 1, "it is tried again");
    life.runtime.next([Script::Exit(0, ""), Script::Fail(ErrorReason::Auth)]);
    life.go_on(t(60_000)).await;
    life.finished(&bad, 1).await;
    life.finished(&any, 2).await;
    assert_eq!(life.finished(&good, 0).await.len(), 0);
}

#[tokio::test]
async fn a_link_that_finds_its_job_busy_is_skipped_in_plain_sight_or_waits_as_the_job_says() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, EngineOptions { max_concurrent_runs: 4, ..options() });
    let first = life.add("first", rare(&json!([]))).await;
    let busy = life.add("busy", rare(&json!(["first"]))).await;
    life.runtime.next([Script::Work]);
    let held = run_now(&life, &busy).await;
    life.runtime.began(1).await;
    run_now(&life, &first).await;
    let skipped = life.finished(&busy, 1).await.remove(0);
    assert_eq!((skipped.run.trigger, outcome(&skipped).0), (Trigger::Chain, RunStatus::Skipped));
    let patient = json!({ "overlap": "bufferOne" });
    let definition = life.store.job(&busy).await.unwrap().unwrap().definition;
    let after = definition.patched(patient, t(0)).unwrap();
    let edit = clawhook_store::JobEdit {
        before: definition,
        after,
        next_run: clawhook_store::NextRun::Keep,
        left: clawhook_store::Left::default(),
        forgives: false,
        tells: Vec::new(),
    };
    life.store.update_job(&busy, edit, t(0)).await.unwrap();
    run_now(&life, &first).await;
    life.finished(&first, 2).await;
    life.handle.cancel_run(held).await.unwrap();
    let runs = life.finished(&busy, 3).await;
    assert_eq!(outcome(&runs[2]), (RunStatus::Ok, None, Some("done")));
}

#[tokio::test]
async fn a_chain_that_is_too_long_is_taken_for_a_circle_refused_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, EngineOptions { max_hops: 1, ..options() });
    let first = life.add("first", rare(&json!([]))).await;
    let second = life.add("second", rare(&json!(["first"]))).await;
    let third = life.add("third", rare(&json!(["second"]))).await;
    run_now(&life, &first).await;
    life.finished(&second, 1).await;
    life.go_on(t(5_000)).await;
    assert_eq!(life.finished(&third, 0).await.len(), 0);
    assert_eq!(life.store.counts(t(5_000)).await.unwrap().loops_broken, 1);
}
