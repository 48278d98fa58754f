//! One run, from its claim to the commit of its result.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use clawhook_agent::{Command, Turn, TurnResult, Work};
use clawhook_model::{
    DeliveryId, ErrorReason, EventId, Finished, Job, Payload, Role, RunError, RunOutcome, RunStatus,
    TranscriptEntry, Trigger, UnixMs, plan_deliveries,
};
use clawhook_store::{AfterRun, FinishRun, NewDelivery, NewRun, RunFinished, StoreError};

use crate::Core;
use crate::slots::Held;

/// How much longer than its limit a turn may take before the engine stops waiting for it. The runtime ends a turn at
/// its limit; this is for a runtime that does not.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a failed commit waits before it is tried again, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// A run that is claimed.
pub(crate) struct Begun {
    /// The run.
    pub(crate) run: NewRun,
    /// Its job, with the state that the claim gave it.
    pub(crate) job: Job,
    /// What made it happen.
    pub(crate) trigger: Trigger,
    /// When it was claimed.
    pub(crate) started_at: UnixMs,
}

/// Sets a run going; the slot is held until its result is committed.
pub(crate) fn begin(core: &Arc<Core>, begun: Begun, slot: Option<Held>) {
    let task_core = core.clone();
    core.runs.spawn(async move {
        let result = execute(&task_core, &begun).await;
        commit(&task_core, begun, result).await;
        drop(slot);
    });
}

/// Ends a run that cannot be, or was not, executed.
pub(crate) fn end_unexecuted(core: &Arc<Core>, begun: Begun, outcome: RunOutcome) {
    let task_core = core.clone();
    let result = TurnResult { outcome, transcript: Vec::new() };
    core.runs.spawn(async move { commit(&task_core, begun, result).await });
}

async fn execute(core: &Arc<Core>, begun: &Begun) -> TurnResult {
    let work = match &begun.job.definition.payload {
        Payload::SystemEvent { text } => return system_event(core, text),
        Payload::AgentTurn(turn) => Work::Message { text: turn.message.clone(), model: turn.model.clone() },
        Payload::Command(command) => Work::Command(Command {
            argv: command.argv.clone(),
            cwd: command.cwd.as_ref().map(PathBuf::from),
            env: command.env.clone(),
            input: command.input.clone(),
            no_output_timeout: command.no_output_timeout_ms.filter(|ms| *ms > 0).map(Duration::from_millis),
            output_max_bytes: command
                .output_max_bytes
                .map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
        }),
    };
    let timeout = begun.job.definition.payload.time_limit();
    let turn = Turn { agent: begun.run.agent_id.clone(), session: begun.run.session.clone(), work, timeout };
    run_turn(core, turn).await
}

/// A system event is done when it is written into the main session (contract §4.4).
fn system_event(core: &Core, text: &str) -> TurnResult {
    let entry = TranscriptEntry { at: core.clock.now(), role: Role::System, text: text.to_owned() };
    TurnResult { outcome: RunOutcome::ok(text), transcript: vec![entry] }
}

/// Runs a turn in a task of its own, so that neither a panic nor a hang in a runtime reaches the engine.
async fn run_turn(core: &Arc<Core>, turn: Turn) -> TurnResult {
    let timeout = turn.timeout;
    let cancel = core.end_runs.child_token();
    let runtime = core.runtime.clone();
    let task_cancel = cancel.clone();
    let mut task = tokio::spawn(async move { runtime.run_turn(turn, task_cancel).await });
    let ended = match timeout {
        Some(limit) => tokio::time::timeout(limit.saturating_add(PATIENCE), &mut task).await,
        None => Ok((&mut task).await),
    };
    let outcome = match ended {
        Ok(Ok(result)) => return result,
        Ok(Err(error)) => {
            tracing::error!(%error, "a runtime failed");
            RunOutcome::error(
                ErrorReason::Unknown,
                "the runtime failed unexpectedly; the gateway's log has the details",
            )
        }
        Err(_) => {
            cancel.cancel();
            task.abort();
            RunOutcome::error(
                ErrorReason::Timeout,
                "cron: job execution timed out, and the runtime did not end it in time",
            )
        }
    };
    TurnResult { outcome, transcript: Vec::new() }
}

/// Makes the result durable. While the store cannot be written it tries again and again: the result exists once.
async fn commit(core: &Arc<Core>, begun: Begun, result: TurnResult) {
    let finish = finish(core, begun, result);
    let Err(error) = try_commit(core, &finish).await else { return };
    core.unwritten.fetch_add(1, Ordering::SeqCst);
    let mut wait = RETRY_FIRST;
    let mut last = error;
    loop {
        tracing::error!(job = %finish.job_id, run = %finish.run_id, error = %last, "a run's result waits: the store cannot be written");
        core.clock.sleep(wait).await;
        wait = (wait * 2).min(RETRY_MOST);
        match try_commit(core, &finish).await {
            Ok(()) => break,
            Err(error) => last = error,
        }
    }
    core.unwritten.fetch_sub(1, Ordering::SeqCst);
}

async fn try_commit(core: &Core, finish: &FinishRun) -> Result<(), StoreError> {
    if core.store.finish_run(finish.clone()).await? == RunFinished::Fenced {
        tracing::warn!(job = %finish.job_id, run = %finish.run_id, "a run ended that is no longer ours; its result is dropped");
    }
    Ok(())
}

fn finish(core: &Core, begun: Begun, result: TurnResult) -> FinishRun {
    let Begun { run, job, trigger, started_at } = begun;
    let ended_at = core.clock.now().max(started_at);
    let outcome = explained(result.outcome);
    let event_id = EventId::new(ended_at);
    let facts = Finished {
        event_id,
        job: &job,
        run_id: run.id,
        trigger,
        scheduled_at: run.scheduled_at,
        started_at,
        ended_at,
        session_id: run.session.id,
        session_key: &run.session.key,
        outcome: &outcome,
    };
    let event = Bytes::from(facts.to_bytes());
    let deliveries = plan_deliveries(&job.definition.delivery, &outcome)
        .into_iter()
        .map(|plan| NewDelivery { id: DeliveryId::new(ended_at), plan })
        .collect();
    FinishRun {
        run_id: run.id,
        after: after(&job, trigger, &outcome),
        job_id: job.id,
        session: run.session,
        agent_id: run.agent_id,
        ended_at,
        event_id,
        event,
        deliveries,
        transcript: result.transcript,
        outcome,
    }
}

/// An outcome of status `error` always says why, whatever the runtime left out.
fn explained(mut outcome: RunOutcome) -> RunOutcome {
    if outcome.status == RunStatus::Error && outcome.error.is_none() {
        let message = "the run failed without a reason".to_owned();
        outcome.error = Some(RunError { reason: ErrorReason::Unknown, message });
    }
    outcome
}

/// A one-shot that asks for it goes once its own occurrence has completed; a run by hand never uses it up.
fn after(job: &Job, trigger: Trigger, outcome: &RunOutcome) -> AfterRun {
    let used_up = job.definition.schedule.is_one_shot() && trigger != Trigger::Manual;
    if used_up && job.definition.delete_after_run && outcome.status == RunStatus::Ok {
        AfterRun::RemoveWhenComplete
    } else {
        AfterRun::Keep
    }
}
