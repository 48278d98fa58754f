//! Events that are not a run's result: what happened to a job, to one of its instants, or to a delivery.

use serde_json::{Map, Value, json};

use crate::event::SCHEMA_VERSION;
use crate::event_kind::EventKind;
use crate::failure::AutoDisabled;
use crate::id::{AgentId, DeliveryId, EventId, JobId, RunId};
use crate::job::Job;
use crate::provenance::{LoopBroken, Provenance};
use crate::run::{Run, Trigger};
use crate::session::SessionRef;
use crate::time::UnixMs;

/// A run that begins.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    /// The run.
    pub run_id: RunId,
    /// Its job.
    pub job_id: &'a JobId,
    /// The job's name.
    pub job_name: &'a str,
    /// As whom it runs.
    pub agent_id: &'a AgentId,
    /// What made it happen.
    pub trigger: Trigger,
    /// The due instant it stands for.
    pub scheduled_at: Option<UnixMs>,
    /// Which try of its occurrence it is, from 1.
    pub attempt: u32,
    /// How often it was put back before, because it was asked to wait.
    pub deferrals: u32,
    /// The session it runs in.
    pub session: &'a SessionRef,
    /// What led to it.
    pub provenance: &'a Provenance,
}

impl<'a> Begun<'a> {
    /// What is told of a run.
    pub fn of(run: &'a Run) -> Self {
        Self {
            run_id: run.id,
            job_id: &run.job_id,
            job_name: &run.job_name,
            agent_id: &run.agent_id,
            trigger: run.trigger,
            scheduled_at: run.scheduled_at,
            attempt: run.attempt,
            deferrals: run.deferrals,
            session: &run.session,
            provenance: &run.provenance,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// A run begins.
    RunStarted(Begun<'a>),
    /// A due instant passed without a run, because of the job's own rules.
    RunSkipped {
        /// The instant.
        due_at: UnixMs,
        /// Why.
        reason: &'a str,
    },
    /// A due instant passed without a run, because the gateway was not there.
    RunMissed {
        /// The instant.
        due_at: UnixMs,
        /// Why.
        reason: &'a str,
    },
    /// A job succeeded after so many failures in a row.
    JobRecovered {
        /// The run that succeeded.
        run_id: RunId,
        /// How many runs before it had failed.
        failures: u32,
    },
    /// Results of a job arrive again, after some did not.
    DeliveriesRecovered {
        /// The run whose result arrived.
        run_id: Option<RunId>,
    },
    /// A job was added.
    JobAdded(&'a Job),
    /// A job was edited, enabled or disabled.
    JobUpdated(&'a Job),
    /// A job was removed.
    JobRemoved,
    /// A job was switched off by the gateway.
    JobAutoDisabled(&'a AutoDisabled),
    /// Work of the job was refused, because it was too many hops away from its beginning.
    LoopBroken(&'a LoopBroken),
    /// Something is wrong with the gateway itself; the event names no job.
    GatewayAlarm {
        /// What, in one word.
        alarm: &'a str,
        /// What, in a sentence.
        detail: &'a str,
    },
    /// What was wrong with the gateway is over; the event names no job.
    GatewayAlarmCleared {
        /// What it was, in one word.
        alarm: &'a str,
        /// When it began.
        since: UnixMs,
    },
    /// A delivery was given up.
    DeliveryDead {
        /// The delivery.
        delivery_id: DeliveryId,
        /// The event that it carried.
        event_id: EventId,
        /// The run whose event it was.
        run_id: Option<RunId>,
        /// Where it was to go, secrets masked.
        target: &'a str,
        /// How many attempts were made.
        attempts: u32,
        /// Why it was given up.
        reason: &'a str,
    },
}

impl Notice<'_> {
    /// Its kind.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::RunStarted(_) => EventKind::RunStarted,
            Self::RunSkipped { .. } => EventKind::RunSkipped,
            Self::RunMissed { .. } => EventKind::RunMissed,
            Self::JobRecovered { .. } | Self::DeliveriesRecovered { .. } => EventKind::JobRecovered,
            Self::JobAdded(_) => EventKind::JobAdded,
            Self::JobUpdated(_) => EventKind::JobUpdated,
            Self::JobRemoved => EventKind::JobRemoved,
            Self::JobAutoDisabled(_) => EventKind::JobAutoDisabled,
            Self::LoopBroken(_) => EventKind::LoopBroken,
            Self::GatewayAlarm { .. } => EventKind::GatewayAlarm,
            Self::GatewayAlarmCleared { .. } => EventKind::GatewayAlarmCleared,
            Self::DeliveryDead { .. } => EventKind::DeliveryDead,
        }
    }

    /// Whether it is about the gateway itself, and about no job.
    pub fn is_of_gateway(&self) -> bool {
        matches!(self, Self::GatewayAlarm { .. } | Self::GatewayAlarmCleared { .. })
    }

    /// The run that it is kept with.
    pub fn belongs_to(&self) -> Option<RunId> {
        match self {
            Self::RunStarted(run) => Some(run.run_id),
            _ => None,
        }
    }

    /// The event's bytes: stored once, sent as they are (invariant 9).
    pub fn to_bytes(
        &self,
        event_id: EventId,
        at: UnixMs,
        (job_id, job_name): (&JobId, &str),
        provenance: &Provenance,
    ) -> Vec<u8> {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("eventId", json!(event_id));
        put("schemaVersion", json!(SCHEMA_VERSION));
        put("type", json!(self.kind()));
        put("atMs", json!(at));
        if let Some(action) = self.kind().action() {
            put("action", json!(action));
        }
        if !self.is_of_gateway() {
            put("jobId", json!(job_id));
            put("jobName", json!(job_name));
        }
        put("provenance", json!(provenance));
        match self {
            Self::RunStarted(run) => {
                put("runId", json!(run.run_id));
                put("trigger", json!(run.trigger));
                if let Some(due_at) = run.scheduled_at {
                    put("scheduledAtMs", json!(due_at));
                }
                put("runAtMs", json!(at));
                if run.attempt > 1 {
                    put("attempt", json!(run.attempt));
                }
                if run.deferrals > 0 {
                    put("deferrals", json!(run.deferrals));
                }
                put("agentId", json!(run.agent_id));
                put("sessionId", json!(run.session.id));
                put("sessionKey", json!(run.session.key));
            }
            Self::RunSkipped { due_at, reason } | Self::RunMissed { due_at, reason } => {
                put("scheduledAtMs", json!(due_at));
                put("reason", json!(reason));
            }
            Self::JobRecovered { run_id, failures } => {
                put("runId", json!(run_id));
                put("failures", json!(failures));
            }
            Self::DeliveriesRecovered { run_id } => {
                if let Some(run_id) = run_id {
                    put("runId", json!(run_id));
                }
                put("scope", json!("delivery"));
                put("reason", json!("its results arrive again"));
            }
            Self::JobAdded(job) | Self::JobUpdated(job) => {
                put("job", job.snapshot_json());
                if let Some(next) = job.state.next_run_at {
                    put("nextRunAtMs", json!(next));
                }
            }
            Self::JobRemoved => {}
            Self::JobAutoDisabled(disabled) => {
                put("autoDisabled", json!(disabled));
            }
            Self::LoopBroken(broken) => {
                put("reason", json!(broken.to_string()));
                put("loop", json!({ "hops": broken.hops, "maxHops": broken.most, "trail": broken.trail }));
            }
            Self::GatewayAlarm { alarm, detail } => {
                put("alarm", json!(alarm));
                put("detail", json!(detail));
            }
            Self::GatewayAlarmCleared { alarm, since } => {
                put("alarm", json!(alarm));
                put("sinceMs", json!(since));
            }
            Self::DeliveryDead { delivery_id, event_id, run_id, target, attempts, reason } => {
                if let Some(run_id) = run_id {
                    put("runId", json!(run_id));
                }
                put(
                    "delivery",
                    json!({
                        "id": delivery_id, "eventId": event_id, "target": target, "attempts": attempts, "reason": reason,
                    }),
                );
            }
        }
        Value::Object(out).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_what_happened_to_which_job_and_when() {
        let at = UnixMs::from_millis(1_000);
        let event = EventId::new(at);
        let job: JobId = "j1".parse().unwrap();
        let notice =
            Notice::RunMissed { due_at: UnixMs::from_millis(900), reason: "the gateway was not running" };
        let value: Value =
            serde_json::from_slice(&notice.to_bytes(event, at, (&job, "daily"), &Provenance::default()))
                .unwrap();
        let expected = json!({
            "eventId": event, "schemaVersion": SCHEMA_VERSION, "type": "run.missed", "atMs": 1000, "jobId": "j1",
            "jobName": "daily", "scheduledAtMs": 900, "reason": "the gateway was not running",
            "provenance": { "hops": 0, "trail": [] },
        });
        assert_eq!(value, expected);
    }
}
