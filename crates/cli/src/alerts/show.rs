//! `clawhook alerts show`.

use clawhook_model::UnixMs;

use super::{AlertView, OneArgs};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::{moment, output, table, view};

/// Shows it.
pub(super) async fn run(client: &Client, args: &OneArgs, now: UnixMs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["alerts", &args.id])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let alert: AlertView = view::read(&answer)?;
    Ok(output::data(&in_full(&alert, now))?)
}

/// The alert and each of its routes.
pub(super) fn in_full(alert: &AlertView, now: UnixMs) -> String {
    const COLUMNS: [Column; 5] = [
        Column::whole("Delivery"),
        Column::cut("To", 20),
        Column::whole("State"),
        Column::whole("Tries"),
        Column::cut("Why", 20),
    ];
    let facts = table::facts(vec![
        ("id", alert.id.clone()),
        ("raised", moment::both(alert.raised_at_ms, now)),
        ("job", alert.job_id.clone().unwrap_or_else(|| NONE.to_owned())),
        ("for", alert.purpose.clone()),
        ("tells", alert.message.lines().collect::<Vec<_>>().join("; ")),
        ("fares", alert.fares()),
    ]);
    if alert.deliveries.is_empty() {
        return facts;
    }
    let rows = alert.deliveries.iter().map(|delivery| {
        vec![
            delivery.id.clone(),
            delivery.target.clone(),
            delivery.state.clone(),
            delivery.tries().to_string(),
            delivery.reason.clone().unwrap_or_else(|| NONE.to_owned()),
        ]
    });
    format!("{facts}\n{}", table::render(&COLUMNS, rows.collect()))
}
