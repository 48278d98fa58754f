//! A cron expression, read from its text.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use jiff::civil::DateTime;
use thiserror::Error;

use crate::civil::{self, BitSet, DayRule, Days, MonthDays, Occurrences, Times, WeekDays, Years};

/// The longest text that is looked at; a list of every minute is a fifth of it.
const LONGEST: usize = 1000;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One of the fields of a cron expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The optional first.
    Second,
    /// The first of five.
    Minute,
    /// The second of five.
    Hour,
    /// The third of five.
    DayOfMonth,
    /// The fourth of five.
    Month,
    /// The fifth of five.
    DayOfWeek,
    /// The optional last.
    Year,
}

impl Field {
    /// The values that may be written.
    pub(crate) fn values(self) -> RangeInclusive<u16> {
        match self {
            Self::Second | Self::Minute => 0..=59,
            Self::Hour => 0..=23,
            Self::DayOfMonth => 1..=31,
            Self::Month => 1..=12,
            Self::DayOfWeek => 0..=7,
            Self::Year => 1..=9999,
        }
    }

    /// The values that `*` stands for. Steps through the years are counted from the year 0.
    fn every(self) -> RangeInclusive<u16> {
        match self {
            Self::DayOfWeek => 0..=6,
            Self::Year => 0..=9999,
            _ => self.values(),
        }
    }

    fn largest_step(self) -> u16 {
        self.every().end() - self.every().start() + 1
    }

    /// The number that the name `text` stands for.
    fn named(self, text: &str) -> Option<u16> {
        let (names, first): (&[&str], u16) = match self {
            Self::Month => (&MONTHS, 1),
            Self::DayOfWeek => (&WEEKDAYS, 0),
            _ => return None,
        };
        (first..).zip(names).find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(number, _)| number)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
            Self::Year => "year",
        })
    }
}

/// Why a text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExpressionError {
    /// It is longer than any expression needs to be.
    #[error("it is {0} bytes long, and at most {LONGEST} are read")]
    TooLong(usize),
    /// It begins with `@` and is no nickname.
    #[error("there is no nickname `{0}`")]
    Nickname(String),
    /// The number of fields is wrong.
    #[error("it has {0} fields instead of five, six or seven")]
    FieldCount(usize),
    /// One field is wrong.
    #[error("in the {field} field, {fault}")]
    Field {
        /// Which one.
        field: Field,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// An entry between commas, or all of it, is missing.
    #[error("an entry is empty")]
    Empty,
    /// An entry is nothing that the field knows.
    #[error("`{0}` is neither a value nor a range")]
    Unknown(String),
    /// A value lies outside what the field can hold.
    #[error("`{value}` is not between {} and {}", .allowed.start(), .allowed.end())]
    OutOfRange {
        /// The value, as written.
        value: String,
        /// What the field can hold.
        allowed: RangeInclusive<u16>,
    },
    /// A range ends before it begins.
    #[error("the range `{0}` ends before it begins")]
    Reversed(String),
    /// A step follows a single value, or nothing.
    #[error("the step in `{0}` has no range to go through")]
    StepWithoutRange(String),
    /// A step is not a number, zero, or larger than the field.
    #[error("the step of `{entry}` is not between 1 and {largest}")]
    Step {
        /// The entry, as written.
        entry: String,
        /// The largest step of the field.
        largest: u16,
    },
    /// What follows `#` is not 1 to 5 or `L`.
    #[error("`{0}` does not name the 1st to 5th, or `L` for the last, of a weekday")]
    Occurrence(String),
    /// `L` or `W` stands where it means nothing.
    #[error("`{0}` is not one of the forms `L`, `LW` (alone) and `15W`")]
    Modifier(String),
}

/// A cron expression: the civil times it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expression {
    days: Days,
    times: Times,
    fixed_time: bool,
}

