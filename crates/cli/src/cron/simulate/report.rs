//! What was imagined, for people and for programs.

use clawhook_model::{Trigger, UnixMs};
use clawhook_schedule::{Entry, Happening, Transition};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::forecast::Expected;
use super::subject::Subject;
use crate::table::{self, Column, NONE};

/// What can happen, in one word.
pub(super) const EVENTS: [&str; 11] = [
    "begins",
    "catch-up",
    "retry",
    "waits",
    "held",
    "skipped",
    "missed",
    "cancelled",
    "interrupted",
    "failed",
    "disabled",
];
/// The word for a change of clocks.
const CLOCKS: &str = "clocks";

/// One thing that happens, in words.
pub(super) struct Line {
    /// What, in one word.
    pub(super) event: &'static str,
    at: UnixMs,
    due_at: Option<UnixMs>,
    reason: Option<String>,
    facts: Map<String, Value>,
}

impl Line {
    /// When it happens.
    pub(super) fn at(&self) -> UnixMs {
        self.at
    }

    /// The instant that it is about; that of the line itself where it is about none.
    pub(super) fn due_at(&self) -> UnixMs {
        self.due_at.unwrap_or(self.at)
    }

    /// Whether a run begins.
    pub(super) fn begins_a_run(&self) -> bool {
        ["begins", "catch-up", "retry"].contains(&self.event)
    }

    fn of(entry: &Entry) -> Self {
        let mut facts = Map::new();
        let (event, reason) = match &entry.what {
            Happening::Begins { trigger: Trigger::Retry, attempt } => {
                facts.insert("attempt".to_owned(), json!(attempt));
                ("retry", Some(format!("try {attempt}: the error may pass by itself")))
            }
            Happening::Begins { trigger: Trigger::CatchUp, .. } => {
                ("catch-up", Some("it was missed, or stands for instants that were".to_owned()))
            }
            Happening::Begins { .. } => ("begins", None),
            Happening::Waits => ("waits", Some("the runs before it are not over".to_owned())),
            Happening::Held { until } => {
                facts.insert("until".to_owned(), json!(until.to_rfc3339()));
                ("held", Some(format!("the job's runs failed; held until {until}")))
            }
            Happening::Skipped(reason) => ("skipped", Some(reason.to_string())),
            Happening::Missed(reason) => ("missed", Some(reason.to_string())),
            Happening::Cancelled => ("cancelled", Some("the next instant is due".to_owned())),
            Happening::Interrupted => {
                ("interrupted", Some("the gateway goes down; the run is not repeated".to_owned()))
            }
            Happening::Failed { retry_at, backoff_until } => {
                let reason = match (retry_at, backoff_until) {
                    (Some(at), _) => format!("it is tried again at {at}"),
                    (None, Some(until)) => format!("the job backs off until {until}"),
                    (None, None) => "nothing follows".to_owned(),
                };
                ("failed", Some(reason))
            }
            Happening::Disabled(disabled) => {
                let failures = disabled.consecutive_errors;
                ("disabled", Some(format!("{failures} failures in a row: the job is switched off")))
            }
        };
        Self { event, at: entry.at, due_at: Some(entry.due_at), reason, facts }
    }

    fn of_clocks(transition: &Transition) -> Self {
        Self {
            event: CLOCKS,
            at: transition.at,
            due_at: None,
            reason: Some(transition.note.clone()),
            facts: Map::new(),
        }
    }

    fn to_json(&self) -> Value {
        let mut out = self.facts.clone();
        out.insert("event".to_owned(), json!(self.event));
        out.insert("at".to_owned(), json!(self.at.to_rfc3339()));
        if let Some(due_at) = self.due_at {
            out.insert("dueAt".to_owned(), json!(due_at.to_rfc3339()));
        }
        if let Some(reason) = &self.reason {
            out.insert("reason".to_owned(), json!(reason));
        }
        Value::Object(out)
    }
}

/// What happens, and the changes of clocks among it, in order.
pub(super) fn lines(entries: &[Entry], transitions: &[Transition]) -> Vec<Line> {
    let mut lines: Vec<Line> =
        transitions.iter().map(Line::of_clocks).chain(entries.iter().map(Line::of)).collect();
    lines.sort_by_key(|line| line.at);
    lines
}

/// One job for programs.
pub(super) fn json(subject: &Subject, lines: &[Line], expected: Option<&Expected>, cut: bool) -> Value {
    let mut shown = json!({
        "id": subject.id, "name": subject.shown(), "schedule": subject.text,
        "timeZone": subject.zone.iana_name(), "truncated": cut,
        "events": lines.iter().map(Line::to_json).collect::<Vec<_>>(),
    });
    if let Some(expected) = expected {
        shown["expected"] = expected.json();
    }
    shown
}

/// One job for people.
pub(super) fn text(subject: &Subject, lines: &[Line], from: UnixMs, until: UnixMs) -> String {
    let head = format!("{}: {}", subject.shown(), subject.text);
    if lines.is_empty() {
        return format!("{head}\nnothing happens between {from} and {until}");
    }
    let columns =
        [Column::whole("At"), Column::whole("Due"), Column::whole("Event"), Column::cut("Reason", 16)];
    let rows = gathered(lines).into_iter().flat_map(|group| rows(group, &subject.zone)).collect();
    format!("{head}\n{}", table::render(&columns, rows))
}

/// Lines that say the same of one instant after the other, together.
fn gathered(lines: &[Line]) -> Vec<&[Line]> {
    lines
        .chunk_by(|one, next| one.event == next.event && one.at == next.at && one.reason == next.reason)
        .collect()
}

/// The lines of a group; of a long one the first and the last, and how many there are in between.
fn rows(group: &[Line], zone: &TimeZone) -> Vec<Vec<String>> {
    match group {
        [first, between @ .., last] if between.len() > 1 => {
            let more = format!("… {} more", between.len());
            let ditto = vec![String::new(), more, first.event.to_owned(), String::new()];
            vec![row(first, zone), ditto, row(last, zone)]
        }
        few => few.iter().map(|line| row(line, zone)).collect(),
    }
}

fn row(line: &Line, zone: &TimeZone) -> Vec<String> {
    let due = match line.due_at {
        Some(due) if due == line.at => "on time".to_owned(),
        Some(due) => local(due, zone),
        None => NONE.to_owned(),
    };
    vec![local(line.at, zone), due, line.event.to_owned(), line.reason.clone().unwrap_or_default()]
}

/// `2026-02-18 15:00:00 +01:00`.
fn local(instant: UnixMs, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(instant.as_millis()) {
        Ok(at) => at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        Err(_) => instant.to_string(),
    }
}
