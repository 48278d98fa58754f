//! `clawhook destinations rotate-secret`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clawhook_model::{UnixMs, format_duration, parse_duration};
use serde_json::{Value, json};

use super::OneArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::view::{self, RotatedView};
use crate::{document, moment, output, table};

/// The flags of `clawhook destinations rotate-secret`.
#[derive(Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    pub(super) one: OneArgs,
    /// Take the new secret from this file, instead of having one made; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "private_key")]
    secret_file: Option<PathBuf>,
    /// Have another ed25519 private key made, instead of another secret
    #[arg(long)]
    private_key: bool,
    /// How long the old key signs too
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    overlap: Duration,
}

impl RotateArgs {
    /// What is asked for, as the API's JSON.
    pub(super) fn request(&self) -> Result<Value, Failure> {
        let overlap = format_duration(self.overlap);
        Ok(match &self.secret_file {
            Some(file) => json!({ "secret": document::read_secret(file)?, "overlap": overlap }),
            None if self.private_key => json!({ "privateKey": true, "overlap": overlap }),
            None => json!({ "secret": true, "overlap": overlap }),
        })
    }
}

/// Gives the destination another key and says what is to be done at the receiver.
pub(super) async fn run(client: &Client, args: &OneArgs, request: Value, now: UnixMs) -> Result<(), Failure> {
    let call = Call::post(["destinations", &args.name, "rotate-secret"]).json(request);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let rotated: RotatedView = view::read(&answer)?;
    let mut facts = vec![("rotated", args.name.clone())];
    facts.extend(rotated.secret.as_ref().map(|secret| ("secret", secret.clone())));
    facts.extend(rotated.public_key.as_ref().map(|key| ("public key", key.clone())));
    facts.push(("old key signs until", moment::both(rotated.overlap_until_ms, now)));
    output::data(&table::known_facts(facts))?;
    output::message("note", what_to_do(&rotated));
    Ok(())
}

fn what_to_do(rotated: &RotatedView) -> &'static str {
    match (&rotated.secret, &rotated.public_key) {
        (Some(_), _) => {
            "the secret is shown this once; give it to the receiver before the old one signs no more"
        }
        (None, Some(_)) => "give the public key to the receiver before the old key signs no more",
        (None, None) => "give the new secret to the receiver before the old one signs no more",
    }
}
