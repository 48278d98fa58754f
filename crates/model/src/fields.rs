//! Reading a JSON object strictly: every field that is asked for becomes known, and what is left over is an error
//! that names it and the known field it most resembles.

use serde_json::{Map, Value};

use crate::definition_error::DefinitionError;

/// An object whose fields are taken one by one.
pub(crate) struct Fields {
    path: &'static str,
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Opens `value`, which stands at `path` (empty for the top).
    pub(crate) fn open(path: &'static str, value: Value) -> Result<Self, DefinitionError> {
        match value {
            Value::Object(left) => Ok(Self { path, left, known: Vec::new() }),
            other => Err(DefinitionError::Type {
                field: path.to_owned(),
                expected: "an object",
                got: kind_of(&other),
            }),
        }
    }

    /// The full name of a field, for messages.
    pub(crate) fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes a field; `null` counts as absent.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.left.remove(key).filter(|value| !value.is_null())
    }

    /// Takes a text; blank counts as absent.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<String>, DefinitionError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value {
            Value::String(text) if text.trim().is_empty() => Ok(None),
            Value::String(text) => Ok(Some(text)),
            other => Err(self.wrong_type(key, "a text", &other)),
        }
    }

    /// Takes a truth value; the texts `"true"` and `"false"` are taken too (contract §1.7).
    pub(crate) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, DefinitionError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(other) => Err(self.wrong_type(key, "true or false", &other)),
        }
    }

    /// Takes a whole number of at least 0.
    pub(crate) fn count(&mut self, key: &'static str) -> Result<Option<u64>, DefinitionError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_u64() {
            Some(count) => Ok(Some(count)),
            None => Err(self.wrong_type(key, "a whole number of at least 0", &value)),
        }
    }

    /// Takes a number of seconds of at least 0, in milliseconds.
    pub(crate) fn seconds(&mut self, key: &'static str) -> Result<Option<u64>, DefinitionError> {
        const EXPECTED: &str = "a number of seconds of at least 0";
        let Some(value) = self.value(key) else { return Ok(None) };
        if let Some(whole) = value.as_u64() {
            return match whole.checked_mul(1000) {
                Some(ms) => Ok(Some(ms)),
                None => Err(self.wrong_type(key, EXPECTED, &value)),
            };
        }
        match value.as_f64().map(|seconds| (seconds * 1000.0).round()) {
            // The bounds make the cast exact enough: a limit of 285,000 years needs no better.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded above and below"
            )]
            Some(ms) if (0.0..9e15).contains(&ms) => Ok(Some(ms as u64)),
            _ => Err(self.wrong_type(key, EXPECTED, &value)),
        }
    }

    /// Takes a list of texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> Result<Option<Vec<String>>, DefinitionError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(self.wrong_type(key, "a list of texts", &value)) };
        let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        match texts {
            Some(texts) => Ok(Some(texts)),
            None => Err(self.wrong_type(key, "a list of texts", &Value::Array(items))),
        }
    }

    /// The error for a field of the wrong type.
    pub(crate) fn wrong_type(&self, key: &str, expected: &'static str, got: &Value) -> DefinitionError {
        DefinitionError::Type { field: self.name(key), expected, got: kind_of(got) }
    }

    /// Ends the reading: a field that is left is an error. `later` names fields of OpenClaw that this version does
    /// not act on; they are refused as such, because a field that is accepted and does nothing is a trap.
    pub(crate) fn close(self, later: &[&'static str]) -> Result<(), DefinitionError> {
        let Some(key) = self.left.keys().next() else { return Ok(()) };
        let field = self.name(key);
        if later.contains(&key.as_str()) {
            return Err(DefinitionError::NotServed { field });
        }
        let near = self
            .known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(&known.to_lowercase(), &key.to_lowercase()), *known))
            .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
            .min();
        Err(DefinitionError::UnknownField { field, near: near.map(|(_, known)| self.name(known)) })
    }
}

/// What kind of JSON value this is, in words; never the value itself, which may be a secret or large.
pub(crate) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.len() <= 40 => format!("the text `{text}`"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
