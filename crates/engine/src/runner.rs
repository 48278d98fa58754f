//! One run, from its claim to the commit of its result.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use clawhook_agent::{Command, Turn, TurnResult, Work};
use clawhook_model::{
    DeliveryId, ErrorReason, EventId, Finished, Job, Payload, Role, RunError, RunId, RunOutcome, RunStatus,
    SessionId, TranscriptEntry, Trigger, UnixMs, plan_deliveries,
};
use clawhook_store::{AfterRun, FinishRun, NewDelivery, NewRun, OccurrenceOutcome, RunFinished, StoreError};
use futures_util::FutureExt as _;
use tokio::task::JoinError;

use crate::Core;
use crate::control::Control;
use crate::late::{self, GivenUp};
use crate::slots::Held;

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
    let control = core.under_way.begin(&begun.job.id, begun.run.id, &core.end_runs);
    core.runs.spawn(async move {
        let lived = AssertUnwindSafe(live(&task_core, &begun, &control)).catch_unwind().await;
        if lived.is_err() {
            fell(&task_core, &begun).await;
        }
        task_core.under_way.over(&begun.job.id, begun.run.id);
        drop(slot);
    });
}

async fn live(core: &Arc<Core>, begun: &Begun, control: &Control) {
    let result = execute(core, begun, control).await;
    commit(core, begun, result, None).await;
}

/// Ends a run whose task fell over a fault of ours. The watchdog raises an alarm for it, and its job goes on.
async fn fell(core: &Arc<Core>, begun: &Begun) {
    tracing::error!(job = %begun.job.id, run = %begun.run.id, "the task of a run panicked; the run is ended");
    core.fallen.fetch_add(1, Ordering::SeqCst);
    let message = "the gateway failed unexpectedly during the run; its log has the details";
    let outcome = RunOutcome::error(ErrorReason::Unknown, message);
    let result = TurnResult { outcome, transcript: Vec::new() };
    if AssertUnwindSafe(commit(core, begun, result, None)).catch_unwind().await.is_err() {
        tracing::error!(run = %begun.run.id, "the run cannot be ended either; the next start records it as interrupted");
    }
}

/// Ends a run that was under way when its process died.
pub(crate) fn end_interrupted(core: &Arc<Core>, begun: Begun) {
    let outcome = RunOutcome::error(ErrorReason::Interrupted, "cron: job interrupted by gateway restart");
    end_with(core, begun, outcome, None);
}

/// Ends a run that is not executed; its instant's record will say so.
pub(crate) fn end_unexecuted(core: &Arc<Core>, begun: Begun, passed: OccurrenceOutcome) {
    let (OccurrenceOutcome::Skipped(reason) | OccurrenceOutcome::Missed(reason)) = &passed else { return };
    let mut outcome = RunOutcome::error(ErrorReason::Unknown, reason.clone());
    outcome.status = RunStatus::Skipped;
    end_with(core, begun, outcome, Some(passed));
}

fn end_with(core: &Arc<Core>, begun: Begun, outcome: RunOutcome, passed: Option<OccurrenceOutcome>) {
    let task_core = core.clone();
    let result = TurnResult { outcome, transcript: Vec::new() };
    core.runs.spawn(async move { commit(&task_core, &begun, result, passed).await });
}

async fn execute(core: &Arc<Core>, begun: &Begun, control: &Control) -> TurnResult {
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
    run_turn(core, begun, turn, control).await
}

/// A system event is done when it is written into the main session (contract §4.4).
fn system_event(core: &Core, text: &str) -> TurnResult {
    let entry = TranscriptEntry { at: core.clock.now(), role: Role::System, text: text.to_owned() };
    TurnResult { outcome: RunOutcome::ok(text), transcript: vec![entry] }
}

