//! `clawhook hooks requests` and `inspect`.

use clap::Args;
use clawhook_model::UnixMs;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::{moment, output, table, view};

/// The flags of `clawhook hooks requests`.
#[derive(Args)]
pub(super) struct RequestsArgs {
    /// The hook's id
    #[arg(value_name = "HOOK", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    hook: String,
    /// Only those that are not over
    #[arg(long, conflicts_with = "over")]
    open: bool,
    /// Only those that are over
    #[arg(long)]
    over: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Only those before this one: what another page says at its end
    #[arg(long, value_name = "REQUEST")]
    before: Option<String>,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 6] = [
    Column::whole("Request"),
    Column::optional("Came", 9, 1),
    Column::whole("Outcome"),
    Column::whole("Over"),
    Column::optional("From", 9, 3),
    Column::optional("Run", 12, 2),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestView {
    request_id: String,
    hook: String,
    path: String,
    received_at_ms: UnixMs,
    completed_at_ms: Option<UnixMs>,
    outcome: String,
    replay_of: Option<String>,
    client: Option<String>,
    body_bytes: u64,
    answer: Value,
    run_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestsPage {
    requests: Vec<RequestView>,
    next_before: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestDetail {
    #[serde(flatten)]
    request: RequestView,
    headers: Option<Vec<(String, String)>>,
    body: Option<String>,
    body_base64: Option<String>,
    runs: Vec<Value>,
}

/// Lists them.
pub(super) async fn run(client: &Client, args: RequestsArgs, now: UnixMs) -> Result<(), Failure> {
    let open = if args.open { Some(true) } else { args.over.then_some(false) };
    let call = Call::get(["hooks", &args.hook, "requests"])
        .maybe("open", open)
        .maybe("before", args.before)
        .query("limit", args.limit);
    let answer = client.call(call).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let page: RequestsPage = view::read(&answer)?;
    if page.requests.is_empty() {
        output::message("note", "no requests");
    } else {
        let rows = page.requests.iter().map(|request| row(request, now)).collect();
        output::data(&table::render(&COLUMNS, rows))?;
    }
    if let Some(next) = page.next_before {
        output::message("note", &format!("there may be more; --before {next} goes on"));
    }
    Ok(())
}

fn row(request: &RequestView, now: UnixMs) -> Vec<String> {
    let none = || NONE.to_owned();
    let runs = match request.run_ids.as_slice() {
        [] => none(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    };
    vec![
        request.request_id.clone(),
        moment::relative(request.received_at_ms, now),
        request.outcome.clone(),
        if request.completed_at_ms.is_some() { "yes" } else { "no" }.to_owned(),
        request.client.clone().unwrap_or_else(none),
        runs,
    ]
}

/// Shows one.
pub(super) async fn inspect(client: &Client, id: &str, json: bool, now: UnixMs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["hook-requests", id])).await?;
    if json {
        return Ok(output::json(&answer)?);
    }
    let RequestDetail { request, headers, body, body_base64, runs } = view::read(&answer)?;
    let mut lines = vec![
        format!("Request   {}", request.request_id),
        format!("Hook      {} ({})", request.hook, request.path),
        format!("Came      {}", moment::relative(request.received_at_ms, now)),
        format!("From      {}", request.client.as_deref().unwrap_or(NONE)),
        format!("Outcome   {}", request.outcome),
        format!("Answered  {}", request.answer),
    ];
    lines.extend(request.replay_of.map(|first| format!("Repeats   {first}")));
    for run in &runs {
        let word = |key: &str| run[key].as_str().unwrap_or(NONE).to_owned();
        let status = run["status"].as_str().map_or_else(|| word("state"), str::to_owned);
        lines.push(format!("Run       {} {status}", word("runId")));
    }
    match headers {
        Some(headers) => {
            lines.push(String::new());
            lines.extend(headers.into_iter().map(|(name, value)| format!("{name}: {value}")));
        }
        None => lines.push("Its headers and its body are forgotten: the store had no room left.".to_owned()),
    }
    lines.push(String::new());
    lines.push(match (body, body_base64) {
        (Some(body), _) if !body.is_empty() => body,
        (_, Some(_)) => format!("({} bytes that are no text; --json has them)", request.body_bytes),
        _ => "(no body)".to_owned(),
    });
    Ok(output::data(&lines.join("\n"))?)
}
