//! Runs in rows: begun, finished, adopted, read.

use bytes::Bytes;
use clawhook_model::{
    AgentId, Delivery, DeliveryState, DestinationId, EventId, EventKind, Job, JobId, Lane, Notice, OwnerId,
    Run, RunId, RunOutcome, RunProgress, RunStatus, SessionId, SessionRef, TranscriptEntry, Trigger, UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::notices::{self, About};
use super::rows::{self, At};
use super::writer::Raised;
use super::{fault, jobs, outbox};
use crate::{
    AfterRun, FinishRun, InterruptedRun, NewRun, QueuedRun, RunFilter, RunFinished, RunPage, RunRecord,
    RunStarted, StartRun, StoreError, StoredEvent, Topic,
};

const COLUMNS: &str = "id, job_id, job_name, agent_id, trigger, scheduled_at, session_id, session_key, best_effort, \
                       queued_at, state, started_at, ended_at, outcome";

/// Writes a run's row: begun where it has an owner, else queued.
pub(super) fn insert(
    conn: &Connection,
    owner: Option<OwnerId>,
    run: &NewRun,
    now: UnixMs,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO runs (id, job_id, job_name, agent_id, trigger, scheduled_at, lane, state, owner, session_id, \
         session_key, best_effort, queued_at, started_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
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
            if owner.is_some() { "running" } else { "queued" },
            owner.as_ref().map(OwnerId::as_bytes),
            run.session.id.as_bytes(),
            run.session.key,
            run.best_effort,
            At(now),
            owner.map(|_| At(now)),
        ])
    })
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
    if let Some(active) = job.state.active_run {
        return Ok(RunStarted::AlreadyRunning(active));
    }
    let run = NewRun::of(&job, start.run_id, Trigger::Manual, None, start.session_id);
    let begins = start.held.contains(&run.lane);
    job.state.active_run = Some(run.id);
    job.state.running_at = begins.then_some(now);
    conn.prepare_cached("UPDATE jobs SET active_run = ?2, running_at = ?3 WHERE id = ?1")
        .and_then(|mut update| {
            update.execute(params![job.id.as_str(), run.id.as_bytes(), job.state.running_at.map(At)])
        })
        .map_err(fault)?;
    insert(conn, begins.then_some(owner), &run, now)?;
    if begins {
        return Ok(RunStarted::Begun(Box::new(run), Box::new(job)));
    }
    raised.raise(Topic::Schedule);
    Ok(RunStarted::Queued(run.lane))
}

pub(super) fn claim_queued(
    conn: &Connection,
    owner: OwnerId,
    lane: Lane,
    limit: usize,
    now: UnixMs,
) -> Result<Vec<QueuedRun>, StoreError> {
    let sql = format!(
        "UPDATE runs SET state = 'running', owner = ?1, started_at = ?2 WHERE seq IN (SELECT seq FROM runs \
         WHERE lane = ?3 AND state = 'queued' AND state <> 'finished' ORDER BY seq LIMIT ?4) RETURNING {COLUMNS}"
    );
    let mut update = conn.prepare_cached(&sql).map_err(fault)?;
    let owner = owner.as_bytes();
    let mut found =
        update.query(params![owner, At(now), rows::lane_word(lane), rows::int(limit)]).map_err(fault)?;
    let mut begun = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        begun.push(read(row)?.0);
    }
    drop(found);
    for run in &begun {
        conn.prepare_cached("UPDATE jobs SET running_at = ?2 WHERE id = ?1 AND active_run = ?3")
            .and_then(|mut update| update.execute(params![run.job_id.as_str(), At(now), run.id.as_bytes()]))
            .map_err(fault)?;
    }
    let with_job = |run| {
        let (job, job_removed) = job_of(conn, &run)?;
        Ok(QueuedRun { run, job, job_removed })
    };
    begun.into_iter().map(with_job).collect()
}

