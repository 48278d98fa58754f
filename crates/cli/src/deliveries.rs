//! `clawhook deliveries`: what is carried where, and how that went.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_clock::Clock;
use clawhook_model::UnixMs;
use serde::Deserialize as _;
use serde_json::Value;

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;
use crate::table::{Column, NONE};
use crate::view::{self, AttemptView, DeliveriesPage, DeliveryView};
use crate::{moment, output, table};

/// The flags of `clawhook deliveries`.
#[derive(Args)]
pub(crate) struct DeliveriesArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: DeliveriesCommand,
}

#[derive(Subcommand)]
enum DeliveriesCommand {
    /// List deliveries, the newest first
    List(ListArgs),
    /// Show one delivery with all its attempts
    Show(OneArgs),
    /// Try again what was given up or waits, now
    Retry(OneArgs),
}

#[derive(Args)]
struct ListArgs {
    /// Only of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only of this run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Only in these states, parted by commas: pending, leased, waiting, delivered, dead, cancelled, suppressed
    #[arg(long, value_name = "STATES")]
    state: Option<String>,
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

#[derive(Args)]
struct OneArgs {
    /// The delivery's id, `dlv_…`
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command that was typed.
pub(crate) async fn run(
    args: DeliveriesArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    match args.command {
        DeliveriesCommand::List(args) => list(&client, args, clock.now()).await?,
        DeliveriesCommand::Show(args) => show(&client, &args, clock.now()).await?,
        DeliveriesCommand::Retry(args) => retry(&client, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, args: ListArgs, now: UnixMs) -> Result<(), Failure> {
    let call = Call::get(["deliveries"])
        .maybe("jobId", args.job)
        .maybe("runId", args.run)
        .maybe("state", args.state)
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
        delivery.reason.clone().unwrap_or_else(|| NONE.to_owned()),
        delivery.job_id.clone(),
    ]
}

async fn show(client: &Client, args: &OneArgs, now: UnixMs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["deliveries", &args.id])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let delivery: DeliveryView = view::read(&answer)?;
    let mut text = table::facts(facts(&delivery, now));
    let attempts = attempts(&delivery);
    if !attempts.is_empty() {
        const COLUMNS: [Column; 5] = [
            Column::whole("#"),
            Column::whole("Began"),
            Column::cut("Result", 12),
            Column::cut("Took", 6),
            Column::cut("Then", 20),
        ];
        text.push('\n');
        text.push_str(&table::render(&COLUMNS, attempts));
    }
    Ok(output::data(&text)?)
}

fn facts(delivery: &DeliveryView, now: UnixMs) -> Vec<(&'static str, String)> {
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::both(instant, now))
    };
    vec![
        ("id", delivery.id.clone()),
        ("state", delivery.state.clone()),
        ("reason", delivery.reason.clone().unwrap_or_else(|| NONE.to_owned())),
        ("target", delivery.target.clone()),
        ("event", delivery.event_id.clone()),
        (
            "run",
            delivery.run_id.clone().unwrap_or_else(|| "none: the event tells of something else".to_owned()),
        ),
        ("job", delivery.job_id.clone()),
        ("made", at(delivery.created_at_ms)),
        ("tries", delivery.tries().to_string()),
        ("next try", at(delivery.next_at_ms)),
        ("settled", at(delivery.settled_at_ms)),
    ]
}

fn attempts(delivery: &DeliveryView) -> Vec<Vec<String>> {
    let attempts = Vec::<AttemptView>::deserialize(&delivery.attempts).unwrap_or_default();
    attempts
        .into_iter()
        .map(|attempt| {
            let status = attempt.status.map(|status| format!("HTTP {status} ")).unwrap_or_default();
            let error = attempt.error.map(|error| format!(": {error}")).unwrap_or_default();
            vec![
                attempt.number.to_string(),
                attempt.started_at.to_string(),
                format!("{status}{}{error}", attempt.class),
                moment::length(attempt.timings.total_us / 1_000),
                attempt.decision,
            ]
        })
        .collect()
}

async fn retry(client: &Client, args: &OneArgs) -> Result<(), Failure> {
    let answer: Value = client.call(Call::post(["deliveries", &args.id, "retry"])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let delivery: DeliveryView = view::read(&answer)?;
    Ok(output::data(&format!("{} is {} and will be tried now", delivery.id, delivery.state))?)
}
