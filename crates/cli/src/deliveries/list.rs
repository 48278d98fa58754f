//! `clawhook deliveries list`.

use clap::Args;
use clawhook_model::UnixMs;

use super::range_flags::RangeArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::view::{self, DeliveriesPage, DeliveryView};
use crate::{moment, output, table};

/// The flags of `clawhook deliveries list`.
#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// Only of this run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Leave out so many first
    #[arg(long, value_name = "N")]
    offset: Option<u64>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 8] = [
    Column::whole("ID"),
    Column::whole("State"),
    Column::cut("Tries", 5),
    Column::cut("Target", 20),
    Column::optional("Made", 8, 2),
    Column::optional("Next", 6, 1),
    Column::optional("Reason", 16, 3),
    Column::optional("Job", 36, 4),
];

/// Lists them.
pub(super) async fn run(client: &Client, args: ListArgs, now: UnixMs) -> Result<(), Failure> {
    let RangeArgs { destination, job, state, cause, since, until } = args.range;
    let ms = |instant: UnixMs| u64::try_from(instant.as_millis()).unwrap_or(0);
    let call = Call::get(["deliveries"])
        .maybe("destination", destination)
        .maybe("jobId", job)
        .maybe("runId", args.run)
        .maybe("state", state)
        .maybe("cause", cause)
        .maybe("sinceMs", since.map(|since| ms(since.instant(now))))
        .maybe("untilMs", until.map(|until| ms(until.instant(now))))
        .query("limit", args.limit)
        .maybe("offset", args.offset);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: DeliveriesPage = view::read(&answer)?;
    if page.deliveries.is_empty() {
        output::message("note", "no deliveries");
        return Ok(());
    }
    let rows = page.deliveries.iter().map(|delivery| row(delivery, now)).collect();
    output::data(&table::render(&COLUMNS, rows))?;
    page.page.note_rest(page.deliveries.len());
    Ok(())
}

fn row(delivery: &DeliveryView, now: UnixMs) -> Vec<String> {
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::relative(instant, now))
    };
    vec![
        delivery.id.clone(),
        delivery.state.clone(),
        delivery.tries().to_string(),
        delivery.target.clone(),
        at(delivery.created_at_ms),
        at(delivery.next_at_ms),
        reason(delivery),
        delivery.job_id.clone(),
    ]
}

/// Why it stands where it stands; where the cause is not the receiver's, that is said first.
fn reason(delivery: &DeliveryView) -> String {
    let reason = delivery.reason.clone().unwrap_or_else(|| NONE.to_owned());
    match delivery.cause.as_deref() {
        None | Some("receiver") => reason,
        Some(cause) => format!("{cause}: {reason}"),
    }
}
