//! `clawhook hooks`: the inbound hooks, and what was asked of them.

mod list;
mod requests;
mod trial;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_clock::Clock;
use serde_json::Value;

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;
use crate::{output, view};

/// The flags of `clawhook hooks`.
#[derive(Args)]
pub(crate) struct HooksArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: HooksCommand,
}

#[derive(Subcommand)]
enum HooksCommand {
    /// List the hooks, and how they stand
    List(list::ListArgs),
    /// Show what a request would do, without doing it
    Test(trial::TrialArgs),
    /// List the requests of a hook, the newest first
    Requests(requests::RequestsArgs),
    /// Show a request with its headers, its body and its runs
    Inspect(OneRequestArgs),
    /// Have a request done once more, by the hook as it is now
    Replay(OneRequestArgs),
    /// Have a hook accept requests and begin nothing
    Pause(OneHookArgs),
    /// Have what waits of a paused hook begin
    Resume(OneHookArgs),
}

#[derive(Args)]
struct OneRequestArgs {
    /// The request's id, `hkr_…`
    #[arg(value_name = "REQUEST", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    request: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct OneHookArgs {
    /// The hook's id
    #[arg(value_name = "HOOK", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    hook: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command that was typed.
pub(crate) async fn run(
    args: HooksArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    match args.command {
        HooksCommand::List(args) => list::run(&client, &args).await?,
        HooksCommand::Test(args) => trial::run(&client, args).await?,
        HooksCommand::Requests(args) => requests::run(&client, args, clock.now()).await?,
        HooksCommand::Inspect(args) => {
            requests::inspect(&client, &args.request, args.json, clock.now()).await?;
        }
        HooksCommand::Replay(args) => replay(&client, &args).await?,
        HooksCommand::Pause(args) => halt(&client, &args, "pause").await?,
        HooksCommand::Resume(args) => halt(&client, &args, "resume").await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn halt(client: &Client, args: &OneHookArgs, action: &str) -> Result<(), Failure> {
    let answer = client.call(Call::post(["hooks", &args.hook, action])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let hook: list::HookView = view::read(&answer)?;
    let waits = match hook.waiting {
        0 => "nothing waits".to_owned(),
        1 => "1 run waits".to_owned(),
        waiting => format!("{waiting} runs wait"),
    };
    Ok(output::data(&format!("{} is {}; {waits}", hook.id, hook.state))?)
}

async fn replay(client: &Client, args: &OneRequestArgs) -> Result<(), Failure> {
    let answer = client.call(Call::post(["hook-requests", &args.request, "replay"])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let told = match &answer["answer"] {
        Value::Null => "the hook does not want it".to_owned(),
        answered => answered.to_string(),
    };
    Ok(output::data(&told)?)
}
