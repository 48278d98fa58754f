//! What an operator says of a destination.

use serde_json::{Map, Value, json};

use super::limits::Limits;
use super::subscription::Subscription;
use crate::fields::Fields;
use crate::job_error::JobError;
use crate::webhook_url::WebhookUrl;

/// A destination as its operator defined it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationDefinition {
    /// Where requests go.
    pub url: WebhookUrl,
    /// How much is sent at once, and how fast.
    pub limits: Limits,
    /// Whether deliveries keep an order.
    pub order: Order,
    /// Whether a success without a text is sent too.
    pub send_empty: bool,
    /// Which events it is sent beside those that jobs send it.
    pub subscriptions: Vec<Subscription>,
}

/// Which deliveries wait for the one before them to be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// None: each goes as soon as it can.
    #[default]
    None,
    /// Those of one job.
    Job,
    /// All.
    Destination,
}

impl Order {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Job => "job",
            Self::Destination => "destination",
        }
    }
}

impl DestinationDefinition {
    /// Reads a definition; the name is not part of it.
    pub fn parse(value: Value) -> Result<Self, JobError> {
        let mut fields = Fields::open("", value)?;
        let url = fields.text("url")?.ok_or_else(|| JobError::Missing { field: "url".to_owned() })?;
        let url = url.parse().map_err(|error| JobError::Url { field: "url".to_owned(), error })?;
        let limits = fields.value("limits").map(Limits::parse).transpose()?.unwrap_or_default();
        let order = order(fields.text("order")?.as_deref())?;
        let send_empty = fields.flag("sendEmpty")?.unwrap_or(false);
        let subscriptions =
            fields.value("subscriptions").map(Subscription::parse_all).transpose()?.unwrap_or_default();
        fields.close(&[])?;
        Ok(Self { url, limits, order, send_empty, subscriptions })
    }

    /// The definition for people, secrets masked.
    pub fn to_json(&self) -> Value {
        self.json(&self.url.to_string())
    }

    /// The definition for the store, secrets included.
    pub fn to_stored_json(&self) -> Value {
        self.json(self.url.expose())
    }

    fn json(&self, url: &str) -> Value {
        let mut out = Map::new();
        out.insert("url".to_owned(), json!(url));
        if !self.limits.is_default() {
            out.insert("limits".to_owned(), self.limits.to_json());
        }
        if self.order != Order::None {
            out.insert("order".to_owned(), json!(self.order.as_str()));
        }
        if self.send_empty {
            out.insert("sendEmpty".to_owned(), json!(true));
        }
        if !self.subscriptions.is_empty() {
            let subscriptions: Vec<Value> = self.subscriptions.iter().map(Subscription::to_json).collect();
            out.insert("subscriptions".to_owned(), json!(subscriptions));
        }
        Value::Object(out)
    }
}

fn order(given: Option<&str>) -> Result<Order, JobError> {
    match given {
        None => Ok(Order::None),
        Some(text) => [Order::None, Order::Job, Order::Destination]
            .into_iter()
            .find(|order| order.as_str() == text.trim())
            .ok_or_else(|| JobError::invalid("order", format!("`{text}` is not none, job or destination"))),
    }
}