/// The job of a run that is not over: its row stays for as long, even if the job is removed.
fn job_of(conn: &Connection, run: &Run) -> Result<(Job, bool), StoreError> {
    jobs::of_run(conn, &run.job_id)?
        .ok_or_else(|| StoreError::BadRow(format!("the run `{}` has no job `{}`", run.id, run.job_id)))
}

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
    write_transcript(conn, finish)?;
    tell_of_recovery(conn, raised, finish)?;
    settle_job(conn, finish)?;
    raised.raise(Topic::Settled);
    Ok(RunFinished::Done)
}

fn write_event(conn: &Connection, raised: &mut Raised, finish: &FinishRun) -> Result<(), StoreError> {
    let run = Some(finish.run_id.as_bytes());
    let kind = EventKind::RunFinished;
    let event_seq = notices::write_event(conn, finish.event_id, kind, run, finish.ended_at, &finish.event)?;
    let own: Result<Vec<DestinationId>, StoreError> = finish
        .deliveries
        .iter()
        .map(|delivery| outbox::insert_own(conn, raised, finish, event_seq, delivery))
        .collect();
    notices::publish_finished(conn, raised, finish, event_seq, &own?)
}

/// Tells those who subscribed that a job succeeded after failures; before the job's count of them starts anew.
fn tell_of_recovery(conn: &Connection, raised: &mut Raised, finish: &FinishRun) -> Result<(), StoreError> {
    if finish.outcome.status != RunStatus::Ok || !notices::anybody(conn, EventKind::JobRecovered)? {
        return Ok(());
    }
    let Some((job, _)) = jobs::of_run(conn, &finish.job_id)? else { return Ok(()) };
    let failures = job.state.consecutive_errors;
    if failures == 0 {
        return Ok(());
    }
    let about = About { job_id: &job.id, job_name: &job.definition.name, agent_id: &job.definition.agent() };
    let notice = Notice::JobRecovered { run_id: finish.run_id, failures };
    notices::publish(conn, raised, about, &notice, finish.ended_at)
}

fn write_transcript(conn: &Connection, finish: &FinishRun) -> Result<(), StoreError> {
    if finish.transcript.is_empty() {
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO sessions (id, key, agent_id, job_id, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5) \
         ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            finish.session.id.as_bytes(),
            finish.session.key,
            finish.agent_id.as_str(),
            finish.job_id.as_str(),
            At(finish.ended_at),
        ])
    })
    .map_err(fault)?;
    let mut insert = conn
        .prepare_cached(
            "INSERT INTO transcript (session_id, run_id, at, role, text) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .map_err(fault)?;
    for entry in &finish.transcript {
        insert
            .execute(params![
                finish.session.id.as_bytes(),
                finish.run_id.as_bytes(),
                At(entry.at),
                entry.role.as_str(),
                entry.text,
            ])
            .map_err(fault)?;
    }
    Ok(())
}

/// The job is free for its next run, and goes if it was a one-shot that has completed.
fn settle_job(conn: &Connection, finish: &FinishRun) -> Result<(), StoreError> {
    let failed = finish.outcome.status == RunStatus::Error;
    conn.prepare_cached(
        "UPDATE jobs SET active_run = NULL, running_at = NULL, last_run = ?2, updated_at = ?3, \
         consecutive_errors = CASE WHEN ?4 THEN consecutive_errors + 1 ELSE 0 END \
         WHERE id = ?1 AND active_run = ?2",
    )
    .and_then(|mut update| {
        update.execute(params![finish.job_id.as_str(), finish.run_id.as_bytes(), At(finish.ended_at), failed])
    })
    .map_err(fault)?;
    conn.prepare_cached("DELETE FROM jobs WHERE id = ?1 AND removed = 1 AND active_run IS NULL")
        .and_then(|mut delete| delete.execute([finish.job_id.as_str()]))
        .map_err(fault)?;
    let succeeded = finish.outcome.status == RunStatus::Ok;
    if finish.after == AfterRun::RemoveWhenComplete && succeeded && nothing_is_missing(conn, finish.run_id)? {
        remove_used_up(conn, &finish.job_id, finish.run_id)?;
    }
    Ok(())
}

