//! `clawhook destinations pause` and `clawhook destinations resume`.

use clap::Args;
use serde_json::{Value, json};

use super::OneArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::view::{self, DestinationView};
use crate::{output, table};

/// The flags of `clawhook destinations pause`.
#[derive(Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Why, for whoever finds it paused
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Sends nothing more to the destination.
pub(super) async fn pause(client: &Client, args: &PauseArgs) -> Result<(), Failure> {
    let body = match &args.reason {
        Some(reason) => json!({ "reason": reason }),
        None => json!({}),
    };
    let answer = client.call(Call::post(["destinations", &args.one.name, "pause"]).json(body)).await?;
    shown(&answer, args.one.json)
}

/// Sends to the destination again.
pub(super) async fn resume(client: &Client, args: &OneArgs) -> Result<(), Failure> {
    let answer = client.call(Call::post(["destinations", &args.name, "resume"])).await?;
    shown(&answer, args.json)
}

fn shown(answer: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::json(answer)?);
    }
    let destination: DestinationView = view::read(answer)?;
    let facts = [
        ("destination", destination.handle().to_owned()),
        ("standing", destination.standing.text()),
        ("waiting", destination.queue.open().to_string()),
    ];
    Ok(output::data(&table::facts(facts))?)
}
