//! What is refused, in which words, and how schedules are shown.

use clawhook_model::{DstRule, Schedule, UnixMs};
use clawhook_schedule::{ScheduleError, check_new, describe, describe_for};
use jiff::tz::TimeZone;

use crate::{cron, job, ms, timetable};

const NOW: &str = "2026-02-18T14:00:00Z";

fn refusal(schedule: &Schedule) -> Option<ScheduleError> {
    check_new(schedule, &job(), &TimeZone::UTC, ms(NOW)).err()
}

#[test]
fn an_unknown_zone_is_refused_with_the_one_that_was_meant() {
    let error = timetable(&cron("0 9 * * *", "europe/berlin")).unwrap_err();
    assert_eq!(error.to_string(), "`europe/berlin` is not an IANA time zone of this machine");
    assert_eq!(error.hint().as_deref(), Some("did you mean `Europe/Berlin`?"));
    let nothing_near = timetable(&cron("0 9 * * *", "Mars/Olympus")).unwrap_err().hint().unwrap();
    assert!(nothing_near.contains("such as `Europe/Berlin`"), "{nothing_near}");
}

#[test]
fn a_bad_expression_is_refused_with_field_and_reason_and_often_a_way_out() {
    let message = |expr| timetable(&cron(expr, "UTC")).unwrap_err().to_string();
    assert_eq!(
        message("0 22-2 * * *"),
        "`0 22-2 * * *` is not a cron expression: in the hour field, the range `22-2` ends before it begins"
    );
    assert!(message(&"x ".repeat(10_000)).len() < 300);
    let hint = |expr| timetable(&cron(expr, "UTC")).unwrap_err().hint();
    assert_eq!(hint("0 22-2 * * *").as_deref(), Some("write it as two ranges: `22-23,0-2`"));
    assert_eq!(hint("5/15 * * * *").as_deref(), Some("did you mean `5-59/15`?"));
    assert_eq!(hint("/15 * * * *").as_deref(), Some("did you mean `*/15`?"));
    assert_eq!(hint("0 9 * * Monday").as_deref(), Some("did you mean `MON`?"));
    assert_eq!(hint("@every 5m").as_deref(), Some("a fixed interval is a schedule of the kind `every`"));
    assert!(hint("0 9 * *").unwrap().starts_with("the fields are: minute, hour"));
}

#[test]
fn what_never_comes_due_can_be_read_but_not_saved() {
    for expr in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2 +1", "0 0 0 1 1 * 2025"] {
        let schedule = cron(expr, "America/New_York");
        assert_eq!(timetable(&schedule).unwrap().next_after(ms(NOW)), None, "`{expr}`");
        let shown = format!("cron {expr} @ America/New_York (exact)");
        assert_eq!(refusal(&schedule), Some(ScheduleError::NeverDue(shown)), "`{expr}`");
    }
    let error = refusal(&cron("0 0 30 2 *", "UTC")).unwrap();
    assert_eq!(error.to_string(), "`cron 0 0 30 2 * @ UTC (exact)` never comes due");
    assert!(error.hint().is_some());
}

#[test]
fn what_comes_only_every_few_decades_is_saved() {
    let schedule = cron("0 9 29 2 +1", "UTC");
    assert_eq!(refusal(&schedule), None);
    assert_eq!(timetable(&schedule).unwrap().next_after(ms(NOW)), Some(ms("2044-02-29T09:00:00Z")));
}

#[test]
fn an_instant_may_be_a_minute_late_and_ten_years_ahead_and_no_more() {
    let now = ms(NOW);
    for (offset, fits) in [
        (-60_000, true),
        (-60_001, false),
        (0, true),
        (315_576_000_000, true),
        (315_576_000_001, false),
        (i64::MAX, false),
    ] {
        let schedule = Schedule::At { at: now.plus_millis(offset) };
        assert_eq!(refusal(&schedule).is_none(), fits, "{offset}");
    }
    let past = refusal(&Schedule::At { at: ms("2026-02-18T13:30:30Z") }).unwrap();
    assert_eq!(
        past.to_string(),
        "`at` is in the past: 2026-02-18T13:30:30.000Z was 29 min ago, it is now 2026-02-18T14:00:00.000Z"
    );
    let ahead = refusal(&Schedule::At { at: ms("2126-02-18T14:00:00Z") }).unwrap();
    assert_eq!(
        ahead.to_string(),
        "`at` is more than 10 years ahead: 2126-02-18T14:00:00.000Z, it is now 2026-02-18T14:00:00.000Z"
    );
}

#[test]
fn intervals_anchors_and_staggers_stay_within_the_dates() {
    let every = |every_ms, anchor| Schedule::Every { every_ms, anchor_ms: UnixMs::from_millis(anchor) };
    let longest = ms("9999-12-30T22:00:00.999Z").as_millis().unsigned_abs();
    assert_eq!(refusal(&every(1, 0)), None);
    assert_eq!(refusal(&every(0, 0)), Some(ScheduleError::ZeroInterval));
    assert_eq!(timetable(&every(0, 0)).unwrap_err(), ScheduleError::ZeroInterval);
    assert_eq!(refusal(&every(longest, 0)), None);
    assert_eq!(
        refusal(&every(longest + 1, 0)),
        Some(ScheduleError::TooLong { field: "everyMs", value: longest + 1 })
    );
    for anchor in [-1, 253_402_207_201_000] {
        let error = ScheduleError::AnchorOutOfRange(UnixMs::from_millis(anchor));
        assert_eq!(refusal(&every(1, anchor)), Some(error));
    }
    let spread = Schedule::Cron {
        expr: "0 9 * * *".to_owned(),
        tz: None,
        stagger_ms: Some(u64::MAX),
        dst: DstRule::OpenClaw,
    };
    assert_eq!(refusal(&spread), Some(ScheduleError::TooLong { field: "staggerMs", value: u64::MAX }));
    // Its anchor is past and the next point of its grid would be beyond the last date.
    let never = refusal(&every(longest, 1)).unwrap();
    assert!(matches!(never, ScheduleError::NeverDue(_)));
    assert!(never.hint().unwrap().contains("past the year 9999"));
}

