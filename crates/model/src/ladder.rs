//! Where an event goes next, when it did not arrive or nobody acknowledged it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::duration::{format_duration, parse_duration};
use crate::fields::Fields;
use crate::misfire::bounded;
use crate::outbox::Target;

/// How many rungs a job's ladder may have above the first.
const MOST_RUNGS: usize = 8;
/// How often a rung is asked again at most.
const MOST_TIMES: u32 = 100;
/// How long an acknowledgement may be waited for.
const WITHIN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(7 * 24);

/// The ladder of a delivery that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LadderPlan {
    /// The rungs above the delivery's own.
    pub then: Vec<Target>,
    /// How an acknowledgement is asked for; where it is not, a rung is left only when its delivery dies.
    pub ask: Option<AskRules>,
}

/// How an acknowledgement is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AskRules {
    /// How long after its arrival the event is sent again, in milliseconds.
    pub within_ms: u64,
    /// How often it is sent again to the same rung.
    pub times: u32,
    /// When nobody is asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
}

impl AskRules {
    /// How long after its arrival the event is sent again.
    pub fn within(&self) -> Duration {
        Duration::from_millis(self.within_ms)
    }
}

/// A stretch of each day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuietHours {
    /// Its first minute, in minutes after midnight.
    pub start: u16,
    /// The first minute after it; before `start` where it goes over midnight.
    pub end: u16,
    /// The zone by its name; none is the gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl QuietHours {
    /// How many minutes of quiet are left, at a minute of the day; none outside.
    pub fn left(&self, minute: u16) -> Option<u16> {
        const DAY: u16 = 24 * 60;
        let since = (minute + DAY - self.start) % DAY;
        let length = (self.end + DAY - self.start) % DAY;
        (since < length).then(|| length - since)
    }
}

/// How a job wants its result acknowledged (`delivery.acknowledge`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledge {
    /// How it is asked for.
    pub ask: AskRules,
    /// Who is asked next.
    pub then: Vec<Target>,
}

impl Acknowledge {
    pub(crate) fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("delivery.acknowledge", value)?;
        let within = match fields.text("within")? {
            None => Duration::from_mins(5),
            Some(text) => parse_duration(&text).map_err(|error| {
                DefinitionError::invalid("delivery.acknowledge.within", error.to_string())
            })?,
        };
        if !WITHIN.contains(&within) {
            let why = format!("`{}` is not between 1s and 7d", format_duration(within));
            return Err(DefinitionError::invalid("delivery.acknowledge.within", why));
        }
        let times = match fields.count("times")? {
            Some(0) => 0,
            given => bounded("delivery.acknowledge.times", given, 3, MOST_TIMES)?,
        };
        let then = match fields.value("then") {
            None => Vec::new(),
            Some(list) => Target::parse_list("delivery.acknowledge.then", list, MOST_RUNGS)?,
        };
        let quiet_hours = fields.value("quietHours").map(QuietHours::parse).transpose()?;
        fields.close(&[])?;
        if times == 0 && then.is_empty() {
            let why = "with 0 times and nobody `then`, nobody would be asked again";
            return Err(DefinitionError::invalid("delivery.acknowledge.times", why));
        }
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { ask: AskRules { within_ms, times, quiet_hours }, then })
    }

    pub(crate) fn to_json(&self, mask: bool) -> Value {
        let mut out = Map::new();
        out.insert("within".to_owned(), json!(format_duration(self.ask.within())));
        out.insert("times".to_owned(), json!(self.ask.times));
        if !self.then.is_empty() {
            out.insert("then".to_owned(), Target::list_json(&self.then, mask));
        }
        if let Some(quiet) = &self.ask.quiet_hours {
            out.insert("quietHours".to_owned(), quiet.to_json());
        }
        Value::Object(out)
    }
}

