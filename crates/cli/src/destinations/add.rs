//! `clawhook destinations add`.

use std::path::PathBuf;

use clap::Args;
use clawhook_model::UnixMs;
use serde_json::{Value, json};

use super::definition_flags::DefinitionFlags;
use super::{misuse, show};
use crate::client::{Call, Client};
use crate::document;
use crate::failure::Failure;

/// The flags of `clawhook destinations add`.
#[derive(Args)]
pub(super) struct AddArgs {
    /// What jobs are to call it
    #[arg(value_name = "NAME", required_unless_present = "file")]
    name: Option<String>,
    /// Take the definition's JSON from this file as it is; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "DefinitionFlags")]
    file: Option<PathBuf>,
    #[command(flatten)]
    definition: DefinitionFlags,
    /// Print the API's JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl AddArgs {
    /// The new destination as the API's JSON.
    pub(super) fn definition(&self) -> Result<Value, Failure> {
        let mut definition = match &self.file {
            Some(file) => document::read(file)?,
            None => Value::Object(self.definition.read()?),
        };
        if self.file.is_none() && definition.get("url").is_none() {
            return Err(misuse("add", "a destination needs an address: --webhook, or --file with its `url`"));
        }
        if let (Some(name), Some(members)) = (&self.name, definition.as_object_mut()) {
            if members.get("name").is_some_and(|given| given != name) {
                return Err(misuse("add", "the file gives the destination another name"));
            }
            members.insert("name".to_owned(), json!(name));
        }
        Ok(definition)
    }
}

/// Adds the destination.
pub(super) async fn run(client: &Client, definition: Value, json: bool, now: UnixMs) -> Result<(), Failure> {
    let answer = client.call(Call::post(["destinations"]).json(definition)).await?;
    show::saved("added", &answer, json, now)
}
