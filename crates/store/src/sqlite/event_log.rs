//! The log of events, read in stretches.

use bytes::Bytes;
use clawhook_model::{Begun, EventId, EventKind, Notice, RunStatus};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use super::writer::Raised;
use super::{fault, rows, runs};
use crate::{EventFilter, EventGap, EventPage, EventStart, LoggedEvent, StoreError};

/// How many events a page looks through at most.
const LOOKED_THROUGH: i64 = 4096;
/// How many bytes of events a page holds at most, where it holds more than one.
const PAGE_BYTES: usize = 1024 * 1024;
/// How many events are counted at most to tell how many are missing.
const COUNTED: i64 = 10_000;

/// A stretch of the log.
pub(super) fn page(conn: &Connection, filter: &EventFilter) -> Result<EventPage, StoreError> {
    let end = end(conn)?;
    match filter.start {
        EventStart::After(after) => behind(conn, filter, whole(after), end),
        EventStart::Newest => newest(conn, filter, end),
    }
}

fn behind(conn: &Connection, filter: &EventFilter, after: i64, end: i64) -> Result<EventPage, StoreError> {
    let upto = after.saturating_add(LOOKED_THROUGH).min(end);
    let found = stretch(conn, filter, (after, upto), Order::Forwards)?;
    let next = match found.events.last() {
        Some(last) if found.is_cut => last.seq,
        None if found.is_cut => number(after),
        _ => number(upto.max(after)),
    };
    Ok(EventPage { events: found.events, next, end: number(end), gap: gap(conn, after)? })
}

fn newest(conn: &Connection, filter: &EventFilter, end: i64) -> Result<EventPage, StoreError> {
    let found = stretch(conn, filter, ((end - LOOKED_THROUGH).max(0), end), Order::Backwards)?;
    let mut events = found.events;
    events.reverse();
    Ok(EventPage { events, next: number(end), end: number(end), gap: None })
}

/// From which end a stretch is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Forwards,
    Backwards,
}

impl Order {
    fn sql(self) -> &'static str {
        match self {
            Self::Forwards => "ASC",
            Self::Backwards => "DESC",
        }
    }

    fn is_before(self, one: u64, other: u64) -> bool {
        match self {
            Self::Forwards => one < other,
            Self::Backwards => one > other,
        }
    }
}

/// What was found.
#[derive(Default)]
struct Found {
    events: Vec<LoggedEvent>,
    bytes: usize,
    /// Whether there is more that found no room.
    is_cut: bool,
}

impl Found {
    /// Takes an event, if there is room.
    fn take(&mut self, event: LoggedEvent, limit: usize) -> bool {
        let is_large = self.bytes + event.body.len() > PAGE_BYTES && !self.events.is_empty();
        if self.events.len() >= limit || is_large {
            self.is_cut = true;
            return false;
        }
        self.bytes += event.body.len();
        self.events.push(event);
        true
    }
}

/// What fits of a stretch, in an order: the events, and among them what the runs themselves tell.
fn stretch(
    conn: &Connection,
    filter: &EventFilter,
    (after, upto): (i64, i64),
    order: Order,
) -> Result<Found, StoreError> {
    let starts = starts(conn, filter, (after, upto), order)?;
    let is_partial = starts.len() > filter.limit;
    let mut starts = starts.into_iter().peekable();
    let mut found = Found::default();
    select(conn, filter, (after, upto), order, |event| {
        while let Some(start) = starts.next_if(|start| order.is_before(start.seq, event.seq)) {
            if !found.take(start, filter.limit) {
                return false;
            }
        }
        found.take(event, filter.limit)
    })?;
    for start in starts {
        if found.is_cut || !found.take(start, filter.limit) {
            break;
        }
    }
    found.is_cut |= is_partial;
    Ok(found)
}

/// What runs themselves tell of a stretch: that they began. One more than there is room for, where there are so many.
fn starts(
    conn: &Connection,
    filter: &EventFilter,
    (after, upto): (i64, i64),
    order: Order,
) -> Result<Vec<LoggedEvent>, StoreError> {
    let kind = EventKind::RunStarted;
    let mut starts = Vec::new();
    if filter.status.is_some() || !(filter.kinds.is_empty() || filter.kinds.contains(&kind)) {
        return Ok(starts);
    }
    runs::begun_between(conn, after, upto, order.sql(), |seq, run, at| {
        let fits = filter.job.as_ref().is_none_or(|job| *job == run.job_id)
            && filter.agent.as_ref().is_none_or(|agent| *agent == run.agent_id);
        if fits {
            let begun = Begun::of(run);
            let id = EventId::of_start(begun.run_id, begun.deferrals);
            let body =
                Notice::RunStarted(begun).to_bytes(id, at, (begun.job_id, begun.job_name), begun.provenance);
            let job_id = Some(run.job_id.clone());
            starts.push(LoggedEvent { seq: number(seq), id, kind, job_id, at, body: Bytes::from(body) });
        }
        starts.len() <= filter.limit
    })?;
    Ok(starts)
}

