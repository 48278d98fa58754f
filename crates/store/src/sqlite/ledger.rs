//! The ledger in rows: claiming occurrences, running them after all, reading them.

use std::time::Duration;

use clawhook_model::{JobId, Lane, Notice, OpenRuns, Overlap, OwnerId, RunId, Trigger, Trouble, UnixMs};
use rusqlite::{Connection, OptionalExtension, params};

use super::alerts::TroubleOf;
use super::notices::{self, About};
use super::rows::{self, At};
use super::runs::Begin;
use super::writer::Raised;
use super::{alerts, fault, jobs, runs};
use crate::{
    Backfill, Backfilled, Claim, Claimed, FinishRun, NewRun, Occurrence, OccurrenceFilter, OccurrenceOutcome,
    Overdue, PlannedRun, RunStart, StoreError, Topic,
};

/// How far ahead of the clock the floor of a job's ledger may lie and still be believed, as the audit believes a record.
const BELIEVABLE: Duration = Duration::from_hours(25);

pub(super) fn claim(
    conn: &Connection,
    raised: &mut Raised,
    owner: OwnerId,
    claims: &[Claim],
    now: UnixMs,
) -> Result<Vec<Claimed>, StoreError> {
    claims.iter().map(|claim| claim_one(conn, raised, owner, claim, now)).collect()
}

/// The job's next instant moves here and nowhere else, in the transaction that writes the record (invariant 1).
fn claim_one(
    conn: &Connection,
    raised: &mut Raised,
    owner: OwnerId,
    claim: &Claim,
    now: UnixMs,
) -> Result<Claimed, StoreError> {
    let floor = floor(conn, &claim.job_id, now)?;
    let mut runs = Vec::with_capacity(claim.runs.len());
    for planned in &claim.runs {
        let due_at = planned.run.scheduled_at.unwrap_or(claim.due_at);
        if !floor.covers(due_at) && !has_run(conn, &claim.job_id, due_at)? {
            runs.push((due_at, planned));
        }
    }
    let begins = runs.iter().filter(|(_, planned)| planned.start == RunStart::Now).count();
    let opens = OpenRuns { running: number(begins), waiting: number(runs.len() - begins) };
    if !advance(conn, claim, opens, now)? {
        return Ok(Claimed::Lost);
    }
    floor.keep(conn, &claim.job_id)?;
    pass(conn, raised, &claim.job_id, floor, &claim.passed, now)?;
    for (due_at, PlannedRun { run, start }) in &runs {
        overwrite(conn, &claim.job_id, *due_at, run.id, now)?;
        let begin = match start {
            RunStart::Now => Begin::Running(owner, notices::tell_of_start(conn, raised, &run.begun(), now)?),
            RunStart::At(at) => Begin::Queued(Some(*at)),
            RunStart::AfterOthers => Begin::Queued(None),
        };
        runs::insert(conn, begin, run, now)?;
    }
    // The runs that some are to wait for may be over by now; then nobody else would let them begin.
    if begins == 0 && !runs.is_empty() {
        release_if_idle(conn, raised, &claim.job_id, now)?;
    }
    if let Some(disabled) = &claim.disables {
        jobs::auto_disable(conn, raised, &claim.job_id, disabled)?;
        let trouble = Trouble::SwitchedOff { reason: disabled.reason };
        let of = TroubleOf { error: disabled.detail.as_deref(), ..TroubleOf::new(&claim.job_id, trouble) };
        alerts::trouble(conn, raised, &of, now)?;
    }
    Ok(Claimed::Won(runs.iter().map(|(_, planned)| planned.run.id).collect()))
}

/// Writes the records of instants that pass without a run, and tells of those that had none.
pub(super) fn pass(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    floor: Floor,
    passed: &[(UnixMs, OccurrenceOutcome)],
    now: UnixMs,
) -> Result<(), StoreError> {
    let (mut instants, mut last) = (0, None);
    for (due_at, outcome) in passed.iter().filter(|(due_at, _)| !floor.covers(*due_at)) {
        if record(conn, job, *due_at, outcome, now)? {
            tell_of_passed(conn, raised, job, *due_at, outcome, now)?;
            if let OccurrenceOutcome::Missed(reason) = outcome {
                instants += 1;
                last = Some((*due_at, reason.as_str()));
            }
        }
    }
    last.map_or(Ok(()), |last| tell_of_missed(conn, raised, job, instants, last, now))
}

