//! The civil times an expression matches, without regard to any zone: first by month and day, then by time of day.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, Time};

/// The Gregorian calendar, weekdays included, repeats itself after this many years.
const CALENDAR_TURN: i16 = 400;

/// The last year that is searched.
const LAST_YEAR: i16 = 9999;

/// A set of numbers below 64, one bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BitSet(u64);

impl BitSet {
    /// The numbers from 0 to `last`, which is below 63.
    fn up_to(last: i8) -> Self {
        Self((2 << last) - 1)
    }

    #[must_use]
    fn with(self, number: i8) -> Self {
        debug_assert!((0..64).contains(&number), "{number} has no bit");
        Self(self.0 | 1 << number)
    }

    pub(crate) fn insert(&mut self, number: i8) {
        *self = self.with(number);
    }

    fn contains(self, number: i8) -> bool {
        self.0 >> number & 1 == 1
    }

    /// The smallest number that is at least `floor`.
    fn at_least(self, floor: i8) -> Option<i8> {
        let rest = self.0.checked_shr(u32::try_from(floor).ok()?)?;
        // A set bit's place is below 64.
        (rest != 0).then(|| floor + rest.trailing_zeros() as i8)
    }

    fn first(self) -> Option<i8> {
        self.at_least(0)
    }

    fn after(self, number: i8) -> Option<i8> {
        self.at_least(number + 1)
    }

    fn iter(self) -> impl Iterator<Item = i8> {
        std::iter::successors(self.first(), move |number| self.after(*number))
    }

    fn is_single(self) -> bool {
        self.0.is_power_of_two()
    }

    #[must_use]
    fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// The matching times of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Times {
    pub(crate) hours: BitSet,
    pub(crate) minutes: BitSet,
    pub(crate) seconds: BitSet,
}

impl Times {
    /// Whether a day has just one of them.
    pub(crate) fn is_single(self) -> bool {
        [self.hours, self.minutes, self.seconds].into_iter().all(BitSet::is_single)
    }

    fn first(self) -> Option<Time> {
        Time::new(self.hours.first()?, self.minutes.first()?, self.seconds.first()?, 0).ok()
    }

    /// The first matching time of the same day that is strictly after `time`.
    fn next_after(self, time: Time) -> Option<Time> {
        let (hour, minute) = (time.hour(), time.minute());
        if self.hours.contains(hour) {
            if self.minutes.contains(minute)
                && let Some(second) = self.seconds.after(time.second())
            {
                return Time::new(hour, minute, second, 0).ok();
            }
            if let Some(minute) = self.minutes.after(minute) {
                return Time::new(hour, minute, self.seconds.first()?, 0).ok();
            }
        }
        Time::new(self.hours.after(hour)?, self.minutes.first()?, self.seconds.first()?, 0).ok()
    }
}

/// The years of the optional last field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Years {
    /// Any year.
    #[default]
    Any,
    /// These years only.
    Listed(BTreeSet<i16>),
}

impl Years {
    fn contains(&self, year: i16) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(years) => years.contains(&year),
        }
    }

    /// The last year that a search from `year` has to look at.
    fn horizon(&self, year: i16) -> i16 {
        match self {
            Self::Any => year.saturating_add(CALENDAR_TURN).min(LAST_YEAR),
            Self::Listed(years) => years.last().copied().unwrap_or(0).min(LAST_YEAR),
        }
    }
}

/// What the day-of-month field asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MonthDays {
    /// Days by their number.
    pub(crate) numbered: BitSet,
    /// `15W`: the working day nearest to the 15th, within the month.
    pub(crate) nearest_workday: BitSet,
    /// `L`: the last day.
    pub(crate) last: bool,
    /// `LW`: the last working day.
    pub(crate) last_workday: bool,
}

impl MonthDays {
    fn of(self, month: &Month) -> BitSet {
        let mut days = self.numbered;
        if self.last {
            days.insert(month.length);
        }
        if self.last_workday {
            days.insert(month.nearest_workday(month.length));
        }
        for day in self.nearest_workday.iter().take_while(|day| *day <= month.length) {
            days.insert(month.nearest_workday(day));
        }
        days
    }
}

/// What the day-of-week field asks for: for each weekday, from Sunday, which of its occurrences in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WeekDays([Occurrences; 7]);

/// Which occurrences of a weekday in a month: bits 1 to 5 by number, bit 6 the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Occurrences(u8);

impl Occurrences {
    pub(crate) const ALL: Self = Self(0b0011_1110);
    pub(crate) const LAST: Self = Self(0b0100_0000);

    /// The `nth` one, from 1 to 5.
    pub(crate) const fn nth(nth: u8) -> Self {
        Self(1 << nth)
    }
}

