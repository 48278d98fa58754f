//! How hard a model is to think before it answers.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A level of thinking, by OpenClaw's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thinking {
    /// Not at all.
    Off,
    /// As little as the model can.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// Very much.
    XHigh,
    /// As much as the model can.
    Max,
}

/// A text is no level of thinking.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no level of thinking: expected off, minimal, low, medium, high, xhigh or max")]
pub struct ThinkingError(pub String);

impl Thinking {
    /// Every level.
    pub const ALL: [Self; 7] =
        [Self::Off, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }
}

impl FromStr for Thinking {
    type Err = ThinkingError;

    fn from_str(text: &str) -> Result<Self, ThinkingError> {
        let wanted = text.trim();
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(wanted))
            .ok_or_else(|| ThinkingError(text.to_owned()))
    }
}

impl fmt::Display for Thinking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
