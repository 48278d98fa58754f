//! `clawhook cron rm`.

use super::IdArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output;

/// Removes the job.
pub(super) async fn run(client: &Client, args: &IdArgs) -> Result<(), Failure> {
    let answer = client.call(Call::delete(["jobs", &args.id])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    Ok(output::data(&format!("removed: {}", output::printable(&args.id)))?)
}