/// Runs a turn in a task of its own, so that neither a panic nor a hang in a runtime reaches the engine. A turn that does
/// not end when it should is given up, and listened to.
async fn run_turn(core: &Arc<Core>, begun: &Begun, turn: Turn, control: &Control) -> TurnResult {
    let limit = turn.timeout.map(|limit| limit.saturating_add(core.options.patience));
    let runtime = core.runtime.clone();
    let cancel = control.end.clone();
    let mut task = tokio::spawn(async move { runtime.run_turn(turn, cancel).await });
    let outcome = tokio::select! {
        biased;
        ended = &mut task => return settled(ended, control),
        () = out_of_time(limit) => {
            control.end.cancel();
            let message = "cron: job execution timed out, and the runtime did not end it in time";
            RunOutcome::error(ErrorReason::Timeout, message)
        }
        reason = out_of_patience(control, core.options.patience) => RunOutcome::error(ErrorReason::Cancelled, reason),
    };
    let given_up =
        GivenUp { run: begun.run.clone(), job: begun.job.clone(), started_at: begun.started_at, turn: task };
    late::listen(core, given_up);
    TurnResult { outcome, transcript: Vec::new() }
}

/// What a turn that has ended brought.
fn settled(ended: Result<TurnResult, JoinError>, control: &Control) -> TurnResult {
    match (ended, control.reason()) {
        (Ok(mut result), Some(reason)) if result.outcome.status != RunStatus::Ok => {
            result.outcome.status = RunStatus::Error;
            result.outcome.error =
                Some(RunError { reason: ErrorReason::Cancelled, message: reason.to_owned() });
            result
        }
        (Ok(result), _) => result,
        (Err(error), _) => {
            tracing::error!(%error, "a runtime failed");
            let message = "the runtime failed unexpectedly; the gateway's log has the details";
            TurnResult { outcome: RunOutcome::error(ErrorReason::Unknown, message), transcript: Vec::new() }
        }
    }
}

async fn out_of_time(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Returns once a run that was cancelled, for a reason of its own, had its time to end.
async fn out_of_patience(control: &Control, patience: Duration) -> &'static str {
    control.end.cancelled().await;
    let Some(reason) = control.reason() else { return std::future::pending().await };
    tokio::time::sleep(patience).await;
    reason
}

/// Makes the result durable. While the store cannot be written it tries again and again: the result exists once.
async fn commit(core: &Arc<Core>, begun: &Begun, result: TurnResult, passed: Option<OccurrenceOutcome>) {
    let finish = finish(core, begun, result, passed);
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

fn finish(core: &Core, begun: &Begun, result: TurnResult, passed: Option<OccurrenceOutcome>) -> FinishRun {
    let Begun { run, job, trigger, started_at } = begun;
    let (trigger, started_at) = (*trigger, *started_at);
    let ended_at = core.clock.now().max(started_at);
    let outcome = explained(result.outcome);
    let event_id = EventId::new(ended_at);
    let event = Bytes::from(finished(run, job, &outcome, event_id, (started_at, ended_at), false).to_bytes());
    let deliveries = plan_deliveries(&job.definition.delivery, &outcome)
        .into_iter()
        .map(|plan| NewDelivery { id: DeliveryId::new(ended_at), plan })
        .collect();
    FinishRun {
        run_id: run.id,
        after: after(job, trigger, &outcome),
        job_id: job.id.clone(),
        session: run.session.clone(),
        agent_id: run.agent_id.clone(),
        ended_at,
        event_id,
        event,
        deliveries,
        transcript: result.transcript,
        outcome,
        trigger,
        passed,
        failure: core.failure.clone(),
        retry: (RunId::new(ended_at), SessionId::random()),
    }
}

/// The facts of the event that tells of a run's outcome.
pub(crate) fn finished<'a>(
    run: &'a NewRun,
    job: &'a Job,
    outcome: &'a RunOutcome,
    event_id: EventId,
    (started_at, ended_at): (UnixMs, UnixMs),
    late: bool,
) -> Finished<'a> {
    Finished {
        event_id,
        job,
        run_id: run.id,
        trigger: run.trigger,
        scheduled_at: run.scheduled_at,
        started_at,
        ended_at,
        session_id: run.session.id,
        session_key: &run.session.key,
        attempt: run.attempt,
        late,
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
    let used_up = job.definition.schedule.is_one_shot() && trigger.is_scheduled();
    if used_up && job.definition.delete_after_run && outcome.status == RunStatus::Ok {
        AfterRun::RemoveWhenComplete
    } else {
        AfterRun::Keep
    }
}
