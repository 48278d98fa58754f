//! Whatever is forgotten of the ledger: no instant is run twice (invariants 1 and 2).

use clawhook_model::{Job, Overlap, RunId, RunOutcome, SessionId, UnixMs};
use clawhook_store::{Backfill, Backfilled, Claimed, NextRun, OccurrenceOutcome, Retention, Verdict};
use proptest::prelude::*;
use serde_json::json;

use super::{DAY_MS, MINUTE_MS, by_age, deliver, known, newest, prune};
use crate::outbox::settle_all;
use crate::world::{LANE, World, begun, claim, t};

fn backfill(job: &Job, instants: &[UnixMs]) -> Backfill {
    let instant = |due: &UnixMs| (*due, RunId::new(*due), SessionId::random());
    let instants = instants.iter().map(instant).collect();
    Backfill { job_id: job.id.clone(), instants, overlap: Overlap::Skip, dry_run: false }
}

async fn set_back(world: &World, job: &Job, to: UnixMs) {
    let job = world.store.job(&job.id).await.expect("the store answers").expect("the job");
    let after = job.definition.patched(json!({ "description": to.to_string() }), t(0)).expect("a good edit");
    world.edit(&job, after, NextRun::Set(Some(to)), to).await;
}

#[tokio::test]
async fn i02_an_instant_that_was_run_and_forgotten_is_not_run_again_when_the_clock_is_set_back() {
    let world = World::new();
    let job = world.add("again").await;
    deliver(&world, &job, 1, 10).await;
    assert_eq!(prune(&world, &newest(3), t(11_000)).await.occurrences, 7);
    set_back(&world, &job, t(2000)).await;
    for second in 2..=10 {
        let (claimed, _) = world.claim(&job, t(second * 1000), Some(t(second * 1000 + 1000))).await;
        assert_eq!(claimed, Claimed::Won(Vec::new()), "{second}");
    }
    let (claimed, run) = world.claim(&job, t(11_000), Some(t(12_000))).await;
    assert_eq!(claimed, Claimed::Won(vec![run.id]));
    let ledger: Vec<_> = world.ledger(&job.id).await.into_iter().map(|(due, _)| due).collect();
    assert_eq!(ledger, [t(8000), t(9000), t(10_000), t(11_000)], "and none has a second record");
}

#[tokio::test]
async fn i02_an_instant_whose_record_is_forgotten_is_not_backfilled() {
    let world = World::new();
    let job = world.add("asked").await;
    deliver(&world, &job, 1, 6).await;
    prune(&world, &newest(2), t(7000)).await;
    let asked: Vec<UnixMs> = (0..=6).map(|second| t(second * 1000)).collect();
    let answer = world.store.backfill(backfill(&job, &asked), t(8000)).await.unwrap();
    assert_eq!(answer, Backfilled::Done { queued: Vec::new(), already_ran: asked });
    assert!(world.store.claim_queued(LANE, 10, t(9000)).await.unwrap().is_empty());
}

#[tokio::test]
async fn i01_an_instant_that_passed_and_is_forgotten_gets_no_second_record() {
    let world = World::new();
    let job = world.add("passed").await;
    let miss = |second: i64, until: i64| {
        let mut missed = claim(&job.id, t(second * 1000), None, Some(t(until * 1000 + 1000)));
        let why = || OccurrenceOutcome::Missed("nobody was there".to_owned());
        missed.passed = (second..=until).map(|second| (t(second * 1000), why())).collect();
        missed
    };
    world.store.claim(vec![miss(1, 9)], t(9500)).await.unwrap();
    prune(&world, &newest(4), t(10_000)).await;
    set_back(&world, &job, t(3000)).await;
    world.store.claim(vec![miss(3, 9)], t(9500)).await.unwrap();
    let ledger: Vec<_> = world.ledger(&job.id).await.into_iter().map(|(due, _)| due).collect();
    assert_eq!(ledger, [t(6000), t(7000), t(8000), t(9000)]);
}

#[tokio::test]
async fn the_last_record_stays_however_old() {
    let world = World::new();
    let job = world.add("rare").await;
    deliver(&world, &job, 1, 2).await;
    prune(&world, &by_age(10), t(300 * DAY_MS)).await;
    assert_eq!(world.ledger(&job.id).await.len(), 1);
}

#[tokio::test]
async fn the_record_of_an_instant_that_was_run_lately_stays_though_it_was_due_long_ago() {
    let world = World::new();
    let job = world.add("late").await;
    deliver(&world, &job, 1, 2).await;
    let now = t(30 * MINUTE_MS);
    world.store.backfill(backfill(&job, &[t(500)]), now).await.unwrap();
    let run = world.begin(now).await.remove(0);
    prune(&world, &by_age(10), now).await;
    assert_eq!(world.ledger(&job.id).await.len(), 3, "its run is not over");
    world.end(&job, &begun(&run), RunOutcome::ok("done"), now).await;
    settle_all(&world, now, Verdict::Delivered).await;
    prune(&world, &by_age(10), now).await;
    assert_eq!(world.ledger(&job.id).await.len(), 3);
    prune(&world, &by_age(10), now.plus_millis(DAY_MS)).await;
    assert_eq!(world.ledger(&job.id).await.len(), 1);
}

