//! `clawhook alerts list`.

use clap::Args;
use clawhook_model::UnixMs;
use serde::Deserialize;

use super::AlertView;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::{moment, output, table, view};

/// The flags of `clawhook alerts list`.
#[derive(Args)]
pub(super) struct ListArgs {
    /// Only alerts of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct AlertsPage {
    alerts: Vec<AlertView>,
}

/// Lists them.
pub(super) async fn run(client: &Client, args: ListArgs, now: UnixMs) -> Result<(), Failure> {
    let call = Call::get(["alerts"]).maybe("jobId", args.job).query("limit", args.limit);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: AlertsPage = view::read(&answer)?;
    if page.alerts.is_empty() {
        return Ok(output::data("No alerts.")?);
    }
    const COLUMNS: [Column; 6] = [
        Column::whole("ID"),
        Column::whole("Raised"),
        Column::cut("Job", 12),
        Column::cut("Cause", 10),
        Column::cut("Tells", 20),
        Column::cut("Fares", 12),
    ];
    let rows = page.alerts.iter().map(|alert| {
        vec![
            alert.id.clone(),
            moment::relative(alert.raised_at_ms, now),
            alert.job_id.clone().unwrap_or_else(|| NONE.to_owned()),
            alert.cause.clone().unwrap_or_else(|| alert.purpose.clone()),
            alert.message.lines().next().unwrap_or_default().to_owned(),
            alert.fares(),
        ]
    });
    Ok(output::data(&table::render(&COLUMNS, rows.collect()))?)
}
