//! What the reaper takes away is put aside, so that at the end everything can be held against the promises as if nothing
//! had been forgotten.
//!
//! Triggers in the store's file copy each row that goes. At the end the rows are put back; one that cannot be, because
//! its instant has got a record since, is a promise that was broken.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

/// The tables that are looked at in the end, and whether their rows' numbers tell an order.
const TABLES: [(&str, bool); 4] =
    [("runs", true), ("occurrences", true), ("events", false), ("deliveries", false)];

/// Has everything put aside that goes from now on, in a store that has its tables.
pub(super) fn begin(store: &Path) -> rusqlite::Result<()> {
    let conn = Connection::open(store)?;
    let is_begun = conn
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'gone_runs'", [], |_| Ok(()))
        .optional()?
        .is_some();
    if is_begun {
        return Ok(());
    }
    for (table, _) in TABLES {
        let columns = columns(&conn, table)?;
        let gone: Vec<String> = columns.iter().map(|column| format!("OLD.{column}")).collect();
        conn.execute_batch(&format!(
            "CREATE TABLE gone_{table} AS SELECT * FROM {table} WHERE 0; \
             CREATE TRIGGER {table}_go AFTER DELETE ON {table} BEGIN INSERT INTO gone_{table} ({}) VALUES ({}); END;",
            columns.join(", "),
            gone.join(", ")
        ))?;
    }
    Ok(())
}

/// Puts back what went, and tells what should not have gone.
pub(super) fn put_back(store: &Path) -> rusqlite::Result<Vec<String>> {
    let mut conn = Connection::open(store)?;
    conn.pragma_update(None, "foreign_keys", "OFF")?;
    let broken = broken_by_what_went(&conn)?;
    if !broken.is_empty() {
        return Ok(broken);
    }
    let tx = conn.transaction()?;
    for (table, is_ordered) in TABLES {
        let columns: Vec<String> =
            columns(&tx, table)?.into_iter().filter(|column| is_ordered || column != "seq").collect();
        let columns = columns.join(", ");
        tx.execute(&format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM gone_{table}"), [])?;
    }
    tx.commit()?;
    Ok(Vec::new())
}

fn broken_by_what_went(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let each = [
        (
            "SELECT job_id || ' at ' || due_at FROM gone_occurrences GROUP BY job_id, due_at HAVING count(*) > 1",
            "i01: a record was made anew after it had been forgotten, and forgotten again",
        ),
        (
            "SELECT job_id || ' at ' || due_at FROM gone_occurrences JOIN occurrences USING (job_id, due_at)",
            "i01: a record was made anew after it had been forgotten",
        ),
        ("SELECT hex(id) FROM gone_runs WHERE state <> 'finished'", "a run was forgotten that was not over"),
        (
            "SELECT hex(id) FROM gone_deliveries WHERE settled_at IS NULL",
            "i04: an open delivery was forgotten",
        ),
        (
            "SELECT hex(d.id) FROM deliveries d JOIN gone_runs r ON r.id = d.run_id",
            "a run was forgotten without its deliveries",
        ),
        (
            "SELECT id FROM jobs WHERE last_run IN (SELECT id FROM gone_runs)",
            "the last run of a job was forgotten",
        ),
    ];
    let mut broken = Vec::new();
    for (sql, what) in each {
        let found: Option<String> = conn.query_row(sql, [], |row| row.get(0)).optional()?;
        broken.extend(found.map(|which| format!("{what}: {which}")));
    }
    Ok(broken)
}

fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut select = conn.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = select.query_map([table], |row| row.get(0))?;
    names.collect()
}
