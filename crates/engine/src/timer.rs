//! The timer: sleeps until something is due, claims it, and never waits for a run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clawhook_model::{Job, Lane, Overlap, Run, RunId, RunProgress, Trigger, UnixMs};
use clawhook_store::{
    Claimed, LaneWake, NewRun, OccurrenceOutcome, PlannedRun, QueuedRun, RunStart, StoreError, Topic,
};
use tokio_util::sync::CancellationToken;

use crate::claims::{self, Planned, Strikes};
use crate::presence::{ClockMove, LONGEST_SLEEP, Presence};
use crate::runner::{self, Begun};
use crate::slots::Held;
use crate::{Core, failpoint};

/// How many jobs are claimed in one transaction.
const BATCH: usize = 256;
/// How long the timer waits where something is due and cannot be claimed, or the store cannot be read.
const PAUSE: Duration = Duration::from_secs(1);
/// How often in a row a batch may be lost to others before the timer waits.
const LOST_BATCHES: u32 = 3;
/// How long runs have to end once they were told to.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// After how many naps the store is asked in any case.
const NAPS: u32 = 10;
/// What a run is told that another takes the place of.
const REPLACED: &str = "cron: job cancelled, because its next instant was due (overlap policy cancelOther)";

const REPLACED_BY_CHAIN: &str =
    "cron: job cancelled, because a job that it waits for ended again (overlap policy cancelOther)";

/// When the timer looks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    /// At this instant.
    At(UnixMs),
    /// When something changes.
    OnChange,
}

/// What the timer keeps from one round to the next.
struct Timer<'a> {
    core: &'a Arc<Core>,
    presence: Presence,
    strikes: Strikes,
}

pub(crate) async fn run(core: &Arc<Core>, shutdown: &CancellationToken) {
    recover(core, shutdown).await;
    let mut timer = Timer { core, presence: core.presence(), strikes: Strikes::default() };
    let mut changes = core.store.subscribe(Topic::Schedule);
    while !shutdown.is_cancelled() {
        changes.mark_unchanged();
        let wake = match timer.round().await {
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
        // Asked in one order each time, so that a simulation can be repeated.
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            _ = changes.changed() => {}
            () = core.slots.freed() => {}
            () = timer.sleep(wake) => {}
        }
    }
    drain(core).await;
}

/// Sleeps until an instant, or for as long as the timer may without a look; says whether the instant has come.
async fn nap(core: &Core, wake: Wake) -> bool {
    let longest = core.clock.sleep(LONGEST_SLEEP);
    let Wake::At(instant) = wake else {
        longest.await;
        return false;
    };
    tokio::select! {
        biased;
        () = core.clock.sleep_until(instant) => true,
        () = longest => false,
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
            biased;
            () = shutdown.cancelled() => return,
            () = core.clock.sleep(PAUSE) => {}
        }
    };
    for left in interrupted {
        let began_at = match left.run.progress {
            RunProgress::Running { started_at } => started_at,
            RunProgress::Queued(_) | RunProgress::Finished { .. } => left.run.queued_at,
        };
        // What was too late when its turn came was being ended, and not executed.
        match too_late(core, &left.run, &left.job, began_at) {
            Some(passed) => runner::end_unexecuted(core, begun(left.run, left.job), passed),
            None => {
                tracing::warn!(job = %left.run.job_id, run = %left.run.id, "a run was interrupted by the end of the last process");
                runner::end_interrupted(core, begun(left.run, left.job));
            }
        }
    }
}

