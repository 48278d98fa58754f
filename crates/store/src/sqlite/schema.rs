//! The tables, and how they came about: migrations run forward only, each in its own transaction.

use std::path::Path;

use rusqlite::Connection;

use super::fault;
use crate::error::StoreError;

/// Every migration, in order; the store's `user_version` is how many it has had.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_spine.sql")];

/// Brings the store to the newest schema.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fault)?;
    if found > known {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known });
    }
    for (version, sql) in (1i64..).zip(MIGRATIONS).skip_while(|(version, _)| *version <= found) {
        let tx = conn.transaction().map_err(fault)?;
        tx.execute_batch(sql).map_err(fault)?;
        tx.pragma_update(None, "user_version", version).map_err(fault)?;
        tx.commit().map_err(fault)?;
    }
    Ok(())
}
