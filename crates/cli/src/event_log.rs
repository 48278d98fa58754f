//! `clawhook events`: what happened, and what happens.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clawhook_clock::Clock;
use clawhook_model::UnixMs;
use serde_json::{Value, json};

use crate::client::{Call, CallError, Client};
use crate::connection::ConnectionArgs;
use crate::events::ServerEvent;
use crate::failure::Failure;
use crate::signals::StopSignals;
use crate::state_dir::StateDirArgs;
use crate::{moment, output};

/// The exit code of a command that was interrupted, as shells count it.
const INTERRUPTED: u8 = 130;
/// How long it is waited before a gateway that was lost is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// How much of a text is shown in a line, in characters.
const LONGEST_TEXT: usize = 100;

/// The flags of `clawhook events`.
#[derive(Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    wanted: Wanted,
}

/// Which events, and how.
#[derive(Args)]
struct Wanted {
    /// Go on with what happens next, until it is interrupted; a gateway that is away for a while is waited for
    #[arg(long, short)]
    follow: bool,
    /// Only what comes behind this number of the log; 0 is its beginning
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// Only of these kinds; `run.*` is every kind that begins so. It can be given more than once
    #[arg(long = "type", value_name = "KIND", value_delimiter = ',')]
    types: Vec<String>,
    /// Only of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only of jobs that run as this agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Only of runs that ended so
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
    /// At most so many, without --follow; the newest where --after does not say where to begin
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "follow")]
    limit: Option<u32>,
    /// Print the API's JSON; with --follow a line of JSON for each event
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Status {
    Ok,
    Error,
    Skipped,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

impl Wanted {
    fn call(&self, after: Option<u64>) -> Call {
        let types = (!self.types.is_empty()).then(|| self.types.join(","));
        Call::get(["events"])
            .maybe("after", after)
            .maybe("types", types)
            .maybe("job", self.job.clone())
            .maybe("agent", self.agent.clone())
            .maybe("status", self.status.map(|status| status.as_str().to_owned()))
            .maybe("limit", self.limit)
    }
}

/// Shows them.
pub(crate) async fn run(
    args: EventsArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let EventsArgs { connection, wanted } = args;
    let client = Client::new(connection.resolve(state_dir)?)?;
    if !wanted.follow {
        return page(&client, &wanted, clock).await.map(|()| ExitCode::SUCCESS);
    }
    let mut stop = StopSignals::catch()?;
    tokio::select! {
        ended = follow(&client, &wanted, clock) => ended,
        () = stop.next() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

async fn page(client: &Client, args: &Wanted, clock: &dyn Clock) -> Result<(), Failure> {
    let answer = client.call(args.call(args.after)).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    if let Some(gap) = answer.get("gap") {
        tell_of_gap(gap);
    }
    let now = clock.now();
    for entry in answer["events"].as_array().into_iter().flatten() {
        let (kind, seq) = (entry["type"].as_str().unwrap_or_default(), entry["seq"].as_u64().unwrap_or(0));
        output::data(&line(seq, kind, &entry["event"], entry["atMs"].as_i64(), now))?;
    }
    let (next, end) = (&answer["nextAfter"], &answer["end"]);
    if next != end {
        output::message("note", &format!("there is more: `clawhook events --after {next}` goes on"));
    }
    Ok(())
}

async fn follow(client: &Client, args: &Wanted, clock: &dyn Clock) -> Result<ExitCode, Failure> {
    let mut after = args.after;
    let mut was_there = false;
    loop {
        match follow_once(client, args, &mut after, &mut was_there, clock).await? {
            // What cannot be understood or is refused will not be better the next time.
            Some(error) if !was_there || !is_passing(&error) => return Err(error.into()),
            Some(error) => output::message("note", &format!("{error}; it is tried again")),
            None => output::message("note", "the gateway has ended the connection; it is tried again"),
        }
        while let Err(error) = client.call(Call::get(["status"])).await {
            if !is_passing(&error) {
                return Err(error.into());
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn is_passing(error: &CallError) -> bool {
    matches!(error, CallError::Unreachable { .. } | CallError::NoAnswer { .. })
}

/// Follows until the connection is lost, and gives the reason where there is one.
async fn follow_once(
    client: &Client,
    args: &Wanted,
    after: &mut Option<u64>,
    was_there: &mut bool,
    clock: &dyn Clock,
) -> Result<Option<CallError>, Failure> {
    if after.is_none() {
        // Nothing may be lost between this moment and the first event, even if the gateway goes away before it.
        let newest = Call::get(["events"]).query("limit", 1_u32);
        match client.call(newest).await {
            Ok(answer) => *after = answer["end"].as_u64(),
            Err(error) => return Ok(Some(error)),
        }
    }
    let mut events = match client.events(args.call(*after)).await {
        Ok(events) => events,
        Err(error) => return Ok(Some(error)),
    };
    *was_there = true;
    loop {
        match client.next_event(&mut events).await {
            Ok(Some(event)) => {
                show(&event, args.json, clock.now())?;
                *after = event.id.as_deref().and_then(|id| id.parse().ok()).or(*after);
            }
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        }
    }
}

fn show(event: &ServerEvent, as_json: bool, now: UnixMs) -> Result<(), Failure> {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    if event.name == "gap" {
        tell_of_gap(&data);
        return Ok(());
    }
    // A block with an id alone says how far the log was read.
    if event.name.is_empty() {
        return Ok(());
    }
    let seq = event.id.as_deref().and_then(|id| id.parse().ok()).unwrap_or(0);
    if as_json {
        let line = json!({ "seq": seq, "type": event.name, "event": data });
        return Ok(output::data(&line.to_string())?);
    }
    Ok(output::data(&line(seq, &event.name, &data, data["atMs"].as_i64(), now))?)
}

fn tell_of_gap(gap: &Value) {
    let (after, upto) = (&gap["after"], &gap["upto"]);
    let many =
        gap["missing"].as_u64().map_or_else(|| "some events".to_owned(), |many| format!("{many} events"));
    output::message("warning", &format!("{many} between {after} and {upto} are kept no more"));
}

/// An event in one line.
fn line(seq: u64, kind: &str, event: &Value, at: Option<i64>, now: UnixMs) -> String {
    let ended =
        || event["runAtMs"].as_i64().zip(event["durationMs"].as_i64()).map(|(at, length)| at + length);
    let at = at.or_else(ended).map(UnixMs::from_millis);
    let at = at.map(|at| moment::both(at, now)).unwrap_or_default();
    let job = text(&event["jobName"]);
    let about = match kind {
        "run.finished" | "run.late" => {
            let said = if event["error"].is_string() { &event["error"] } else { &event["summary"] };
            format!("{}: {}", text(&event["status"]), text(said))
        }
        "run.started" => text(&event["trigger"]),
        "delivery.dead" => {
            format!("{}: {}", text(&event["delivery"]["target"]), text(&event["delivery"]["reason"]))
        }
        "gateway.alarm" => text(&event["detail"]),
        "gateway.alarm_cleared" => text(&event["alarm"]),
        _ => text(&event["reason"]),
    };
    let parts = [seq.to_string(), at, kind.to_owned(), job, about];
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join("  ")
}

/// The first line of a text, as far as it goes.
fn text(value: &Value) -> String {
    let first = value.as_str().unwrap_or_default().lines().next().unwrap_or_default();
    let cut: String = first.chars().take(LONGEST_TEXT).collect();
    output::printable(&cut)
}
