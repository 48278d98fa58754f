//! The finished event: what leaves the house (contract §2.1, and the additions that make it deduplicable).

use serde::Serialize;
use serde_json::{Value, json};

use crate::announce::Route;
use crate::delivery_settings::DeliveryMode;
use crate::id::{EventId, JobId, RunId};
use crate::job::Job;
use crate::job_hooks::HookCall;
use crate::money::Usd;
use crate::provenance::Provenance;
use crate::run::{Diagnostics, ErrorReason, RunOutcome, RunStatus, Trigger, Usage};
use crate::session::SessionId;
use crate::time::UnixMs;

/// The version of the event's schema; it changes by addition alone.
pub const SCHEMA_VERSION: u32 = 1;

/// The facts of a finished run that its event is made from.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// The event's identity.
    pub event_id: EventId,
    /// The job as it was when the run was claimed.
    pub job: &'a Job,
    /// The run.
    pub run_id: RunId,
    /// What made it happen.
    pub trigger: Trigger,
    /// The due instant it stands for.
    pub scheduled_at: Option<UnixMs>,
    /// When it began.
    pub started_at: UnixMs,
    /// When it ended.
    pub ended_at: UnixMs,
    /// The session it ran in.
    pub session_id: SessionId,
    /// That session's key.
    pub session_key: &'a str,
    /// Which try of its occurrence it was, from 1.
    pub attempt: u32,
    /// How often it was put back before, because it was asked to wait.
    pub deferrals: u32,
    /// Whether the result came after the run had been given up.
    pub late: bool,
    /// The way that led to it, its own job included.
    pub provenance: &'a Provenance,
    /// The run of another job whose end began it.
    pub upstream: Option<RunId>,
    /// The gates that were asked before it.
    pub gates: &'a [HookCall],
    /// What came of it.
    pub outcome: &'a RunOutcome,
    /// Where it is announced, or why it cannot be; none where it is not to be announced.
    pub route: Option<Result<&'a Route, &'a str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    event_id: EventId,
    schema_version: u32,
    job_id: &'a JobId,
    action: &'static str,
    job_name: &'a str,
    run_id: RunId,
    trigger: Trigger,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at_ms: Option<UnixMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deferrals: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<bool>,
    job: Value,
    run_at_ms: UnixMs,
    duration_ms: u64,
    status: RunStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_reason: Option<ErrorReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<&'a Diagnostics>,
    delivery_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Value>,
    session_id: SessionId,
    session_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_run_at_ms: Option<UnixMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Value>,
    provenance: &'a Provenance,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hooks: Vec<Value>,
}

impl Finished<'_> {
    /// The event's bytes: stored once, signed and sent as they are (invariant 9).
    ///
    /// `deliveryStatus` is `unknown` where a delivery was asked for, because an event cannot know whether it
    /// arrived; OpenClaw writes `delivered: true` there before it has sent anything.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (delivery_status, delivery) = match &self.job.definition.delivery.mode {
            DeliveryMode::None => ("not-requested", None),
            DeliveryMode::Webhook(_) => {
                let mut intended = self.job.definition.delivery.intended_json();
                intended["source"] = json!("explicit");
                ("unknown", Some(json!({ "intended": intended })))
            }
            DeliveryMode::Announce(target) => {
                let mut delivery = json!({ "intended": { "channel": target.channel, "to": target.to } });
                match self.route {
                    Some(Ok(route)) => {
                        delivery["resolved"] = route.to_json();
                        delivery["resolved"]["ok"] = json!(true);
                    }
                    Some(Err(error)) => delivery["resolved"] = json!({ "ok": false, "error": error }),
                    None => {}
                }
                ("unknown", Some(delivery))
            }
        };
        let body = Body {
            event_id: self.event_id,
            schema_version: SCHEMA_VERSION,
            job_id: &self.job.id,
            action: "finished",
            job_name: &self.job.definition.name,
            run_id: self.run_id,
            trigger: self.trigger,
            scheduled_at_ms: self.scheduled_at,
            attempt: Some(self.attempt).filter(|attempt| *attempt > 1),
            deferrals: Some(self.deferrals).filter(|deferrals| *deferrals > 0),
            late: self.late.then_some(true),
            job: self.job.snapshot_json(),
            run_at_ms: self.started_at,
            duration_ms: u64::try_from(self.ended_at.since(self.started_at).as_millis()).unwrap_or(u64::MAX),
            status: self.outcome.status,
            error: self.outcome.error.as_ref().map(|error| error.message.as_str()),
            error_reason: self.outcome.error.as_ref().map(|error| error.reason),
            summary: self.outcome.summary.as_deref(),
            diagnostics: self.outcome.diagnostics.as_ref(),
            delivery_status,
            delivery,
            session_id: self.session_id,
            session_key: self.session_key,
            next_run_at_ms: self.job.state.next_start(),
            model: self.outcome.model.as_deref(),
            provider: self.outcome.provider.as_deref(),
            usage: self.outcome.usage,
            cost_usd: self.outcome.cost,
            output: self.outcome.output.as_ref(),
            provenance: self.provenance,
            upstream_run_id: self.upstream,
            hooks: self.gates.iter().map(HookCall::to_json).collect(),
        };
        serde_json::to_vec(&body).unwrap_or_else(|error| unreachable!("the event is plain data: {error}"))
    }
}
