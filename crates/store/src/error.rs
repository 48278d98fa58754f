//! What can be wrong with a store.

use std::path::PathBuf;

use thiserror::Error;

/// A fault of the store itself. What the domain allows to go wrong (no such job, a lost lease) is no fault but a
/// result of the verb.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Another gateway has the store open.
    #[error("the store `{path}` is in use by another gateway ({holder})")]
    InUse {
        /// The store.
        path: PathBuf,
        /// Who holds it, as far as it says.
        holder: String,
    },
    /// The store was written by a newer version.
    #[error(
        "the store `{path}` has schema version {found}, and this version of clawhook knows up to {known}"
    )]
    TooNew {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// The disk, or the quota, is full.
    #[error("the store cannot be written: the disk is full ({0})")]
    Full(String),
    /// The file or the file system cannot be written.
    #[error("the store cannot be written: it is read-only ({0})")]
    ReadOnly(String),
    /// The file is damaged, or is no store.
    #[error("the store is damaged ({0})")]
    Corrupt(String),
    /// The store's file or folder cannot be opened or made.
    #[error("the store `{path}` cannot be opened: {why}")]
    Open {
        /// The store.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// A row that does not read as what it should be.
    #[error("the store holds a row that cannot be read: {0}")]
    BadRow(String),
    /// The store was closed while the call waited.
    #[error("the store is closed")]
    Closed,
    /// Anything else the engine reports.
    #[error("the store failed: {0}")]
    Engine(String),
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "stop the other gateway, or give this one its own --state-dir",
            Self::TooNew { .. } => "run the newer version, or restore a snapshot from before the upgrade",
            Self::Full(_) => "make room on the disk; what was accepted is kept, and work goes on by itself",
            Self::ReadOnly(_) => {
                "check the owner and mode of the state directory and how its file system is mounted"
            }
            Self::Corrupt(_) => {
                "keep the file, restore a backup of the state directory, or start with a new --state-dir"
            }
            Self::Open { .. } => "check that the state directory exists, is yours and can be written",
            Self::BadRow(_) => "the row is named; the others are not touched. Please report it",
            Self::Closed => "the gateway is shutting down; try again when it is back",
            Self::Engine(_) => "look at the gateway's log; nothing that was accepted is lost",
        }
    }
}
