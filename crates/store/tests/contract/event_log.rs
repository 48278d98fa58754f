//! The log of events: whole whether or not anybody subscribed, read in stretches, and honest about what it keeps no more.

use std::time::Duration;

use clawhook_model::{ErrorReason, EventKind, RunOutcome, RunStatus};
use clawhook_store::{
    Claim, DeferRun, EventFilter, EventGap, EventPage, EventStart, NextRun, OccurrenceOutcome, PruneCursor,
    PruneNext, Retention, RunStart, Topic, Verdict,
};
use serde_json::{Value, json};

use crate::destinations::define;
use crate::outbox::settle_as;
use crate::world::{World, claim, finish, job, open_runs, planned, t};

async fn read(world: &World, filter: EventFilter) -> EventPage {
    world.store.event_page(filter).await.expect("the log is read")
}

/// Everything that the log holds behind a number.
async fn behind(world: &World, after: u64) -> EventPage {
    read(world, EventFilter::all(EventStart::After(after), 1000)).await
}

fn kinds(page: &EventPage) -> Vec<&'static str> {
    page.events.iter().map(|event| event.kind.as_str()).collect()
}

async fn forget(world: &World, rules: &Retention, at: i64) {
    let mut cursor = PruneCursor::default();
    loop {
        match world.store.prune(rules, cursor, t(at)).await.expect("a step of a pass").then {
            PruneNext::Step(next) => cursor = next,
            PruneNext::Pass(_) => return,
        }
    }
}

#[tokio::test]
async fn whatever_happens_is_in_the_log_though_nobody_subscribed() {
    let world = World::new();
    let mut log = world.store.subscribe(Topic::Log);
    log.mark_unchanged();
    let job = world.add("seen").await;
    assert!(log.has_changed().expect("the store lives"), "a commit wakes whoever follows");
    let run = world.run(&job, t(1000)).await;
    for delivery in world.lease(t(1000)).await {
        world.store.settle_attempt(settle_as(&delivery, t(1001), Verdict::Dead)).await.expect("it is dead");
    }
    let passed = vec![(t(2000), OccurrenceOutcome::Missed("the gateway was not running".to_owned()))];
    let away = Claim { passed, ..claim(&job.id, t(2000), None, Some(t(3000))) };
    world.store.claim(vec![away], t(2500)).await.expect("the claim is answered");
    let read_again = world.store.job(&job.id).await.expect("the store answers").expect("the job");
    let renamed = job.definition.patched(json!({ "name": "other" }), t(1)).expect("a good job");
    world.edit(&read_again, renamed, NextRun::Keep, t(2600)).await;
    world.remove(&job.id, t(2700)).await;
    let page = behind(&world, 0).await;
    let told = [
        "job.added",
        "run.started",
        "run.finished",
        "delivery.dead",
        "run.missed",
        "job.updated",
        "job.removed",
    ];
    assert_eq!(kinds(&page), told);
    assert_eq!((page.next, page.end, page.gap), (7, 7, None));
    assert!(page.events.iter().all(|event| event.job_id.as_ref() == Some(&job.id)));
    let started: Value = serde_json::from_slice(&page.events[1].body).expect("events are JSON");
    let expected = json!({
        "eventId": page.events[1].id, "schemaVersion": 1, "type": "run.started", "action": "started", "jobId": "seen",
        "jobName": "seen", "runId": run.id, "trigger": "schedule", "scheduledAtMs": t(1000), "runAtMs": t(1000),
        "provenance": { "hops": 0, "trail": [] }, "atMs": t(1000), "agentId": "main", "sessionId": run.session.id, "sessionKey": run.session.key,
    });
    assert_eq!(started, expected);
}

#[tokio::test]
async fn a_run_that_waited_is_told_of_when_it_begins_and_not_before() {
    let world = World::new();
    let job = world.add("late").await;
    let waiting = planned(&job, t(1000), RunStart::At(t(5000)));
    world.claim_all(&job, open_runs(0, 0), &[waiting], t(1000)).await;
    assert_eq!(kinds(&behind(&world, 0).await), ["job.added"]);
    let begun = world.begin(t(5000)).await;
    assert_eq!(kinds(&behind(&world, 1).await), ["run.started"]);
    world.end_queued(&job, &begun[0], RunOutcome::ok("done"), t(6000)).await;
    assert_eq!(kinds(&behind(&world, 1).await), ["run.started", "run.finished"]);
}