/// Gives the events that fit of a stretch in an order, until nothing more is wanted.
fn select(
    conn: &Connection,
    filter: &EventFilter,
    (after, upto): (i64, i64),
    order: Order,
    mut take: impl FnMut(LoggedEvent) -> bool,
) -> Result<(), StoreError> {
    let mut sql =
        "SELECT seq, id, kind, job_id, created_at, body FROM events WHERE seq > ? AND seq <= ?".to_owned();
    let mut values: Vec<Value> = vec![after.into(), upto.into()];
    if !filter.kinds.is_empty() {
        sql.push_str(" AND kind IN (?");
        sql.push_str(&", ?".repeat(filter.kinds.len() - 1));
        sql.push(')');
        values.extend(filter.kinds.iter().map(|kind| Value::from(kind.as_str().to_owned())));
    }
    let mut fits = |column: &str, value: Option<&str>| {
        if let Some(value) = value {
            sql.push_str(" AND ");
            sql.push_str(column);
            sql.push_str(" = ?");
            values.push(value.to_owned().into());
        }
    };
    fits("job_id", filter.job.as_ref().map(clawhook_model::JobId::as_str));
    fits("agent_id", filter.agent.as_ref().map(clawhook_model::AgentId::as_str));
    fits("status", filter.status.map(RunStatus::as_str));
    sql.push_str(" ORDER BY seq ");
    sql.push_str(order.sql());
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query(params_from_iter(&values)).map_err(fault)?;
    while let Some(row) = found.next().map_err(fault)? {
        if !take(read(row)?) {
            break;
        }
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<LoggedEvent, StoreError> {
    let has_job = rows::get::<Option<String>>(row, "job_id")?.is_some();
    Ok(LoggedEvent {
        seq: number(rows::get(row, "seq")?),
        id: rows::id(row, "id", EventId::from_bytes)?,
        kind: rows::word(row, "kind", rows::event_kind)?,
        job_id: if has_job { Some(rows::job_id(row)?) } else { None },
        at: rows::at(row, "created_at")?,
        body: Bytes::from(rows::get::<Vec<u8>>(row, "body")?),
    })
}

/// The number of the newest event that there ever was. What is forgotten counts, so that no number is used again.
fn end(conn: &Connection) -> Result<i64, StoreError> {
    conn.prepare_cached(
        "SELECT max(coalesce((SELECT max(seq) FROM events), 0), \
         coalesce((SELECT max(begun_seq) FROM runs WHERE begun_seq IS NOT NULL), 0), \
         (SELECT upto FROM events_forgotten WHERE only = 1))",
    )
    .and_then(|mut select| select.query_row([], |row| row.get(0)))
    .map_err(fault)
}

/// The number of the event that is written next.
pub(super) fn next(conn: &Connection, raised: &mut Raised) -> Result<i64, StoreError> {
    raised.number_event(|| end(conn))
}

/// What behind `after` is kept no more.
fn gap(conn: &Connection, after: i64) -> Result<Option<EventGap>, StoreError> {
    let upto: i64 = conn
        .prepare_cached("SELECT upto FROM events_forgotten WHERE only = 1")
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(fault)?;
    if upto <= after {
        return Ok(None);
    }
    let counted: i64 = conn
        .prepare_cached(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM events WHERE seq > ?1 AND seq <= ?2 LIMIT ?3)) \
             + (SELECT count(*) FROM (SELECT 1 FROM runs WHERE begun_seq IS NOT NULL AND begun_seq > ?1 \
             AND begun_seq <= ?2 LIMIT ?3))",
        )
        .and_then(|mut count| count.query_row(params![after, upto, COUNTED], |row| row.get(0)))
        .map_err(fault)?;
    let missing = (counted < COUNTED).then(|| number(upto - after - counted));
    Ok(Some(EventGap { upto: number(upto), missing }))
}

/// Notes, before they go, that the events up to one are not whole any more.
pub(super) fn forget_upto(conn: &Connection, upto: Option<i64>) -> Result<(), StoreError> {
    let Some(upto) = upto else { return Ok(()) };
    conn.prepare_cached("UPDATE events_forgotten SET upto = ?1 WHERE only = 1 AND upto < ?1")
        .and_then(|mut update| update.execute([upto]))
        .map_err(fault)?;
    Ok(())
}

fn number(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

fn whole(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
