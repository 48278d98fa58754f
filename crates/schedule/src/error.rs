//! Why a schedule cannot be used.

use clawhook_model::{MAX_DATE_MS, UnixMs};
use thiserror::Error;

use crate::expression::{ExpressionError, Fault, Field};
use crate::zone;

/// Why a schedule is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// No zone has this name.
    #[error("`{0}` is not an IANA time zone of this machine")]
    UnknownZone(String),
    /// The expression cannot be read.
    #[error("`{expr}` is not a cron expression: {fault}")]
    Expression {
        /// The expression, cut where it is very long.
        expr: String,
        /// What is wrong with it.
        fault: ExpressionError,
    },
    /// The interval is zero.
    #[error("an interval of 0 ms is not an interval")]
    ZeroInterval,
    /// A number of milliseconds is larger than any date.
    #[error("`{field}` is {value} ms, and no date lies beyond {MAX_DATE_MS} ms")]
    TooLong {
        /// The schedule's field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The anchor lies before the Unix epoch or beyond the last date.
    #[error("`anchorMs` is {}, and dates lie between 0 and {MAX_DATE_MS}", .0.as_millis())]
    AnchorOutOfRange(UnixMs),
    /// The instant of a new `at` is over.
    #[error("`at` is in the past: {at} was {minutes_ago} min ago, it is now {now}")]
    InThePast {
        /// The instant.
        at: UnixMs,
        /// How long ago it was, in whole minutes.
        minutes_ago: u64,
        /// The instant it was compared with.
        now: UnixMs,
    },
    /// The instant of a new `at` is more than ten years away.
    #[error("`at` is more than 10 years ahead: {at}, it is now {now}")]
    TooFarAhead {
        /// The instant.
        at: UnixMs,
        /// The instant it was compared with.
        now: UnixMs,
    },
    /// The schedule has no due time any more.
    #[error("`{0}` never comes due")]
    NeverDue(String),
}

impl ScheduleError {
    /// What was probably meant, or what to do, for showing beside the message.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownZone(name) => zone::near(name).map(|zone| format!("did you mean `{zone}`?")),
            Self::Expression { fault, .. } => expression_hint(fault),
            Self::ZeroInterval => Some("the shortest interval is 1 ms".to_owned()),
            Self::NeverDue(schedule) if schedule.starts_with("cron") => Some(
                "no coming date has both this day and this month (and year, where one is given)".to_owned(),
            ),
            _ => None,
        }
    }
}

fn expression_hint(fault: &ExpressionError) -> Option<String> {
    match fault {
        ExpressionError::FieldCount(_) => Some(
            "the fields are: minute, hour, day of the month, month, day of the week; a sixth, in front, is the second"
                .to_owned(),
        ),
        ExpressionError::Nickname(name) if name.starts_with("@every") => {
            Some("a fixed interval is a schedule of the kind `every`".to_owned())
        }
        ExpressionError::Nickname(_) => {
            Some("there are @hourly, @daily (@midnight), @weekly, @monthly and @yearly (@annually)".to_owned())
        }
        ExpressionError::Field { field, fault } => fault_hint(*field, fault),
        ExpressionError::TooLong(_) => None,
    }
}

fn fault_hint(field: Field, fault: &Fault) -> Option<String> {
    match fault {
        Fault::Reversed(range) => {
            let (first, last) = range.split_once('-')?;
            let allowed = field.values();
            Some(format!("write it as two ranges: `{first}-{},{}-{last}`", allowed.end(), allowed.start()))
        }
        Fault::StepWithoutRange(entry) => {
            let (first, step) = entry.split_once('/')?;
            let range =
                if first.is_empty() { "*".to_owned() } else { format!("{first}-{}", field.values().end()) };
            Some(format!("did you mean `{range}/{step}`?"))
        }
        Fault::Unknown(text) => short_name(field, text).map(|name| format!("did you mean `{name}`?")),
        Fault::Modifier(_) => Some(
            "`L` is the last day, `LW` the last working day, `15W` the working day nearest to the 15th"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The three letters that a name such as `Monday` is written with.
fn short_name(field: Field, text: &str) -> Option<String> {
    const FULL_MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    const FULL_WEEKDAYS: [&str; 7] =
        ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let names: &[&str] = match field {
        Field::Month => &FULL_MONTHS,
        Field::DayOfWeek => &FULL_WEEKDAYS,
        _ => return None,
    };
    names.iter().find(|name| name.eq_ignore_ascii_case(text)).map(|name| name[..3].to_ascii_uppercase())
}
