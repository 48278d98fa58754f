//! `clawhook deliveries`: what is carried where, and how that went.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_clock::Clock;
use clawhook_model::UnixMs;
use serde::Deserialize as _;
use serde_json::Value;

use crate::client::{Call, Client};
use crate::connection::ConnectionArgs;
use crate::failure::Failure;
use crate::state_dir::StateDirArgs;
use crate::table::{Column, NONE};
use crate::view::{self, AttemptView, DeliveriesPage, DeliveryView};
use crate::{moment, output, table};

/// The flags of `clawhook deliveries`.
#[derive(Args)]
pub(crate) struct DeliveriesArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: DeliveriesCommand,
}

#[derive(Subcommand)]
enum DeliveriesCommand {
    /// List deliveries, the newest first
    List(ListArgs),
    /// Show one delivery with all its attempts
    Show(ShowArgs),
    /// Try again what was given up or waits, now
    Retry(OneArgs),
}

#[derive(Args)]
struct ListArgs {
    /// Only of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only of this run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Only in these states, parted by commas: pending, leased, waiting, delivered, dead, cancelled, suppressed
    #[arg(long, value_name = "STATES")]
    state: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Leave out so many first
    #[arg(long, value_name = "N")]
    offset: Option<u64>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ShowArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Show this attempt in full instead of the last
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
}

#[derive(Args)]
struct OneArgs {
    /// The delivery's id, `dlv_…`
    #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    id: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command that was typed.
pub(crate) async fn run(
    args: DeliveriesArgs,
    state_dir: &StateDirArgs,
    clock: &dyn Clock,
) -> Result<ExitCode, Failure> {
    let client = Client::new(args.connection.resolve(state_dir)?)?;
    match args.command {
        DeliveriesCommand::List(args) => list(&client, args, clock.now()).await?,
        DeliveriesCommand::Show(args) => show(&client, &args, clock.now()).await?,
        DeliveriesCommand::Retry(args) => retry(&client, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, args: ListArgs, now: UnixMs) -> Result<(), Failure> {
    let call = Call::get(["deliveries"])
        .maybe("jobId", args.job)
        .maybe("runId", args.run)
        .maybe("state", args.state)
        .query("limit", args.limit)
        .maybe("offset", args.offset);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: DeliveriesPage = view::read(&answer)?;
    if page.deliveries.is_empty() {
        output::message("note", "no deliveries");
        return Ok(());
    }
    const COLUMNS: [Column; 8] = [
        Column::whole("ID"),
        Column::whole("State"),
        Column::cut("Tries", 5),
        Column::cut("Target", 20),
        Column::optional("Made", 8, 2),
        Column::optional("Next", 6, 1),
        Column::optional("Reason", 16, 3),
        Column::optional("Job", 36, 4),
    ];
    let rows = page.deliveries.iter().map(|delivery| row(delivery, now)).collect();
    output::data(&table::render(&COLUMNS, rows))?;
    page.page.note_rest(page.deliveries.len());
    Ok(())
}

fn row(delivery: &DeliveryView, now: UnixMs) -> Vec<String> {
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::relative(instant, now))
    };
    vec![
        delivery.id.clone(),
        delivery.state.clone(),
        delivery.tries().to_string(),
        delivery.target.clone(),
        at(delivery.created_at_ms),
        at(delivery.next_at_ms),
        delivery.reason.clone().unwrap_or_else(|| NONE.to_owned()),
        delivery.job_id.clone(),
    ]
}

async fn show(client: &Client, args: &ShowArgs, now: UnixMs) -> Result<(), Failure> {
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
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::both(instant, now))
    };
    vec![
        ("id", delivery.id.clone()),
        ("state", delivery.state.clone()),
        ("reason", delivery.reason.clone().unwrap_or_else(|| NONE.to_owned())),
        ("target", delivery.target.clone()),
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

async fn retry(client: &Client, args: &OneArgs) -> Result<(), Failure> {
    let answer: Value = client.call(Call::post(["deliveries", &args.id, "retry"])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let delivery: DeliveryView = view::read(&answer)?;
    Ok(output::data(&format!("{} is {} and will be tried now", delivery.id, delivery.state))?)
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
