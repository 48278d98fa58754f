//! `clawhook cron backfill`: runs instants of the past after all.

use clap::Args;
use clawhook_model::UnixMs;
use serde_json::json;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::moment::Moment;
use crate::table::Column;
use crate::view::{self, BackfilledView};
use crate::{output, table};

/// The flags of `clawhook cron backfill`.
#[derive(Args)]
pub(super) struct BackfillArgs {
    /// The job's id
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// From then on: a time, or how long ago, such as `2h`
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    from: Moment,
    /// Up to then
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    to: Moment,
    /// Only show what would be run
    #[arg(long)]
    dry_run: bool,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 2] = [Column::whole("Due"), Column::whole("What")];

/// Has the instants run, or shows which they are.
pub(super) async fn run(client: &Client, args: &BackfillArgs, now: UnixMs) -> Result<(), Failure> {
    let (from, to) = (args.from.instant(now), args.to.instant(now));
    let request = json!({ "from": from.to_rfc3339(), "to": to.to_rfc3339(), "dryRun": args.dry_run });
    let answer = client.call(Call::post(["jobs", &args.id, "backfill"]).json(request)).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let BackfilledView { queued, already_ran, dry_run } = view::read(&answer)?;
    if queued.is_empty() && already_ran.is_empty() {
        output::message("note", &format!("the job was not due from {from} to {to}"));
        return Ok(());
    }
    let what = if dry_run { "would be run" } else { "queued" };
    let mut rows: Vec<Vec<String>> = queued.into_iter().map(|due| vec![due, what.to_owned()]).collect();
    rows.extend(already_ran.into_iter().map(|due| vec![due, "was run before".to_owned()]));
    // The instants are all of one form, so that their order as texts is theirs.
    rows.sort();
    Ok(output::data(&table::render(&COLUMNS, rows))?)
}
