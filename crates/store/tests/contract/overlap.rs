//! Several runs of one job: begun together, one after the other, or at their time, and never otherwise.

use clawhook_model::{JobId, Overlap};
use clawhook_model::{RunId, RunOutcome, SessionId, UnixMs};
use clawhook_store::{Claimed, NextRun, RunStart, RunStarted, StartRun};
use serde_json::json;

use crate::world::{LANE, World, claim, open_runs, planned, t};

use RunStart::{AfterOthers, At, Now};

fn done() -> RunOutcome {
    RunOutcome::ok("done")
}

fn ids(runs: &[clawhook_store::PlannedRun]) -> Vec<RunId> {
    runs.iter().map(|planned| planned.run.id).collect()
}

async fn begun(world: &World, now: UnixMs) -> Vec<RunId> {
    world.begin(now).await.iter().map(|run| run.id).collect()
}

#[tokio::test]
async fn i01_a_claim_with_several_runs_writes_a_record_for_each_and_counts_them() {
    let world = World::new();
    let job = world.add("several").await;
    let runs =
        [planned(&job, t(1000), Now), planned(&job, t(2000), Now), planned(&job, t(3000), AfterOthers)];
    let claimed = world.claim_all(&job, open_runs(0, 0), &runs, t(3000)).await;
    assert_eq!(claimed, Claimed::Won(ids(&runs)));
    assert_eq!(world.open(&job.id).await, (2, 1));
    assert_eq!(world.state(&job.id).await.running_at, Some(t(3000)));
    let recorded: Vec<UnixMs> = world.ledger(&job.id).await.into_iter().map(|(due, _)| due).collect();
    assert_eq!(recorded, [t(1000), t(2000), t(3000)]);
    assert_eq!(world.due_at().await, Some(t(4000)));
}

#[tokio::test]
async fn a_run_that_waits_for_others_begins_when_the_last_of_them_ends_and_one_at_a_time() {
    let world = World::new();
    let job = world.add("buffered").await;
    let first = [planned(&job, t(1000), Now), planned(&job, t(2000), Now)];
    world.claim_all(&job, open_runs(0, 0), &first, t(2000)).await;
    let waiting = [planned(&job, t(3000), AfterOthers), planned(&job, t(4000), AfterOthers)];
    world.claim_all(&job, open_runs(2, 0), &waiting, t(4000)).await;
    assert!(world.begin(t(4000)).await.is_empty());
    world.end(&job, &first[0].run, done(), t(4100)).await;
    assert!(world.begin(t(4100)).await.is_empty(), "another is still under way");
    world.end(&job, &first[1].run, done(), t(4200)).await;
    assert_eq!(begun(&world, t(4200)).await, [waiting[0].run.id]);
    assert_eq!(world.open(&job.id).await, (1, 1));
    assert!(world.begin(t(9000)).await.is_empty(), "it never begins beside another");
    world.end(&job, &waiting[0].run, done(), t(9100)).await;
    assert_eq!(begun(&world, t(9100)).await, [waiting[1].run.id]);
    world.end(&job, &waiting[1].run, done(), t(9200)).await;
    assert_eq!(world.open(&job.id).await, (0, 0));
    assert_eq!(world.state(&job.id).await.running_at, None);
}

#[tokio::test]
async fn a_run_that_was_to_wait_begins_at_once_where_the_others_ended_before_its_claim() {
    let world = World::new();
    let job = world.add("overtaken").await;
    let (_, first) = world.claim(&job, t(1000), Some(t(2000))).await;
    let decided_upon = world.state(&job.id).await.open_runs;
    world.end(&job, &first, done(), t(2000)).await;
    let next = [planned(&job, t(2000), AfterOthers)];
    assert_eq!(world.claim_all(&job, decided_upon, &next, t(2001)).await, Claimed::Won(ids(&next)));
    assert_eq!(begun(&world, t(2001)).await, ids(&next));
}

