//! The flags that say when.

use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clawhook_model::{DstRule, UnixMs, parse_at_in, parse_duration};
use clawhook_schedule::{ScheduleError, zone_named};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Misuse;

/// When a job is due, as it is typed.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "When")]
pub(super) struct ScheduleFlags {
    /// By a cron expression of five or six fields, such as `0 9 * * *`
    #[arg(long, value_name = "EXPR", conflicts_with_all = ["every", "at"])]
    cron: Option<String>,
    /// At an interval, such as `30m` or `1h30m`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "at")]
    every: Option<Duration>,
    /// Once: an ISO 8601 time, milliseconds since the epoch, or a duration from now
    #[arg(long, value_name = "WHEN")]
    at: Option<String>,
    /// The IANA time zone that the cron expression, or a time without an offset, is read in
    #[arg(long, value_name = "ZONE", conflicts_with = "every")]
    tz: Option<String>,
    /// What becomes of cron times that the clocks skip or repeat
    #[arg(long, value_name = "RULE", value_parser = dst_rules(), conflicts_with_all = ["every", "at"])]
    dst: Option<DstRule>,
    /// Spread the cron times of different jobs over so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with_all = ["every", "at", "exact"])]
    stagger: Option<Duration>,
    /// Run at the cron times exactly, without a spread
    #[arg(long, conflicts_with_all = ["every", "at"])]
    exact: bool,
}

/// What the flags mean.
#[derive(Debug, PartialEq)]
pub(super) enum Timing {
    /// They say nothing.
    Unsaid,
    /// They give a whole schedule, here as the API's JSON.
    Whole(Value),
    /// They change a part of a cron schedule.
    Amended(Amendment),
}

/// A change of a part of a cron schedule.
#[derive(Debug, PartialEq)]
pub(super) struct Amendment {
    tz: Option<String>,
    stagger_ms: Option<u64>,
    dst: Option<DstRule>,
}

enum Spelled {
    Cron(String),
    Every(Duration),
    At(UnixMs),
}

impl ScheduleFlags {
    /// Whether any of them says when.
    pub(super) fn is_given(&self) -> bool {
        self.cron.is_some() || self.every.is_some() || self.at.is_some()
    }

    /// Reads the flags, and the schedule that was typed without one.
    pub(super) fn read(&self, positional: Option<&str>, now: UnixMs) -> Result<Timing, Misuse> {
        let spelled = match (self.spelled(now)?, positional) {
            (None, None) => return Ok(self.amendment()),
            (Some(spelled), None) => spelled,
            (None, Some(text)) => self.guess(text, now)?,
            (Some(_), Some(text)) => {
                let why = format!("the schedule is given twice: as `{text}` and by a flag");
                return Err(Misuse::new(why));
            }
        };
        self.whole(spelled).map(Timing::Whole)
    }

    fn spelled(&self, now: UnixMs) -> Result<Option<Spelled>, Misuse> {
        Ok(if let Some(expr) = &self.cron {
            Some(Spelled::Cron(expr.clone()))
        } else if let Some(every) = self.every {
            Some(Spelled::Every(every))
        } else if let Some(at) = &self.at {
            Some(Spelled::At(self.read_at(at, now)?))
        } else {
            None
        })
    }

    /// A schedule without its flag: `every 1h`, `20m`, `in 20m`, an ISO time, else a cron expression.
    fn guess(&self, text: &str, now: UnixMs) -> Result<Spelled, Misuse> {
        let text = text.trim();
        if let Some(length) = text.strip_prefix("every ") {
            return match parse_duration(length) {
                Ok(length) => Ok(Spelled::Every(length)),
                Err(error) => Err(Misuse::new(error.to_string())),
            };
        }
        if let Ok(at) = self.read_at(text, now) {
            return Ok(Spelled::At(at));
        }
        if text.starts_with('@') || text.split_whitespace().count() >= 5 {
            return Ok(Spelled::Cron(text.to_owned()));
        }
        Err(Misuse::new(format!(
            "`{text}` is no schedule: give a cron expression such as `0 9 * * *`, `every 1h`, `in 20m`, or an ISO time"
        )))
    }

