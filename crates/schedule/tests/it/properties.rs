//! What holds for any expression, zone and instant: compared with the plainest reading there is, which looks at
//! every second or minute of a few days.

use std::collections::BTreeSet;

use clawhook_model::UnixMs;
use clawhook_schedule::Timetable;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, civil};
use proptest::prelude::*;

use crate::{cron, ms, timetable};

const ZONES: [&str; 9] = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Europe/London",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "America/Havana",
    "Australia/Lord_Howe",
    "America/Nuuk",
];

/// An expression of minute precision by its sets, which is also how the plain reading understands it.
#[derive(Debug, Clone)]
pub(crate) struct Sets {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    month_days: Option<BTreeSet<i8>>,
    months: BTreeSet<i8>,
    week_days: Option<BTreeSet<i8>>,
    both: bool,
}

impl Sets {
    pub(crate) fn text(&self) -> String {
        let list = |set: &BTreeSet<i8>| set.iter().map(i8::to_string).collect::<Vec<_>>().join(",");
        let days = |set: &Option<BTreeSet<i8>>| set.as_ref().map_or_else(|| "*".to_owned(), list);
        format!(
            "{} {} {} {} {}{}",
            list(&self.minutes),
            list(&self.hours),
            days(&self.month_days),
            list(&self.months),
            if self.both { "+" } else { "" },
            days(&self.week_days)
        )
    }

    fn is_fixed_time(&self) -> bool {
        self.minutes.len() == 1 && self.hours.len() == 1
    }

    fn matches_day(&self, date: civil::Date) -> bool {
        let month_day = self.month_days.as_ref().map(|set| set.contains(&date.day()));
        let weekday = date.weekday().to_sunday_zero_offset();
        let week_day = self.week_days.as_ref().map(|set| set.contains(&weekday));
        self.months.contains(&date.month())
            && match (month_day, week_day) {
                (Some(month_day), Some(week_day)) if self.both => month_day && week_day,
                (Some(month_day), Some(week_day)) => month_day || week_day,
                (one, other) => one.or(other).unwrap_or(true),
            }
    }

    /// The matching times of a day, in order.
    pub(crate) fn times_of(&self, date: civil::Date) -> Vec<civil::DateTime> {
        if !self.matches_day(date) {
            return Vec::new();
        }
        let times = |hour: &i8| {
            let hour = *hour;
            self.minutes.iter().map(move |minute| date.at(hour, *minute, 0, 0))
        };
        self.hours.iter().flat_map(times).collect()
    }

    pub(crate) fn matches(&self, civil: civil::DateTime) -> bool {
        civil.second() == 0
            && self.minutes.contains(&civil.minute())
            && self.hours.contains(&civil.hour())
            && self.matches_day(civil.date())
    }

    /// Every due time after `from` and up to `until`, found by looking at each minute (a rhythm) or day (a fixed time).
    fn due_by_looking(&self, zone: &TimeZone, from: Timestamp, until: Timestamp) -> BTreeSet<Timestamp> {
        if !self.is_fixed_time() {
            return minutes_between(from, until).filter(|at| self.matches(zone.to_datetime(*at))).collect();
        }
        let (hour, minute) = (*self.hours.first().unwrap(), *self.minutes.first().unwrap());
        let mut due = BTreeSet::new();
        let mut date = zone.to_datetime(from).date();
        while date <= zone.to_datetime(until).date() {
            if self.matches_day(date) {
                due.extend(fixed_time_of(zone, date.at(hour, minute, 0, 0)));
            }
            date = date.tomorrow().unwrap();
        }
        due.retain(|at| from < *at && *at <= until);
        due
    }
}

/// The first instant at which clocks show `civil`, or the first one past it on the same day.
fn fixed_time_of(zone: &TimeZone, civil: civil::DateTime) -> Option<Timestamp> {
    let noon_before = zone.to_timestamp(civil.date().yesterday().ok()?.at(12, 0, 0, 0)).ok()?;
    let noon_after = noon_before + 60.hours();
    let at = minutes_between(noon_before, noon_after).find(|at| zone.to_datetime(*at) >= civil)?;
    (zone.to_datetime(at).date() == civil.date()).then_some(at)
}

fn minutes_between(from: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
    let first = Timestamp::from_second((from.as_second() / 60 + 1) * 60).unwrap();
    std::iter::successors(Some(first), |at| Some(*at + SignedDuration::from_secs(60)))
        .take_while(move |at| *at <= until)
}

pub(crate) fn unix(at: Timestamp) -> UnixMs {
    UnixMs::from_millis(at.as_millisecond())
}

/// Sets that are mostly small, so that fixed times are common, over values of which some are hit often.
fn values(from: i8, to: i8) -> impl Strategy<Value = BTreeSet<i8>> {
    prop_oneof![
        2 => (from..=to).prop_map(|value| BTreeSet::from([value])),
        2 => prop::collection::btree_set(from..=to, 1..6),
        1 => Just((from..=to).collect()),
    ]
}

/// Hours in and around which clocks change.
fn hours() -> impl Strategy<Value = BTreeSet<i8>> {
    prop_oneof![
        3 => prop::sample::select(vec![0_i8, 1, 2, 3, 22, 23]).prop_map(|hour| BTreeSet::from([hour])),
        2 => values(0, 23),
    ]
}

