//! One run, from its claim to the commit of its result.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use clawhook_agent::{Turn, TurnResult};
use clawhook_model::{
    DeliveryId, ErrorReason, EventId, Finished, HookCall, Job, Provenance, RunError, RunId, RunOutcome,
    RunStatus, SessionId, Trigger, UnixMs,
};
use clawhook_store::{
    AfterRun, ChainRules, DeferRun, FinishRun, LeftWithSessions, NewDelivery, NewRun, OccurrenceOutcome,
    RunFinished, StoreError,
};
use futures_util::FutureExt as _;
use tokio::task::JoinError;

use crate::Core;
use crate::control::Control;
use crate::hook_note;
use crate::hooks::{self, Gated};
use crate::late::{self, GivenUp};
use crate::route::{self, Resolved};
use crate::slots::Held;
use crate::turns::{self, Planned, Prepared};

/// How long a failed commit waits before it is tried again, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);
/// How long after it was due a run may be put back at most, and how long it stays there at least: twice as long each time,
/// up to a bound, so that a provider which keeps asking for a moment more is not asked all day.
const LONGEST_DEFERRAL: Duration = Duration::from_hours(24);
const SHORTEST_DEFERRAL: Duration = Duration::from_secs(1);
const DEFERRAL_DOUBLINGS: u32 = 8;

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
    /// When it was accepted.
    pub(crate) queued_at: UnixMs,
    /// How often it was put back before.
    pub(crate) deferrals: u32,
    /// The gates that were asked.
    pub(crate) gates: Vec<HookCall>,
}

impl Begun {
    /// A run that begins as soon as it is accepted.
    pub(crate) fn at_once(run: NewRun, job: Job, now: UnixMs) -> Self {
        let trigger = run.trigger;
        Self { run, job, trigger, started_at: now, queued_at: now, deferrals: 0, gates: Vec::new() }
    }
}

/// Sets a run going; the slot is held until its result is committed.
pub(crate) fn begin(core: &Arc<Core>, begun: Begun, slot: Option<Held>) {
    let task_core = core.clone();
    let control = core.under_way.begin(&begun.job.id, begun.run.id, &core.end_runs);
    core.runs.spawn(async move {
        let (mut slot, mut begun) = (slot, begun);
        let lived = AssertUnwindSafe(live(&task_core, &mut begun, &control, &mut slot)).catch_unwind().await;
        if lived.is_err() {
            fell(&task_core, &begun).await;
        }
        control.live.over();
        task_core.under_way.over(&begun.job.id, begun.run.id);
        drop(slot);
    });
}

async fn live(core: &Arc<Core>, begun: &mut Begun, control: &Control, slot: &mut Option<Held>) {
    let gated = hooks::ask(core, begun, control).await;
    let begun = &*begun;
    let ready = match gated {
        Gated::Open(appended) => prepared(core, begun, &appended, control, slot).await,
        Gated::Shut(outcome) => Prepared::over(*outcome, LeftWithSessions::default()),
        Gated::Ended => told_to_end(core, control),
    };
    match ready {
        Prepared::Turn(planned) => take_turn(core, begun, *planned, control).await,
        Prepared::Over(over) => {
            let (result, left) = *over;
            commit(core, begun, result, left, None).await;
        }
        Prepared::Cancelled(reason) => {
            let (result, passed) = unbegun(reason);
            commit(core, begun, result, LeftWithSessions::default(), Some(passed)).await;
        }
        Prepared::Later { until, why } => put_back(core, begun, until, why).await,
    }
}

/// Takes a turn and makes its result durable. The turn of the session is ours until then.
async fn take_turn(core: &Arc<Core>, begun: &Begun, planned: Planned, control: &Control) {
    let Planned { turn, told, session } = planned;
    let mut result = run_turn(core, begun, turn, control).await;
    // From here on there is nothing left to cancel.
    core.under_way.over(&begun.job.id, begun.run.id);
    control.live.over();
    turns::hear(begun, &mut result.outcome);
    match asked_to_wait(core, begun, &result, control) {
        Some((until, why)) => put_back(core, begun, until, why).await,
        None => {
            let left = turns::leave(core, begun, told, &result);
            commit(core, begun, result, left, None).await;
        }
    }
    drop(session);
}

