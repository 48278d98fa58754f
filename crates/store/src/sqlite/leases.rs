//! Leasing deliveries from the queues of their destinations, and what waits in them.

use bytes::Bytes;
use clawhook_model::{
    AttemptClass, AttemptReport, DeliveryId, DestinationId, EventId, LeaseId, PhaseTimings, UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{self, At};
use super::writer::Raised;
use super::{destinations, fault, outbox};
use crate::{
    LeaseBatch, LeaseRequest, LeaseShare, LeasedDelivery, OpenQueues, QueueClass, QueueNews, StoreError,
};

/// The state under which a queue's deliveries stand.
pub(super) fn state_of(class: QueueClass) -> &'static str {
    match class {
        QueueClass::FirstTry => "pending",
        QueueClass::Retry => "waiting",
    }
}

pub(super) fn lease(conn: &Connection, request: &LeaseRequest) -> Result<LeaseBatch, StoreError> {
    let mut batch = LeaseBatch::default();
    for share in &request.shares {
        if destinations::gives(conn, share.destination, share.probe)? {
            take(conn, request.now, share, &mut batch.leased)?;
            batch.left.extend(next_of(conn, share.destination, share.class)?);
        }
    }
    Ok(batch)
}

/// Takes what one queue gives into the worker's hands.
fn take(
    conn: &Connection,
    now: UnixMs,
    share: &LeaseShare,
    leased: &mut Vec<LeasedDelivery>,
) -> Result<(), StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT d.seq, d.id, d.event_id, d.attempts, d.retries_used, d.refusals, d.armed_at, d.pieces_sent, \
             EXISTS (SELECT 1 FROM ladders l WHERE l.seq = d.ladder AND l.ask IS NOT NULL AND l.state = 'open') AS asks, e.kind, e.created_at AS occurred_at, e.body \
             FROM deliveries d JOIN events e ON e.seq = d.event_seq WHERE d.next_at IS NOT NULL \
             AND d.destination = ?1 AND d.state = ?2 AND d.next_at <= ?3 ORDER BY d.next_at LIMIT ?4",
        )
        .map_err(fault)?;
    let limit = rows::int(share.most);
    let mut found = select
        .query(params![share.destination.number(), state_of(share.class), At(now), limit])
        .map_err(fault)?;
    let (mut taken, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = found.next().map_err(fault)? {
        let seq: i64 = rows::get(row, "seq")?;
        match read_leased(row, now, share) {
            Ok(delivery) => taken.push((seq, delivery)),
            Err(error) => unreadable.push((seq, error)),
        }
    }
    drop(found);
    for (seq, error) in unreadable {
        set_aside(conn, seq, &error, now)?;
    }
    let mut mark = conn
        .prepare_cached(
            "UPDATE deliveries SET state = 'leased', lease = ?2, leased_at = ?3, lease_until = ?4, next_at = NULL, \
             attempts = attempts + 1 WHERE seq = ?1",
        )
        .map_err(fault)?;
    for (seq, delivery) in taken {
        mark.execute(params![seq, delivery.lease.as_bytes(), At(now), At(share.until)]).map_err(fault)?;
        leased.push(delivery);
    }
    Ok(())
}

/// A row that cannot be read must not keep the others from being sent: it is given up, visibly.
fn set_aside(conn: &Connection, seq: i64, error: &StoreError, now: UnixMs) -> Result<(), StoreError> {
    tracing::error!(%error, "a delivery cannot be read and is given up");
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'dead', next_at = NULL, settled_at = ?2, reason = ?3, cause = 'gateway' \
         WHERE seq = ?1",
    )
    .and_then(|mut update| update.execute(params![seq, At(now), error.to_string()]))
    .map_err(fault)?;
    Ok(())
}

fn read_leased(row: &Row<'_>, now: UnixMs, share: &LeaseShare) -> Result<LeasedDelivery, StoreError> {
    let attempts: u32 = rows::get(row, "attempts")?;
    let body: Vec<u8> = rows::get(row, "body")?;
    Ok(LeasedDelivery {
        id: rows::id(row, "id", DeliveryId::from_bytes)?,
        lease: LeaseId::new(now),
        until: share.until,
        event_id: rows::id(row, "event_id", EventId::from_bytes)?,
        kind: rows::word(row, "kind", rows::event_kind)?,
        occurred_at: rows::at(row, "occurred_at")?,
        body: Bytes::from(body),
        destination: share.destination,
        class: share.class,
        attempt: attempts + 1,
        retries_used: rows::get(row, "retries_used")?,
        refusals: rows::get(row, "refusals")?,
        armed_at: rows::at(row, "armed_at")?,
        asks: rows::get(row, "asks")?,
        pieces_sent: rows::get(row, "pieces_sent")?,
    })
}

/// Voids every lease: on the embedded store whoever held one is dead.
pub(super) fn void_all(conn: &Connection, now: UnixMs) -> Result<(), StoreError> {
    void(conn, now, UnixMs::from_millis(i64::MAX))
}

/// Voids the leases that ended by `until`: each leaves its attempt, of which nobody knows how it went, and the
/// delivery is due again.
fn void(conn: &Connection, now: UnixMs, until: UnixMs) -> Result<(), StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT seq, attempts, leased_at FROM deliveries WHERE lease_until IS NOT NULL AND lease_until <= ?1",
        )
        .map_err(fault)?;
    let mut found = select.query([At(until)]).map_err(fault)?;
    let mut ended = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let number: u32 = rows::get(row, "attempts")?;
        ended.push((rows::get::<i64>(row, "seq")?, number, rows::at(row, "leased_at")?));
    }
    drop(found);
    for (seq, number, leased_at) in ended {
        let error = "the gateway ended while the attempt was under way; the receiver may have the event";
        let timings = PhaseTimings::default();
        let report = AttemptReport::failed(AttemptClass::Interrupted, error, timings);
        let decision = "tried again at once, with the same webhook-id; no retry is used up";
        outbox::insert_attempt(conn, seq, number, leased_at, &report, Some(now), decision)?;
        conn.prepare_cached(
            "UPDATE deliveries SET state = 'waiting', lease = NULL, leased_at = NULL, lease_until = NULL, next_at = ?2, \
             reason = ?3 WHERE seq = ?1",
        )
        .and_then(|mut update| update.execute(params![seq, At(now), error]))
        .map_err(fault)?;
    }
    Ok(())
}

