//! `clawhook cron follow`, and `clawhook cron run --follow`: what a run says while it goes on.

use std::io::{IsTerminal as _, stderr};
use std::process::ExitCode;

use clap::Args;
use clawhook_clock::Clock;
use clawhook_model::UnixMs;
use serde_json::Value;

use super::run::{self, Patience};
use crate::client::{Call, Client};
use crate::events::ServerEvent;
use crate::failure::Failure;
use crate::moment;
use crate::output;
use crate::signals::StopSignals;
use crate::view::RunView;

/// The exit code of a command that was interrupted, as shells count it.
const INTERRUPTED: u8 = 130;
/// How much of a tool's arguments is shown, in characters.
const LONGEST_ARGUMENTS: usize = 100;

/// The flags of `clawhook cron follow`.
#[derive(Args)]
pub(super) struct FollowArgs {
    /// The run's id
    #[arg(value_name = "RUN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    run: String,
}

/// Follows a run that was accepted before.
pub(super) async fn run(client: &Client, args: &FollowArgs, clock: &dyn Clock) -> Result<ExitCode, Failure> {
    to_the_end(client, &args.run, Patience::DEFAULT, clock).await
}

/// Shows what a run says until it is over, and then how it and its delivery end. Who interrupts it leaves the run going.
pub(super) async fn to_the_end(
    client: &Client,
    run_id: &str,
    patience: Patience,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let mut stop = StopSignals::catch()?;
    tokio::select! {
        ended = shown_to_the_end(client, run_id, patience, clock) => ended.map(|()| ExitCode::SUCCESS),
        () = stop.next() => {
            output::message("note", &format!("{run_id} goes on; `clawhook cron cancel {run_id}` ends it"));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

async fn shown_to_the_end(
    client: &Client,
    run_id: &str,
    patience: Patience,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let mut events = client.events(Call::get(["runs", run_id, "live"])).await?;
    let mut screen = Screen::default();
    while let Some(event) = client.next_event(&mut events).await? {
        if event.name == "end" {
            screen.close()?;
            return run::conclude(client, run_id, patience, clock, screen.has_told).await;
        }
        screen.show(&event, clock.now())?;
    }
    screen.close()?;
    Err(Failure::with_hint(
        "lost sight of the run: the gateway ended the connection",
        format!("the run is not lost; `clawhook cron follow {run_id}` goes on once the gateway is there"),
    ))
}

/// What is shown: the run's own words on standard output, what is told about it on standard error.
#[derive(Default)]
struct Screen {
    /// Whether a line is begun on standard output.
    is_open: bool,
    /// Whether the run's output was shown.
    has_told: bool,
}

impl Screen {
    fn show(&mut self, event: &ServerEvent, now: UnixMs) -> Result<(), Failure> {
        // A kind of event that this client does not know is no reason to stop.
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else { return Ok(()) };
        match event.name.as_str() {
            "text" | "output" => self.words(data["text"].as_str().unwrap_or_default()),
            "waiting" => self.aside(&waiting(&data, now)),
            "asked" => self.aside(&format!("asks {}/{}", text(&data, "provider"), text(&data, "model"))),
            "toolCall" => self.aside(&format!("calls {} {}", text(&data, "name"), arguments(&data))),
            "toolResult" if data["isError"] == true => self.aside(&format!("{} failed", text(&data, "name"))),
            "note" => self.aside(text(&data, "text")),
            "missed" => self.aside("some of the output was missed here; the run's result will have it"),
            _ => Ok(()),
        }
    }

    fn words(&mut self, words: &str) -> Result<(), Failure> {
        let shown = output::printable_stream(words);
        if !shown.is_empty() {
            output::part(&shown)?;
            self.is_open = !shown.ends_with('\n');
            self.has_told = true;
        }
        Ok(())
    }

    /// One dim line beside the output.
    fn aside(&mut self, text: &str) -> Result<(), Failure> {
        self.close()?;
        output::aside(text, stderr().is_terminal());
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.is_open) {
            output::part("\n")?;
        }
        Ok(())
    }
}

fn text<'a>(data: &'a Value, member: &str) -> &'a str {
    data[member].as_str().unwrap_or_default()
}

fn waiting(data: &Value, now: UnixMs) -> String {
    let until = data["readyAtMs"].as_i64().map(UnixMs::from_millis).filter(|ready| *ready > now);
    let until = until.map(|until| format!(" until {}", moment::both(until, now))).unwrap_or_default();
    let word = if data["deferred"] == true { "deferred" } else { "waits" };
    format!("{word}{until}: {}", text(data, "reason"))
}

fn arguments(data: &Value) -> String {
    let whole = data["arguments"].to_string();
    let cut: String = whole.chars().take(LONGEST_ARGUMENTS).collect();
    if cut.len() < whole.len() { format!("{cut}…") } else { whole }
}

/// How a run that waits is shown in a word, and until when and why.
pub(super) fn standing(run: &RunView, now: UnixMs) -> Option<String> {
    let waits = run.waits.as_ref().filter(|waits| waits.deferred)?;
    let until = waits.ready_at_ms.map(|at| format!(" until {}", moment::both(at, now))).unwrap_or_default();
    Some(format!("deferred{until}: {}", waits.reason))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_that_waits_says_until_when_and_why() {
        let now = UnixMs::from_millis(0);
        let wait = json!({ "readyAtMs": 60_000, "reason": "slow down", "deferred": true });
        let shown = waiting(&wait, now);
        assert!(shown.starts_with("deferred until ") && shown.ends_with(": slow down"), "{shown}");
        let wait = json!({ "readyAtMs": 0, "reason": "its time, and a free slot", "deferred": false });
        assert_eq!(waiting(&wait, now), "waits: its time, and a free slot");
    }

    #[test]
    fn long_arguments_are_cut() {
        assert_eq!(arguments(&json!({ "arguments": { "a": 1 } })), "{\"a\":1}");
        assert!(arguments(&json!({ "arguments": "x".repeat(500) })).ends_with("x…"));
    }
}
