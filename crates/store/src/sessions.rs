//! Asking for sessions, and what was said in them.

use std::fmt;
use std::str::FromStr;

use clawhook_model::{AgentId, JobId, RunId, SessionId, SessionRef, TranscriptEntry, UnixMs};
use thiserror::Error;

/// Which sessions; the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Only sessions of this agent.
    pub agent: Option<AgentId>,
    /// Only sessions in which this job ran last.
    pub job: Option<JobId>,
    /// Only sessions that are kept (`true`), or that are one run's own (`false`).
    pub kept: Option<bool>,
    /// Only sessions whose key holds this text, whatever its case.
    pub text: Option<String>,
    /// Only sessions behind this place.
    pub after: Option<SessionCursor>,
    /// How many at most.
    pub limit: usize,
}

/// A place in the list of sessions, right behind one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCursor(pub(crate) i64);

/// A text that is no place in the list of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a place in the list of sessions")]
pub struct NoSessionCursor(String);

impl NoSessionCursor {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        "give the `nextCursor` of an earlier page as it was, or leave it out to begin with the first page"
    }
}

impl fmt::Display for SessionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl FromStr for SessionCursor {
    type Err = NoSessionCursor;

    fn from_str(text: &str) -> Result<Self, NoSessionCursor> {
        let place = text.strip_prefix('s').and_then(|place| place.parse().ok()).filter(|place| *place > 0);
        place.map(Self).ok_or_else(|| NoSessionCursor(text.chars().take(100).collect()))
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its key and its id.
    pub session: SessionRef,
    /// Whose it is.
    pub agent_id: AgentId,
    /// The job that ran in it last.
    pub job_id: JobId,
    /// The run whose own it is; none where it is kept.
    pub run_id: Option<RunId>,
    /// How many system events wait for its next turn.
    pub waiting: u32,
    /// When it began.
    pub created_at: UnixMs,
    /// When something was last said or left in it.
    pub updated_at: UnixMs,
}

/// A page of sessions.
#[derive(Debug, Clone)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionRecord>,
    /// Where the next page begins, unless this is the last one. A search that has looked at as many sessions as one page
    /// may ends early, perhaps with nothing found, and goes on from here.
    pub next: Option<SessionCursor>,
}

/// Which part of what was said in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpokenFilter {
    /// Where.
    pub session: SessionId,
    /// Only what was said before this place; without it, the end of it all.
    pub before: Option<u64>,
    /// How many entries at most.
    pub limit: usize,
}

/// A part of what was said in a session.
#[derive(Debug, Clone)]
pub struct SpokenPage {
    /// The entries, the oldest first.
    pub entries: Vec<Spoken>,
    /// The place before which older entries are; none where there are none.
    pub before: Option<u64>,
}

/// One thing that was said in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// The run in which it was said.
    pub run_id: RunId,
    /// Whether later turns are told of it, where the session is kept.
    pub is_remembered: bool,
    /// What was said.
    pub entry: TranscriptEntry,
}

/// What came of removing a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRemoved {
    /// It is gone, with what was said in it and what waited in it.
    Done {
        /// How many entries of a transcript went.
        entries: usize,
        /// How many system events went, untold.
        events: usize,
    },
    /// This run is under way in it; nothing was changed.
    Busy(RunId),
    /// There is no such session.
    NotFound,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_as_text_and_what_is_none_is_refused() {
        assert_eq!(SessionCursor(7).to_string().parse(), Ok(SessionCursor(7)));
        for text in ["", "7", "s", "s-1", "s0", "sx", "\u{e9}"] {
            assert!(text.parse::<SessionCursor>().is_err(), "{text}");
        }
    }
}
