//! Destinations in rows.

use clawhook_model::{
    DeliveryId, Destination, DestinationDefinition, DestinationId, DestinationName, Halt, HaltReason, Order,
    Standing, Target, UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::rows::{self, At};
use super::writer::Raised;
use super::{fault, jobs, leases};
use crate::{
    Decider, DestinationFilter, DestinationPage, DestinationRemoved, DestinationUpdated,
    DestinationWithQueue, NewDestination, OrderHead, QueueState, StoreError,
};

const COLUMNS: &str = "seq, kind, key, definition, declared_in, revision, standing, halt_reason, halt_detail, \
                       halted_at, failing_since, resumed_at, created_at, updated_at";

/// What the outbox must know of a destination to accept a delivery for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepting {
    pub(super) id: DestinationId,
    pub(super) send_empty: bool,
    pub(super) order: Order,
    /// Whether it is one that can be sent to; a named one may have been removed.
    pub(super) exists: bool,
}

/// What a replay must know of a destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Current {
    pub(super) id: DestinationId,
    pub(super) order: Order,
    /// Whether anything here can send to it.
    pub(super) can_be_sent_to: bool,
}

/// The destination of a new delivery. An implicit one comes about when it is first named; a named one that is gone
/// leaves a row that says so, because the delivery must stand somewhere (invariant 4).
pub(super) fn accepting(conn: &Connection, target: &Target, now: UnixMs) -> Result<Accepting, StoreError> {
    let (kind, key) = rows::target_key(target);
    let found = conn
        .prepare_cached(
            "SELECT seq, send_empty, ordering FROM destinations WHERE kind = ?1 AND key = ?2 AND removed = 0",
        )
        .and_then(|mut select| {
            select
                .query_row(params![kind, key], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, String>(2)?))
                })
                .optional()
        })
        .map_err(fault)?;
    if let Some((seq, send_empty, order)) = found {
        let order = rows::order(&order).unwrap_or_default();
        return Ok(Accepting { id: DestinationId::from_number(seq), send_empty, order, exists: true });
    }
    let exists = !matches!(target, Target::Destination(_));
    conn.prepare_cached(
        "INSERT INTO destinations (kind, key, removed, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)",
    )
    .and_then(|mut insert| insert.execute(params![kind, key, !exists, At(now)]))
    .map_err(fault)?;
    let id = DestinationId::from_number(conn.last_insert_rowid());
    Ok(Accepting { id, send_empty: false, order: Order::None, exists })
}

/// The same for a destination that is known to exist.
pub(super) fn accepting_of(conn: &Connection, id: DestinationId) -> Result<Accepting, StoreError> {
    let (send_empty, order) = conn
        .prepare_cached("SELECT send_empty, ordering FROM destinations WHERE seq = ?1")
        .and_then(|mut select| {
            select.query_row([id.number()], |row| Ok((row.get::<_, bool>(0)?, row.get::<_, String>(1)?)))
        })
        .map_err(fault)?;
    Ok(Accepting { id, send_empty, order: rows::order(&order).unwrap_or_default(), exists: true })
}

/// The destination that a delivery of `id` is sent to now. Where that one was removed, another may have its name.
pub(super) fn current(conn: &Connection, id: DestinationId) -> Result<Option<Current>, StoreError> {
    conn.prepare_cached(
        "SELECT now.seq, now.ordering, CASE WHEN now.kind = 'announce' \
         THEN json_extract(now.key, '$.channel') IS NOT NULL ELSE 1 END FROM destinations was JOIN destinations now \
         ON now.kind = was.kind AND now.key = was.key AND now.removed = 0 WHERE was.seq = ?1",
    )
    .and_then(|mut select| {
        select
            .query_row([id.number()], |row| {
                let order = rows::order(&row.get::<_, String>(1)?).unwrap_or_default();
                let can_be_sent_to = row.get(2)?;
                Ok(Current { id: DestinationId::from_number(row.get(0)?), order, can_be_sent_to })
            })
            .optional()
    })
    .map_err(fault)
}

