//! The filters that templates have beside those of Jinja.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::super::chat::escape_mrkdwn;
use super::super::cut::{cut, one_line};
use super::super::percent;
use super::output::{JsonText, json_of, text_of};

/// The longest form of a date.
const MAX_DATE_FORM: usize = 100;

/// Adds ours; takes away those that pretend to switch escaping, and what shows the inside of the engine.
pub(super) fn install(environment: &mut Environment<'_>) {
    for name in ["safe", "escape", "e", "pprint"] {
        environment.remove_filter(name);
    }
    for name in ["safe", "escaped", "filter", "test"] {
        environment.remove_test(name);
    }
    for name in ["debug", "namespace"] {
        environment.remove_global(name);
    }
    environment.add_filter("tojson", |state: &State<'_, '_>, value: &Value| -> Result<Value, Error> {
        let json = charged(state, value, json_of(value)?)?;
        Ok(Value::from_object(JsonText(json.into_owned())))
    });
    environment.add_filter("truncate", truncate);
    environment.add_filter("date", date);
    environment.add_filter("one_line", |state: &State<'_, '_>, value: &Value| -> Result<String, Error> {
        let text = charged(state, value, text_of(value)?)?;
        Ok(one_line(&text))
    });
    environment.add_filter("mrkdwn", |state: &State<'_, '_>, value: &Value| -> Result<String, Error> {
        let text = charged(state, value, text_of(value)?)?;
        Ok(escape_mrkdwn(&text))
    });
    environment.add_filter("urlencode", |state: &State<'_, '_>, value: &Value| -> Result<String, Error> {
        let text = charged(state, value, text_of(value)?)?;
        Ok(percent::encode(&text, percent::is_unreserved))
    });
}

/// `{{ text | truncate(200) }}`: at most so many characters, the last of them an ellipsis where something is cut.
fn truncate(state: &State<'_, '_>, value: &Value, characters: usize) -> Result<String, Error> {
    Ok(cut(&charged(state, value, text_of(value)?)?, characters, |_| 1))
}

/// The engine charges for the texts that filters take; writing a list or an object as text is charged here.
fn charged<'a>(state: &State<'_, '_>, value: &Value, written: Cow<'a, str>) -> Result<Cow<'a, str>, Error> {
    const BYTES_PER_FUEL: usize = 4;
    if value.as_str().is_none() {
        state.consume_fuel((written.len() / BYTES_PER_FUEL) as u64)?;
    }
    Ok(written)
}

/// `{{ event.runAtMs | date }}` or `{{ event.runAtMs | date("%d %B %Y, %H:%M", tz="Europe/Vienna") }}`.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands filters their options by value")]
fn date(value: &Value, form: Option<&str>, options: Kwargs) -> Result<String, Error> {
    let zone: Option<&str> = options.get("tz")?;
    options.assert_all_used()?;
    if value.is_undefined() || value.is_none() {
        return Ok(String::new());
    }
    let instant = instant(value)?;
    let zone = match zone {
        Some(name) => {
            TimeZone::get(name).map_err(|_| invalid(format!("`{name}` is not a time zone that is known")))?
        }
        None => TimeZone::UTC,
    };
    let Some(form) = form else { return Ok(format!("{instant:.3}")) };
    if form.len() > MAX_DATE_FORM {
        return Err(invalid(format!("the form of a date has at most {MAX_DATE_FORM} bytes")));
    }
    let mut shown = String::new();
    BrokenDownTime::from(&instant.to_zoned_datetime(zone))
        .format(form, &mut shown)
        .map_err(|error| invalid(format!("`{form}` is not the form of a date: {error}")))?;
    Ok(shown)
}

fn instant(value: &Value) -> Result<Timestamp, Error> {
    let read = match value.as_str() {
        Some(text) => text.parse().ok(),
        None => value.as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
    };
    read.ok_or_else(|| {
        invalid("`date` takes milliseconds since the Unix epoch, or an instant in RFC 3339".to_owned())
    })
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}
