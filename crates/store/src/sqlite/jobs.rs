//! Jobs in rows.

use std::cell::RefCell;
use std::collections::HashMap;

use clawhook_model::{
    AgentId, AutoDisabled, CompletionStatus, DestinationName, Job, JobDefinition, JobId, JobState, Lane,
    LastRun, Notice, OpenRuns, RunId, RunProgress, Target, UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::notices::{self, About};
use super::rows::{self, At};
use super::writer::Raised;
use super::{alerts, chains, fault, hook_calls, ledger, runs};
use crate::{
    JobEdit, JobRemoved, JobUpdated, LaneWake, Left, NewHookCall, NextRun, RunRecord, StoreError, Topic,
};

pub(super) const COLUMNS: &str = "id AS job_id, definition, created_at, updated_at, next_run_at, running, waiting, \
                       running_at, last_run, consecutive_errors, backoff_until, auto_disabled, alerts";

pub(super) fn insert(
    conn: &Connection,
    raised: &mut Raised,
    job: &Job,
    tells: &[NewHookCall],
) -> Result<(), StoreError> {
    let definition = &job.definition;
    conn.prepare_cached(
        "INSERT INTO jobs (id, definition, name, label, description, agent_id, enabled, lane, next_run_at, \
         created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            job.id.as_str(),
            definition.to_stored_json().to_string(),
            definition.name,
            definition.display_name.as_deref().unwrap_or_default(),
            definition.description.as_deref().unwrap_or_default(),
            definition.agent().as_str(),
            definition.enabled,
            rows::lane_word(definition.lane()),
            job.state.next_run_at.map(At),
            At(job.created_at),
            At(job.updated_at),
        ])
    })
    .map_err(fault)?;
    chains::write(conn, &job.id, definition)?;
    hook_calls::write_creation(conn, raised, &job.id, tells, job.created_at)?;
    raised.raise(Topic::Schedule);
    notices::publish(conn, raised, about(job, &definition.agent()), &Notice::JobAdded(job), job.created_at)
}

fn about<'a>(job: &'a Job, agent_id: &'a AgentId) -> About<'a> {
    About { job_id: &job.id, job_name: &job.definition.name, agent_id }
}

