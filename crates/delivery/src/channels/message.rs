//! What people are told of an event.

use std::borrow::Cow;

use clawhook_model::{EventId, UnixMs};
use serde::Deserialize;

use crate::format::{RenderError, RenderInput};
use crate::format::{one_line, unreadable};

/// The longest title; what is beyond is cut.
const MAX_TITLE_CHARS: usize = 200;
/// How much text a message has at most; what is beyond is cut, and said to be.
const MAX_TEXT_BYTES: usize = 256 * 1024;
/// Stands before what goes to a failure destination (contract §2.8).
const CRON_FAILURE: &str = "[Cron Failure] ";

/// How soon somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// In their own time.
    Normal,
    /// Now: something is wrong.
    High,
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFor {
    /// Whoever reads the job's results, or subscribed to events.
    Readers,
    /// The failure destination of a job, where each message says that it is one.
    FailureDestination,
}

/// A message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event that it tells of.
    pub event_id: EventId,
    /// When that came about.
    pub occurred_at: UnixMs,
    /// What it is about, on one line and without markup.
    pub title: String,
    /// Whether the title stands above the text where a channel has no titles of its own. An agent's answer speaks for
    /// itself.
    pub headed: bool,
    /// The text, in Markdown as agents write it.
    pub text: String,
    /// Where a person says that they have seen it.
    pub ack_url: Option<String>,
    /// How soon somebody should look.
    pub urgency: Urgency,
}

impl Message {
    /// The whole message in Markdown: the title where it is to be shown, the text, the link to acknowledge it.
    pub(super) fn markdown(&self) -> String {
        let mut whole = String::new();
        if self.headed && !self.title.is_empty() {
            whole = format!("**{}**\n\n", escaped(&self.title));
        }
        whole.push_str(self.text.trim());
        super::split::close_fence(&mut whole);
        if let Some(url) = &self.ack_url {
            whole.push_str(&format!("\n\n[Acknowledge]({url})"));
        }
        whole
    }
}

/// What an event says to people. What it lacks is empty, so that events of kinds that come later can be told too.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told<'a> {
    #[serde(borrow)]
    job_id: Cow<'a, str>,
    #[serde(borrow)]
    job_name: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    summary: Cow<'a, str>,
    #[serde(borrow)]
    error: Cow<'a, str>,
    #[serde(borrow)]
    error_reason: Cow<'a, str>,
    late: bool,
    /// Of alerts: what they say.
    #[serde(borrow)]
    message: Cow<'a, str>,
    /// Of notices: why an instant passed without a run.
    #[serde(borrow)]
    reason: Cow<'a, str>,
    /// Of notices: how many runs failed before the one that succeeded.
    failures: Option<u32>,
    #[serde(borrow)]
    delivery: GivenUp<'a>,
    #[serde(borrow)]
    auto_disabled: AutoDisabled<'a>,
    #[serde(borrow)]
    alarm: Cow<'a, str>,
    #[serde(borrow)]
    detail: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GivenUp<'a> {
    #[serde(borrow)]
    target: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AutoDisabled<'a> {
    consecutive_errors: Option<u32>,
    #[serde(borrow)]
    detail: Cow<'a, str>,
}

/// What people are told of a stored event: an agent's answer as it is; of everything else a title and what there is to
/// know.
pub fn message_of(
    event: &RenderInput<'_>,
    purpose: MessageFor,
    ack_url: Option<String>,
) -> Result<Message, RenderError> {
    let told: Told<'_> = serde_json::from_slice(event.body).map_err(|error| unreadable(&error))?;
    let title = told.title(event.kind);
    let (mut text, mut headed) = told.text(event.kind);
    if text.trim().is_empty() {
        // Nothing but a title: then that is the text.
        text = escaped(&title);
        headed = false;
    }
    bound(&mut text);
    let mut title: String = title.chars().take(MAX_TITLE_CHARS).collect();
    if purpose == MessageFor::FailureDestination {
        title.insert_str(0, CRON_FAILURE);
        if !headed {
            text.insert_str(0, CRON_FAILURE);
        }
    }
    Ok(Message {
        event_id: event.event_id,
        occurred_at: event.occurred_at,
        title,
        headed,
        text,
        ack_url,
        urgency: urgency(event.kind, &told.status, purpose),
    })
}

