//! The flags that say what a destination is.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use clawhook_model::{BodyFormat, SignatureScheme, format_duration, parse_duration};
use serde_json::{Map, Value, json};

use super::header_flag::HeaderFlag;
use crate::document;
use crate::failure::Failure;

/// What a destination is, as it is typed.
#[derive(Args)]
#[group(multiple = true)]
pub(super) struct DefinitionFlags {
    /// Post to this address
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Let the address be on this machine or in a private network, and without https
    #[arg(long)]
    allow_private: bool,
    /// Send this header, `Name: value`, `Name: env:VARIABLE` or `Name: file:/PATH`; may be given several times
    #[arg(long = "header", value_name = "HEADER", value_parser = HeaderFlag::parse)]
    headers: Vec<HeaderFlag>,
    /// Send bodies of this shape
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(BodyFormat::NAMED.iter().map(BodyFormat::as_str)))]
    format: Option<String>,
    /// Sign by this scheme; may be given several times
    #[arg(long = "sign", value_name = "SCHEME", value_parser = PossibleValuesParser::new(SignatureScheme::ALL.map(SignatureScheme::as_str)))]
    schemes: Vec<String>,
    /// Sign with the secret that this file holds; `-` is standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Try a failed delivery again after these waits
    #[arg(long, value_name = "WAITS", value_delimiter = ',', value_parser = parse_duration)]
    retry: Vec<Duration>,
    /// How many tries it may refuse with a 4xx before the delivery is given up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    client_error_tries: Option<u32>,
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
    pub(super) fn read(&self) -> Result<Map<String, Value>, Failure> {
        let sections = [
            ("network", given([("allowPrivate", self.allow_private.then_some(json!(true)))])),
            ("headers", self.headers.iter().map(HeaderFlag::member).collect()),
            ("signing", self.signing()?),
            ("retry", self.retry()),
            ("limits", self.limits()),
        ];
        let mut definition = given([
            ("url", self.webhook.as_ref().map(|url| json!(url))),
            ("format", self.format.as_ref().map(|format| json!(format))),
            ("order", self.order.as_ref().map(|order| json!(order))),
            ("sendEmpty", self.send_empty.then_some(json!(true))),
        ]);
        for (name, section) in sections.into_iter().filter(|(_, section)| !section.is_empty()) {
            definition.insert(name.to_owned(), Value::Object(section));
        }
        Ok(definition)
    }

    fn signing(&self) -> Result<Map<String, Value>, Failure> {
        let secret = self.secret_file.as_deref().map(document::read_secret).transpose()?;
        Ok(given([
            ("schemes", (!self.schemes.is_empty()).then(|| json!(self.schemes))),
            ("secret", secret.map(Value::String)),
        ]))
    }

    fn retry(&self) -> Map<String, Value> {
        let waits: Vec<String> = self.retry.iter().copied().map(format_duration).collect();
        given([
            ("schedule", (!waits.is_empty()).then(|| json!(waits))),
            ("clientErrorTries", self.client_error_tries.map(|count| json!(count))),
        ])
    }

    fn limits(&self) -> Map<String, Value> {
        given([
            ("maxConcurrent", self.max_concurrent.map(|count| json!(count))),
            ("perSecond", self.per_second.map(|rate| json!(rate))),
            ("timeout", self.timeout.map(|timeout| json!(format_duration(timeout)))),
        ])
    }
}

/// The members that there are.
fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}
