//! Reading the instant of an `at` schedule (contract §1.2).

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::definition_error::DefinitionError;
use crate::time::{MAX_DATE_MS, UnixMs};

/// Reads an absolute instant: digits are milliseconds since the epoch, anything else is ISO 8601, and what has no
/// offset is read in UTC.
pub fn parse_at(text: &str) -> Result<UnixMs, DefinitionError> {
    parse_at_in(text, &TimeZone::UTC)
}

/// As [`parse_at`], but what has no offset is read in `zone`.
pub fn parse_at_in(text: &str, zone: &TimeZone) -> Result<UnixMs, DefinitionError> {
    let text = text.trim();
    let instant = digits(text).or_else(|| with_offset(text)).or_else(|| civil(text, zone));
    instant.filter(|at| (0..=MAX_DATE_MS).contains(&at.as_millis())).ok_or_else(|| {
        DefinitionError::invalid(
            "schedule.at",
            format!("Invalid schedule.at: expected ISO-8601 timestamp (got `{text}`)"),
        )
    })
}

fn digits(text: &str) -> Option<UnixMs> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok().map(UnixMs::from_millis) } else { None }
}

fn with_offset(text: &str) -> Option<UnixMs> {
    let instant: Timestamp = text.parse().ok()?;
    Some(UnixMs::from_millis(instant.as_millisecond()))
}

fn civil(text: &str, zone: &TimeZone) -> Option<UnixMs> {
    let moment: DateTime = match text.parse::<DateTime>() {
        Ok(moment) => moment,
        Err(_) => text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
    };
    let instant = zone.to_ambiguous_timestamp(moment).compatible().ok()?;
    Some(UnixMs::from_millis(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_vectors_hold() {
        for (text, expected) in [
            ("2026-03-01", "2026-03-01T00:00:00.000Z"),
            ("2026-03-01T09:30:00", "2026-03-01T09:30:00.000Z"),
            ("2026-03-01T09:30:00+0200", "2026-03-01T07:30:00.000Z"),
            ("2026-03-01T09:30:00+02:00", "2026-03-01T07:30:00.000Z"),
            ("2026-03-01T09:30:00Z", "2026-03-01T09:30:00.000Z"),
            ("1767225600000", "2026-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(parse_at(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused_with_the_value() {
        for bad in ["", "tomorrow", "2026-13-01", "99999999999999999999", "-5"] {
            let error = parse_at(bad).unwrap_err().to_string();
            assert!(error.contains(&format!("(got `{bad}`)")), "{error}");
        }
    }
}
