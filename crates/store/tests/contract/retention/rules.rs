//! The history of runs, events, deliveries and replays.

use clawhook_model::{DeliveryState, ReplayFilter, ReplayId, Replayable};
use clawhook_store::{
    DeliveryFilter, NewReplay, PruneCursor, PruneNext, PrunedRows, ReplayAdvanced, Verdict,
};
use serde_json::json;

use super::{DAY_MS, MINUTE_MS, by_age, deliver, done, known, newest, prune, rows};
use crate::destinations::define;
use crate::outbox::settle_all;
use crate::world::{World, t};

#[tokio::test]
async fn a_run_past_its_age_goes_whole_and_the_last_one_of_its_job_stays() {
    let world = World::new();
    let job = world.add("ticks").await;
    deliver(&world, &job, 1, 4).await;
    let young = prune(&world, &by_age(10), t(9 * MINUTE_MS)).await;
    assert_eq!(young, PrunedRows::default());
    let gone = prune(&world, &by_age(10), t(11 * MINUTE_MS)).await;
    let expected = PrunedRows {
        runs: 3,
        // How each run ended, and that the job was added.
        events: 4,
        deliveries: 3,
        attempts: 3,
        occurrences: 3,
        ..PrunedRows::default()
    };
    assert_eq!(gone, expected);
    assert_eq!(known(&world, &job).await, [4], "it tells how the job stands");
    assert!(world.state(&job.id).await.last_run.is_some());
    for table in ["runs", "events", "deliveries", "attempts", "occurrences"] {
        assert_eq!(rows(&world, table), 1, "{table}");
    }
    assert_eq!(prune(&world, &by_age(10), t(11 * MINUTE_MS)).await, PrunedRows::default());
}

#[tokio::test]
async fn a_busy_job_does_not_drive_out_the_history_of_a_quiet_one() {
    let world = World::new();
    let (busy, quiet) = (world.add("busy").await, world.add("quiet").await);
    deliver(&world, &quiet, 1, 3).await;
    deliver(&world, &busy, 1, 40).await;
    let gone = prune(&world, &newest(5), t(60_000)).await;
    assert_eq!((gone.runs, gone.occurrences), (35, 35));
    assert_eq!(known(&world, &busy).await, [36, 37, 38, 39, 40]);
    assert_eq!(known(&world, &quiet).await, [1, 2, 3]);
}

#[tokio::test]
async fn the_history_of_a_job_that_was_removed_goes_by_the_same_rules_and_in_the_end_all_of_it() {
    let world = World::new();
    let job = world.add("gone").await;
    deliver(&world, &job, 1, 6).await;
    world.remove(&job.id, t(7000)).await;
    let other = world.add("other").await;
    deliver(&world, &other, 1, 1).await;
    assert_eq!(prune(&world, &newest(4), t(8000)).await.runs, 2);
    assert_eq!(prune(&world, &by_age(10), t(9 * MINUTE_MS)).await, PrunedRows::default());
    assert_eq!(prune(&world, &by_age(10), t(11 * MINUTE_MS)).await.runs, 4);
    for table in ["runs", "events", "deliveries", "attempts", "occurrences"] {
        assert_eq!(rows(&world, table), 1, "{table}: what the other job has left");
    }
    assert_eq!(known(&world, &other).await, [1]);
}

#[tokio::test]
async fn i04_what_is_not_settled_stays_however_old_and_however_many() {
    let world = World::new();
    let job = world.add("waits").await;
    for second in 1..=4 {
        world.run(&job, t(second * 1000)).await;
    }
    let later = Verdict::RetryAt { at: t(400 * DAY_MS), spends: clawhook_store::Spends::Retry };
    settle_all(&world, t(5000), later).await;
    let rules = clawhook_store::Retention { max_bytes: Some(1), ..by_age(10) };
    for rules in [by_age(10), newest(1), rules] {
        let gone = prune(&world, &rules, t(30 * DAY_MS)).await;
        assert_eq!((gone.runs, gone.deliveries, gone.attempts), (0, 0, 0));
    }
    assert_eq!(rows(&world, "events"), 4, "only that the job was added is told no more");
    settle_all(&world, t(400 * DAY_MS), Verdict::Delivered).await;
    assert_eq!(prune(&world, &by_age(10), t(400 * DAY_MS)).await.runs, 3);
}

#[tokio::test]
async fn a_dead_delivery_keeps_its_run_until_it_is_itself_old() {
    let world = World::new();
    let job = world.add("dead").await;
    world.run(&job, t(1000)).await;
    settle_all(&world, t(20 * MINUTE_MS), Verdict::Dead).await;
    deliver(&world, &job, 2, 3).await;
    let rules = clawhook_store::Retention { runs_per_job: Some(1), max_bytes: Some(1), ..by_age(10) };
    prune(&world, &rules, t(29 * MINUTE_MS)).await;
    assert_eq!(known(&world, &job).await, [1, 3]);
    prune(&world, &rules, t(31 * MINUTE_MS)).await;
    assert_eq!(known(&world, &job).await, [3]);
}

