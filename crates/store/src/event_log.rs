//! Reading the log of events.

use bytes::Bytes;
use clawhook_model::{AgentId, EventId, EventKind, JobId, RunStatus, UnixMs};

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStart {
    /// Behind this number.
    After(u64),
    /// So that the page ends with the newest event.
    Newest,
}

/// Which events are wanted: those that fit every part that is given.
#[derive(Debug, Clone)]
pub struct EventFilter {
    /// Where reading begins.
    pub start: EventStart,
    /// The kinds; all where it is empty.
    pub kinds: Vec<EventKind>,
    /// Only events of this job.
    pub job: Option<JobId>,
    /// Only events of jobs that run as this agent.
    pub agent: Option<AgentId>,
    /// Only events of runs that ended so.
    pub status: Option<RunStatus>,
    /// How many are told at most.
    pub limit: usize,
}

impl EventFilter {
    /// Every event from here on, so many at once.
    pub fn all(start: EventStart, limit: usize) -> Self {
        Self { start, kinds: Vec::new(), job: None, agent: None, status: None, limit }
    }
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its number: the order in which events were written, never used again.
    pub seq: u64,
    /// Its identity.
    pub id: EventId,
    /// What it tells of.
    pub kind: EventKind,
    /// The job that it is about, where it is about one.
    pub job_id: Option<JobId>,
    /// When it happened.
    pub at: UnixMs,
    /// The exact bytes.
    pub body: Bytes,
}

/// Events of the stretch that was asked for which are kept no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventGap {
    /// The number of the last of them.
    pub upto: u64,
    /// How many they are, of whatever kind, where that can be told without reading too much.
    pub missing: Option<u64>,
}

/// A stretch of the log. It is bounded in events, in bytes and in what is looked through for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// What fits, in the order in which it was written.
    pub events: Vec<LoggedEvent>,
    /// Behind this number the next page begins.
    pub next: u64,
    /// The number of the newest event that there ever was.
    pub end: u64,
    /// What of the stretch is kept no more; looked for only where reading begins behind a number.
    pub gap: Option<EventGap>,
}
