//! What becomes of civil times that the clocks skip or repeat: the three rules, against the plainest reading there is.

use std::collections::{BTreeMap, BTreeSet};

use clawhook_model::{DstRule, Schedule, UnixMs};
use clawhook_schedule::{Timetable, TransitionKind};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _, civil};
use proptest::prelude::*;

use crate::properties::{Sets, around_a_change, sets, unix};
use crate::{job, ms, timetable};

fn cron(expr: &str, zone: &str, dst: DstRule) -> Schedule {
    Schedule::Cron { expr: expr.to_owned(), tz: Some(zone.to_owned()), stagger_ms: Some(0), dst }
}

fn due(expr: &str, zone: &str, dst: DstRule, from: &str, until: &str) -> Vec<String> {
    let timetable = timetable(&cron(expr, zone, dst)).unwrap();
    let zone = TimeZone::get(zone).unwrap();
    timetable
        .due_between(ms(from), ms(until))
        .map(|at| Timestamp::from_millisecond(at.as_millis()).unwrap())
        .map(|at| at.to_zoned_datetime(zone.clone()).strftime("%H:%M%:z").to_string())
        .collect()
}

#[test]
fn in_a_gap_each_rule_does_what_its_table_says() {
    let on_the_day =
        |expr, dst| due(expr, "Europe/Berlin", dst, "2026-03-29T00:00:00Z", "2026-03-29T01:45:00Z");
    for (expr, dst, expected) in [
        ("30 2 * * *", DstRule::OpenClaw, vec!["03:00+02:00"]),
        ("30 2 * * *", DstRule::Skip, vec![]),
        ("30 2 * * *", DstRule::Once, vec!["03:00+02:00"]),
        (
            "10,40 1-3 * * *",
            DstRule::OpenClaw,
            vec!["01:10+01:00", "01:40+01:00", "03:10+02:00", "03:40+02:00"],
        ),
        ("10,40 1-3 * * *", DstRule::Skip, vec!["01:10+01:00", "01:40+01:00", "03:10+02:00", "03:40+02:00"]),
        (
            "10,40 1-3 * * *",
            DstRule::Once,
            vec!["01:10+01:00", "01:40+01:00", "03:00+02:00", "03:10+02:00", "03:40+02:00"],
        ),
        // Those of the gap and the one at its end become one.
        ("*/30 1-3 * * *", DstRule::Once, vec!["01:30+01:00", "03:00+02:00", "03:30+02:00"]),
    ] {
        assert_eq!(on_the_day(expr, dst), expected, "`{expr}` with {dst}");
    }
}

#[test]
fn in_a_fold_each_rule_does_what_its_table_says() {
    let on_the_day =
        |expr, dst| due(expr, "Europe/Berlin", dst, "2026-10-24T23:45:00Z", "2026-10-25T02:00:00Z");
    let both = vec!["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00", "03:00+01:00"];
    let first = vec!["02:00+02:00", "02:30+02:00", "03:00+01:00"];
    for (expr, dst, expected) in [
        ("30 2 * * *", DstRule::OpenClaw, vec!["02:30+02:00"]),
        ("30 2 * * *", DstRule::Skip, vec!["02:30+02:00"]),
        ("30 2 * * *", DstRule::Once, vec!["02:30+02:00"]),
        ("*/30 * * * *", DstRule::OpenClaw, both),
        ("*/30 * * * *", DstRule::Skip, first.clone()),
        ("*/30 * * * *", DstRule::Once, first),
    ] {
        assert_eq!(on_the_day(expr, dst), expected, "`{expr}` with {dst}");
    }
}

#[test]
fn lord_howes_half_hour_is_a_gap_and_a_fold_like_any_other() {
    let zone = "Australia/Lord_Howe";
    // 02:00 becomes 02:30 on 4 October 2026, at 15:30 UTC of the day before.
    let gap = |dst| due("15 2 * * *", zone, dst, "2026-10-03T14:00:00Z", "2026-10-04T14:00:00Z");
    assert_eq!(gap(DstRule::OpenClaw), ["02:30+11:00"]);
    assert_eq!(gap(DstRule::Skip), [""; 0]);
    assert_eq!(gap(DstRule::Once), ["02:30+11:00"]);
    // 02:00 becomes 01:30 on 5 April 2026, at 15:00 UTC of the day before.
    let fold = |dst| due("*/15 1 * * *", zone, dst, "2026-04-04T14:00:00Z", "2026-04-04T16:00:00Z");
    let first = ["01:15+11:00", "01:30+11:00", "01:45+11:00"];
    assert_eq!(fold(DstRule::OpenClaw), [&first[..], &["01:30+10:30", "01:45+10:30"]].concat());
    assert_eq!(fold(DstRule::Skip), first);
    assert_eq!(fold(DstRule::Once), first);
}