/// Missed instants are trouble of their job.
fn tell_of_missed(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    instants: u32,
    (due_at, reason): (UnixMs, &str),
    now: UnixMs,
) -> Result<(), StoreError> {
    let of = TroubleOf {
        error: Some(reason),
        scheduled_at: Some(due_at),
        ..TroubleOf::new(job, Trouble::Missed { instants })
    };
    alerts::trouble(conn, raised, &of, now)
}

/// Moves the job on to its next instant, and counts the runs that open. False where the claim is lost.
fn advance(conn: &Connection, claim: &Claim, opens: OpenRuns, now: UnixMs) -> Result<bool, StoreError> {
    let moved = conn
        .prepare_cached(
            "UPDATE jobs SET next_run_at = ?3, running = running + ?4, waiting = waiting + ?5, \
             running_at = CASE WHEN ?4 > 0 THEN coalesce(running_at, ?6) ELSE running_at END \
             WHERE id = ?1 AND next_run_at = ?2 AND running + waiting <= ?7",
        )
        .and_then(|mut update| {
            update.execute(params![
                claim.job_id.as_str(),
                At(claim.due_at),
                claim.next_run_at.map(At),
                opens.running,
                opens.waiting,
                At(now),
                claim.open.all(),
            ])
        })
        .map_err(fault)?;
    Ok(moved > 0)
}

/// Lets the next run of a job begin, if none is under way.
pub(super) fn release_if_idle(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    now: UnixMs,
) -> Result<(), StoreError> {
    let running: u32 = conn
        .prepare_cached("SELECT running FROM jobs WHERE id = ?1")
        .and_then(|mut select| select.query_row([job.as_str()], |row| row.get(0)))
        .map_err(fault)?;
    if running > 0 {
        return Ok(());
    }
    runs::release_next(conn, raised, job, now)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Queues runs for instants of the past that were not run; one that has a record keeps the reason in it.
pub(super) fn backfill(
    conn: &Connection,
    raised: &mut Raised,
    backfill: &Backfill,
    now: UnixMs,
) -> Result<Backfilled, StoreError> {
    let Some((job, false)) = jobs::of_run(conn, &backfill.job_id)? else { return Ok(Backfilled::NotFound) };
    let floor = floor(conn, &job.id, now)?;
    let (mut queued, mut already_ran) = (Vec::new(), Vec::new());
    for instant in &backfill.instants {
        let is_over = floor.covers(instant.0) || has_run(conn, &job.id, instant.0)?;
        if is_over { already_ran.push(instant.0) } else { queued.push(*instant) }
    }
    let open = job.state.open_runs;
    if open.all().saturating_add(number(queued.len())) > Overlap::MOST_OPEN {
        return Ok(Backfilled::TooMany { open: open.all() });
    }
    let done = Backfilled::Done { queued: queued.iter().map(|(due_at, ..)| *due_at).collect(), already_ran };
    if backfill.dry_run || queued.is_empty() {
        return Ok(done);
    }
    let beside = job.definition.overlap.unwrap_or(backfill.overlap) == Overlap::AllowAll;
    for (due_at, run_id, session) in &queued {
        let run = NewRun::of(&job, *run_id, Trigger::Backfill, Some(*due_at), *session);
        runs::insert(conn, Begin::Queued(beside.then_some(now)), &run, now)?;
        overwrite(conn, &job.id, *due_at, *run_id, now)?;
    }
    jobs::add_open(conn, &job.id, OpenRuns { running: 0, waiting: number(queued.len()) }, now)?;
    release_if_idle(conn, raised, &job.id, now)?;
    raised.raise(Topic::Schedule);
    Ok(done)
}

/// Up to where the records of a job are forgotten. What lies there has had its record, and none is ever made again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor {
    at: Option<UnixMs>,
    /// Whether the stored one was not to be believed.
    is_mended: bool,
}

impl Floor {
    /// Whether the record of an instant may be forgotten.
    pub(super) fn covers(self, due_at: UnixMs) -> bool {
        self.at.is_some_and(|floor| due_at <= floor)
    }

    /// Stores it, where the stored one was not to be believed.
    fn keep(self, conn: &Connection, job: &JobId) -> Result<(), StoreError> {
        if self.is_mended { set_floor(conn, job, self.at) } else { Ok(()) }
    }

    /// Raises it, as the records up to `upto` are forgotten.
    pub(super) fn raise(self, conn: &Connection, job: &JobId, upto: UnixMs) -> Result<(), StoreError> {
        set_floor(conn, job, self.at.max(Some(upto)))
    }
}

