//! Jobs as rows: copies of one that the gateway made, whatever columns it has.

use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::json;

use crate::bench::BenchError;
use crate::bench::gateway::{Gateway, system_event};
use crate::bench::instant::unix_ms;
use crate::bench::receiver::Receiver;

/// The ids of the jobs whose results are sent to the receiver begin so.
pub(super) const SENDING: &str = "sending";
/// And those of the jobs whose results go nowhere.
pub(super) const QUIET: &str = "quiet";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The instants are spread over a year; both numbers are prime, so that neighbours are far from each other.
const SPREAD: i64 = 31_535_999;
const STRIDE: i64 = 7_919;

/// Makes the jobs that are copied, one of each kind.
pub(super) async fn make_templates(gateway: &Gateway, receiver: &Receiver) -> Result<(), BenchError> {
    let sending = system_event(&template(SENDING), &receiver.hook_url());
    let mut quiet = system_event(&template(QUIET), "");
    quiet["delivery"] = json!({ "mode": "none" });
    gateway.make_jobs(vec![sending, quiet]).await.map(drop)
}

/// The name of the job that is copied; it stands in the copies' definitions too.
fn template(kind: &str) -> String {
    format!("template-of-the-{kind}")
}

/// Opens a store that no gateway has open, to write into it.
pub(super) fn open(store: &Path) -> Result<Connection, BenchError> {
    let conn = Connection::open(store)?;
    conn.pragma_update(None, "foreign_keys", "OFF")?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    Ok(conn)
}

/// Puts what was written into the store's own file.
pub(super) fn close(conn: &Connection) -> Result<(), BenchError> {
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Writes so many copies of the job of this kind, each due at an instant of its own of the next year, none of them within a day.
pub(super) fn fill(store: &Path, kind: &str, jobs: usize) -> Result<(), BenchError> {
    let conn = open(store)?;
    let columns = columns_but(&conn, &["seq", "id", "name", "definition", "next_run_at", "updated_at"])?;
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2) \
         INSERT INTO jobs (id, name, definition, next_run_at, updated_at, {columns}) \
         SELECT ?1 || '-' || i, 'report-' || (i * {STRIDE} % ?2), \
         json_set(replace(definition, ?3, 'report-' || (i * {STRIDE} % ?2)), '$.schedule.anchorMs', \
         ?4 + i * {STRIDE} % {SPREAD} * 1000), ?4 + i * {STRIDE} % {SPREAD} * 1000, updated_at - i * {STRIDE} % {SPREAD}, {columns} FROM jobs CROSS JOIN n WHERE name = ?3"
    );
    let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
    conn.execute(&sql, params![kind, jobs, template(kind), unix_ms() + DAY_MS])?;
    close(&conn)
}

/// Makes the jobs of this kind from `first` on due at an instant, one every `apart_ms`.
pub(super) fn make_due(
    conn: &Connection,
    kind: &str,
    first: usize,
    count: usize,
    from_ms: i64,
    apart_ms: i64,
) -> Result<(), BenchError> {
    // What a job waits for has to be what its schedule says.
    let mut update = conn.prepare(
        "UPDATE jobs SET next_run_at = ?2, definition = json_set(definition, '$.schedule.anchorMs', ?2) \
         WHERE id = ?1",
    )?;
    let tx = conn.unchecked_transaction()?;
    for (n, due_ms) in (first..first + count).zip((0..).map(|n| from_ms + n * apart_ms)) {
        update.execute(params![format!("{kind}-{n}"), due_ms])?;
    }
    tx.commit()?;
    Ok(())
}

/// The columns of the jobs without these, as a list for SQL.
fn columns_but(conn: &Connection, left_out: &[&str]) -> Result<String, BenchError> {
    let mut select = conn.prepare("SELECT name FROM pragma_table_info('jobs')")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let kept: Vec<String> = names.into_iter().filter(|name| !left_out.contains(&name.as_str())).collect();
    Ok(kept.join(", "))
}
