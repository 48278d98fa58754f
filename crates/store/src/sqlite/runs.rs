//! Runs in rows: queued, begun, adopted, read.

use bytes::Bytes;
use clawhook_model::{
    AgentId, Begun, EventId, Job, JobDefinition, JobId, Lane, OpenRuns, Overlap, OwnerId, Provenance, Run,
    RunId, RunOutcome, RunProgress, SessionId, SessionRef, Trigger, UnixMs, Wait,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::notices;
use super::rows::{self, At};
use super::writer::Raised;
use super::{fault, hook_calls, jobs, outbox};
use crate::{
    DeferRun, InterruptedRun, NewRun, QueuedRun, RunFilter, RunFinished, RunPage, RunRecord, RunStarted,
    StartRun, StoreError, StoredEvent, Topic,
};

const COLUMNS: &str = "id, job_id, job_name, agent_id, trigger, scheduled_at, session_id, session_key, best_effort, \
                       attempt, deferrals, queued_at, state, ready_at, wait_reason, started_at, ended_at, outcome, \
                       late_at, late_outcome, provenance, upstream, refused";

/// How a run's row begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin {
    /// Under way, in the hands of this owner; with the number in the log under which it tells that it began.
    Running(OwnerId, Option<i64>),
    /// Queued, and ready from this instant on; without one it waits for a run of its job to end.
    Queued(Option<UnixMs>),
}

/// Writes a run's row.
pub(super) fn insert(conn: &Connection, begin: Begin, run: &NewRun, now: UnixMs) -> Result<(), StoreError> {
    let (state, owner, ready_at, begun) = match begin {
        Begin::Running(owner, begun) => ("running", Some(owner), None, begun),
        Begin::Queued(ready_at) => ("queued", None, ready_at, None),
    };
    let provenance = (run.provenance != Provenance::default())
        .then(|| serde_json::to_string(&run.provenance))
        .transpose()
        .map_err(|error| StoreError::Engine(error.to_string()))?;
    conn.prepare_cached(
        "INSERT INTO runs (id, job_id, job_name, agent_id, trigger, scheduled_at, lane, state, owner, session_id, \
         session_key, best_effort, queued_at, started_at, attempt, ready_at, provenance, begun_seq, \
         upstream) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            run.id.as_bytes(),
            run.job_id.as_str(),
            run.job_name,
            run.agent_id.as_str(),
            run.trigger.as_str(),
            run.scheduled_at.map(At),
            rows::lane_word(run.lane),
            state,
            owner.as_ref().map(OwnerId::as_bytes),
            run.session.id.as_bytes(),
            run.session.key,
            run.best_effort,
            At(now),
            owner.map(|_| At(now)),
            run.attempt,
            ready_at.map(At),
            provenance,
            begun,
            run.upstream.as_ref().map(RunId::as_bytes),
        ])
    })
    .map_err(fault)?;
    Ok(())
}

/// Notes that a queued run is to be ended when its turn comes, and why.
pub(super) fn refuse(conn: &Connection, run: RunId, why: &str) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE runs SET refused = ?2 WHERE id = ?1 AND state = 'queued'")
        .and_then(|mut update| update.execute(params![run.as_bytes(), why]))
        .map_err(fault)?;
    Ok(())
}

pub(super) fn start(
    conn: &Connection,
    raised: &mut Raised,
    owner: OwnerId,
    start: &StartRun,
    now: UnixMs,
) -> Result<RunStarted, StoreError> {
    let Some((mut job, false)) = jobs::of_run(conn, &start.job_id)? else { return Ok(RunStarted::NotFound) };
    let run = NewRun::of(&job, start.run_id, Trigger::Manual, None, start.session_id);
    let open = job.state.open_runs;
    let ready_at = match job.definition.overlap.unwrap_or(start.overlap) {
        Overlap::AllowAll if open.all() < Overlap::MOST_OPEN => Some(now),
        _ if !open.any() => Some(now),
        Overlap::BufferOne if open.waiting == 0 => None,
        Overlap::BufferAll { most } if open.waiting < most => None,
        // A run by hand cancels nothing.
        _ => return Ok(RunStarted::AlreadyRunning(newest_open(conn, &job.id)?)),
    };
    let begins = ready_at.is_some() && start.held.contains(&run.lane);
    jobs::add_open(conn, &job.id, OpenRuns { running: begins.into(), waiting: (!begins).into() }, now)?;
    if begins {
        let begun = notices::tell_of_start(conn, raised, &run.begun(), now)?;
        insert(conn, Begin::Running(owner, begun), &run, now)?;
        job.state.open_runs.running += 1;
        job.state.running_at = job.state.running_at.or(Some(now));
        return Ok(RunStarted::Begun(Box::new(run), Box::new(job)));
    }
    insert(conn, Begin::Queued(ready_at), &run, now)?;
    raised.raise(Topic::Schedule);
    Ok(RunStarted::Queued(run.lane))
}

