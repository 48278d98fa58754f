//! `clawhook cron get` and `clawhook cron show`, and what `add` and `edit` show of the job they saved.

use std::time::Duration;

use clawhook_model::{UnixMs, Usd, format_duration};
use serde_json::{Map, Value};

use super::IdArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::NONE;
use crate::view::{self, JobView};
use crate::{moment, output, table};

/// Prints the job's JSON.
pub(super) async fn get(client: &Client, args: &IdArgs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["jobs", &args.id])).await?;
    Ok(output::json(&answer)?)
}

/// Shows the job to a person.
pub(super) async fn run(client: &Client, args: &IdArgs, now: UnixMs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["jobs", &args.id])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let job: JobView = view::read(&answer)?;
    let mut facts = definition(&job, now);
    facts.extend(standing(&job, now));
    facts.extend(costs(&job));
    facts.extend(history(&job, now));
    output::data(&table::facts(facts))?;
    warn_if_switched_off(&job);
    Ok(())
}

/// Shows a job that was just saved, and passes on what the gateway notes about it.
pub(super) fn saved(done: &'static str, answer: &Value, json: bool, now: UnixMs) -> Result<(), Failure> {
    let job: JobView = view::read(answer)?;
    if json {
        output::json(answer)?;
    } else {
        let mut facts = vec![(done, job.title().to_owned())];
        facts.extend(definition(&job, now));
        output::data(&table::known_facts(facts))?;
    }
    for note in &job.notes {
        output::message("note", note);
    }
    Ok(())
}

/// The hooks of a job by stage.
fn hooks(hooks: &Map<String, Value>) -> String {
    let stage = |(stage, hooks): (&String, &Value)| {
        let names = hooks.as_array()?.iter().filter_map(|hook| hook["name"].as_str());
        Some(format!("{stage}: {}", names.collect::<Vec<_>>().join(", ")))
    };
    let mut parts: Vec<String> = hooks.iter().filter_map(stage).collect();
    if hooks.get("inheritGlobal") == Some(&Value::Bool(false)) {
        parts.push("none of the configuration's".to_owned());
    }
    if parts.is_empty() { NONE.to_owned() } else { parts.join("; ") }
}

/// The jobs whose end begins a job.
fn after(after: &[Value]) -> String {
    let parts: Vec<String> = after
        .iter()
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            format!("{} ({})", text("job"), text("on"))
        })
        .collect();
    if parts.is_empty() { NONE.to_owned() } else { parts.join(", ") }
}

fn definition(job: &JobView, now: UnixMs) -> Vec<(&'static str, String)> {
    let next = match (job.enabled, job.next_run_at_ms) {
        (true, Some(next)) => moment::both(next, now),
        _ => NONE.to_owned(),
    };
    let mut facts = vec![
        ("id", job.id.clone()),
        ("name", job.name.clone()),
        ("display name", text(job.display_name.as_ref())),
        ("description", text(job.description.as_ref())),
        ("enabled", if job.enabled { "yes" } else { "no" }.to_owned()),
        ("schedule", job.schedule_in_full()),
        ("session", job.session_target.clone()),
        ("continues", text(job.session_key.as_ref())),
        ("agent", text(job.effective_agent_id.as_ref())),
        ("model", job.payload["model"].as_str().unwrap_or(NONE).to_owned()),
        ("fallbacks", list(&job.payload["fallbacks"])),
        ("thinking", job.payload["thinking"].as_str().unwrap_or(NONE).to_owned()),
        ("tools", list(&job.payload["toolsAllow"])),
        ("does", work(&job.payload)),
        ("delivery", job.delivery_text()),
        ("alerts", alerts(&job.failure_alert)),
        ("misfire", policy(&job.effective, "misfire")),
        ("overlap", policy(&job.effective, "overlap")),
        ("result fits", job.output_schema.as_ref().map_or(NONE, |_| "a JSON Schema").to_owned()),
        ("budget", budget(&job.budget)),
        ("cleanup", text(job.cleanup.as_ref())),
        ("hooks", hooks(&job.hooks)),
        ("after", after(&job.after)),
        ("next", next),
    ];
    if job.upcoming.len() > 1 {
        facts.push(("then", job.upcoming[1..].join(", ")));
    }
    facts
}

/// What a policy says, in a few words: `each, max 5, no later than 1h`.
fn policy(effective: &Map<String, Value>, name: &str) -> String {
    let Some(policy) = effective.get(name) else { return NONE.to_owned() };
    let max = policy["max"].as_u64().map(|max| format!("max {max}"));
    let lateness = policy["maxLatenessSeconds"].as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok());
    let lateness = lateness.map(|lateness| format!("no later than {}", format_duration(lateness)));
    let parts = policy["policy"].as_str().map(str::to_owned).into_iter().chain(max).chain(lateness);
    parts.collect::<Vec<_>>().join(", ")
}

