//! The kinds of schedule (contract §1.2). When they are due is the `schedule` crate's business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::UnixMs;

/// How much of a text that is no rule an error repeats.
const LONGEST_EXCERPT: usize = 40;

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
        /// What becomes of civil times that the clocks skip or repeat.
        #[serde(default, skip_serializing_if = "DstRule::is_default")]
        dst: DstRule,
    },
    /// Never by the clock: when something asks for it. Clients make those that other jobs begin; others are the gateway's.
    Event {
        /// What asks: `job`, or for example `hook.deploys`.
        source: String,
    },
}

/// What becomes of a cron schedule's civil times that the clocks skip (a gap) or go through twice (a fold).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DstRule {
    /// As in OpenClaw: a fixed time is due at the gap's end and in the fold's first pass; any other expression is not
    /// due in a gap and due in both passes.
    #[default]
    OpenClaw,
    /// What does not exist is not due; what comes twice is due in its first pass.
    Skip,
    /// Each civil time is due exactly once: at the gap's end, or in the fold's first pass.
    Once,
}

impl DstRule {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OpenClaw, Self::Skip, Self::Once];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenClaw => "openclaw",
            Self::Skip => "skip",
            Self::Once => "once",
        }
    }

    /// Whether it is what a schedule that names none has.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for DstRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is none of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not openclaw, skip or once")]
pub struct DstRuleError(String);

impl FromStr for DstRule {
    type Err = DstRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = text.trim();
        Self::ALL
            .into_iter()
            .find(|rule| rule.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| DstRuleError(text.chars().take(LONGEST_EXCERPT).collect()))
    }
}

impl Schedule {
    /// The source of a schedule that only the ends of other jobs begin.
    pub const BY_JOBS: &str = "job";

    /// Whether requests to the gateway begin the job, and neither the clock nor other jobs.
    pub fn is_by_requests(&self) -> bool {
        matches!(self, Self::Event { source } if source != Self::BY_JOBS)
    }

    /// The wire's name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::At { .. } => "at",
            Self::Every { .. } => "every",
            Self::Cron { .. } => "cron",
            Self::Event { .. } => "event",
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
