//! `clawhook destinations rm`.

use super::OneArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output;

/// Removes the destination.
pub(super) async fn run(client: &Client, args: &OneArgs) -> Result<(), Failure> {
    let answer = client.call(Call::delete(["destinations", &args.name])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    Ok(output::data(&format!("removed: {}", output::printable(&args.name)))?)
}