#[test]
fn a_whole_day_that_does_not_exist_is_made_up_for_by_once_alone() {
    // Samoa had no 30 December 2011.
    let day = |expr, dst| due(expr, "Pacific/Apia", dst, "2011-12-30T00:00:00Z", "2011-12-30T12:00:00Z");
    assert_eq!(day("0 9 * * *", DstRule::OpenClaw), [""; 0]);
    assert_eq!(day("0 9 * * *", DstRule::Skip), [""; 0]);
    assert_eq!(day("0 9 * * *", DstRule::Once), ["00:00+14:00"]);
    assert_eq!(day("0 */6 30 * *", DstRule::Once), ["00:00+14:00"]);
}

#[test]
fn every_minute_is_every_minute_of_days_with_lord_howes_half_hour() {
    let timetable = timetable(&cron("* * * * *", "Australia/Lord_Howe", DstRule::OpenClaw)).unwrap();
    for (midnight, next_midnight, minutes) in [
        ("2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z", 23 * 60 + 30),
        ("2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z", 24 * 60 + 30),
    ] {
        let (midnight, next_midnight) = (ms(midnight), ms(next_midnight));
        let due: Vec<UnixMs> = timetable.due_between(midnight, next_midnight).collect();
        let expected: Vec<UnixMs> =
            (1..=minutes).map(|minute| midnight.plus_millis(minute * 60_000)).collect();
        assert_eq!(due, expected, "the day of {minutes} minutes");
    }
}

#[test]
fn a_rhythm_of_ten_seconds_waits_out_the_second_pass_unless_it_is_openclaws() {
    let (from, until) = ("2026-11-01T05:59:40Z", "2026-11-01T07:00:10Z");
    for (dst, count) in [(DstRule::OpenClaw, 363), (DstRule::Skip, 3), (DstRule::Once, 3)] {
        let due = due("*/10 * * * * *", "America/New_York", dst, from, until);
        assert_eq!(due.len(), count, "{dst}");
    }
}

/// The days of the search, one after another.
fn days(zone: &TimeZone, from: Timestamp, until: Timestamp) -> impl Iterator<Item = civil::Date> {
    let last = zone.to_datetime(until).date().tomorrow().unwrap();
    let first = zone.to_datetime(from).date().yesterday().unwrap();
    std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(move |date| *date <= last)
}