/// The name and the agent of a job; of one that is gone, its id stands for its name.
pub(super) fn name_and_agent(conn: &Connection, id: &JobId) -> Result<(String, AgentId), StoreError> {
    let found: Option<(String, String)> = conn
        .prepare_cached("SELECT name, agent_id FROM jobs WHERE id = ?1")
        .and_then(|mut select| {
            select.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(fault)?;
    Ok(match found {
        Some((name, agent)) => (name, AgentId::normalise(&agent)),
        None => (id.as_str().to_owned(), AgentId::main()),
    })
}

pub(super) fn update(
    conn: &Connection,
    raised: &mut Raised,
    id: &JobId,
    edit: &JobEdit,
    now: UnixMs,
) -> Result<JobUpdated, StoreError> {
    let JobEdit { before, after, next_run, left, forgives, tells } = edit;
    if after.after != before.after
        && let Some(way) = chains::circle(conn, id, after)?
    {
        return Ok(JobUpdated::Circle(way));
    }
    let (moves, next_run_at) = match next_run {
        NextRun::Keep => (false, None),
        NextRun::Set(next_run_at) => (true, *next_run_at),
    };
    let was_enabled = is_enabled(conn, id)?;
    let floor = ledger::floor(conn, id, now)?;
    // The definition's own text is the revision: an edit that was made from another text is refused.
    let changed = conn
        .prepare_cached(
            "UPDATE jobs SET definition = ?3, name = ?4, label = ?5, description = ?6, agent_id = ?7, \
             enabled = ?8, lane = ?9, \
             next_run_at = CASE WHEN ?10 THEN ?11 ELSE next_run_at END, updated_at = ?12, \
             consecutive_errors = CASE WHEN ?13 THEN 0 ELSE consecutive_errors END, \
             backoff_until = CASE WHEN ?13 THEN NULL ELSE backoff_until END, \
             auto_disabled = CASE WHEN ?13 OR NOT ?8 THEN NULL ELSE auto_disabled END \
             WHERE id = ?1 AND definition = ?2 AND removed = 0 AND (NOT ?10 OR next_run_at IS ?14)",
        )
        .and_then(|mut update| {
            update.execute(params![
                id.as_str(),
                before.to_stored_json().to_string(),
                after.to_stored_json().to_string(),
                after.name,
                after.display_name.as_deref().unwrap_or_default(),
                after.description.as_deref().unwrap_or_default(),
                after.agent().as_str(),
                after.enabled,
                rows::lane_word(after.lane()),
                moves,
                next_run_at.map(At),
                At(now),
                forgives,
                left.waited_for.map(At),
            ])
        })
        .map_err(fault)?;
    if changed > 0 && moves {
        ledger::pass(conn, raised, id, floor, &left.passed, now)?;
    }
    if changed > 0 && !after.enabled {
        runs::hasten(conn, raised, id, false, now)?;
    } else if changed > 0 && !was_enabled && is_enabled(conn, id)? {
        runs::queue_again(conn, id)?;
        ledger::release_if_idle(conn, raised, id, now)?;
    }
    let job = get(conn, id)?;
    Ok(match job {
        None => JobUpdated::NotFound,
        Some(_) if changed == 0 => JobUpdated::Changed,
        Some(job) => {
            chains::write(conn, id, after)?;
            hook_calls::write_creation(conn, raised, id, tells, now)?;
            raised.raise(Topic::Schedule);
            let agent = job.definition.agent();
            notices::publish(conn, raised, about(&job, &agent), &Notice::JobUpdated(&job), now)?;
            JobUpdated::Done(Box::new(job))
        }
    })
}

fn is_enabled(conn: &Connection, id: &JobId) -> Result<bool, StoreError> {
    conn.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND enabled AND removed = 0")
        .and_then(|mut select| select.exists([id.as_str()]))
        .map_err(fault)
}

pub(super) fn remove(
    conn: &Connection,
    raised: &mut Raised,
    id: &JobId,
    left: &Left,
    now: UnixMs,
) -> Result<JobRemoved, StoreError> {
    let (job_name, agent_id) = name_and_agent(conn, id)?;
    let floor = ledger::floor(conn, id, now)?;
    let hidden = conn
        .prepare_cached(
            "UPDATE jobs SET removed = 1, next_run_at = NULL, enabled = 0 WHERE id = ?1 AND removed = 0 \
             AND next_run_at IS ?2",
        )
        .and_then(|mut update| update.execute(params![id.as_str(), left.waited_for.map(At)]))
        .map_err(fault)?;
    if hidden == 0 {
        return Ok(if exists(conn, id)? { JobRemoved::Changed } else { JobRemoved::NotFound });
    }
    ledger::pass(conn, raised, id, floor, &left.passed, now)?;
    runs::hasten(conn, raised, id, true, now)?;
    chains::remove(conn, id)?;
    drop_if_over(conn, id)?;
    raised.raise(Topic::Schedule);
    let about = About { job_id: id, job_name: &job_name, agent_id: &agent_id };
    notices::publish(conn, raised, about, &Notice::JobRemoved, now)?;
    Ok(JobRemoved::Done)
}

fn exists(conn: &Connection, id: &JobId) -> Result<bool, StoreError> {
    conn.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND removed = 0")
        .and_then(|mut select| select.exists([id.as_str()]))
        .map_err(fault)
}

/// Lets the row of a removed job go, once none of its runs is open.
pub(super) fn drop_if_over(conn: &Connection, id: &JobId) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM jobs WHERE id = ?1 AND removed = 1 AND running = 0 AND waiting = 0")
        .and_then(|mut delete| delete.execute([id.as_str()]))
        .map_err(fault)?;
    Ok(())
}

/// Counts runs as open.
pub(super) fn add_open(conn: &Connection, id: &JobId, open: OpenRuns, now: UnixMs) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE jobs SET running = running + ?2, waiting = waiting + ?3, \
         running_at = CASE WHEN ?2 > 0 THEN coalesce(running_at, ?4) ELSE running_at END WHERE id = ?1",
    )
    .and_then(|mut update| update.execute(params![id.as_str(), open.running, open.waiting, At(now)]))
    .map_err(fault)?;
    Ok(())
}

/// Counts a run that was queued as under way.
pub(super) fn begin_queued(conn: &Connection, id: &JobId, now: UnixMs) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE jobs SET running = running + 1, waiting = waiting - 1, running_at = coalesce(running_at, ?2) \
         WHERE id = ?1",
    )
    .and_then(|mut update| update.execute(params![id.as_str(), At(now)]))
    .map_err(fault)?;
    Ok(())
}

/// Counts a run that was under way as queued.
pub(super) fn queue_again(conn: &Connection, id: &JobId, now: UnixMs) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE jobs SET running = running - 1, waiting = waiting + 1, \
         running_at = CASE WHEN running = 1 THEN NULL ELSE running_at END, updated_at = ?2 WHERE id = ?1",
    )
    .and_then(|mut update| update.execute(params![id.as_str(), At(now)]))
    .map_err(fault)?;
    Ok(())
}

