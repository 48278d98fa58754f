//! The timer: sleeps until something is due, claims it, and never waits for a run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clawhook_model::{
    ErrorReason, Job, Lane, Run, RunId, RunOutcome, RunProgress, RunStatus, SessionId, Trigger, UnixMs,
};
use clawhook_store::{Claim, Claimed, NewRun, QueuedRun, StoreError, Topic};
use tokio_util::sync::CancellationToken;

use crate::Core;
use crate::planner::{Plan, plan};
use crate::runner::{self, Begun};
use crate::slots::{Held, LANES};

/// How many occurrences are claimed in one transaction.
const BATCH: usize = 256;
/// How long the timer waits where something is due and cannot be claimed, or the store cannot be read.
const PAUSE: Duration = Duration::from_secs(1);
/// How long runs have to end once they were told to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// When the timer looks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    /// At this instant.
    At(UnixMs),
    /// When something changes.
    OnChange,
}

pub(crate) async fn run(core: &Arc<Core>, shutdown: &CancellationToken) {
    recover(core, shutdown).await;
    let mut changes = core.store.subscribe(Topic::Schedule);
    while !shutdown.is_cancelled() {
        changes.mark_unchanged();
        let wake = match claim_round(core).await {
            Ok(wake) => {
                core.note_problem(None);
                wake
            }
            Err(error) => {
                tracing::error!(%error, "the timer cannot read or write the store; it tries again");
                core.note_problem(Some(error.to_string()));
                Wake::At(core.clock.now().plus(PAUSE))
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = changes.changed() => {}
            () = core.slots.freed() => {}
            () = sleep(core, wake) => {}
        }
    }
    drain(core).await;
}

async fn sleep(core: &Core, wake: Wake) {
    match wake {
        Wake::At(instant) => core.clock.sleep_until(instant).await,
        Wake::OnChange => std::future::pending().await,
    }
}

/// Ends the runs that a dead process had begun: nobody knows what they did, so they are not repeated.
async fn recover(core: &Arc<Core>, shutdown: &CancellationToken) {
    let interrupted = loop {
        match core.store.recover().await {
            Ok(interrupted) => break interrupted,
            Err(error) => {
                tracing::error!(%error, "what the last process left cannot be taken over yet");
                core.note_problem(Some(error.to_string()));
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = core.clock.sleep(PAUSE) => {}
        }
    };
    for left in interrupted {
        tracing::warn!(job = %left.run.job_id, run = %left.run.id, "a run was interrupted by the end of the last process");
        let outcome = RunOutcome::error(ErrorReason::Interrupted, "cron: job interrupted by gateway restart");
        runner::end_unexecuted(core, begun(left.run, left.job), outcome);
    }
}

/// Claims whatever can be claimed now, and says when to look again.
async fn claim_round(core: &Arc<Core>) -> Result<Wake, StoreError> {
    let mut wake = Wake::OnChange;
    for lane in LANES {
        begin_queued(core, lane).await?;
        if core.options.run_jobs_on_schedule {
            wake = wake.min(claim_lane(core, lane).await?);
        }
    }
    Ok(wake)
}

/// Begins runs that wait in the store for a slot.
async fn begin_queued(core: &Arc<Core>, lane: Lane) -> Result<(), StoreError> {
    while core.slots.has_queue(lane) && core.slots.room(lane) > 0 {
        let slots = core.slots.try_hold(lane, BATCH);
        // Noted before the store is asked: a run that is queued in the meantime notes the contrary.
        core.slots.note_queue(lane, false);
        let claimed = core.store.claim_queued(lane, slots.len(), core.clock.now()).await;
        if claimed.as_ref().map_or(true, |claimed| claimed.len() == slots.len()) {
            core.slots.note_queue(lane, true);
        }
        for (queued, slot) in claimed?.into_iter().zip(slots) {
            begin_one(core, queued, slot);
        }
    }
    Ok(())
}

fn begin_one(core: &Arc<Core>, queued: QueuedRun, slot: Held) {
    let begun = begun(queued.run, queued.job);
    if queued.job_removed {
        let mut outcome = RunOutcome::error(ErrorReason::Unknown, "the job was removed before the run began");
        outcome.status = RunStatus::Skipped;
        runner::end_unexecuted(core, begun, outcome);
    } else {
        runner::begin(core, begun, Some(slot));
    }
}

/// Claims what is due in a lane for as long as it has slots.
async fn claim_lane(core: &Arc<Core>, lane: Lane) -> Result<Wake, StoreError> {
    loop {
        let room = core.slots.room(lane).min(BATCH);
        if room == 0 {
            return Ok(Wake::OnChange);
        }
        let now = core.clock.now();
        let mut due = core.store.due_jobs(lane, now, room).await?;
        if due.is_empty() {
            return next_wake(core, lane, now).await;
        }
        // A run by hand may have taken a slot in the meantime.
        let slots = core.slots.try_hold(lane, due.len());
        due.truncate(slots.len());
        if !due.is_empty() && claim(core, due, slots, now).await? == 0 {
            return Ok(Wake::At(now.plus(PAUSE)));
        }
    }
}

async fn next_wake(core: &Core, lane: Lane, now: UnixMs) -> Result<Wake, StoreError> {
    Ok(match core.store.next_due(lane).await? {
        // What is due and was not given to us cannot be read; it must not make the timer spin.
        Some(due) if due <= now => Wake::At(now.plus(PAUSE)),
        Some(due) => Wake::At(due),
        None => Wake::OnChange,
    })
}

/// Decides for each job, claims all decisions in one transaction, and begins the runs that were won. Returns how many
/// claims were won.
async fn claim(core: &Arc<Core>, due: Vec<Job>, slots: Vec<Held>, now: UnixMs) -> Result<usize, StoreError> {
    let mut claims = Vec::with_capacity(due.len());
    let mut jobs = Vec::with_capacity(due.len());
    for mut job in due {
        let Some(due_at) = job.state.next_run_at else { continue };
        let Plan { passed, run, next_run_at } = plan(&job, due_at, now, core.started_at, &core.host_zone);
        let run = run.map(|(instant, trigger)| {
            NewRun::of(&job, RunId::new(now), trigger, Some(instant), SessionId::random())
        });
        claims.push(Claim { job_id: job.id.clone(), due_at, passed, run, next_run_at });
        job.state.next_run_at = next_run_at;
        jobs.push(job);
    }
    let runs: Vec<Option<NewRun>> = claims.iter().map(|claim| claim.run.clone()).collect();
    let results = core.store.claim(claims, now).await?;
    let mut slots = slots.into_iter();
    let mut won = 0;
    for ((mut job, run), result) in jobs.into_iter().zip(runs).zip(results) {
        match result {
            Claimed::Lost => continue,
            Claimed::AlreadyRecorded => {
                tracing::warn!(job = %job.id, "an instant came again that has its record; it is not run again");
                won += 1;
                continue;
            }
            Claimed::Won => won += 1,
        }
        let Some(run) = run else { continue };
        job.state.active_run = Some(run.id);
        job.state.running_at = Some(now);
        let trigger = run.trigger;
        runner::begin(core, Begun { run, job, trigger, started_at: now }, slots.next());
    }
    Ok(won)
}

/// Lets runs finish within the grace, ends the rest, and waits until every result is committed.
async fn drain(core: &Arc<Core>) {
    core.stopping.store(true, Ordering::SeqCst);
    core.runs.close();
    let grace = core.options.shutdown_grace;
    if tokio::time::timeout(grace, core.runs.wait()).await.is_ok() {
        return;
    }
    tracing::warn!(runs = core.runs.len(), "runs are ended: the grace of the shutdown is over");
    core.end_runs.cancel();
    if tokio::time::timeout(LAST_WORDS, core.runs.wait()).await.is_err() {
        tracing::error!(
            runs = core.runs.len(),
            "runs did not end; the next start records them as interrupted"
        );
    }
}

fn begun(run: Run, job: Job) -> Begun {
    let started_at = match run.progress {
        RunProgress::Queued => run.queued_at,
        RunProgress::Running { started_at } | RunProgress::Finished { started_at, .. } => started_at,
    };
    let trigger: Trigger = run.trigger;
    let run = NewRun {
        id: run.id,
        job_id: run.job_id,
        job_name: run.job_name,
        agent_id: run.agent_id,
        trigger,
        scheduled_at: run.scheduled_at,
        session: run.session,
        lane: job.definition.payload.lane(),
        best_effort: job.definition.delivery.best_effort,
    };
    Begun { run, job, trigger, started_at }
}
