//! `clawhook destinations test`.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::OneArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::NONE;
use crate::view::{self, TestAttempt, TestView};
use crate::{moment, output, table};

/// The longest that a request to a receiver can be given.
const LONGEST_REQUEST: Duration = Duration::from_mins(5);
/// How much of an answer is shown, in characters.
const MOST_SHOWN: usize = 2_000;

/// Sends the test event and shows how it went. The exit code is 1 where the receiver did not take it.
pub(super) async fn run(client: &Client, args: &OneArgs) -> Result<ExitCode, Failure> {
    let call = Call::post(["destinations", &args.name, "test"]).allowing(LONGEST_REQUEST);
    let answer = client.call(call).await?;
    let test: TestView = view::read(&answer)?;
    if args.json {
        output::json(&answer)?;
    } else {
        output::data(&story(&test))?;
    }
    if test.delivered {
        return Ok(ExitCode::SUCCESS);
    }
    output::message("error", &format!("`{}` did not take the test event", test.target));
    Ok(ExitCode::FAILURE)
}

fn story(test: &TestView) -> String {
    let attempt = &test.attempt;
    let mut text = table::known_facts([
        ("destination", test.target.clone()),
        ("event", test.event_id.clone()),
        ("result", result(attempt)),
        ("took", took(attempt)),
    ]);
    for (name, value) in &attempt.request_headers {
        text.push_str(&output::printable(&format!("> {name}: {value}")));
        text.push('\n');
    }
    if let Some(body) = &attempt.response_body {
        let start: String = body.chars().take(MOST_SHOWN).collect();
        let more = attempt.response_truncated || start.len() < body.len();
        text.push_str(&format!(
            "answer:\n{}{}",
            output::printable_lines(&start),
            if more { "…" } else { "" }
        ));
    }
    text
}

fn result(attempt: &TestAttempt) -> String {
    let status = attempt.status.map(|status| format!("HTTP {status} ")).unwrap_or_default();
    let error = attempt.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{status}{}{error}", attempt.class)
}

/// The time in all, and what each phase had of it.
fn took(attempt: &TestAttempt) -> String {
    let phases = [
        ("dnsUs", "name"),
        ("connectUs", "connection"),
        ("tlsUs", "TLS"),
        ("firstByteUs", "first byte"),
        ("bodyUs", "body"),
    ];
    let micros = |key: &str| attempt.timings.get(key).and_then(Value::as_u64);
    let Some(total) = micros("totalUs") else { return NONE.to_owned() };
    let parts: Vec<String> =
        phases.iter().filter_map(|(key, name)| Some(format!("{name} {}", short(micros(key)?)))).collect();
    if parts.is_empty() { short(total) } else { format!("{} ({})", short(total), parts.join(", ")) }
}

fn short(micros: u64) -> String {
    if micros < 1_000 { format!("{micros}µs") } else { moment::length(micros / 1_000) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_test_tells_its_story_and_nothing_that_a_terminal_would_obey() {
        let test = TestView::deserialize(json!({
            "delivered": false, "target": "ops", "eventId": "evt_1",
            "attempt": {
                "class": "server_error", "status": 503, "error": "the receiver answered 503",
                "requestHeaders": [["authorization", "***"]],
                "responseBody": "busy\u{1b}[2J", "responseTruncated": true,
                "timings": { "dnsUs": 400, "firstByteUs": 12_000, "totalUs": 13_100 },
            },
        }))
        .unwrap();
        assert_eq!(
            story(&test),
            "destination: ops\n\
             event: evt_1\n\
             result: HTTP 503 server_error: the receiver answered 503\n\
             took: 13ms (name 400µs, first byte 12ms)\n\
             > authorization: ***\n\
             answer:\n\
             busy[2J…"
        );
    }
}