/// Up to where a job's records are forgotten. A floor far ahead was raised under a wrong clock, and would keep the job from
/// running for as long as that clock was ahead; then what came before the instant that the job waits for is over, and
/// nothing else.
pub(super) fn floor(conn: &Connection, job: &JobId, now: UnixMs) -> Result<Floor, StoreError> {
    let stored: Option<(Option<At>, Option<At>)> = conn
        .prepare_cached("SELECT ledger_floor, next_run_at FROM jobs WHERE id = ?1")
        .and_then(|mut select| {
            select.query_row([job.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(fault)?;
    let Some((Some(At(floor)), next)) = stored else { return Ok(Floor { at: None, is_mended: false }) };
    if floor.since(now) <= BELIEVABLE {
        return Ok(Floor { at: Some(floor), is_mended: false });
    }
    let waits_from = next.map_or(now, |At(next)| next.plus_millis(-1).min(now));
    Ok(Floor { at: Some(waits_from), is_mended: true })
}

fn set_floor(conn: &Connection, job: &JobId, floor: Option<UnixMs>) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE jobs SET ledger_floor = ?2 WHERE id = ?1")
        .and_then(|mut update| update.execute(params![job.as_str(), floor.map(At)]))
        .map_err(fault)?;
    Ok(())
}

fn has_run(conn: &Connection, job: &JobId, due_at: UnixMs) -> Result<bool, StoreError> {
    conn.prepare_cached("SELECT 1 FROM occurrences WHERE job_id = ?1 AND due_at = ?2 AND outcome = 'ran'")
        .and_then(|mut select| select.exists(params![job.as_str(), At(due_at)]))
        .map_err(fault)
}

/// Makes an instant's record say that it is run, after all where it has one.
fn overwrite(
    conn: &Connection,
    job: &JobId,
    due_at: UnixMs,
    run: RunId,
    now: UnixMs,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO occurrences (job_id, due_at, outcome, run_id, recorded_at) VALUES (?1, ?2, 'ran', ?3, ?4) \
         ON CONFLICT DO UPDATE SET outcome = 'ran', run_id = excluded.run_id, recorded_at = excluded.recorded_at",
    )
    .and_then(|mut insert| insert.execute(params![job.as_str(), At(due_at), run.as_bytes(), At(now)]))
    .map_err(fault)?;
    Ok(())
}

/// Tells that an instant passed without a run.
fn tell_of_passed(
    conn: &Connection,
    raised: &mut Raised,
    job_id: &JobId,
    due_at: UnixMs,
    outcome: &OccurrenceOutcome,
    now: UnixMs,
) -> Result<(), StoreError> {
    let notice = match outcome {
        OccurrenceOutcome::Ran(_) => return Ok(()),
        OccurrenceOutcome::Skipped(reason) => Notice::RunSkipped { due_at, reason },
        OccurrenceOutcome::Missed(reason) => Notice::RunMissed { due_at, reason },
    };
    let (job_name, agent_id) = jobs::name_and_agent(conn, job_id)?;
    let about = About { job_id, job_name: &job_name, agent_id: &agent_id };
    notices::publish(conn, raised, about, &notice, now)
}

/// Writes the record of an instant that is not run. The first one stands: an instant that comes again, because the clock
/// was set back, was accounted for when it came first. False where there is one already.
fn record(
    conn: &Connection,
    job: &JobId,
    due_at: UnixMs,
    outcome: &OccurrenceOutcome,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let (word, run, reason) = match outcome {
        OccurrenceOutcome::Ran(run) => ("ran", Some(run.as_bytes()), None),
        OccurrenceOutcome::Skipped(reason) => ("skipped", None, Some(reason)),
        OccurrenceOutcome::Missed(reason) => ("missed", None, Some(reason)),
    };
    let written = conn
        .prepare_cached(
            "INSERT INTO occurrences (job_id, due_at, outcome, run_id, reason, recorded_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| insert.execute(params![job.as_str(), At(due_at), word, run, reason, At(now)]))
        .map_err(fault)?;
    Ok(written > 0)
}

/// Makes the record of the instant that a run stood for say that it was not executed, and why. Where the run was another
/// try, the instant was run before, and its record goes on saying so.
pub(super) fn amend(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    passed: &OccurrenceOutcome,
) -> Result<(), StoreError> {
    let (OccurrenceOutcome::Skipped(reason) | OccurrenceOutcome::Missed(reason)) = passed else {
        return Ok(());
    };
    let (job, run) = (&finish.job_id, finish.run_id);
    let due_at: Option<At> = conn
        .prepare_cached(
            "UPDATE occurrences SET outcome = ?3, reason = ?4 WHERE job_id = ?1 AND run_id = ?2 \
             AND due_at = (SELECT scheduled_at FROM runs WHERE id = ?2 AND attempt = 1) RETURNING due_at",
        )
        .and_then(|mut update| {
            update
                .query_row(params![job.as_str(), run.as_bytes(), passed.as_str(), reason], |row| row.get(0))
                .optional()
        })
        .map_err(fault)?;
    match due_at {
        Some(At(due_at)) => {
            tell_of_passed(conn, raised, job, due_at, passed, finish.ended_at)?;
            match passed {
                OccurrenceOutcome::Missed(reason) => {
                    tell_of_missed(conn, raised, job, 1, (due_at, reason), finish.ended_at)
                }
                _ => Ok(()),
            }
        }
        None => Ok(()),
    }
}

pub(super) fn occurrences(
    conn: &Connection,
    filter: &OccurrenceFilter,
) -> Result<Vec<Occurrence>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT due_at, outcome, run_id, reason, recorded_at FROM occurrences WHERE job_id = ?1 \
             AND due_at < ?2 AND (?3 IS NULL OR outcome = ?3) ORDER BY due_at DESC LIMIT ?4",
        )
        .map_err(fault)?;
    let before = filter.before.unwrap_or(UnixMs::from_millis(i64::MAX));
    let mut found = select
        .query(params![filter.job_id.as_str(), At(before), filter.outcome, rows::int(filter.limit)])
        .map_err(fault)?;
    let mut occurrences = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let reason: Option<String> = rows::get(row, "reason")?;
        let run_id = rows::id_opt(row, "run_id", RunId::from_bytes)?;
        let passed = || reason.clone().unwrap_or_default();
        let outcome = rows::word(row, "outcome", |word| match (word, run_id) {
            ("ran", Some(run)) => Some(OccurrenceOutcome::Ran(run)),
            ("skipped", _) => Some(OccurrenceOutcome::Skipped(passed())),
            ("missed", _) => Some(OccurrenceOutcome::Missed(passed())),
            _ => None,
        })?;
        occurrences.push(Occurrence {
            due_at: rows::at(row, "due_at")?,
            was_passed: reason.filter(|_| matches!(outcome, OccurrenceOutcome::Ran(_))),
            outcome,
            recorded_at: rows::at(row, "recorded_at")?,
            run: run_id.map(|run| runs::get(conn, run)).transpose()?.flatten(),
        });
    }
    Ok(occurrences)
}