/// Has the log go on telling that a run began that is put back.
fn keep_start(conn: &Connection, raised: &mut Raised, run: RunId) -> Result<(), StoreError> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, begun_seq FROM runs WHERE id = ?1 AND state = 'running' AND begun_seq IS NOT NULL"
        ))
        .and_then(|mut select| {
            select.query_row([run.as_bytes()], |row| Ok((read(row), row.get("begun_seq")?))).optional()
        })
        .map_err(fault)?;
    let Some((read, seq)) = found else { return Ok(()) };
    let run = read?.run;
    let RunProgress::Running { started_at } = run.progress else { return Ok(()) };
    notices::keep_start(conn, raised, seq, &Begun::of(&run), started_at)
}

/// The runs whose own rows tell between two numbers of the log that they began.
pub(super) fn begun_between(
    conn: &Connection,
    after: i64,
    upto: i64,
    order: &'static str,
    mut take: impl FnMut(i64, &Run, UnixMs) -> bool,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, begun_seq FROM runs WHERE begun_seq IS NOT NULL AND begun_seq > ?1 AND begun_seq <= ?2 \
         ORDER BY begun_seq {order}"
    );
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query([after, upto]).map_err(fault)?;
    while let Some(row) = found.next().map_err(fault)? {
        let began_at = rows::at(row, "started_at")?;
        if !take(rows::get(row, "begun_seq")?, &read(row)?.run, began_at) {
            break;
        }
    }
    Ok(())
}

/// The newest run of a job that is not over.
fn newest_open(conn: &Connection, job: &JobId) -> Result<RunId, StoreError> {
    conn.prepare_cached(
        "SELECT id FROM runs WHERE job_id = ?1 AND state <> 'finished' ORDER BY seq DESC LIMIT 1",
    )
    .and_then(|mut select| select.query_row([job.as_str()], |row| Ok(rows::id(row, "id", RunId::from_bytes))))
    .map_err(fault)?
}

/// Lets the runs of a job that wait to be begun at once, in order to be ended: the job is disabled or gone. Those that were
/// asked for by hand or by a request keep their place, unless the job is gone.
pub(super) fn hasten(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    by_hand_too: bool,
    now: UnixMs,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE runs SET ready_at = ?3 WHERE job_id = ?1 AND state = 'queued' \
         AND (?2 OR trigger NOT IN ('manual', 'backfill', 'hook'))",
    )
    .and_then(|mut update| update.execute(params![job.as_str(), by_hand_too, At(now)]))
    .map_err(fault)?;
    raised.raise(Topic::Schedule);
    Ok(())
}

/// Has the runs of a job that was switched on again wait for each other: they were let go in order to be ended, and those
/// that were not yet must not begin side by side.
pub(super) fn queue_again(conn: &Connection, job: &JobId) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE runs SET ready_at = NULL WHERE job_id = ?1 AND state = 'queued' \
         AND trigger NOT IN ('manual', 'backfill', 'hook')",
    )
    .and_then(|mut update| update.execute([job.as_str()]))
    .map_err(fault)?;
    Ok(())
}