impl Told<'_> {
    /// What it is about: `daily-summary`, `daily-summary: error (timeout)`, `daily-summary: run missed`.
    fn title(&self, kind: &str) -> String {
        let name = if self.job_name.is_empty() { &self.job_id } else { &self.job_name };
        let name = one_line(name);
        let about = match kind {
            "run.finished" | "run.late" => {
                let late = if kind == "run.late" || self.late { ", late" } else { "" };
                match (&*self.status, &*self.error_reason) {
                    ("", _) => kind.replace('.', " "),
                    (status, "" | "unknown") => format!("{status}{late}"),
                    (status, reason) => format!("{status} ({reason}){late}"),
                }
            }
            "gateway.alarm" | "gateway.alarm_cleared" if !self.alarm.is_empty() => {
                let over = if kind == "gateway.alarm" { "" } else { " is over" };
                return format!("Gateway: {}{over}", one_line(&self.alarm));
            }
            // Its first line says what is wrong, and of which job.
            "job.alert" if !self.message.trim().is_empty() => {
                return one_line(self.message.trim().lines().next().unwrap_or_default());
            }
            kind => kind.replace(['.', '_'], " "),
        };
        if name.is_empty() { about } else { format!("{name}: {about}") }
    }

    /// The text, and whether the title is needed above it.
    fn text(&self, kind: &str) -> (String, bool) {
        let text = match kind {
            "run.finished" | "run.late" if self.status == "ok" => {
                return (self.summary.trim().to_owned(), kind == "run.late");
            }
            "run.finished" | "run.late" => match (self.error.trim(), self.summary.trim()) {
                ("", summary) => summary.to_owned(),
                (error, "") => error.to_owned(),
                (error, summary) => format!("{error}\n\n{summary}"),
            },
            // An alert says of which job it is.
            "job.alert" if !self.message.is_empty() => return (self.message.trim().to_owned(), false),
            "job.recovered" => match self.failures {
                Some(1) => "It succeeded after a failure.".to_owned(),
                Some(failures) => format!("It succeeded after {failures} failures in a row."),
                None => String::new(),
            },
            "job.auto_disabled" => match self.auto_disabled.consecutive_errors {
                Some(errors) => {
                    format!(
                        "It was switched off after {errors} errors in a row. {}",
                        self.auto_disabled.detail
                    )
                }
                None => String::new(),
            },
            "delivery.dead" => format!("To {}: {}", escaped(&self.delivery.target), self.delivery.reason),
            _ if !self.message.is_empty() => self.message.trim().to_owned(),
            _ if !self.reason.is_empty() => self.reason.trim().to_owned(),
            _ => self.detail.trim().to_owned(),
        };
        (text, true)
    }
}

fn urgency(kind: &str, status: &str, purpose: MessageFor) -> Urgency {
    match kind {
        "job.alert" | "job.auto_disabled" | "delivery.dead" | "gateway.alarm" => Urgency::High,
        "run.finished" | "run.late" if status == "error" => Urgency::High,
        _ if purpose == MessageFor::FailureDestination => Urgency::High,
        _ => Urgency::Normal,
    }
}