#[tokio::test]
async fn i01_a_clock_that_was_years_ahead_does_not_keep_a_job_from_running_once_it_is_mended() {
    let world = World::new();
    let job = world.add("mended").await;
    deliver(&world, &job, 1, 5).await;
    // The clock shows another year, and what is run there drives out what was before.
    let ahead = 1000 * DAY_MS / 1000;
    assert!(world.store.correct_next_run(&job.id, Some(t(6000)), Some(t(ahead * 1000))).await.unwrap());
    deliver(&world, &job, ahead, ahead + 9).await;
    prune(&world, &newest(2), t((ahead + 10) * 1000)).await;
    assert_eq!(world.ledger(&job.id).await.len(), 2);

    let mended = t(5500);
    let next = Some(t((ahead + 10) * 1000));
    assert!(world.store.correct_next_run(&job.id, next, Some(t(6000))).await.unwrap());
    let asked = backfill(&job, &[t(3000), t(5000)]);
    let answer = world.store.backfill(asked, mended).await.unwrap();
    let ran = vec![t(3000), t(5000)];
    assert_eq!(answer, Backfilled::Done { queued: Vec::new(), already_ran: ran }, "they were run before");
    deliver(&world, &job, 6, 9).await;
    set_back(&world, &job, t(4000)).await;
    for second in 4..=9 {
        let (claimed, _) = world.claim(&job, t(second * 1000), Some(t(second * 1000 + 1000))).await;
        assert_eq!(claimed, Claimed::Won(Vec::new()), "{second}");
    }
}

/// Something that happens to a job.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Its next instants are run, and what they send arrives or waits.
    Run {
        instants: i64,
        arrives: bool,
    },
    /// The clock is set back.
    SetBack {
        seconds: i64,
    },
    /// An instant of the past is asked for.
    Backfill {
        seconds_ago: i64,
    },
    Prune {
        newest: u32,
        age_minutes: Option<u64>,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6i64, any::<bool>()).prop_map(|(instants, arrives)| Step::Run { instants, arrives }),
        2 => (1..20i64).prop_map(|seconds| Step::SetBack { seconds }),
        2 => (1..20i64).prop_map(|seconds_ago| Step::Backfill { seconds_ago }),
        4 => (1..6u32, proptest::option::of(0..1u64))
            .prop_map(|(newest, age_minutes)| Step::Prune { newest, age_minutes }),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn i02_no_order_of_events_runs_an_instant_twice(steps in proptest::collection::vec(step(), 1..14)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(no_instant_is_run_twice(&steps));
    }
}

async fn no_instant_is_run_twice(steps: &[Step]) {
    let mut world = World::new();
    let job = world.add("any").await;
    let (mut now, mut ran) = (0, std::collections::BTreeSet::new());
    for step in steps {
        match *step {
            Step::Run { instants, arrives } => {
                for _ in 0..instants {
                    let due = world.due_at().await.expect("it waits for an instant");
                    let (claimed, run) = world.claim(&job, due, Some(due.plus_millis(1000))).await;
                    if claimed == Claimed::Won(vec![run.id]) {
                        assert!(ran.insert(due), "{due} is run for the second time");
                        world.end(&job, &run, RunOutcome::ok("done"), due).await;
                    }
                    now = due.as_millis() - t(0).as_millis();
                }
                if arrives {
                    settle_all(&world, t(now), Verdict::Delivered).await;
                }
            }
            Step::SetBack { seconds } => {
                now = (now - seconds * 1000).max(0);
                set_back(&world, &job, t(now / 1000 * 1000 + 1000)).await;
            }
            Step::Backfill { seconds_ago } => {
                let due = t((now / 1000 - seconds_ago) * 1000);
                world.store.backfill(backfill(&job, &[due]), t(now)).await.expect("it is answered");
                for run in world.begin(t(now)).await {
                    assert!(ran.insert(due), "{due} is run for the second time");
                    world.end(&job, &begun(&run), RunOutcome::ok("done"), t(now)).await;
                }
            }
            Step::Prune { newest, age_minutes } => {
                let rules = Retention {
                    runs_per_job: Some(newest),
                    history_max_age: age_minutes.map(std::time::Duration::from_mins),
                    ..Retention::KEEP_ALL
                };
                prune(&world, &rules, t(now)).await;
                assert!(!known(&world, &job).await.is_empty() || ran.is_empty(), "the last run is known");
            }
            Step::Reopen => world = world.reopen(),
        }
    }
}
