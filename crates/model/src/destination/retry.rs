//! When a delivery that failed is tried again, and when it is given up.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::duration::{format_duration, parse_duration};
use crate::fields::Fields;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = SECOND.saturating_mul(60);
const HOUR: Duration = MINUTE.saturating_mul(60);
const DAY: Duration = HOUR.saturating_mul(24);

/// How many waits a schedule has at most.
const MOST_WAITS: usize = 50;
const WAIT: RangeInclusive<Duration> = MILLISECOND..=DAY.saturating_mul(30);
const WINDOW: RangeInclusive<Duration> = SECOND..=DAY.saturating_mul(365);
const RETRY_AFTER: RangeInclusive<Duration> = Duration::ZERO..=DAY.saturating_mul(30);
const CLIENT_ERROR_TRIES: RangeInclusive<u64> = 1..=50;

/// The waits between the tries of one delivery. An empty list means one try and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule {
    delays: Vec<Duration>,
}

impl RetrySchedule {
    /// The waits in their order: the first stands between the first try and the second.
    pub fn new(delays: Vec<Duration>) -> Self {
        Self { delays }
    }

    /// The waits in their order, without jitter.
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    /// The wait before the next try, once `retries_used` retries have been made; `None` when none is left.
    pub fn delay(&self, retries_used: u32) -> Option<Duration> {
        self.delays.get(usize::try_from(retries_used).ok()?).copied()
    }

    /// How many retries follow the first try.
    pub fn retries(&self) -> u32 {
        u32::try_from(self.delays.len()).unwrap_or(u32::MAX)
    }

    /// The time from the first try to the last, without jitter and without the tries themselves.
    pub fn span(&self) -> Duration {
        self.delays.iter().fold(Duration::ZERO, |sum, delay| sum.saturating_add(*delay))
    }
}

impl Default for RetrySchedule {
    /// The Standard Webhooks' sample: three days and a bit, most of it for outages that last over a night.
    fn default() -> Self {
        let hours = [2, 5, 10, 14, 20, 24].map(|count| HOUR.saturating_mul(count));
        Self::new([vec![5 * SECOND, 5 * MINUTE, 30 * MINUTE], hours.to_vec()].concat())
    }
}

/// By which rules a delivery is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRules {
    /// The waits between tries.
    pub schedule: RetrySchedule,
    /// How long after its beginning a delivery may still be tried; where none is set, the schedule gives it
    /// ([`RetryRules::effective_window`]).
    pub window: Option<Duration>,
    /// How many tries a receiver may refuse with a 4xx before the delivery is given up. 408, 425 and 429 are no
    /// refusals, and 410 pauses the destination.
    pub client_error_tries: NonZeroU32,
    /// How much of a receiver's `Retry-After` is heeded; zero heeds none.
    pub max_retry_after: Duration,
}

impl RetryRules {
    /// These waits, and the defaults for everything else.
    pub fn of(schedule: RetrySchedule) -> Self {
        const THREE: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);
        Self { schedule, window: None, client_error_tries: THREE, max_retry_after: HOUR }
    }

    /// How long after its beginning a delivery may still be tried.
    ///
    /// Where none is set, it is half as long again as the schedule, and a day: room for the waits that receivers ask
    /// for, and for faults of our own side, which use up no retry.
    pub fn effective_window(&self) -> Duration {
        self.window.unwrap_or_else(|| {
            let span = self.schedule.span();
            span.saturating_add(span / 2).saturating_add(DAY)
        })
    }
}

impl Default for RetryRules {
    fn default() -> Self {
        Self::of(RetrySchedule::default())
    }
}

/// A destination's `retry` as it was written; what it leaves out is the gateway's to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetrySettings {
    schedule: Option<RetrySchedule>,
    window: Option<Duration>,
    client_error_tries: Option<NonZeroU32>,
    max_retry_after: Option<Duration>,
}

impl RetrySettings {
    /// Reads `{"schedule": ["5s", "5m"], "window": "72h", "clientErrorTries": 3, "maxRetryAfter": "1h"}`.
    pub fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("retry", value)?;
        let settings = Self {
            schedule: schedule(&mut fields)?,
            window: duration(&mut fields, "window", WINDOW)?,
            client_error_tries: client_error_tries(&mut fields)?,
            max_retry_after: duration(&mut fields, "maxRetryAfter", RETRY_AFTER)?,
        };
        fields.close(&[])?;
        Ok(settings)
    }

    /// What [`RetrySettings::parse`] reads back.
    pub fn to_json(&self) -> Value {
        let shown = |duration: &Duration| json!(format_duration(*duration));
        let schedule = self.schedule.as_ref().map(|it| it.delays().iter().map(shown).collect());
        let fields = [
            ("schedule", schedule),
            ("window", self.window.as_ref().map(shown)),
            ("clientErrorTries", self.client_error_tries.map(|count| json!(count))),
            ("maxRetryAfter", self.max_retry_after.as_ref().map(shown)),
        ];
        let given = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rules: what was written, and the gateway's `defaults` for the rest.
    pub fn rules(&self, defaults: &RetryRules) -> RetryRules {
        RetryRules {
            schedule: self.schedule.as_ref().unwrap_or(&defaults.schedule).clone(),
            window: self.window.or(defaults.window),
            client_error_tries: self.client_error_tries.unwrap_or(defaults.client_error_tries),
            max_retry_after: self.max_retry_after.unwrap_or(defaults.max_retry_after),
        }
    }
}

