//! `clawhook cron list`.

use clap::Args;
use clawhook_model::UnixMs;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::view::{self, JobView, JobsPage};
use crate::{moment, output, table};

/// The flags of `clawhook cron list`.
#[derive(Args)]
pub(super) struct ListArgs {
    /// The disabled ones too
    #[arg(long)]
    all: bool,
    /// Only those whose name or description holds this text
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
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

const COLUMNS: [Column; 9] = [
    Column::whole("ID"),
    Column::cut("Name", 12),
    Column::optional("Schedule", 14, 2),
    Column::cut("Next", 7),
    Column::optional("Last", 7, 3),
    Column::whole("Status"),
    Column::optional("Target", 8, 6),
    Column::optional("Delivery", 20, 4),
    Column::optional("Agent", 5, 5),
];

/// Lists the jobs, the one that is due next first.
pub(super) async fn run(client: &Client, args: ListArgs, now: UnixMs) -> Result<(), Failure> {
    let call = Call::get(["jobs"])
        .query("includeDisabled", args.all)
        .query("sortBy", "nextRunAtMs".to_owned())
        .maybe("query", args.query)
        .query("limit", args.limit)
        .maybe("offset", args.offset);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: JobsPage = view::read(&answer)?;
    if page.jobs.is_empty() {
        output::message(
            "note",
            if args.all { "no jobs" } else { "no enabled jobs; --all lists the others too" },
        );
        return Ok(());
    }
    let rows = page.jobs.iter().map(|job| row(job, now)).collect();
    output::data(&table::render(&COLUMNS, rows))?;
    page.page.note_rest(page.jobs.len());
    Ok(())
}

fn row(job: &JobView, now: UnixMs) -> Vec<String> {
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::relative(instant, now))
    };
    vec![
        job.id.clone(),
        job.title().to_owned(),
        job.schedule_text(),
        at(job.next_run_at_ms.filter(|_| job.enabled)),
        at(job.last_run_at_ms),
        job.status.clone(),
        job.session_target.clone(),
        job.delivery_text(),
        job.effective_agent_id.clone().unwrap_or_else(|| NONE.to_owned()),
    ]
}
