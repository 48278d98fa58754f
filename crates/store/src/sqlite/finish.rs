//! The end of a run, and what follows from it, in one transaction.

use clawhook_model::{
    Aftermath, Delivery, DeliveryState, DestinationId, EventKind, Failure, JobId, Notice, OpenRuns, OwnerId,
    RunId, RunOutcome, RunStatus, Trigger, Trouble, UnixMs, counts_against_job,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::alerts::TroubleOf;
use super::notices::{self, About, NewEvent};
use super::rows::At;
use super::runs::Begin;
use super::spending::Spender;
use super::writer::Raised;
use super::{
    alerts, chains, event_log, fault, hook_calls, hooks, jobs, ledger, outbox, runs, sessions, spending,
};
use crate::{
    AfterRun, FinishRun, LateResult, NewRun, OccurrenceOutcome, RunFinished, RunRecord, StoreError, Topic,
};

/// The run, its event and all its deliveries become durable together (invariant 3).
pub(super) fn finish(
    conn: &Connection,
    raised: &mut Raised,
    owner: OwnerId,
    finish: &FinishRun,
) -> Result<RunFinished, StoreError> {
    let outcome =
        serde_json::to_string(&finish.outcome).map_err(|error| StoreError::Engine(error.to_string()))?;
    let ended = conn
        .prepare_cached(
            "UPDATE runs SET state = 'finished', ended_at = ?3, status = ?4, outcome = ?5 \
             WHERE id = ?1 AND state = 'running' AND owner = ?2",
        )
        .and_then(|mut update| {
            update.execute(params![
                finish.run_id.as_bytes(),
                owner.as_bytes(),
                At(finish.ended_at),
                finish.outcome.status.as_str(),
                outcome,
            ])
        })
        .map_err(fault)?;
    if ended == 0 {
        return Ok(RunFinished::Fenced);
    }
    write_event(conn, raised, finish)?;
    sessions::leave(conn, finish)?;
    let spender = Spender { day: finish.day, job: &finish.job_id, agent: &finish.agent_id };
    spending::count(conn, &spender, &finish.outcome)?;
    tell_of_recovery(conn, raised, finish)?;
    if let Some(passed) = finish.passed.clone().or_else(|| skipped(&finish.outcome)) {
        ledger::amend(conn, raised, finish, &passed)?;
    }
    hooks::complete_of(conn, finish)?;
    if let Some(note) = &finish.left.note {
        hooks::wake_up(conn, &finish.job_id, None, note, finish.ended_at)?;
    }
    let is_tried_again = settle_job(conn, raised, finish)?;
    chains::follow(conn, raised, finish, is_tried_again)?;
    raised.raise(Topic::Settled);
    Ok(RunFinished::Done)
}

/// What the instant's record says of a run that was skipped: nothing was executed for it.
fn skipped(outcome: &RunOutcome) -> Option<OccurrenceOutcome> {
    let why = || outcome.error.as_ref().map_or("no reason is given", |error| error.message.as_str());
    (outcome.status == RunStatus::Skipped).then(|| OccurrenceOutcome::Skipped(why().to_owned()))
}

fn write_event(conn: &Connection, raised: &mut Raised, finish: &FinishRun) -> Result<(), StoreError> {
    let event = NewEvent {
        id: finish.event_id,
        kind: EventKind::RunFinished,
        run: Some(finish.run_id),
        job: Some(&finish.job_id),
        agent: Some(&finish.agent_id),
        status: Some(finish.outcome.status),
        at: finish.ended_at,
        body: &finish.event,
    };
    let event_seq = event_log::next(conn, raised)?;
    notices::write_event(conn, raised, event_seq, &event)?;
    let own: Result<Vec<DestinationId>, StoreError> = finish
        .deliveries
        .iter()
        .map(|delivery| outbox::insert_own(conn, raised, finish, event_seq, delivery))
        .collect();
    let mut own = own?;
    own.extend(hook_calls::write_after(conn, raised, finish, event_seq, &own)?);
    notices::publish_finished(conn, raised, finish, event_seq, &own)
}

/// Tells that a job succeeded after failures; before the job's count of them starts anew.
fn tell_of_recovery(conn: &Connection, raised: &mut Raised, finish: &FinishRun) -> Result<(), StoreError> {
    if finish.outcome.status != RunStatus::Ok || !finish.trigger.counts_for_job() {
        return Ok(());
    }
    let (told, in_a_row) = alerts::succeeded(conn, &finish.job_id)?;
    let failures: Option<u32> = conn
        .prepare_cached("SELECT consecutive_errors FROM jobs WHERE id = ?1")
        .and_then(|mut select| select.query_row([finish.job_id.as_str()], |row| row.get(0)).optional())
        .map_err(fault)?;
    let Some(failures) = failures else { return Ok(()) };
    let failures = failures.max(if told.is_empty() { 0 } else { in_a_row });
    if failures == 0 && told.is_empty() {
        return Ok(());
    }
    let (job_name, agent_id) = jobs::name_and_agent(conn, &finish.job_id)?;
    let about = About { job_id: &finish.job_id, job_name: &job_name, agent_id: &agent_id };
    let notice = Notice::JobRecovered { run_id: finish.run_id, failures };
    let provenance = notices::provenance_of(conn, finish.event_id)?;
    notices::publish_to(conn, raised, about, &notice, (&provenance, &told), finish.ended_at)
}

/// Tells of a run that failed or was skipped, where the rules of its job say so. What switches the job off is told in the
/// place of what failed.
fn tell_of_trouble(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    aftermath: &Aftermath,
    one_shot: bool,
) -> Result<(), StoreError> {
    let error = finish.outcome.error.as_ref();
    let trouble = match (&aftermath.disabled, error) {
        (Some(disabled), _) => Trouble::SwitchedOff { reason: disabled.reason },
        (None, Some(error)) if finish.outcome.status == RunStatus::Error => {
            if !counts_against_job(error.reason) {
                return Ok(());
            }
            Trouble::Failed { reason: error.reason, last: one_shot && aftermath.retry_at.is_none() }
        }
        (None, error) => Trouble::Skipped { reason: error.map(|error| error.reason) },
    };
    let of = TroubleOf {
        error: error.map(|error| error.message.as_str()),
        run: Some((finish.run_id, started_at(conn, finish.run_id)?.unwrap_or(finish.ended_at))),
        provenance: Some(notices::provenance_of(conn, finish.event_id)?),
        ..TroubleOf::new(&finish.job_id, trouble)
    };
    alerts::trouble(conn, raised, &of, finish.ended_at)
}

/// When a run began.
pub(super) fn started_at(conn: &Connection, run: RunId) -> Result<Option<UnixMs>, StoreError> {
    conn.prepare_cached("SELECT started_at FROM runs WHERE id = ?1")
        .and_then(|mut select| select.query_row([run.as_bytes()], |row| row.get::<_, Option<At>>(0)))
        .map(|at| at.map(|at| at.0))
        .map_err(fault)
}

/// What follows for the job: it may back off, try again or be switched off; the next run that waits may begin; a one-shot
/// that has completed goes. Tells whether the run is tried again.
fn settle_job(conn: &Connection, raised: &mut Raised, finish: &FinishRun) -> Result<bool, StoreError> {
    let Some(job) = close_run(conn, finish)? else { return Ok(false) };
    if job.is_removed {
        jobs::drop_if_over(conn, &finish.job_id)?;
        return Ok(false);
    }
    let mut is_tried_again = false;
    if let Some(error) = finish.outcome.error.as_ref().filter(|_| finish.outcome.status == RunStatus::Error)
        && finish.trigger.is_scheduled()
        && job.is_on
    {
        let one_shot = match jobs::of_run(conn, &finish.job_id)? {
            Some((job, _)) => job.definition.schedule.is_one_shot(),
            None => return Ok(false),
        };
        let failure = Failure {
            error,
            ended_at: finish.ended_at,
            attempt: attempt_of(conn, finish.run_id)?,
            in_a_row: job.consecutive_errors,
            one_shot,
            next_run_at: job.next_run_at,
        };
        let aftermath = finish.failure.aftermath(failure);
        is_tried_again = aftermath.retry_at.is_some();
        apply(conn, raised, finish, aftermath.clone())?;
        if finish.passed.is_none() {
            tell_of_trouble(conn, raised, finish, &aftermath, one_shot)?;
        }
    } else if finish.outcome.status != RunStatus::Ok
        && finish.trigger.counts_for_job()
        && finish.passed.is_none()
        && job.is_on
    {
        tell_of_trouble(conn, raised, finish, &Aftermath::default(), false)?;
    }
    if job.waiting > 0 {
        hooks::release_after(conn, raised, &finish.job_id, job.running, finish.ended_at)?;
    }
    let succeeded = finish.outcome.status == RunStatus::Ok;
    if finish.after == AfterRun::RemoveWhenComplete && succeeded && nothing_is_missing(conn, finish.run_id)? {
        remove_used_up(conn, raised, &finish.job_id, finish.run_id, finish.ended_at)?;
    }
    Ok(is_tried_again)
}

/// A job after one of its runs was closed.
struct Closed {
    running: u32,
    waiting: u32,
    consecutive_errors: u32,
    next_run_at: Option<UnixMs>,
    is_on: bool,
    is_removed: bool,
}

/// Counts the run as over, and its failure where it counts: the streak ends with a success or a skip, and only runs that
/// were executed, and that nobody asked for by hand, are part of it.
fn close_run(conn: &Connection, finish: &FinishRun) -> Result<Option<Closed>, StoreError> {
    let reason = finish.outcome.error.as_ref().map(|error| error.reason);
    let (adds, ends) = match finish.outcome.status {
        _ if !finish.trigger.counts_for_job() || finish.passed.is_some() => (false, false),
        RunStatus::Error => (reason.is_none_or(counts_against_job), false),
        RunStatus::Ok | RunStatus::Skipped => (false, true),
    };
    conn.prepare_cached(
        "UPDATE jobs SET running = running - 1, running_at = CASE WHEN running = 1 THEN NULL ELSE running_at END, \
         last_run = ?2, updated_at = ?3, \
         consecutive_errors = CASE WHEN ?5 THEN 0 ELSE consecutive_errors + ?4 END, \
         backoff_until = CASE WHEN ?5 THEN NULL ELSE backoff_until END \
         WHERE id = ?1 RETURNING running, waiting, consecutive_errors, next_run_at, removed, \
         enabled AND auto_disabled IS NULL AS is_on",
    )
    .and_then(|mut update| {
        update
            .query_row(
                params![finish.job_id.as_str(), finish.run_id.as_bytes(), At(finish.ended_at), adds, ends],
                |row| {
                    Ok(Closed {
                        running: row.get("running")?,
                        waiting: row.get("waiting")?,
                        consecutive_errors: row.get("consecutive_errors")?,
                        next_run_at: row.get::<_, Option<At>>("next_run_at")?.map(|at| at.0),
                        is_on: row.get("is_on")?,
                        is_removed: row.get("removed")?,
                    })
                },
            )
            .optional()
    })
    .map_err(fault)
}

fn attempt_of(conn: &Connection, run: RunId) -> Result<u32, StoreError> {
    conn.prepare_cached("SELECT attempt FROM runs WHERE id = ?1")
        .and_then(|mut select| select.query_row([run.as_bytes()], |row| row.get(0)))
        .map_err(fault)
}

fn apply(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    aftermath: Aftermath,
) -> Result<(), StoreError> {
    let Aftermath { backoff_until, retry_at, disabled } = aftermath;
    if let Some(until) = backoff_until {
        conn.prepare_cached("UPDATE jobs SET backoff_until = ?2 WHERE id = ?1")
            .and_then(|mut update| update.execute(params![finish.job_id.as_str(), At(until)]))
            .map_err(fault)?;
    }
    if let Some(at) = retry_at {
        queue_retry(conn, raised, finish, at)?;
    }
    if let Some(disabled) = disabled {
        jobs::auto_disable(conn, raised, &finish.job_id, &disabled)?;
    }
    Ok(())
}

/// Queues another try of the run's occurrence, whose record then names that try.
fn queue_retry(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    at: UnixMs,
) -> Result<(), StoreError> {
    let Some(RunRecord { run: before, .. }) = runs::get(conn, finish.run_id)? else { return Ok(()) };
    let (job, _) = runs::job_of(conn, &before)?;
    let (run_id, session_id) = finish.retry;
    let mut run = NewRun::of(&job, run_id, Trigger::Retry, before.scheduled_at, session_id);
    run.attempt = before.attempt.saturating_add(1);
    run.provenance = before.provenance;
    run.upstream = before.upstream;
    jobs::add_open(conn, &job.id, OpenRuns { running: 0, waiting: 1 }, at)?;
    runs::insert(conn, Begin::Queued(Some(at)), &run, finish.ended_at)?;
    if let Some(due_at) = before.scheduled_at {
        conn.prepare_cached("UPDATE occurrences SET run_id = ?3 WHERE job_id = ?1 AND due_at = ?2")
            .and_then(|mut update| update.execute(params![job.id.as_str(), At(due_at), run_id.as_bytes()]))
            .map_err(fault)?;
    }
    raised.raise(Topic::Schedule);
    Ok(())
}

/// Records a result with the run that had been given up before it came.
pub(super) fn record_late(
    conn: &Connection,
    raised: &mut Raised,
    late: &LateResult,
) -> Result<bool, StoreError> {
    let outcome =
        serde_json::to_string(&late.outcome).map_err(|error| StoreError::Engine(error.to_string()))?;
    let recorded = conn
        .prepare_cached(
            "UPDATE runs SET late_at = ?2, late_outcome = ?3 \
             WHERE id = ?1 AND state = 'finished' AND late_at IS NULL",
        )
        .and_then(|mut update| update.execute(params![late.run_id.as_bytes(), At(late.at), outcome]))
        .map_err(fault)?;
    if recorded == 0 {
        return Ok(false);
    }
    let spender = Spender { day: late.day, job: &late.job_id, agent: &late.agent_id };
    spending::count(conn, &spender, &late.outcome)?;
    let Some(event) = &late.event else { return Ok(true) };
    let new = NewEvent {
        id: event.id,
        kind: EventKind::RunLate,
        run: Some(late.run_id),
        job: Some(&late.job_id),
        agent: Some(&late.agent_id),
        status: Some(late.outcome.status),
        at: late.at,
        body: &event.body,
    };
    let event_seq = event_log::next(conn, raised)?;
    notices::write_event(conn, raised, event_seq, &new)?;
    for delivery in &event.deliveries {
        outbox::insert_late(conn, raised, late, (event_seq, event.id), delivery)?;
    }
    raised.raise(Topic::Settled);
    Ok(true)
}

/// Whether everything that a run asked of the outbox has arrived, or was not to be sent.
pub(super) fn nothing_is_missing(conn: &Connection, run: RunId) -> Result<bool, StoreError> {
    let arrived =
        |delivery: &Delivery| matches!(delivery.state, DeliveryState::Delivered | DeliveryState::Suppressed);
    Ok(outbox::of_run(conn, run)?.iter().all(|delivery| !delivery.required || arrived(delivery)))
}

/// Removes a one-shot whose run has completed, unless it was given another instant in the meantime.
pub(super) fn remove_used_up(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    run: RunId,
    now: UnixMs,
) -> Result<(), StoreError> {
    let (job_name, agent_id) = jobs::name_and_agent(conn, job)?;
    let gone = conn
        .prepare_cached(
            "DELETE FROM jobs WHERE id = ?1 AND last_run = ?2 AND next_run_at IS NULL AND running = 0 \
             AND waiting = 0",
        )
        .and_then(|mut delete| delete.execute(params![job.as_str(), run.as_bytes()]))
        .map_err(fault)?;
    if gone == 0 {
        return Ok(());
    }
    let about = About { job_id: job, job_name: &job_name, agent_id: &agent_id };
    notices::publish(conn, raised, about, &Notice::JobRemoved, now)
}
