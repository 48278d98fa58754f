//! What is claimed for a job that is due: the decision, as the store is to write it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use clawhook_model::{AutoDisableReason, AutoDisabled, Job, JobId, RunId, SessionId, Trigger, UnixMs};
use clawhook_schedule::{
    Decision, Fate, Passed, ScheduleError, Situation, SkipReason, Start, Timetable, decide, passed,
};
use clawhook_store::{Claim, NewRun, OccurrenceOutcome, PlannedRun, RunStart};

use crate::Core;
use crate::presence::Presence;

/// After how many failures in a row to read a job's schedule it is switched off (contract §3.6).
const STRIKES: u32 = 3;
/// Why an instant is not run that came before its job was switched off.
const SWITCHED_OFF: &str = "the job was switched off, because its runs failed, before it was run";

/// Counts how often in a row a job's schedule could not be read: zone data that is being replaced comes back.
#[derive(Debug, Default)]
pub(crate) struct Strikes(HashMap<JobId, u32>);

/// A claim, and what is to be done once it is won.
pub(crate) struct Planned {
    pub(crate) claim: Claim,
    pub(crate) job: Job,
    /// Whether the job's runs under way are cancelled.
    pub(crate) cancels: bool,
}

impl Strikes {
    /// Counts one more; true once it is too many.
    fn add(&mut self, job: &JobId) -> bool {
        let count = self.0.entry(job.clone()).or_default();
        *count += 1;
        let out = *count >= STRIKES;
        if out {
            self.0.remove(job);
        }
        out
    }
}

/// Plans the claim of a job that waits for `due`; none where its schedule cannot be read at the moment.
pub(crate) fn plan(
    core: &Core,
    presence: &mut Presence,
    strikes: &mut Strikes,
    job: Job,
    due: UnixMs,
    now: UnixMs,
) -> Option<Planned> {
    if job.state.auto_disabled.is_some() {
        return Some(leave(core, job, due, now));
    }
    let since = presence.since();
    // One job that makes us fall must not keep the others from running.
    let decided = std::panic::catch_unwind(AssertUnwindSafe(|| decision(core, &job, due, since, now)));
    let decision = match decided {
        Ok(Ok(decision)) => decision,
        Ok(Err(error)) => return strike(strikes, job, due, now, error.to_string()),
        Err(_) => {
            let why = "it could not be worked out when it is due, by a fault of the gateway".to_owned();
            return strike(strikes, job, due, now, why);
        }
    };
    strikes.0.remove(&job.id);
    let (mut passed, mut runs) = (Vec::new(), Vec::new());
    for (instant, fate) in decision.fates {
        match fate {
            Fate::Skipped(reason) => passed.push((instant, OccurrenceOutcome::Skipped(reason.to_string()))),
            Fate::Missed(reason) => passed.push((instant, OccurrenceOutcome::Missed(reason.to_string()))),
            Fate::Run { start, catch_up } => {
                let trigger = if catch_up { Trigger::CatchUp } else { Trigger::Schedule };
                let run = NewRun::of(&job, RunId::new(now), trigger, Some(instant), SessionId::random());
                runs.push(PlannedRun { run, start: paced(core, presence, start, instant, now) });
            }
        }
    }
    let claim = Claim { passed, runs, next_run_at: decision.next_run_at, ..claim_of(&job, due) };
    Some(Planned { claim, job, cancels: decision.cancels })
}

/// A claim of a job as it was read, of which nothing follows yet.
fn claim_of(job: &Job, due_at: UnixMs) -> Claim {
    Claim {
        job_id: job.id.clone(),
        due_at,
        open: job.state.open_runs,
        passed: Vec::new(),
        runs: Vec::new(),
        next_run_at: None,
        disables: None,
    }
}

fn decision(
    core: &Core,
    job: &Job,
    due: UnixMs,
    present_since: UnixMs,
    now: UnixMs,
) -> Result<Decision, ScheduleError> {
    let timetable = Timetable::new(&job.definition.schedule, &job.id, &core.host_zone)?;
    Ok(decide(&Situation {
        timetable: &timetable,
        due,
        now,
        present_since,
        misfire: job.definition.misfire.over(core.options.misfire),
        overlap: job.definition.overlap.unwrap_or(core.options.overlap),
        open: job.state.open_runs,
        backoff_until: job.state.backoff_until,
    }))
}

/// Counts that a schedule which was good can no longer be read; too often in a row, and the job is switched off.
fn strike(strikes: &mut Strikes, job: Job, due: UnixMs, now: UnixMs, why: String) -> Option<Planned> {
    tracing::error!(job = %job.id, %why, "a schedule that was good can no longer be read");
    strikes.add(&job.id).then(|| switched_off(job, due, now, why))
}

/// When a run begins: what nobody was there for is caught up step by step.
fn paced(core: &Core, presence: &mut Presence, start: Start, instant: UnixMs, now: UnixMs) -> RunStart {
    match start {
        Start::Now if instant < presence.since() => {
            let at = presence.next_catch_up(core.options.catch_up);
            if at <= now { RunStart::Now } else { RunStart::At(at) }
        }
        Start::Now => RunStart::Now,
        Start::At(at) => RunStart::At(at),
        Start::AfterOthers => RunStart::AfterOthers,
    }
}

/// A job that was switched off while an instant of it had come: what came by now gets its record.
fn leave(core: &Core, job: Job, due: UnixMs, now: UnixMs) -> Planned {
    let timetable = Timetable::new(&job.definition.schedule, &job.id, &core.host_zone).ok();
    let off_at = job.state.auto_disabled.as_ref().map_or(now, |disabled| disabled.at_ms.max(due));
    let Passed { instants, next } = passed(timetable.as_ref(), Some(due), off_at.min(now));
    let skipped = |due_at| (due_at, OccurrenceOutcome::Skipped(SWITCHED_OFF.to_owned()));
    let passed = instants.into_iter().map(skipped).collect();
    let claim = Claim { passed, next_run_at: next, ..claim_of(&job, due) };
    Planned { claim, job, cancels: false }
}

/// Nobody can tell when the job is due next. The instant that it waited for is run, and the job is switched off where
/// everybody can see it.
fn switched_off(job: Job, due: UnixMs, now: UnixMs, why: String) -> Planned {
    let run = NewRun::of(&job, RunId::new(now), Trigger::Schedule, Some(due), SessionId::random());
    let disabled = AutoDisabled {
        reason: AutoDisableReason::ScheduleErrors,
        at_ms: now,
        consecutive_errors: job.state.consecutive_errors.max(1),
        detail: Some(why),
    };
    let (passed, runs) = if job.state.open_runs.any() {
        let reason = SkipReason::StillRunning.to_string();
        (vec![(due, OccurrenceOutcome::Skipped(reason))], Vec::new())
    } else {
        (Vec::new(), vec![PlannedRun { run, start: RunStart::Now }])
    };
    let claim = Claim { passed, runs, disables: Some(disabled), ..claim_of(&job, due) };
    Planned { claim, job, cancels: false }
}
