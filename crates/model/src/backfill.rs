//! Backfills: instants of the past that are to be run after all.

use serde_json::Value;

use crate::at::parse_at;
use crate::definition_error::DefinitionError;
use crate::fields::Fields;
use crate::time::{MAX_DATE_MS, UnixMs};

/// A backfill as a person asked for it: a stretch of time, both of whose ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillRequest {
    /// Its beginning.
    pub from: UnixMs,
    /// Its end, not before the beginning.
    pub to: UnixMs,
    /// Whether it is only to be told what would be run.
    pub dry_run: bool,
}

impl BackfillRequest {
    /// The most instants that one backfill may have.
    pub const MOST: usize = 1000;

    /// Reads a request: `{"from": "2026-02-18T00:00:00Z", "to": 1771459200000, "dryRun": true}`.
    pub fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("", value)?;
        let (from, to) = (instant(&mut fields, "from")?, instant(&mut fields, "to")?);
        let dry_run = fields.flag("dryRun")?.unwrap_or(false);
        fields.close(&[])?;
        if to < from {
            return Err(DefinitionError::invalid("to", format!("{to} lies before `from`, {from}")));
        }
        Ok(Self { from, to, dry_run })
    }
}

/// An instant: a text as in a schedule's `at`, or milliseconds since the epoch.
fn instant(fields: &mut Fields, key: &'static str) -> Result<UnixMs, DefinitionError> {
    let value = fields.value(key).ok_or_else(|| DefinitionError::Missing { field: key.to_owned() })?;
    match &value {
        Value::String(text) => parse_at(text).map_err(|_| {
            let shown: String = text.chars().take(100).collect();
            let why = format!("`{shown}` is no time such as 2026-02-18T14:00:00Z");
            DefinitionError::invalid(key, why)
        }),
        Value::Number(number) => match number.as_i64() {
            Some(ms) if (0..=MAX_DATE_MS).contains(&ms) => Ok(UnixMs::from_millis(ms)),
            _ => Err(DefinitionError::invalid(key, format!("`{number}` is not between 0 and {MAX_DATE_MS}"))),
        },
        other => Err(fields.wrong_type(key, "a time or milliseconds since the epoch", other)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stretch_is_given_in_either_form_of_time() {
        let request = BackfillRequest::parse(json!({ "from": "1970-01-01T00:00:01Z", "to": 2000 })).unwrap();
        let (from, to) = (UnixMs::from_millis(1000), UnixMs::from_millis(2000));
        assert_eq!(request, BackfillRequest { from, to, dry_run: false });
        let instant = json!({ "from": 1000, "to": 1000, "dryRun": true });
        assert!(BackfillRequest::parse(instant).unwrap().dry_run);
    }

    #[test]
    fn what_is_no_stretch_is_refused_with_the_value() {
        for (given, why) in [
            (json!({ "to": 1 }), "from"),
            (json!({ "from": 1 }), "to"),
            (json!({ "from": 2000, "to": 1000 }), "1970-01-01T00:00:01.000Z lies before `from`"),
            (json!({ "from": "yesterday", "to": 1 }), "`yesterday` is no time"),
            (json!({ "from": -5, "to": 1 }), "`-5` is not between 0"),
            (json!({ "from": true, "to": 1 }), "true"),
            (json!({ "from": 1, "to": 2, "dryrun": true }), "dryrun"),
        ] {
            let refused = BackfillRequest::parse(given).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
