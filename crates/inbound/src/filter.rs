//! Which requests a hook wants.

use std::fmt;

use regex::{Regex, RegexBuilder};
use thiserror::Error;

use crate::template::{Context, Lookup};

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4 * 1024;
/// The most that a compiled pattern may take.
const MAX_COMPILED_BYTES: usize = 256 * 1024;

/// A rule about one value of a request.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Where the value stands. What is not there is an empty text.
    pub value: Lookup,
    /// What must hold of it.
    pub test: FilterTest,
}

/// What must hold of a value.
#[derive(Debug, Clone)]
pub enum FilterTest {
    /// It is one of these.
    Is(Vec<String>),
    /// It is none of these.
    IsNot(Vec<String>),
    /// The pattern is found in it.
    Matches(Regex),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FilterError {
    /// It cannot be read, or would take too much.
    #[error("is not a regular expression: {0}")]
    Pattern(String),
    /// Too long.
    #[error("is larger than {MAX_PATTERN_BYTES} bytes")]
    TooLarge,
}

impl FilterTest {
    /// That a pattern is found. Its work grows with the text alone, whatever the pattern.
    pub fn matches(pattern: &str) -> Result<Self, FilterError> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(FilterError::TooLarge);
        }
        let built = RegexBuilder::new(pattern)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_COMPILED_BYTES)
            .build();
        built.map(Self::Matches).map_err(|error| FilterError::Pattern(last_line(&error)))
    }
}

/// The reason, without the picture of the pattern that stands above it.
fn last_line(error: &impl fmt::Display) -> String {
    let told = error.to_string();
    told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

impl Filter {
    pub(crate) fn lets_through(&self, context: &Context<'_>) -> bool {
        let (text, _) = self.value.text(context);
        match &self.test {
            FilterTest::Is(texts) => texts.iter().any(|one| *one == text),
            FilterTest::IsNot(texts) => texts.iter().all(|one| *one != text),
            FilterTest::Matches(pattern) => pattern.is_match(&text),
        }
    }
}
