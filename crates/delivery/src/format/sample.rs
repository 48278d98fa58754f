//! Sample events that templates are tried on: one of each status, made as real ones are, with the characters that
//! break what is put together carelessly.

use bytes::Bytes;
use clawhook_model::{
    ErrorReason, EventId, Finished, Job, JobDefinition, JobState, Provenance, RUN_FINISHED, RunError, RunId,
    RunOutcome, RunStatus, SessionId, Trigger, UnixMs, Usage,
};
use serde_json::json;

use super::RenderInput;

/// When the samples' runs began.
const BEGAN: UnixMs = UnixMs::from_millis(1_771_405_200_000);
const TOOK_MS: i64 = 4_217;

/// An event that did not happen.
pub(super) struct Sample {
    pub(super) status: RunStatus,
    event_id: EventId,
    body: Bytes,
}

impl Sample {
    pub(super) fn input(&self) -> RenderInput<'_> {
        RenderInput {
            event_id: self.event_id,
            kind: RUN_FINISHED,
            occurred_at: BEGAN.plus_millis(TOOK_MS),
            body: &self.body,
            ack_url: None,
        }
    }
}

/// One sample of each status.
pub(super) fn each_status() -> [Sample; 3] {
    let ok = RunOutcome {
        model: Some("small".to_owned()),
        provider: Some("local".to_owned()),
        usage: Some(Usage::new(812, 64)),
        ..RunOutcome::ok(
            "Three mails need an answer:\n- \"Invoice\" <billing@example.com>\n- R&D \\ C:\\plans\n- žluťoučký 🐎",
        )
    };
    let error = RunOutcome::error(ErrorReason::Timeout, "the run was longer than its limit of 2m");
    let skipped = RunOutcome {
        status: RunStatus::Skipped,
        summary: None,
        error: Some(RunError { reason: ErrorReason::Unknown, message: "the job was disabled".to_owned() }),
        ..ok.clone()
    };
    [sample(1, &ok), sample(2, &error), sample(3, &skipped)]
}

fn sample(number: u8, outcome: &RunOutcome) -> Sample {
    let event_id = EventId::from_bytes(id_bytes(0xe0, number));
    let definition = json!({
        "name": "daily-summary",
        "schedule": { "kind": "cron", "expr": "0 9 * * *" },
        "payload": { "kind": "agentTurn", "message": "Summarise my mail." },
        "delivery": { "mode": "webhook", "to": "https://example.com/hook" },
    });
    let definition = JobDefinition::parse(definition, BEGAN)
        .unwrap_or_else(|error| unreachable!("the sample is a job: {error}"));
    let id = "daily-summary".parse().unwrap_or_else(|error| unreachable!("the sample has an id: {error}"));
    let state = JobState { running_at: Some(BEGAN), ..JobState::default() };
    let job = Job { id, definition, created_at: BEGAN, updated_at: BEGAN, state };
    let finished = Finished {
        event_id,
        job: &job,
        run_id: RunId::from_bytes(id_bytes(0xa0, number)),
        trigger: Trigger::Schedule,
        scheduled_at: Some(BEGAN),
        started_at: BEGAN,
        ended_at: BEGAN.plus_millis(TOOK_MS),
        session_id: SessionId::from_bytes(id_bytes(0xb0, number)),
        session_key: "agent:main:cron:daily-summary",
        attempt: 1,
        deferrals: 0,
        late: false,
        upstream: None,
        gates: &[],
        provenance: &Provenance { hops: 0, trail: vec!["5f0c2a91d3e84b67/daily-summary".to_owned()] },
        outcome,
        route: None,
    };
    Sample { status: outcome.status, event_id, body: Bytes::from(finished.to_bytes()) }
}

/// The bytes of an id that nothing real has.
fn id_bytes(kind: u8, number: u8) -> [u8; 16] {
    [0x01, 0x9c, 0x6f, 0x3a, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, kind, number]
}
