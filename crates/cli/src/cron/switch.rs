//! `clawhook cron enable` and `clawhook cron disable`.

use clawhook_model::UnixMs;

use super::{IdArgs, show};
use crate::client::{Call, Client};
use crate::failure::Failure;

/// Switches the job on or off.
pub(super) async fn run(
    client: &Client,
    args: &IdArgs,
    verb: &'static str,
    now: UnixMs,
) -> Result<(), Failure> {
    let answer = client.call(Call::post(["jobs", &args.id, verb])).await?;
    show::saved(if verb == "enable" { "enabled" } else { "disabled" }, &answer, args.json, now)
}
