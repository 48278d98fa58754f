//! Reading: a few connections that are opened when first needed, used off the async threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{connect, opening};
use crate::error::StoreError;

/// How many reads go on at once.
const READERS: usize = 4;
/// How many of them may be searches, which look at many rows: they must not keep the timer from reading what is due.
const SEARCHES: usize = 1;

/// The reading connections.
#[derive(Debug)]
pub(super) struct Readers {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    searches: Semaphore,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        let pool = Pool {
            path,
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(READERS),
            searches: Semaphore::new(SEARCHES),
        };
        Self { pool: Arc::new(pool) }
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
        let pool = self.pool.clone();
        let _permit = self.pool.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let work = tokio::task::spawn_blocking(move || pool.answer(query));
        work.await.map_err(|error| StoreError::Engine(format!("a read ended early: {error}")))?
    }
}

impl Pool {
    fn answer<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connect(&self.path).map_err(|error| opening(&self.path, error))?,
        };
        let answer = {
            let snapshot = conn.unchecked_transaction().map_err(super::fault)?;
            query(&snapshot)?
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        Ok(answer)
    }
}
