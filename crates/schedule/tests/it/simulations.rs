//! What a job would do over a stretch of time.

use std::time::Duration;

use clawhook_model::{ErrorReason, FailureRules, Misfire, MisfirePolicy, Overlap, Schedule, Trigger, UnixMs};
use clawhook_schedule::{Entry, Happening, MissReason, Simulation, SkipReason, Timetable, World};
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn at(seconds: i64) -> UnixMs {
    UnixMs::from_millis(seconds * 1000)
}

fn every(seconds: u64) -> Timetable {
    let schedule = Schedule::Every { every_ms: seconds * 1000, anchor_ms: at(0) };
    Timetable::new(&schedule, &"job-1".parse().unwrap(), &TimeZone::UTC).unwrap()
}

fn simulation(timetable: &Timetable) -> Simulation<'_> {
    Simulation {
        timetable,
        one_shot: false,
        misfire: Misfire::default(),
        overlap: Overlap::Skip,
        failure: FailureRules::default(),
        world: World::default(),
    }
}

/// What happens, as `seconds: what`.
fn told(entries: &[Entry]) -> Vec<String> {
    let second = |instant: UnixMs| instant.as_millis() / 1000;
    let word = |what: &Happening| match what {
        Happening::Begins { trigger: Trigger::Schedule, .. } => "begins".to_owned(),
        Happening::Begins { trigger: Trigger::CatchUp, .. } => "catches up".to_owned(),
        Happening::Begins { attempt, .. } => format!("try {attempt}"),
        Happening::Waits => "waits".to_owned(),
        Happening::Held { until } => format!("held until {}", second(*until)),
        Happening::Skipped(SkipReason::StillRunning) => "skipped, still running".to_owned(),
        Happening::Skipped(SkipReason::BackingOff { .. }) => "skipped, backing off".to_owned(),
        Happening::Skipped(_) => "skipped".to_owned(),
        Happening::Missed(MissReason::CaughtUp { by }) => format!("missed, see {}", second(*by)),
        Happening::Missed(_) => "missed".to_owned(),
        Happening::Cancelled => "cancelled".to_owned(),
        Happening::Interrupted => "interrupted".to_owned(),
        Happening::Failed { retry_at: Some(at), .. } => format!("fails, again at {}", second(*at)),
        Happening::Failed { .. } => "fails".to_owned(),
        Happening::Disabled(_) => "disabled".to_owned(),
    };
    entries
        .iter()
        .map(|entry| format!("{} [{}] {}", second(entry.at), second(entry.due_at), word(&entry.what)))
        .collect()
}

#[test]
fn a_run_that_is_longer_than_its_interval_meets_the_overlap_policy() {
    let timetable = every(10);
    let with = |overlap| {
        let world = World { takes: Duration::from_secs(15), ..World::default() };
        told(&Simulation { overlap, world, ..simulation(&timetable) }.run(at(0), at(30), 100))
    };
    assert_eq!(with(Overlap::Skip), ["10 [10] begins", "20 [20] skipped, still running", "30 [30] begins"]);
    assert_eq!(
        with(Overlap::BufferOne),
        ["10 [10] begins", "20 [20] waits", "25 [20] begins", "30 [30] waits"]
    );
    assert_eq!(
        with(Overlap::CancelOther),
        [
            "10 [10] begins",
            "20 [20] waits",
            "20 [10] cancelled",
            "20 [20] begins",
            "30 [30] waits",
            "30 [20] cancelled",
            "30 [30] begins"
        ]
    );
    assert_eq!(with(Overlap::AllowAll), ["10 [10] begins", "20 [20] begins", "30 [30] begins"]);
}