fn schedule(fields: &mut Fields) -> Result<Option<RetrySchedule>, DefinitionError> {
    let Some(texts) = fields.texts("schedule")? else { return Ok(None) };
    let field = fields.name("schedule");
    if texts.len() > MOST_WAITS {
        let why = format!("a schedule has at most {MOST_WAITS} waits, this one has {}", texts.len());
        return Err(DefinitionError::invalid(field, why));
    }
    let delays =
        texts.iter().enumerate().map(|(index, text)| bounded(&format!("{field}[{index}]"), text, WAIT));
    Ok(Some(RetrySchedule::new(delays.collect::<Result<_, _>>()?)))
}

fn duration(
    fields: &mut Fields,
    key: &'static str,
    bounds: RangeInclusive<Duration>,
) -> Result<Option<Duration>, DefinitionError> {
    let text = fields.text(key)?;
    text.map(|text| bounded(&fields.name(key), &text, bounds)).transpose()
}

fn bounded(field: &str, text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, DefinitionError> {
    let duration =
        parse_duration(text).map_err(|error| DefinitionError::invalid(field, error.to_string()))?;
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (format_duration(*bounds.start()), format_duration(*bounds.end()));
    Err(DefinitionError::invalid(field, format!("`{text}` does not lie between {least} and {most}")))
}

fn client_error_tries(fields: &mut Fields) -> Result<Option<NonZeroU32>, DefinitionError> {
    const KEY: &str = "clientErrorTries";
    let Some(count) = fields.count(KEY)? else { return Ok(None) };
    let tries = u32::try_from(count).ok().and_then(NonZeroU32::new);
    match tries.filter(|_| CLIENT_ERROR_TRIES.contains(&count)) {
        Some(tries) => Ok(Some(tries)),
        None => {
            let (least, most) = (CLIENT_ERROR_TRIES.start(), CLIENT_ERROR_TRIES.end());
            let why = format!("`{count}` does not lie between {least} and {most}");
            Err(DefinitionError::invalid(fields.name(KEY), why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_tries_nine_times_again_within_three_days_and_four_hours() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.retries(), 9);
        assert_eq!(schedule.span(), 75 * HOUR + 35 * MINUTE + 5 * SECOND);
        assert_eq!(schedule.delay(0), Some(5 * SECOND));
        assert_eq!(schedule.delay(8), Some(24 * HOUR));
        assert_eq!(schedule.delay(9), None);
    }

    #[test]
    fn the_window_leaves_room_beyond_the_schedule_unless_one_is_set() {
        let mut rules = RetryRules::of(RetrySchedule::new(vec![2 * HOUR]));
        assert_eq!(rules.effective_window(), 27 * HOUR);
        rules.window = Some(HOUR);
        assert_eq!(rules.effective_window(), HOUR);
    }

    #[test]
    fn what_is_written_stands_and_the_gateway_says_the_rest() {
        let written = json!({ "schedule": ["5s", "1h30m"], "window": "3d", "clientErrorTries": 1, "maxRetryAfter": "0s" });
        let settings = RetrySettings::parse(written.clone()).unwrap();
        assert_eq!(settings.to_json(), written);
        let rules = settings.rules(&RetryRules::default());
        assert_eq!(rules.schedule.delays(), [5 * SECOND, 90 * MINUTE]);
        assert_eq!(rules.window, Some(3 * DAY));
        assert_eq!((rules.client_error_tries.get(), rules.max_retry_after), (1, Duration::ZERO));

        let nothing = RetrySettings::parse(json!({})).unwrap();
        assert!(nothing.is_empty() && !settings.is_empty());
        assert_eq!(nothing.to_json(), json!({}));
        assert_eq!(nothing.rules(&rules), rules);
        assert_eq!(RetryRules::default().client_error_tries.get(), 3);

        let one_try = RetrySettings::parse(json!({ "schedule": [] })).unwrap();
        assert!(one_try.rules(&rules).schedule.delays().is_empty());
    }

    #[test]
    fn a_refusal_names_the_field_and_what_is_wrong_with_it() {
        let long: Vec<&str> = vec!["1s"; 51];
        for (written, message) in [
            (json!([]), "`retry` must be an object, not a list"),
            (json!({ "schedule": "5s" }), "`retry.schedule` must be a list of texts, not the text `5s`"),
            (
                json!({ "schedule": long }),
                "`retry.schedule`: a schedule has at most 50 waits, this one has 51",
            ),
            (
                json!({ "schedule": ["5s", "5"] }),
                "`retry.schedule[1]`: `5` has a number without a unit: add ms, s, m, h or d",
            ),
            (json!({ "schedule": ["0s"] }), "`retry.schedule[0]`: `0s` does not lie between 1ms and 30d"),
            (json!({ "window": "0s" }), "`retry.window`: `0s` does not lie between 1s and 365d"),
            (
                json!({ "maxRetryAfter": "31d" }),
                "`retry.maxRetryAfter`: `31d` does not lie between 0s and 30d",
            ),
            (json!({ "clientErrorTries": 0 }), "`retry.clientErrorTries`: `0` does not lie between 1 and 50"),
            (
                json!({ "clientErrorTries": 51 }),
                "`retry.clientErrorTries`: `51` does not lie between 1 and 50",
            ),
            (json!({ "windows": "1h" }), "unknown field `retry.windows`"),
        ] {
            assert_eq!(RetrySettings::parse(written).unwrap_err().to_string(), message);
        }
        let near = RetrySettings::parse(json!({ "windows": "1h" })).unwrap_err().hint();
        assert_eq!(near.as_deref(), Some("did you mean `retry.window`?"));
    }
}
