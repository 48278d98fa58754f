//! The store as a death left it, read from a copy: the gateway itself must be the first to open the original.

use std::path::Path;

use clawhook_model::{EventId, RunId, UnixMs};
use rusqlite::{Connection, Row};
use serde_json::Value;

use super::gateway::Place;

/// Why the store could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreCopyError {
    #[error("the store can't be copied")]
    Copy(#[from] std::io::Error),
    #[error("the store can't be read")]
    Read(#[from] rusqlite::Error),
}

/// What must hold after every commit, and so after every death: each promise with the rows that break it.
const NEVER_HALF_DONE: [(&str, &str); 19] = [
    (
        "a finished run has exactly one event",
        "SELECT count(*) FROM runs r LEFT JOIN (SELECT run_id, count(*) n FROM events \
         WHERE kind = 'run.finished' GROUP BY run_id) e \
         ON e.run_id = r.id WHERE r.state = 'finished' AND coalesce(e.n, 0) <> 1",
    ),
    (
        "a finished run has exactly one delivery that its job asked for",
        "SELECT count(*) FROM runs r WHERE r.state = 'finished' \
         AND (SELECT count(*) FROM deliveries d WHERE d.run_id = r.id AND d.required) <> 1",
    ),
    (
        "only a finished run is told of as finished",
        "SELECT count(*) FROM events WHERE kind = 'run.finished' AND run_id NOT IN (SELECT id FROM runs WHERE state = 'finished')",
    ),
    (
        "an occurrence that ran has its run",
        "SELECT count(*) FROM occurrences o WHERE o.outcome = 'ran' AND NOT EXISTS \
         (SELECT 1 FROM runs r WHERE r.id = o.run_id AND r.job_id = o.job_id AND r.scheduled_at = o.due_at)",
    ),
    (
        "an occurrence that did not run has a reason, and no run but one that was not executed",
        "SELECT count(*) FROM occurrences o WHERE o.outcome <> 'ran' AND (o.reason IS NULL OR o.run_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = o.run_id AND r.status = 'skipped'))",
    ),
    (
        "a run belongs to one occurrence at most",
        "SELECT count(*) FROM (SELECT 1 FROM occurrences WHERE run_id IS NOT NULL GROUP BY run_id HAVING count(*) > 1)",
    ),
    (
        "a run that was not asked for by hand has its occurrence",
        "SELECT count(*) FROM runs r WHERE r.trigger <> 'manual' AND NOT EXISTS \
         (SELECT 1 FROM occurrences o WHERE o.job_id = r.job_id AND o.due_at = r.scheduled_at)",
    ),
    (
        "the instant that a job waits for lies after all that have their record",
        "SELECT count(*) FROM jobs j WHERE next_run_at IS NOT NULL \
         AND next_run_at <= (SELECT max(due_at) FROM occurrences o WHERE o.job_id = j.id)",
    ),
    (
        "a run that is not over has its job",
        "SELECT count(*) FROM runs r WHERE r.state <> 'finished' \
         AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id)",
    ),
    (
        "a job counts its runs that are not over, no more and no less",
        "SELECT count(*) FROM jobs j \
         WHERE j.running <> (SELECT count(*) FROM runs r WHERE r.job_id = j.id AND r.state = 'running') \
         OR j.waiting <> (SELECT count(*) FROM runs r WHERE r.job_id = j.id AND r.state = 'queued')",
    ),
    (
        "of the runs of a job that does not let them overlap one is under way at most",
        "SELECT count(*) FROM jobs WHERE enabled AND running > 1 \
         AND coalesce(definition ->> '$.overlap.policy', 'skip') <> 'allowAll'",
    ),
    (
        "a run that waits for another has one to wait for",
        "SELECT count(*) FROM runs r WHERE r.state = 'queued' AND r.ready_at IS NULL AND NOT EXISTS \
         (SELECT 1 FROM runs o WHERE o.job_id = r.job_id \
         AND (o.state = 'running' OR o.state = 'queued' AND o.ready_at IS NOT NULL))",
    ),
    (
        "each attempt that is over has its record",
        "SELECT count(*) FROM deliveries d WHERE d.attempts - (d.state = 'leased') <> \
         (SELECT count(*) FROM attempts a WHERE a.delivery_seq = d.seq)",
    ),
    (
        "a delivery has a time exactly while it waits, and a lease exactly while it is tried",
        "SELECT count(*) FROM deliveries WHERE (state IN ('pending', 'waiting')) <> (next_at IS NOT NULL) \
         OR (state = 'leased') <> (lease IS NOT NULL) OR (state = 'leased') <> (lease_until IS NOT NULL)",
    ),
    (
        "no delivery is given up or left out",
        "SELECT count(*) FROM deliveries WHERE state NOT IN ('pending', 'waiting', 'leased', 'delivered', 'cancelled')",
    ),
    (
        "an event is carried to a destination by one delivery",
        "SELECT count(*) FROM (SELECT 1 FROM deliveries GROUP BY event_seq, destination HAVING count(*) > 1)",
    ),
    (
        "a replay has queued as many deliveries as it says",
        "SELECT count(*) FROM replays r WHERE r.destination IS NOT NULL \
         AND r.done <> (SELECT count(*) FROM deliveries d WHERE d.replay = r.seq)",
    ),
    (
        "a replay is done exactly when it has gone through all that it found",
        "SELECT count(*) FROM replays WHERE state = 'done' AND (cursor < upto OR done + skipped <> matched) \
         OR state = 'running' AND cursor >= upto AND upto > 0",
    ),
    (
        "a replay is over exactly since the instant that it says",
        "SELECT count(*) FROM replays WHERE (state = 'running') <> (ended_at IS NULL)",
    ),
];

/// Where a destination lies.
const URL: &str = "CASE t.kind WHEN 'named' THEN t.definition ->> 'url' ELSE t.key END";

/// A copy of the store.
#[derive(Debug)]
pub(super) struct StoreCopy {
    conn: Connection,
}

/// A delivery that was open when the gateway died.
#[derive(Debug, Clone)]
pub(super) struct OpenDelivery {
    pub(super) event_id: String,
    pub(super) path: String,
    /// When it is due; one that was being tried is due at once.
    pub(super) due_at: UnixMs,
}

/// A run as it was written down.
#[derive(Debug, Clone)]
pub(super) struct RunRow {
    pub(super) id: String,
    pub(super) job_id: String,
    pub(super) job_name: String,
    pub(super) trigger: String,
    pub(super) scheduled_at: Option<i64>,
    pub(super) state: String,
    pub(super) started_at: Option<UnixMs>,
    pub(super) status: Option<String>,
    pub(super) outcome: Value,
}

/// An event with one of its deliveries: there is one for the run itself, and one for each replay.
#[derive(Debug, Clone)]
pub(super) struct EventRow {
    pub(super) id: String,
    /// Where it is carried to.
    pub(super) path: String,
    /// Whether the run's job asked for it.
    pub(super) required: bool,
    pub(super) run_id: String,
    pub(super) body: Vec<u8>,
    pub(super) state: String,
    pub(super) attempts: u32,
}

/// An attempt of which nobody knows how it went.
#[derive(Debug, Clone)]
pub(super) struct InterruptedAttempt {
    pub(super) event_id: String,
    pub(super) number: u32,
    pub(super) begun_at: UnixMs,
    /// When it was found to be interrupted.
    pub(super) voided_at: UnixMs,
}

/// What became of a due instant.
#[derive(Debug, Clone)]
pub(super) struct OccurrenceRow {
    pub(super) job_id: String,
    pub(super) due_at: UnixMs,
    pub(super) outcome: String,
}

impl StoreCopy {
    /// Copies the store of a gateway that is dead.
    pub(super) fn take(place: &Place) -> Result<Self, StoreCopyError> {
        let copy = place.folder.join("copy.db");
        for suffix in ["", "-wal", "-shm"] {
            let (from, to) = (with_suffix(&place.store(), suffix), with_suffix(&copy, suffix));
            if to.exists() {
                std::fs::remove_file(&to)?;
            }
            // The shared memory is an index of the log that a dead process may have left half-written.
            if suffix != "-shm" && from.exists() {
                std::fs::copy(&from, &to)?;
            }
        }
        Ok(Self { conn: Connection::open(&copy)? })
    }

    /// The promises that do not hold, in words.
    pub(super) fn broken_promises(&self) -> Result<Vec<String>, StoreCopyError> {
        let mut broken = Vec::new();
        let verdict: String = self.conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            broken.push(format!("the store is damaged: {verdict}"));
        }
        for (promise, breaking) in NEVER_HALF_DONE {
            let count: i64 = self.conn.query_row(breaking, [], |row| row.get(0))?;
            if count > 0 {
                broken.push(format!("{promise}; but {count} in the store do not keep to that"));
            }
        }
        Ok(broken)
    }

    /// Deliveries that wait or were being tried.
    pub(super) fn open_deliveries(&self) -> Result<Vec<OpenDelivery>, StoreCopyError> {
        let sql = format!(
            "SELECT d.event_id, coalesce(d.next_at, 0), {URL} FROM deliveries d \
             JOIN destinations t ON t.seq = d.destination WHERE d.state IN ('pending', 'waiting', 'leased')"
        );
        self.rows(&sql, |row| {
            let due_at = UnixMs::from_millis(row.get(1)?);
            let event_id = EventId::from_bytes(row.get(0)?).to_string();
            Ok(OpenDelivery { event_id, path: path_of(&row.get::<_, String>(2)?), due_at })
        })
    }

    pub(super) fn runs(&self) -> Result<Vec<RunRow>, StoreCopyError> {
        let sql = "SELECT id, job_id, job_name, trigger, scheduled_at, state, started_at, status, outcome FROM runs \
                   ORDER BY started_at, seq";
        self.rows(sql, |row| {
            let outcome: Option<String> = row.get(8)?;
            Ok(RunRow {
                id: RunId::from_bytes(row.get(0)?).to_string(),
                job_id: row.get(1)?,
                job_name: row.get(2)?,
                trigger: row.get(3)?,
                scheduled_at: row.get(4)?,
                state: row.get(5)?,
                started_at: row.get::<_, Option<i64>>(6)?.map(UnixMs::from_millis),
                status: row.get(7)?,
                outcome: outcome.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            })
        })
    }

    pub(super) fn events(&self) -> Result<Vec<EventRow>, StoreCopyError> {
        let sql = format!(
            "SELECT e.id, e.run_id, e.body, d.state, d.attempts, d.required, {URL} FROM events e \
             JOIN deliveries d ON d.event_seq = e.seq JOIN destinations t ON t.seq = d.destination ORDER BY e.seq"
        );
        self.rows(&sql, |row| {
            Ok(EventRow {
                id: EventId::from_bytes(row.get(0)?).to_string(),
                run_id: RunId::from_bytes(row.get(1)?).to_string(),
                body: row.get(2)?,
                state: row.get(3)?,
                attempts: row.get(4)?,
                required: row.get(5)?,
                path: path_of(&row.get::<_, String>(6)?),
            })
        })
    }

    pub(super) fn interrupted_attempts(&self) -> Result<Vec<InterruptedAttempt>, StoreCopyError> {
        let sql = "SELECT d.event_id, a.number, a.started_at, a.next_at FROM attempts a \
                   JOIN deliveries d ON d.seq = a.delivery_seq WHERE a.report ->> 'class' = 'interrupted'";
        self.rows(sql, |row| {
            Ok(InterruptedAttempt {
                event_id: EventId::from_bytes(row.get(0)?).to_string(),
                number: row.get(1)?,
                begun_at: UnixMs::from_millis(row.get(2)?),
                voided_at: UnixMs::from_millis(row.get(3)?),
            })
        })
    }

    pub(super) fn occurrences(&self) -> Result<Vec<OccurrenceRow>, StoreCopyError> {
        self.rows("SELECT job_id, due_at, outcome FROM occurrences ORDER BY job_id, due_at", |row| {
            let due_at = UnixMs::from_millis(row.get(1)?);
            Ok(OccurrenceRow { job_id: row.get(0)?, due_at, outcome: row.get(2)? })
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreCopyError> {
        let mut select = self.conn.prepare(sql)?;
        let rows = select.query_map([], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The path of a URL without a query.
fn path_of(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme.find('/').map_or_else(|| "/".to_owned(), |start| after_scheme[start..].to_owned())
}

fn with_suffix(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
