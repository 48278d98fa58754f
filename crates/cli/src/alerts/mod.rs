//! `clawhook alerts`: who was told of what, whether it arrived, and whether it would.

mod list;
mod show;
mod test;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_clock::Clock;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::output;
use crate::state_dir::StateDirArgs;
use crate::view::{self, DeliveryView};

/// The flags of `clawhook alerts`.
#[derive(Args)]
pub(crate) struct AlertsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: AlertsCommand,
}

#[derive(Subcommand)]
enum AlertsCommand {
    /// List alerts, the newest first
    List(list::ListArgs),
    /// Show one alert with each route it took
    Show(OneArgs),
    /// Acknowledge an alert or a delivery that asks for it
    Ack(AckArgs),
    /// Send an alert that tells of nothing to every route, and show how each fared
    Test(test::TestArgs),
}

#[derive(Args)]
struct OneArgs {
    /// The alert's id, `evt_…`
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct AckArgs {
    /// The alert's id, `evt_…`, or a delivery's, `dlv_…`
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// Who acknowledges
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// An alert, as far as the command line shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlertView {
    id: String,
    raised_at_ms: clawhook_model::UnixMs,
    purpose: String,
    message: String,
    job_id: Option<String>,
    cause: Option<String>,
    outcome: String,
    acknowledgement: Option<String>,
    deliveries: Vec<DeliveryView>,
}

impl AlertView {
    /// How it fares, in a few words.
    fn fares(&self) -> String {
        let outcome = match self.outcome.as_str() {
            "unknown" => "on its way",
            "not-delivered" => "reached nobody",
            "not-requested" => "told to nobody",
            other => other,
        };
        match &self.acknowledgement {
            Some(state) if state == "open" => format!("{outcome}, not acknowledged yet"),
            Some(state) => format!("{outcome}, {state}"),
            None => outcome.to_owned(),
        }
    }
}

/// Runs the command that was typed.
pub(crate) async fn run(
    args: AlertsArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    match args.command {
        AlertsCommand::List(args) => list::run(&client, args, clock.now()).await?,
        AlertsCommand::Show(args) => show::run(&client, &args, clock.now()).await?,
        AlertsCommand::Ack(args) => acknowledge(&client, &args).await?,
        AlertsCommand::Test(args) => return test::run(&client, &args, clock).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn acknowledge(client: &Client, args: &AckArgs) -> Result<(), Failure> {
    let kind = if args.id.starts_with("dlv_") { "deliveries" } else { "alerts" };
    let answer = client.call(Call::post([kind, &args.id, "ack"]).json(json!({ "by": args.by }))).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let (id, by) = match kind {
        "deliveries" => {
            let delivery: DeliveryView = view::read(&answer)?;
            let by = delivery.acknowledgement.and_then(|given| given.by);
            (delivery.id, by)
        }
        _ => {
            let alert: AlertView = view::read(&answer)?;
            let by = alert.deliveries.into_iter().find_map(|delivery| delivery.acknowledgement?.by);
            (alert.id, by)
        }
    };
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    Ok(output::data(&format!("{id} is acknowledged{by}; nobody will be asked for it again"))?)
}
