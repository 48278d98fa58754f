//! Taking away what was found, and all that belongs to it.

use clawhook_model::{JobId, RunId, SessionId, UnixMs};
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::super::rows::{At, IdBytes};
use super::super::{event_log, fault, ledger};
use super::{Kept, Work, earliest_open, last_record};
use crate::{PrunedRows, Retention, StoreError};

/// Takes away what was found, as far as it may still go.
pub(in super::super) fn remove(
    conn: &Connection,
    work: &Work,
    rules: &Retention,
    now: UnixMs,
) -> Result<PrunedRows, StoreError> {
    let kept = Kept::now(conn, rules, now)?;
    let mut gone = PrunedRows::default();
    let mut last_event = None;
    match work {
        Work::Runs(rows) => {
            rows.iter().try_for_each(|seq| run(conn, kept, *seq, &mut gone, &mut last_event))?;
        }
        Work::Sessions(rows) => rows.iter().try_for_each(|row| session(conn, *row, &mut gone))?,
        Work::Occurrences(job, upto) => gone.occurrences += occurrences(conn, job, *upto, now)?,
        Work::Notices(rows) => {
            rows.iter().try_for_each(|seq| notice(conn, kept, *seq, &mut gone, &mut last_event))?;
        }
        Work::Requests(rows) => {
            let sql = format!("DELETE FROM hook_requests AS q WHERE q.seq = ?1 AND {}", Kept::REQUEST_MAY_GO);
            gone.hook_requests += each(conn, &sql, rows)?;
        }
        Work::RequestBodies(rows) => {
            each(conn, "UPDATE hook_requests SET body = x'', headers = 'null' WHERE seq = ?1", rows)?;
        }
        Work::Replays(rows) => gone.replays += each(conn, "DELETE FROM replays WHERE seq = ?1", rows)?,
        Work::Entries(rows) => gone.entries += each(conn, "DELETE FROM transcript WHERE seq = ?1", rows)?,
        Work::SystemEvents(rows) => {
            gone.system_events += each(conn, "DELETE FROM system_events WHERE seq = ?1", rows)?;
        }
        Work::Conversation(row) => {
            gone.sessions += delete(conn, "DELETE FROM sessions WHERE rowid = ?1 AND run_id IS NULL", [row])?;
        }
        Work::Spending(day) => {
            gone.spending += delete(conn, "DELETE FROM spending WHERE day = ?1", [day])?;
            delete(conn, "DELETE FROM spending_days WHERE day = ?1", [day])?;
        }
    }
    event_log::forget_upto(conn, last_event)?;
    Ok(gone)
}

/// A run goes whole: its event, deliveries, attempts, and its own session with what was said in it. What it said in a
/// session that goes on belongs to that one.
fn run(
    conn: &Connection,
    kept: Kept,
    seq: i64,
    gone: &mut PrunedRows,
    last_event: &mut Option<i64>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT r.id, r.session_id FROM runs r WHERE r.seq = ?4 AND {}", Kept::RUN_MAY_GO);
    let found = conn
        .prepare_cached(&sql)
        .and_then(|mut select| {
            select
                .query_row(params![At(kept.dead_since), kept.replayed.0, kept.replayed.1, seq], |row| {
                    Ok((row.get::<_, IdBytes>(0)?, row.get::<_, IdBytes>(1)?))
                })
                .optional()
        })
        .map_err(fault)?;
    let Some((run, session)) = found else { return Ok(()) };
    let (run, session) = (RunId::from_bytes(run.0), SessionId::from_bytes(session.0));
    let id = run.as_bytes();
    let last: Option<i64> = conn
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq FROM events WHERE run_id = ?1 AND run_id IS NOT NULL \
             UNION ALL SELECT begun_seq FROM runs WHERE id = ?1)",
        )
        .and_then(|mut select| select.query_row([id], |row| row.get(0)))
        .map_err(fault)?;
    *last_event = (*last_event).max(last);
    let attempts =
        "DELETE FROM attempts WHERE delivery_seq IN (SELECT seq FROM deliveries WHERE run_id = ?1)";
    gone.attempts += delete(conn, attempts, [id])?;
    gone.deliveries += delete(conn, "DELETE FROM deliveries WHERE run_id = ?1", [id])?;
    gone.events += delete(conn, "DELETE FROM events WHERE run_id = ?1 AND run_id IS NOT NULL", [id])?;
    gone.entries += delete(conn, "DELETE FROM transcript WHERE run_id = ?1 AND kept = 0", [id])?;
    let own = "DELETE FROM sessions WHERE id = ?1 AND run_id = ?2";
    gone.sessions += delete(conn, own, params![session.as_bytes(), id])?;
    delete(conn, "DELETE FROM hook_calls WHERE run_id = ?1", [id])?;
    gone.runs += delete(conn, "DELETE FROM runs WHERE seq = ?1", [seq])?;
    Ok(())
}

