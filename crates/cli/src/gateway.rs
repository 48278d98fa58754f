//! `clawhook gateway`: the gateway in the foreground.

use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clawhook_clock::Clock;
use clawhook_gateway::config::{Config, ConfigError};
use clawhook_gateway::{Gateway, GatewayOptions};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::output;
use crate::runtime::block_on_workers;
use crate::signals::StopSignals;
use crate::state_dir::StateDirArgs;

/// What is logged, in `tracing`'s filter language.
const LOG: &str = "CLAWHOOK_LOG";
/// The exit code of a process that was told twice to end.
const INTERRUPTED: i32 = 130;

/// The flags of `clawhook gateway`.
#[derive(Args)]
pub(crate) struct GatewayArgs {
    /// The configuration file [default: clawhook.json5 in the state directory, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on, in place of the configured one
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// The port to listen on, in place of the configured one; 0 takes any free one
    #[arg(long, value_name = "N")]
    port: Option<u16>,
}

/// Runs the gateway until it is told to stop.
pub(crate) fn run(
    args: GatewayArgs,
    state_dir: &StateDirArgs,
    clock: Arc<dyn Clock>,
) -> Result<ExitCode, Failure> {
    start_logging()?;
    let options = options(args, state_dir)?;
    block_on_workers(serve(options, clock))
}

fn start_logging() -> Result<(), Failure> {
    let wanted = std::env::var(LOG).ok().filter(|filter| !filter.trim().is_empty());
    let wanted = wanted.unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::builder().parse(&wanted).map_err(|error| {
        Failure::with_hint(
            format!("{LOG} is `{wanted}`: {error}"),
            "`info` and `info,clawhook_engine=debug` are such filters",
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}

/// The flags go before the variables, and the variables before the file.
fn options(args: GatewayArgs, state_dir: &StateDirArgs) -> Result<GatewayOptions, Failure> {
    let state_dir = state_dir.resolve()?;
    let (config, _) = configuration(args.config, &state_dir)?;
    Ok(GatewayOptions { config, state_dir, bind: args.bind, port: args.port })
}

/// The configuration that a gateway with this state directory starts with, and the file it is read from.
pub(crate) fn configuration(
    file: Option<PathBuf>,
    state_dir: &Path,
) -> Result<(Config, Option<PathBuf>), Failure> {
    let named = state_dir.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::error(format!("the state directory `{}` has a name that is not UTF-8", state_dir.display()))
    })?;
    let env = |name: &str| match name {
        "CLAWHOOK_STATE_DIR" => Some(named.clone()),
        _ => std::env::var(name).ok(),
    };
    let path = file.or_else(|| default_config(&env));
    let config = match &path {
        Some(path) => Config::load_with(path, &env),
        None => Config::without_file(&env),
    };
    Ok((config.map_err(|error| refused(&error))?, path))
}

/// The default file, where it exists; one that a variable names must.
fn default_config(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let is_named = env("CLAWHOOK_CONFIG_PATH").is_some_and(|path| !path.trim().is_empty());
    Some(Config::default_path(env)).filter(|path| is_named || path.exists())
}

fn refused(error: &ConfigError) -> Failure {
    let hint = match error {
        ConfigError::Invalid { .. } => "the gateway starts once all of this is mended",
        ConfigError::Unreadable { .. } | ConfigError::TooLarge { .. } => {
            "name another file with --config, or none to start with the defaults"
        }
    };
    Failure::with_hint(error.to_string(), hint)
}

async fn serve(options: GatewayOptions, clock: Arc<dyn Clock>) -> Result<ExitCode, Failure> {
    let mut signals = StopSignals::catch()?;
    let gateway = Gateway::start(options, clock)
        .await
        .map_err(|error| Failure::with_hint(error.to_string(), error.hint()))?;
    if let Err(error) = output::data(&format!("listening on {}", gateway.url())) {
        tracing::warn!(%error, "standard output is closed, so that nobody is told the address");
    }
    let shutdown = CancellationToken::new();
    tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            signals.next().await;
            shutdown.cancel();
            signals.next().await;
            std::process::exit(INTERRUPTED);
        }
    });
    match gateway.run(shutdown).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::with_hint(error.to_string(), "the log above tells more; start it again")),
    }
}
