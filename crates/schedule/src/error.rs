//! Why a schedule cannot be used.

use clawhook_model::UnixMs;
use thiserror::Error;

use crate::expression::{ExpressionError, Fault, Field};
use crate::timetable::LAST_INSTANT;
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
    /// A number of milliseconds reaches past the last date.
    #[error("`{field}` is {value} ms, and the year 9999 ends after {} ms", LAST_INSTANT.as_millis())]
    TooLong {
        /// The schedule's field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The anchor lies before the Unix epoch or past the last date.
    #[error("`anchorMs` is {}, and dates lie between 0 and {}, the end of the year 9999", .0.as_millis(), LAST_INSTANT.as_millis())]
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
        let hint = match self {
            Self::UnknownZone(name) => match zone::near(name) {
                Some(zone) => return Some(format!("did you mean `{zone}`?")),
                None => "zones are named by continent and city, such as `Europe/Berlin`; `UTC` is one too",
            },
            Self::Expression { fault, .. } => return expression_hint(fault),
            Self::ZeroInterval => "the shortest interval is 1 ms",
            Self::TooLong { .. } => "is it in milliseconds? a day has 86400000",
            Self::AnchorOutOfRange(_) => {
                "give milliseconds since the epoch, or leave it out: it is then the present"
            }
            Self::InThePast { at, now, .. } if looks_like_seconds(*at, *now) => {
                return Some(format!(
                    "it looks like seconds; in milliseconds it is {}",
                    at.as_millis().saturating_mul(1000)
                ));
            }
            Self::InThePast { .. } => "give `at` an instant that is to come",
            Self::TooFarAhead { .. } => "give an instant within ten years; did the unit or the century slip?",
            Self::NeverDue(schedule) if schedule.starts_with("cron") => {
                "no coming date has both this day and this month (and year, where one is given)"
            }
            Self::NeverDue(_) => "its next time lies past the year 9999; give a shorter interval",
        };
        Some(hint.to_owned())
    }
}

/// Whether an instant in 1970 would be one to come, were its milliseconds seconds.
fn looks_like_seconds(at: UnixMs, now: UnixMs) -> bool {
    let as_seconds = UnixMs::from_millis(at.as_millis().saturating_mul(1000));
    as_seconds >= now && as_seconds <= LAST_INSTANT
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
        ExpressionError::TooLong(_) => Some("write ranges and steps for lists, or make it several jobs".to_owned()),
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
        Fault::Unknown(text) => Some(match short_name(field, text) {
            Some(name) => format!("did you mean `{name}`?"),
            None => {
                "a field holds values (`5`), ranges (`1-5`), lists (`1,5`), steps (`*/5`, `1-5/2`) and `*`"
                    .to_owned()
            }
        }),
        Fault::Empty => Some("no value stands before, after or between the commas; `*` is any".to_owned()),
        Fault::OutOfRange { .. } => Some(match field {
            Field::Hour => "midnight is hour 0".to_owned(),
            Field::Minute | Field::Second => format!("the next {field} after 59 is 0"),
            _ => format!("the {field} field takes {} to {}", field.values().start(), field.values().end()),
        }),
        Fault::Step { .. } => {
            Some("for a longer rhythm use the next field, or a schedule of the kind `every`".to_owned())
        }
        Fault::Occurrence(_) => Some("`5#2` is the second Friday of a month, `5#L` the last".to_owned()),
        Fault::Modifier(_) => Some(
            "`L` is the last day, `LW` the last working day, `15W` the working day nearest to the 15th"
                .to_owned(),
        ),
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
