//! A place in a list of jobs, as a text that a client keeps and gives back.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clawhook_model::UnixMs;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{JobOrder, JobSort};

/// No cursor is longer: a name has 200 characters at most.
const LONGEST: usize = 4096;

/// The place right behind one job of a list. It is what the job was ordered by, so it stays where it is when the job
/// moves or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCursor {
    pub(crate) order: JobOrder,
    pub(crate) place: Place,
}

/// What a job is ordered by, and what breaks ties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) key: Key,
    pub(crate) seq: i64,
}

/// What a job is ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Key {
    /// Its next instant.
    At(UnixMs),
    /// It waits for none.
    Never,
    /// Its name.
    Name(String),
}

/// A text that is no cursor of a list of jobs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a place in a list of jobs")]
pub struct NoJobCursor(String);

impl NoJobCursor {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        "give the `nextCursor` of an earlier page as it was, or leave it out to begin with the first page"
    }
}

impl JobCursor {
    /// The order of the list that it is a place of.
    #[must_use]
    pub const fn order(&self) -> JobOrder {
        self.order
    }

    /// Whether a list of this order has such places.
    fn makes_sense(&self) -> bool {
        match self.order.by {
            JobSort::NextRunAt => matches!(self.place.key, Key::At(_) | Key::Never),
            JobSort::UpdatedAt => matches!(self.place.key, Key::At(_)),
            JobSort::Name => matches!(self.place.key, Key::Name(_)),
        }
    }
}

impl fmt::Display for JobCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = serde_json::to_vec(&(self.order, &self.place)).map_err(|_| fmt::Error)?;
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(parts))
    }
}

impl FromStr for JobCursor {
    type Err = NoJobCursor;

    fn from_str(text: &str) -> Result<Self, NoJobCursor> {
        let read = || {
            let parts =
                BASE64_URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= LONGEST)?).ok()?;
            let (order, place) = serde_json::from_slice(&parts).ok()?;
            Some(Self { order, place }).filter(Self::makes_sense)
        };
        read().ok_or_else(|| NoJobCursor(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(by: JobSort, key: Key) -> JobCursor {
        JobCursor { order: JobOrder { by, descending: true }, place: Place { key, seq: 7 } }
    }

    #[test]
    fn a_cursor_survives_as_text() {
        for cursor in [
            cursor(JobSort::NextRunAt, Key::At(UnixMs::EPOCH)),
            cursor(JobSort::NextRunAt, Key::Never),
            cursor(JobSort::UpdatedAt, Key::At(UnixMs::from_millis(-1))),
            cursor(JobSort::Name, Key::Name("\u{1f4a1}".repeat(200))),
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let senseless = cursor(JobSort::Name, Key::Never).to_string();
        let long = cursor(JobSort::Name, Key::Name("n".repeat(LONGEST))).to_string();
        for text in ["", "17", "e30", "\u{e9}", &senseless, &long] {
            assert!(text.parse::<JobCursor>().is_err(), "{text}");
        }
    }
}