/// A list in a line; one that is empty says so, because it is not the agent's own.
fn list(given: &Value) -> String {
    match given.as_array() {
        None => NONE.to_owned(),
        Some(entries) if entries.is_empty() => "none at all".to_owned(),
        Some(entries) => entries.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// How much may be used in a day, in a few words: `$2.50, 1000 tokens`.
fn budget(budget: &Map<String, Value>) -> String {
    let usd = budget.get("usdPerDay").and_then(Value::as_f64).and_then(Usd::from_dollars);
    let tokens = budget.get("tokensPerDay").and_then(Value::as_u64);
    let parts: Vec<String> =
        [usd.map(|usd| usd.to_string()), tokens.map(|tokens| format!("{tokens} tokens"))]
            .into_iter()
            .flatten()
            .collect();
    if parts.is_empty() { NONE.to_owned() } else { format!("{} a day", parts.join(", ")) }
}

/// What the job costs; only what is known.
fn costs(job: &JobView) -> Vec<(&'static str, String)> {
    let today = job.budget_today.as_ref().map(|today| ("today", today.text()));
    let forecast = job.forecast.as_ref().map(|forecast| ("forecast", forecast.text()));
    today.into_iter().chain(forecast).collect()
}

/// What holds the job back at the moment, and what goes on; only what is so.
fn standing(job: &JobView, now: UnixMs) -> Vec<(&'static str, String)> {
    let state = &job.state;
    let mut facts = Vec::new();
    if let Some(disabled) = &state.auto_disabled {
        facts.push(("auto-disabled", format!("{}: {}", moment::both(disabled.at_ms, now), disabled.text())));
    }
    if let Some(until) = state.backoff_until_ms.filter(|until| *until > now) {
        facts.push(("backs off until", moment::both(until, now)));
    }
    if state.consecutive_errors > 0 {
        facts.push(("failures in a row", state.consecutive_errors.to_string()));
    }
    if state.runs_running + state.runs_waiting > 0 {
        facts.push(("runs", format!("{} under way, {} waiting", state.runs_running, state.runs_waiting)));
    }
    facts
}

/// Says why a job that its owner wants run is not, and how to go on.
pub(super) fn warn_if_switched_off(job: &JobView) {
    if let Some(disabled) = &job.state.auto_disabled {
        let why = disabled.text();
        output::message("warning", &format!("{} is auto-disabled: {why}", job.title()));
        output::message(
            "hint",
            &format!("mend the cause, then switch it on again: `clawhook cron enable {}`", job.id),
        );
    }
}

fn history(job: &JobView, now: UnixMs) -> Vec<(&'static str, String)> {
    let last = job.last_run_at_ms.map_or_else(|| NONE.to_owned(), |last| moment::both(last, now));
    vec![
        ("last", last),
        ("status", job.status.clone()),
        ("last run", text(job.last_run_status.as_ref())),
        ("last completion", text(job.last_completion_status.as_ref())),
        ("last error", text(job.last_run_error.as_ref())),
        ("last delivery", text(job.last_delivery_status.as_ref())),
        ("last delivery suppression", text(job.delivery_suppression_reason.as_ref())),
        ("last delivery error", text(job.last_delivery_error.as_ref())),
        ("last alert", text(job.last_failure_notification_delivery_status.as_ref())),
        ("last alert error", text(job.last_failure_notification_delivery_error.as_ref())),
    ]
}

/// What a job does, in a line.
fn work(payload: &Value) -> String {
    let kind = payload["kind"].as_str().unwrap_or(NONE);
    let content = match kind {
        "agentTurn" => payload["message"].as_str().unwrap_or_default().to_owned(),
        "systemEvent" => payload["text"].as_str().unwrap_or_default().to_owned(),
        "heartbeat" => return "heartbeat: looks after the agent's main session".to_owned(),
        _ => payload["argv"].to_string(),
    };
    format!("{kind}: {content}")
}

/// What a job says of alerts, in a line.
fn alerts(given: &Value) -> String {
    match given {
        Value::Null => NONE.to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::Object(members) if members.is_empty() => "by the gateway's rules".to_owned(),
        members => members.to_string(),
    }
}

fn text(value: Option<&String>) -> String {
    value.cloned().unwrap_or_else(|| NONE.to_owned())
}
