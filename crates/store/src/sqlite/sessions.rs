//! Sessions in rows: what was said in them, and what waits for their next turn.

use clawhook_model::{
    AgentId, Cleanup, EntryDetail, JobId, RunId, SessionId, SessionRef, TranscriptEntry, UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault;
use super::rows::{self, At};
use crate::{FinishRun, LeftWithSessions, SessionRemoved, StoreError, SystemEvent};

/// How many system events wait in one session at most, and how many of the oldest go where there are more.
const MOST_WAITING: u32 = 1000;
const DROPPED_AT_ONCE: usize = 100;

/// Writes what a run leaves with its session, and with others.
pub(super) fn leave(conn: &Connection, finish: &FinishRun) -> Result<(), StoreError> {
    let LeftWithSessions { is_kept, cleanup, forgotten, reply, told, event, elsewhere, note: _ } =
        &finish.left;
    let about =
        About { agent: &finish.agent_id, job: &finish.job_id, run: finish.run_id, at: finish.ended_at };
    let own = Place { session: &finish.session, is_kept: *is_kept, is_remembered: !forgotten };
    if !finish.transcript.is_empty() || (*is_kept && event.is_some()) {
        touch(conn, &own, &about, *cleanup)?;
        append(conn, &own, &about, &finish.transcript)?;
    }
    if let Some((session, entry)) = reply {
        let place = Place { session, is_kept: true, is_remembered: true };
        touch(conn, &place, &about, Cleanup::Keep)?;
        append(conn, &place, &about, std::slice::from_ref(entry))?;
    }
    for seq in told {
        conn.prepare_cached("DELETE FROM system_events WHERE seq = ?1")
            .and_then(|mut delete| delete.execute([seq.cast_signed()]))
            .map_err(fault)?;
    }
    if let Some(text) = event {
        leave_text(conn, &finish.session, &about, text)?;
    }
    for (session, text) in elsewhere {
        let place = Place { session, is_kept: true, is_remembered: true };
        touch(conn, &place, &about, Cleanup::Keep)?;
        leave_text(conn, session, &about, text)?;
    }
    Ok(())
}

/// Leaves a text of no run for the next turn of a session that is kept. False where the very text waits there already.
pub(super) fn leave_event(
    conn: &Connection,
    session: &SessionRef,
    (agent, job): (&AgentId, &JobId),
    text: &str,
    at: UnixMs,
) -> Result<bool, StoreError> {
    let waits = conn
        .prepare_cached("SELECT 1 FROM system_events WHERE session_id = ?1 AND text = ?2")
        .and_then(|mut select| select.exists(params![session.id.as_bytes(), text]))
        .map_err(fault)?;
    if waits {
        return Ok(false);
    }
    conn.prepare_cached(
        "INSERT INTO sessions (id, key, agent_id, job_id, run_id, cleanup, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, NULL, 0, ?5, ?5) ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            session.id.as_bytes(),
            session.key,
            agent.as_str(),
            job.as_str(),
            At(at)
        ])
    })
    .map_err(fault)?;
    conn.prepare_cached(
        "INSERT INTO system_events (session_id, agent_id, job_id, run_id, at, text) VALUES (?1, ?2, ?3, NULL, ?4, ?5)",
    )
    .and_then(|mut insert| {
        insert.execute(params![session.id.as_bytes(), agent.as_str(), job.as_str(), At(at), text])
    })
    .map_err(fault)?;
    drop_what_is_too_much(conn, session)?;
    Ok(true)
}

/// Leaves a text for the next turn of a session.
fn leave_text(
    conn: &Connection,
    session: &SessionRef,
    about: &About<'_>,
    text: &str,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO system_events (session_id, agent_id, job_id, run_id, at, text) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            session.id.as_bytes(),
            about.agent.as_str(),
            about.job.as_str(),
            about.run.as_bytes(),
            At(about.at),
            text,
        ])
    })
    .map_err(fault)?;
    drop_what_is_too_much(conn, session)
}

/// Drops the oldest of what waits in a session where nobody has come to it for too long.
fn drop_what_is_too_much(conn: &Connection, session: &SessionRef) -> Result<(), StoreError> {
    let waiting: u32 = conn
        .prepare_cached("SELECT waiting FROM sessions WHERE id = ?1")
        .and_then(|mut select| select.query_row([session.id.as_bytes()], |row| row.get(0)))
        .map_err(fault)?;
    if waiting <= MOST_WAITING {
        return Ok(());
    }
    let dropped = conn
        .prepare_cached(
            "DELETE FROM system_events WHERE seq IN \
             (SELECT seq FROM system_events WHERE session_id = ?1 ORDER BY seq LIMIT ?2)",
        )
        .and_then(|mut delete| delete.execute(params![session.id.as_bytes(), rows::int(DROPPED_AT_ONCE)]))
        .map_err(fault)?;
    let key = &session.key;
    tracing::warn!(session = %key, dropped, "system events that nobody came to are dropped, the oldest first");
    Ok(())
}

