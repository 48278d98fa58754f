//! How much is sent to a destination at once, and how fast.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::duration::{format_duration, parse_duration};
use crate::fields::Fields;

/// Bounds on what one destination gets; what is absent is the gateway's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Requests under way at once.
    pub max_concurrent: Option<usize>,
    /// Requests a second, on average; a whole second's worth may come at once.
    pub per_second: Option<f64>,
    /// The time for one request, the answer's body included.
    pub timeout: Option<Duration>,
}

// A rate is finite by construction, so equality is total.
impl Eq for Limits {}

/// The most requests at once that can be asked for.
const MOST_CONCURRENT: u64 = 1_000;
/// The fastest rate that can be asked for, and the slowest: one a day.
const RATES: std::ops::RangeInclusive<f64> = 1.0 / 86_400.0..=1_000_000.0;
/// How long one request may take.
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);

impl Limits {
    /// Whether nothing is bounded beyond the gateway's defaults.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("limits", value)?;
        let max_concurrent = match fields.count("maxConcurrent")? {
            None => None,
            Some(count @ 1..=MOST_CONCURRENT) => usize::try_from(count).ok(),
            Some(count) => {
                let why = format!("`{count}` is not from 1 to {MOST_CONCURRENT}");
                return Err(DefinitionError::invalid("limits.maxConcurrent", why));
            }
        };
        let per_second =
            fields.value("perSecond").map(|given| rate("limits.perSecond", &given)).transpose()?;
        let timeout = fields.text("timeout")?.as_deref().map(timeout).transpose()?;
        fields.close(&[])?;
        Ok(Self { max_concurrent, per_second, timeout })
    }

    pub(super) fn to_json(&self) -> Value {
        let mut out = Map::new();
        if let Some(count) = self.max_concurrent {
            out.insert("maxConcurrent".to_owned(), json!(count));
        }
        if let Some(rate) = self.per_second {
            out.insert("perSecond".to_owned(), json!(rate));
        }
        if let Some(timeout) = self.timeout {
            out.insert("timeout".to_owned(), json!(format_duration(timeout)));
        }
        Value::Object(out)
    }
}

/// Reads a rate, which stands in `field`.
pub(crate) fn rate(field: &str, value: &Value) -> Result<f64, DefinitionError> {
    let given = value.as_f64().filter(|rate| RATES.contains(rate));
    given.ok_or_else(|| {
        let why = format!("`{value}` is not a rate from one a day (0.0000116) to 1000000 a second");
        DefinitionError::invalid(field, why)
    })
}

fn timeout(text: &str) -> Result<Duration, DefinitionError> {
    let wrong = |why: String| DefinitionError::invalid("limits.timeout", why);
    let given = parse_duration(text).map_err(|error| wrong(error.to_string()))?;
    if TIMEOUTS.contains(&given) {
        Ok(given)
    } else {
        Err(wrong(format!("`{text}` is not from 100ms to 5m")))
    }
}