impl Timer<'_> {
    /// Sleeps until it is time. Only who looks often notices that the clock was set, back as well as forward; and now and
    /// then the store is asked although nobody told of anything.
    async fn sleep(&mut self, wake: Wake) {
        for _ in 0..NAPS {
            let is_time = nap(self.core, wake).await;
            if self.look() != ClockMove::On || is_time {
                return;
            }
        }
    }

    /// Notes that the timer is there, and tells what the clock did in the meantime.
    fn look(&mut self) -> ClockMove {
        let now = self.core.clock.now();
        let moved = self.presence.look(now);
        match moved {
            ClockMove::On => {}
            ClockMove::Forward => {
                tracing::warn!(%now, "the machine slept or its clock was set forward; what was due is caught up");
            }
            ClockMove::Back => {
                tracing::warn!(%now, "the clock was set back; instants that were run are not run again");
                self.core.schedules_suspect.notify_one();
            }
        }
        self.core.keep_presence(self.presence);
        self.core.looked(now);
        moved
    }

    /// Does whatever can be done now, and says when to look again.
    async fn round(&mut self) -> Result<Wake, StoreError> {
        failpoint::timer_round().await;
        let mut wake = Wake::OnChange;
        for lane in Lane::ALL {
            wake = wake.min(self.serve(lane).await?);
        }
        Ok(wake)
    }

    /// Begins what is queued and claims what is due in a lane, until there is nothing left to do in it.
    async fn serve(&mut self, lane: Lane) -> Result<Wake, StoreError> {
        let mut lost = 0;
        loop {
            // A round may be long, and to be busy is not to be absent.
            self.look();
            self.begin_queued(lane).await?;
            let now = self.core.clock.now();
            // No job of the hooks' lane is due by the clock.
            let claims = self.core.options.run_jobs_on_schedule && lane != Lane::Hook;
            let progress = if claims { self.claim_due(lane, now).await? } else { None };
            match progress {
                Some(0) if lost + 1 >= LOST_BATCHES => return Ok(Wake::At(now.plus(PAUSE))),
                Some(0) => lost += 1,
                Some(_) => lost = 0,
                None => match self.next_wake(lane, now).await? {
                    Some(wake) => return Ok(wake),
                    None => self.core.slots.note_queue(lane, true),
                },
            }
        }
    }

    /// When there is something to do in a lane; none where there is at once.
    async fn next_wake(&self, lane: Lane, now: UnixMs) -> Result<Option<Wake>, StoreError> {
        let LaneWake { due_at, ready_at } = self.core.store.next_wake(lane).await?;
        let due = match due_at.filter(|_| self.core.options.run_jobs_on_schedule) {
            // What is due and was not given to us cannot be read; it must not make the timer spin.
            Some(due) if due <= now => Wake::At(now.plus(PAUSE)),
            Some(due) => Wake::At(due),
            None => Wake::OnChange,
        };
        let ready = match ready_at {
            Some(ready) if ready <= now && self.core.slots.room(lane) > 0 => return Ok(None),
            Some(ready) if ready <= now => {
                self.core.slots.note_queue(lane, true);
                Wake::OnChange
            }
            Some(ready) => Wake::At(ready),
            None => Wake::OnChange,
        };
        Ok(Some(due.min(ready)))
    }

    /// Begins runs that wait in the store for a slot.
    async fn begin_queued(&self, lane: Lane) -> Result<(), StoreError> {
        let core = self.core;
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

    /// Claims what is due in a lane: its record is written whether or not there is a slot for its run. Returns how many
    /// claims were won; none where nothing is due.
    async fn claim_due(&mut self, lane: Lane, now: UnixMs) -> Result<Option<usize>, StoreError> {
        let due = self.core.store.due_jobs(lane, now, BATCH).await?;
        if due.is_empty() {
            return Ok(None);
        }
        let mut slots = self.core.slots.try_hold(lane, due.len());
        let mut plans = Vec::with_capacity(due.len());
        let mut slots_left = slots.len();
        for job in due {
            let Some(due_at) = job.state.next_run_at else { continue };
            let planned = claims::plan(self.core, &mut self.presence, &mut self.strikes, job, due_at, now);
            let Some(mut planned) = planned else { continue };
            queue_beyond(&mut planned.claim.runs, &mut slots_left, now);
            plans.push(planned);
        }
        let claims = plans.iter().map(|planned| planned.claim.clone()).collect();
        let results = self.core.store.claim(claims, now).await?;
        let mut won = 0;
        for (planned, result) in plans.into_iter().zip(results) {
            let Claimed::Won(runs) = result else { continue };
            won += 1;
            self.begin_won(lane, planned, &runs, &mut slots, now);
        }
        Ok(Some(won))
    }

    fn begin_won(&self, lane: Lane, planned: Planned, won: &[RunId], slots: &mut Vec<Held>, now: UnixMs) {
        let core = self.core;
        let Planned { claim, mut job, cancels } = planned;
        if cancels && !won.is_empty() {
            core.under_way.cancel(&job.id, REPLACED);
        }
        job.state.next_run_at = claim.next_run_at;
        job.state.running_at = job.state.running_at.or(Some(now));
        for PlannedRun { run, start } in claim.runs {
            if !won.contains(&run.id) {
                tracing::warn!(job = %job.id, "an instant came again that was run before; it is not run again");
                continue;
            }
            match start {
                RunStart::Now => {
                    runner::begin(core, Begun::at_once(run, job.clone(), now), slots.pop());
                }
                RunStart::At(ready) if ready <= now => core.slots.note_queue(lane, true),
                RunStart::At(_) | RunStart::AfterOthers => {}
            }
        }
    }
}