/// A session that something is written into.
struct Place<'a> {
    session: &'a SessionRef,
    is_kept: bool,
    is_remembered: bool,
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
            "INSERT INTO transcript (session_id, run_id, kept, at, role, text, detail, remembered) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
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
                place.is_remembered,
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

/// What the next turn of a session that is kept is told: whole runs, from the newest back, within the bounds.
pub(super) fn history(
    conn: &Connection,
    session: SessionId,
    entries: usize,
    bytes: usize,
) -> Result<Vec<TranscriptEntry>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT run_id, at, role, text, detail FROM transcript \
             WHERE session_id = ?1 AND kept = 1 AND remembered = 1 ORDER BY seq DESC",
        )
        .map_err(fault)?;
    let mut found = select.query([session.as_bytes()]).map_err(fault)?;
    let (mut tail, mut room) = (Vec::new(), Room { entries, bytes });
    let (mut newest_run, mut of_whole_runs) = (None, 0);
    while let Some(row) = found.next().map_err(fault)? {
        let run = rows::id(row, "run_id", RunId::from_bytes)?;
        if newest_run != Some(run) {
            newest_run = Some(run);
            of_whole_runs = tail.len();
        }
        let entry = entry(row)?;
        if entry.detail == Some(EntryDetail::Thinking) {
            continue;
        }
        if !room.take(&entry) {
            drop(found);
            if of_whole_runs == 0 {
                return spoken(conn, session, run, Room { entries, bytes });
            }
            tail.truncate(of_whole_runs);
            break;
        }
        tail.push(entry);
    }
    tail.reverse();
    Ok(tail)
}

/// What was spoken in one run of a session that is kept, without its tools: the end of it, as far as there is room.
fn spoken(
    conn: &Connection,
    session: SessionId,
    run: RunId,
    mut room: Room,
) -> Result<Vec<TranscriptEntry>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT at, role, text, detail FROM transcript WHERE session_id = ?1 AND kept = 1 AND run_id = ?2 \
             AND detail IS NULL AND role <> 'tool' ORDER BY seq DESC",
        )
        .map_err(fault)?;
    let mut found = select.query(params![session.as_bytes(), run.as_bytes()]).map_err(fault)?;
    let mut tail = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let entry = entry(row)?;
        if !room.take(&entry) {
            break;
        }
        tail.push(entry);
    }
    tail.reverse();
    Ok(tail)
}

/// How much more a history may hold.
#[derive(Debug, Clone, Copy)]
struct Room {
    entries: usize,
    bytes: usize,
}

impl Room {
    /// Takes the room that an entry needs; false where there is too little.
    fn take(&mut self, entry: &TranscriptEntry) -> bool {
        let size = entry.text.len() + entry.detail.as_ref().map_or(0, detail_size);
        if self.entries == 0 || size > self.bytes {
            return false;
        }
        self.entries -= 1;
        self.bytes -= size;
        true
    }
}

fn detail_size(detail: &EntryDetail) -> usize {
    match detail {
        EntryDetail::ToolCall { arguments, .. } => arguments.to_string().len(),
        _ => 0,
    }
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

/// Removes a session in which no run is under way.
pub(super) fn remove(conn: &Connection, id: SessionId) -> Result<SessionRemoved, StoreError> {
    let busy = conn
        .prepare_cached(
            "SELECT id FROM runs WHERE state = 'running' AND session_id = ?1 ORDER BY seq LIMIT 1",
        )
        .and_then(|mut select| {
            select.query_row([id.as_bytes()], |row| Ok(rows::id(row, "id", RunId::from_bytes))).optional()
        })
        .map_err(fault)?
        .transpose()?;
    if let Some(run) = busy {
        return Ok(SessionRemoved::Busy(run));
    }
    let own_of: Option<Option<[u8; 16]>> = conn
        .prepare_cached("SELECT run_id FROM sessions WHERE id = ?1")
        .and_then(|mut select| select.query_row([id.as_bytes()], |row| row.get(0)).optional())
        .map_err(fault)?;
    let Some(own_of) = own_of else { return Ok(SessionRemoved::NotFound) };
    let entries = match own_of {
        Some(run) => conn
            .prepare_cached("DELETE FROM transcript WHERE run_id = ?2 AND session_id = ?1")
            .and_then(|mut delete| delete.execute(params![id.as_bytes(), run])),
        None => conn
            .prepare_cached("DELETE FROM transcript WHERE session_id = ?1 AND kept = 1")
            .and_then(|mut delete| delete.execute([id.as_bytes()])),
    };
    let remove =
        |sql| conn.prepare_cached(sql).and_then(|mut delete| delete.execute([id.as_bytes()])).map_err(fault);
    let events = remove("DELETE FROM system_events WHERE session_id = ?1")?;
    remove("DELETE FROM sessions WHERE id = ?1")?;
    Ok(SessionRemoved::Done { entries: entries.map_err(fault)?, events })
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
