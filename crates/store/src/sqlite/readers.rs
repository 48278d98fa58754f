//! Reading: a few connections that are opened when first needed, used off the async threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{Connect, fault, opening};
use crate::error::StoreError;
use crate::faults::{Fate, Faults};

/// How many reads go on at once.
const READERS: usize = 4;
/// How many of them may be searches, which look at many rows: they must not keep the timer from reading what is due.
const SEARCHES: usize = 1;

/// The reading connections.
#[derive(Debug)]
pub(super) struct Readers {
    pool: Arc<Pool>,
    /// Where reads are answered while their callers are polled, what befalls them.
    inline: Option<Arc<dyn Faults>>,
}

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    connect: Connect,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    searches: Semaphore,
}

impl Readers {
    /// Readers that answer off the async threads, or, with `inline`, in their callers' hands.
    pub(super) fn new(path: PathBuf, connect: Connect, inline: Option<Arc<dyn Faults>>) -> Self {
        let pool = Pool {
            path,
            connect,
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(READERS),
            searches: Semaphore::new(SEARCHES),
        };
        Self { pool: Arc::new(pool), inline }
    }

    /// As [`Readers::read`], for a query that looks at many rows.
    pub(super) async fn search<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let _turn = self.pool.searches.acquire().await.map_err(|_| StoreError::Closed)?;
        self.read(query).await
    }

    /// Has `query` answered on a connection of its own, from one consistent snapshot.
    pub(super) async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        if let Some(faults) = &self.inline {
            return self.read_inline(faults.as_ref(), query).await;
        }
        let pool = self.pool.clone();
        let _permit = self.pool.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let work = tokio::task::spawn_blocking(move || pool.answer(query));
        work.await.map_err(|error| StoreError::Engine(format!("a read ended early: {error}")))?
    }

    /// Folds the log into the file, as far as nobody reads what is older, without holding up the writer.
    pub(super) async fn fold_log(&self) -> Result<(), StoreError> {
        let fold = |conn: &Connection| {
            // The row says how far it came, which is as far as it could.
            conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(fault)
        };
        let pool = self.pool.clone();
        if self.inline.is_some() {
            return pool.with_connection(fold);
        }
        let _permit = self.pool.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let work = tokio::task::spawn_blocking(move || pool.with_connection(fold));
        work.await.map_err(|error| StoreError::Engine(format!("a read ended early: {error}")))?
    }

    async fn read_inline<T, F>(&self, faults: &dyn Faults, query: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError>,
    {
        faults.wait().await;
        let answer = match faults.read() {
            Fate::Done => self.pool.answer(query),
            Fate::Failed(error) => Err(error),
            Fate::Dead => std::future::pending().await,
        };
        faults.wait().await;
        answer
    }
}

impl Pool {
    fn answer<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.with_connection(|conn| {
            let snapshot = conn.unchecked_transaction().map_err(fault)?;
            query(&snapshot)
        })
    }

    fn with_connection<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => (self.connect)(&self.path).map_err(|error| opening(&self.path, error))?,
        };
        let answer = work(&conn)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        Ok(answer)
    }
}
