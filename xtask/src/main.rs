//! The project's tasks, one command each: `cargo xtask verify`, `cargo xtask demo`.

mod agents;
mod bench;
mod chance;
mod channels;
mod coding_agents;
mod crash;
mod demo;
mod hooks;
mod house_rules;
mod licences;
mod loopback;
mod model_server;
mod month;
mod process;
mod progress;
mod receivers;
mod signatures;
mod sim;
mod stage;
mod toolchain;
mod verify;
mod workspace;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measures how fast it is and what it takes, beside what the machine can do
    Bench(bench::Options),
    /// Kills the gateway again and again, and proves that nothing is lost and nothing is run twice
    Crash(crash::Options),
    /// Shows the whole way of one result: a job, a real model's answer, a signed event at a receiver
    Demo(demo::Options),
    /// Posts thousands of requests to a hook while the gateway is killed again and again, and proves that each is done once
    Hooks(hooks::Options),
    /// Serves the demo's small model by itself, to point a gateway of your own at
    Model,
    /// Lives through a simulated month of a job that runs every second, and proves that its history stays bounded
    Month(month::Options),
    /// Simulates many days of a gateway on which everything goes wrong, and proves that it keeps its promises
    Sim(sim::Options),
    /// Checks everything that must hold before a change lands; this is what CI runs
    Verify(verify::Options),
}

fn main() -> ExitCode {
    let outcome: Result<(), Box<dyn Error>> = match Xtask::parse().task {
        Task::Bench(options) => bench::run(&options).map_err(Into::into),
        Task::Crash(options) => crash::run(options).map_err(Into::into),
        Task::Demo(options) => demo::run(options).map_err(Into::into),
        Task::Hooks(options) => hooks::run(&options, workspace::BuiltWith::Nothing).map_err(Into::into),
        Task::Model => model_server::run().map_err(Into::into),
        Task::Month(options) => month::run(options).map_err(Into::into),
        Task::Sim(options) => sim::run(options).map_err(Into::into),
        Task::Verify(options) => verify::run(&options).map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::failure(error.as_ref());
            ExitCode::FAILURE
        }
    }
}
