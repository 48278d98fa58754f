//! The log of events, as answers show it.

use clawhook_store::{EventGap, EventPage, LoggedEvent};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventList {
    /// The events, in the order in which they were written.
    events: Vec<EventView>,
    /// Where the next page begins: what `after` is to be then.
    next_after: u64,
    /// The number of the newest event that there ever was; where `nextAfter` is as much, there is no more now.
    end: u64,
    /// What is kept no more of what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<EventGapView>,
}

/// An event as it stands in the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoggedEvent)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventView {
    /// Its number in the log.
    seq: u64,
    /// Its identity; `webhook-id` where it is delivered.
    event_id: String,
    /// What it tells of.
    #[schema(example = "run.finished")]
    r#type: &'static str,
    /// OpenClaw's word for that, where it has one: `added`, `updated`, `removed`, `started` or `finished`.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    /// When it happened.
    at_ms: i64,
    /// The job that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    /// The event itself, as it is delivered.
    #[schema(value_type = Object)]
    event: Value,
}

/// Events that are kept no more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventGap)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventGapView {
    /// Behind this number they lie.
    after: u64,
    /// The number of the last of them.
    upto: u64,
    /// How many they are, of whatever kind; left out where counting them would take too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<u64>,
}

impl EventGapView {
    /// What is missing behind a number.
    pub(crate) fn new(after: u64, gap: EventGap) -> Self {
        Self { after, upto: gap.upto, missing: gap.missing }
    }
}

impl EventList {
    /// A page that was read behind a number.
    pub(crate) fn new(after: u64, page: EventPage) -> Self {
        let gap = page.gap.map(|gap| EventGapView::new(after, gap));
        let events = page.events.into_iter().map(EventView::from).collect();
        Self { events, next_after: page.next, end: page.end, gap }
    }
}

impl From<LoggedEvent> for EventView {
    fn from(event: LoggedEvent) -> Self {
        Self {
            seq: event.seq,
            event_id: event.id.to_string(),
            r#type: event.kind.as_str(),
            action: event.kind.action(),
            at_ms: event.at.as_millis(),
            job_id: event.job_id.map(|id| id.to_string()),
            event: serde_json::from_slice(&event.body)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&event.body).into_owned())),
        }
    }
}
