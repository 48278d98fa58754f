//! Lists of sessions, and pages of what was said in one.

use clawhook_model::{AgentId, RunId, SessionId, SessionRef};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::{fault, rows, sessions};
use crate::{
    SessionCursor, SessionFilter, SessionPage, SessionRecord, Spoken, SpokenFilter, SpokenPage, StoreError,
};

const COLUMNS: &str = "seq, id, key, agent_id, job_id, run_id, waiting, created_at, updated_at";

/// How many sessions one page looks at, at most.
const LOOKED_AT: usize = 10_000;

/// A page of sessions, the newest first.
pub(super) fn page(conn: &Connection, filter: &SessionFilter) -> Result<SessionPage, StoreError> {
    let after = filter.after.map_or(i64::MAX, |cursor| cursor.0);
    // Sessions that are kept are few, and have an index of their own; runs' own ones are looked through piece by piece.
    let end = if filter.kept == Some(true) { None } else { end_of_piece(conn, after)? };
    let mut conditions = vec!["seq < ?", "seq >= ?"];
    let mut values: Vec<Value> = vec![after.into(), end.unwrap_or(0).into()];
    if let Some(agent) = &filter.agent {
        conditions.push("agent_id = ?");
        values.push(agent.as_str().to_owned().into());
    }
    if let Some(job) = &filter.job {
        conditions.push("job_id = ?");
        values.push(job.as_str().to_owned().into());
    }
    match filter.kept {
        Some(true) => conditions.push("run_id IS NULL"),
        Some(false) => conditions.push("run_id IS NOT NULL"),
        None => {}
    }
    if let Some(text) = &filter.text {
        conditions.push("instr(key, ?) > 0");
        values.push(text.to_lowercase().into());
    }
    // One more than asked for tells whether there are more.
    values.push(rows::int(filter.limit.saturating_add(1)).into());
    let condition = conditions.join(" AND ");
    let index = if filter.kept == Some(true) { "INDEXED BY sessions_kept" } else { "" };
    let sql = format!("SELECT {COLUMNS} FROM sessions {index} WHERE {condition} ORDER BY seq DESC LIMIT ?");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query(params_from_iter(&values)).map_err(fault)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        rows.push(read(row)?);
    }
    let has_more = rows.len() > filter.limit;
    rows.truncate(filter.limit);
    let last = rows.last().map(|(seq, _)| *seq);
    let next = if has_more { last } else { end };
    let sessions = rows.into_iter().map(|(_, record)| record).collect();
    Ok(SessionPage { sessions, next: next.map(SessionCursor) })
}

/// The last session that a page looks at which begins after `after`, where there are others beyond it.
fn end_of_piece(conn: &Connection, after: i64) -> Result<Option<i64>, StoreError> {
    conn.prepare_cached("SELECT seq FROM sessions WHERE seq < ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2")
        .and_then(|mut select| {
            select.query_row(params![after, rows::int(LOOKED_AT - 1)], |row| row.get(0)).optional()
        })
        .map_err(fault)
}

/// One session.
pub(super) fn get(conn: &Connection, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM sessions WHERE id = ?1"))
        .and_then(|mut select| select.query_row([id.as_bytes()], |row| Ok(read(row))).optional())
        .map_err(fault)?
        .transpose()?;
    Ok(found.map(|(_, record)| record))
}

/// A part of what was said in a session, the oldest first.
pub(super) fn spoken(conn: &Connection, filter: &SpokenFilter) -> Result<SpokenPage, StoreError> {
    let none = SpokenPage { entries: Vec::new(), before: None };
    let Some(record) = get(conn, filter.session)? else { return Ok(none) };
    let (place, own_of) = match record.run_id {
        Some(run) => ("session_id = ?1 AND run_id = ?2", Some(run)),
        None => ("session_id = ?1 AND kept = 1 AND ?2 IS NULL", None),
    };
    let sql = format!(
        "SELECT seq, run_id, remembered, at, role, text, detail FROM transcript WHERE {place} AND seq < ?3 \
         ORDER BY seq DESC LIMIT ?4"
    );
    let before = filter.before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
    let most = rows::int(filter.limit.saturating_add(1));
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let own_of = own_of.as_ref().map(RunId::as_bytes);
    let mut found = select.query(params![filter.session.as_bytes(), own_of, before, most]).map_err(fault)?;
    let mut entries = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let seq: i64 = rows::get(row, "seq")?;
        let run_id = rows::id(row, "run_id", RunId::from_bytes)?;
        let is_remembered = rows::get(row, "remembered")?;
        entries.push((seq, Spoken { run_id, is_remembered, entry: sessions::entry(row)? }));
    }
    let has_more = entries.len() > filter.limit;
    entries.truncate(filter.limit);
    let oldest = entries.last().map(|(seq, _)| seq.cast_unsigned());
    entries.reverse();
    let entries = entries.into_iter().map(|(_, spoken)| spoken).collect();
    Ok(SpokenPage { entries, before: oldest.filter(|_| has_more) })
}

fn read(row: &Row<'_>) -> Result<(i64, SessionRecord), StoreError> {
    let agent: String = rows::get(row, "agent_id")?;
    let record = SessionRecord {
        session: SessionRef { key: rows::get(row, "key")?, id: rows::id(row, "id", SessionId::from_bytes)? },
        agent_id: AgentId::normalise(&agent),
        job_id: rows::job_id(row)?,
        run_id: rows::id_opt(row, "run_id", RunId::from_bytes)?,
        waiting: rows::get(row, "waiting")?,
        created_at: rows::at(row, "created_at")?,
        updated_at: rows::at(row, "updated_at")?,
    };
    Ok((rows::get(row, "seq")?, record))
}
