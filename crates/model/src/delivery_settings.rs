//! Where a job's result goes (contract §1.4).

use std::fmt;

use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::destination::DestinationName;
use crate::failure_alert::AlertRoute;
use crate::fields::{Fields, kind_of};
use crate::ladder::{Acknowledge, LadderPlan};
use crate::webhook_url::WebhookUrl;

/// Where a job's result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// The way.
    pub mode: DeliveryMode,
    /// Whether the run counts as completed even if the result does not arrive.
    pub best_effort: bool,
    /// Whether a result is sent that came after its run had been given up.
    pub late_results: bool,
    /// Where it is told that the job failed, where its rules of alerts name no route.
    pub failure_destination: Option<AlertRoute>,
    /// How somebody is to acknowledge a result, where somebody must.
    pub acknowledge: Option<Acknowledge>,
    /// Where an announced result is posted to besides, without the run's completion waiting for it.
    pub completion: Option<WebhookUrl>,
}

/// The way a result takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryMode {
    /// It stays in the run history.
    None,
    /// To a chat channel.
    Announce(AnnounceTarget),
    /// As a signed POST to each of these; there is at least one.
    Webhook(Vec<WebhookTarget>),
}

/// One receiver of a job's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookTarget {
    /// This address, with the gateway's defaults.
    Url(WebhookUrl),
    /// The destination of this name.
    Destination(DestinationName),
}

/// How many receivers one job may have.
const MOST_TARGETS: usize = 16;

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
        Self {
            mode: DeliveryMode::None,
            best_effort: false,
            late_results: false,
            failure_destination: None,
            acknowledge: None,
            completion: None,
        }
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
            DeliveryMode::Webhook(targets) => match targets.as_slice() {
                [only] => out.extend([only.member(mask)]),
                several => {
                    let several: Vec<Value> = several
                        .iter()
                        .map(|target| Value::Object(Map::from_iter([target.member(mask)])))
                        .collect();
                    out.insert("targets".to_owned(), json!(several));
                }
            },
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
        if self.late_results {
            out.insert("lateResults".to_owned(), json!(true));
        }
        if let Some(route) = &self.failure_destination {
            out.insert("failureDestination".to_owned(), route.to_json(mask));
        }
        if let Some(acknowledge) = &self.acknowledge {
            out.insert("acknowledge".to_owned(), acknowledge.to_json(mask));
        }
        if let Some(url) = &self.completion {
            let to = if mask { url.to_string() } else { url.expose().to_owned() };
            out.insert("completionDestination".to_owned(), json!({ "mode": "webhook", "to": to }));
        }
        Value::Object(out)
    }

    /// The ladder of the delivery to one of the receivers. Each is asked by itself; who is asked next is the first one's
    /// to say, so that nobody gets it twice.
    pub(crate) fn ladder(&self, is_first: bool) -> Option<LadderPlan> {
        let Acknowledge { ask, then } = self.acknowledge.as_ref()?;
        let then = if is_first { then.clone() } else { Vec::new() };
        Some(LadderPlan { then, ask: Some(ask.clone()) })
    }

    /// The receivers as events name them: `to` or `destination`, or `targets` where there are several.
    pub(crate) fn intended_json(&self) -> Value {
        let Value::Object(mut members) = self.to_json(true) else { unreachable!("settings are an object") };
        members.retain(|key, _| matches!(key.as_str(), "to" | "destination" | "targets"));
        Value::Object(members)
    }

    /// What OpenClaw shows of a route: `webhook:<url>`, `announce:<channel>`, `not requested`.
    pub fn preview(&self) -> (String, &'static str) {
        match &self.mode {
            DeliveryMode::None => ("not requested".to_owned(), "not requested"),
            DeliveryMode::Webhook(targets) => {
                let shown: Vec<String> = targets.iter().map(WebhookTarget::to_string).collect();
                (format!("webhook:{}", shown.join(", ")), "webhook")
            }
            DeliveryMode::Announce(target) => {
                let channel = target.channel.as_deref().unwrap_or("last");
                let to = target.to.as_deref().map(|to| format!(":{to}")).unwrap_or_default();
                (format!("announce:{channel}{to}"), "announce")
            }
        }
    }

    pub(crate) fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("delivery", value)?;
        let mode = fields.text("mode")?;
        let channel = fields.text("channel")?.map(|channel| channel.trim().to_lowercase());
        let to = fields.text("to")?.map(|to| to.trim().to_owned());
        let account_id = fields.text("accountId")?;
        let thread_id = thread(&mut fields)?;
        let destination = fields.text("destination")?;
        let targets = fields.value("targets");
        let best_effort = fields.flag("bestEffort")?.unwrap_or(false);
        let late_results = fields.flag("lateResults")?.unwrap_or(false);
        let failure_destination =
            fields.value("failureDestination").map(AlertRoute::parse_failure_destination).transpose()?;
        let failure_destination = failure_destination.filter(|route| !route.is_empty());
        let acknowledge = fields.value("acknowledge").map(Acknowledge::parse).transpose()?;
        let completion = fields.value("completionDestination").map(completion).transpose()?;
        fields.close(&[])?;
        let target = AnnounceTarget { channel, to, account_id, thread_id };
        let mode = mode.map(|mode| mode.trim().to_lowercase());
        if mode.as_deref() != Some("webhook") {
            for (key, given) in [("destination", destination.is_some()), ("targets", targets.is_some())] {
                if given {
                    let why = "only delivery.mode `webhook` has this field";
                    return Err(DefinitionError::invalid(format!("delivery.{key}"), why));
                }
            }
        }
        let mode = match mode.as_deref() {
            None => return Err(DefinitionError::Missing { field: "delivery.mode".to_owned() }),
            Some("none") => without(&target, "none", true).map(|()| DeliveryMode::None)?,
            Some("announce" | "deliver") => DeliveryMode::Announce(target),
            Some("webhook") => {
                without(&target, "webhook", false)?;
                DeliveryMode::Webhook(webhook_targets(target.to, destination, targets)?)
            }
            Some(other) => {
                let why = format!("`{other}` is not none, announce or webhook");
                return Err(DefinitionError::invalid("delivery.mode", why));
            }
        };
        if late_results && mode == DeliveryMode::None {
            let why = "delivery.mode `none` has no such field";
            return Err(DefinitionError::invalid("delivery.lateResults", why));
        }
        if acknowledge.is_some() && mode == DeliveryMode::None {
            let why = "delivery.mode `none` has no such field";
            return Err(DefinitionError::invalid("delivery.acknowledge", why));
        }
        if completion.is_some() && !matches!(mode, DeliveryMode::Announce(_)) {
            let why = "only delivery.mode `announce` has this field";
            return Err(DefinitionError::invalid("delivery.completionDestination", why));
        }
        Ok(Self { mode, best_effort, late_results, failure_destination, acknowledge, completion })
    }
}

