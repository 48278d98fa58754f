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
        let mut patch = self.definition.read();
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
        let limits = [
            ("maxConcurrent", self.clear_max_concurrent),
            ("perSecond", self.clear_per_second),
            ("timeout", self.clear_timeout),
        ];
        for (key, _) in limits.iter().filter(|(_, cleared)| *cleared) {
            patch.entry("limits").or_insert_with(|| json!({}))[*key] = Value::Null;
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