#[tokio::test]
async fn a_run_that_is_paced_waits_for_its_time_and_those_behind_it_wait_for_it() {
    let world = World::new();
    let job = world.add("paced").await;
    let runs = [planned(&job, t(1000), At(t(60_000))), planned(&job, t(2000), AfterOthers)];
    world.claim_all(&job, open_runs(0, 0), &runs, t(2500)).await;
    assert!(world.begin(t(59_999)).await.is_empty());
    assert_eq!(world.store.next_wake(LANE).await.unwrap().ready_at, Some(t(60_000)));
    let world = world.reopen();
    assert_eq!(begun(&world, t(60_000)).await, [runs[0].run.id], "it waits over a restart");
    assert!(world.begin(t(90_000)).await.is_empty());
    world.end(&job, &runs[0].run, done(), t(90_000)).await;
    assert_eq!(begun(&world, t(90_000)).await, [runs[1].run.id]);
    assert_eq!(world.store.next_wake(LANE).await.unwrap().ready_at, None);
}

#[tokio::test]
async fn a_claim_is_lost_where_more_runs_are_open_than_were_decided_upon() {
    let world = World::new();
    let job = world.add("raced").await;
    let by_hand = start(&job.id, RunId::new(t(500)), Overlap::Skip);
    assert!(matches!(world.store.start_run(by_hand, t(500)).await.unwrap(), RunStarted::Begun(..)));
    let runs = [planned(&job, t(1000), Now)];
    assert_eq!(world.claim_all(&job, open_runs(0, 0), &runs, t(1000)).await, Claimed::Lost);
    assert!(world.ledger(&job.id).await.is_empty(), "nothing of it is written");
    assert_eq!(world.open(&job.id).await, (1, 0));
    let decided_anew = world.claim_all(&job, open_runs(1, 0), &runs, t(1000)).await;
    assert_eq!(decided_anew, Claimed::Won(ids(&runs)));
}

#[tokio::test]
async fn i02_an_instant_with_a_record_is_left_out_of_a_claim_and_the_counters_stay_right() {
    let world = World::new();
    let job = world.add("again").await;
    let ran = world.run(&job, t(1000)).await;
    let after = job.definition.patched(json!({ "description": "x" }), t(0)).unwrap();
    world.edit(&job, after, NextRun::Set(Some(t(1000))), t(900)).await;
    let runs = [planned(&job, t(1000), Now), planned(&job, t(2000), AfterOthers)];
    let claimed = world.claim_all(&job, open_runs(0, 0), &runs, t(2000)).await;
    assert_eq!(claimed, Claimed::Won(vec![runs[1].run.id]));
    assert_eq!(world.open(&job.id).await, (0, 1));
    assert_eq!(begun(&world, t(2000)).await, [runs[1].run.id], "it waits for nobody");
    let first = world.ledger(&job.id).await.remove(0);
    assert_eq!(first, (t(1000), clawhook_store::OccurrenceOutcome::Ran(ran.id)));
}

#[tokio::test]
async fn i02_an_instant_that_passed_is_not_told_of_twice() {
    let world = World::new();
    crate::destinations::define(&world, "watch", json!({ "subscriptions": [{ "events": ["run.missed"] }] }))
        .await;
    let job = world.add("told").await;
    for _ in 0..2 {
        let mut passed = claim(&job.id, t(1000), None, Some(t(2000)));
        passed.passed = vec![(t(1000), clawhook_store::OccurrenceOutcome::Missed("away".to_owned()))];
        world.store.claim(vec![passed], t(1500)).await.unwrap();
        let read = world.store.job(&job.id).await.unwrap().unwrap();
        let after = read.definition.patched(json!({ "description": "x" }), t(0)).unwrap();
        world.edit(&read, after, NextRun::Set(Some(t(1000))), t(900)).await;
    }
    assert_eq!(world.lease(t(2000)).await.len(), 1);
}

#[tokio::test]
async fn a_run_by_hand_follows_the_overlap_policy_of_its_job_and_cancels_nothing() {
    for (policy, second) in [
        (json!("skip"), "refused"),
        (json!("bufferOne"), "queued"),
        (json!("cancelOther"), "refused"),
        (json!("allowAll"), "begun"),
    ] {
        let world = World::new();
        let job = world.add_with("by-hand", json!({ "overlap": policy })).await;
        let ask = |at| world.store.start_run(start(&job.id, RunId::new(at), Overlap::Skip), at);
        ask(t(1)).await.unwrap();
        let came = match ask(t(2)).await.unwrap() {
            RunStarted::Begun(..) => "begun",
            RunStarted::Queued(_) => "queued",
            RunStarted::AlreadyRunning(_) => "refused",
            RunStarted::NotFound => "not found",
        };
        assert_eq!(came, second, "{policy}");
        assert!(world.begin(t(3)).await.is_empty(), "{policy}: what waits for another does not begin");
    }
}

