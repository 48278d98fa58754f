//! `clawhook cron cancel`.

use std::time::{Duration, Instant};

use clap::Args;
use clawhook_model::{format_duration, parse_duration};
use serde_json::Value;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output;
use crate::view::{self, RunView};

/// How long the gateway holds one answer back.
const STEP: Duration = Duration::from_secs(5);
const BETWEEN: Duration = Duration::from_millis(100);

/// The flags of `clawhook cron cancel`.
#[derive(Args)]
pub(super) struct CancelArgs {
    /// The run's id
    #[arg(value_name = "RUN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    run: String,
    /// Wait until the run is over
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_duration, requires = "wait")]
    wait_timeout: Duration,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// Cancels the run.
pub(super) async fn run(client: &Client, args: &CancelArgs) -> Result<(), Failure> {
    let step = if args.wait { STEP.min(args.wait_timeout) } else { Duration::ZERO };
    let mut answer = client.call(Call::post(["runs", &args.run, "cancel"]).waiting(step)).await?;
    let begun = Instant::now();
    while args.wait && !is_over(&answer)? && begun.elapsed() < args.wait_timeout {
        tokio::time::sleep(BETWEEN).await;
        answer = client.call(Call::get(["runs", &args.run])).await?;
    }
    if args.json {
        output::json(&answer)?;
    }
    let run: RunView = view::read(&answer)?;
    let is_over = is_over(&answer)?;
    if !args.json {
        let word = if is_over { "cancelled" } else { "told to end" };
        output::data(&format!("{word}: {}", run.run_id))?;
    }
    if args.wait && !is_over {
        return Err(Failure::with_hint(
            format!("after {} the run is not over", format_duration(args.wait_timeout)),
            format!("`clawhook cron follow {}` shows how it ends", args.run),
        ));
    }
    Ok(())
}

fn is_over(answer: &Value) -> Result<bool, Failure> {
    Ok(view::read::<RunView>(answer)?.state == "finished")
}
