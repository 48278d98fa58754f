//! `clawhook destinations list`.

use clap::Args;
use clawhook_model::UnixMs;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::view::{self, DestinationView, DestinationsPage};
use crate::{moment, output, table};

/// The flags of `clawhook destinations list`.
#[derive(Args)]
pub(super) struct ListArgs {
    /// Those too that came about because a job names a URL
    #[arg(long)]
    all: bool,
    /// Only those to which nothing is sent
    #[arg(long)]
    halted: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Leave out so many first
    #[arg(long, value_name = "N")]
    offset: Option<u64>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 5] = [
    Column::whole("Name"),
    Column::cut("Standing", 8),
    Column::whole("Waiting"),
    Column::cut("Oldest due", 10),
    Column::optional("URL", 20, 1),
];

/// Lists the destinations, the named ones first.
pub(super) async fn run(client: &Client, args: ListArgs, now: UnixMs) -> Result<(), Failure> {
    let call = Call::get(["destinations"])
        .query("implicit", args.all)
        .query("halted", args.halted)
        .query("limit", args.limit)
        .maybe("offset", args.offset);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: DestinationsPage = view::read(&answer)?;
    if page.destinations.is_empty() {
        let none = match (args.halted, args.all) {
            (true, _) => "no destination is halted",
            (false, true) => "no destinations",
            (false, false) => "no named destinations; --all lists those too that jobs name by their URL",
        };
        output::message("note", none);
        return Ok(());
    }
    let rows = page.destinations.iter().map(|destination| row(destination, now)).collect();
    output::data(&table::render(&COLUMNS, rows))?;
    page.page.note_rest(page.destinations.len());
    Ok(())
}

fn row(destination: &DestinationView, now: UnixMs) -> Vec<String> {
    let due = destination.queue.next_at_ms;
    vec![
        destination.handle().to_owned(),
        destination.standing.text(),
        destination.queue.open().to_string(),
        due.map_or_else(|| NONE.to_owned(), |due| moment::relative(due, now)),
        destination.url.clone().unwrap_or_else(|| destination.target.clone()),
    ]
}
