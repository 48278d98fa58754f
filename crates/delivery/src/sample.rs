//! The event that tries a destination out: of the shape of every finished event, and marked as a test.

use std::time::Duration;

use bytes::Bytes;
use clawhook_model::{
    EventId, Finished, Job, JobDefinition, JobId, JobState, Provenance, RunId, RunOutcome, SessionId, Target,
    Trigger, UnixMs,
};
use serde_json::{Value, json};

/// The name of the job that the event tells of, by which a receiver and its owner know a test. `test: true` says it too.
const JOB: &str = "clawhook-test";
const SUMMARY: &str = "This is a test event: no job has run.";
/// How long the pretended run took.
const TOOK: Duration = Duration::from_millis(1_250);

/// A test event.
pub(crate) struct Sample {
    pub(crate) event_id: EventId,
    pub(crate) body: Bytes,
}

impl Sample {
    /// The event for this receiver, of a run that ended at `now`.
    pub(crate) fn for_receiver(target: &Target, now: UnixMs) -> Self {
        let job = job(target);
        let event_id = EventId::new(now);
        let session = job.definition.session(&job.id, SessionId::random());
        let started_at = now.plus_millis(-i64::try_from(TOOK.as_millis()).unwrap_or(0));
        let finished = Finished {
            event_id,
            job: &job,
            run_id: RunId::new(started_at),
            trigger: Trigger::Manual,
            scheduled_at: None,
            started_at,
            ended_at: now,
            session_id: session.id,
            session_key: &session.key,
            attempt: 1,
            deferrals: 0,
            late: false,
            upstream: None,
            gates: &[],
            provenance: &Provenance::default(),
            outcome: &RunOutcome::ok(SUMMARY),
            route: None,
        };
        Self { event_id, body: Bytes::from(marked(&finished.to_bytes())) }
    }
}

fn job(target: &Target) -> Job {
    let delivery = match target {
        Target::Webhook(url) => json!({ "mode": "webhook", "to": url.expose() }),
        Target::Destination(name) => json!({ "mode": "webhook", "destination": name }),
        Target::Announce(_) => json!({ "mode": "announce" }),
    };
    let definition = json!({
        "name": JOB,
        "description": "A test event; no such job exists.",
        "schedule": { "kind": "every", "everyMs": 86_400_000 },
        "sessionTarget": "isolated",
        "payload": { "kind": "command", "argv": ["echo", "test"] },
        "delivery": delivery,
    });
    let definition = JobDefinition::parse(definition, UnixMs::EPOCH)
        .unwrap_or_else(|error| unreachable!("the sample is a job: {error}"));
    let id: JobId = JOB.parse().unwrap_or_else(|_| unreachable!("`{JOB}` is a job's id"));
    let (created_at, updated_at) = (UnixMs::EPOCH, UnixMs::EPOCH);
    Job { id, definition, created_at, updated_at, state: JobState::default() }
}

fn marked(event: &[u8]) -> Vec<u8> {
    let mut event: Value =
        serde_json::from_slice(event).unwrap_or_else(|error| unreachable!("the event is JSON: {error}"));
    event["test"] = json!(true);
    event.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_event_is_a_finished_event_that_says_it_is_a_test_and_shows_no_secret() {
        let url = "https://example.com/hook?token=s3cret".parse().unwrap();
        let now = UnixMs::from_millis(1_771_372_800_000);
        for target in [Target::Webhook(url), Target::Destination("ops".parse().unwrap())] {
            let sample = Sample::for_receiver(&target, now);
            let event: Value = serde_json::from_slice(&sample.body).unwrap();
            assert_eq!(event["eventId"], json!(sample.event_id));
            assert_eq!((&event["test"], &event["jobName"]), (&json!(true), &json!("clawhook-test")));
            assert_eq!((&event["action"], &event["status"]), (&json!("finished"), &json!("ok")));
            assert!(!event.to_string().contains("s3cret"), "{event}");
        }
    }
}
