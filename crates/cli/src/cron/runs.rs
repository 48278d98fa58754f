//! `clawhook cron runs`.

use clap::Args;
use clawhook_model::UnixMs;

use super::follow;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::view::{self, RunView, RunsPage};
use crate::{moment, output, table};

/// The flags of `clawhook cron runs`.
#[derive(Args)]
pub(super) struct RunsArgs {
    /// Only those of this job
    #[arg(value_name = "ID")]
    job: Option<String>,
    /// Only those of this job, as OpenClaw spells it
    #[arg(long, value_name = "ID", conflicts_with = "job")]
    id: Option<String>,
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

/// How much of a result a line shows, in characters.
const LONGEST_EXCERPT: usize = 80;

const COLUMNS: [Column; 10] = [
    Column::whole("Run"),
    Column::cut("Job", 12),
    Column::optional("Began", 8, 2),
    Column::optional("Took", 6, 4),
    Column::whole("Status"),
    Column::cut("Completion", 10),
    Column::optional("Delivery", 13, 1),
    Column::optional("Tokens", 6, 5),
    Column::optional("Cost", 6, 6),
    Column::optional("Result", 16, 3),
];

/// Lists the runs, the newest first.
pub(super) async fn run(client: &Client, args: RunsArgs, now: UnixMs) -> Result<(), Failure> {
    let call = match args.job.or(args.id) {
        Some(id) => Call::get(["jobs", &id, "runs"]),
        None => Call::get(["runs"]),
    };
    let answer = client.call(call.query("limit", args.limit).maybe("offset", args.offset)).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: RunsPage = view::read(&answer)?;
    if page.entries.is_empty() {
        output::message("note", "no runs");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = page.entries.iter().map(|run| row(run, now)).collect();
    output::data(&table::render_used(&COLUMNS, &["Tokens", "Cost"], rows))?;
    page.page.note_rest(page.entries.len());
    Ok(())
}

fn row(run: &RunView, now: UnixMs) -> Vec<String> {
    let none = || NONE.to_owned();
    let began = run.run_at_ms.or(run.queued_at_ms);
    vec![
        run.run_id.clone(),
        if run.job_name.is_empty() { run.job_id.clone() } else { run.job_name.clone() },
        began.map_or_else(none, |began| moment::relative(began, now)),
        run.duration_ms.map_or_else(none, moment::length),
        follow::standing(run, now).unwrap_or_else(|| run.status.clone().unwrap_or_else(|| run.state.clone())),
        run.completion_status.clone().unwrap_or_else(none),
        run.delivery_status.clone().unwrap_or_else(none),
        run.usage.as_ref().map_or_else(none, |usage| usage.total_tokens.to_string()),
        run.cost_usd.map_or_else(none, view::dollars),
        run.error.as_deref().or(run.summary.as_deref()).map_or_else(none, excerpt),
    ]
}

/// The beginning of a result, for a line of a table; `--json` has it whole.
fn excerpt(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST_EXCERPT && line.len() == text.trim().len() {
        return line.to_owned();
    }
    let cut: String = line.chars().take(LONGEST_EXCERPT).collect();
    format!("{}…", cut.trim_end())
}