/// `text` so that Markdown makes no markup of it.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '<' | '~' | '&') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Cuts a text that is longer than any message.
fn bound(text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        super::split::close_fence(text);
        text.push_str("\n\n");
        text.push_str(super::split::CUT);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn told(kind: &str, body: &Value, purpose: MessageFor) -> Message {
        let at = UnixMs::from_millis(1_000);
        let body = Bytes::from(body.to_string());
        let event = RenderInput {
            event_id: EventId::from_bytes([7; 16]),
            kind,
            occurred_at: at,
            body: &body,
            ack_url: None,
        };
        message_of(&event, purpose, None).unwrap()
    }

    #[test]
    fn an_answer_speaks_for_itself_and_an_error_says_whose_it_is() {
        let ok =
            json!({ "jobId": "j1", "jobName": "daily", "status": "ok", "summary": " **Three** mails. " });
        let message = told("run.finished", &ok, MessageFor::Readers);
        assert_eq!((message.markdown().as_str(), message.title.as_str()), ("**Three** mails.", "daily: ok"));
        assert_eq!(message.urgency, Urgency::Normal);

        let error = json!({
            "jobName": "daily_mail", "status": "error", "errorReason": "timeout", "error": "too slow", "summary": "so far",
        });
        let message = told("run.finished", &error, MessageFor::Readers);
        assert_eq!(message.markdown(), "**daily_mail: error (timeout)**\n\ntoo slow\n\nso far");
        assert_eq!(message.urgency, Urgency::High);
    }

    #[test]
    fn a_failure_destination_is_told_that_it_is_one() {
        let error = json!({ "jobName": "daily", "status": "error", "error": "no" });
        let message = told("run.finished", &error, MessageFor::FailureDestination);
        assert_eq!(message.title, "[Cron Failure] daily: error");
        assert_eq!(message.markdown(), "**[Cron Failure] daily: error**\n\nno");
        let alert = json!({ "jobName": "daily", "message": "Automation \"daily\" failed 3 times\nLast error: no key" });
        let message = told("job.alert", &alert, MessageFor::FailureDestination);
        assert_eq!(message.title, "[Cron Failure] Automation \"daily\" failed 3 times");
        assert_eq!(
            message.markdown(),
            "[Cron Failure] Automation \"daily\" failed 3 times\nLast error: no key"
        );
    }

    #[test]
    fn every_kind_of_event_says_something() {
        for (kind, body, expected) in [
            (
                "job.recovered",
                json!({ "jobName": "d", "failures": 3 }),
                "**d: job recovered**\n\nIt succeeded after 3 failures in a row.",
            ),
            (
                "run.missed",
                json!({ "jobName": "d", "reason": "the gateway was not running" }),
                "**d: run missed**\n\nthe gateway was not running",
            ),
            ("job.removed", json!({ "jobName": "d" }), "d: job removed"),
            (
                "job.auto_disabled",
                json!({ "jobName": "d", "autoDisabled": { "consecutiveErrors": 10, "detail": "no key" } }),
                "**d: job auto disabled**\n\nIt was switched off after 10 errors in a row. no key",
            ),
            (
                "delivery.dead",
                json!({ "jobName": "d", "delivery": { "target": "ops", "reason": "HTTP 500" } }),
                "**d: delivery dead**\n\nTo ops: HTTP 500",
            ),
            (
                "gateway.alarm",
                json!({ "alarm": "clock", "detail": "The clock was set." }),
                "**Gateway: clock**\n\nThe clock was set.",
            ),
            ("gateway.alarm_cleared", json!({ "alarm": "clock" }), "Gateway: clock is over"),
            ("run.finished", json!({ "jobName": "d", "status": "ok" }), "d: ok"),
            ("something.new", json!({}), "something new"),
        ] {
            assert_eq!(told(kind, &body, MessageFor::Readers).markdown(), expected, "{kind}");
        }
    }

    #[test]
    fn a_text_beyond_all_measure_is_cut_and_says_so() {
        let body =
            json!({ "jobName": "d", "status": "ok", "summary": format!("```\n{}", "é".repeat(200_000)) });
        let message = told("run.finished", &body, MessageFor::Readers);
        assert!(message.text.len() < MAX_TEXT_BYTES + 200);
        assert!(message.text.ends_with(&format!("é\n```\n\n{}", super::super::split::CUT)));
    }
}