/// The destination that a target is, or was last before it was removed.
pub(super) fn id_of(conn: &Connection, target: &Target) -> Result<Option<DestinationId>, StoreError> {
    let (kind, key) = rows::target_key(target);
    let found = conn
        .prepare_cached(
            "SELECT seq FROM destinations WHERE kind = ?1 AND key = ?2 ORDER BY removed, seq DESC LIMIT 1",
        )
        .and_then(|mut select| select.query_row(params![kind, key], |row| row.get(0)).optional())
        .map_err(fault)?;
    Ok(found.map(DestinationId::from_number))
}

pub(super) fn insert(
    conn: &Connection,
    raised: &mut Raised,
    new: &NewDestination,
) -> Result<Option<Destination>, StoreError> {
    let added = conn
        .prepare_cached(
            "INSERT INTO destinations (kind, key, definition, send_empty, ordering, declared_in, created_at, updated_at, \
             subscribes) VALUES ('named', ?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7) ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                new.name.as_str(),
                new.definition.to_stored_json().to_string(),
                new.definition.send_empty,
                new.definition.order.as_str(),
                new.declared_in,
                At(new.now),
                !new.definition.subscriptions.is_empty(),
            ])
        })
        .map_err(fault)?;
    if added == 0 {
        return Ok(None);
    }
    let id = DestinationId::from_number(conn.last_insert_rowid());
    raised.destination(id);
    one(conn, id)
}

pub(super) fn update(
    conn: &Connection,
    raised: &mut Raised,
    id: DestinationId,
    revision: u64,
    definition: &DestinationDefinition,
    declared_in: Option<&str>,
    now: UnixMs,
) -> Result<DestinationUpdated, StoreError> {
    let changed = conn
        .prepare_cached(
            "UPDATE destinations SET definition = ?3, send_empty = ?4, ordering = ?5, revision = revision + 1, \
             updated_at = ?6, subscribes = ?7, declared_in = ?8 \
             WHERE seq = ?1 AND revision = ?2 AND kind = 'named' AND removed = 0",
        )
        .and_then(|mut update| {
            update.execute(params![
                id.number(),
                i64::try_from(revision).unwrap_or(i64::MAX),
                definition.to_stored_json().to_string(),
                definition.send_empty,
                definition.order.as_str(),
                At(now),
                !definition.subscriptions.is_empty(),
                declared_in,
            ])
        })
        .map_err(fault)?;
    let Some(destination) = one(conn, id)? else { return Ok(DestinationUpdated::NotFound) };
    if changed == 0 {
        return Ok(DestinationUpdated::Changed);
    }
    if definition.order == Order::None {
        leases::release_order(conn, raised, id, now)?;
    }
    raised.destination(id);
    Ok(DestinationUpdated::Done(Box::new(destination)))
}

pub(super) fn remove(
    conn: &Connection,
    raised: &mut Raised,
    id: DestinationId,
    now: UnixMs,
) -> Result<DestinationRemoved, StoreError> {
    let Some(Target::Destination(name)) = one(conn, id)?.map(|destination| destination.target) else {
        return Ok(DestinationRemoved::NotFound);
    };
    let queue = queue(conn, id)?;
    let waits = queue.pending + queue.waiting + queue.leased;
    if waits > 0 {
        return Ok(DestinationRemoved::InUse(waits));
    }
    if !jobs::naming(conn, &name, 1)?.is_empty() {
        return Ok(DestinationRemoved::Named);
    }
    conn.prepare_cached("UPDATE destinations SET removed = 1, updated_at = ?2 WHERE seq = ?1")
        .and_then(|mut update| update.execute(params![id.number(), At(now)]))
        .map_err(fault)?;
    raised.destination(id);
    Ok(DestinationRemoved::Done)
}

