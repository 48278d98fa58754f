//! `clawhook destinations get`, and what `add` and `edit` show of the destination they saved.

use clawhook_model::UnixMs;
use serde_json::Value;

use super::OneArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::table::{Column, NONE};
use crate::view::{self, DestinationView, QueueView};
use crate::{moment, output, table};

/// Shows the destination.
pub(super) async fn run(client: &Client, args: &OneArgs, now: UnixMs) -> Result<(), Failure> {
    let answer = client.call(Call::get(["destinations", &args.name])).await?;
    if args.json {
        return Ok(output::json(&answer)?);
    }
    let destination: DestinationView = view::read(&answer)?;
    let mut text = table::known_facts(definition(&destination));
    text.push_str(&table::facts(state(&destination, now)));
    if !destination.heads.is_empty() {
        text.push('\n');
        text.push_str(&heads(&destination, now));
    }
    Ok(output::data(&text)?)
}

/// Shows a destination that was just saved.
pub(super) fn saved(done: &'static str, answer: &Value, json: bool, now: UnixMs) -> Result<(), Failure> {
    if json {
        return Ok(output::json(answer)?);
    }
    let destination: DestinationView = view::read(answer)?;
    let mut facts = vec![(done, destination.handle().to_owned())];
    facts.extend(definition(&destination));
    facts.push(("standing", standing(&destination, now)));
    Ok(output::data(&table::known_facts(facts))?)
}

fn definition(destination: &DestinationView) -> Vec<(&str, String)> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| NONE.to_owned());
    let mut facts = vec![
        ("name", or_none(&destination.name)),
        ("id", destination.id.clone()),
        ("url", or_none(&destination.url)),
    ];
    let others = destination.definition.iter().filter(|(key, _)| *key != "url");
    facts.extend(others.map(|(key, value)| (key.as_str(), plain(value))));
    facts.push(("declared in", or_none(&destination.declared_in)));
    facts.push(("revision", destination.revision.to_string()));
    facts
}

/// A value of a definition in a line: `maxConcurrent 2, timeout 5s`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => format!("{key} {text}"),
                    other => format!("{key} {other}"),
                })
                .collect();
            members.join(", ")
        }
        other => other.to_string(),
    }
}

fn state(destination: &DestinationView, now: UnixMs) -> Vec<(&'static str, String)> {
    let at = |instant: Option<UnixMs>| {
        instant.map_or_else(|| NONE.to_owned(), |instant| moment::both(instant, now))
    };
    let jobs = match destination.jobs.as_slice() {
        [] => NONE.to_owned(),
        jobs => jobs.join(", "),
    };
    vec![
        ("standing", standing(destination, now)),
        ("failing since", at(destination.failing_since_ms)),
        ("waiting", waiting(&destination.queue)),
        ("oldest due", at(destination.queue.next_at_ms)),
        ("jobs", jobs),
    ]
}

fn standing(destination: &DestinationView, now: UnixMs) -> String {
    let standing = &destination.standing;
    match standing.since_ms {
        Some(since) => format!("{}, since {}", standing.text(), moment::both(since, now)),
        None => standing.text(),
    }
}

fn waiting(queue: &QueueView) -> String {
    let parts = [
        (queue.pending - queue.blocked.min(queue.pending), "never tried"),
        (queue.blocked, "behind another in an order"),
        (queue.waiting, "to be tried again"),
        (queue.leased, "being tried"),
    ];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}

/// The deliveries that others of their order wait for.
fn heads(destination: &DestinationView, now: UnixMs) -> String {
    const COLUMNS: [Column; 5] = [
        Column::whole("Holds up"),
        Column::whole("Delivery"),
        Column::whole("State"),
        Column::cut("Next", 6),
        Column::cut("Reason", 12),
    ];
    let rows = destination.heads.iter().map(|head| {
        vec![
            head.behind.to_string(),
            head.delivery_id.clone(),
            head.state.clone(),
            head.next_at_ms.map_or_else(|| NONE.to_owned(), |next| moment::relative(next, now)),
            head.reason.clone().unwrap_or_else(|| NONE.to_owned()),
        ]
    });
    table::render(&COLUMNS, rows.collect())
}