    fn read_at(&self, text: &str, now: UnixMs) -> Result<UnixMs, Misuse> {
        let zone = || self.zone().map_err(|error| Misuse::new(with_hint(&error)));
        read_instant(text, now, zone)
    }

    /// The zone that was named.
    pub(super) fn zone(&self) -> Result<Option<TimeZone>, ScheduleError> {
        self.tz.as_deref().map(zone_named).transpose()
    }

    fn whole(&self, spelled: Spelled) -> Result<Value, Misuse> {
        let is_cron = matches!(spelled, Spelled::Cron(_));
        if !is_cron && (self.exact || self.stagger.is_some() || self.dst.is_some()) {
            return Err(Misuse::new("--stagger, --exact and --dst are for cron expressions"));
        }
        Ok(match spelled {
            Spelled::Cron(expr) => {
                let mut schedule = json!({ "kind": "cron", "expr": expr });
                self.parts().apply(&mut schedule);
                schedule
            }
            Spelled::Every(_) if self.tz.is_some() => {
                return Err(Misuse::new("--tz cannot be used with an interval: it has no time of day"));
            }
            Spelled::Every(length) => json!({ "kind": "every", "everyMs": millis(length) }),
            Spelled::At(at) => json!({ "kind": "at", "at": at.to_rfc3339() }),
        })
    }

    fn amendment(&self) -> Timing {
        match self.parts() {
            Amendment { tz: None, stagger_ms: None, dst: None } => Timing::Unsaid,
            amendment => Timing::Amended(amendment),
        }
    }

    fn parts(&self) -> Amendment {
        let stagger_ms = if self.exact { Some(0) } else { self.stagger.map(millis) };
        Amendment { tz: self.tz.clone(), stagger_ms, dst: self.dst }
    }
}

impl Amendment {
    /// Writes the change into a cron schedule.
    pub(super) fn apply(&self, schedule: &mut Value) {
        if let Some(tz) = &self.tz {
            schedule["tz"] = json!(tz);
        }
        if let Some(stagger_ms) = self.stagger_ms {
            schedule["staggerMs"] = json!(stagger_ms);
        }
        if let Some(dst) = self.dst {
            schedule["dst"] = json!(dst);
        }
    }
}

/// Reads an ISO 8601 time, milliseconds since the epoch, or a duration from now. What has no offset is read in the
/// zone that is given, or in UTC.
pub(super) fn read_instant(
    text: &str,
    now: UnixMs,
    zone: impl FnOnce() -> Result<Option<TimeZone>, Misuse>,
) -> Result<UnixMs, Misuse> {
    let length = text.trim().trim_start_matches("in ").trim_start_matches('+');
    if let Ok(length) = parse_duration(length) {
        return within_the_calendar(now.plus(length), text);
    }
    let at = parse_at_in(text, &zone()?.unwrap_or(TimeZone::UTC)).map_err(|_| {
        Misuse::new(format!("`{text}` is neither an ISO 8601 time nor a duration such as `20m`"))
    })?;
    within_the_calendar(at, text)
}

/// What cannot be written as a date could not be told to the gateway.
fn within_the_calendar(at: UnixMs, text: &str) -> Result<UnixMs, Misuse> {
    let last = UnixMs::from_millis(Timestamp::MAX.as_millisecond());
    if at <= last { Ok(at) } else { Err(Misuse::new(format!("`{text}` lies past the year 9999"))) }
}