pub(super) fn set_standing(
    conn: &Connection,
    raised: &mut Raised,
    id: DestinationId,
    standing: &Standing,
    decider: Decider,
    now: UnixMs,
) -> Result<Option<Destination>, StoreError> {
    let halt = standing.halt();
    let resumed = halt.is_none();
    let changed = conn.prepare_cached(
        "UPDATE destinations SET standing = ?2, halt_reason = ?3, halt_detail = ?4, halted_at = ?5, \
         resumed_at = CASE WHEN ?6 AND standing <> 'active' THEN ?7 ELSE resumed_at END, \
         failing_since = CASE WHEN ?6 THEN NULL ELSE failing_since END, updated_at = ?7 WHERE seq = ?1 AND removed = 0 \
         AND (?8 OR (standing <> 'disabled' AND coalesce(halt_reason, '') <> 'by_hand'))",
    )
    .and_then(|mut update| {
        update.execute(params![
            id.number(),
            standing.as_str(),
            halt.map(|halt| halt.reason.as_str()),
            halt.map(|halt| halt.detail.as_str()),
            halt.map(|halt| At(halt.since)),
            resumed,
            At(now),
            decider == Decider::Person,
        ])
    })
    .map_err(fault)?;
    if changed == 0 {
        return one(conn, id);
    }
    if resumed {
        for news in leases::left(conn, id)? {
            raised.queue(news);
        }
    }
    raised.destination(id);
    one(conn, id)
}

pub(super) fn note_failing(
    conn: &Connection,
    id: DestinationId,
    since: Option<UnixMs>,
) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE destinations SET failing_since = ?2 WHERE seq = ?1")
        .and_then(|mut update| update.execute(params![id.number(), since.map(At)]))
        .map_err(fault)?;
    Ok(())
}

/// Whether the destination gives deliveries: to a probe, a paused one does too.
pub(super) fn gives(conn: &Connection, id: DestinationId, probe: bool) -> Result<bool, StoreError> {
    let standing: Option<String> = conn
        .prepare_cached("SELECT standing FROM destinations WHERE seq = ?1")
        .and_then(|mut select| select.query_row([id.number()], |row| row.get(0)).optional())
        .map_err(fault)?;
    Ok(match standing.as_deref() {
        Some("active") => true,
        Some("paused") => probe,
        _ => false,
    })
}

pub(super) fn get(conn: &Connection, id: DestinationId) -> Result<Option<DestinationWithQueue>, StoreError> {
    one(conn, id)?.map(|destination| with_queue(conn, destination)).transpose()
}

pub(super) fn named(
    conn: &Connection,
    name: &DestinationName,
) -> Result<Option<DestinationWithQueue>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM destinations WHERE kind = 'named' AND key = ?1 AND removed = 0");
    let found = conn
        .prepare_cached(&sql)
        .and_then(|mut select| select.query_row([name.as_str()], |row| Ok(read(row))).optional())
        .map_err(fault)?;
    found.transpose()?.map(|destination| with_queue(conn, destination)).transpose()
}

fn one(conn: &Connection, id: DestinationId) -> Result<Option<Destination>, StoreError> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM destinations WHERE seq = ?1 AND removed = 0"))
        .and_then(|mut select| select.query_row([id.number()], |row| Ok(read(row))).optional())
        .map_err(fault)?
        .transpose()
}

pub(super) fn page(conn: &Connection, filter: &DestinationFilter) -> Result<DestinationPage, StoreError> {
    let mut conditions = vec!["removed = 0"];
    if !filter.implicit {
        conditions.push("kind = 'named'");
    }
    if filter.halted_only {
        conditions.push("standing <> 'active'");
    }
    let condition = conditions.join(" AND ");
    let total: i64 = conn
        .prepare_cached(&format!("SELECT count(*) FROM destinations WHERE {condition}"))
        .and_then(|mut count| count.query_row([], |row| row.get(0)))
        .map_err(fault)?;
    let sql = format!(
        "SELECT {COLUMNS} FROM destinations WHERE {condition} ORDER BY kind <> 'named', key LIMIT ?1 OFFSET ?2"
    );
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found =
        select.query(params_from_iter([rows::int(filter.limit), rows::int(filter.offset)])).map_err(fault)?;
    let mut destinations = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        destinations.push(with_queue(conn, read(row)?)?);
    }
    Ok(DestinationPage { destinations, total: rows::count(total) })
}

fn with_queue(conn: &Connection, destination: Destination) -> Result<DestinationWithQueue, StoreError> {
    let queue = queue(conn, destination.id)?;
    Ok(DestinationWithQueue { destination, queue })
}