pub(crate) fn sets() -> impl Strategy<Value = Sets> {
    let months = prop_oneof![3 => Just((1..=12).collect()), 1 => values(1, 12)];
    let week_days = prop::option::weighted(0.4, values(0, 6));
    (values(0, 59), hours(), prop::option::weighted(0.4, values(1, 31)), months, week_days, any::<bool>())
        .prop_map(|(minutes, hours, month_days, months, week_days, both)| Sets {
            minutes,
            hours,
            month_days,
            months,
            week_days,
            both,
        })
}

/// An instant, often within two days of a change of clocks.
pub(crate) fn around_a_change() -> impl Strategy<Value = (&'static str, Timestamp)> {
    let within = -172_800_i64..172_800;
    (prop::sample::select(&ZONES[..]), 1_600_000_000_i64..2_400_000_000, within, any::<bool>()).prop_map(
        |(name, second, off, near)| {
            let zone = TimeZone::get(name).unwrap();
            let somewhere = Timestamp::from_second(second).unwrap();
            let change = zone.following(somewhere).next().map(|change| change.timestamp());
            let at = change.filter(|_| near).unwrap_or(somewhere);
            (name, Timestamp::from_second(at.as_second() + off).unwrap())
        },
    )
}

fn after(timetable: &Timetable, at: UnixMs, count: usize) -> Vec<UnixMs> {
    std::iter::successors(timetable.next_after(at), |due| timetable.next_after(*due)).take(count).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn looking_at_every_minute_gives_the_same_due_times(sets in sets(), (name, from) in around_a_change()) {
        let zone = TimeZone::get(name).unwrap();
        let until = from + 72.hours();
        let expected: Vec<UnixMs> = sets.due_by_looking(&zone, from, until).into_iter().map(unix).collect();
        let timetable = timetable(&cron(&sets.text(), name)).unwrap();
        let got: Vec<UnixMs> = timetable.due_between(unix(from), unix(until)).collect();
        prop_assert_eq!(got, expected, "`{}` in {} from {}", sets.text(), name, from);
    }

    #[test]
    fn due_times_increase_and_a_rhythms_match_the_expression(sets in sets(), (name, from) in around_a_change()) {
        let zone = TimeZone::get(name).unwrap();
        let due = after(&timetable(&cron(&sets.text(), name)).unwrap(), unix(from), 50);
        prop_assert!(due.is_sorted_by(|earlier, later| earlier < later));
        prop_assert!(due.first().is_none_or(|first| unix(from) < *first));
        for at in due.into_iter().filter(|_| !sets.is_fixed_time()) {
            let civil = zone.to_datetime(Timestamp::from_millisecond(at.as_millis()).unwrap());
            prop_assert!(sets.matches(civil), "`{}` in {} at {}", sets.text(), name, civil);
        }
    }

    #[test]
    fn asked_just_before_a_due_time_the_answer_is_that_time(
        sets in sets(),
        (name, from) in around_a_change(),
        before in 1_i64..=60_000,
    ) {
        let timetable = timetable(&cron(&sets.text(), name)).unwrap();
        for pair in after(&timetable, unix(from), 20).windows(2) {
            let asked = pair[1].plus_millis(-before).max(pair[0]);
            prop_assert_eq!(timetable.next_after(asked), Some(pair[1]), "`{}` after {}", sets.text(), asked);
        }
    }

    #[test]
    fn no_text_makes_the_parser_or_the_search_fail(
        expr in "[0-9*/,?LW#+@ a-f-]{0,24}|([0-9*/,?LW#+-]{1,4} ){4,6}[0-9*/,?LW#+-]{1,4}",
        (name, from) in around_a_change(),
    ) {
        if let Ok(timetable) = timetable(&cron(&expr, name)) {
            let due = after(&timetable, unix(from), 5);
            prop_assert!(due.is_sorted_by(|earlier, later| earlier < later), "`{expr}`");
        }
    }
}

#[test]
fn every_minute_is_every_minute_of_days_of_23_24_and_25_hours() {
    let timetable = timetable(&cron("* * * * *", "America/New_York")).unwrap();
    for (midnight, next_midnight, hours) in [
        ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", 23),
        ("2026-07-01T04:00:00Z", "2026-07-02T04:00:00Z", 24),
        ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25),
    ] {
        let (midnight, next_midnight) = (ms(midnight), ms(next_midnight));
        let due: Vec<UnixMs> = timetable.due_between(midnight, next_midnight).collect();
        let minutes: Vec<UnixMs> =
            (1..=hours * 60).map(|minute| midnight.plus_millis(minute * 60_000)).collect();
        assert_eq!(due, minutes, "the day of {hours} hours");
    }
}

#[test]
fn every_ten_seconds_never_pauses_while_the_clocks_go_back() {
    let timetable = timetable(&cron("*/10 * * * * *", "America/New_York")).unwrap();
    let (from, until) = (ms("2026-11-01T04:00:00Z"), ms("2026-11-01T08:00:00Z"));
    let due: Vec<UnixMs> = timetable.due_between(from, until).collect();
    let expected: Vec<UnixMs> = (1..=1440).map(|step| from.plus_millis(step * 10_000)).collect();
    assert_eq!(due, expected);
}