impl Expression {
    pub(crate) fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > LONGEST {
            return Err(ExpressionError::TooLong(text.len()));
        }
        let text = written_out(text.trim())?.replace('?', "*");
        let fields: Vec<&str> = text.split_whitespace().collect();
        match *fields {
            [minute, hour, day, month, week_day] => {
                Self::of_fields(["0", minute, hour, day, month, week_day, "*"])
            }
            [second, minute, hour, day, month, week_day] => {
                Self::of_fields([second, minute, hour, day, month, week_day, "*"])
            }
            [second, minute, hour, day, month, week_day, year] => {
                Self::of_fields([second, minute, hour, day, month, week_day, year])
            }
            _ => Err(ExpressionError::FieldCount(fields.len())),
        }
    }

    fn of_fields(fields: [&str; 7]) -> Result<Self, ExpressionError> {
        let [second, minute, hour, month_day, month, week_day, year] = fields;
        let times = Times {
            seconds: in_field(Field::Second, second, numbers)?,
            minutes: in_field(Field::Minute, minute, numbers)?,
            hours: in_field(Field::Hour, hour, numbers)?,
        };
        let wants_both = week_day.starts_with('+');
        let week_day = week_day.strip_prefix('+').unwrap_or(week_day);
        let days = Days {
            month_days: in_field(Field::DayOfMonth, month_day, month_days)?,
            months: in_field(Field::Month, month, numbers)?,
            week_days: in_field(Field::DayOfWeek, week_day, week_days)?,
            years: in_field(Field::Year, year, years)?,
            rule: day_rule(month_day, week_day, wants_both),
        };
        let fixed_time =
            times.is_single() && ![second, minute, hour].iter().any(|text| text.contains(['*', '/']));
        Ok(Self { days, times, fixed_time })
    }

    /// Whether the expression names one time of day, rather than a rhythm. The two differ where clocks change.
    pub(crate) fn is_fixed_time(&self) -> bool {
        self.fixed_time
    }

    /// The first matching civil time strictly after `civil`.
    pub(crate) fn next_after(&self, civil: DateTime) -> Option<DateTime> {
        civil::next_after(&self.days, self.times, civil)
    }
}

/// What a nickname stands for; any other text as it is.
fn written_out(text: &str) -> Result<&str, ExpressionError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    match text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        "@monthly" => Ok("0 0 1 * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@hourly" => Ok("0 * * * *"),
        _ => Err(ExpressionError::Nickname(text.to_owned())),
    }
}

/// A field that is `*` leaves the other one to decide; `*,5` and `*/1` are not `*`, as in croner.
fn day_rule(month_day: &str, week_day: &str, wants_both: bool) -> DayRule {
    match (month_day, week_day) {
        (_, "*") => DayRule::MonthDays,
        ("*", _) => DayRule::Both,
        _ if wants_both => DayRule::Both,
        _ => DayRule::Either,
    }
}

fn in_field<T>(
    field: Field,
    text: &str,
    parse: impl FnOnce(Field, &str) -> Result<T, Fault>,
) -> Result<T, ExpressionError> {
    parse(field, text).map_err(|fault| ExpressionError::Field { field, fault })
}

fn numbers(field: Field, text: &str) -> Result<BitSet, Fault> {
    let mut set = BitSet::default();
    for entry in text.split(',') {
        insert_all(&mut set, values(field, entry)?);
    }
    Ok(set)
}

fn years(field: Field, text: &str) -> Result<Years, Fault> {
    if text == "*" {
        return Ok(Years::Any);
    }
    let mut years = BTreeSet::new();
    for entry in text.split(',') {
        years.extend(values(field, entry)?.filter_map(|year| i16::try_from(year).ok()));
    }
    Ok(Years::Listed(years))
}

fn month_days(field: Field, text: &str) -> Result<MonthDays, Fault> {
    let mut days = MonthDays::default();
    if text.eq_ignore_ascii_case("LW") {
        days.last_workday = true;
        return Ok(days);
    }
    for entry in text.split(',') {
        if entry.eq_ignore_ascii_case("L") {
            days.last = true;
        } else if let Some(day) = entry.strip_suffix(['W', 'w']) {
            if !is_digits(day) {
                return Err(Fault::Modifier(entry.to_owned()));
            }
            let day = value(field, day)?;
            insert_all(&mut days.nearest_workday, std::iter::once(day));
        } else if entry.contains(['L', 'W', 'l', 'w']) {
            return Err(Fault::Modifier(entry.to_owned()));
        } else {
            insert_all(&mut days.numbered, values(field, entry)?);
        }
    }
    Ok(days)
}