fn queue(conn: &Connection, id: DestinationId) -> Result<QueueState, StoreError> {
    let count = |sql: &str| -> Result<u64, StoreError> {
        conn.prepare_cached(sql)
            .and_then(|mut select| select.query_row([id.number()], |row| row.get::<_, i64>(0)))
            .map(|count| u64::try_from(count).unwrap_or(0))
            .map_err(fault)
    };
    let of_state = |state: &str| {
        count(&format!(
            "SELECT count(*) FROM deliveries WHERE destination = ?1 AND state = '{state}' AND next_at IS NOT NULL"
        ))
    };
    let blocked = count(
        "SELECT count(*) FROM deliveries WHERE destination = ?1 AND order_key IS NOT NULL AND settled_at IS NULL \
         AND next_at IS NULL AND lease IS NULL",
    )?;
    let leased = count("SELECT count(*) FROM deliveries WHERE lease_until IS NOT NULL AND destination = ?1")?;
    let next_at = leases::left(conn, id)?.into_iter().map(|news| news.at).min();
    Ok(QueueState {
        pending: of_state("pending")? + blocked,
        waiting: of_state("waiting")?,
        leased,
        blocked,
        next_at,
    })
}

/// The first of each order that has others behind it. Only the first has its time or is being tried.
pub(super) fn order_heads(
    conn: &Connection,
    id: DestinationId,
    limit: usize,
) -> Result<Vec<OrderHead>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT id, job_id, state, next_at, reason, (SELECT count(*) FROM deliveries other \
             WHERE other.destination = ?1 AND other.order_key = head.order_key AND other.order_key IS NOT NULL \
             AND other.settled_at IS NULL AND other.seq <> head.seq) AS behind \
             FROM deliveries head WHERE destination = ?1 AND order_key IS NOT NULL AND settled_at IS NULL \
             AND (next_at IS NOT NULL OR lease IS NOT NULL) AND behind > 0 ORDER BY seq LIMIT ?2",
        )
        .map_err(fault)?;
    let mut found = select.query(params![id.number(), rows::int(limit)]).map_err(fault)?;
    let mut heads = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        heads.push(OrderHead {
            delivery_id: rows::id(row, "id", DeliveryId::from_bytes)?,
            job_id: rows::job_id(row)?,
            state: rows::word(row, "state", rows::delivery_state)?,
            next_at: rows::at_opt(row, "next_at")?,
            reason: rows::get(row, "reason")?,
            behind: u64::try_from(rows::get::<i64>(row, "behind")?).unwrap_or(0),
        });
    }
    Ok(heads)
}

fn read(row: &Row<'_>) -> Result<Destination, StoreError> {
    let target = rows::target(row)?;
    let definition: Option<String> = rows::get(row, "definition")?;
    // The definition holds secrets, so an error names the destination and not the text.
    let definition = definition.map(|text| parse(&text)).transpose().map_err(|()| {
        StoreError::BadRow(format!("the definition of the destination `{}`", target.shown()))
    })?;
    Ok(Destination {
        id: DestinationId::from_number(rows::get(row, "seq")?),
        target,
        definition,
        declared_in: rows::get(row, "declared_in")?,
        revision: u64::try_from(rows::get::<i64>(row, "revision")?).unwrap_or(0),
        standing: standing(row)?,
        failing_since: rows::at_opt(row, "failing_since")?,
        resumed_at: rows::at_opt(row, "resumed_at")?,
        created_at: rows::at(row, "created_at")?,
        updated_at: rows::at(row, "updated_at")?,
    })
}

fn parse(text: &str) -> Result<DestinationDefinition, ()> {
    let value = serde_json::from_str(text).map_err(|_| ())?;
    DestinationDefinition::parse_stored(value).map_err(|_| ())
}

fn standing(row: &Row<'_>) -> Result<Standing, StoreError> {
    let word: String = rows::get(row, "standing")?;
    if word == "active" {
        return Ok(Standing::Active);
    }
    let reason = |text: &str| HaltReason::ALL.into_iter().find(|reason| reason.as_str() == text);
    let halt = Halt {
        reason: rows::word(row, "halt_reason", reason)?,
        detail: rows::get(row, "halt_detail")?,
        since: rows::at(row, "halted_at")?,
    };
    match word.as_str() {
        "paused" => Ok(Standing::Paused(halt)),
        "disabled" => Ok(Standing::Disabled(halt)),
        other => Err(StoreError::BadRow(format!("a destination in the standing `{other}`"))),
    }
}
