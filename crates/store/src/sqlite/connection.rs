//! Connections to the store's file.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::fault;
use crate::StoreError;

/// Below this size the whole file is checked when it is opened.
const CHECKED_WHOLE_BELOW: u64 = 32 * 1024 * 1024;
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 96;

/// How connections to the file are opened.
pub(super) type Connect = fn(&Path) -> rusqlite::Result<Connection>;

/// Opens a connection that leaves its changes with the operating system.
pub(super) fn connect_unsynced(path: &Path) -> rusqlite::Result<Connection> {
    let conn = connect(path)?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    Ok(conn)
}

/// Opens a connection with the settings that every connection has.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    // Without it a statement is planned anew whenever a value is bound that the planner might use.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "foreign_keys", "OFF")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    // Negative is KiB: 4 MiB for each connection, taken only as pages are read.
    conn.pragma_update(None, "cache_size", -4096)?;
    Ok(conn)
}

/// Finds damage when the store is opened, while somebody is looking, rather than at three in the morning.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(fault)?;
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    if size >= CHECKED_WHOLE_BELOW {
        return Ok(());
    }
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fault)?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Corrupt(verdict)) }
}