/// What `skip` and `once` are due at: each civil time that is named is looked at by itself.
fn due_by_looking(
    sets: &Sets,
    zone: &TimeZone,
    dst: DstRule,
    from: Timestamp,
    until: Timestamp,
) -> BTreeMap<Timestamp, Vec<civil::DateTime>> {
    let mut due: BTreeMap<Timestamp, Vec<civil::DateTime>> = BTreeMap::new();
    for civil in days(zone, from, until).flat_map(|date| sets.times_of(date)) {
        let ambiguous = zone.to_ambiguous_timestamp(civil);
        let at = match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } if dst == DstRule::Skip => continue,
            AmbiguousOffset::Gap { .. } => {
                // The gap's end is the change between the two readings of the civil time.
                let earlier = ambiguous.earlier().unwrap();
                zone.following(earlier).next().unwrap().timestamp()
            }
            _ => ambiguous.earlier().unwrap(),
        };
        if from < at && at <= until {
            due.entry(at).or_default().push(civil);
        }
    }
    due
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn skip_and_once_give_each_civil_time_that_is_named_its_one_instant(
        sets in sets(),
        (name, from) in around_a_change(),
        dst in prop::sample::select(vec![DstRule::Skip, DstRule::Once]),
    ) {
        let zone = TimeZone::get(name).unwrap();
        let until = from + 72.hours();
        let expected = due_by_looking(&sets, &zone, dst, from, until);
        let timetable = timetable(&cron(&sets.text(), name, dst)).unwrap();
        let got: Vec<UnixMs> = timetable.due_between(unix(from), unix(until)).collect();
        let instants: Vec<UnixMs> = expected.keys().copied().map(unix).collect();
        prop_assert_eq!(got, instants, "`{}` in {} from {}", sets.text(), name, from);
        let civil: Vec<civil::DateTime> = expected.into_values().flatten().collect();
        let distinct: BTreeSet<civil::DateTime> = civil.iter().copied().collect();
        prop_assert_eq!(civil.len(), distinct.len());
    }

    #[test]
    fn with_every_rule_due_times_increase_and_none_lies_outside_the_expression_but_at_a_gaps_end(
        sets in sets(),
        (name, from) in around_a_change(),
        dst in prop::sample::select(DstRule::ALL.to_vec()),
    ) {
        let zone = TimeZone::get(name).unwrap();
        let timetable = timetable(&cron(&sets.text(), name, dst)).unwrap();
        let due: Vec<UnixMs> = timetable.due_between(unix(from), unix(from + 96.hours())).collect();
        prop_assert!(due.is_sorted_by(|earlier, later| earlier < later));
        for at in due {
            let instant = Timestamp::from_millisecond(at.as_millis()).unwrap();
            let at_a_gaps_end = zone.to_offset(instant) != zone.to_offset(instant - 1.second());
            prop_assert!(
                sets.matches(zone.to_datetime(instant)) || (at_a_gaps_end && dst != DstRule::Skip),
                "`{}` in {} at {}", sets.text(), name, instant
            );
        }
    }

    #[test]
    fn the_time_before_is_the_last_of_those_that_come_after_an_earlier_instant(
        sets in sets(),
        (name, from) in around_a_change(),
        dst in prop::sample::select(DstRule::ALL.to_vec()),
        asked_s in 0_i64..259_200,
        asked_ms in 0_i64..1000,
    ) {
        let timetable = timetable(&cron(&sets.text(), name, dst)).unwrap();
        let from = unix(from);
        let asked = from.plus_millis(asked_s * 1000 + asked_ms);
        let previous = timetable.previous_at_or_before(asked);
        let last = timetable.due_between(from, asked).last();
        match last {
            Some(last) => prop_assert_eq!(previous, Some(last)),
            None => prop_assert!(previous.is_none_or(|previous| previous <= from)),
        }
        if let Some(previous) = previous {
            prop_assert_eq!(timetable.previous_at_or_before(previous), Some(previous));
            prop_assert!(timetable.next_after(previous).is_none_or(|next| next > asked));
        }
    }

    #[test]
    fn a_change_is_told_exactly_where_a_named_time_is_skipped_or_repeated(
        sets in sets(),
        (name, from) in around_a_change(),
    ) {
        let zone = TimeZone::get(name).unwrap();
        let until = from + 72.hours();
        let timetable = timetable(&cron(&sets.text(), name, DstRule::OpenClaw)).unwrap();
        let told: BTreeSet<UnixMs> =
            timetable.transitions_between(unix(from), unix(until)).iter().map(|told| told.at).collect();
        let mut expected = BTreeSet::new();
        for civil in days(&zone, from, until).flat_map(|date| sets.times_of(date)) {
            let ambiguous = zone.to_ambiguous_timestamp(civil);
            let (AmbiguousOffset::Gap { before, after } | AmbiguousOffset::Fold { before, after }) =
                ambiguous.offset()
            else {
                continue;
            };
            let at = unix(zone.following(ambiguous.earlier().unwrap()).next().unwrap().timestamp());
            let shift = i64::from((after.seconds() - before.seconds()).abs()) * 1000;
            let is_fold = after < before;
            let begins = if is_fold { at.plus_millis(-shift) } else { at };
            let ends = if is_fold { at.plus_millis(shift - 1) } else { at };
            if unix(from) < ends && begins <= unix(until) {
                expected.insert(at);
            }
        }
        prop_assert_eq!(told, expected, "`{}` in {} from {}", sets.text(), name, from);
    }
}

#[test]
fn what_a_job_was_last_due_at_is_known_for_every_kind() {
    let at = ms("2026-02-18T14:00:00Z");
    let once = timetable(&Schedule::At { at }).unwrap();
    assert_eq!(once.previous_at_or_before(at.plus_millis(-1)), None);
    assert_eq!(once.previous_at_or_before(at), Some(at));
    assert_eq!(once.previous_at_or_before(at.plus_millis(1)), Some(at));

    let every = timetable(&Schedule::Every { every_ms: 60_000, anchor_ms: at }).unwrap();
    assert_eq!(every.previous_at_or_before(at.plus_millis(-1)), None);
    assert_eq!(every.previous_at_or_before(at), Some(at));
    assert_eq!(every.previous_at_or_before(at.plus_millis(119_999)), Some(at.plus_millis(60_000)));

    let leap_days = timetable(&cron("0 9 29 2 *", "UTC", DstRule::OpenClaw)).unwrap();
    assert_eq!(leap_days.previous_at_or_before(at), Some(ms("2024-02-29T09:00:00Z")));
    assert_eq!(leap_days.previous_at_or_before(ms("1972-02-29T08:59:59Z")), None);
    let never = timetable(&cron("0 9 30 2 *", "UTC", DstRule::OpenClaw)).unwrap();
    assert_eq!(never.previous_at_or_before(at), None);
    assert_eq!(never.previous_at_or_before(UnixMs::from_millis(i64::MAX)), None);
    assert_eq!(never.previous_at_or_before(UnixMs::from_millis(i64::MIN)), None);
}