/// Prepares a run for its turn. It may be told to end while it waits: one that nobody cancelled has done nothing, and goes
/// back to the queue.
async fn prepared(
    core: &Arc<Core>,
    begun: &Begun,
    appended: &str,
    control: &Control,
    slot: &mut Option<Held>,
) -> Prepared {
    let mut wait = RETRY_FIRST;
    loop {
        let ready = tokio::select! {
            biased;
            () = control.end.cancelled() => return told_to_end(core, control),
            ready = turns::prepare(core, begun, appended, control.live.output(), slot) => ready,
        };
        match ready {
            Ok(ready) => return ready,
            Err(error) => {
                tracing::error!(run = %begun.run.id, %error, "a run waits: the store cannot be read");
            }
        }
        tokio::select! {
            biased;
            () = control.end.cancelled() => return told_to_end(core, control),
            () = core.clock.sleep(wait) => wait = (wait * 2).min(RETRY_MOST),
        }
    }
}

fn told_to_end(core: &Core, control: &Control) -> Prepared {
    match control.reason() {
        Some(reason) => Prepared::Cancelled(reason),
        None => {
            let why = "the gateway stopped before the run's turn began".to_owned();
            Prepared::Later { until: core.clock.now(), why }
        }
    }
}

/// Whether a run goes back to the queue, because whoever it needs asked to be left alone for a while: it keeps its identity,
/// and its job's bound on lateness holds.
fn asked_to_wait(
    core: &Core,
    begun: &Begun,
    result: &TurnResult,
    control: &Control,
) -> Option<(UnixMs, String)> {
    let until = result.ask_again_at?;
    let due = begun.run.scheduled_at.unwrap_or(begun.queued_at);
    let misfire = begun.job.definition.misfire.over(core.options.misfire);
    let bound = misfire.max_lateness.filter(|_| begun.trigger.is_bound_by_lateness());
    let most = bound.unwrap_or(LONGEST_DEFERRAL).min(LONGEST_DEFERRAL);
    let waits = result.outcome.status == RunStatus::Error
        && control.reason().is_none()
        && until.since(due) <= most
        && !core.stopping.load(Ordering::SeqCst);
    let why = result.outcome.error.as_ref().map_or("asked to wait", |error| error.message.as_str());
    let shortest = SHORTEST_DEFERRAL * (1 << begun.deferrals.min(DEFERRAL_DOUBLINGS));
    waits.then(|| (until.max(core.clock.now().plus(shortest)), why.to_owned()))
}