/// Lets the next run of a job begin, if none of its runs is ready: at once, or when the job's backoff is over.
pub(super) fn release_next(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    now: UnixMs,
) -> Result<(), StoreError> {
    let next: Option<(i64, Option<i64>)> = conn
        .prepare_cached(
            "SELECT seq, ready_at FROM runs WHERE job_id = ?1 AND state = 'queued' \
             ORDER BY ready_at IS NULL, seq LIMIT 1",
        )
        .and_then(|mut select| {
            select.query_row([job.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(fault)?;
    let Some((seq, None)) = next else { return Ok(()) };
    conn.prepare_cached(
        "UPDATE runs SET ready_at = CASE WHEN trigger IN ('manual', 'backfill') THEN ?2 \
         ELSE max(?2, coalesce((SELECT backoff_until FROM jobs WHERE id = ?3), ?2)) END WHERE seq = ?1",
    )
    .and_then(|mut update| update.execute(params![seq, At(now), job.as_str()]))
    .map_err(fault)?;
    raised.raise(Topic::Schedule);
    Ok(())
}

pub(super) fn claim_queued(
    conn: &Connection,
    raised: &mut Raised,
    owner: OwnerId,
    lane: Lane,
    limit: usize,
    now: UnixMs,
) -> Result<Vec<QueuedRun>, StoreError> {
    let sql = format!(
        "UPDATE runs SET state = 'running', owner = ?1, started_at = ?2, ready_at = NULL WHERE seq IN (SELECT seq \
         FROM runs WHERE lane = ?3 AND ready_at IS NOT NULL AND ready_at <= ?2 ORDER BY ready_at, seq LIMIT ?4) \
         RETURNING {COLUMNS}"
    );
    let mut update = conn.prepare_cached(&sql).map_err(fault)?;
    let owner = owner.as_bytes();
    let mut found =
        update.query(params![owner, At(now), rows::lane_word(lane), rows::int(limit)]).map_err(fault)?;
    let mut begun = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let Read { run, refused, .. } = read(row)?;
        begun.push((run, refused));
    }
    drop(found);
    for (run, _) in &begun {
        jobs::begin_queued(conn, &run.job_id, now)?;
        if let Some(begun) = notices::tell_of_start(conn, raised, &Begun::of(run), now)? {
            conn.prepare_cached("UPDATE runs SET begun_seq = ?2 WHERE id = ?1")
                .and_then(|mut update| update.execute(params![run.id.as_bytes(), begun]))
                .map_err(fault)?;
        }
    }
    let with_job = |(run, refused)| {
        let (job, job_removed) = job_of(conn, &run)?;
        Ok(QueuedRun { run, job, job_removed, refused })
    };
    begun.into_iter().map(with_job).collect()
}

/// Begins one queued run, whatever it waits for.
pub(super) fn take(
    conn: &Connection,
    owner: OwnerId,
    run: RunId,
    now: UnixMs,
) -> Result<Option<QueuedRun>, StoreError> {
    let sql = format!(
        "UPDATE runs SET state = 'running', owner = ?1, started_at = ?2, ready_at = NULL \
         WHERE id = ?3 AND state = 'queued' RETURNING {COLUMNS}"
    );
    let taken = conn
        .prepare_cached(&sql)
        .and_then(|mut update| {
            update
                .query_row(params![owner.as_bytes(), At(now), run.as_bytes()], |row| Ok(read(row)))
                .optional()
        })
        .map_err(fault)?
        .transpose()?;
    let Some(Read { run, refused, .. }) = taken else { return Ok(None) };
    jobs::begin_queued(conn, &run.job_id, now)?;
    let (job, job_removed) = job_of(conn, &run)?;
    Ok(Some(QueuedRun { run, job, job_removed, refused }))
}

/// Puts a run that is under way back into the queue.
pub(super) fn defer(
    conn: &Connection,
    raised: &mut Raised,
    owner: OwnerId,
    defer: &DeferRun,
    now: UnixMs,
) -> Result<RunFinished, StoreError> {
    keep_start(conn, raised, defer.run_id)?;
    let put_back = conn
        .prepare_cached(
            "UPDATE runs SET state = 'queued', owner = NULL, started_at = NULL, begun_seq = NULL, ready_at = ?3, \
             deferrals = deferrals + 1, wait_reason = ?4 WHERE id = ?1 AND state = 'running' AND owner = ?2",
        )
        .and_then(|mut update| {
            update.execute(params![defer.run_id.as_bytes(), owner.as_bytes(), At(defer.until), defer.why])
        })
        .map_err(fault)?;
    if put_back == 0 {
        return Ok(RunFinished::Fenced);
    }
    jobs::queue_again(conn, &defer.job_id, now)?;
    raised.raise(Topic::Schedule);
    Ok(RunFinished::Done)
}

/// The job of a run that is not over, with the definition that the run carries, where it does: its row stays for as long,
/// even if the job is removed.
pub(super) fn job_of(conn: &Connection, run: &Run) -> Result<(Job, bool), StoreError> {
    let (mut job, removed) = jobs::of_run(conn, &run.job_id)?
        .ok_or_else(|| StoreError::BadRow(format!("the run `{}` has no job `{}`", run.id, run.job_id)))?;
    if let Some(work) = work_of(conn, run)? {
        job.definition = work;
    }
    Ok((job, removed))
}

/// Writes the definition that a run carries, and the request that asked for it.
pub(super) fn carry(
    conn: &Connection,
    run: RunId,
    request: Option<i64>,
    work: &JobDefinition,
) -> Result<(), StoreError> {
    let work = work.to_stored_json().to_string();
    conn.prepare_cached("UPDATE runs SET request = ?2, work = ?3 WHERE id = ?1")
        .and_then(|mut update| update.execute(params![run.as_bytes(), request, work]))
        .map_err(fault)?;
    Ok(())
}

/// The definition that a run carries. It is used once, and kept from those that are read again and again.
fn work_of(conn: &Connection, run: &Run) -> Result<Option<JobDefinition>, StoreError> {
    if run.trigger != Trigger::Hook {
        return Ok(None);
    }
    let text: Option<String> = conn
        .prepare_cached("SELECT work FROM runs WHERE id = ?1")
        .and_then(|mut select| select.query_row([run.id.as_bytes()], |row| row.get(0)))
        .map_err(fault)?;
    let Some(text) = text else { return Ok(None) };
    let bad = |error: String| StoreError::BadRow(format!("what the run `{}` carries: {error}", run.id));
    let value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    JobDefinition::from_stored_json(value).map(Some).map_err(|error| bad(error.to_string()))
}

/// Makes `owner` the owner of every run that was under way, and returns them.
pub(super) fn adopt(conn: &Connection, owner: OwnerId) -> Result<Vec<InterruptedRun>, StoreError> {
    let sql =
        format!("UPDATE runs SET owner = ?1 WHERE state = 'running' AND owner <> ?1 RETURNING {COLUMNS}");
    let mut update = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = update.query([owner.as_bytes()]).map_err(fault)?;
    let mut runs: Vec<Run> = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        runs.push(read(row)?.run);
    }
    drop(found);
    let with_job = |run: Run| {
        let (job, _) = job_of(conn, &run)?;
        Ok(InterruptedRun { run, job })
    };
    runs.into_iter().map(with_job).collect()
}

pub(super) fn get(conn: &Connection, id: RunId) -> Result<Option<RunRecord>, StoreError> {
    let read = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE id = ?1"))
        .and_then(|mut select| select.query_row([id.as_bytes()], |row| Ok(read(row))).optional())
        .map_err(fault)?
        .transpose()?;
    read.map(|read| record(conn, read)).transpose()
}

fn record(conn: &Connection, read: Read) -> Result<RunRecord, StoreError> {
    let Read { run, best_effort, late, .. } = read;
    let deliveries = outbox::of_run(conn, run.id)?;
    let hooks = hook_calls::of_run(conn, run.id)?;
    Ok(RunRecord { run, deliveries, best_effort, late, hooks })
}

pub(super) fn page(conn: &Connection, filter: &RunFilter) -> Result<RunPage, StoreError> {
    let mut conditions = Vec::new();
    let mut values: Vec<rusqlite::types::Value> = Vec::new();
    if let Some(job) = &filter.job_id {
        conditions.push("job_id = ?");
        values.push(job.as_str().to_owned().into());
    }
    if let Some(status) = filter.status {
        conditions.push("status = ?");
        values.push(status.as_str().to_owned().into());
    }
    if filter.finished_only {
        conditions.push("state = 'finished'");
    }
    let condition = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
    let total: i64 = conn
        .prepare_cached(&format!("SELECT count(*) FROM runs WHERE {condition}"))
        .and_then(|mut count| count.query_row(params_from_iter(&values), |row| row.get(0)))
        .map_err(fault)?;
    values.push(rows::int(filter.limit).into());
    values.push(rows::int(filter.offset).into());
    let sql = format!("SELECT {COLUMNS} FROM runs WHERE {condition} ORDER BY seq DESC LIMIT ? OFFSET ?");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query(params_from_iter(&values)).map_err(fault)?;
    let mut runs = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        runs.push(record(conn, read(row)?)?);
    }
    Ok(RunPage { runs, total: rows::count(total) })
}

pub(super) fn event(conn: &Connection, run: RunId) -> Result<Option<StoredEvent>, StoreError> {
    let read = |row: &Row<'_>| -> Result<StoredEvent, StoreError> {
        Ok(StoredEvent {
            id: rows::id(row, "id", EventId::from_bytes)?,
            kind: rows::word(row, "kind", rows::event_kind)?,
            occurred_at: rows::at(row, "created_at")?,
            body: Bytes::from(rows::get::<Vec<u8>>(row, "body")?),
        })
    };
    conn.prepare_cached(
        "SELECT id, kind, created_at, body FROM events WHERE run_id = ?1 AND kind = 'run.finished' LIMIT 1",
    )
    .and_then(|mut select| select.query_row([run.as_bytes()], |row| Ok(read(row))).optional())
    .map_err(fault)?
    .transpose()
}

