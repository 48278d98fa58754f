//! `clawhook status`: how the gateway is doing.

use std::process::ExitCode;

use clap::Args;
use clawhook_clock::Clock;
use clawhook_model::UnixMs;

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;
use crate::view::{self, DeadByCause, DeliveriesStatus, StatusView};
use crate::{moment, output, table};

/// The flags of `clawhook status`.
#[derive(Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// Shows it. The exit code is 0 only where there is nothing to see to: neither a problem of the gateway nor something
/// that waits for its operator.
pub(crate) async fn run(
    args: StatusArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    let answer = client.call(Call::get(["status"])).await?;
    let status: StatusView = view::read(&answer)?;
    if args.json {
        output::json(&answer)?;
    } else {
        output::data(&table::facts(facts(&status, clock.now())))?;
    }
    for problem in &status.problems {
        output::message("problem", problem);
    }
    for warning in &status.warnings {
        output::message("warning", warning);
    }
    let all_well = status.healthy && status.warnings.is_empty();
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn facts(status: &StatusView, now: UnixMs) -> Vec<(&'static str, String)> {
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| table::NONE.to_owned(), |instant| moment::both(instant, now))
    };
    let StatusView { jobs, runs, deliveries, .. } = status;
    let pid = status.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
    let halted = match deliveries.halted {
        0 => String::new(),
        halted => format!(" ({halted} of them for halted destinations)"),
    };
    let mut facts = vec![
        ("gateway", format!("clawhook {}{pid}, up {}", status.version, moment::length(status.uptime_ms))),
        ("url", status.url.clone()),
        ("state directory", status.state_dir.clone()),
        ("healthy", healthy(status).to_owned()),
        ("schedules", if status.cron.enabled { "on" } else { "off (cron.enabled is false)" }.to_owned()),
        ("jobs", format!("{}, of which {} are enabled", jobs.total, jobs.enabled)),
        ("next run", at(jobs.next_run_at_ms)),
        ("runs", format!("{} running of at most {}, {} queued", runs.running, runs.slots, runs.queued)),
        ("deliveries", format!("{} open{halted}, {}", deliveries.open, dead(deliveries))),
        ("oldest due delivery", at(deliveries.oldest_due_at_ms)),
        ("store", status.store.path.clone()),
    ];
    for alarm in &status.alarms {
        facts.push(("alarm", format!("{}, since {}", alarm.alarm, moment::both(alarm.since_ms, now))));
    }
    if status.cron.schedules_corrected > 0 {
        facts.push(("schedules corrected", status.cron.schedules_corrected.to_string()));
    }
    if status.replays.running > 0 {
        facts.push(("replays", format!("{} running", status.replays.running)));
    }
    if let Some(fault) = &status.store.fault {
        facts.push(("store fault", fault.as_str().map_or_else(|| fault.to_string(), str::to_owned)));
    }
    facts
}

/// How many were given up, and on whose side the cause lies.
fn dead(deliveries: &DeliveriesStatus) -> String {
    let DeadByCause { receiver, configuration, gateway } = deliveries.dead_by_cause;
    let causes = [(receiver, "the receiver"), (configuration, "the configuration"), (gateway, "the gateway")];
    let told: Vec<String> = causes
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, whose)| format!("{count} by {whose}"))
        .collect();
    match told.as_slice() {
        [] => format!("{} dead", deliveries.dead),
        told => format!("{} dead ({})", deliveries.dead, told.join(", ")),
    }
}

fn healthy(status: &StatusView) -> &'static str {
    match (status.healthy, status.warnings.is_empty()) {
        (true, true) => "yes",
        (true, false) => "yes, with warnings",
        (false, _) => "no",
    }
}