#[tokio::test]
async fn a_run_that_is_not_over_stays_with_its_record() {
    let world = World::new();
    let job = world.add_with("slow", json!({ "overlap": "allowAll" })).await;
    let (_, under_way) = world.claim(&job, t(1000), Some(t(2000))).await;
    let mut open = crate::world::claim(&job.id, t(2000), None, Some(t(3000)));
    open.open = crate::world::open_runs(1, 0);
    let run = crate::world::planned(&job, t(2000), clawhook_store::RunStart::Now);
    open.runs = vec![run.clone()];
    world.store.claim(vec![open], t(2000)).await.unwrap();
    world.end(&job, &run.run, done(), t(2500)).await;
    settle_all(&world, t(2500), Verdict::Delivered).await;
    let rules = clawhook_store::Retention { runs_per_job: Some(1), max_bytes: Some(1), ..by_age(1) };
    let added = PrunedRows { events: 1, ..PrunedRows::default() };
    assert_eq!(prune(&world, &rules, t(DAY_MS)).await, added);
    assert_eq!(world.ledger(&job.id).await.len(), 2);
    world.end(&job, &under_way, done(), t(DAY_MS)).await;
    settle_all(&world, t(DAY_MS), Verdict::Delivered).await;
    assert_eq!(world.run(&job, t(3000)).await.attempt, 1);
    prune(&world, &rules, t(2 * DAY_MS)).await;
    assert_eq!(known(&world, &job).await, [3]);
}

#[tokio::test]
async fn what_a_replay_still_has_to_look_at_stays_and_a_replay_that_is_over_goes() {
    let world = World::new();
    let job = world.add("again").await;
    deliver(&world, &job, 1, 9).await;
    let filter = ReplayFilter {
        destination: None,
        job_id: None,
        run_id: None,
        states: vec![Replayable::Delivered],
        causes: Vec::new(),
        since: None,
        until: None,
    };
    let now = t(20_000);
    let new = |id| NewReplay { id, filter: filter.clone(), to: None, per_second: None, now };
    let (first, second) = (ReplayId::new(now), ReplayId::new(now));
    world.store.start_replay(new(first)).await.unwrap().expect("it begins");
    let advanced = world.store.advance_replay(first, 3, now).await.unwrap();
    assert!(matches!(advanced, ReplayAdvanced::Running { sent: 3 }));
    settle_all(&world, now, Verdict::Delivered).await;
    let gone = prune(&world, &newest(1), t(30_000)).await;
    assert_eq!((gone.runs, known(&world, &job).await), (3, vec![4, 5, 6, 7, 8, 9]));

    while !matches!(world.store.advance_replay(first, 3, now).await.unwrap(), ReplayAdvanced::Over) {}
    assert_eq!(world.store.replay(first).await.unwrap().unwrap().replay.done, 9);
    assert_eq!(prune(&world, &newest(1), t(30_000)).await.runs, 0, "they are to be carried once more");
    settle_all(&world, t(30_000), Verdict::Delivered).await;
    assert_eq!(prune(&world, &newest(1), t(30_000)).await.runs, 5);

    world.store.start_replay(new(second)).await.unwrap().expect("it begins");
    while !matches!(world.store.advance_replay(second, 3, now).await.unwrap(), ReplayAdvanced::Over) {}
    settle_all(&world, t(30_000), Verdict::Delivered).await;
    assert_eq!(prune(&world, &by_age(10), t(DAY_MS)).await.replays, 1, "the newest keeps its number taken");
    assert!(world.store.replay(first).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_told_of_no_run_goes_with_age_once_it_has_arrived() {
    let world = World::new();
    let subscribed = json!({ "subscriptions": [{ "events": ["job.updated", "job.removed", "run.missed"] }] });
    define(&world, "ops", subscribed).await;
    let job = world.add("told").await;
    let mut missed = crate::world::claim(&job.id, t(1000), None, Some(t(2000)));
    let why = clawhook_store::OccurrenceOutcome::Missed("nobody was there".to_owned());
    missed.passed = vec![(t(1000), why)];
    world.store.claim(vec![missed], t(1500)).await.unwrap();
    settle_all(&world, t(2000), Verdict::Delivered).await;
    world.remove(&job.id, t(3000)).await;
    assert_eq!((rows(&world, "events"), rows(&world, "deliveries")), (3, 2));
    let gone = prune(&world, &by_age(10), t(DAY_MS)).await;
    assert_eq!(
        (gone.events - 1, gone.deliveries, gone.attempts),
        (1, 1, 1),
        "one has not arrived, and one was for nobody"
    );
    settle_all(&world, t(DAY_MS), Verdict::Delivered).await;
    prune(&world, &by_age(10), t(DAY_MS + 1)).await;
    assert_eq!((rows(&world, "events"), rows(&world, "deliveries"), rows(&world, "attempts")), (0, 0, 0));
}

#[tokio::test]
async fn a_pass_takes_small_steps_and_one_that_goes_on_looks_at_old_rows_no_more() {
    let world = World::new();
    let job = world.add("many").await;
    deliver(&world, &job, 1, 120).await;
    let (mut cursor, mut steps) = (PruneCursor::default(), Vec::new());
    loop {
        let pruned = world.store.prune(&by_age(1), cursor, t(DAY_MS)).await.unwrap();
        steps.push(pruned.rows.runs);
        match pruned.then {
            PruneNext::Step(next) => cursor = next,
            PruneNext::Pass(next) => break cursor = next,
        }
    }
    assert_eq!(steps.iter().sum::<u64>(), 119);
    assert!(steps.iter().all(|runs| *runs <= 50), "{steps:?}");
    deliver(&world, &job, 121, 122).await;
    let again = world.store.prune(&by_age(1), cursor, t(2 * DAY_MS)).await.unwrap();
    assert_eq!(again.rows.runs, 1, "what came since");
    let open =
        DeliveryFilter { states: vec![DeliveryState::Delivered], limit: 9, ..DeliveryFilter::default() };
    assert_eq!(
        world.store.deliveries(open).await.unwrap().total,
        2,
        "the run that was the last one, and the last one"
    );
}