/// Switches a job off, and tells those who subscribed. Its owner's own switch stays as it is (invariant 13). An instant
/// that had come by then stays the one that the job waits for, until the timer has given it its record.
pub(super) fn auto_disable(
    conn: &Connection,
    raised: &mut Raised,
    id: &JobId,
    disabled: &AutoDisabled,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(disabled).map_err(|error| StoreError::Engine(error.to_string()))?;
    conn.prepare_cached(
        "UPDATE jobs SET auto_disabled = ?2, next_run_at = CASE WHEN next_run_at <= ?3 THEN next_run_at END \
         WHERE id = ?1",
    )
    .and_then(|mut update| update.execute(params![id.as_str(), text, At(disabled.at_ms)]))
    .map_err(fault)?;
    runs::hasten(conn, raised, id, false, disabled.at_ms)?;
    let (job_name, agent_id) = name_and_agent(conn, id)?;
    let about = About { job_id: id, job_name: &job_name, agent_id: &agent_id };
    notices::publish(conn, raised, about, &Notice::JobAutoDisabled(disabled), disabled.at_ms)
}

/// Has a job wait for another instant, if it still waits for `from`.
pub(super) fn correct_next_run(
    conn: &Connection,
    raised: &mut Raised,
    id: &JobId,
    from: Option<UnixMs>,
    to: Option<UnixMs>,
) -> Result<bool, StoreError> {
    let corrected = conn
        .prepare_cached(
            "UPDATE jobs SET next_run_at = ?3 WHERE id = ?1 AND enabled AND auto_disabled IS NULL \
             AND next_run_at IS ?2",
        )
        .and_then(|mut update| update.execute(params![id.as_str(), from.map(At), to.map(At)]))
        .map_err(fault)?;
    raised.raise(Topic::Schedule);
    Ok(corrected > 0)
}

/// Jobs that should be due at some time, after a row.
pub(super) fn scheduled(conn: &Connection, cursor: u64, limit: usize) -> Result<Vec<(u64, Job)>, StoreError> {
    let sql = format!(
        "SELECT seq, {COLUMNS} FROM jobs WHERE seq > ?1 AND enabled AND auto_disabled IS NULL ORDER BY seq LIMIT ?2"
    );
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let cursor = i64::try_from(cursor).unwrap_or(i64::MAX);
    let mut found = select.query(params![cursor, rows::int(limit)]).map_err(fault)?;
    let mut jobs = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let seq = u64::try_from(rows::get::<i64>(row, "seq")?).unwrap_or(0);
        match read(row) {
            Ok((job, _)) => jobs.push((seq, job)),
            Err(error) => tracing::error!(%error, "a job cannot be read and is passed over"),
        }
    }
    Ok(jobs)
}

pub(super) fn get(conn: &Connection, id: &JobId) -> Result<Option<Job>, StoreError> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1 AND removed = 0"))
        .and_then(|mut select| select.query_row([id.as_str()], |row| Ok(read(row))).optional())
        .map_err(fault)?
        .transpose()?;
    found.map(|(job, last_run)| with_last_run(conn, job, last_run)).transpose()
}

/// The ids of jobs that begin with a text.
pub(super) fn ids(conn: &Connection, prefix: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT id AS job_id FROM jobs WHERE id >= ?1 AND substr(id, 1, length(?1)) = ?1 AND removed = 0 \
             AND id < ?1 || char(1114111) ORDER BY id LIMIT ?2",
        )
        .map_err(fault)?;
    let mut found = select.query(params![prefix, rows::int(limit)]).map_err(fault)?;
    let mut ids = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        ids.push(rows::job_id(row)?);
    }
    Ok(ids)
}

/// The job of a run, without the facts of its last run, and whether it was removed in the meantime.
pub(super) fn of_run(conn: &Connection, id: &JobId) -> Result<Option<(Job, bool)>, StoreError> {
    conn.prepare_cached(&format!("SELECT {COLUMNS}, removed FROM jobs WHERE id = ?1"))
        .and_then(|mut select| {
            select.query_row([id.as_str()], |row| Ok((read(row), row.get::<_, bool>("removed")?))).optional()
        })
        .map_err(fault)?
        .map(|(job, removed)| Ok((job?.0, removed)))
        .transpose()
}

pub(super) fn due(conn: &Connection, lane: Lane, now: UnixMs, limit: usize) -> Result<Vec<Job>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE lane = ?1 AND next_run_at IS NOT NULL AND next_run_at <= ?2 \
         ORDER BY next_run_at LIMIT ?3"
    );
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query(params![rows::lane_word(lane), At(now), rows::int(limit)]).map_err(fault)?;
    let mut jobs = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        // A row that cannot be read must not keep the others from running.
        match read(row) {
            Ok((job, _)) => jobs.push(job),
            Err(error) => tracing::error!(%error, "a job cannot be read and is passed over"),
        }
    }
    Ok(jobs)
}

