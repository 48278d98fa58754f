//! `clawhook cron`: jobs, their runs, and what became of their due instants. The flags are OpenClaw's.

mod add;
mod alert_flags;
mod backfill;
mod bounds_flags;
mod cancel;
mod delivery_flags;
mod edit;
mod follow;
mod hook_flags;
mod hooks;
mod job_flags;
mod ledger;
mod list;
mod next;
mod payload_flags;
mod policy_flags;
mod remove;
mod run;
mod runs;
mod schedule_flags;
mod show;
mod simulate;
mod status;
mod switch;
mod transcript;
mod turn_flags;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_clock::Clock;
use thiserror::Error;

use crate::args::usage_error;
use crate::client::Client;
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;

/// The flags of `clawhook cron`.
#[derive(Args)]
pub(crate) struct CronArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: CronCommand,
}

#[derive(Subcommand)]
enum CronCommand {
    /// Add a job
    #[command(visible_alias = "create")]
    Add(Box<add::AddArgs>),
    /// List the jobs
    List(list::ListArgs),
    /// Show when a job, or a schedule that none has yet, is due
    Next(Box<next::NextArgs>),
    /// Show what jobs would do: each run, skip, catch-up, overlap and change of clocks, with its reason
    Simulate(Box<simulate::SimulateArgs>),
    /// Print a job's JSON
    Get(IdArgs),
    /// Show a job and when it is due next
    Show(IdArgs),
    /// Change a job; what is not named stays as it is
    #[command(visible_alias = "update")]
    Edit(Box<edit::EditArgs>),
    /// Have a job run when it is due
    Enable(IdArgs),
    /// Have a job run no more; what waits to be delivered is still delivered
    Disable(IdArgs),
    /// Remove a job; what waits to be delivered is still delivered
    #[command(name = "rm", visible_aliases = ["remove", "delete"])]
    Remove(IdArgs),
    /// Run a job now; its schedule does not move
    Run(run::RunArgs),
    /// Cancel a run: one under way is ended, one that waits never begins
    Cancel(cancel::CancelArgs),
    /// Show what a run says while it goes on, and how it ends
    Follow(follow::FollowArgs),
    /// List runs, the newest first
    Runs(runs::RunsArgs),
    /// Show what was said in a run
    Transcript(transcript::TranscriptArgs),
    /// Show what came of the hooks around a run
    Hooks(hooks::HooksArgs),
    /// Show how the scheduler is doing
    Status(status::StatusArgs),
    /// Show what became of each due instant of a job: ran, skipped or missed
    Ledger(ledger::LedgerArgs),
    /// Run due instants of the past after all, but for those that were run
    Backfill(backfill::BackfillArgs),
}

/// The flags of a command that is about one job.
#[derive(Args)]
struct IdArgs {
    /// The job's id
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// What was typed cannot be meant.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{0}")]
struct Misuse(String);

impl Misuse {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The failure of the command `clawhook cron <name>`.
    fn of(self, name: &str) -> Failure {
        usage_error(&["cron", name], self).into()
    }
}

/// Runs the command that was typed.
pub(crate) async fn run(
    args: CronArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let connection = args.connection;
    // What was typed is checked before the gateway is looked for: a mistake is a mistake without one, too.
    let client = || Ok::<_, Failure>(Client::new(connection.resolve(state_dir)?)?);
    let now = clock.now();
    match args.command {
        CronCommand::Add(args) => {
            let plan = args.plan(now).map_err(|misuse| misuse.of("add"))?;
            let client = client()?;
            add::run(&client, *args, plan, now).await?;
            status::warn_if_off(&client).await?;
        }
        CronCommand::Edit(args) => {
            let plan = args.plan(now).map_err(|misuse| misuse.of("edit"))?;
            let client = client()?;
            edit::run(&client, *args, plan, now).await?;
            status::warn_if_off(&client).await?;
        }
        CronCommand::List(args) => list::run(&client()?, args, now).await?,
        CronCommand::Next(args) => {
            let question = args.plan(now).map_err(|misuse| misuse.of("next"))?;
            next::run(client, question, now).await?;
        }
        CronCommand::Simulate(args) => {
            let plan = args.plan(now).map_err(|misuse| misuse.of("simulate"))?;
            return simulate::run(client, &args, &plan).await;
        }
        CronCommand::Get(args) => show::get(&client()?, &args).await?,
        CronCommand::Show(args) => show::run(&client()?, &args, now).await?,
        CronCommand::Enable(args) => {
            let client = client()?;
            switch::run(&client, &args, "enable", now).await?;
            status::warn_if_off(&client).await?;
        }
        CronCommand::Disable(args) => switch::run(&client()?, &args, "disable", now).await?,
        CronCommand::Remove(args) => remove::run(&client()?, &args).await?,
        CronCommand::Run(args) => return run::run(&client()?, &args, clock).await,
        CronCommand::Cancel(args) => cancel::run(&client()?, &args).await?,
        CronCommand::Follow(args) => return follow::run(&client()?, &args, clock).await,
        CronCommand::Runs(args) => runs::run(&client()?, args, now).await?,
        CronCommand::Transcript(args) => transcript::run(&client()?, &args).await?,
        CronCommand::Hooks(args) => hooks::run(&client()?, &args, now).await?,
        CronCommand::Status(args) => status::run(&client()?, &args, now).await?,
        CronCommand::Ledger(args) => ledger::run(&client()?, &args, now).await?,
        CronCommand::Backfill(args) => backfill::run(&client()?, &args, now).await?,
    }
    Ok(ExitCode::SUCCESS)
}