#[test]
fn seconds_given_for_milliseconds_are_recognised() {
    // 1772000000 s is February 2026, and 1772000000 ms is January 1970.
    let refused = refusal(&Schedule::At { at: UnixMs::from_millis(1_772_000_000) }).unwrap();
    assert_eq!(refused.hint().as_deref(), Some("it looks like seconds; in milliseconds it is 1772000000000"));
}

#[test]
fn every_refusal_says_what_to_do_instead() {
    let every = |every_ms, anchor| Schedule::Every { every_ms, anchor_ms: UnixMs::from_millis(anchor) };
    for schedule in [
        cron("0 0 30 2 *", "UTC"),
        cron("0 0 1 1 * * 2020", "UTC"),
        cron("0 0 1 1 * * 10000", "UTC"),
        cron("0 9 * *", "UTC"),
        cron("61 9 * * *", "UTC"),
        cron("0 24 * * *", "UTC"),
        cron("0, 9 * * *", "UTC"),
        cron("*/90 * * * *", "UTC"),
        cron("0 9 * * 5#6", "UTC"),
        cron("0 9 LL * *", "UTC"),
        cron("0 9 * * some", "UTC"),
        cron("@often", "UTC"),
        cron(&"0".repeat(2000), "UTC"),
        cron("0 9 * * *", "Mars/Olympus"),
        cron("0 9 * * *", "europe/berlin"),
        cron("0 9 * * *", "+02:00"),
        every(0, 0),
        every(u64::MAX, 0),
        every(1, -1),
        every(1, i64::MAX),
        Schedule::At { at: ms("2020-01-01T00:00:00Z") },
        Schedule::At { at: ms("9999-01-01T00:00:00Z") },
        Schedule::At { at: UnixMs::from_millis(i64::MAX) },
    ] {
        let refused = refusal(&schedule).unwrap_or_else(|| panic!("{schedule:?} is taken"));
        assert!(refused.hint().is_some(), "{refused}");
    }
}

#[test]
fn schedules_are_shown_as_openclaws_list_shows_them() {
    let cron = |expr: &str, tz: Option<&str>, stagger_ms| Schedule::Cron {
        expr: expr.to_owned(),
        tz: tz.map(str::to_owned),
        stagger_ms,
        dst: DstRule::OpenClaw,
    };
    for (schedule, text) in [
        (Schedule::At { at: ms("2026-02-18T14:00:59.999Z") }, "at 2026-02-18 14:00Z"),
        (Schedule::Every { every_ms: 1_800_000, anchor_ms: UnixMs::EPOCH }, "every 30m"),
        (Schedule::Every { every_ms: 5_400_000, anchor_ms: UnixMs::EPOCH }, "every 1h30m"),
        (cron("*/5 * * * *", None, None), "cron */5 * * * * (exact)"),
        (cron("0 * * * *", None, None), "cron 0 * * * * (stagger 5m)"),
        (cron("0 * * * *", None, Some(0)), "cron 0 * * * * (exact)"),
        (
            cron("0 9 * * *", Some("Europe/Berlin"), Some(30_000)),
            "cron 0 9 * * * @ Europe/Berlin (stagger 30s)",
        ),
    ] {
        assert_eq!(describe(&schedule, &job()), text);
    }
}

#[test]
fn in_full_a_schedule_has_its_zone_the_jobs_own_offset_and_an_unusual_rule_for_clocks() {
    let cron = |expr: &str, tz: Option<&str>, stagger_ms, dst| Schedule::Cron {
        expr: expr.to_owned(),
        tz: tz.map(str::to_owned),
        stagger_ms,
        dst,
    };
    let hourly = cron("0 * * * *", None, None, DstRule::OpenClaw);
    let host = Some("Europe/Berlin");
    assert_eq!(
        describe_for(&hourly, Some(&job()), host),
        "cron 0 * * * * @ Europe/Berlin (stagger 5m, this job +47s)"
    );
    assert_eq!(describe_for(&hourly, None, None), "cron 0 * * * * (stagger 5m)");
    for (schedule, text) in [
        (
            cron("0 9 * * *", Some("UTC"), Some(1000), DstRule::Skip),
            "cron 0 9 * * * @ UTC (stagger 1s, this job +897ms, dst skip)",
        ),
        (
            cron("0 9 * * *", Some(" "), None, DstRule::Once),
            "cron 0 9 * * * @ Europe/Berlin (exact, dst once)",
        ),
        (Schedule::Every { every_ms: 1_800_000, anchor_ms: UnixMs::EPOCH }, "every 30m"),
    ] {
        assert_eq!(describe_for(&schedule, Some(&job()), host), text);
    }
}
