//! `clawhook destinations edit`.

use std::path::PathBuf;

use clap::Args;
use clawhook_model::UnixMs;
use serde_json::{Map, Value, json};

use super::definition_flags::DefinitionFlags;
use super::{misuse, show};
use crate::client::{Call, Client};
use crate::document;
use crate::failure::Failure;

/// The flags of `clawhook destinations edit`.
#[derive(Args)]
pub(super) struct EditArgs {
    /// The destination's name, or its handle `dst_…`
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// Take the changes' JSON from this file as it is; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["DefinitionFlags", "ClearFlags"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    definition: DefinitionFlags,
    #[command(flatten)]
    clear: ClearFlags,
    /// Change it only if this is still its revision
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// What is to be taken away.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "Take away")]
struct ClearFlags {
    /// Do not let the address be private
    #[arg(long, conflicts_with = "allow_private")]
    no_allow_private: bool,
    /// Send this header no more; may be given several times
    #[arg(long = "clear-header", value_name = "NAME")]
    clear_headers: Vec<String>,
    /// Sign with the gateway's secret
    #[arg(long, conflicts_with = "secret_file")]
    clear_secret: bool,
    /// Try a failed delivery again when the gateway does
    #[arg(long, conflicts_with = "retry")]
    clear_retry: bool,
    /// Let it refuse as many tries with a 4xx as the gateway lets
    #[arg(long, conflicts_with = "client_error_tries")]
    clear_client_error_tries: bool,
    /// Let it have as many requests at once as the gateway gives
    #[arg(long, conflicts_with = "max_concurrent")]
    clear_max_concurrent: bool,
    /// Take the limit a second away
    #[arg(long, conflicts_with = "per_second")]
    clear_per_second: bool,
    /// Let it have the gateway's time for a request
    #[arg(long, conflicts_with = "timeout")]
    clear_timeout: bool,
    /// Do not send a success without a text
    #[arg(long, conflicts_with = "send_empty")]
    no_send_empty: bool,
}

impl EditArgs {
    /// The changes as the API's JSON.
    pub(super) fn patch(&self) -> Result<Value, Failure> {
        if let Some(file) = &self.file {
            return document::read(file);
        }
        let mut patch = self.definition.read()?;
        self.clear.put(&mut patch);
        if patch.is_empty() {
            return Err(misuse("edit", "there is nothing to change: name what is to be otherwise"));
        }
        Ok(Value::Object(patch))
    }
}

impl ClearFlags {
    /// `null` takes a field away.
    fn put(&self, patch: &mut Map<String, Value>) {
        let members = [
            ("network", "allowPrivate", self.no_allow_private),
            ("signing", "secret", self.clear_secret),
            ("retry", "schedule", self.clear_retry),
            ("retry", "clientErrorTries", self.clear_client_error_tries),
            ("limits", "maxConcurrent", self.clear_max_concurrent),
            ("limits", "perSecond", self.clear_per_second),
            ("limits", "timeout", self.clear_timeout),
        ];
        for (section, key, _) in members.into_iter().filter(|(_, _, cleared)| *cleared) {
            patch.entry(section).or_insert_with(|| json!({}))[key] = Value::Null;
        }
        for name in &self.clear_headers {
            patch.entry("headers").or_insert_with(|| json!({}))[name.to_ascii_lowercase()] = Value::Null;
        }
        if self.no_send_empty {
            patch.insert("sendEmpty".to_owned(), Value::Null);
        }
    }
}

/// Changes the destination.
pub(super) async fn run(client: &Client, args: &EditArgs, patch: Value, now: UnixMs) -> Result<(), Failure> {
    let call = Call::patch(["destinations", &args.name]).json(patch).maybe("expectedRevision", args.revision);
    let answer = client.call(call).await?;
    show::saved("changed", &answer, args.json, now)
}
