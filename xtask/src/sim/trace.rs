//! What happened, in order: a digest of all of it, and its last part in words.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use clawhook_model::UnixMs;

use crate::progress::say;

/// How many of the last events are kept in words.
const KEPT: usize = 60;

/// The record of one simulation. Events name jobs and receivers and no ids, so that people can compare them.
#[derive(Debug)]
pub(super) struct Trace {
    /// Whether every event is told as it happens.
    aloud: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    digest: DefaultHasher,
    events: u64,
    last: VecDeque<(UnixMs, String)>,
}

impl Trace {
    pub(super) fn new(aloud: bool) -> Self {
        Self { aloud, state: Mutex::default() }
    }

    /// Notes an event.
    pub(super) fn note(&self, at: UnixMs, event: impl Into<String>) {
        let event = event.into();
        if self.aloud {
            say(format_args!("{at} {event}"));
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (at.as_millis(), &event).hash(&mut state.digest);
        state.events += 1;
        if state.last.len() == KEPT {
            state.last.pop_front();
        }
        state.last.push_back((at, event));
    }

    /// What all events amount to: the same for the same events alone.
    pub(super) fn digest(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).digest.finish()
    }

    /// How many events there were.
    pub(super) fn events(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).events
    }

    /// The last events, a line each.
    pub(super) fn tail(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last.iter().fold(String::new(), |mut text, (at, event)| {
            writeln!(text, "  {at} {event}").ok();
            text
        })
    }
}
