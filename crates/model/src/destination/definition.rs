//! What an operator says of a destination.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::format::BodyFormat;
use super::keys::{ReadSecret, SigningSettings};
use super::limits::Limits;
use super::network::{ClientCertificate, NetworkSettings};
use super::retry::RetrySettings;
use super::subscription::Subscription;
use super::{headers, network};
use crate::definition_error::DefinitionError;
use crate::fields::Fields;
use crate::secret::SecretSource;
use crate::webhook_url::WebhookUrl;

/// A destination as its operator defined it. What it leaves out is the gateway's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationDefinition {
    /// Where requests go.
    pub url: WebhookUrl,
    /// Headers that they carry, by their names in lower case.
    pub headers: BTreeMap<String, SecretSource>,
    /// What they are signed with.
    pub signing: SigningSettings,
    /// The shape of their bodies.
    pub format: BodyFormat,
    /// When a delivery that failed is tried again.
    pub retry: RetrySettings,
    /// How connections are made.
    pub network: NetworkSettings,
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
    /// Reads a definition as a user writes it; the name is not part of it.
    pub fn parse(value: Value) -> Result<Self, DefinitionError> {
        Self::read(value, SecretSource::parse)
    }

    /// Reads a definition as the store keeps it, or as a user wrote over what the store keeps.
    pub fn parse_stored(value: Value) -> Result<Self, DefinitionError> {
        Self::read(value, SecretSource::parse_stored)
    }

    fn read(value: Value, secret: ReadSecret) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("", value)?;
        let url = fields.text("url")?.ok_or_else(|| DefinitionError::Missing { field: "url".to_owned() })?;
        let definition = Self {
            url: url.parse().map_err(|error| DefinitionError::Url { field: "url".to_owned(), error })?,
            headers: match fields.value("headers") {
                Some(given) => headers::read(given, secret)?,
                None => BTreeMap::new(),
            },
            signing: match fields.value("signing") {
                Some(given) => SigningSettings::read(given, secret)?,
                None => SigningSettings::default(),
            },
            format: fields.value("format").map(BodyFormat::parse).transpose()?.unwrap_or_default(),
            retry: fields.value("retry").map(RetrySettings::parse).transpose()?.unwrap_or_default(),
            network: match fields.value("network") {
                Some(given) => NetworkSettings::read(given, secret)?,
                None => NetworkSettings::default(),
            },
            limits: fields.value("limits").map(Limits::parse).transpose()?.unwrap_or_default(),
            order: order(fields.text("order")?.as_deref())?,
            send_empty: fields.flag("sendEmpty")?.unwrap_or(false),
            subscriptions: match fields.value("subscriptions") {
                Some(given) => Subscription::parse_all(given)?,
                None => Vec::new(),
            },
        };
        fields.close(&[])?;
        Ok(definition)
    }

    /// The definition for people, secrets masked.
    pub fn to_json(&self) -> Value {
        self.json(&self.url.to_string(), SecretSource::to_json_masked)
    }

    /// The definition for the store. Secrets that a user wrote must have been sealed before.
    pub fn to_stored_json(&self) -> Value {
        self.json(self.url.expose(), SecretSource::to_stored_json)
    }

    fn json(&self, url: &str, shown: fn(&SecretSource) -> Value) -> Value {
        let mut out = Map::new();
        out.insert("url".to_owned(), json!(url));
        let sections = [
            ("headers", headers::to_json(&self.headers, shown)),
            ("signing", self.signing.to_json(shown)),
            ("retry", self.retry.to_json()),
            ("network", self.network.to_json(shown)),
            ("limits", self.limits.to_json()),
        ];
        let given = |section: &Value| section.as_object().is_some_and(|members| !members.is_empty());
        for (name, section) in sections.into_iter().filter(|(_, section)| given(section)) {
            out.insert(name.to_owned(), section);
        }
        if self.format != BodyFormat::default() {
            out.insert("format".to_owned(), self.format.to_json());
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

    /// The definition with every secret put through `map`, which is told the secret's field.
    pub fn try_map_secrets<E>(
        self,
        mut map: impl FnMut(&str, SecretSource) -> Result<SecretSource, E>,
    ) -> Result<Self, E> {
        let mut headers = BTreeMap::new();
        for (name, source) in self.headers {
            let source = map(&headers::field(&name), source)?;
            headers.insert(name, source);
        }
        let client = match self.network.client {
            None => None,
            Some(ClientCertificate { certificate, key }) => {
                Some(ClientCertificate { certificate, key: map(network::CLIENT_KEY, key)? })
            }
        };
        let signing = self.signing.try_map_secrets(&mut map)?;
        Ok(Self { headers, signing, network: NetworkSettings { client, ..self.network }, ..self })
    }
}

fn order(given: Option<&str>) -> Result<Order, DefinitionError> {
    match given {
        None => Ok(Order::None),
        Some(text) => [Order::None, Order::Job, Order::Destination]
            .into_iter()
            .find(|order| order.as_str() == text.trim())
            .ok_or_else(|| {
                DefinitionError::invalid("order", format!("`{text}` is not none, job or destination"))
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretText;

    fn full() -> Value {
        json!({
            "url": "https://example.com/hook?token=s3cret",
            "headers": { "authorization": { "env": "OPS_TOKEN" }, "x-team": "s3cret" },
            "signing": { "schemes": ["v1", "v1a"], "secret": "s3cret-and-long-enough" },
            "format": "slack",
            "retry": { "schedule": ["5s", "5m"], "clientErrorTries": 2 },
            "network": { "allowPrivate": true },
            "limits": { "maxConcurrent": 4 },
            "order": "job",
            "sendEmpty": true,
            "subscriptions": [{ "events": ["run.missed"] }],
        })
    }

    #[test]
    fn what_is_read_is_written_back_and_what_is_left_out_is_left_out() {
        let definition = DestinationDefinition::parse(full()).unwrap();
        assert_eq!(definition.to_stored_json(), full());
        let least = json!({ "url": "https://example.com/" });
        assert_eq!(DestinationDefinition::parse(least.clone()).unwrap().to_stored_json(), least);
    }

    #[test]
    fn i12_no_secret_is_shown() {
        let definition = DestinationDefinition::parse(full()).unwrap();
        let shown = definition.to_json();
        assert_eq!(
            shown["headers"]["authorization"],
            json!({ "env": "OPS_TOKEN" }),
            "a reference is no secret"
        );
        assert!(!shown.to_string().contains("s3cret") && !format!("{definition:?}").contains("s3cret"));
    }

    #[test]
    fn every_secret_is_mapped_under_the_name_of_its_field() {
        let mut fields = Vec::new();
        let mapped = DestinationDefinition::parse(full()).unwrap().try_map_secrets(|field, source| {
            fields.push(field.to_owned());
            Ok::<_, ()>(match source {
                SecretSource::Written(_) => {
                    SecretSource::Written(SecretText::from("other text, long".to_owned()))
                }
                other => other,
            })
        });
        assert_eq!(fields, ["headers.authorization", "headers.x-team", "signing.secret"]);
        assert!(!mapped.unwrap().to_stored_json()["signing"].to_string().contains("s3cret"));
    }

    #[test]
    fn what_may_not_be_set_is_refused_by_its_name() {
        for (change, why) in [
            (json!({ "headers": { "Host": "x" } }), "`Host` is a header that the gateway sets itself"),
            (
                json!({ "headers": { "webhook-id": "x" } }),
                "`webhook-id` is a header that the gateway sets itself",
            ),
            (json!({ "headers": { "a": "1", "A": "2" } }), "is given twice"),
            (json!({ "headers": { "a": "1\r\nhost: x" } }), "holds a line break"),
            (json!({ "signing": { "schemes": ["v2"] } }), "`v2` is not a signature scheme"),
            (json!({ "signing": { "secrets": "x" } }), "unknown field `signing.secrets`"),
            (json!({ "secret": "x" }), "unknown field `secret`"),
        ] {
            let mut value = json!({ "url": "https://example.com/" });
            value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let error = DestinationDefinition::parse(value).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
