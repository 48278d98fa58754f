//! The three kinds of schedule (contract §1.2). When they are due is the `schedule` crate's business.

use serde::{Deserialize, Serialize};

use crate::time::UnixMs;

/// When a job is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Schedule {
    /// Once, at an absolute instant; written as RFC 3339 UTC with milliseconds.
    At {
        /// The instant.
        #[serde(with = "rfc3339")]
        at: UnixMs,
    },
    /// At a fixed interval on the grid of its anchor.
    Every {
        /// The interval in milliseconds, at least 1.
        every_ms: u64,
        /// A point of the grid.
        anchor_ms: UnixMs,
    },
    /// By a cron expression of five or six fields.
    Cron {
        /// The expression, as it was given.
        expr: String,
        /// The IANA zone it is read in; `None` is the zone of the gateway's host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tz: Option<String>,
        /// The window, in milliseconds, over which jobs of one expression are spread; 0 is exact.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stagger_ms: Option<u64>,
    },
}

impl Schedule {
    /// The wire's name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::At { .. } => "at",
            Self::Every { .. } => "every",
            Self::Cron { .. } => "cron",
        }
    }

    /// Whether the job is over after one occurrence.
    pub fn is_one_shot(&self) -> bool {
        matches!(self, Self::At { .. })
    }
}

mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::UnixMs;

    pub(super) fn serialize<S: Serializer>(at: &UnixMs, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixMs, D::Error> {
        let text = String::deserialize(deserializer)?;
        let instant: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(UnixMs::from_millis(instant.as_millisecond()))
    }
}
