//! The room that the store takes, and giving it back to the disk.

use rusqlite::Connection;

use super::super::fault;
use crate::{StoreError, StoreSize};

/// The room that the store takes.
pub(in super::super) fn size(conn: &Connection) -> Result<StoreSize, StoreError> {
    let page = pragma(conn, "page_size")?;
    Ok(StoreSize { bytes: page * pragma(conn, "page_count")?, free: page * pragma(conn, "freelist_count")? })
}

/// Moves pages from the file's end into its gaps and cuts the end off, `bytes` of it at most. The file on the disk gets
/// shorter when the log is folded into it.
pub(in super::super) fn reclaim(conn: &Connection, bytes: u64) -> Result<StoreSize, StoreError> {
    let pages = bytes / pragma(conn, "page_size")?.max(1);
    if pages > 0 {
        // It gives a row for each page, and stops where nobody reads them.
        let mut vacuum = conn.prepare(&format!("PRAGMA incremental_vacuum({pages})")).map_err(fault)?;
        let mut steps = vacuum.query([]).map_err(fault)?;
        while steps.next().map_err(fault)?.is_some() {}
    }
    size(conn)
}

fn pragma(conn: &Connection, name: &str) -> Result<u64, StoreError> {
    let value: i64 = conn
        .prepare_cached(&format!("PRAGMA {name}"))
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(fault)?;
    Ok(u64::try_from(value).unwrap_or(0))
}
