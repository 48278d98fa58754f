//! From the work that a request asks for to what the store is to keep of it.

use bytes::Bytes;
use clawhook_engine::ASK;
use clawhook_inbound::{AgentWork, DeliverOnly, Hook, SessionMode, Wake, Work};
use clawhook_model::{
    AgentTurn, DeliveryId, DeliveryMode, DeliverySettings, EventId, EventKind, HookRequestId, InstanceId,
    Job, JobDefinition, JobId, JobState, Payload, Provenance, RunId, RunOutcome, SCHEMA_VERSION, SessionId,
    SessionRef, SessionTarget, Trigger, UnixMs, WakeMode, plan_deliveries,
};
use clawhook_store::{HookAsk, HookEvent, HookRun, HookWake, NewDelivery, NewRun};
use serde_json::json;

/// Where work comes from.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The hook.
    pub(crate) hook: &'a Hook,
    /// Its standing job.
    pub(crate) job_id: &'a JobId,
    /// The request.
    pub(crate) request: HookRequestId,
    /// What led to it.
    pub(crate) provenance: &'a Provenance,
    /// This gateway.
    pub(crate) instance: &'a InstanceId,
    /// When it came.
    pub(crate) now: UnixMs,
}

/// What the store is to keep of each piece of work, in their order.
pub(crate) fn asks_of(origin: Origin<'_>, work: Vec<Work>) -> Vec<HookAsk> {
    work.into_iter()
        .map(|work| match work {
            Work::Agent(work) => HookAsk::Run(Box::new(turn(origin, *work))),
            Work::Wake(wake) => HookAsk::Wake(Box::new(wake_up(origin, wake))),
            Work::DeliverOnly(event) => HookAsk::Event(Box::new(event_of(origin, event))),
        })
        .collect()
}

/// A run that brings the definition that it runs by.
fn run(
    origin: Origin<'_>,
    work: JobDefinition,
    session: impl FnOnce(SessionId) -> Option<SessionRef>,
) -> HookRun {
    let Origin { job_id, now, provenance, .. } = origin;
    let job = Job {
        id: job_id.clone(),
        definition: work,
        created_at: now,
        updated_at: now,
        state: JobState::default(),
    };
    let id = SessionId::random();
    let run = NewRun::of(&job, RunId::new(now), Trigger::Hook, None, id);
    let session = session(id).unwrap_or_else(|| run.session.clone());
    HookRun { run: NewRun { session, provenance: provenance.clone(), ..run }, work: job.definition }
}

fn turn(origin: Origin<'_>, asked: AgentWork) -> HookRun {
    let standing = JobDefinition::hook(origin.hook.id().as_str(), Some(asked.agent_id.clone()));
    let agent = asked.agent_id;
    let session_target = match (&asked.session_key, asked.session_mode) {
        (Some(key), SessionMode::Persistent) => SessionTarget::Named(key.clone()),
        _ => SessionTarget::Isolated,
    };
    let is_fresh = session_target.is_fresh();
    let work = JobDefinition {
        name: asked.name,
        session_target,
        wake_mode: asked.wake_mode,
        payload: Payload::AgentTurn(AgentTurn {
            message: asked.message,
            model: asked.model,
            fallbacks: None,
            thinking: asked.thinking,
            timeout_ms: asked.timeout.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            tools_allow: asked.tools_allow,
            light_context: false,
            allow_unsafe_external_content: asked.allow_unsafe,
        }),
        delivery: with_callback(origin.hook, asked.delivery),
        ..standing
    };
    run(origin, work, |id| {
        // A key that was asked for names the session, and each request begins it anew.
        let key = match &asked.session_key {
            _ if !is_fresh => return None,
            Some(name) => SessionRef::named(&agent, name).key,
            None => format!("agent:{agent}:hook:{id}"),
        };
        Some(SessionRef { key, id })
    })
}

/// The receivers of a run's result, and the hook's own.
fn with_callback(hook: &Hook, mut delivery: DeliverySettings) -> DeliverySettings {
    let Some(callback) = hook.callback() else { return delivery };
    match &mut delivery.mode {
        DeliveryMode::Webhook(targets) if targets.contains(callback) => {}
        DeliveryMode::Webhook(targets) => targets.push(callback.clone()),
        mode @ DeliveryMode::None => *mode = DeliveryMode::Webhook(vec![callback.clone()]),
        // Whoever takes the work refuses it: a result goes to a channel or to a callback.
        DeliveryMode::Announce(_) => {}
    }
    delivery
}

fn wake_up(origin: Origin<'_>, wake: Wake) -> HookWake {
    let Wake { text, mode, agent_id, session_key } = wake;
    let session = match &session_key {
        Some(key) => SessionRef::named(&agent_id, key),
        None => SessionRef::main(&agent_id),
    };
    let look_after = || {
        let standing = JobDefinition::hook(origin.hook.id().as_str(), Some(agent_id.clone()));
        let work = JobDefinition {
            session_target: SessionTarget::Main,
            wake_mode: WakeMode::Now,
            payload: Payload::SystemEvent { text: ASK.to_owned() },
            ..standing
        };
        run(origin, work, |_| Some(session.clone()))
    };
    let run = (mode == WakeMode::Now).then(look_after);
    HookWake { session, agent_id, text, run }
}

fn event_of(origin: Origin<'_>, asked: DeliverOnly) -> HookEvent {
    let Origin { hook, job_id, request, provenance, instance, now } = origin;
    let id = EventId::new(now);
    let body = json!({
        "eventId": id,
        "schemaVersion": SCHEMA_VERSION,
        "type": EventKind::HookReceived,
        "atMs": now,
        "jobId": job_id,
        "jobName": format!("hook-{}", hook.id()),
        "requestId": request,
        "hook": hook.id().as_str(),
        "name": asked.name,
        "summary": asked.text,
        "data": asked.data,
        "provenance": provenance.through(instance, job_id),
    });
    let deliveries = plan_deliveries(&asked.delivery, &RunOutcome::ok(asked.text))
        .into_iter()
        .map(|plan| NewDelivery { id: DeliveryId::new(now), plan })
        .collect();
    HookEvent { id, body: Bytes::from(body.to_string()), deliveries }
}