fn session(conn: &Connection, row: i64, gone: &mut PrunedRows) -> Result<(), StoreError> {
    let sql = format!("SELECT s.run_id FROM sessions s WHERE s.rowid = ?1 AND {}", Kept::SESSION_MAY_GO);
    let run: Option<Option<IdBytes>> = conn
        .prepare_cached(&sql)
        .and_then(|mut select| select.query_row([row], |row| row.get(0)).optional())
        .map_err(fault)?;
    let Some(Some(IdBytes(run))) = run else { return Ok(()) };
    gone.entries += delete(conn, "DELETE FROM transcript WHERE run_id = ?1 AND kept = 0", [run])?;
    gone.sessions += delete(conn, "DELETE FROM sessions WHERE rowid = ?1", [row])?;
    Ok(())
}

fn notice(
    conn: &Connection,
    kept: Kept,
    seq: i64,
    gone: &mut PrunedRows,
    last_event: &mut Option<i64>,
) -> Result<(), StoreError> {
    let sql = format!("SELECT 1 FROM events e WHERE e.seq = ?4 AND {}", Kept::NOTICE_MAY_GO);
    let may_go = conn
        .prepare_cached(&sql)
        .and_then(|mut select| {
            select.exists(params![At(kept.dead_since), kept.replayed.0, kept.replayed.1, seq])
        })
        .map_err(fault)?;
    if !may_go {
        return Ok(());
    }
    *last_event = (*last_event).max(Some(seq));
    let attempts = "DELETE FROM attempts WHERE delivery_seq IN (SELECT seq FROM deliveries WHERE run_id IS NULL \
                    AND event_seq = ?1)";
    gone.attempts += delete(conn, attempts, [seq])?;
    let deliveries = "DELETE FROM deliveries WHERE run_id IS NULL AND event_seq = ?1";
    gone.deliveries += delete(conn, deliveries, [seq])?;
    gone.events += delete(conn, "DELETE FROM events WHERE seq = ?1", [seq])?;
    Ok(())
}

/// Forgets the records of a job's instants, and raises the floor of its ledger with them, so that none of those instants
/// can ever be claimed again (invariants 1 and 2).
fn occurrences(conn: &Connection, job: &JobId, upto: UnixMs, now: UnixMs) -> Result<u64, StoreError> {
    let is_in_use = |first_kept: Option<UnixMs>| first_kept.is_some_and(|first| first <= upto);
    if is_in_use(earliest_open(conn, job)?) || is_in_use(last_record(conn, job)?) {
        return Ok(0);
    }
    ledger::floor(conn, job, now)?.raise(conn, job, upto)?;
    let sql = "DELETE FROM occurrences WHERE job_id = ?1 AND due_at <= ?2";
    delete(conn, sql, params![job.as_str(), At(upto)])
}

fn each(conn: &Connection, sql: &str, rows: &[i64]) -> Result<u64, StoreError> {
    rows.iter().map(|row| delete(conn, sql, [row])).sum()
}

fn delete(conn: &Connection, sql: &str, values: impl Params) -> Result<u64, StoreError> {
    let gone = conn.prepare_cached(sql).and_then(|mut delete| delete.execute(values)).map_err(fault)?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
