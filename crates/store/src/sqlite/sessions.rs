//! Sessions in rows: what was said in them, and what waits for their next turn.

use clawhook_model::{AgentId, Cleanup, JobId, RunId, SessionId, SessionRef, TranscriptEntry, UnixMs};
use rusqlite::{Connection, Row, params};

use super::fault;
use super::rows::{self, At};
use crate::{FinishRun, LeftWithSessions, StoreError, SystemEvent};

/// Writes what a run leaves with its session, and with others.
pub(super) fn leave(conn: &Connection, finish: &FinishRun) -> Result<(), StoreError> {
    let LeftWithSessions { is_kept, cleanup, reply, told, event } = &finish.left;
    let about =
        About { agent: &finish.agent_id, job: &finish.job_id, run: finish.run_id, at: finish.ended_at };
    let own = Place { session: &finish.session, is_kept: *is_kept };
    if !finish.transcript.is_empty() || (*is_kept && event.is_some()) {
        touch(conn, &own, &about, *cleanup)?;
        append(conn, &own, &about, &finish.transcript)?;
    }
    if let Some((session, entry)) = reply {
        let place = Place { session, is_kept: true };
        touch(conn, &place, &about, Cleanup::Keep)?;
        append(conn, &place, &about, std::slice::from_ref(entry))?;
    }
    for seq in told {
        conn.prepare_cached("DELETE FROM system_events WHERE seq = ?1")
            .and_then(|mut delete| delete.execute([seq.cast_signed()]))
            .map_err(fault)?;
    }
    if let Some(text) = event {
        conn.prepare_cached(
            "INSERT INTO system_events (session_id, agent_id, job_id, run_id, at, text) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                finish.session.id.as_bytes(),
                about.agent.as_str(),
                about.job.as_str(),
                about.run.as_bytes(),
                At(about.at),
                text,
            ])
        })
        .map_err(fault)?;
    }
    Ok(())
}

/// A session that something is written into.
struct Place<'a> {
    session: &'a SessionRef,
    is_kept: bool,
}

/// Who writes, and when.
struct About<'a> {
    agent: &'a AgentId,
    job: &'a JobId,
    run: RunId,
    at: UnixMs,
}

fn touch(
    conn: &Connection,
    place: &Place<'_>,
    about: &About<'_>,
    cleanup: Cleanup,
) -> Result<(), StoreError> {
    let own_of = (!place.is_kept).then_some(about.run);
    conn.prepare_cached(
        "INSERT INTO sessions (id, key, agent_id, job_id, run_id, cleanup, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) \
         ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at, job_id = excluded.job_id",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            place.session.id.as_bytes(),
            place.session.key,
            about.agent.as_str(),
            about.job.as_str(),
            own_of.as_ref().map(RunId::as_bytes),
            !place.is_kept && cleanup == Cleanup::Delete,
            At(about.at),
        ])
    })
    .map_err(fault)?;
    Ok(())
}

fn append(
    conn: &Connection,
    place: &Place<'_>,
    about: &About<'_>,
    entries: &[TranscriptEntry],
) -> Result<(), StoreError> {
    let mut insert = conn
        .prepare_cached(
            "INSERT INTO transcript (session_id, run_id, kept, at, role, text, detail) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .map_err(fault)?;
    for entry in entries {
        let detail = entry.detail.as_ref().map(serde_json::to_string).transpose();
        let detail = detail.map_err(|error| StoreError::Engine(error.to_string()))?;
        insert
            .execute(params![
                place.session.id.as_bytes(),
                about.run.as_bytes(),
                place.is_kept,
                At(entry.at),
                entry.role.as_str(),
                entry.text,
                detail,
            ])
            .map_err(fault)?;
    }
    Ok(())
}

/// What was said in one run. A reply that it added to another conversation is no part of it.
pub(super) fn transcript(conn: &Connection, run: RunId) -> Result<Vec<TranscriptEntry>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT at, role, text, detail FROM transcript WHERE run_id = ?1 \
             AND session_id = (SELECT session_id FROM runs WHERE id = ?1) ORDER BY seq",
        )
        .map_err(fault)?;
    let mut found = select.query([run.as_bytes()]).map_err(fault)?;
    let mut entries = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

/// The end of what was said in a session that is kept, the oldest first.
pub(super) fn history(
    conn: &Connection,
    session: SessionId,
    entries: usize,
    bytes: usize,
) -> Result<Vec<TranscriptEntry>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT at, role, text, detail FROM transcript WHERE session_id = ?1 AND kept = 1 \
             ORDER BY seq DESC LIMIT ?2",
        )
        .map_err(fault)?;
    let mut found = select.query(params![session.as_bytes(), rows::int(entries)]).map_err(fault)?;
    let (mut tail, mut size) = (Vec::new(), 0usize);
    while let Some(row) = found.next().map_err(fault)? {
        let entry = entry(row)?;
        size = size.saturating_add(entry.text.len());
        if size > bytes {
            break;
        }
        tail.push(entry);
    }
    tail.reverse();
    Ok(tail)
}

/// What waits for a turn of a session, the oldest first.
pub(super) fn waiting(
    conn: &Connection,
    session: SessionId,
    limit: usize,
) -> Result<Vec<SystemEvent>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT seq, job_id, at, text FROM system_events WHERE session_id = ?1 ORDER BY seq LIMIT ?2",
        )
        .map_err(fault)?;
    let mut found = select.query(params![session.as_bytes(), rows::int(limit)]).map_err(fault)?;
    let mut events = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        events.push(SystemEvent {
            seq: rows::get::<i64>(row, "seq")?.cast_unsigned(),
            job_id: rows::job_id(row)?,
            at: rows::at(row, "at")?,
            text: rows::get(row, "text")?,
        });
    }
    Ok(events)
}

pub(super) fn entry(row: &Row<'_>) -> Result<TranscriptEntry, StoreError> {
    let detail: Option<String> = rows::get(row, "detail")?;
    Ok(TranscriptEntry {
        at: rows::at(row, "at")?,
        role: rows::word(row, "role", rows::role)?,
        text: rows::get(row, "text")?,
        detail: detail.map(|text| rows::from_json(&text, "an entry of a transcript")).transpose()?,
    })
}
