//! `clawhook cron hooks`.

use clap::Args;
use clawhook_model::UnixMs;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::{moment, output, table, view};

/// The flags of `clawhook cron hooks`.
#[derive(Args)]
pub(super) struct HooksArgs {
    /// The run's id, `run_…`; or a job's, for the hooks that were told when it was made
    #[arg(value_name = "RUN|JOB", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    of: String,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 7] = [
    Column::whole("Stage"),
    Column::cut("Hook", 12),
    Column::whole("Kind"),
    Column::whole("State"),
    Column::optional("Began", 8, 2),
    Column::optional("Took", 6, 3),
    Column::optional("Result", 16, 1),
];

/// How much of a result a line shows, in characters.
const LONGEST_EXCERPT: usize = 80;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallView {
    name: String,
    stage: String,
    kind: String,
    state: String,
    #[serde(default)]
    global: bool,
    started_at_ms: Option<UnixMs>,
    duration_ms: Option<u64>,
    decision: Option<String>,
    reason: Option<String>,
    error: Option<String>,
    output: Option<String>,
}

#[derive(Deserialize)]
struct Calls {
    #[serde(default)]
    hooks: Vec<CallView>,
}

/// Shows the calls of hooks around a run.
pub(super) async fn run(client: &Client, args: &HooksArgs, now: UnixMs) -> Result<(), Failure> {
    let call = if args.of.starts_with("run_") {
        Call::get(["runs", &args.of])
    } else {
        Call::get(["jobs", &args.of, "hooks"])
    };
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(answer.get("hooks").unwrap_or(&Value::Array(Vec::new())))?);
    }
    let calls: Calls = view::read(&answer)?;
    if calls.hooks.is_empty() {
        output::message("note", "no hook was called");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = calls.hooks.iter().map(|call| row(call, now)).collect();
    Ok(output::data(&table::render(&COLUMNS, rows))?)
}

fn row(call: &CallView, now: UnixMs) -> Vec<String> {
    let name = if call.global { format!("{} (global)", call.name) } else { call.name.clone() };
    vec![
        call.stage.clone(),
        name,
        call.kind.clone(),
        call.state.clone(),
        call.started_at_ms.map_or(NONE.to_owned(), |at| moment::relative(at, now)),
        call.duration_ms.map_or(NONE.to_owned(), moment::length),
        result(call),
    ]
}

fn result(call: &CallView) -> String {
    let said = call.error.as_ref().or(call.reason.as_ref()).or(call.output.as_ref());
    let line = said.and_then(|text| text.lines().map(str::trim).find(|line| !line.is_empty()));
    let parts: Vec<&str> = call.decision.as_deref().into_iter().chain(line).collect();
    if parts.is_empty() { NONE.to_owned() } else { parts.join(": ").chars().take(LONGEST_EXCERPT).collect() }
}
