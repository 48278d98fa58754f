//! The flags that say what a destination is.

use std::time::Duration;

use clap::Args;
use clawhook_model::{format_duration, parse_duration};
use serde_json::{Map, Value, json};

/// What a destination is, as it is typed.
#[derive(Args)]
#[group(multiple = true)]
pub(super) struct DefinitionFlags {
    /// Post to this address
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// At most so many requests at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_concurrent: Option<u32>,
    /// At most so many requests a second, on average
    #[arg(long, value_name = "RATE")]
    per_second: Option<f64>,
    /// How long one request may take, the answer included
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Which deliveries wait for the one before them to be settled
    #[arg(long, value_name = "ORDER", value_parser = ["none", "job", "destination"])]
    order: Option<String>,
    /// Send a success without a text too
    #[arg(long)]
    send_empty: bool,
}

impl DefinitionFlags {
    /// The part of a definition that is given, as the API's JSON.
    pub(super) fn read(&self) -> Map<String, Value> {
        let mut definition = Map::new();
        if let Some(url) = &self.webhook {
            definition.insert("url".to_owned(), json!(url));
        }
        let limits = self.limits();
        if !limits.is_empty() {
            definition.insert("limits".to_owned(), Value::Object(limits));
        }
        if let Some(order) = &self.order {
            definition.insert("order".to_owned(), json!(order));
        }
        if self.send_empty {
            definition.insert("sendEmpty".to_owned(), json!(true));
        }
        definition
    }

    fn limits(&self) -> Map<String, Value> {
        let members = [
            ("maxConcurrent", self.max_concurrent.map(|count| json!(count))),
            ("perSecond", self.per_second.map(|rate| json!(rate))),
            ("timeout", self.timeout.map(|timeout| json!(format_duration(timeout)))),
        ];
        let given = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        given.collect()
    }
}