#[test]
fn an_outage_interrupts_what_runs_and_what_was_missed_meets_the_misfire_policy() {
    let timetable = every(60);
    let with = |policy| {
        let misfire = Misfire { policy, max_lateness: None };
        let world =
            World { takes: Duration::from_secs(5), outages: vec![(at(62), at(300))], ..World::default() };
        told(&Simulation { misfire, world, ..simulation(&timetable) }.run(at(0), at(300), 100))
    };
    let before = ["60 [60] begins", "62 [60] interrupted"];
    let once = [
        "300 [120] missed, see 300",
        "300 [180] missed, see 300",
        "300 [240] missed, see 300",
        "300 [300] catches up",
    ];
    assert_eq!(with(MisfirePolicy::Once), [&before[..], &once[..]].concat());
    let each = with(MisfirePolicy::Each { most: 2 });
    assert_eq!(
        each[2..],
        ["300 [120] missed", "300 [180] missed", "300 [300] waits", "300 [240] catches up"]
    );
}

#[test]
fn a_job_that_fails_is_tried_again_backs_off_and_is_switched_off_in_the_end() {
    let timetable = every(600);
    let with = |reason, until| {
        let world = World { fails: Some(reason), takes: Duration::from_secs(1), ..World::default() };
        told(&Simulation { world, ..simulation(&timetable) }.run(at(0), at(until), 1000))
    };
    assert_eq!(
        with(ErrorReason::RateLimit, 1300)[..4],
        [
            "600 [600] begins",
            "601 [600] fails, again at 631",
            "631 [600] try 2",
            "632 [600] fails, again at 692"
        ]
    );
    let exits = with(ErrorReason::Exit, 100_000);
    assert!(exits.contains(&"6600 [6600] held until 6902".to_owned()), "{exits:#?}");
    assert!(exits.iter().any(|line| line.ends_with("skipped, backing off")), "{exits:#?}");
    assert!(exits.last().unwrap().ends_with("disabled"), "{exits:#?}");
    assert_eq!(exits.iter().filter(|line| line.ends_with("fails")).count(), 10);
}

proptest! {
    #[test]
    fn i01_every_instant_has_a_fate_whatever_the_world_does(
        interval in 5..40u64,
        takes in 0..90u64,
        overlap in prop_oneof![
            Just(Overlap::Skip),
            Just(Overlap::BufferOne),
            Just(Overlap::BufferAll { most: 3 }),
            Just(Overlap::CancelOther),
            Just(Overlap::AllowAll),
        ],
        policy in prop_oneof![
            Just(MisfirePolicy::Skip),
            Just(MisfirePolicy::Once),
            Just(MisfirePolicy::Each { most: 3 }),
        ],
        outage in proptest::option::of((20..300i64, 1..400i64)),
        fails in proptest::option::of(prop_oneof![Just(ErrorReason::Exit), Just(ErrorReason::Network)]),
    ) {
        let timetable = every(interval);
        let outages = outage.map(|(begin, length)| (at(begin), at(begin + length))).into_iter().collect();
        let world = World { takes: Duration::from_secs(takes), outages, fails };
        let misfire = Misfire { policy, max_lateness: None };
        let until = at(1000);
        let entries =
            Simulation { misfire, overlap, world, ..simulation(&timetable) }.run(at(0), until, 10_000);
        let disabled_at = entries
            .iter()
            .find(|entry| matches!(entry.what, Happening::Disabled(_)))
            .map_or(until, |entry| entry.at.plus_millis(-1));
        prop_assert!(entries.is_sorted_by_key(|entry| entry.at));
        for due in timetable.due_between(at(0), disabled_at) {
            let fates = entries.iter().filter(|entry| entry.due_at == due).filter(|entry| matches!(
                entry.what,
                Happening::Begins { attempt: 1, .. } | Happening::Skipped(_) | Happening::Missed(_)
            )).count();
            let waits = entries.iter().any(|entry| entry.due_at == due
                && matches!(entry.what, Happening::Waits | Happening::Held { .. }));
            prop_assert!(fates == 1 || fates == 0 && waits, "{due:?} has {fates} fates: {:#?}", told(&entries));
        }
    }
}
