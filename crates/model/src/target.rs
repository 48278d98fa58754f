//! Targets as users write them in lists: of the rungs of a ladder, and of second routes.

use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::delivery_settings::AnnounceTarget;
use crate::fields::{Fields, kind_of};
use crate::outbox::Target;

impl Target {
    /// Reads a target that stands in a list at `field`: a text is a URL or the name of a destination, an object has
    /// `to`, `destination`, or a place in a channel.
    pub fn parse(field: &'static str, value: Value) -> Result<Self, DefinitionError> {
        match value {
            Value::String(text) => {
                Self::parse_text(&text).map_err(|why| DefinitionError::invalid(field, why))
            }
            Value::Object(_) => Self::parse_object(field, value),
            other => Err(DefinitionError::Type {
                field: field.to_owned(),
                expected: "a URL, the name of a destination, or an object",
                got: kind_of(&other),
            }),
        }
    }

    /// Reads a URL or the name of a destination.
    pub fn parse_text(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if is_url(text) {
            return text
                .parse()
                .map(Self::Webhook)
                .map_err(|error: crate::WebhookUrlError| error.to_string());
        }
        text.parse().map(Self::Destination).map_err(|error: crate::DestinationNameError| error.to_string())
    }

    fn parse_object(field: &'static str, value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open(field, value)?;
        let (to, destination) = (fields.text("to")?, fields.text("destination")?);
        let place = AnnounceTarget {
            channel: fields.text("channel")?.map(|channel| channel.trim().to_lowercase()),
            to: to.clone().map(|to| to.trim().to_owned()),
            account_id: fields.text("accountId")?,
            thread_id: fields.text("threadId")?,
        };
        fields.close(&[])?;
        let elsewhere = place.account_id.is_some() || place.thread_id.is_some();
        match (to, destination, &place.channel) {
            (_, None, Some(_)) => Ok(Self::Announce(place)),
            (Some(to), None, None) if !elsewhere && is_url(to.trim()) => to
                .parse()
                .map(Self::Webhook)
                .map_err(|error| DefinitionError::Url { field: field.to_owned(), error }),
            (None, Some(name), None) if !elsewhere => {
                name.trim().parse().map(Self::Destination).map_err(|error: crate::DestinationNameError| {
                    DefinitionError::invalid(field, error.to_string())
                })
            }
            _ => {
                let why = "each entry is a URL (`to`), a `destination`, or a place in a `channel`";
                Err(DefinitionError::invalid(field, why))
            }
        }
    }

    /// Reads a list of targets, each once.
    pub(crate) fn parse_list(
        field: &'static str,
        value: Value,
        most: usize,
    ) -> Result<Vec<Self>, DefinitionError> {
        let Value::Array(entries) = value else {
            return Err(DefinitionError::Type {
                field: field.to_owned(),
                expected: "a list",
                got: kind_of(&value),
            });
        };
        if entries.len() > most {
            let why = format!("has {} entries, and at most {most} are served", entries.len());
            return Err(DefinitionError::invalid(field, why));
        }
        let mut read = Vec::with_capacity(entries.len());
        for entry in entries {
            let target = Self::parse(field, entry)?;
            if read.contains(&target) {
                return Err(DefinitionError::invalid(field, format!("names `{}` twice", target.shown())));
            }
            read.push(target);
        }
        Ok(read)
    }

    /// The target with every secret in it: for the store alone.
    pub fn to_stored_json(&self) -> Value {
        self.to_json(false)
    }

    /// Reads a target as the store wrote it.
    pub fn from_stored_json(value: Value) -> Result<Self, DefinitionError> {
        Self::parse("target", value)
    }

    pub(crate) fn to_json(&self, mask: bool) -> Value {
        match self {
            Self::Webhook(url) if mask => json!({ "to": url.to_string() }),
            Self::Webhook(url) => json!({ "to": url.expose() }),
            Self::Destination(name) => json!({ "destination": name }),
            Self::Announce(place) => {
                let mut out = Map::new();
                // A place without a channel of its own is the last one that was used.
                out.insert("channel".to_owned(), json!(place.channel.as_deref().unwrap_or("last")));
                for (key, value) in
                    [("to", &place.to), ("accountId", &place.account_id), ("threadId", &place.thread_id)]
                {
                    if let Some(value) = value {
                        out.insert(key.to_owned(), json!(value));
                    }
                }
                Value::Object(out)
            }
        }
    }

    /// The targets of a list as JSON.
    pub(crate) fn list_json(list: &[Self], mask: bool) -> Value {
        list.iter().map(|target| target.to_json(mask)).collect()
    }
}

/// Whether a text is meant as a URL.
pub(crate) fn is_url(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

/// Puts back, into what is written, each member that stands there as it was shown with its secrets masked.
pub(crate) fn keep_shown(new: &mut Value, shown: &Value, stored: &Value) {
    if new == shown {
        new.clone_from(stored);
        return;
    }
    if let (Value::Object(new), Value::Object(shown), Value::Object(stored)) = (new, shown, stored) {
        for (key, value) in new.iter_mut() {
            if let (Some(shown), Some(stored)) = (shown.get(key), stored.get(key)) {
                keep_shown(value, shown, stored);
            }
        }
    }
}