#[tokio::test]
async fn what_waits_is_let_go_when_its_job_is_disabled_and_waits_again_when_it_is_enabled() {
    let world = World::new();
    let job = world.add_with("switched", json!({ "overlap": "bufferAll" })).await;
    let runs = [
        planned(&job, t(1000), Now),
        planned(&job, t(2000), AfterOthers),
        planned(&job, t(3000), AfterOthers),
    ];
    world.claim_all(&job, open_runs(0, 0), &runs, t(3000)).await;
    let off = job.definition.patched(json!({ "enabled": false }), t(0)).unwrap();
    world.edit(&job, off, NextRun::Set(None), t(3100)).await;
    let disabled = world.store.job(&job.id).await.unwrap().unwrap();
    let on = disabled.definition.patched(json!({ "enabled": true }), t(0)).unwrap();
    world.edit(&disabled, on, NextRun::Set(Some(t(4000))), t(3200)).await;
    assert!(world.begin(t(3200)).await.is_empty(), "the first is still under way");
    world.end(&job, &runs[0].run, done(), t(3300)).await;
    assert_eq!(begun(&world, t(3300)).await, [runs[1].run.id]);
}

#[tokio::test]
async fn a_disabled_jobs_runs_are_ended_and_those_asked_for_by_hand_keep_their_place() {
    let world = World::new();
    let job = world.add_with("off", json!({ "overlap": "bufferAll" })).await;
    let runs = [planned(&job, t(1000), Now), planned(&job, t(2000), AfterOthers)];
    world.claim_all(&job, open_runs(0, 0), &runs, t(2000)).await;
    let by_hand = start(&job.id, RunId::new(t(2100)), Overlap::Skip);
    assert!(matches!(world.store.start_run(by_hand.clone(), t(2100)).await.unwrap(), RunStarted::Queued(_)));
    let off = job.definition.patched(json!({ "enabled": false }), t(0)).unwrap();
    world.edit(&job, off, NextRun::Set(None), t(2200)).await;
    let let_go = world.store.claim_queued(LANE, 10, t(2200)).await.unwrap();
    assert_eq!(let_go.iter().map(|queued| queued.run.id).collect::<Vec<_>>(), [runs[1].run.id]);
    assert!(!let_go[0].job.is_enabled(), "whoever begins it sees that it is to be ended");
    world.end(&job, &runs[1].run, done(), t(2300)).await;
    assert!(world.begin(t(2300)).await.is_empty());
    world.end(&job, &runs[0].run, done(), t(2400)).await;
    assert_eq!(begun(&world, t(2400)).await, [by_hand.run_id]);
}

#[tokio::test]
async fn what_is_late_is_found_and_what_is_not_due_is_not() {
    let world = World::new();
    let job = world.add("late").await;
    assert_eq!(world.store.overdue(t(1000)).await.unwrap().job, None);
    assert_eq!(world.store.overdue(t(1001)).await.unwrap().job, Some((job.id.clone(), t(1000))));
    let runs = [planned(&job, t(1000), At(t(1500))), planned(&job, t(2000), AfterOthers)];
    world.claim_all(&job, open_runs(0, 0), &runs, t(2000)).await;
    let overdue = world.store.overdue(t(1501)).await.unwrap();
    assert_eq!((overdue.job, overdue.run), (None, Some((runs[0].run.id, t(1500)))));
    world.begin(t(2000)).await;
    assert_eq!(world.store.overdue(t(2500)).await.unwrap(), clawhook_store::Overdue::default());
}

fn start(job: &JobId, run_id: RunId, overlap: Overlap) -> StartRun {
    StartRun { job_id: job.clone(), run_id, session_id: SessionId::random(), held: vec![LANE], overlap }
}