impl WeekDays {
    /// Adds a weekday; 0 and 7 are Sunday.
    pub(crate) fn insert(&mut self, weekday: u16, occurrences: Occurrences) {
        self.0[usize::from(weekday % 7)].0 |= occurrences.0;
    }

    fn of(self, month: &Month) -> BitSet {
        let mut days = BitSet::default();
        for (weekday, wanted) in (0_i8..).zip(self.0).filter(|(_, wanted)| wanted.0 != 0) {
            let first = 1 + (weekday - month.first_weekday).rem_euclid(7);
            for (nth, day) in (1..).zip((first..=month.length).step_by(7)) {
                let is_last = day + 7 > month.length;
                let fits = Occurrences::nth(nth).0 | if is_last { Occurrences::LAST.0 } else { 0 };
                if wanted.0 & fits != 0 {
                    days.insert(day);
                }
            }
        }
        days
    }
}

/// How the two day fields are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DayRule {
    /// The day of the week is `*`: the day of the month decides alone.
    MonthDays,
    /// Both must match.
    Both,
    /// One of them must match.
    Either,
}

/// The matching days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) years: Years,
    pub(crate) months: BitSet,
    pub(crate) month_days: MonthDays,
    pub(crate) week_days: WeekDays,
    pub(crate) rule: DayRule,
}

impl Days {
    fn contains(&self, date: Date) -> bool {
        self.in_month(date.year(), date.month()).contains(date.day())
    }

    /// The first matching day strictly after `date`.
    fn next_after(&self, date: Date) -> Option<Date> {
        let (year, month) = (date.year(), date.month());
        if let Some(day) = self.in_month(year, month).after(date.day()) {
            return Date::new(year, month, day).ok();
        }
        let rest_of_year = std::iter::successors(self.months.after(month), |month| self.months.after(*month));
        let later_years = year.saturating_add(1)..=self.years.horizon(year);
        rest_of_year
            .map(|month| (year, month))
            .chain(later_years.flat_map(|year| self.months.iter().map(move |month| (year, month))))
            .find_map(|(year, month)| Date::new(year, month, self.in_month(year, month).first()?).ok())
    }

    /// The matching days of one month.
    fn in_month(&self, year: i16, month: i8) -> BitSet {
        if !self.months.contains(month) || !self.years.contains(year) {
            return BitSet::default();
        }
        let Some(month) = Month::new(year, month) else { return BitSet::default() };
        let days = match self.rule {
            DayRule::MonthDays => self.month_days.of(&month),
            DayRule::Both => self.month_days.of(&month).intersection(self.week_days.of(&month)),
            DayRule::Either => self.month_days.of(&month).union(self.week_days.of(&month)),
        };
        days.intersection(BitSet::up_to(month.length))
    }
}

/// The shape of one month of one year.
struct Month {
    length: i8,
    /// The weekday of its first day, Sunday being 0.
    first_weekday: i8,
}

impl Month {
    fn new(year: i16, month: i8) -> Option<Self> {
        let first = Date::new(year, month, 1).ok()?;
        Some(Self { length: first.days_in_month(), first_weekday: first.weekday().to_sunday_zero_offset() })
    }

    /// The day from Monday to Friday that is nearest to `day` and does not leave the month.
    fn nearest_workday(&self, day: i8) -> i8 {
        match (self.first_weekday + day - 1) % 7 {
            0 if day == self.length => day - 2,
            0 => day + 1,
            6 if day == 1 => day + 2,
            6 => day - 1,
            _ => day,
        }
    }
}

/// The first civil time strictly after `civil` that lies on one of `days` at one of `times`.
pub(crate) fn next_after(days: &Days, times: Times, civil: DateTime) -> Option<DateTime> {
    let date = civil.date();
    if days.contains(date)
        && let Some(time) = times.next_after(civil.time())
    {
        return Some(date.to_datetime(time));
    }
    Some(days.next_after(date)?.to_datetime(times.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_set_is_walked_in_order_up_to_its_end() {
        let set = BitSet::default().with(0).with(7).with(63);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 7, 63]);
        assert_eq!(set.after(63), None);
        assert_eq!(set.at_least(8), Some(63));
    }

    #[test]
    fn the_nearest_working_day_never_leaves_the_month() {
        // February 2026 begins and March 2026 begins on a Sunday; February has 28 days and ends on a Saturday.
        let february = Month::new(2026, 2).unwrap();
        assert_eq!([1, 7, 8, 28].map(|day| february.nearest_workday(day)), [2, 6, 9, 27]);
        // August 2026 begins on a Saturday; May 2026 ends on a Sunday.
        assert_eq!(Month::new(2026, 8).unwrap().nearest_workday(1), 3);
        assert_eq!(Month::new(2026, 5).unwrap().nearest_workday(31), 29);
    }
}
