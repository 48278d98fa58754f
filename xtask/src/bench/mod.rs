//! How fast it is, and what it takes.
//!
//! The cast: the gateway, as it is shipped; a [`Receiver`] that does as little as a receiver can; and the driver, which
//! is this program. Each is a process of its own, and all share this machine. What the whole does is held against what
//! its parts do by themselves in the same minutes (`limits`), because a figure of one machine says little on another.
//!
//! It prints and never fails on slowness: that is for whoever reads the figures.

mod delivery;
mod gateway;
mod head_of_line;
mod idle;
mod instant;
mod latency;
mod limits;
mod receiver;
mod report;
mod retention;
mod schedule;
mod storm;
mod throughput;
mod usage;
mod wire;

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Subcommand, ValueEnum};

use self::receiver::Receiver;
use self::report::Figure;
use crate::process::{self, ProcessError};
use crate::progress::{Progress, say};
use crate::workspace;

const EVENTS: usize = 100_000;
const EVENTS_QUICK: usize = 20_000;

/// What is to be measured.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    /// How many events the throughput is measured with [default: 100000]
    #[arg(long, value_name = "N")]
    events: Option<usize>,
    /// Fewer events: 20000
    #[arg(long, conflicts_with = "events")]
    quick: bool,
    /// How many deliveries have been settled in the store that is long in use [default: 1000000; 100000 with --quick]
    #[arg(long, value_name = "N")]
    history: Option<usize>,
    /// How many connections ask for runs
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
    connections: u16,
    /// How many jobs are in the store of the schedule's part [default: 1000000; 100000 with --quick]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Measure only these parts
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Write the figures to a file as well, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What the HTTP client and SQLite do by themselves
    Limits,
    /// How many results a second go the whole way
    Throughput,
    /// Ten thousand jobs due at one instant
    Storm,
    /// One result at a time
    Latency,
    /// Memory, start and size
    Idle,
    /// Healthy receivers beside hanging ones
    HeadOfLine,
    /// A backlog, a long history, a destination that hangs, the delay at half the rate
    Delivery,
    /// A million jobs: start, memory, lists, and how late they start
    Schedule,
    /// The store's rate beside a busy reaper
    Retention,
}

/// What else this program can be.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Role {
    /// Receives events and notes when, until its standard input ends
    #[command(hide = true)]
    Receiver {
        /// The port, or 0 for any free one
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
}

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("{path} can't be used", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("a process of the benchmark failed")]
    Process(#[from] ProcessError),
    #[error("the asynchronous runtime can't be had")]
    Runtime(#[source] std::io::Error),
    #[error("a task of the benchmark ended early")]
    Task(#[from] tokio::task::JoinError),
    #[error("{address} can't be talked to")]
    Connection { address: SocketAddr, source: std::io::Error },
    #[error("{address} hung up, or answered with something that is not HTTP")]
    Hangup { address: SocketAddr },
    #[error("the gateway answered {status}: {text}")]
    Refused { status: u16, text: String },
    #[error("{what} can't be read: {text}")]
    Unreadable { what: &'static str, text: String },
    #[error("the event of the run run_{run:032x} did not arrive")]
    Lost { run: u128 },
    #[error(
        "SQLite by itself can't be measured; if the gateway's tables have changed, the benchmark must follow"
    )]
    Sqlite(#[from] rusqlite::Error),
    #[error("the store failed")]
    Store(#[from] clawhook_store::StoreError),
}

/// Measures, or serves as the receiver.
///
/// What measures is built with optimisation like what is measured; the program that cargo runs as a task is not, and
/// only builds and starts the one that is.
pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    if let Some(Role::Receiver { port }) = options.role {
        return receiver::serve(port);
    }
    if cfg!(debug_assertions) {
        return run_optimised();
    }
    let folder = tempfile::Builder::new()
        .prefix("clawhook-bench-")
        .tempdir()
        .map_err(|source| BenchError::File { path: std::env::temp_dir(), source })?;
    let figures = runtime()?.block_on(measure(options, folder.path()));
    if figures.is_err() {
        say(format_args!("State and logs are kept in {}", folder.keep().display()));
    }
    let figures = figures?;
    say(format_args!("\n{}", report::table(&figures)));
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", report::to_json(&figures)))
            .map_err(|source| BenchError::File { path: path.clone(), source })?;
    }
    Ok(())
}

/// Builds the gateway and this program with optimisation, and becomes the latter.
fn run_optimised() -> Result<(), BenchError> {
    // One at a time, so that the gateway gets the features it is shipped with and no more.
    for package in ["clawhook-cli", "xtask"] {
        process::run(workspace::cargo().args(["build", "--quiet", "--release", "--package", package]))?;
    }
    let program = workspace::target().join("release").join(format!("xtask{}", std::env::consts::EXE_SUFFIX));
    let source = Command::new(&program).args(std::env::args_os().skip(1)).exec();
    Err(BenchError::File { path: program, source })
}

/// One thread is enough for what drives and what receives, and leaves the rest to the gateway.
fn runtime() -> Result<tokio::runtime::Runtime, BenchError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BenchError::Runtime)
}

async fn measure(options: &Options, folder: &Path) -> Result<Vec<Figure>, BenchError> {
    let progress = Progress::start();
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let events = options.events.unwrap_or(if options.quick { EVENTS_QUICK } else { EVENTS });
    let receiver = Receiver::start(folder)?;
    let mut figures = Vec::new();

    if wanted(Part::Idle) {
        progress.step("Start and rest");
        figures.extend(idle::measure(folder).await?);
    }
    let mut limits = None;
    if wanted(Part::Limits) {
        progress.step("What the HTTP client and SQLite do by themselves");
        let measured = limits::measure(folder, &receiver, events).await?;
        figures.extend(measured.figures());
        limits = Some(measured);
    }
    let mut durable_per_s = None;
    if wanted(Part::Throughput) {
        progress.step(format_args!("{events} events the whole way"));
        let whole = throughput::measure(folder, &receiver, events, options.connections.into()).await?;
        durable_per_s = Some(whole.delivered_per_s);
        figures.extend(whole.into_figures(limits.as_ref()));
    }
    if wanted(Part::Latency) {
        progress.step("One result at a time");
        figures.extend(latency::measure(folder, &receiver).await?);
    }
    if wanted(Part::HeadOfLine) {
        progress.step("Healthy receivers beside hanging ones");
        figures.extend(head_of_line::measure(folder, &receiver).await?);
    }
    if wanted(Part::Storm) {
        progress.step("Ten thousand jobs due at one instant");
        figures.extend(storm::measure(folder, &receiver).await?);
    }
    if wanted(Part::Delivery) {
        let sizes = delivery::Sizes::new(options.quick, options.history);
        let connections = options.connections.into();
        let durable_per_s = match durable_per_s {
            Some(measured) => measured,
            None => {
                progress.step(format_args!("{EVENTS_QUICK} events the whole way, for the rate to halve"));
                throughput::measure(folder, &receiver, EVENTS_QUICK, connections).await?.delivered_per_s
            }
        };
        let bench = delivery::Bench { folder, receiver: &receiver, progress, sizes, connections };
        figures.extend(bench.measure(durable_per_s).await?);
    }
    if wanted(Part::Schedule) {
        let sizes = schedule::Sizes::new(options.quick, options.jobs);
        let bench = schedule::Bench { folder, receiver: &receiver, progress, sizes };
        figures.extend(bench.measure().await?);
    }
    if wanted(Part::Retention) {
        progress.step("The store beside a busy reaper");
        figures.extend(retention::measure(folder).await?);
    }
    Ok(figures)
}
