//! Due times that are known: croner's recorded ones, the contract's, and the rules of `every`, `at` and the stagger.

use std::time::Duration;

use clawhook_model::{DstRule, Schedule, UnixMs};
use clawhook_schedule::Timetable;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::{cron, job, ms, timetable};

#[test]
fn the_answers_are_croners() {
    agree_with(include_str!("../croner-vectors.json"));
}

#[test]
fn the_answers_are_croners_for_rare_forms_and_odd_zones_too() {
    agree_with(include_str!("../croner-vectors-more.json"));
}

#[track_caller]
fn agree_with(vectors: &str) {
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    let differing: Vec<String> = cases.iter().filter_map(difference).collect();
    assert!(differing.is_empty(), "{} of {}:\n{}", differing.len(), cases.len(), differing.join("\n"));
}

/// How our answers to a case differ from the recorded ones.
fn difference(case: &Value) -> Option<String> {
    let (expr, zone) = (case["expr"].as_str().unwrap(), case["tz"].as_str().unwrap());
    let recorded = case.get("next").map(|next| next.as_array().unwrap().as_slice());
    let ours = timetable(&cron(expr, zone)).map(|timetable| {
        let mut at = ms(case["from"].as_str().unwrap());
        let mut answers = Vec::new();
        for _ in recorded.unwrap_or_default() {
            let next = timetable.next_after(at);
            answers.push(next.map_or(Value::Null, |next| Value::from(next.to_rfc3339())));
            at = next.unwrap_or(at);
        }
        answers
    });
    let agree = match (&ours, recorded) {
        (Ok(ours), Some(recorded)) => ours == recorded,
        (Err(_), None) => true,
        _ => false,
    };
    (!agree).then(|| format!("`{expr}` in {zone} from {}:\n  ours {ours:?}\n  recorded {case}", case["from"]))
}

#[test]
fn an_interval_is_due_on_the_grid_of_its_anchor_strictly_after() {
    for (anchor, interval, after, next) in [
        (0, 60_000, 0, 60_000),
        (0, 60_000, 1, 60_000),
        // The contract's formula gives 60000 here, which is not after it (contract §10, 15).
        (0, 60_000, 60_000, 120_000),
        (0, 60_000, 60_001, 120_000),
        (100_000, 60_000, 50_000, 100_000),
        (100_000, 60_000, 99_999, 100_000),
        (100_000, 60_000, 100_000, 160_000),
        (7, 1, 7, 8),
        (0, 1, 1_767_225_600_000, 1_767_225_600_001),
    ] {
        let every = every(interval, anchor);
        let got = timetable(&every).unwrap().next_after(UnixMs::from_millis(after));
        assert_eq!(got, Some(UnixMs::from_millis(next)), "{every:?} after {after}");
    }
}

#[test]
fn an_interval_does_not_drift_and_ends_with_the_last_date() {
    let every_seven_seconds = timetable(&every(7_000, 3)).unwrap();
    let due: Vec<i64> = every_seven_seconds
        .due_between(UnixMs::from_millis(1_000_000), UnixMs::from_millis(1_021_003))
        .map(UnixMs::as_millis)
        .collect();
    assert_eq!(due, [1_001_003, 1_008_003, 1_015_003]);
    let nearly_for_ever = timetable(&every(u64::MAX, 0)).unwrap();
    assert_eq!(nearly_for_ever.next_after(UnixMs::EPOCH), None);
    let last = UnixMs::from_millis(i64::MAX);
    assert_eq!(every_seven_seconds.next_after(last), None);
}

#[test]
fn an_instant_is_due_once() {
    let at = ms("2026-02-18T14:00:00Z");
    let timetable = timetable(&Schedule::At { at }).unwrap();
    assert_eq!(timetable.next_after(at.plus_millis(-1)), Some(at));
    assert_eq!(timetable.next_after(at), None);
    assert_eq!(timetable.due_between(UnixMs::EPOCH, at).collect::<Vec<_>>(), [at]);
    assert_eq!(timetable.due_between(UnixMs::EPOCH, at.plus_millis(-1)).count(), 0);
}

#[test]
fn a_stagger_shifts_every_due_time_by_the_jobs_own_offset() {
    let hourly =
        Schedule::Cron { expr: "0 * * * *".to_owned(), tz: None, stagger_ms: None, dst: DstRule::OpenClaw };
    let timetable = timetable(&hourly).unwrap();
    assert_eq!(timetable.stagger_offset(), Duration::from_millis(47_897));
    let (noon, one) = (ms("2026-01-01T12:00:47.897Z"), ms("2026-01-01T13:00:47.897Z"));
    // The full hour has passed, its shifted time has not.
    assert_eq!(timetable.next_after(ms("2026-01-01T12:00:30Z")), Some(noon));
    assert_eq!(timetable.next_after(noon.plus_millis(-1)), Some(noon));
    assert_eq!(timetable.next_after(noon), Some(one));
}

#[test]
fn an_explicit_stagger_wins_over_the_default() {
    for (stagger_ms, offset) in [(Some(0), 0), (Some(1), 0), (Some(30_000), 17_897), (None, 47_897)] {
        let schedule =
            Schedule::Cron { expr: "0 * * * *".to_owned(), tz: None, stagger_ms, dst: DstRule::OpenClaw };
        let offset = Duration::from_millis(offset);
        assert_eq!(timetable(&schedule).unwrap().stagger_offset(), offset, "{stagger_ms:?}");
    }
}

#[test]
fn without_a_zone_or_with_a_blank_one_the_hosts_counts() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    for tz in [None, Some(String::new()), Some("  ".to_owned())] {
        let schedule =
            Schedule::Cron { expr: "0 9 * * *".to_owned(), tz, stagger_ms: None, dst: DstRule::OpenClaw };
        let timetable = Timetable::new(&schedule, &job(), &berlin).unwrap();
        assert_eq!(timetable.next_after(ms("2026-01-01T00:00:00Z")), Some(ms("2026-01-01T08:00:00Z")));
    }
}

#[test]
fn an_instant_beyond_all_calendars_has_no_next_and_does_no_harm() {
    let every_second = timetable(&cron("* * * * * *", "America/New_York")).unwrap();
    assert_eq!(every_second.next_after(UnixMs::from_millis(i64::MAX)), None);
    assert_eq!(every_second.next_after(ms("9999-12-30T22:00:00Z").plus_millis(999)), None);
    let first = every_second.next_after(UnixMs::from_millis(i64::MIN));
    assert_eq!(first, Some(UnixMs::from_millis(1_000)));
}

fn every(every_ms: u64, anchor_ms: i64) -> Schedule {
    Schedule::Every { every_ms, anchor_ms: UnixMs::from_millis(anchor_ms) }
}
