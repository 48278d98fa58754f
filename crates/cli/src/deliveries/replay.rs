//! `clawhook deliveries replay`: one delivery, a run's, or all that match, once more.

use std::time::Duration;

use clap::Args;
use clawhook_model::{UnixMs, parse_duration};
use serde_json::{Map, Value, json};

use super::range_flags::RangeArgs;
use crate::args::usage_error;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output;
use crate::replays::{self, follow};
use crate::view::{self, CountedView, DeliveryView, ReplayView, RunSentAgainView};

/// The flags of `clawhook deliveries replay`.
#[derive(Args)]
pub(super) struct ReplayArgs {
    /// The one delivery, `dlv_…`
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new(), conflicts_with_all = RANGE)]
    id: Option<String>,
    /// The result of this run, without running it again
    #[arg(long, value_name = "ID", conflicts_with = "id", conflicts_with_all = RANGE)]
    run: Option<String>,
    /// Where to, if not where each went before: a destination's name, its `dst_…`, or a URL
    #[arg(long, value_name = "DESTINATION")]
    to: Option<String>,
    #[command(flatten)]
    range: RangeArgs,
    /// At most so many a second
    #[arg(long, value_name = "N")]
    per_second: Option<f64>,
    /// Only count what matches
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until everything is sent; the exit code is 0 only if all of it arrived
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration, requires = "wait")]
    wait_timeout: Duration,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// The flags of a range, which say nothing about one delivery or run.
const RANGE: [&str; 9] =
    ["destination", "job", "state", "cause", "since", "until", "per_second", "dry_run", "wait"];

impl ReplayArgs {
    /// Refuses a command that says nothing about what is meant: it would send every dead letter there is.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.id.is_some() || self.run.is_some() || self.range.says_anything() {
            return Ok(());
        }
        let message = "say which: a delivery's ID, --run, or a range such as --state dead --since 2h";
        Err(usage_error(&["deliveries", "replay"], message).into())
    }
}

/// Sends it.
pub(super) async fn run(client: &Client, args: ReplayArgs, now: UnixMs) -> Result<(), Failure> {
    match (&args.id, &args.run) {
        (Some(id), _) => one(client, id, &args).await,
        (None, Some(run)) => of_run(client, run, &args).await,
        (None, None) => range(client, args, now).await,
    }
}

async fn one(client: &Client, id: &str, args: &ReplayArgs) -> Result<(), Failure> {
    let answer = client.call(Call::post(["deliveries", id, "replay"]).json(to(args))).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let delivery: DeliveryView = view::read(&answer)?;
    Ok(output::data(&is_due(&delivery))?)
}

async fn of_run(client: &Client, run: &str, args: &ReplayArgs) -> Result<(), Failure> {
    let answer = client.call(Call::post(["runs", run, "replay"]).json(to(args))).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let again: RunSentAgainView = view::read(&answer)?;
    let lines: Vec<String> = again.deliveries.iter().map(is_due).collect();
    output::data(&lines.join("\n"))?;
    for refused in again.refused {
        output::message("note", &format!("{} is not sent again: {}", refused.id, refused.reason));
    }
    Ok(())
}

fn to(args: &ReplayArgs) -> Value {
    args.to.as_ref().map_or_else(|| json!({}), |to| json!({ "to": to }))
}

fn is_due(delivery: &DeliveryView) -> String {
    let DeliveryView { id, target, .. } = delivery;
    match (&delivery.replay_of, delivery.added) {
        (Some(first), true) => format!("{id} is due at {target}, with the event of {first}"),
        (_, true) => format!("{id} is due at {target}"),
        (_, false) => format!("{id} is due again at {target}"),
    }
}

async fn range(client: &Client, args: ReplayArgs, now: UnixMs) -> Result<(), Failure> {
    let ReplayArgs { to, range, per_second, dry_run, wait, wait_timeout, json, .. } = args;
    let mut request = json!({ "filter": filter(range, now) });
    if let Some(to) = to {
        request["to"] = json!(to);
    }
    if let Some(rate) = per_second {
        request["perSecond"] = json!(rate);
    }
    if dry_run {
        request["dryRun"] = json!(true);
    }
    let answer = client.call(Call::post(["replays"]).json(request)).await?;
    if wait {
        let begun: ReplayView = view::read(&answer)?;
        return follow::wait(client, &begun.id, wait_timeout, json).await;
    }
    if json {
        return Ok(output::json(&answer)?);
    }
    if dry_run {
        let CountedView { matched } = view::read(&answer)?;
        let match_it = if matched == 1 { "delivery matches" } else { "deliveries match" };
        return Ok(output::data(&format!("{matched} {match_it}; nothing was sent"))?);
    }
    let begun: ReplayView = view::read(&answer)?;
    output::data(&format!("replaying: {}\n{}", begun.id, replays::how_far(&begun)))?;
    output::message("note", &format!("`clawhook replays show {}` tells how far it is", begun.id));
    Ok(())
}

fn filter(range: RangeArgs, now: UnixMs) -> Value {
    let RangeArgs { destination, job, state, cause, since, until } = range;
    let words = |text: String| json!(text.split(',').map(str::trim).collect::<Vec<_>>());
    let members = [
        ("destination", destination.map(Value::from)),
        ("jobId", job.map(Value::from)),
        ("states", state.map(words)),
        ("causes", cause.map(words)),
        ("sinceMs", since.map(|since| json!(since.instant(now)))),
        ("untilMs", until.map(|until| json!(until.instant(now)))),
    ];
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<String, Value>>())
}