/// Ends a run whose task fell over a fault of ours. The watchdog raises an alarm for it, and its job goes on.
async fn fell(core: &Arc<Core>, begun: &Begun) {
    tracing::error!(job = %begun.job.id, run = %begun.run.id, "the task of a run panicked; the run is ended");
    core.fallen.fetch_add(1, Ordering::SeqCst);
    let message = "the gateway failed unexpectedly during the run; its log has the details";
    let outcome = RunOutcome::error(ErrorReason::Unknown, message);
    let result = TurnResult::of(outcome);
    if AssertUnwindSafe(commit(core, begun, result, LeftWithSessions::default(), None))
        .catch_unwind()
        .await
        .is_err()
    {
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
    let outcome = RunOutcome::skipped(ErrorReason::Unknown, reason.clone());
    end_with(core, begun, outcome, Some(passed));
}

/// Ends a run that was cancelled before it began.
pub(crate) fn end_cancelled(core: &Arc<Core>, begun: Begun, reason: &str) {
    let (result, passed) = unbegun(reason);
    end_with(core, begun, result.outcome, Some(passed));
}

/// How a run ends that was cancelled before its turn began, and what its instant's record says then.
fn unbegun(reason: &str) -> (TurnResult, OccurrenceOutcome) {
    let outcome = RunOutcome::error(ErrorReason::Cancelled, reason);
    let passed = format!("the run was cancelled before it began ({reason})");
    (TurnResult::of(outcome), OccurrenceOutcome::Skipped(passed))
}

fn end_with(core: &Arc<Core>, begun: Begun, outcome: RunOutcome, passed: Option<OccurrenceOutcome>) {
    let task_core = core.clone();
    let (result, left) = (TurnResult::of(outcome), LeftWithSessions::default());
    core.runs.spawn(async move { commit(&task_core, &begun, result, left, passed).await });
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
    TurnResult::of(outcome)
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
            TurnResult::of(RunOutcome::error(ErrorReason::Unknown, message))
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

/// Makes the result durable.
async fn commit(
    core: &Arc<Core>,
    begun: &Begun,
    result: TurnResult,
    left: LeftWithSessions,
    passed: Option<OccurrenceOutcome>,
) {
    let route = route::of(core, &begun.job).await;
    let finish = finish(core, begun, result, left, (passed, route));
    if durably(core, begun, || core.store.finish_run(finish.clone())).await == RunFinished::Done {
        core.counted.run(&begun.run.agent_id, &finish.outcome);
    }
}

/// Puts a run back into the queue.
async fn put_back(core: &Arc<Core>, begun: &Begun, until: UnixMs, why: String) {
    tracing::info!(job = %begun.job.id, run = %begun.run.id, %until, %why, "a run is put back");
    let defer = DeferRun { run_id: begun.run.id, job_id: begun.job.id.clone(), until, why };
    if durably(core, begun, || core.store.defer_run(defer.clone(), core.clock.now())).await
        == RunFinished::Done
    {
        core.counted.deferral();
    }
    core.slots.note_queue(begun.run.lane, true);
    core.slots.nudge();
}

/// Has what follows from a run written. While the store cannot be written it is tried again and again: a result exists once.
async fn durably<F>(core: &Core, begun: &Begun, write: impl Fn() -> F) -> RunFinished
where
    F: Future<Output = Result<RunFinished, StoreError>>,
{
    let (job, run) = (&begun.job.id, begun.run.id);
    let mut wait = RETRY_FIRST;
    let mut is_counted = false;
    let written = loop {
        match write().await {
            Ok(written) => break written,
            Err(error) => {
                tracing::error!(%job, %run, %error, "a run's result waits: the store cannot be written");
            }
        }
        if !is_counted {
            core.unwritten.fetch_add(1, Ordering::SeqCst);
            is_counted = true;
        }
        core.clock.sleep(wait).await;
        wait = (wait * 2).min(RETRY_MOST);
    };
    if is_counted {
        core.unwritten.fetch_sub(1, Ordering::SeqCst);
    }
    if written == RunFinished::Fenced {
        tracing::warn!(%job, %run, "a run ended that is no longer ours; its result is dropped");
    }
    written
}

fn finish(
    core: &Core,
    begun: &Begun,
    result: TurnResult,
    mut left: LeftWithSessions,
    (passed, route): (Option<OccurrenceOutcome>, Option<Resolved>),
) -> FinishRun {
    let Begun { run, job, trigger, started_at, deferrals, .. } = begun;
    let (trigger, started_at) = (*trigger, *started_at);
    let ended_at = core.clock.now().max(started_at);
    let outcome = explained(result.outcome);
    let event_id = EventId::new(ended_at);
    let provenance = run.provenance.through(&core.options.instance, &job.id);
    let told = finished(run, job, &outcome, &provenance, event_id, (started_at, ended_at));
    let (upstream, gates) = (run.upstream, begun.gates.as_slice());
    let told_route = route.as_ref().map(|route| route.as_ref().map_err(String::as_str));
    let told = Finished { deferrals: *deferrals, upstream, gates, route: told_route, ..told };
    let event = Bytes::from(told.to_bytes());
    // What was never executed is followed by nothing.
    let hooks = if passed.is_some() { Vec::new() } else { hooks::after(core, job, &outcome, &mut left) };
    let deliveries = route::plan(&job.definition.delivery, &outcome, route.as_ref())
        .into_iter()
        .map(|plan| NewDelivery { id: DeliveryId::new(ended_at), plan })
        .collect();
    let left = LeftWithSessions { note: hook_note::of(begun, &outcome, ended_at), ..left };
    FinishRun {
        run_id: run.id,
        after: after(run, job, &outcome),
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
        day: turns::day(core, ended_at),
        left,
        hooks,
        chain: ChainRules {
            instance: core.options.instance.clone(),
            max_hops: core.options.max_hops,
            overlap: core.options.overlap,
        },
    }
}

/// The facts of the event that tells of a run's outcome.
pub(crate) fn finished<'a>(
    run: &'a NewRun,
    job: &'a Job,
    outcome: &'a RunOutcome,
    provenance: &'a Provenance,
    event_id: EventId,
    (started_at, ended_at): (UnixMs, UnixMs),
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
        deferrals: 0,
        late: false,
        provenance,
        upstream: None,
        gates: &[],
        outcome,
        route: None,
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

/// A one-shot that asks for it goes once its own occurrence has completed; a run by hand or by a chain never uses it up.
fn after(run: &NewRun, job: &Job, outcome: &RunOutcome) -> AfterRun {
    let is_own = run.trigger.is_scheduled() && run.scheduled_at.is_some();
    let used_up = job.definition.schedule.is_one_shot() && is_own;
    if used_up && job.definition.delete_after_run && outcome.status == RunStatus::Ok {
        AfterRun::RemoveWhenComplete
    } else {
        AfterRun::Keep
    }
}
