//! A clock that is set, a machine that sleeps, a zone that changes its offset: nothing runs twice, and nothing is skipped
//! in silence.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::{JobDefinition, JobId, UnixMs};
use clawhook_store::{Left, OccurrenceFilter};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::world::{Life, Script, T0, options, remains, t, timetable};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn every(ms: i64) -> Value {
    json!({ "schedule": { "kind": "every", "everyMs": ms, "anchorMs": T0 } })
}

/// Has the timer look, as a real clock's does at least twice a minute.
async fn nudge(life: &Life, number: usize) {
    let idle = json!({ "enabled": false, "schedule": { "kind": "every", "everyMs": DAY, "anchorMs": T0 } });
    let name = format!("nudge-{number}");
    let id = life.add(&name, idle).await;
    life.store.remove_job(&id, Left::default(), life.clock.now()).await.expect("it is removed");
    life.asleep().await;
}

/// That no instant was run by two runs.
async fn nothing_ran_twice(life: &Life, job: &JobId, runs: usize) {
    let runs = life.finished(job, runs).await;
    let instants: BTreeSet<_> = runs.iter().map(|record| record.run.scheduled_at).collect();
    assert_eq!(instants.len(), runs.len());
}

#[tokio::test]
async fn i01_a_step_forward_by_hours_leaves_a_record_for_each_instant_and_runs_what_the_policy_says() {
    for (policy, ran) in [("skip", 0), ("once", 1), ("each", 5)] {
        let folder = tempfile::tempdir().unwrap();
        let life = Life::begin(folder.path(), T0, options());
        let mut job = every(HOUR);
        job["misfire"] = json!(policy);
        let job = life.add("stepped", job).await;
        life.asleep().await;
        life.clock.set(t(5 * HOUR + 30 * MINUTE));
        life.recorded(&job, 5).await;
        life.go_on(t(5 * HOUR + 31 * MINUTE)).await;
        let ledger = life.ledger(&job).await;
        let instants: Vec<i64> = ledger.iter().map(|(due, _)| *due).collect();
        assert_eq!(instants, [HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 5 * HOUR], "{policy}");
        let last: Vec<&str> = ledger.iter().map(|(_, word)| *word).collect();
        let expected = [vec!["missed"; 5 - ran], vec!["ran"; ran]].concat();
        assert_eq!(last, expected, "{policy}");
        nothing_ran_twice(&life, &job, ran).await;
    }
}

#[tokio::test]
async fn i02_after_a_step_back_no_instant_runs_twice_and_runs_go_on_with_the_first_that_has_no_record() {
    for back in [HOUR, DAY] {
        let folder = tempfile::tempdir().unwrap();
        let life = Life::begin(folder.path(), T0, options());
        let job = life.add("back", every(MINUTE)).await;
        life.go_on(t(3 * MINUTE)).await;
        life.finished(&job, 3).await;
        life.clock.set(t(3 * MINUTE - back));
        nudge(&life, 1).await;
        life.go_on(t(6 * MINUTE - back)).await;
        assert_eq!(life.ledger(&job).await.len(), 3, "what comes again has its record");
        life.clock.set(t(4 * MINUTE - 1));
        nudge(&life, 2).await;
        assert_eq!(life.finished(&job, 3).await.len(), 3);
        life.clock.set(t(4 * MINUTE));
        nothing_ran_twice(&life, &job, 4).await;
        let expected = [1, 2, 3, 4].map(|minute| (minute * MINUTE, "ran"));
        assert_eq!(life.ledger(&job).await, expected);
    }
}

#[tokio::test]
async fn i01_what_was_due_while_the_machine_slept_has_its_record_even_if_a_run_slept_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("slept", every(MINUTE)).await;
    let release = Arc::new(Semaphore::new(0));
    life.runtime.next([Script::Deaf(release.clone())]);
    life.go_on(t(MINUTE)).await;
    life.runtime.began(1).await;
    life.clock.set(t(10 * MINUTE));
    let ledger = life.recorded(&job, 10).await;
    let due: Vec<i64> = ledger.iter().map(|(due, _)| *due).collect();
    assert_eq!(due, (1..=10).map(|minute| minute * MINUTE).collect::<Vec<_>>());
    let words: Vec<&str> = ledger.iter().map(|(_, word)| *word).collect();
    assert_eq!(words, [vec!["ran"], vec!["missed"; 8], vec!["skipped"]].concat());
    release.add_permits(1);
    life.finished(&job, 1).await;
    life.go_on(t(11 * MINUTE)).await;
    nothing_ran_twice(&life, &job, 2).await;
}

