//! A header as it is typed: `Name: value`, or a reference to where its value is found.

use serde_json::{Value, json};

/// A header that a destination's requests carry.
#[derive(Clone)]
pub(super) struct HeaderFlag {
    name: String,
    /// The value, or the reference, as the API's JSON.
    value: Value,
}

impl HeaderFlag {
    /// Reads `Name: value`, `Name: env:VARIABLE` or `Name: file:/PATH`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected `Name: value`, `Name: env:VARIABLE` or `Name: file:/PATH`";
        let (name, value) = text.split_once(':').ok_or(EXPECTED)?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || value.is_empty() {
            return Err(EXPECTED);
        }
        let value = match value.split_once(':') {
            Some(("env", variable)) => json!({ "env": variable.trim() }),
            Some(("file", path)) => json!({ "file": path.trim() }),
            _ => json!(value),
        };
        Ok(Self { name: name.to_ascii_lowercase(), value })
    }

    /// The header as a member of a definition's `headers`.
    pub(super) fn member(&self) -> (String, Value) {
        (self.name.clone(), self.value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_value_or_says_where_its_value_is_found() {
        for (text, name, value) in [
            ("X-Team: ops: night", "x-team", json!("ops: night")),
            ("Authorization:env:OPS_TOKEN", "authorization", json!({ "env": "OPS_TOKEN" })),
            ("x-key: file:/run/secrets/ops", "x-key", json!({ "file": "/run/secrets/ops" })),
            ("x-at: http://h", "x-at", json!("http://h")),
        ] {
            let header = HeaderFlag::parse(text).ok().unwrap();
            assert_eq!(header.member(), (name.to_owned(), value), "{text}");
        }
        for text in ["s3cret", "x-team:", ": s3cret", "x-team:  "] {
            assert!(HeaderFlag::parse(text).is_err(), "{text}");
        }
    }
}