impl QuietHours {
    /// Reads `{start: "22:00", end: "07:00", timezone}`.
    pub fn parse(value: Value) -> Result<Self, DefinitionError> {
        const PATH: &str = "quietHours";
        let mut fields = Fields::open(PATH, value)?;
        let mut time = |key: &'static str| {
            let field = fields.name(key);
            let text = fields.text(key)?.ok_or(DefinitionError::Missing { field: field.clone() })?;
            minute_of_day(text.trim()).ok_or_else(|| {
                DefinitionError::invalid(field, format!("`{text}` is not a time such as 22:00"))
            })
        };
        let (start, end) = (time("start")?, time("end")?);
        let zone = fields.text("timezone")?.map(|zone| zone.trim().to_owned());
        fields.close(&[])?;
        if start == end {
            return Err(DefinitionError::invalid(PATH, "begin and end at the same time"));
        }
        Ok(Self { start, end, zone })
    }

    fn to_json(&self) -> Value {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let mut out = Map::new();
        out.insert("start".to_owned(), json!(clock(self.start)));
        out.insert("end".to_owned(), json!(clock(self.end)));
        if let Some(zone) = &self.zone {
            out.insert("timezone".to_owned(), json!(zone));
        }
        Value::Object(out)
    }
}

/// `24:00` is the end of a day.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits =
        |text: &str| text.len() <= 2 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    match (hours, minutes) {
        (24, 0) => Some(0),
        (0..24, 0..60) => Some(hours * 60 + minutes),
        _ => None,
    }
}

/// How an acknowledgement that is asked for stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Where it stands.
    pub state: AckState,
    /// Who acknowledged it: `link`, `receiver`, or a name that was given.
    pub by: Option<String>,
    /// When.
    pub at: Option<crate::time::UnixMs>,
    /// How often the present rung was asked again.
    pub asked_again: u32,
    /// When it is asked again, or the next rung is asked.
    pub ask_at: Option<crate::time::UnixMs>,
}

/// Where a ladder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AckState {
    /// It goes on: it is on its way, or it is waited for.
    Open,
    /// Somebody acknowledged it.
    Acknowledged,
    /// Every rung was gone, and nobody did.
    Unacknowledged,
    /// A person ended it.
    Ended,
}

impl AckState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Acknowledged, Self::Unacknowledged, Self::Ended];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Unacknowledged => "unacknowledged",
            Self::Ended => "ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_written_and_bad_input_is_refused() {
        let given = json!({
            "within": "5m", "times": 3, "then": [{ "destination": "pager" }],
            "quietHours": { "start": "22:00", "end": "07:00", "timezone": "Europe/Berlin" },
        });
        assert_eq!(Acknowledge::parse(given.clone()).unwrap().to_json(false), given);
        for bad in [
            json!({ "within": "0s" }),
            json!({ "within": "soon" }),
            json!({ "times": 101 }),
            json!({ "times": 0 }),
            json!({ "quietHours": { "start": "22:00" } }),
            json!({ "quietHours": { "start": "22:00", "end": "22:00" } }),
            json!({ "quietHours": { "start": "25:00", "end": "07:00" } }),
            json!({ "quietHours": { "start": "7", "end": "08:00" } }),
            json!({ "widthin": "5m" }),
        ] {
            assert!(Acknowledge::parse(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn quiet_hours_go_over_midnight() {
        let night = QuietHours { start: 22 * 60, end: 7 * 60, zone: None };
        assert_eq!(night.left(21 * 60 + 59), None);
        assert_eq!(night.left(22 * 60), Some(9 * 60));
        assert_eq!(night.left(0), Some(7 * 60));
        assert_eq!(night.left(6 * 60 + 59), Some(1));
        assert_eq!(night.left(7 * 60), None);
        let lunch = QuietHours { start: 12 * 60, end: 13 * 60, zone: None };
        assert_eq!((lunch.left(12 * 60 + 30), lunch.left(13 * 60)), (Some(30), None));
    }
}
