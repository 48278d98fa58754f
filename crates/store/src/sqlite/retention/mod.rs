//! Forgetting what is over, in rows.
//!
//! A step is found on a reading connection ([`find()`]), which may take a while, and taken on the writing one ([`remove()`]),
//! which must not. What was found is looked at again there, because a delivery may have been asked for once more meanwhile.
//!
//! What must not go is said once, in [`Kept`].

mod find;
#[cfg(test)]
mod plans;
mod remove;
mod size;

use std::time::Duration;

use clawhook_model::{JobId, UnixMs};
use rusqlite::{Connection, OptionalExtension, params};

pub(super) use self::find::{Found, find};
pub(super) use self::remove::remove;
pub(super) use self::size::{reclaim, size};
use super::fault;
use super::rows::At;
use crate::{Retention, StoreError};

/// How many runs go in one transaction, each with all that belongs to it.
const RUNS_AT_ONCE: usize = 50;
/// How many other rows go in one transaction.
const ROWS_AT_ONCE: usize = 500;
/// For how long a dead delivery can be sent again where history is not bounded by age.
const DEAD_STAY: Duration = Duration::from_hours(7 * 24);

/// What goes in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// Runs, by their rows, with all that belongs to them.
    Runs(Vec<i64>),
    /// Sessions of runs' own, by their rows.
    Sessions(Vec<i64>),
    /// The records of a job's instants up to one.
    Occurrences(JobId, UnixMs),
    /// Events of no run, by their rows.
    Notices(Vec<i64>),
    /// Requests to hooks, by their rows.
    Requests(Vec<i64>),
    /// The bodies and headers of such requests.
    RequestBodies(Vec<i64>),
    /// Replays that are over, by their rows.
    Replays(Vec<i64>),
    /// Entries of sessions that are kept, by their rows.
    Entries(Vec<i64>),
    /// Texts that wait for a turn, by their rows.
    SystemEvents(Vec<i64>),
    /// A session that was kept and is in use no more, by its row.
    Conversation(i64),
    /// What was spent on a day.
    Spending(i32),
}

/// What is kept whatever the rules say, as values for the conditions below.
#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Deliveries that died after this instant.
    dead_since: UnixMs,
    /// The deliveries that a replay still has to look at: those after the first of these rows, up to the second.
    replayed: (i64, i64),
}

impl Kept {
    /// A run (`r`) that may go: it is over and all its deliveries are settled, it is not the one that tells how its job
    /// stands, and nobody has to look at it any more. The newest of all keeps its place in the order taken.
    const RUN_MAY_GO: &str = "r.state = 'finished' AND r.seq < (SELECT max(seq) FROM runs) \
         AND r.id IS NOT (SELECT last_run FROM jobs WHERE id = r.job_id) \
         AND NOT EXISTS (SELECT 1 FROM hook_calls h WHERE h.run_id = r.id AND h.ended_at IS NULL \
         AND h.delivery_id IS NULL) \
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.run_id = r.id AND (d.settled_at IS NULL \
         OR (d.state = 'dead' AND d.settled_at > ?1) OR (d.seq > ?2 AND d.seq <= ?3) \
         OR EXISTS (SELECT 1 FROM ladders l WHERE l.seq = d.ladder AND l.ask_at IS NOT NULL)))";
    /// The same for an event (`e`) of no run.
    const NOTICE_MAY_GO: &str = "e.run_id IS NULL AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.run_id IS NULL \
         AND d.event_seq = e.seq AND (d.settled_at IS NULL OR (d.state = 'dead' AND d.settled_at > ?1) \
         OR (d.seq > ?2 AND d.seq <= ?3) OR EXISTS (SELECT 1 FROM ladders l WHERE l.seq = d.ladder AND l.ask_at IS NOT NULL)))";
    /// A request (`q`) to a hook: what it asked for is over, and forgotten.
    const REQUEST_MAY_GO: &str = "q.completed_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.request IS NOT NULL AND r.request = q.seq) \
         AND NOT EXISTS (SELECT 1 FROM events e WHERE e.seq BETWEEN q.first_event AND q.last_event)";
    /// A session (`s`) of a run's own.
    const SESSION_MAY_GO: &str =
        "NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.run_id = s.run_id AND d.settled_at IS NULL)";

    fn now(conn: &Connection, rules: &Retention, now: UnixMs) -> Result<Self, StoreError> {
        let dead_since = before(now, rules.history_max_age.unwrap_or(DEAD_STAY));
        let replayed = conn
            .prepare_cached("SELECT min(cursor), max(upto) FROM replays WHERE state = 'running'")
            .and_then(|mut select| {
                select.query_row([], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))
            })
            .map_err(fault)?;
        let replayed = replayed.0.zip(replayed.1).unwrap_or((0, 0));
        Ok(Self { dead_since, replayed })
    }
}

fn before(now: UnixMs, age: Duration) -> UnixMs {
    now.plus_millis(-i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

/// The earliest instant of a job that a run which is not over stands for: its record is still to be written to.
fn earliest_open(conn: &Connection, job: &JobId) -> Result<Option<UnixMs>, StoreError> {
    conn.prepare_cached(
        "SELECT min(due_at) FROM (SELECT scheduled_at AS due_at FROM runs WHERE state = 'queued' AND job_id = ?1 \
         UNION ALL SELECT scheduled_at FROM runs WHERE state = 'running' AND job_id = ?1)",
    )
    .and_then(|mut select| select.query_row([job.as_str()], |row| row.get::<_, Option<At>>(0)).optional())
    .map(|found| found.flatten().map(|at| at.0))
    .map_err(fault)
}

/// The job's last record, where there is such a job: it tells where the job stands.
fn last_record(conn: &Connection, job: &JobId) -> Result<Option<UnixMs>, StoreError> {
    conn.prepare_cached(
        "SELECT max(due_at) FROM occurrences WHERE job_id = ?1 AND EXISTS (SELECT 1 FROM jobs WHERE id = ?1)",
    )
    .and_then(|mut select| select.query_row(params![job.as_str()], |row| row.get::<_, Option<At>>(0)))
    .map(|found| found.map(|at| at.0))
    .map_err(fault)
}
