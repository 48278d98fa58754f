//! `clawhook cron ledger`: what became of each due instant of a job.

use clap::Args;
use clawhook_model::UnixMs;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::view::{self, OccurrenceView, Occurrences};
use crate::{moment, output, table};

/// The flags of `clawhook cron ledger`.
#[derive(Args)]
pub(super) struct LedgerArgs {
    /// The job's id
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// At most so many, the newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 5] = [
    Column::whole("Due"),
    Column::whole("Outcome"),
    Column::cut("Reason", 16),
    Column::optional("Recorded", 8, 2),
    Column::optional("Run", 36, 1),
];

/// Shows the ledger.
pub(super) async fn run(client: &Client, args: &LedgerArgs, now: UnixMs) -> Result<(), Failure> {
    let call = Call::get(["jobs", &args.id, "occurrences"]).query("limit", args.limit);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let Occurrences { occurrences } = view::read(&answer)?;
    if occurrences.is_empty() {
        output::message("note", "the job has not been due yet");
        return Ok(());
    }
    let rows = occurrences.into_iter().map(|occurrence| row(occurrence, now)).collect();
    Ok(output::data(&table::render(&COLUMNS, rows))?)
}

fn row(occurrence: OccurrenceView, now: UnixMs) -> Vec<String> {
    let none = || NONE.to_owned();
    vec![
        occurrence.due_at_ms.to_string(),
        occurrence.outcome,
        occurrence.reason.unwrap_or_else(none),
        occurrence.recorded_at_ms.map_or_else(none, |recorded| moment::relative(recorded, now)),
        occurrence.run_id.unwrap_or_else(none),
    ]
}
