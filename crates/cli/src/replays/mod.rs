//! `clawhook replays`: what is being sent once more, and how far that is.

pub(crate) mod follow;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_clock::Clock;
use clawhook_model::UnixMs;

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;
use crate::table::{Column, NONE};
use crate::view::{self, ReplayView, ReplaysPage};
use crate::{moment, output, table};

/// The flags of `clawhook replays`.
#[derive(Args)]
pub(crate) struct ReplaysArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: ReplaysCommand,
}

#[derive(Subcommand)]
enum ReplaysCommand {
    /// List replays, the newest first
    List(ListArgs),
    /// Show how far a replay is, and what became of what it sent
    Show(OneArgs),
    /// End a replay; what it has queued is still sent
    Cancel(OneArgs),
}

#[derive(Args)]
struct ListArgs {
    /// Only those in this state: running, done, cancelled
    #[arg(long, value_name = "STATE")]
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
    /// The replay's id, `rpl_…`
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 6] = [
    Column::whole("ID"),
    Column::whole("State"),
    Column::cut("Progress", 10),
    Column::optional("Began", 8, 1),
    Column::optional("To", 12, 2),
    Column::optional("Which", 16, 3),
];

/// Runs the command that was typed.
pub(crate) async fn run(
    args: ReplaysArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    match args.command {
        ReplaysCommand::List(args) => list(&client, args, clock.now()).await?,
        ReplaysCommand::Show(args) => show(&client, &args, clock.now()).await?,
        ReplaysCommand::Cancel(args) => cancel(&client, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, args: ListArgs, now: UnixMs) -> Result<(), Failure> {
    let call = Call::get(["replays"])
        .maybe("state", args.state)
        .query("limit", args.limit)
        .maybe("offset", args.offset);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: ReplaysPage = view::read(&answer)?;
    if page.replays.is_empty() {
        output::message("note", "no replays");
        return Ok(());
    }
    let rows = page.replays.iter().map(|replay| row(replay, now)).collect();
    output::data(&table::render(&COLUMNS, rows))?;
    page.page.note_rest(page.replays.len());
    Ok(())
}

fn row(replay: &ReplayView, now: UnixMs) -> Vec<String> {
    vec![
        replay.id.clone(),
        replay.state.clone(),
        format!("{} of {}", replay.done + replay.skipped, replay.matched),
        replay.created_at_ms.map_or_else(|| NONE.to_owned(), |began| moment::relative(began, now)),
        replay.to.clone().unwrap_or_else(|| NONE.to_owned()),
        replay.filter.to_string(),
    ]
}

async fn show(client: &Client, args: &OneArgs, now: UnixMs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["replays", &args.id])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let replay: ReplayView = view::read(&answer)?;
    Ok(output::data(&facts(&replay, now))?)
}

/// Everything about a replay, for people.
fn facts(replay: &ReplayView, now: UnixMs) -> String {
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::both(instant, now))
    };
    let none = || NONE.to_owned();
    table::known_facts([
        ("id", replay.id.clone()),
        ("state", replay.state.clone()),
        ("reason", replay.reason.clone().unwrap_or_else(none)),
        ("which", replay.filter.to_string()),
        ("to", replay.to.clone().unwrap_or_else(|| "each one's own destination".to_owned())),
        ("rate", replay.per_second.map_or_else(none, |rate| format!("{rate} a second"))),
        ("progress", how_far(replay)),
        ("outcomes", outcomes(replay)),
        ("began", at(replay.created_at_ms)),
        ("ended", at(replay.ended_at_ms)),
    ])
}

/// How far a replay is, in words.
pub(crate) fn how_far(replay: &ReplayView) -> String {
    let ReplayView { matched, done, skipped, .. } = replay;
    format!("{matched} matched, {done} queued, {skipped} passed over")
}

fn outcomes(replay: &ReplayView) -> String {
    let view::OutcomesView { open, delivered, dead, cancelled } = replay.outcomes;
    format!("{delivered} delivered, {open} open, {dead} dead, {cancelled} cancelled")
}

async fn cancel(client: &Client, args: &OneArgs) -> Result<(), Failure> {
    let answer = client.call(Call::post(["replays", &args.id, "cancel"])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let replay: ReplayView = view::read(&answer)?;
    Ok(output::data(&format!("{} is {}: {}", replay.id, replay.state, how_far(&replay)))?)
}
