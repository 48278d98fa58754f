//! The events that are sent: of the shape that the gateway sends, and marked as tests.

use std::time::Duration;

use bytes::Bytes;
use clawhook_model::{
    DefinitionError, ErrorReason, EventId, Finished, Job, JobDefinition, JobId, JobState, Provenance, RunId,
    RunOutcome, SessionId, Trigger, UnixMs, WebhookUrl,
};
use serde_json::{Value, json};

/// The name of the job in every sample, by which a receiver and its owner know a test.
pub(super) const JOB: &str = "clawhook-conformance";
const SUMMARY: &str = "This is a test event of `clawhook conformance`: no job has run. Äöü, 整理今日重點, 🦞 \"quoted\" \\ </script>";
/// How long the pretended run took.
const TOOK: Duration = Duration::from_millis(1_250);
/// The length of a large summary.
const LARGE: usize = 1 << 20;

/// The job whose runs the events tell of.
pub(super) struct Samples {
    job: Job,
}

/// An event and its identity.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) id: EventId,
    pub(super) body: Bytes,
}

impl Samples {
    /// The samples for an endpoint.
    pub(super) fn new(endpoint: &WebhookUrl) -> Result<Self, DefinitionError> {
        let definition = json!({
            "name": JOB,
            "description": "A sample of `clawhook conformance`; no gateway knows this job.",
            "schedule": { "kind": "every", "everyMs": 86_400_000 },
            "sessionTarget": "isolated",
            "payload": { "kind": "command", "argv": ["echo", "test"] },
            "delivery": { "mode": "webhook", "to": endpoint.expose() },
        });
        let definition = JobDefinition::parse(definition, UnixMs::EPOCH)?;
        let id: JobId = JOB.parse().unwrap_or_else(|_| unreachable!("`{JOB}` is a job id"));
        let (created_at, updated_at) = (UnixMs::EPOCH, UnixMs::EPOCH);
        Ok(Self { job: Job { id, definition, created_at, updated_at, state: JobState::default() } })
    }

    /// The event of a run that went well, and ended at `ended_at`.
    pub(super) fn good(&self, ended_at: UnixMs) -> Event {
        self.event(ended_at, &RunOutcome::ok(SUMMARY))
    }

    /// The event of a run that failed: its `error` stands where others have their summary.
    pub(super) fn failed(&self, ended_at: UnixMs) -> Event {
        let message = "This is a test event of `clawhook conformance`: no job has run, and none has failed.";
        self.event(ended_at, &RunOutcome::error(ErrorReason::Timeout, message))
    }

    /// The event of a run that had much to say.
    pub(super) fn large(&self, ended_at: UnixMs) -> Event {
        let summary = SUMMARY.repeat(LARGE.div_ceil(SUMMARY.len()));
        self.event(ended_at, &RunOutcome::ok(summary))
    }

    /// An event with members that no receiver can know yet.
    pub(super) fn extended(&self, ended_at: UnixMs) -> Event {
        self.rewritten(ended_at, |mut body| {
            body["futureText"] = json!("added in a later version");
            body["futureObject"] = json!({ "nested": [1, null, { "deep": true }] });
            body["job"]["futureNumber"] = json!(1.5e300);
            body.to_string()
        })
    }

    /// An event whose JSON is written in another way than most programs would write it again.
    pub(super) fn spaced(&self, ended_at: UnixMs) -> Event {
        self.rewritten(ended_at, |body| {
            let note = r#""note": "\u0061\/\u00e9", "number": 1.0e+2"#;
            let text = format!("{body:#}");
            text.replacen('{', &format!("{{ {note},"), 1) + "\r\n"
        })
    }

    fn rewritten(&self, ended_at: UnixMs, rewrite: impl FnOnce(Value) -> String) -> Event {
        let Event { id, body } = self.good(ended_at);
        let value =
            serde_json::from_slice(&body).unwrap_or_else(|error| unreachable!("the event is JSON: {error}"));
        Event { id, body: Bytes::from(rewrite(value)) }
    }

    fn event(&self, ended_at: UnixMs, outcome: &RunOutcome) -> Event {
        let id = EventId::new(ended_at);
        let session = self.job.definition.session(&self.job.id, SessionId::random());
        let started_at = ended_at.plus_millis(-i64::try_from(TOOK.as_millis()).unwrap_or(0));
        let finished = Finished {
            event_id: id,
            job: &self.job,
            run_id: RunId::new(started_at),
            trigger: Trigger::Manual,
            scheduled_at: None,
            started_at,
            ended_at,
            session_id: session.id,
            session_key: &session.key,
            attempt: 1,
            deferrals: 0,
            late: false,
            upstream: None,
            gates: &[],
            provenance: &Provenance::default(),
            outcome,
            route: None,
        };
        Event { id, body: Bytes::from(finished.to_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs::from_millis(1_795_416_840_000);

    fn samples() -> Samples {
        Samples::new(&"https://example.com/hook?token=s3cret".parse().unwrap()).unwrap()
    }

    #[test]
    fn every_sample_is_an_event_of_the_real_shape_that_says_it_is_a_test() {
        let samples = samples();
        for event in [
            samples.good(NOW),
            samples.failed(NOW),
            samples.large(NOW),
            samples.extended(NOW),
            samples.spaced(NOW),
        ] {
            let body: Value = serde_json::from_slice(&event.body).unwrap();
            assert_eq!(body["eventId"], event.id.to_string());
            assert_eq!((&body["jobName"], &body["jobId"]), (&JOB.into(), &JOB.into()));
            assert_eq!((&body["action"], &body["trigger"]), (&"finished".into(), &"manual".into()));
            assert!(body["runId"].as_str().unwrap().starts_with("run_"), "{body}");
            let told = body["summary"].as_str().or(body["error"].as_str()).unwrap();
            assert!(told.starts_with("This is a test event"), "{told}");
            assert!(!body.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn a_large_event_has_a_summary_of_a_mebibyte() {
        let body: Value = serde_json::from_slice(&samples().large(NOW).body).unwrap();
        let length = body["summary"].as_str().unwrap().len();
        assert!((LARGE..LARGE + SUMMARY.len()).contains(&length), "{length}");
    }

    #[test]
    fn a_spaced_event_is_not_what_its_json_looks_like_when_it_is_written_again() {
        let event = samples().spaced(NOW);
        let value: Value = serde_json::from_slice(&event.body).unwrap();
        assert_ne!(value.to_string().as_bytes(), event.body);
        assert_ne!(format!("{value:#}").as_bytes(), event.body);
    }
}
