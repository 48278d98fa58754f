//! `clawhook`: the gateway itself, and a thin client of its API.
//!
//! # The cast
//!
//! - `args`: what can be typed. One file for each command group says which flags it has, and turns what was typed
//!   into what is meant; clap's definition is the only one, and docs/cli.md is checked against it.
//! - `connection` finds the gateway; `client` calls it; `view` is what the commands read of its answers.
//! - `output`, `table` and `moment` show things to people. Data goes to standard output and everything else to
//!   standard error; `--json` shows the API's own JSON.
//! - `config` checks a configuration without a gateway.
//! - `gateway` runs the gateway in the foreground; `listen` is a receiver to try things out with, and
//!   `conformance` tries a user's own.
//!
//! # The rules
//!
//! Exit code 0 is success, 1 an error, 2 a mistake in what was typed. Texts that come from jobs, agents or the network
//! lose their control characters before a terminal sees them.

mod alerts;
mod args;
mod channels;
mod client;
mod config;
mod conformance;
mod connection;
mod cron;
mod deliveries;
mod destinations;
mod document;
mod event_log;
mod events;
mod failure;
mod gateway;
mod hooks;
mod listen;
mod moment;
mod output;
mod replays;
mod runtime;
mod schema;
mod sessions;
mod signals;
mod state_dir;
mod status;
mod table;
mod usage;
mod view;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use clawhook_clock::{Clock, SystemClock};

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::runtime::block_on;

fn main() -> ExitCode {
    let cli = Cli::parse();
    run(cli, Arc::new(SystemClock)).unwrap_or_else(Failure::report)
}

fn run(cli: Cli, clock: Arc<dyn Clock>) -> Result<ExitCode, Failure> {
    let Cli { state_dir, command } = cli;
    match command {
        Command::Gateway(args) => gateway::run(args, &state_dir, clock),
        Command::Config(args) => config::run(args, &state_dir),
        Command::Cron(args) => block_on(cron::run(args, &state_dir, clock.as_ref())),
        Command::Deliveries(args) => block_on(deliveries::run(*args, &state_dir, clock.as_ref())),
        Command::Alerts(args) => block_on(alerts::run(args, &state_dir, clock.as_ref())),
        Command::Replays(args) => block_on(replays::run(args, &state_dir, clock.as_ref())),
        Command::Sessions(args) => block_on(sessions::run(args, &state_dir, clock.as_ref())),
        Command::Destinations(args) => block_on(destinations::run(args, &state_dir, clock.as_ref())),
        Command::Channels(args) => block_on(channels::run(args, &state_dir)),
        Command::Events(args) => block_on(event_log::run(*args, &state_dir, clock.as_ref())),
        Command::Hooks(args) => block_on(hooks::run(args, &state_dir, clock.as_ref())),
        Command::Status(args) => block_on(status::run(args, &state_dir, clock.as_ref())),
        Command::Usage(args) => {
            block_on(async move { usage::run(args, &state_dir).await.map(|()| ExitCode::SUCCESS) })
        }
        Command::Schema(args) => schema::run(&args),
        Command::Listen(args) => block_on(listen::run(args, &state_dir, clock)),
        Command::Conformance(args) => block_on(conformance::run(args, &state_dir, clock.as_ref())),
    }
}
