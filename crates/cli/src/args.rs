//! What can be typed: the tree of commands.

use clap::{Parser, Subcommand};

use crate::alerts::AlertsArgs;
use crate::channels::ChannelsArgs;
use crate::config::ConfigArgs;
use crate::conformance::ConformanceArgs;
use crate::cron::CronArgs;
use crate::deliveries::DeliveriesArgs;
use crate::destinations::DestinationsArgs;
use crate::event_log::EventsArgs;
use crate::gateway::GatewayArgs;
use crate::hooks::HooksArgs;
use crate::listen::ListenArgs;
use crate::replays::ReplaysArgs;
use crate::schema::SchemaArgs;
use crate::sessions::SessionsArgs;
use crate::state_dir::StateDirArgs;
use crate::status::StatusArgs;
use crate::usage::UsageArgs;

/// Runs agent jobs on a schedule and guarantees that each result reaches its webhook.
#[derive(Parser)]
#[command(name = "clawhook", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) state_dir: StateDirArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the gateway in the foreground
    Gateway(GatewayArgs),
    /// Look at the configuration
    Config(ConfigArgs),
    /// Add, change, run and look at jobs
    Cron(CronArgs),
    /// Look at what is carried where, try it again, end it, or send it once more
    Deliveries(Box<DeliveriesArgs>),
    /// Look at alerts, acknowledge them, and try whether they would arrive
    Alerts(AlertsArgs),
    /// Look at replays, and end them
    Replays(ReplaysArgs),
    /// Say where events are carried to, and whether anything is sent there
    Destinations(DestinationsArgs),
    /// Look at the chat channels, and try them out
    Channels(ChannelsArgs),
    /// Show what happened, and follow what happens
    Events(Box<EventsArgs>),
    /// Look at inbound hooks and what was asked of them, try them out, halt them
    Hooks(HooksArgs),
    /// Look at sessions and what was said in them, and remove them
    Sessions(SessionsArgs),
    /// Show how the gateway is doing
    Status(StatusArgs),
    /// Show what runs cost
    Usage(UsageArgs),
    /// Print the schemas of what webhooks are sent
    Schema(SchemaArgs),
    /// Receive webhooks on this machine, verify them and show them
    Listen(ListenArgs),
    /// Try an endpoint with awkward webhooks, and report how it copes
    Conformance(ConformanceArgs),
}

/// The error of something that was typed and cannot be, in clap's form, for the command at `path`.
pub(crate) fn usage_error(path: &[&str], message: impl std::fmt::Display) -> clap::Error {
    use clap::CommandFactory as _;
    let mut root = Cli::command();
    root.build();
    let mut command = &mut root;
    for name in path {
        match command.find_subcommand_mut(name) {
            Some(found) => command = found,
            None => unreachable!("`{name}` is a command"),
        }
    }
    command.error(clap::error::ErrorKind::ArgumentConflict, message)
}

#[cfg(test)]
mod tests;
