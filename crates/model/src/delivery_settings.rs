//! Where a job's result goes (contract §1.4).

use serde_json::{Map, Value, json};

use crate::fields::Fields;
use crate::job_error::JobError;
use crate::webhook_url::WebhookUrl;

/// Where a job's result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// The way.
    pub mode: DeliveryMode,
    /// Whether the run counts as completed even if the result does not arrive.
    pub best_effort: bool,
}

/// The way a result takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryMode {
    /// It stays in the run history.
    None,
    /// To a chat channel.
    Announce(AnnounceTarget),
    /// As a signed POST to this address.
    Webhook(WebhookUrl),
}

/// A place in a chat channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnnounceTarget {
    /// The channel's id, or `last`.
    pub channel: Option<String>,
    /// The recipient.
    pub to: Option<String>,
    /// The account that sends.
    pub account_id: Option<String>,
    /// The thread or topic.
    pub thread_id: Option<String>,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self { mode: DeliveryMode::None, best_effort: false }
    }
}

impl DeliveryMode {
    /// The wire's name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Announce(_) => "announce",
            Self::Webhook(_) => "webhook",
        }
    }
}

impl DeliverySettings {
    /// The settings as JSON; with `mask`, the URL's query values are hidden.
    pub(crate) fn to_json(&self, mask: bool) -> Value {
        let mut out = Map::new();
        out.insert("mode".to_owned(), json!(self.mode.as_str()));
        match &self.mode {
            DeliveryMode::None => {}
            DeliveryMode::Webhook(url) => {
                let shown = if mask { url.to_string() } else { url.expose().to_owned() };
                out.insert("to".to_owned(), json!(shown));
            }
            DeliveryMode::Announce(target) => {
                let members = [
                    ("channel", &target.channel),
                    ("to", &target.to),
                    ("accountId", &target.account_id),
                    ("threadId", &target.thread_id),
                ];
                for (key, value) in members {
                    if let Some(value) = value {
                        out.insert(key.to_owned(), json!(value));
                    }
                }
            }
        }
        if self.best_effort {
            out.insert("bestEffort".to_owned(), json!(true));
        }
        Value::Object(out)
    }

    /// What OpenClaw shows of a route: `webhook:<url>`, `announce:<channel>`, `not requested`.
    pub fn preview(&self) -> (String, &'static str) {
        match &self.mode {
            DeliveryMode::None => ("not requested".to_owned(), "not requested"),
            DeliveryMode::Webhook(url) => (format!("webhook:{url}"), "webhook"),
            DeliveryMode::Announce(target) => {
                let channel = target.channel.as_deref().unwrap_or("last");
                let to = target.to.as_deref().map(|to| format!(":{to}")).unwrap_or_default();
                (format!("announce:{channel}{to}"), "announce")
            }
        }
    }

    pub(crate) fn parse(value: Value) -> Result<Self, JobError> {
        let mut fields = Fields::open("delivery", value)?;
        let mode = fields.text("mode")?;
        let channel = fields.text("channel")?.map(|channel| channel.trim().to_lowercase());
        let to = fields.text("to")?.map(|to| to.trim().to_owned());
        let account_id = fields.text("accountId")?;
        let thread_id = thread(&mut fields)?;
        let best_effort = fields.flag("bestEffort")?.unwrap_or(false);
        fields.close(&["completionDestination", "failureDestination"])?;
        let target = AnnounceTarget { channel, to, account_id, thread_id };
        let mode = match mode.as_deref().map(|mode| mode.trim().to_lowercase()).as_deref() {
            None => return Err(JobError::Missing { field: "delivery.mode".to_owned() }),
            Some("none") => without(&target, "none", true).map(|()| DeliveryMode::None)?,
            Some("announce" | "deliver") => DeliveryMode::Announce(target),
            Some("webhook") => {
                without(&target, "webhook", false)?;
                let to = target.to.ok_or_else(|| JobError::Missing { field: "delivery.to".to_owned() })?;
                let url =
                    to.parse().map_err(|error| JobError::Url { field: "delivery.to".to_owned(), error })?;
                DeliveryMode::Webhook(url)
            }
            Some(other) => {
                let why = format!("`{other}` is not none, announce or webhook");
                return Err(JobError::invalid("delivery.mode", why));
            }
        };
        Ok(Self { mode, best_effort })
    }
}

fn thread(fields: &mut Fields) -> Result<Option<String>, JobError> {
    match fields.value("threadId") {
        None => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(fields.wrong_type("threadId", "a text or a number", &other)),
    }
}

/// Refuses members that the mode does not have: they would be accepted and do nothing.
fn without(target: &AnnounceTarget, mode: &str, to_too: bool) -> Result<(), JobError> {
    let members = [
        ("channel", target.channel.is_some()),
        ("accountId", target.account_id.is_some()),
        ("threadId", target.thread_id.is_some()),
        ("to", to_too && target.to.is_some()),
    ];
    match members.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((key, _)) => {
            let why = format!("delivery.mode `{mode}` has no such field");
            Err(JobError::invalid(format!("delivery.{key}"), why))
        }
    }
}
