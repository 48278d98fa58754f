//! What an agent's main session is told of the end of a run that an inbound hook asked for (contract §5.4).

use clawhook_model::{
    DeliveryMode, Job, JobDefinition, Payload, RunId, RunOutcome, RunStatus, SessionId, SessionRef,
    SessionTarget, SuppressionReason, Trigger, UnixMs, WakeMode, fence,
};
use clawhook_store::{HookRun, HookWake, NewRun};

use crate::heartbeat::ASK;
use crate::runner::Begun;

/// How much of a result a note repeats, in characters.
const LONGEST: usize = 4_000;

/// The note of a run's end, where its result goes nowhere else. What it repeats came from outside, so it is fenced.
pub(crate) fn of(begun: &Begun, outcome: &RunOutcome, now: UnixMs) -> Option<Box<HookWake>> {
    let work = &begun.job.definition;
    let is_told_to_nobody = begun.trigger == Trigger::Hook
        && work.delivery.mode == DeliveryMode::None
        && work.session_target != SessionTarget::Main;
    if !is_told_to_nobody || SuppressionReason::of(outcome).is_some() {
        return None;
    }
    let status = match outcome.status {
        RunStatus::Ok => String::new(),
        other => format!(" ({})", other.as_str()),
    };
    let said = outcome.summary.as_deref().or(outcome.error.as_ref().map(|error| error.message.as_str()));
    let said: String = said.unwrap_or_default().chars().take(LONGEST).collect();
    let said = if work.payload.is_unfenced() { said } else { fence(&said) };
    let agent_id = begun.run.agent_id.clone();
    let session = SessionRef::main(&agent_id);
    let text = format!("Hook {}{status}: {said}", work.name);
    let run = (work.wake_mode == WakeMode::Now).then(|| look_after(begun, session.clone(), now));
    Some(Box::new(HookWake { session, agent_id, text, run }))
}

/// The run in which the agent looks after what waits in a session.
fn look_after(begun: &Begun, session: SessionRef, now: UnixMs) -> HookRun {
    let before = &begun.job.definition;
    let work = JobDefinition {
        session_target: SessionTarget::Main,
        wake_mode: WakeMode::Now,
        payload: Payload::SystemEvent { text: ASK.to_owned() },
        session_key: None,
        output_schema: None,
        ..before.clone()
    };
    let job = Job { definition: work.clone(), ..begun.job.clone() };
    let run = NewRun::of(&job, RunId::new(now), Trigger::Hook, None, SessionId::random());
    let run = NewRun { session, provenance: begun.run.provenance.clone(), ..run };
    HookRun { run, work }
}