fn week_days(field: Field, text: &str) -> Result<WeekDays, Fault> {
    let mut days = WeekDays::default();
    for entry in text.split(',') {
        let (weekdays, occurrences) = occurrences(entry)?;
        // `*#1` would be all seven first weekdays; it means nothing to croner, and so it does not here.
        if weekdays == "*" && occurrences != Occurrences::ALL {
            return Err(Fault::Unknown(entry.to_owned()));
        }
        for weekday in values(field, weekdays)? {
            days.insert(weekday, occurrences);
        }
    }
    Ok(days)
}

/// Splits `5#2`, `5#L` and `5L` into the weekday and which of its occurrences in a month is meant.
fn occurrences(entry: &str) -> Result<(&str, Occurrences), Fault> {
    if let Some((weekday, nth)) = entry.split_once('#') {
        let occurrences = match nth {
            "1" | "2" | "3" | "4" | "5" => Occurrences::nth(nth.as_bytes()[0] - b'0'),
            "L" | "l" => Occurrences::LAST,
            _ => return Err(Fault::Occurrence(entry.to_owned())),
        };
        return Ok((weekday, occurrences));
    }
    match entry.strip_suffix(['L', 'l']) {
        Some(weekday) => Ok((weekday, Occurrences::LAST)),
        None => Ok((entry, Occurrences::ALL)),
    }
}

/// The values of one entry: `*`, `5`, `1-5`, `*/5` or `1-5/2`.
fn values(field: Field, entry: &str) -> Result<impl Iterator<Item = u16> + use<>, Fault> {
    if entry.is_empty() {
        return Err(Fault::Empty);
    }
    let Some((range, step)) = entry.split_once('/') else {
        return Ok(range_of(field, entry)?.step_by(1));
    };
    let values = range_of(field, range);
    if range.is_empty() || (values.is_ok() && range != "*" && !range.contains('-')) {
        return Err(Fault::StepWithoutRange(entry.to_owned()));
    }
    let largest = field.largest_step();
    let step: u16 = step
        .parse()
        .ok()
        .filter(|number| is_digits(step) && (1..=largest).contains(number))
        .ok_or_else(|| Fault::Step { entry: entry.to_owned(), largest })?;
    Ok(values?.step_by(usize::from(step)))
}

fn range_of(field: Field, text: &str) -> Result<RangeInclusive<u16>, Fault> {
    if text == "*" {
        return Ok(field.every());
    }
    let Some((first, last)) = text.split_once('-') else {
        let value = value(field, text)?;
        return Ok(value..=value);
    };
    if first.is_empty() || last.is_empty() || last.contains('-') {
        return Err(Fault::Unknown(text.to_owned()));
    }
    let first = value(field, first)?;
    let last = match value(field, last)? {
        // A Sunday at the end of a range is the one at the end of the week.
        0 if last.eq_ignore_ascii_case("sun") => 7,
        last => last,
    };
    if first > last { Err(Fault::Reversed(text.to_owned())) } else { Ok(first..=last) }
}