#[tokio::test]
async fn a_run_that_is_put_back_is_told_of_each_time_it_begins() {
    let world = World::new();
    let job = world.add("patient").await;
    let (_, run) = world.claim(&job, t(1000), Some(t(2000))).await;
    let before = behind(&world, 1).await.events.remove(0);
    let why = "the provider asked to wait".to_owned();
    let defer = DeferRun { run_id: run.id, job_id: job.id.clone(), until: t(3000), why };
    world.store.defer_run(defer, t(1500)).await.expect("it is put back");
    assert_eq!(
        behind(&world, 1).await.events,
        std::slice::from_ref(&before),
        "the same bytes under the same id"
    );
    world.begin(t(3000)).await;
    let told = behind(&world, 1).await.events;
    assert_eq!((told.len(), told[0].clone()), (2, before.clone()));
    assert_ne!(told[1].id, before.id);
    let again: Value = serde_json::from_slice(&told[1].body).expect("events are JSON");
    assert_eq!((&again["deferrals"], &again["runAtMs"]), (&json!(1), &json!(t(3000))));
}

#[tokio::test]
async fn who_subscribes_to_starts_is_sent_what_the_log_tells() {
    let world = World::new();
    define(&world, "watch", json!({ "subscriptions": [{ "events": ["run.started"] }] })).await;
    let job = world.add("watched").await;
    let run = world.run(&job, t(1000)).await;
    let logged = behind(&world, 1).await.events.remove(0);
    let leased = world.lease(t(1000)).await;
    let sent = leased.iter().find(|delivery| delivery.kind == EventKind::RunStarted).expect("it is sent");
    assert_eq!((sent.event_id, &sent.body), (logged.id, &logged.body));
    let record = world.store.run(run.id).await.expect("the store answers").expect("the run");
    assert_eq!(
        record.deliveries.iter().filter(|delivery| delivery.required).count(),
        1,
        "it never counts for the run"
    );
    for delivery in &leased {
        let settle = settle_as(delivery, t(1001), Verdict::Delivered);
        world.store.settle_attempt(settle).await.expect("it arrived");
    }
    let replayed = world.store.replay_run(run.id, None, t(2000)).await.expect("the store answers");
    assert!(matches!(replayed, clawhook_store::RunReplayed::Done { sent, .. } if sent.len() == 1));
}

#[tokio::test]
async fn the_log_is_read_in_stretches_that_neither_lose_nor_repeat() {
    let world = World::new();
    let job = world.add("busy").await;
    for second in 1..=20 {
        world.run(&job, t(second * 1000)).await;
    }
    let whole: Vec<u64> = behind(&world, 0).await.events.iter().map(|event| event.seq).collect();
    assert_eq!(whole.len(), 41);
    let (mut after, mut pieces) = (0, Vec::new());
    loop {
        let page = read(&world, EventFilter::all(EventStart::After(after), 3)).await;
        assert!(page.events.len() <= 3);
        pieces.extend(page.events.iter().map(|event| event.seq));
        if page.next == page.end {
            break;
        }
        after = page.next;
    }
    assert_eq!(pieces, whole);
    let newest = read(&world, EventFilter::all(EventStart::Newest, 2)).await;
    assert_eq!(newest.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [40, 41]);
    assert_eq!((newest.next, newest.end), (41, 41));
    let ahead = behind(&world, 99).await;
    assert_eq!((ahead.events.len(), ahead.next, ahead.end), (0, 99, 41));
}

