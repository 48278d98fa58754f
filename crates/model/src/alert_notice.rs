//! The event of an alert (contract §2.5, §2.8): `{jobId, jobName, message, runAtMs}`, and what makes it useful to programs.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::event::SCHEMA_VERSION;
use crate::event_kind::EventKind;
use crate::failure_alert::{AlertScope, Trouble, excerpt};
use crate::id::{DeliveryId, EventId, JobId, RunId};
use crate::provenance::Provenance;
use crate::time::UnixMs;

/// What an alert is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AlertPurpose {
    /// Something is wrong.
    #[default]
    Trouble,
    /// A person wants to see that it arrives.
    Test,
    /// The gateway wants to see that it arrives, and is acknowledged.
    Drill,
}

impl AlertPurpose {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Test => "test",
            Self::Drill => "drill",
        }
    }
}

/// What an alert is about.
#[derive(Debug, Clone, Copy)]
pub enum AlertAbout<'a> {
    /// Trouble of a job.
    Job {
        /// The trouble.
        trouble: Trouble,
        /// How often it happened in a row.
        consecutive: u32,
    },
    /// Something that is wrong with the gateway, in one word.
    Gateway(&'a str),
    /// Nothing: it is a test or a drill.
    Nothing,
}

/// An alert, as its event tells it.
#[derive(Debug, Clone, Copy)]
pub struct AlertNotice<'a> {
    /// What it is for.
    pub purpose: AlertPurpose,
    /// What it is about.
    pub about: AlertAbout<'a>,
    /// The job, by its id and name; none where it is the gateway itself.
    pub job: Option<(&'a JobId, &'a str)>,
    /// The run that failed, where one did.
    pub run_id: Option<RunId>,
    /// When that run began.
    pub run_at: Option<UnixMs>,
    /// The instant that was missed.
    pub scheduled_at: Option<UnixMs>,
    /// What went wrong, in words; it is cut short.
    pub error: Option<&'a str>,
    /// The delivery that was given up, the event that it carried, and where it was to go.
    pub delivery: Option<(DeliveryId, EventId, &'a str)>,
    /// What led to it.
    pub provenance: Option<&'a Provenance>,
}

impl AlertNotice<'_> {
    /// Its kind.
    pub const KIND: EventKind = EventKind::JobAlert;

    /// A test or a drill.
    pub fn synthetic(purpose: AlertPurpose) -> Self {
        Self {
            purpose,
            about: AlertAbout::Nothing,
            job: None,
            run_id: None,
            run_at: None,
            scheduled_at: None,
            error: None,
            delivery: None,
            provenance: None,
        }
    }

    /// What a person reads.
    pub fn message(&self) -> String {
        let name = self.job.map_or("", |(_, name)| name);
        let mut lines = vec![match (self.purpose, self.about) {
            (AlertPurpose::Test, _) if name.is_empty() => "Test of the alerts: nothing is wrong".to_owned(),
            (AlertPurpose::Test, _) => {
                format!("Test of the alerts of automation \"{name}\": nothing is wrong")
            }
            (AlertPurpose::Drill, _) => {
                "Drill of the alerts: nothing is wrong, and this wants to be acknowledged".to_owned()
            }
            (AlertPurpose::Trouble, AlertAbout::Job { trouble, consecutive }) => match trouble {
                Trouble::Skipped { .. } => format!("Automation \"{name}\" skipped {consecutive} times"),
                Trouble::Undelivered { .. } => format!("Automation \"{name}\" could not deliver its result"),
                Trouble::Failed { .. } | Trouble::Missed { .. } | Trouble::SwitchedOff { .. } => {
                    format!("Automation \"{name}\" failed {consecutive} times")
                }
            },
            (AlertPurpose::Trouble, _) => "Something is wrong with the gateway".to_owned(),
        }];
        if let Some(cause) = self.cause() {
            lines.push(format!("Cause: {cause}"));
        }
        if let Some(error) = self.error {
            let label = match self.about {
                AlertAbout::Job { trouble: Trouble::Skipped { .. }, .. } => "Skip reason",
                _ => "Last error",
            };
            lines.push(format!("{label}: {}", excerpt(error)));
        }
        lines.join("\n")
    }

    fn cause(&self) -> Option<String> {
        match self.about {
            AlertAbout::Job { trouble, .. } => Some(trouble.cause()),
            AlertAbout::Gateway(alarm) => Some(alarm.to_owned()),
            AlertAbout::Nothing => None,
        }
    }

    /// The event's bytes: stored once, sent as they are (invariant 9).
    pub fn to_bytes(&self, event_id: EventId, at: UnixMs) -> Vec<u8> {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("eventId", json!(event_id));
        put("schemaVersion", json!(SCHEMA_VERSION));
        put("type", json!(Self::KIND));
        put("atMs", json!(at));
        if let Some((id, name)) = self.job {
            put("jobId", json!(id));
            put("jobName", json!(name));
        }
        put("message", json!(self.message()));
        put("purpose", json!(self.purpose));
        match self.about {
            AlertAbout::Job { trouble, consecutive } => {
                put("status", json!(trouble.status()));
                put("scope", json!(trouble.scope()));
                put("consecutive", json!(consecutive));
            }
            AlertAbout::Gateway(_) => {
                put("status", json!("error"));
                put("scope", json!(AlertScope::Gateway));
            }
            AlertAbout::Nothing => {}
        }
        if let Some(cause) = self.cause() {
            put("cause", json!(cause));
        }
        if let Some(error) = self.error {
            put("error", json!(excerpt(error)));
        }
        if let Some(run_id) = self.run_id {
            put("runId", json!(run_id));
        }
        if let Some(run_at) = self.run_at {
            put("runAtMs", json!(run_at));
        }
        if let Some(due_at) = self.scheduled_at {
            put("scheduledAtMs", json!(due_at));
        }
        let nothing = Provenance::default();
        put("provenance", json!(self.provenance.unwrap_or(&nothing)));
        if let Some((id, event_id, target)) = self.delivery {
            put("delivery", json!({ "id": id, "eventId": event_id, "target": target }));
        }
        Value::Object(out).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ErrorReason;

    #[test]
    fn an_alert_reads_as_openclaws_and_shows_no_more_of_an_error_than_it_may() {
        let job: JobId = "j1".parse().unwrap();
        let long = "x".repeat(500);
        let trouble = Trouble::Failed { reason: ErrorReason::Timeout, last: false };
        let notice = AlertNotice {
            about: AlertAbout::Job { trouble, consecutive: 3 },
            job: Some((&job, "daily")),
            run_at: Some(UnixMs::from_millis(5)),
            error: Some(&long),
            ..AlertNotice::synthetic(AlertPurpose::Trouble)
        };
        let at = UnixMs::from_millis(9);
        let body: Value = serde_json::from_slice(&notice.to_bytes(EventId::new(at), at)).unwrap();
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with("Automation \"daily\" failed 3 times\nCause: timeout\nLast error: xxx"));
        assert_eq!(body["error"].as_str().unwrap().chars().count(), 200);
        assert_eq!(
            (&body["jobId"], &body["jobName"], &body["runAtMs"]),
            (&json!("j1"), &json!("daily"), &json!(5))
        );
    }
}