/// What a row holds.
struct Read {
    run: Run,
    best_effort: bool,
    late: Option<(UnixMs, Box<RunOutcome>)>,
    refused: Option<String>,
}

fn read(row: &Row<'_>) -> Result<Read, StoreError> {
    let agent: String = rows::get(row, "agent_id")?;
    let run = Run {
        id: rows::id(row, "id", RunId::from_bytes)?,
        job_id: rows::job_id(row)?,
        job_name: rows::get(row, "job_name")?,
        agent_id: AgentId::normalise(&agent),
        trigger: rows::word(row, "trigger", rows::trigger)?,
        scheduled_at: rows::at_opt(row, "scheduled_at")?,
        attempt: rows::get(row, "attempt")?,
        deferrals: rows::get(row, "deferrals")?,
        queued_at: rows::at(row, "queued_at")?,
        session: SessionRef {
            key: rows::get(row, "session_key")?,
            id: rows::id(row, "session_id", SessionId::from_bytes)?,
        },
        provenance: provenance(row)?,
        upstream: rows::id_opt(row, "upstream", RunId::from_bytes)?,
        progress: progress(row)?,
    };
    let late = match (rows::at_opt(row, "late_at")?, rows::get::<Option<String>>(row, "late_outcome")?) {
        (Some(at), Some(text)) => Some((at, rows::from_json(&text, "a late result")?)),
        _ => None,
    };
    let refused = rows::get(row, "refused")?;
    Ok(Read { run, best_effort: rows::get(row, "best_effort")?, late, refused })
}

fn provenance(row: &Row<'_>) -> Result<Provenance, StoreError> {
    let text: Option<String> = rows::get(row, "provenance")?;
    text.map_or(Ok(Provenance::default()), |text| rows::from_json(&text, "what led to a run"))
}

fn progress(row: &Row<'_>) -> Result<RunProgress, StoreError> {
    let state: String = rows::get(row, "state")?;
    match state.as_str() {
        "queued" => {
            let (ready_at, why) = (rows::at_opt(row, "ready_at")?, rows::get(row, "wait_reason")?);
            Ok(RunProgress::Queued(Wait { ready_at, why }))
        }
        "running" => Ok(RunProgress::Running { started_at: rows::at(row, "started_at")? }),
        "finished" => {
            let text: String = rows::get(row, "outcome")?;
            let outcome: RunOutcome = rows::from_json(&text, "a run's outcome")?;
            let (started_at, ended_at) = (rows::at(row, "started_at")?, rows::at(row, "ended_at")?);
            Ok(RunProgress::Finished { started_at, ended_at, outcome: Box::new(outcome) })
        }
        other => Err(StoreError::BadRow(format!("a run in the state `{other}`"))),
    }
}
