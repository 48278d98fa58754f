//! `clawhook sessions`: which there are, what was said in them, and their end.

mod list;
mod show;
pub(crate) mod transcript;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_clock::Clock;
use clawhook_model::UnixMs;
use serde::Deserialize;

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;
use crate::{output, view};

/// The flags of `clawhook sessions`.
#[derive(Args)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Subcommand)]
enum SessionsCommand {
    /// List sessions, the newest first
    List(list::ListArgs),
    /// Show a session and what was said in it last
    Show(show::ShowArgs),
    /// Remove a session with what was said and what waits in it; one that is kept begins anew
    #[command(name = "rm", visible_aliases = ["remove", "delete"])]
    Remove(OneArgs),
}

/// The flags of a command that is about one session.
#[derive(Args)]
struct OneArgs {
    /// The session's key, such as `agent:main:main`, its id, or the name of one of the default agent's
    #[arg(value_name = "SESSION", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    session: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// A session, of the API's answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionView {
    session_id: String,
    session_key: String,
    #[serde(default)]
    agent_id: String,
    #[serde(default)]
    job_id: String,
    #[serde(default)]
    kept: bool,
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    events_waiting: u32,
    #[serde(default)]
    created_at_ms: Option<UnixMs>,
    #[serde(default)]
    updated_at_ms: Option<UnixMs>,
}

/// A session that was removed, of the API's answers.
#[derive(Deserialize)]
struct RemovedView {
    session: SessionView,
    #[serde(default)]
    entries: u64,
    #[serde(default)]
    events: u64,
}

/// Runs the command that was typed.
pub(crate) async fn run(
    args: SessionsArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    match args.command {
        SessionsCommand::List(args) => list::run(&client, args, clock.now()).await?,
        SessionsCommand::Show(args) => show::run(&client, args, clock.now()).await?,
        SessionsCommand::Remove(args) => remove(&client, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(client: &Client, args: &OneArgs) -> Result<(), Failure> {
    let answer = client.call(Call::delete(["sessions", &args.session])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let removed: RemovedView = view::read(&answer)?;
    let RemovedView { session, entries, events } = removed;
    let waited = if events > 0 { format!(", and {events} system events that waited") } else { String::new() };
    Ok(output::data(&format!("removed {}: {entries} entries{waited}", session.session_key))?)
}