#[tokio::test]
async fn what_fails_among_others_takes_no_number_and_leaves_no_hole() {
    let world = World::new();
    world.add("taken").await;
    // They are written at once, in groups; the one in the middle fails, and its group with it, which is then tried one by one.
    let names = (0..40).map(|number| if number == 20 { "taken".to_owned() } else { format!("j{number}") });
    let mut writes = tokio::task::JoinSet::new();
    for name in names {
        let store = world.store.clone();
        writes.spawn(async move { store.insert_job(job(&name, &json!({}))).await });
    }
    let written = writes.join_all().await;
    assert_eq!(written.iter().filter(|written| written.is_err()).count(), 1);
    let page = behind(&world, 0).await;
    let numbers: Vec<u64> = page.events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_filter_tells_what_fits_and_still_moves_on() {
    let world = World::new();
    let one = world.add("one").await;
    let work = json!({ "kind": "command", "argv": ["true"] });
    let change =
        json!({ "agentId": "sales", "sessionTarget": "isolated", "wakeMode": "now", "payload": work });
    let other = world.add_with("other", change).await;
    world.run(&one, t(1000)).await;
    let (_, run) = world.claim(&other, t(1000), Some(t(2000))).await;
    let failed = RunOutcome::error(ErrorReason::Timeout, "too long");
    world.store.finish_run(finish(&other, &run, failed, t(1500))).await.expect("the run is stored");
    let all = || EventFilter::all(EventStart::After(0), 100);
    let end = behind(&world, 0).await.end;
    for (filter, expected) in [
        (EventFilter { kinds: vec![EventKind::RunStarted, EventKind::JobAdded], ..all() }, 4),
        (EventFilter { job: Some(one.id.clone()), ..all() }, 3),
        (EventFilter { agent: Some(run.agent_id.clone()), ..all() }, 3),
        (EventFilter { status: Some(RunStatus::Error), ..all() }, 1),
        (EventFilter { status: Some(RunStatus::Skipped), ..all() }, 0),
    ] {
        let page = read(&world, filter.clone()).await;
        assert_eq!((page.events.len(), page.next), (expected, end), "{filter:?}");
    }
}

#[tokio::test]
async fn what_is_kept_no_more_is_told_and_no_number_is_used_again() {
    let world = World::new();
    let job = world.add("old").await;
    for second in 1..=3 {
        let run = world.run(&job, t(second * 1000)).await;
        for delivery in world.lease(t(second * 1000)).await {
            let settle = settle_as(&delivery, t(second * 1000), Verdict::Delivered);
            world.store.settle_attempt(settle).await.expect("it arrived");
        }
        drop(run);
    }
    let hour = Some(Duration::from_hours(1));
    let rules = Retention { history_max_age: hour, ..Retention::KEEP_ALL };
    forget(&world, &rules, 2 * 60 * 60 * 1000).await;
    let page = behind(&world, 0).await;
    assert_eq!(kinds(&page), ["run.started", "run.finished"], "the last run of a job stays");
    assert_eq!(page.gap, Some(EventGap { upto: 5, missing: Some(5) }));
    assert_eq!(behind(&world, 3).await.gap, Some(EventGap { upto: 5, missing: Some(2) }));
    assert_eq!(behind(&world, 5).await.gap, None, "who has read what is gone misses nothing");
    world.remove(&job.id, t(3 * 60 * 60 * 1000)).await;
    forget(&world, &rules, 9 * 60 * 60 * 1000).await;
    let world = world.reopen();
    let page = behind(&world, 7).await;
    assert_eq!((page.events.len(), page.end), (0, 8));
    world.add("new").await;
    let page = behind(&world, 8).await;
    assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [9]);
}

#[tokio::test]
async fn the_store_forgets_old_events_of_no_run_when_it_may_take_no_more_room() {
    let world = World::new();
    let text = "x".repeat(20_000);
    for number in 0..100 {
        let change = json!({ "description": text, "enabled": false });
        world.add_with(&format!("j{number}"), change).await;
    }
    let held = world.store.size().await.expect("the size").bytes;
    let rules = Retention { max_bytes: Some(held / 2), ..Retention::KEEP_ALL };
    forget(&world, &rules, 1).await;
    let page = behind(&world, 0).await;
    assert!(page.events.len() < 100, "{} are kept", page.events.len());
    assert!(page.gap.is_some());
}
