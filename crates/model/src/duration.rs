//! How long something takes, as people write it: `15s`, `1h30m`, `1d`.

use std::time::Duration;

use thiserror::Error;

/// A unit's name and its length in milliseconds.
type Unit = (&'static str, u64);

/// The units, greatest first.
const UNITS: [Unit; 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// There is nothing.
    #[error("a duration is empty: write a number and a unit, such as `30s` or `1h30m`")]
    Empty,
    /// A unit has no number before it.
    #[error("`{0}` is not a duration: write a whole number and a unit, such as `30s` or `1h30m`")]
    NoNumber(String),
    /// A number has no unit after it.
    #[error("`{0}` has a number without a unit: add ms, s, m, h or d")]
    NoUnit(String),
    /// A unit is none of the known ones.
    #[error("`{text}` has the unit `{unit}`, which is none of ms, s, m, h and d")]
    Unit {
        /// The whole text.
        text: String,
        /// The unit.
        unit: String,
    },
    /// A unit comes twice, or after a smaller one.
    #[error("`{0}` does not name each unit once, the greatest first, as `1h30m` does")]
    Order(String),
    /// It is too long to count in milliseconds.
    #[error("`{0}` is too long")]
    TooLong(String),
}

/// Reads whole numbers with units, the greatest unit first: `250ms`, `15s`, `1h30m`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut millis: u64 = 0;
    let mut smaller_units = UNITS.as_slice();
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_where(after, |c| c.is_ascii_digit());
        if number.is_empty() {
            return Err(DurationError::NoNumber(text.to_owned()));
        }
        let (length, left) = take_unit(text, unit, smaller_units)?;
        let too_long = || DurationError::TooLong(text.to_owned());
        let count: u64 = number.parse().map_err(|_| too_long())?;
        millis = count.checked_mul(length).and_then(|part| millis.checked_add(part)).ok_or_else(too_long)?;
        smaller_units = left;
        rest = after;
    }
    Ok(Duration::from_millis(millis))
}

/// Writes a duration the short way, down to the millisecond: `5s`, `1h30m`, `1d`. [`parse_duration`] reads it back.
pub fn format_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in UNITS {
        let count = left / length;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(unit);
        }
        left %= length;
    }
    text
}

/// The unit's length, and the units that may follow it.
fn take_unit<'u>(text: &str, unit: &str, allowed: &'u [Unit]) -> Result<(u64, &'u [Unit]), DurationError> {
    if let Some(place) = allowed.iter().position(|(name, _)| *name == unit) {
        return Ok((allowed[place].1, &allowed[place + 1..]));
    }
    Err(if unit.is_empty() {
        DurationError::NoUnit(text.to_owned())
    } else if UNITS.iter().any(|(name, _)| *name == unit) {
        DurationError::Order(text.to_owned())
    } else {
        DurationError::Unit { text: text.to_owned(), unit: unit.to_owned() }
    })
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_back_the_short_way() {
        for (text, millis, short) in [
            ("5s", 5_000, "5s"),
            ("250ms", 250, "250ms"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90s", 90_000, "1m30s"),
            ("24h", 86_400_000, "1d"),
            ("14h", 50_400_000, "14h"),
            (" 1d1ms ", 86_400_001, "1d1ms"),
            ("0s", 0, "0s"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(format_duration(duration), short);
            assert_eq!(parse_duration(short), Ok(duration));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_reason() {
        let refused = |text: &str| parse_duration(text).unwrap_err();
        assert_eq!(refused(" "), DurationError::Empty);
        assert_eq!(refused("s"), DurationError::NoNumber("s".to_owned()));
        assert_eq!(refused("-5s"), DurationError::NoNumber("-5s".to_owned()));
        assert_eq!(refused("15"), DurationError::NoUnit("15".to_owned()));
        assert_eq!(refused("1h30"), DurationError::NoUnit("1h30".to_owned()));
        assert_eq!(refused("30m1h"), DurationError::Order("30m1h".to_owned()));
        assert_eq!(refused("1h1h"), DurationError::Order("1h1h".to_owned()));
        assert_eq!(
            refused("99999999999999999999s"),
            DurationError::TooLong("99999999999999999999s".to_owned())
        );
        assert_eq!(refused("999999999999999999d"), DurationError::TooLong("999999999999999999d".to_owned()));
        assert_eq!(
            refused("1.5h").to_string(),
            "`1.5h` has the unit `.`, which is none of ms, s, m, h and d"
        );
        assert_eq!(refused("2w").to_string(), "`2w` has the unit `w`, which is none of ms, s, m, h and d");
    }
}