pub(super) fn open_queues(conn: &Connection, now: UnixMs) -> Result<OpenQueues, StoreError> {
    void(conn, now, now)?;
    let lease_ends_at = conn
        .prepare_cached("SELECT min(lease_until) FROM deliveries WHERE lease_until IS NOT NULL")
        .and_then(|mut select| select.query_row([], |row| row.get::<_, Option<At>>(0)))
        .map_err(fault)?;
    Ok(OpenQueues { queues: all(conn)?, lease_ends_at: lease_ends_at.map(|at| at.0) })
}

/// Every queue that has something. It steps from destination to destination, not through what waits for each.
pub(super) fn all(conn: &Connection) -> Result<Vec<QueueNews>, StoreError> {
    let mut following = conn
        .prepare_cached(
            "SELECT min(destination) FROM deliveries WHERE next_at IS NOT NULL AND destination > ?1",
        )
        .map_err(fault)?;
    let (mut queues, mut last) = (Vec::new(), i64::MIN);
    loop {
        let next: Option<i64> = following.query_row([last], |row| row.get(0)).map_err(fault)?;
        let Some(next) = next else { return Ok(queues) };
        queues.extend(left(conn, DestinationId::from_number(next))?);
        last = next;
    }
}

/// What is left in both queues of a destination.
pub(super) fn left(conn: &Connection, destination: DestinationId) -> Result<Vec<QueueNews>, StoreError> {
    let mut left = Vec::new();
    for class in [QueueClass::FirstTry, QueueClass::Retry] {
        left.extend(next_of(conn, destination, class)?);
    }
    Ok(left)
}

fn next_of(
    conn: &Connection,
    destination: DestinationId,
    class: QueueClass,
) -> Result<Option<QueueNews>, StoreError> {
    let at: Option<At> = conn
        .prepare_cached(
            "SELECT min(next_at) FROM deliveries WHERE next_at IS NOT NULL AND destination = ?1 AND state = ?2",
        )
        .and_then(|mut select| {
            select.query_row(params![destination.number(), state_of(class)], |row| row.get(0))
        })
        .map_err(fault)?;
    Ok(at.map(|at| QueueNews { destination, class, at: at.0 }))
}

/// Whether a delivery that keeps an order must wait for one before it.
pub(super) fn is_blocked(
    conn: &Connection,
    destination: DestinationId,
    key: &str,
) -> Result<bool, StoreError> {
    conn.prepare_cached(
        "SELECT 1 FROM deliveries WHERE destination = ?1 AND order_key = ?2 AND order_key IS NOT NULL \
         AND settled_at IS NULL",
    )
    .and_then(|mut select| select.exists(params![destination.number(), key]))
    .map_err(fault)
}

/// Lets the next delivery in an order go, once the one before it is settled.
pub(super) fn unblock(
    conn: &Connection,
    raised: &mut Raised,
    destination: DestinationId,
    key: &str,
    now: UnixMs,
) -> Result<(), StoreError> {
    let head = conn
        .prepare_cached(
            "SELECT seq, state FROM deliveries WHERE destination = ?1 AND order_key = ?2 AND order_key IS NOT NULL \
             AND settled_at IS NULL ORDER BY seq LIMIT 1",
        )
        .and_then(|mut select| {
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
            select.query_row(params![destination.number(), key], read).optional()
        })
        .map_err(fault)?;
    let Some((seq, state)) = head else { return Ok(()) };
    let freed = conn
        .prepare_cached(
            "UPDATE deliveries SET next_at = ?2 WHERE seq = ?1 AND next_at IS NULL AND lease IS NULL",
        )
        .and_then(|mut update| update.execute(params![seq, At(now)]))
        .map_err(fault)?;
    // What was queued again after it had been given up waits among the retries.
    let class = if state == state_of(QueueClass::Retry) { QueueClass::Retry } else { QueueClass::FirstTry };
    if freed > 0 {
        raised.queue(QueueNews { destination, class, at: now });
    }
    Ok(())
}

/// Lets everything go that stands in an order, because its destination keeps none any more.
pub(super) fn release_order(
    conn: &Connection,
    raised: &mut Raised,
    destination: DestinationId,
    now: UnixMs,
) -> Result<(), StoreError> {
    let of_destination = "destination = ?1 AND order_key IS NOT NULL AND settled_at IS NULL";
    let freed = conn
        .prepare_cached(&format!(
            "UPDATE deliveries SET next_at = ?2 WHERE {of_destination} AND next_at IS NULL AND lease IS NULL"
        ))
        .and_then(|mut update| update.execute(params![destination.number(), At(now)]))
        .map_err(fault)?;
    conn.prepare_cached(&format!("UPDATE deliveries SET order_key = NULL WHERE {of_destination}"))
        .and_then(|mut update| update.execute([destination.number()]))
        .map_err(fault)?;
    if freed > 0 {
        for class in [QueueClass::FirstTry, QueueClass::Retry] {
            raised.queue(QueueNews { destination, class, at: now });
        }
    }
    Ok(())
}
