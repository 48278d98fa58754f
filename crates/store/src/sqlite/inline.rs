//! Writing without a thread: each operation is a transaction of its own, applied while its caller is polled.
//!
//! A simulation needs it, because two threads never meet in the same order twice. The SQL and what one transaction holds
//! are those of the writing thread; only the groups are missing, and the disk is what [`Faults`] says.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::fault;
use super::writer::{Raised, Shared};
use crate::error::StoreError;
use crate::faults::{Fate, Faults};

/// The writing connection, in the hands of its callers.
#[derive(Debug)]
pub(super) struct InlineWriter {
    conn: Mutex<Connection>,
    shared: Arc<Shared>,
    faults: Arc<dyn Faults>,
}

/// How an operation ended.
enum End<T> {
    Answered(Result<T, StoreError>),
    /// The process is dead, though some of it still moves: nobody may be told anything.
    Dead,
}

impl InlineWriter {
    pub(super) fn new(conn: Connection, shared: Arc<Shared>, faults: Arc<dyn Faults>) -> Self {
        Self { conn: Mutex::new(conn), shared, faults }
    }

    /// Has `apply` applied and committed, and returns what it returned. Where the process dies it never returns.
    pub(super) async fn write<T, F>(&self, name: &'static str, mut apply: F) -> Result<T, StoreError>
    where
        F: FnMut(&Connection, &mut Raised) -> Result<T, StoreError>,
    {
        self.faults.wait().await;
        match self.commit(name, &mut apply) {
            End::Answered(answer) => {
                self.faults.wait().await;
                answer
            }
            End::Dead => std::future::pending().await,
        }
    }

    fn commit<T, F>(&self, name: &'static str, apply: &mut F) -> End<T>
    where
        F: FnMut(&Connection, &mut Raised) -> Result<T, StoreError>,
    {
        let mut raised = Raised::under(self.shared.alerts());
        let end = self.try_commit(name, apply, &mut raised);
        match &end {
            End::Answered(Ok(_)) => self.shared.committed(raised),
            End::Answered(Err(error)) => self.shared.failed(error),
            End::Dead => {}
        }
        end
    }

    fn try_commit<T, F>(&self, name: &'static str, apply: &mut F, raised: &mut Raised) -> End<T>
    where
        F: FnMut(&Connection, &mut Raised) -> Result<T, StoreError>,
    {
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        // Dropping it undoes what was applied.
        let tx = match conn.unchecked_transaction() {
            Ok(tx) => tx,
            Err(error) => return End::Answered(Err(fault(error))),
        };
        let value = match apply(&tx, raised) {
            Ok(value) => value,
            Err(error) => return End::Answered(Err(error)),
        };
        match self.faults.before_commit(name) {
            Fate::Done => {}
            Fate::Failed(error) => return End::Answered(Err(error)),
            Fate::Dead => return End::Dead,
        }
        if let Err(error) = tx.commit() {
            return End::Answered(Err(fault(error)));
        }
        if self.faults.survives_commit(name) { End::Answered(Ok(value)) } else { End::Dead }
    }
}