impl WebhookTarget {
    /// Its member in the settings, or in one entry of `targets`.
    fn member(&self, mask: bool) -> (String, Value) {
        match self {
            Self::Url(url) if mask => ("to".to_owned(), json!(url.to_string())),
            Self::Url(url) => ("to".to_owned(), json!(url.expose())),
            Self::Destination(name) => ("destination".to_owned(), json!(name)),
        }
    }
}

impl fmt::Display for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Destination(name) => name.fmt(f),
        }
    }
}

/// The receivers: exactly one of `to`, `destination` and `targets` says who they are.
fn webhook_targets(
    to: Option<String>,
    destination: Option<String>,
    targets: Option<Value>,
) -> Result<Vec<WebhookTarget>, DefinitionError> {
    let entries = match (to, destination, targets) {
        (Some(to), None, None) => return Ok(vec![url_target("delivery.to", &to)?]),
        (None, Some(name), None) => return Ok(vec![named_target("delivery.destination", &name)?]),
        (None, None, Some(Value::Array(entries))) => entries,
        (None, None, Some(other)) => {
            let field = "delivery.targets".to_owned();
            return Err(DefinitionError::Type { field, expected: "a list", got: kind_of(&other) });
        }
        (None, None, None) => return Err(DefinitionError::Missing { field: "delivery.to".to_owned() }),
        _ => {
            let why = "give one of `to`, `destination` and `targets`, and not more";
            return Err(DefinitionError::invalid("delivery", why));
        }
    };
    if entries.is_empty() || entries.len() > MOST_TARGETS {
        let why = format!("must name 1 to {MOST_TARGETS} receivers, not {}", entries.len());
        return Err(DefinitionError::invalid("delivery.targets", why));
    }
    let mut read = Vec::with_capacity(entries.len());
    for entry in entries {
        let target = listed_target(entry)?;
        if read.contains(&target) {
            return Err(DefinitionError::invalid("delivery.targets", format!("names `{target}` twice")));
        }
        read.push(target);
    }
    Ok(read)
}

fn listed_target(entry: Value) -> Result<WebhookTarget, DefinitionError> {
    let mut fields = Fields::open("delivery.targets", entry)?;
    let (to, destination) = (fields.text("to")?, fields.text("destination")?);
    fields.close(&[])?;
    match (to, destination) {
        (Some(to), None) => url_target("delivery.targets.to", &to),
        (None, Some(name)) => named_target("delivery.targets.destination", &name),
        _ => Err(DefinitionError::invalid("delivery.targets", "each entry has either `to` or `destination`")),
    }
}

pub(crate) fn url_target(field: &str, to: &str) -> Result<WebhookTarget, DefinitionError> {
    let url = to.trim().parse();
    url.map(WebhookTarget::Url).map_err(|error| DefinitionError::Url { field: field.to_owned(), error })
}

pub(crate) fn named_target(field: &str, name: &str) -> Result<WebhookTarget, DefinitionError> {
    let name: Result<DestinationName, _> = name.trim().parse();
    name.map(WebhookTarget::Destination).map_err(|error| DefinitionError::invalid(field, error.to_string()))
}

/// The webhook beside an announcement.
fn completion(value: Value) -> Result<WebhookUrl, DefinitionError> {
    const FIELD: &str = "delivery.completionDestination";
    let mut fields = Fields::open(FIELD, value)?;
    let (mode, to) = (fields.text("mode")?, fields.text("to")?);
    fields.close(&[])?;
    if mode.is_some_and(|mode| mode.trim() != "webhook") {
        return Err(DefinitionError::invalid(format!("{FIELD}.mode"), "is `webhook`"));
    }
    let field = format!("{FIELD}.to");
    let to = to.ok_or_else(|| DefinitionError::Missing { field: field.clone() })?;
    to.trim().parse().map_err(|error| DefinitionError::Url { field, error })
}

fn thread(fields: &mut Fields) -> Result<Option<String>, DefinitionError> {
    match fields.value("threadId") {
        None => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(fields.wrong_type("threadId", "a text or a number", &other)),
    }
}

/// Refuses members that the mode does not have: they would be accepted and do nothing.
fn without(target: &AnnounceTarget, mode: &str, to_too: bool) -> Result<(), DefinitionError> {
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
            Err(DefinitionError::invalid(format!("delivery.{key}"), why))
        }
    }
}
