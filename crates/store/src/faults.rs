//! What befalls a store that works inline: whoever simulates a gateway decides how its disk behaves.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::StoreError;

/// What befalls the operations of a store that was opened with
/// [`SqliteStore::open_inline`](crate::sqlite::SqliteStore::open_inline).
#[async_trait]
pub trait Faults: Debug + Send + Sync + 'static {
    /// How long the disk takes. It is waited for before each operation's work, and again before its answer.
    async fn wait(&self);

    /// What befalls a read.
    fn read(&self) -> Fate;

    /// What befalls a write whose changes are made and not committed.
    fn before_commit(&self, operation: &'static str) -> Fate;

    /// Whether the process lives on after the commit of a write of which nobody has been told.
    fn survives_commit(&self, operation: &'static str) -> bool;
}

/// What befalls an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It fails and changes nothing.
    Failed(StoreError),
    /// The process dies: it changes nothing, and nobody is ever told.
    Dead,
}
