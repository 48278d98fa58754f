//! Whether anything is sent to a destination, and if not, why.

use serde::{Deserialize, Serialize};

use crate::time::UnixMs;

/// Whether anything is sent to a destination. What waits for it is kept in every standing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// Deliveries are sent.
    #[default]
    Active,
    /// Nothing is sent until it is resumed, by a person or because the reason is gone.
    Paused(Halt),
    /// Nothing is sent until a person resumes it.
    Disabled(Halt),
}

/// Why and since when nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// The kind of reason.
    pub reason: HaltReason,
    /// The reason in words, without secrets.
    pub detail: String,
    /// Since when.
    pub since: UnixMs,
}

/// The kinds of reason for which nothing is sent to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltReason {
    /// A person paused it.
    ByHand,
    /// The receiver answered 410: it wants no more.
    Gone,
    /// No attempt has succeeded for a long time.
    Failing,
    /// One of its secrets cannot be read.
    Secret,
    /// Its body cannot be made, or it cannot be connected to as it is defined.
    Definition,
}

impl HaltReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::ByHand, Self::Gone, Self::Failing, Self::Secret, Self::Definition];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::Secret => "secret",
            Self::Definition => "definition",
        }
    }
}

impl Standing {
    /// The wire's name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused(_) => "paused",
            Self::Disabled(_) => "disabled",
        }
    }

    /// Why nothing is sent; none while it is.
    pub fn halt(&self) -> Option<&Halt> {
        match self {
            Self::Active => None,
            Self::Paused(halt) | Self::Disabled(halt) => Some(halt),
        }
    }
}