pub(super) fn next_wake(conn: &Connection, lane: Lane) -> Result<LaneWake, StoreError> {
    let earliest = |sql: &str| -> Result<Option<UnixMs>, StoreError> {
        conn.prepare_cached(sql)
            .and_then(|mut select| {
                select.query_row([rows::lane_word(lane)], |row| row.get::<_, Option<At>>(0))
            })
            .map(|at| at.map(|at| at.0))
            .map_err(fault)
    };
    Ok(LaneWake {
        due_at: earliest("SELECT min(next_run_at) FROM jobs WHERE lane = ?1 AND next_run_at IS NOT NULL")?,
        ready_at: earliest("SELECT min(ready_at) FROM runs WHERE lane = ?1 AND ready_at IS NOT NULL")?,
    })
}

/// The jobs that name this destination. The text finds candidates, for it may stand elsewhere in a definition too.
pub(super) fn naming(
    conn: &Connection,
    name: &DestinationName,
    limit: usize,
) -> Result<Vec<JobId>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM jobs WHERE removed = 0 AND instr(definition, ?1) > 0 ORDER BY id");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query([format!("\"destination\":\"{name}\"")]).map_err(fault)?;
    let mut jobs = Vec::new();
    while jobs.len() < limit
        && let Some(row) = found.next().map_err(fault)?
    {
        let (job, _) = read(row)?;
        let named = Target::Destination(name.clone());
        let by_hook = job.definition.hooks.all().any(|(_, hook)| hook.names_destination(name));
        if by_hook || job.definition.named_targets().iter().any(|(_, target)| *target == named) {
            jobs.push(job.id);
        }
    }
    Ok(jobs)
}

pub(super) fn read(row: &Row<'_>) -> Result<(Job, Option<RunId>), StoreError> {
    let id = rows::job_id(row)?;
    let definition = row.get_ref("definition").and_then(|text| Ok(text.as_str()?)).map_err(fault)?;
    let definition = parse(definition)
        .map_err(|error| StoreError::BadRow(format!("the definition of job `{id}`: {error}")))?;
    let state = JobState {
        next_run_at: rows::at_opt(row, "next_run_at")?,
        open_runs: OpenRuns { running: rows::get(row, "running")?, waiting: rows::get(row, "waiting")? },
        running_at: rows::at_opt(row, "running_at")?,
        last_run: None,
        consecutive_errors: rows::get(row, "consecutive_errors")?,
        backoff_until: rows::at_opt(row, "backoff_until")?,
        auto_disabled: rows::get::<Option<String>>(row, "auto_disabled")?
            .map(|text| rows::from_json(&text, "why a job is switched off"))
            .transpose()?,
        alerts: rows::get::<Option<String>>(row, "alerts")?
            .map(|text| rows::from_json(&text, "what was told of a job's trouble"))
            .transpose()?
            .unwrap_or_default(),
        last_alert: None,
    };
    let job = Job {
        id,
        definition,
        created_at: rows::at(row, "created_at")?,
        updated_at: rows::at(row, "updated_at")?,
        state,
    };
    Ok((job, rows::id_opt(row, "last_run", RunId::from_bytes)?))
}

thread_local! {
    /// Definitions that were parsed lately. A busy job's is read twice for each run, and seldom changes.
    static PARSED: RefCell<HashMap<String, JobDefinition>> = RefCell::default();
}

/// How many definitions a thread keeps.
const KEPT: usize = 512;

/// Reads a definition's text.
fn parse(text: &str) -> Result<JobDefinition, String> {
    PARSED.with_borrow_mut(|parsed| {
        if let Some(definition) = parsed.get(text) {
            return Ok(definition.clone());
        }
        let value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let definition = JobDefinition::from_stored_json(value).map_err(|error| error.to_string())?;
        if parsed.len() >= KEPT {
            parsed.clear();
        }
        parsed.insert(text.to_owned(), definition.clone());
        Ok(definition)
    })
}

pub(super) fn with_last_run(
    conn: &Connection,
    mut job: Job,
    last_run: Option<RunId>,
) -> Result<Job, StoreError> {
    if let Some(id) = last_run {
        job.state.last_run = runs::get(conn, id)?.and_then(|record| summarise(&record));
    }
    job.state.last_alert = alerts::last(conn, &job.state.alerts)?;
    Ok(job)
}

fn summarise(record: &RunRecord) -> Option<LastRun> {
    let RunProgress::Finished { started_at, ended_at, outcome } = &record.run.progress else { return None };
    Some(LastRun {
        run_id: record.run.id,
        started_at: *started_at,
        duration_ms: u64::try_from(ended_at.since(*started_at).as_millis()).unwrap_or(u64::MAX),
        status: outcome.status,
        error: outcome.error.as_ref().map(|error| error.message.clone()),
        error_reason: outcome.error.as_ref().map(|error| error.reason),
        delivery_status: record.delivery_status(),
        delivery_error: record.delivery_error().map(str::to_owned),
        suppression: record.suppression(),
        completion: record.completion().unwrap_or(CompletionStatus::Unknown),
    })
}
