//! `clawhook deliveries show`: one delivery, its attempts, and one of them in full.

use clap::Args;
use clawhook_model::UnixMs;
use serde::Deserialize as _;
use serde_json::Value;

use super::OneArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::view::{self, AttemptView, DeliveryView};
use crate::{moment, output, table};

/// The flags of `clawhook deliveries show`.
#[derive(Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Show this attempt in full instead of the last
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
}

/// Shows it.
pub(super) async fn run(client: &Client, args: &ShowArgs, now: UnixMs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["deliveries", &args.one.id])).await?;
    if args.one.json {
        return Ok(output::json(&answer)?);
    }
    let delivery: DeliveryView = view::read(&answer)?;
    let attempts = Vec::<AttemptView>::deserialize(&delivery.attempts).unwrap_or_default();
    let in_full = match args.attempt {
        None => attempts.last(),
        Some(number) => Some(find(&attempts, number)?),
    };
    let mut text = table::facts(facts(&delivery, now));
    if let Some(in_full) = in_full {
        const COLUMNS: [Column; 5] = [
            Column::whole("#"),
            Column::whole("Began"),
            Column::cut("Result", 12),
            Column::cut("Took", 6),
            Column::cut("Then", 20),
        ];
        text.push('\n');
        text.push_str(&table::render(&COLUMNS, attempts.iter().map(attempt_row).collect()));
        text.push_str("\n\n");
        text.push_str(&attempt_in_full(in_full));
    }
    Ok(output::data(&text)?)
}

fn find(attempts: &[AttemptView], number: u32) -> Result<&AttemptView, Failure> {
    let found = attempts.iter().find(|attempt| attempt.number == number);
    found.ok_or_else(|| {
        let message = format!("the delivery has no attempt {number}");
        Failure::with_hint(
            message,
            format!("it has {} so far; leave `--attempt` out for the last", attempts.len()),
        )
    })
}

fn facts(delivery: &DeliveryView, now: UnixMs) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| NONE.to_owned());
    let replayed_as = &delivery.replayed_as;
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::both(instant, now))
    };
    vec![
        ("id", delivery.id.clone()),
        ("state", delivery.state.clone()),
        ("reason", text(&delivery.reason)),
        ("cause", text(&delivery.cause)),
        ("target", delivery.target.clone()),
        ("destination", text(&delivery.destination_id)),
        ("event", delivery.event_id.clone()),
        (
            "run",
            delivery.run_id.clone().unwrap_or_else(|| "none: the event tells of something else".to_owned()),
        ),
        ("job", delivery.job_id.clone()),
        ("made", at(delivery.created_at_ms)),
        ("tries", delivery.tries().to_string()),
        ("next try", at(delivery.next_at_ms)),
        ("settled", at(delivery.settled_at_ms)),
        ("after", text(&delivery.after)),
        (
            "acknowledgement",
            delivery.acknowledgement.as_ref().map_or_else(|| NONE.to_owned(), |given| given.text(now)),
        ),
        ("replay of", text(&delivery.replay_of)),
        ("replayed as", if replayed_as.is_empty() { NONE.to_owned() } else { replayed_as.join(", ") }),
    ]
}

fn attempt_row(attempt: &AttemptView) -> Vec<String> {
    vec![
        attempt.number.to_string(),
        attempt.started_at.to_string(),
        result(attempt),
        moment::length(attempt.timings.total_us / 1_000),
        attempt.decision.clone(),
    ]
}

fn result(attempt: &AttemptView) -> String {
    let status = attempt.status.map(|status| format!("HTTP {status} ")).unwrap_or_default();
    let error = attempt.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{status}{}{error}", attempt.class)
}

/// Everything that an attempt tells: `>` leads what was sent, `<` what was answered.
fn attempt_in_full(attempt: &AttemptView) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| NONE.to_owned());
    let connection = match (&attempt.peer, &attempt.tls_version) {
        (None, _) => NONE.to_owned(),
        (Some(peer), tls) => {
            let tls = tls.as_ref().map(|version| format!(", TLS {version}")).unwrap_or_default();
            let reused = if attempt.connection_reused { ", used again" } else { "" };
            format!("{peer}{tls}{reused}")
        }
    };
    let mut text = table::known_facts([
        ("attempt", attempt.number.to_string()),
        ("result", result(attempt)),
        ("then", attempt.decision.clone()),
        ("connection", connection),
        ("redirect to", or_none(&attempt.location)),
        ("asked to wait", asked_to_wait(&attempt.retry_after)),
    ]);
    for (mark, headers) in [('>', &attempt.request_headers), ('<', &attempt.response_headers)] {
        for (name, value) in headers {
            text.push_str(&output::printable(&format!("{mark} {name}: {value}")));
            text.push('\n');
        }
    }
    if let Some(body) = &attempt.response_body {
        const MOST_CHARS: usize = 2_000;
        let start: String = body.chars().take(MOST_CHARS).collect();
        let more = attempt.response_truncated || start.len() < body.len();
        text.push_str(&format!("<\n{}{}", output::printable_lines(&start), if more { "…" } else { "" }));
    }
    text
}

fn asked_to_wait(retry_after: &Value) -> String {
    let seconds =
        retry_after["seconds"].as_u64().map(|seconds| moment::length(seconds.saturating_mul(1_000)));
    let instant = retry_after["at"].as_i64().map(|ms| format!("until {}", UnixMs::from_millis(ms)));
    seconds.or(instant).unwrap_or_else(|| NONE.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attempt_tells_its_whole_story() {
        let attempt = AttemptView::deserialize(json!({
            "number": 2, "startedAt": 0, "class": "server_error", "status": 503, "error": "the receiver answered 503",
            "peer": "203.0.113.7:443", "tlsVersion": "1.3", "connectionReused": true,
            "retryAfter": { "seconds": 120 },
            "requestHeaders": [["webhook-id", "evt_1"], ["authorization", "***"]],
            "responseHeaders": [["x-evil", "\u{9b}31m red"]],
            "responseBody": "busy\u{1b}[2J", "responseTruncated": true,
            "decision": "tried again in 2m",
        }))
        .unwrap();
        let told = attempt_in_full(&attempt);
        assert_eq!(
            told,
            "attempt: 2\n\
             result: HTTP 503 server_error: the receiver answered 503\n\
             then: tried again in 2m\n\
             connection: 203.0.113.7:443, TLS 1.3, used again\n\
             asked to wait: 2m\n\
             > webhook-id: evt_1\n\
             > authorization: ***\n\
             < x-evil: 31m red\n\
             <\n\
             busy[2J…"
        );
    }

    #[test]
    fn an_attempt_of_an_older_gateway_is_shown_too() {
        let attempt =
            AttemptView::deserialize(json!({ "number": 1, "startedAt": 0, "class": "connect_failed" }))
                .unwrap();
        assert_eq!(attempt_in_full(&attempt), "attempt: 1\nresult: connect_failed\nthen: \n");
    }
}