#[test]
fn what_a_job_was_last_due_at_carries_its_stagger() {
    let hourly =
        Schedule::Cron { expr: "0 * * * *".to_owned(), tz: None, stagger_ms: None, dst: DstRule::OpenClaw };
    let timetable = Timetable::new(&hourly, &job(), &TimeZone::UTC).unwrap();
    let (eleven, noon) = (ms("2026-01-01T11:00:47.897Z"), ms("2026-01-01T12:00:47.897Z"));
    assert_eq!(timetable.previous_at_or_before(noon.plus_millis(-1)), Some(eleven));
    assert_eq!(timetable.previous_at_or_before(noon), Some(noon));
}

#[test]
fn a_change_of_clocks_is_told_in_a_sentence() {
    let (spring, summer, winter) = ("2026-03-01T00:00:00Z", "2026-07-01T00:00:00Z", "2026-12-01T00:00:00Z");
    let notes = |expr: &str, dst, from, until| {
        let timetable = timetable(&cron(expr, "Europe/Berlin", dst)).unwrap();
        timetable
            .transitions_between(ms(from), ms(until))
            .into_iter()
            .map(|told| told.note)
            .collect::<Vec<_>>()
    };
    for (expr, dst, gap, fold) in [
        (
            "30 2 * * *",
            DstRule::OpenClaw,
            "02:30 does not exist on 2026-03-29 in Europe/Berlin; due at the gap's end, 03:00",
            "02:30 comes twice on 2026-10-25 in Europe/Berlin; due in the first pass",
        ),
        (
            "30 2 * * *",
            DstRule::Skip,
            "02:30 does not exist on 2026-03-29 in Europe/Berlin; not due",
            "02:30 comes twice on 2026-10-25 in Europe/Berlin; due in the first pass",
        ),
        (
            "*/10 * * * *",
            DstRule::OpenClaw,
            "times from 02:00 up to 03:00 do not exist on 2026-03-29 in Europe/Berlin; not due",
            "times from 02:00 up to 03:00 come twice on 2026-10-25 in Europe/Berlin; due in both passes",
        ),
        (
            "*/10 * * * *",
            DstRule::Once,
            "times from 02:00 up to 03:00 do not exist on 2026-03-29 in Europe/Berlin; due at the gap's end, 03:00",
            "times from 02:00 up to 03:00 come twice on 2026-10-25 in Europe/Berlin; due in the first pass",
        ),
    ] {
        assert_eq!(notes(expr, dst, spring, summer), [gap], "`{expr}` with {dst}");
        assert_eq!(notes(expr, dst, summer, winter), [fold], "`{expr}` with {dst}");
    }
    assert_eq!(notes("0 9 * * *", DstRule::OpenClaw, spring, winter), [""; 0]);
    // The stretch counts, not only the moment of the change.
    let first_pass_alone = notes("30 2 * * *", DstRule::OpenClaw, summer, "2026-10-25T00:30:00Z");
    assert_eq!(first_pass_alone.len(), 1);
}

#[test]
fn a_change_of_clocks_has_its_instant_and_both_offsets() {
    let timetable = timetable(&cron("30 2 * * *", "Europe/Berlin", DstRule::OpenClaw)).unwrap();
    let told = timetable.transitions_between(ms("2026-03-01T00:00:00Z"), ms("2026-12-01T00:00:00Z"));
    let [gap, fold] = &told[..] else { panic!("{told:?}") };
    assert_eq!((gap.kind, fold.kind), (TransitionKind::Gap, TransitionKind::Fold));
    assert_eq!((gap.at, gap.begins()), (ms("2026-03-29T01:00:00Z"), ms("2026-03-29T01:00:00Z")));
    assert_eq!((fold.at, fold.begins()), (ms("2026-10-25T01:00:00Z"), ms("2026-10-25T00:00:00Z")));
    assert_eq!((gap.before.seconds(), gap.after.seconds()), (3600, 7200));
}

#[test]
fn an_interval_and_an_instant_know_no_changes_of_clocks_and_a_cron_schedule_tells_a_bounded_number() {
    let (from, until) = (UnixMs::EPOCH, UnixMs::from_millis(i64::MAX));
    let every = timetable(&Schedule::Every { every_ms: 1000, anchor_ms: from }).unwrap();
    assert_eq!(every.transitions_between(from, until), []);
    assert_eq!(timetable(&Schedule::At { at: from }).unwrap().transitions_between(from, until), []);
    let always = timetable(&cron("* * * * *", "Europe/Berlin", DstRule::OpenClaw)).unwrap();
    assert_eq!(always.transitions_between(from, until).len(), clawhook_schedule::MAX_TRANSITIONS);
    let never = timetable(&cron("0 2 30 2 *", "Europe/Berlin", DstRule::OpenClaw)).unwrap();
    assert_eq!(never.transitions_between(from, until), []);
}
