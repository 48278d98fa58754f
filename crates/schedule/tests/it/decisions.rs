//! What becomes of the instants at which a job is due.

use std::time::Duration;

use clawhook_model::{JobId, Misfire, MisfirePolicy, OpenRuns, Overlap, Schedule, UnixMs};
use clawhook_schedule::{Decision, Fate, MissReason, Situation, SkipReason, Start, Timetable, decide};
use jiff::tz::TimeZone;
use proptest::prelude::*;

const MINUTE: i64 = 60_000;

fn at(minutes: i64) -> UnixMs {
    UnixMs::from_millis(minutes * MINUTE)
}

fn every_minute() -> Timetable {
    let schedule = Schedule::Every { every_ms: 60_000, anchor_ms: at(0) };
    let job: JobId = "job-1".parse().unwrap();
    Timetable::new(&schedule, &job, &TimeZone::UTC).unwrap()
}

/// A job that waits for minute 1; somebody has been there from minute 0 on.
fn situation(timetable: &Timetable, now: UnixMs) -> Situation<'_> {
    Situation {
        timetable,
        due: at(1),
        now,
        present_since: at(0),
        misfire: Misfire::default(),
        overlap: Overlap::Skip,
        open: OpenRuns::default(),
        backoff_until: None,
    }
}

const NOW: Fate = Fate::Run { start: Start::Now, catch_up: false };
const CATCH_UP: Fate = Fate::Run { start: Start::Now, catch_up: true };
const AFTER_OTHERS: Fate = Fate::Run { start: Start::AfterOthers, catch_up: false };
const RUNNING: OpenRuns = OpenRuns { running: 1, waiting: 0 };

fn missed(reason: MissReason) -> Fate {
    Fate::Missed(reason)
}

fn skipped(reason: SkipReason) -> Fate {
    Fate::Skipped(reason)
}

fn fates(decision: &Decision) -> Vec<Fate> {
    decision.fates.iter().map(|(_, fate)| *fate).collect()
}

#[test]
fn an_instant_that_has_come_is_run_and_the_next_one_is_waited_for() {
    let timetable = every_minute();
    let decision = decide(&situation(&timetable, at(1).plus_millis(20)));
    assert_eq!(decision, Decision { fates: vec![(at(1), NOW)], cancels: false, next_run_at: Some(at(2)) });
}

#[test]
fn i01_once_runs_the_last_missed_instant_and_records_the_others() {
    let timetable = every_minute();
    let decision = decide(&Situation { present_since: at(4), ..situation(&timetable, at(4).plus_millis(1)) });
    let caught_up = missed(MissReason::CaughtUp { by: at(4) });
    assert_eq!(fates(&decision), [caught_up, caught_up, caught_up, CATCH_UP]);
    assert_eq!(decision.next_run_at, Some(at(5)));
}

#[test]
fn skip_runs_nothing_that_nobody_was_there_for_but_forgives_a_minute() {
    let timetable = every_minute();
    let misfire = Misfire { policy: MisfirePolicy::Skip, max_lateness: None };
    let late = Situation { misfire, present_since: at(2), ..situation(&timetable, at(2)) };
    let only_minute_1 = Situation { now: at(2).plus_millis(-1), ..late };
    assert_eq!(fates(&decide(&only_minute_1)), [NOW], "59 s late is forgiven");
    let hourly = Schedule::Every { every_ms: 3_600_000, anchor_ms: at(1) };
    let hourly = Timetable::new(&hourly, &"job-1".parse().unwrap(), &TimeZone::UTC).unwrap();
    let absent = Situation { timetable: &hourly, now: at(9), present_since: at(9), ..late };
    assert_eq!(fates(&decide(&absent)), [missed(MissReason::NobodyThere)]);
    let busy = Situation { present_since: at(0), ..absent };
    assert_eq!(fates(&decide(&busy)), [NOW], "somebody was there: lateness alone misses nothing");
}

