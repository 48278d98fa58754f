//! Flat JSON for receivers whose users map members by hand (n8n, Zapier): every member is always there, null where the
//! event has no such thing, so that a mapping made from one event fits the next.

use clawhook_model::UnixMs;
use serde::Serialize;

use super::error::RenderError;
use super::facts::Facts;
use super::{RenderInput, Rendered};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Flat<'a> {
    event_id: String,
    r#type: &'a str,
    occurred_at: String,
    job_id: Option<&'a str>,
    job_name: Option<&'a str>,
    run_id: Option<&'a str>,
    trigger: Option<&'a str>,
    status: Option<&'a str>,
    headline: String,
    text: &'a str,
    error: Option<&'a str>,
    error_reason: Option<&'a str>,
    started_at: Option<String>,
    ended_at: Option<String>,
    duration_ms: Option<u64>,
    model: Option<&'a str>,
}

/// The members that people map, and the event whole under `event`.
pub(super) fn flat(event: &RenderInput<'_>) -> Result<Rendered, RenderError> {
    let facts = Facts::read(event.body)?;
    let flat = Flat {
        event_id: event.event_id.to_string(),
        r#type: event.kind,
        occurred_at: event.occurred_at.to_rfc3339(),
        job_id: given(&facts.job_id),
        job_name: given(&facts.job_name),
        run_id: given(&facts.run_id),
        trigger: given(&facts.trigger),
        status: given(&facts.status),
        headline: facts.headline(event.kind),
        text: &facts.text(),
        error: given(&facts.error),
        error_reason: given(&facts.error_reason),
        started_at: facts.run_at_ms.map(UnixMs::to_rfc3339),
        ended_at: facts.ended_at().map(UnixMs::to_rfc3339),
        duration_ms: facts.duration_ms,
        model: given(&facts.model),
    };
    let mut body = Vec::with_capacity(2 * event.body.len());
    // Writing plain data to memory cannot fail.
    serde_json::to_writer(&mut body, &flat).ok();
    body.pop();
    body.extend_from_slice(b",\"event\":");
    body.extend_from_slice(event.body);
    body.push(b'}');
    Ok(Rendered::json(body))
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