/// Whether everything that a run asked of the outbox has arrived, or was not to be sent.
pub(super) fn nothing_is_missing(conn: &Connection, run: RunId) -> Result<bool, StoreError> {
    let arrived =
        |delivery: &Delivery| matches!(delivery.state, DeliveryState::Delivered | DeliveryState::Suppressed);
    Ok(outbox::of_run(conn, run)?.iter().all(|delivery| !delivery.required || arrived(delivery)))
}

/// Removes a one-shot whose run has completed, unless it was given another instant in the meantime.
pub(super) fn remove_used_up(conn: &Connection, job: &JobId, run: RunId) -> Result<(), StoreError> {
    conn.prepare_cached(
        "DELETE FROM jobs WHERE id = ?1 AND last_run = ?2 AND next_run_at IS NULL AND active_run IS NULL",
    )
    .and_then(|mut delete| delete.execute(params![job.as_str(), run.as_bytes()]))
    .map_err(fault)?;
    Ok(())
}

/// Makes `owner` the owner of every run that was under way, and returns them.
pub(super) fn adopt(conn: &Connection, owner: OwnerId) -> Result<Vec<InterruptedRun>, StoreError> {
    let sql = format!(
        "UPDATE runs SET owner = ?1 WHERE state = 'running' AND state <> 'finished' AND owner <> ?1 RETURNING {COLUMNS}"
    );
    let mut update = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = update.query([owner.as_bytes()]).map_err(fault)?;
    let mut runs: Vec<Run> = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        runs.push(read(row)?.0);
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
    read.map(|(run, best_effort)| record(conn, run, best_effort)).transpose()
}

fn record(conn: &Connection, run: Run, best_effort: bool) -> Result<RunRecord, StoreError> {
    let deliveries = outbox::of_run(conn, run.id)?;
    Ok(RunRecord { run, deliveries, best_effort })
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
        let (run, best_effort) = read(row)?;
        runs.push(record(conn, run, best_effort)?);
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

pub(super) fn transcript(conn: &Connection, run: RunId) -> Result<Vec<TranscriptEntry>, StoreError> {
    let mut select = conn
        .prepare_cached("SELECT at, role, text FROM transcript WHERE run_id = ?1 ORDER BY seq")
        .map_err(fault)?;
    let mut found = select.query([run.as_bytes()]).map_err(fault)?;
    let mut entries = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let role = rows::word(row, "role", rows::role)?;
        entries.push(TranscriptEntry { at: rows::at(row, "at")?, role, text: rows::get(row, "text")? });
    }
    Ok(entries)
}

fn read(row: &Row<'_>) -> Result<(Run, bool), StoreError> {
    let agent: String = rows::get(row, "agent_id")?;
    let run = Run {
        id: rows::id(row, "id", RunId::from_bytes)?,
        job_id: rows::job_id(row)?,
        job_name: rows::get(row, "job_name")?,
        agent_id: AgentId::normalise(&agent),
        trigger: rows::word(row, "trigger", rows::trigger)?,
        scheduled_at: rows::at_opt(row, "scheduled_at")?,
        queued_at: rows::at(row, "queued_at")?,
        session: SessionRef {
            key: rows::get(row, "session_key")?,
            id: rows::id(row, "session_id", SessionId::from_bytes)?,
        },
        progress: progress(row)?,
    };
    Ok((run, rows::get(row, "best_effort")?))
}

fn progress(row: &Row<'_>) -> Result<RunProgress, StoreError> {
    let state: String = rows::get(row, "state")?;
    match state.as_str() {
        "queued" => Ok(RunProgress::Queued),
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
