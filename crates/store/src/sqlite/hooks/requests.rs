//! Requests to hooks in rows.

use bytes::Bytes;
use clawhook_model::{HookRequestId, JobId, RunId, UnixMs};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde_json::Value;

use super::super::fault;
use super::super::rows::{self, At};
use super::runs_of;
use crate::{AcceptHook, HookAccepted, HookKey, HookOutcome, HookRequest, HookRequestFilter, StoreError};

const COLUMNS: &str = "seq, id, job_id, path, received_at, completed_at, outcome, idempotency IS NOT NULL AS has_key, \
                       replay_of, client, answer, headers, length(body) AS body_bytes";

/// Writes a request as it came, and gives its row.
pub(super) fn insert(conn: &Connection, accept: &AcceptHook, now: UnixMs) -> Result<i64, StoreError> {
    let request = &accept.request;
    conn.prepare_cached(
        "INSERT INTO hook_requests (id, job_id, path, received_at, idempotency, asked_for, outcome, replay_of, \
         client, answer, headers, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?7, ?8, ?9, ?10, ?11)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            request.id.as_bytes(),
            accept.job_id.as_str(),
            request.path,
            At(now),
            accept.key.map(|key| key.key),
            accept.key.map(|key| key.work),
            request.replay_of.as_ref().map(HookRequestId::as_bytes),
            request.client,
            request.answer.to_string(),
            request.headers.to_string(),
            &request.body[..],
        ])
    })
    .map_err(fault)?;
    Ok(conn.last_insert_rowid())
}

/// Notes what became of a request. It is over where it has no run.
pub(super) fn settle(
    conn: &Connection,
    request: i64,
    outcome: HookOutcome,
    now: UnixMs,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE hook_requests SET outcome = ?2, \
         completed_at = CASE WHEN EXISTS (SELECT 1 FROM runs WHERE request = ?1) THEN NULL ELSE ?3 END WHERE seq = ?1",
    )
    .and_then(|mut update| update.execute(params![request, outcome.as_str(), At(now)]))
    .map_err(fault)?;
    Ok(())
}

/// Notes an event that a request was made into.
pub(super) fn note_event(conn: &Connection, request: i64, event_seq: i64) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE hook_requests SET first_event = coalesce(first_event, ?2), last_event = ?2 WHERE seq = ?1",
    )
    .and_then(|mut update| update.execute(params![request, event_seq]))
    .map_err(fault)?;
    Ok(())
}

/// What a request of this key comes to, because of one that was made before.
pub(super) fn by_key(conn: &Connection, key: &HookKey) -> Result<Option<HookAccepted>, StoreError> {
    let read = |row: &Row<'_>| -> Result<HookAccepted, StoreError> {
        let request = rows::id(row, "id", HookRequestId::from_bytes)?;
        let asked_for: Vec<u8> = rows::get(row, "asked_for")?;
        Ok(if asked_for == key.work {
            HookAccepted::Repeated { request, answer: json(row, "answer")? }
        } else {
            HookAccepted::KeyReused { request }
        })
    };
    conn.prepare_cached("SELECT id, answer, asked_for FROM hook_requests WHERE idempotency = ?1")
        .and_then(|mut select| select.query_row([key.key], |row| Ok(read(row))).optional())
        .map_err(fault)?
        .transpose()
}

/// A page of requests, the newest first.
pub(in super::super) fn page(
    conn: &Connection,
    filter: &HookRequestFilter,
) -> Result<Vec<HookRequest>, StoreError> {
    let mut conditions = vec!["1"];
    let mut values: Vec<Sql> = Vec::new();
    if let Some(job) = &filter.job_id {
        conditions.push("job_id = ?");
        values.push(job.as_str().to_owned().into());
    }
    match filter.open {
        Some(true) => conditions.push("completed_at IS NULL"),
        Some(false) => conditions.push("completed_at IS NOT NULL"),
        None => {}
    }
    if let Some(before) = &filter.before {
        conditions.push("seq < (SELECT seq FROM hook_requests WHERE id = ?)");
        values.push(before.as_bytes().to_vec().into());
    }
    values.push(rows::int(filter.limit).into());
    let sql = format!(
        "SELECT {COLUMNS} FROM hook_requests WHERE {} ORDER BY seq DESC LIMIT ?",
        conditions.join(" AND ")
    );
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query(params_from_iter(&values)).map_err(fault)?;
    let mut requests = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        requests.push(read(conn, row)?);
    }
    Ok(requests)
}

/// One request, and its bytes.
pub(in super::super) fn get(
    conn: &Connection,
    id: HookRequestId,
) -> Result<Option<(HookRequest, Bytes)>, StoreError> {
    let sql = format!("SELECT {COLUMNS}, body FROM hook_requests WHERE id = ?1");
    conn.prepare_cached(&sql)
        .and_then(|mut select| {
            select
                .query_row([id.as_bytes()], |row| {
                    let body: Vec<u8> = row.get("body")?;
                    Ok(read(conn, row).map(|request| (request, Bytes::from(body))))
                })
                .optional()
        })
        .map_err(fault)?
        .transpose()
}

/// The request that asked for a run.
pub(in super::super) fn of_run(conn: &Connection, run: RunId) -> Result<Option<HookRequest>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM hook_requests WHERE seq = (SELECT request FROM runs WHERE id = ?1)");
    conn.prepare_cached(&sql)
        .and_then(|mut select| select.query_row([run.as_bytes()], |row| Ok(read(conn, row))).optional())
        .map_err(fault)?
        .transpose()
}

fn read(conn: &Connection, row: &Row<'_>) -> Result<HookRequest, StoreError> {
    let job_id: JobId = rows::job_id(row)?;
    Ok(HookRequest {
        id: rows::id(row, "id", HookRequestId::from_bytes)?,
        job_id,
        path: rows::get(row, "path")?,
        received_at: rows::at(row, "received_at")?,
        completed_at: rows::at_opt(row, "completed_at")?,
        outcome: rows::word(row, "outcome", outcome)?,
        has_key: rows::get(row, "has_key")?,
        replay_of: rows::id_opt(row, "replay_of", HookRequestId::from_bytes)?,
        client: rows::get(row, "client")?,
        answer: json(row, "answer")?,
        headers: json(row, "headers")?,
        body_bytes: rows::get::<i64>(row, "body_bytes")?.unsigned_abs(),
        runs: runs_of(conn, rows::get(row, "seq")?)?,
    })
}

fn json(row: &Row<'_>, column: &str) -> Result<Value, StoreError> {
    rows::from_json(&rows::get::<String>(row, column)?, column)
}

fn outcome(text: &str) -> Option<HookOutcome> {
    HookOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == text)
}