/// One value: a number, or a name in the fields that have names.
fn value(field: Field, text: &str) -> Result<u16, Fault> {
    if let Some(number) = field.named(text) {
        return Ok(number);
    }
    if !is_digits(text) {
        return Err(Fault::Unknown(text.to_owned()));
    }
    let allowed = field.values();
    match text.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ => Err(Fault::OutOfRange { value: text.to_owned(), allowed }),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Values of fields that fit a set of bits; those of the years do not, and have their own kind of set.
fn insert_all(set: &mut BitSet, values: impl Iterator<Item = u16>) {
    for value in values {
        if let Ok(number) = i8::try_from(value) {
            set.insert(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(left: &str, right: &str) {
        let left_read = Expression::parse(left).unwrap_or_else(|error| panic!("`{left}`: {error}"));
        let right_read = Expression::parse(right).unwrap_or_else(|error| panic!("`{right}`: {error}"));
        assert_eq!(left_read, right_read, "`{left}` against `{right}`");
    }

    #[test]
    fn what_means_the_same_reads_the_same() {
        same("0 9 * * mon-FRI", "0 9 * * 1-5");
        same("0 9 * * SAT-SUN", "0 9 * * 6,7");
        same("0 9 * * 7", "0 9 * * 0");
        same("0 9 * * 5L", "0 9 * * FRI#L");
        same("0 9 l * *", "0 9 L * *");
        same("0 0 1 JAN,jul *", "0 0 1 1,7 *");
        same("  5,10-20/5\t1 *  * * ", "5,10,15,20 1 * * *");
        same("? ? * * *", "* * * * *");
        same("0 0 0 1 1 * *", "@Annually");
        same("007 09 * * *", "7 9 * * *");
    }

    #[test]
    fn one_second_one_minute_and_one_hour_are_a_fixed_time_and_wildcards_never_are() {
        for fixed in ["30 1 * * *", "30-30 1,1 * * *", "5 30 1 * * *", "0 9 13 * +5"] {
            assert!(Expression::parse(fixed).unwrap().is_fixed_time(), "{fixed}");
        }
        for rhythm in ["* 1 * * *", "*/60 1 * * *", "30 1,2 * * *", "* 30 1 * * *", "30 ? * * *"] {
            assert!(!Expression::parse(rhythm).unwrap().is_fixed_time(), "{rhythm}");
        }
    }

    #[test]
    fn a_refusal_names_the_field_the_text_and_the_reason() {
        for (expr, message) in [
            ("60 * * * *", "in the minute field, `60` is not between 0 and 59"),
            ("0 0 32 * *", "in the day-of-month field, `32` is not between 1 and 31"),
            ("0 0 * * 8", "in the day-of-week field, `8` is not between 0 and 7"),
            ("0 22-2 * * *", "in the hour field, the range `22-2` ends before it begins"),
            ("a b c d e", "in the minute field, `a` is neither a value nor a range"),
            ("0 9 * * monday", "in the day-of-week field, `monday` is neither a value nor a range"),
            ("*/0 * * * *", "in the minute field, the step of `*/0` is not between 1 and 60"),
            ("5/15 * * * *", "in the minute field, the step in `5/15` has no range to go through"),
            ("1,,5 * * * *", "in the minute field, an entry is empty"),
            ("0 9 * * +", "in the day-of-week field, an entry is empty"),
            (
                "0 9 * * 5#6",
                "in the day-of-week field, `5#6` does not name the 1st to 5th, or `L` for the last, of a weekday",
            ),
            (
                "0 9 L-3 * *",
                "in the day-of-month field, `L-3` is not one of the forms `L`, `LW` (alone) and `15W`",
            ),
            ("* * * *", "it has 4 fields instead of five, six or seven"),
            ("", "it has 0 fields instead of five, six or seven"),
            ("@every 5m", "there is no nickname `@every 5m`"),
        ] {
            assert_eq!(Expression::parse(expr).unwrap_err().to_string(), message, "`{expr}`");
        }
    }

    #[test]
    fn forms_that_look_alike_but_mean_nothing_are_refused() {
        for expr in [
            "/5 * * * *",
            "5.5 * * * *",
            "-5 * * * *",
            "5- * * * *",
            "1-3-5 * * * *",
            "*-5 * * * *",
            "** * * * *",
            "1-10/5/2 * * * *",
            "99999999999 * * * *",
            "*/61 * * * *",
            "+5 * * * *",
            "0 9 +13 * 5",
            "0 9 LW,3 * *",
            "0 9 1-5W * *",
            "0 9 W * *",
            "0 9 15WW * *",
            "0 9 32W * *",
            "0 9 L/2 * *",
            "0 9 * * L",
            "0 9 * * *#1",
            "0 9 * * 5#1#2",
            "0 9 * * 5W",
            "0 9 * * ++1",
            "0 0 1 MON *",
            "0 0 JAN * *",
            "0 0 1 0 *",
            "1#1 * * * *",
            "0 0 0 1 1 * 0",
            "0 0 0 1 1 * 10000",
            "@hourly @daily",
            "@reboot",
        ] {
            assert!(Expression::parse(expr).is_err(), "`{expr}` is taken");
        }
    }

    #[test]
    fn a_text_of_hostile_length_is_not_read() {
        let text = format!("{} * * * *", vec!["1"; 5000].join(","));
        assert_eq!(Expression::parse(&text), Err(ExpressionError::TooLong(text.len())));
    }
}