/// Has runs queued for which there is no slot.
fn queue_beyond(runs: &mut [PlannedRun], slots_left: &mut usize, now: UnixMs) {
    for planned in runs.iter_mut().filter(|planned| planned.start == RunStart::Now) {
        if *slots_left > 0 {
            *slots_left -= 1;
        } else {
            planned.start = RunStart::At(now);
        }
    }
}

fn begin_one(core: &Arc<Core>, queued: QueuedRun, slot: Held) {
    let now = core.clock.now();
    let passed = passed_in_the_queue(core, &queued, now);
    let overlap = queued.job.definition.overlap.unwrap_or(core.options.overlap);
    // The schedule's instants cancel when they are claimed, and a chain's runs when they begin.
    if passed.is_none() && queued.run.trigger == Trigger::Chain && overlap == Overlap::CancelOther {
        core.under_way.cancel(&queued.job.id, REPLACED_BY_CHAIN);
    }
    let begun = begun(queued.run, queued.job);
    match passed {
        Some(passed) => runner::end_unexecuted(core, begun, passed),
        None => runner::begin(core, begun, Some(slot)),
    }
}

/// Why a run is not executed, now that its turn has come.
fn passed_in_the_queue(core: &Core, queued: &QueuedRun, now: UnixMs) -> Option<OccurrenceOutcome> {
    let QueuedRun { run, job, job_removed, refused } = queued;
    if let Some(why) = refused {
        return Some(OccurrenceOutcome::Skipped(why.clone()));
    }
    if *job_removed {
        let reason = "the job was removed before the run began".to_owned();
        return Some(OccurrenceOutcome::Skipped(reason));
    }
    if !run.trigger.is_scheduled() {
        return None;
    }
    if !job.is_enabled() {
        return Some(OccurrenceOutcome::Skipped("the job was disabled before the run began".to_owned()));
    }
    too_late(core, run, job, now)
}

/// Why a run may not begin at an instant, where its job bounds its lateness. A retry is no first beginning.
fn too_late(core: &Core, run: &Run, job: &Job, at: UnixMs) -> Option<OccurrenceOutcome> {
    let most = job.definition.misfire.over(core.options.misfire).max_lateness?;
    let is_too_late =
        run.trigger.is_bound_by_lateness() && run.scheduled_at.is_some_and(|due| at.since(due) > most);
    is_too_late
        .then(|| OccurrenceOutcome::Missed(clawhook_schedule::MissReason::TooLate { most }.to_string()))
}

/// Lets runs finish within the grace, ends the rest, and waits until every result is committed.
async fn drain(core: &Arc<Core>) {
    core.stopping.store(true, Ordering::SeqCst);
    core.end_listening.cancel();
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

/// A queued run, as the runner takes it.
pub(crate) fn begun(run: Run, job: Job) -> Begun {
    let started_at = match run.progress {
        RunProgress::Queued(_) => run.queued_at,
        RunProgress::Running { started_at } | RunProgress::Finished { started_at, .. } => started_at,
    };
    let (trigger, queued_at, deferrals) = (run.trigger, run.queued_at, run.deferrals);
    let run = NewRun {
        id: run.id,
        job_id: run.job_id,
        job_name: run.job_name,
        agent_id: run.agent_id,
        trigger,
        scheduled_at: run.scheduled_at,
        attempt: run.attempt,
        session: run.session,
        lane: job.definition.lane(),
        best_effort: job.definition.delivery.best_effort,
        provenance: run.provenance,
        upstream: run.upstream,
    };
    Begun { run, job, trigger, started_at, queued_at, deferrals, gates: Vec::new() }
}