fn with_hint(error: &ScheduleError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

fn dst_rules() -> impl TypedValueParser<Value = DstRule> {
    PossibleValuesParser::new(DstRule::ALL.map(DstRule::as_str)).try_map(|word| word.parse())
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        schedule: Option<String>,
        #[command(flatten)]
        flags: ScheduleFlags,
    }

    const NOW: UnixMs = UnixMs::from_millis(1_767_225_600_000);

    fn read(line: &[&str]) -> Result<Timing, String> {
        let typed =
            Typed::try_parse_from(std::iter::once(&"cron").chain(line)).map_err(|error| error.to_string())?;
        typed.flags.read(typed.schedule.as_deref(), NOW).map_err(|misuse| misuse.to_string())
    }

    #[test]
    fn a_schedule_is_read_with_and_without_its_flag() {
        for (line, schedule) in [
            (vec!["0 9 * * *"], json!({"kind": "cron", "expr": "0 9 * * *"})),
            (vec!["@daily"], json!({"kind": "cron", "expr": "@daily"})),
            (
                vec!["--cron", "0 9 * * *", "--tz", "Asia/Taipei", "--stagger", "30s"],
                json!({"kind": "cron", "expr": "0 9 * * *", "tz": "Asia/Taipei", "staggerMs": 30_000}),
            ),
            (vec!["0 9 * * *", "--exact"], json!({"kind": "cron", "expr": "0 9 * * *", "staggerMs": 0})),
            (
                vec!["30 2 * * *", "--dst", "skip"],
                json!({"kind": "cron", "expr": "30 2 * * *", "dst": "skip"}),
            ),
            (vec!["every 1h"], json!({"kind": "every", "everyMs": 3_600_000})),
            (vec!["--every", "1h30m"], json!({"kind": "every", "everyMs": 5_400_000})),
            (vec!["20m"], json!({"kind": "at", "at": "2026-01-01T00:20:00.000Z"})),
            (vec!["in 20m"], json!({"kind": "at", "at": "2026-01-01T00:20:00.000Z"})),
            (vec!["--at", "20m"], json!({"kind": "at", "at": "2026-01-01T00:20:00.000Z"})),
            (vec!["2026-03-01T09:30:00Z"], json!({"kind": "at", "at": "2026-03-01T09:30:00.000Z"})),
            (
                vec!["--at", "2026-03-01T09:30", "--tz", "Asia/Taipei"],
                json!({"kind": "at", "at": "2026-03-01T01:30:00.000Z"}),
            ),
            (vec!["--at", "1767225600000"], json!({"kind": "at", "at": "2026-01-01T00:00:00.000Z"})),
        ] {
            assert_eq!(read(&line), Ok(Timing::Whole(schedule)), "{line:?}");
        }
    }

    #[test]
    fn parts_alone_change_a_part() {
        assert_eq!(read(&[]), Ok(Timing::Unsaid));
        let amended = |tz: Option<&str>, stagger_ms, dst| {
            Timing::Amended(Amendment { tz: tz.map(str::to_owned), stagger_ms, dst })
        };
        assert_eq!(read(&["--tz", "Asia/Taipei"]), Ok(amended(Some("Asia/Taipei"), None, None)));
        assert_eq!(read(&["--exact"]), Ok(amended(None, Some(0), None)));
        assert_eq!(read(&["--dst", "once"]), Ok(amended(None, None, Some(DstRule::Once))));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (line, message) in [
            (vec!["0 9 * * *", "--every", "1h"], "given twice"),
            (vec!["--cron", "0 9 * * *", "--every", "1h"], "cannot be used with"),
            (vec!["--cron", "0 9 * * *", "--at", "1h"], "cannot be used with"),
            (vec!["--every", "1h", "--tz", "UTC"], "cannot be used with"),
            (vec!["every 1h", "--tz", "UTC"], "no time of day"),
            (vec!["every 1h", "--exact"], "for cron expressions"),
            (vec!["--cron", "0 9 * * *", "--exact", "--stagger", "5s"], "cannot be used with"),
            (vec!["--every", "15"], "`15` has a number without a unit"),
            (vec!["every 15"], "`15` has a number without a unit"),
            (vec!["--at", "tomorrow"], "`tomorrow` is neither"),
            (vec!["--at", "2026-03-01", "--tz", "Mars/Base"], "`Mars/Base` is not an IANA time zone"),
            (vec!["--at", "2026-03-01", "--tz", "europe/berlin"], "did you mean `Europe/Berlin`?"),
            (vec!["--at", "9999999d"], "`9999999d` lies past the year 9999"),
            (vec!["--at", "300000000000000"], "lies past the year 9999"),
            (vec!["--every", "1h", "--dst", "once"], "cannot be used with"),
            (vec!["every 1h", "--dst", "once"], "for cron expressions"),
            (vec!["0 9 * * *", "--dst", "twice"], "[possible values: openclaw, skip, once]"),
            (vec!["soon"], "`soon` is no schedule"),
        ] {
            let error = read(&line).unwrap_err();
            assert!(error.contains(message), "{line:?}: {error}");
        }
    }
}
