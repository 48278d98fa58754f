//! Waiting for a replay, with a line that shows how far it is.

use std::time::{Duration, Instant};

use clawhook_model::format_duration;
use serde_json::Value;

use super::{how_far, outcomes};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::{self, Progress};
use crate::table;
use crate::view::{self, ReplayView};

/// The time between two questions, which grows.
const STEPS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// Whoever waits longer has forgotten it; and an instant beyond counting would be a crash.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How wide the bar is.
const BAR: u64 = 24;

/// Waits until a replay is over and all that it sent is settled. It is an error if not all of it arrived.
pub(crate) async fn wait(client: &Client, id: &str, timeout: Duration, json: bool) -> Result<(), Failure> {
    let answer = last_answer(client, id, timeout).await?;
    let replay: ReplayView = view::read(&answer)?;
    if json {
        output::json(&answer)?;
    } else {
        output::data(&table::facts([
            ("replay", replay.id.clone()),
            ("state", replay.state.clone()),
            ("progress", how_far(&replay)),
            ("outcomes", outcomes(&replay)),
        ]))?;
    }
    let hint = format!(
        "`clawhook replays show {id}` shows how it ends, `clawhook deliveries list --state dead` what failed"
    );
    if !is_over(&replay) {
        let message = format!("after {} it is not over, and goes on", format_duration(timeout));
        return Err(Failure::with_hint(message, hint));
    }
    if replay.state != "done" {
        let why = replay.reason.unwrap_or_else(|| "no reason is given".to_owned());
        return Err(Failure::with_hint(format!("the replay is {}: {why}", replay.state), hint));
    }
    if replay.outcomes.delivered < replay.done {
        let missing = replay.done - replay.outcomes.delivered;
        return Err(Failure::with_hint(format!("{missing} of {} did not arrive", replay.done), hint));
    }
    Ok(())
}

/// The answer once everything is settled, or as it is when the time is over.
async fn last_answer(client: &Client, id: &str, timeout: Duration) -> Result<Value, Failure> {
    let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
    let mut progress = Progress::new();
    let [mut step, longest] = STEPS;
    loop {
        let answer = client.call(Call::get(["replays", id])).await?;
        let replay: ReplayView = view::read(&answer)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if is_over(&replay) || left.is_zero() {
            return Ok(answer);
        }
        progress.show(&bar(&replay));
        tokio::time::sleep(step.min(left)).await;
        step = (step * 2).min(longest);
    }
}

fn is_over(replay: &ReplayView) -> bool {
    replay.state != "running" && replay.outcomes.open == 0
}

/// The part that is settled, as a bar, and the numbers.
fn bar(replay: &ReplayView) -> String {
    let settled = (replay.done + replay.skipped).saturating_sub(replay.outcomes.open);
    let filled = (BAR * settled).checked_div(replay.matched).unwrap_or(BAR).min(BAR);
    let drawn = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or(0));
    format!(
        "[{}{}] {settled} of {}: {}",
        drawn("#", filled),
        drawn("-", BAR - filled),
        replay.matched,
        outcomes(replay)
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bar_shows_what_is_settled() {
        let shown = |done: u64, open: u64| {
            let replay = json!({
                "id": "rpl_1", "state": "running", "matched": 400, "done": done, "skipped": 0,
                "outcomes": { "open": open, "delivered": done - open, "dead": 0, "cancelled": 0 },
            });
            bar(&ReplayView::deserialize(replay).unwrap())
        };
        assert_eq!(
            shown(0, 0),
            "[------------------------] 0 of 400: 0 delivered, 0 open, 0 dead, 0 cancelled"
        );
        assert_eq!(
            shown(250, 50),
            "[############------------] 200 of 400: 200 delivered, 50 open, 0 dead, 0 cancelled"
        );
    }
}
