//! `clawhook destinations`: where events are carried to, and whether anything is sent there.

mod add;
mod definition_flags;
mod edit;
mod halt;
mod header_flag;
mod list;
mod remove;
mod render;
mod rotate;
mod show;
mod test;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_clock::Clock;

use crate::args::usage_error;
use crate::client::Client;
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;

/// The flags of `clawhook destinations`.
#[derive(Args)]
pub(crate) struct DestinationsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: DestinationsCommand,
}

#[derive(Subcommand)]
enum DestinationsCommand {
    /// Add a destination
    #[command(visible_alias = "create")]
    Add(add::AddArgs),
    /// List the destinations
    List(list::ListArgs),
    /// Show a destination, what waits for it, and who names it
    #[command(visible_alias = "show")]
    Get(OneArgs),
    /// Change a destination; what is not named stays as it is
    #[command(visible_alias = "update")]
    Edit(edit::EditArgs),
    /// Remove a destination that nothing waits for and no job names
    #[command(name = "rm", visible_aliases = ["remove", "delete"])]
    Remove(OneArgs),
    /// Send a test event, once, the way that every event goes
    Test(OneArgs),
    /// Show the body that an event takes there; nothing is sent
    Render(render::RenderArgs),
    /// Give it another key to sign with; the old one signs beside it for a while
    RotateSecret(rotate::RotateArgs),
    /// Send nothing more to it; what waits is kept
    Pause(halt::PauseArgs),
    /// Send to it again, whatever halted it
    Resume(OneArgs),
}

/// The flags of a command that is about one destination.
#[derive(Args)]
struct OneArgs {
    /// The destination's name, or its handle `dst_…`
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// The failure of the command `clawhook destinations <name>`, where what was typed cannot be meant.
fn misuse(name: &str, message: &str) -> Failure {
    usage_error(&["destinations", name], message).into()
}

/// Runs the command that was typed.
pub(crate) async fn run(
    args: DestinationsArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let connection = args.connection;
    // What was typed is checked before the gateway is looked for: a mistake is a mistake without one, too.
    let client = || Ok::<_, Failure>(Client::new(connection.resolve(state_dir)?)?);
    let now = clock.now();
    match args.command {
        DestinationsCommand::Add(args) => {
            let definition = args.definition()?;
            add::run(&client()?, definition, args.json, now).await?;
        }
        DestinationsCommand::Edit(args) => {
            let patch = args.patch()?;
            edit::run(&client()?, &args, patch, now).await?;
        }
        DestinationsCommand::List(args) => list::run(&client()?, args, now).await?,
        DestinationsCommand::Get(args) => show::run(&client()?, &args, now).await?,
        DestinationsCommand::Remove(args) => remove::run(&client()?, &args).await?,
        DestinationsCommand::Test(args) => return test::run(&client()?, &args).await,
        DestinationsCommand::Render(args) => render::run(&client()?, &args).await?,
        DestinationsCommand::RotateSecret(args) => {
            let request = args.request()?;
            rotate::run(&client()?, &args.one, request, now).await?;
        }
        DestinationsCommand::Pause(args) => halt::pause(&client()?, &args).await?,
        DestinationsCommand::Resume(args) => halt::resume(&client()?, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}