#[test]
fn each_runs_the_last_so_many_one_after_the_other() {
    let timetable = every_minute();
    let misfire = Misfire { policy: MisfirePolicy::Each { most: 2 }, max_lateness: None };
    let decision =
        decide(&Situation { misfire, present_since: at(5), ..situation(&timetable, at(4).plus_millis(1)) });
    let beyond = missed(MissReason::BeyondMost { most: 2 });
    let after = Fate::Run { start: Start::AfterOthers, catch_up: true };
    assert_eq!(fates(&decision), [beyond, beyond, CATCH_UP, after]);
}

#[test]
fn what_is_later_than_the_job_allows_is_missed_whatever_the_policy() {
    let timetable = every_minute();
    let most = Duration::from_secs(90);
    for policy in [MisfirePolicy::Skip, MisfirePolicy::Once, MisfirePolicy::Each { most: 9 }] {
        let misfire = Misfire { policy, max_lateness: Some(most) };
        let decision = decide(&Situation { misfire, ..situation(&timetable, at(3).plus_millis(31_000)) });
        assert_eq!(decision.fates[0].1, missed(MissReason::TooLate { most }));
        assert_eq!(decision.fates[1].1, missed(MissReason::TooLate { most }));
        assert!(matches!(decision.fates[2].1, Fate::Run { .. }));
    }
}

#[test]
fn each_overlap_policy_does_what_its_name_says() {
    let timetable = every_minute();
    let with = |overlap, running, waiting| {
        let open = OpenRuns { running, waiting };
        let decision = decide(&Situation { overlap, open, ..situation(&timetable, at(1)) });
        (decision.fates[0].1, decision.cancels)
    };
    assert_eq!(with(Overlap::Skip, 1, 0), (skipped(SkipReason::StillRunning), false));
    assert_eq!(with(Overlap::Skip, 0, 1), (skipped(SkipReason::StillRunning), false));
    assert_eq!(with(Overlap::BufferOne, 1, 0), (AFTER_OTHERS, false));
    assert_eq!(with(Overlap::BufferOne, 1, 1), (skipped(SkipReason::BufferFull { most: 1 }), false));
    assert_eq!(with(Overlap::BufferAll { most: 3 }, 1, 2), (AFTER_OTHERS, false));
    let full = skipped(SkipReason::BufferFull { most: 3 });
    assert_eq!(with(Overlap::BufferAll { most: 3 }, 1, 3), (full, false));
    assert_eq!(with(Overlap::CancelOther, 1, 0), (AFTER_OTHERS, true));
    assert_eq!(with(Overlap::CancelOther, 1, 1), (skipped(SkipReason::SuccessorWaits), false));
    assert_eq!(with(Overlap::CancelOther, 0, 0), (NOW, false));
    assert_eq!(with(Overlap::AllowAll, 5, 0), (NOW, false));
    let bound = skipped(SkipReason::BufferFull { most: Overlap::MOST_OPEN });
    assert_eq!(with(Overlap::AllowAll, 1, 999), (bound, false));
}

#[test]
fn while_a_job_backs_off_the_last_instant_before_the_end_is_held_and_the_others_are_skipped() {
    let timetable = every_minute();
    let until = at(3).plus_millis(500);
    let backing_off = |due, now| {
        let decision = decide(&Situation {
            due,
            backoff_until: Some(until),
            present_since: at(0),
            ..situation(&timetable, now)
        });
        fates(&decision)
    };
    assert_eq!(backing_off(at(1), at(1)), [skipped(SkipReason::BackingOff { until })]);
    assert_eq!(backing_off(at(3), at(3)), [Fate::Run { start: Start::At(until), catch_up: false }]);
    assert_eq!(backing_off(at(4), at(4)), [NOW], "it is over");
    let open = OpenRuns { running: 1, waiting: 0 };
    let with_a_run = Situation { open, backoff_until: Some(until), ..situation(&timetable, at(1)) };
    assert_eq!(fates(&decide(&with_a_run)), [skipped(SkipReason::StillRunning)]);
}

