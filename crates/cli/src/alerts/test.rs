//! `clawhook alerts test`: whether alerts would arrive.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clawhook_clock::Clock;
use clawhook_model::parse_duration;
use serde_json::json;

use super::{AlertView, show};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::{output, view};

/// How often it looks how the routes fare.
const POLL: Duration = Duration::from_millis(250);

/// The flags of `clawhook alerts test`.
#[derive(Args)]
pub(super) struct TestArgs {
    /// Try the routes of this job in place of the gateway's
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// How long to wait for each route to settle
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = parse_duration)]
    wait: Duration,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// Sends it and shows how it fared; exit code 1 unless it has arrived on every route.
pub(super) async fn run(client: &Client, args: &TestArgs, clock: &dyn Clock) -> Result<ExitCode, Failure> {
    let call = Call::post(["alerts", "test"]).json(json!({ "jobId": args.job }));
    let mut answer = client.call(call).await?;
    let mut alert: AlertView = view::read(&answer)?;
    let give_up_at = clock.now().plus(args.wait);
    let is_open = |state: &str| matches!(state, "pending" | "leased" | "waiting");
    // What failed once may be tried again for hours: a first attempt tells enough.
    let is_undecided = |alert: &AlertView| {
        alert.deliveries.iter().any(|delivery| is_open(&delivery.state) && delivery.state != "waiting")
    };
    while is_undecided(&alert) && clock.now() < give_up_at {
        clock.sleep(POLL).await;
        answer = client.call(Call::get(["alerts", &alert.id])).await?;
        alert = view::read(&answer)?;
    }
    if args.json {
        output::json(&answer)?;
    } else {
        output::data(&show::in_full(&alert, clock.now()))?;
    }
    let arrived = alert.deliveries.iter().all(|delivery| delivery.state == "delivered");
    Ok(if arrived { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