/// The night in which Berlin's clocks are set, from an hour before to four hours after.
fn nights() -> [(UnixMs, UnixMs); 2] {
    let night = |midnight: &str| {
        let midnight: jiff::Timestamp = midnight.parse().expect("an instant");
        let begin = UnixMs::from_millis(midnight.as_millisecond());
        (begin, begin.plus(Duration::from_hours(5)))
    };
    [night("2026-03-28T23:00:00Z"), night("2026-10-24T22:00:00Z")]
}

fn nightly() -> Value {
    let cron = json!({ "kind": "cron", "expr": "15,45 1-3 * * *", "tz": "Europe/Berlin", "staggerMs": 0 });
    json!({ "schedule": cron, "misfire": { "policy": "each", "max": 100 } })
}

/// When the nightly job is due in a night, by its timetable.
fn expected((begin, end): (UnixMs, UnixMs)) -> Vec<UnixMs> {
    let mut job = nightly();
    job["payload"] = json!({ "kind": "agentTurn", "message": "go" });
    let definition = JobDefinition::parse(job, begin).expect("a good job");
    timetable(&definition, &"nightly".parse().expect("an id")).due_between(begin, end).collect()
}

/// That each instant of a night was run, once, and nothing else has a record.
async fn each_ran_once(life: &Life, job: &JobId, night: (UnixMs, UnixMs)) {
    let expected = expected(night);
    assert!(expected.len() >= 4, "{expected:?}");
    nothing_ran_twice(life, job, expected.len()).await;
    let ledger = life.ledger(job).await;
    let ran: Vec<_> = expected.iter().map(|due| (due.as_millis() - T0.as_millis(), "ran")).collect();
    assert_eq!(ledger, ran);
}

#[tokio::test]
async fn i01_i02_each_instant_of_the_nights_in_which_the_clocks_change_is_run_once() {
    for night in nights() {
        let folder = tempfile::tempdir().unwrap();
        let life = Life::begin(folder.path(), night.0, options());
        let job = life.add("nightly", nightly()).await;
        life.go_on(night.1).await;
        each_ran_once(&life, &job, night).await;
    }
}

#[tokio::test]
async fn i01_i02_the_same_instants_are_run_once_where_the_machine_slept_through_the_change() {
    for night in nights() {
        let folder = tempfile::tempdir().unwrap();
        let life = Life::begin(folder.path(), night.0, options());
        let job = life.add("nightly", nightly()).await;
        life.asleep().await;
        life.clock.set(night.1);
        life.recorded(&job, expected(night).len()).await;
        life.go_on(night.1.plus_millis(MINUTE)).await;
        each_ran_once(&life, &job, night).await;
    }
}

#[tokio::test]
async fn i01_i02_a_clock_that_was_years_ahead_and_is_set_right_has_nothing_run_twice() {
    const YEARS: i64 = 3 * 365 * DAY;
    let folder = tempfile::tempdir().unwrap();
    let before = Life::begin(folder.path(), T0, options());
    let job = before.add("daily", every(DAY)).await;
    let remains = remains(folder.path());
    let life = Life::begin(remains.path(), t(YEARS + HOUR), options());
    let records = usize::try_from(YEARS / DAY).unwrap();
    life.finished(&job, 1).await;
    life.clock.set(t(HOUR));
    nudge(&life, 1).await;
    life.go_on(t(2 * HOUR)).await;
    assert_eq!(life.finished(&job, 1).await.len(), 1);
    // What was missed in years that had not come is run when it really comes; the audit sees to it.
    let waits_for = life.state(&job).await.next_run_at;
    assert!(life.store.correct_next_run(&job, waits_for, Some(t(DAY))).await.unwrap());
    life.go_on(t(DAY)).await;
    nothing_ran_twice(&life, &job, 2).await;
    let until_then = OccurrenceFilter { before: Some(t(DAY + 1)), ..OccurrenceFilter::newest(&job, 1) };
    let first = life.store.occurrences(until_then).await.unwrap().remove(0);
    assert_eq!((first.due_at, first.outcome.as_str()), (t(DAY), "ran"));
    assert!(first.was_passed.is_some(), "the record goes on telling that it was missed");
    life.clock.set(t(YEARS + DAY));
    nothing_ran_twice(&life, &job, 3).await;
    let filter = OccurrenceFilter::newest(&job, 10_000);
    let ledger = life.store.occurrences(filter).await.unwrap();
    let instants: BTreeSet<UnixMs> = ledger.iter().map(|one| one.due_at).collect();
    assert_eq!((ledger.len(), instants.len()), (records + 1, records + 1), "one record for each");
}