/// What has waited since before `since`.
pub(super) fn overdue(conn: &Connection, since: UnixMs) -> Result<Overdue, StoreError> {
    let mut overdue = Overdue::default();
    for lane in Lane::ALL {
        let job = conn
            .prepare_cached(
                "SELECT id AS job_id, next_run_at FROM jobs WHERE lane = ?1 AND next_run_at IS NOT NULL \
                 AND next_run_at < ?2 ORDER BY next_run_at LIMIT 1",
            )
            .and_then(|mut select| {
                select
                    .query_row(params![rows::lane_word(lane), At(since)], |row| {
                        Ok(rows::job_id(row).and_then(|id| Ok((id, rows::at(row, "next_run_at")?))))
                    })
                    .optional()
            })
            .map_err(fault)?
            .transpose()?;
        let run = conn
            .prepare_cached(
                "SELECT id, ready_at FROM runs WHERE lane = ?1 AND ready_at IS NOT NULL AND ready_at < ?2 \
                 ORDER BY ready_at LIMIT 1",
            )
            .and_then(|mut select| {
                select
                    .query_row(params![rows::lane_word(lane), At(since)], |row| {
                        Ok(rows::id(row, "id", RunId::from_bytes)
                            .and_then(|id| Ok((id, rows::at(row, "ready_at")?))))
                    })
                    .optional()
            })
            .map_err(fault)?
            .transpose()?;
        overdue.job = overdue.job.into_iter().chain(job).min_by_key(|(_, at)| *at);
        overdue.run = overdue.run.into_iter().chain(run).min_by_key(|(_, at)| *at);
    }
    Ok(overdue)
}
