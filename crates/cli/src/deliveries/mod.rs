//! `clawhook deliveries`: what is carried where, and how that went.

mod list;
mod range_flags;
mod replay;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_clock::Clock;

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::output;
use crate::state_dir::StateDirArgs;
use crate::view::{self, DeliveryView};

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
    List(list::ListArgs),
    /// Show one delivery with all its attempts
    Show(show::ShowArgs),
    /// Try again what was given up or waits, now
    Retry(OneArgs),
    /// End a delivery that waits; it can be replayed later
    Cancel(OneArgs),
    /// Send once more what was sent before: one delivery, a run's, or all that match
    Replay(replay::ReplayArgs),
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
    if let DeliveriesCommand::Replay(args) = &args.command {
        args.check()?;
    }
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    match args.command {
        DeliveriesCommand::List(args) => list::run(&client, args, clock.now()).await?,
        DeliveriesCommand::Show(args) => show::run(&client, &args, clock.now()).await?,
        DeliveriesCommand::Retry(args) => act(&client, &args, "retry", "will be tried now").await?,
        DeliveriesCommand::Cancel(args) => act(&client, &args, "cancel", "will not be sent").await?,
        DeliveriesCommand::Replay(args) => replay::run(&client, args, clock.now()).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Has something done with one delivery, and says what follows.
async fn act(client: &Client, args: &OneArgs, action: &str, follows: &str) -> Result<(), Failure> {
    let answer = client.call(Call::post(["deliveries", &args.id, action])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let delivery: DeliveryView = view::read(&answer)?;
    Ok(output::data(&format!("{} is {} and {follows}", delivery.id, delivery.state))?)
}
