//! `clawhook cron status`.

use clap::Args;
use clawhook_model::UnixMs;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::NONE;
use crate::view::{self, StatusView};
use crate::{moment, output, table};

/// The flags of `clawhook cron status`.
#[derive(Args)]
pub(super) struct StatusArgs {
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// Shows the scheduler's part of the gateway's status.
pub(super) async fn run(client: &Client, args: &StatusArgs, now: UnixMs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["status"])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let status: StatusView = view::read(&answer)?;
    let next = status.jobs.next_run_at_ms.map_or_else(|| NONE.to_owned(), |next| moment::both(next, now));
    let facts = [
        ("schedules", if status.cron.enabled { "on" } else { "off (cron.enabled is false)" }.to_owned()),
        ("jobs", format!("{}, of which {} are enabled", status.jobs.total, status.jobs.enabled)),
        ("next run", next),
        ("running", format!("{} of at most {}", status.runs.running, status.runs.slots)),
        ("queued", status.runs.queued.to_string()),
        ("store", status.store.path),
    ];
    Ok(output::data(&table::facts(facts))?)
}

/// Tells whoever saved a job that it will not run by itself, where that is so.
pub(super) async fn warn_if_off(client: &Client) -> Result<(), Failure> {
    let status: StatusView = view::read(&client.call(Call::get(["status"])).await?)?;
    if !status.cron.enabled {
        output::message(
            "warning",
            "schedules are off (cron.enabled is false): the job is not run when it is due",
        );
    }
    Ok(())
}