#[test]
fn i01_a_long_absence_is_worked_off_in_steps_and_loses_no_instant() {
    let timetable = every_minute();
    for policy in [MisfirePolicy::Skip, MisfirePolicy::Once, MisfirePolicy::Each { most: 1000 }] {
        let now = at(4_500);
        let misfire = Misfire { policy, max_lateness: None };
        let (mut recorded, mut due, mut ran) = (Vec::new(), at(1), 0);
        while due <= now {
            let decision =
                decide(&Situation { due, misfire, present_since: now, ..situation(&timetable, now) });
            recorded.extend(decision.fates.iter().map(|(instant, _)| *instant));
            ran += decision.fates.iter().filter(|(_, fate)| matches!(fate, Fate::Run { .. })).count();
            due = decision.next_run_at.unwrap();
        }
        let all: Vec<UnixMs> = (1..=4_500).map(at).collect();
        assert_eq!((recorded, due), (all, at(4_501)));
        let expected = if let MisfirePolicy::Each { most } = policy { most as usize } else { 1 };
        assert_eq!(ran, expected, "{policy:?}");
    }
}

fn policies() -> impl Strategy<Value = (Misfire, Overlap, OpenRuns)> {
    let misfire = prop_oneof![
        Just(MisfirePolicy::Skip),
        Just(MisfirePolicy::Once),
        (1..20u32).prop_map(|most| MisfirePolicy::Each { most }),
    ];
    let lateness = proptest::option::of((0..600u64).prop_map(Duration::from_secs));
    let overlap = prop_oneof![
        Just(Overlap::Skip),
        Just(Overlap::BufferOne),
        (1..5u32).prop_map(|most| Overlap::BufferAll { most }),
        Just(Overlap::CancelOther),
        Just(Overlap::AllowAll),
    ];
    (misfire, lateness, overlap, 0..3u32, 0..4u32).prop_map(
        |(policy, max_lateness, overlap, running, waiting)| {
            (Misfire { policy, max_lateness }, overlap, OpenRuns { running, waiting })
        },
    )
}

proptest! {
    #[test]
    fn i01_every_instant_has_exactly_one_fate_and_none_is_left_before_the_next(
        (misfire, overlap, open) in policies(),
        late_ms in 0..3_000_000i64,
        absent_ms in 0..3_000_000i64,
        backoff in proptest::option::of(0..3_000_000i64),
    ) {
        let timetable = every_minute();
        let now = at(1).plus_millis(late_ms);
        let decision = decide(&Situation {
            misfire,
            overlap,
            open,
            present_since: now.plus_millis(-absent_ms),
            backoff_until: backoff.map(|ms| now.plus_millis(ms)),
            ..situation(&timetable, now)
        });
        let instants: Vec<UnixMs> = decision.fates.iter().map(|(instant, _)| *instant).collect();
        let expected: Vec<UnixMs> =
            std::iter::once(at(1)).chain(timetable.due_between(at(1), now)).collect();
        prop_assert_eq!(instants, expected);
        prop_assert_eq!(decision.next_run_at, timetable.next_after(now));
        let starts: Vec<Start> = decision.fates.iter().filter_map(|(_, fate)| match fate {
            Fate::Run { start, .. } => Some(*start),
            _ => None,
        }).collect();
        if overlap != Overlap::AllowAll {
            let at_once = starts.iter().filter(|start| **start != Start::AfterOthers).count();
            prop_assert!(at_once <= usize::from(!open.any()), "a job overlaps itself: {starts:?}");
        }
        prop_assert!(!decision.cancels || overlap == Overlap::CancelOther && open.any());
    }
}

#[test]
fn a_one_shot_that_nobody_was_there_for_runs_late_or_is_missed_as_its_policy_says() {
    let once = Schedule::At { at: at(1) };
    let timetable = Timetable::new(&once, &"job-1".parse().unwrap(), &TimeZone::UTC).unwrap();
    let late = Situation { present_since: at(9), ..situation(&timetable, at(9)) };
    let decision = decide(&late);
    assert_eq!((fates(&decision), decision.next_run_at), (vec![CATCH_UP], None));
    let misfire = Misfire { policy: MisfirePolicy::Skip, max_lateness: None };
    let decision = decide(&Situation { misfire, ..late });
    assert_eq!((fates(&decision), decision.next_run_at), (vec![missed(MissReason::NobodyThere)], None));
    let busy = decide(&Situation { open: RUNNING, ..late });
    assert_eq!(fates(&busy), [skipped(SkipReason::StillRunning)]);
}
