//! Deliveries and attempts in rows.

use std::collections::HashSet;

use bytes::Bytes;
use clawhook_model::{
    Attempt, AttemptClass, AttemptReport, Delivery, DeliveryBegin, DeliveryId, DeliveryState, EventId,
    LeaseId, PhaseTimings, RunId, Target, UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::rows::{self, At};
use super::writer::Raised;
use super::{fault, runs};
use crate::{
    AfterRun, Counts, DeliveryFilter, DeliveryPage, DeliveryRetried, DeliveryWithAttempts, FinishRun,
    LeaseRequest, LeasedDelivery, NewDelivery, SettleAttempt, Settled, StoreError, Topic, Verdict,
};

const COLUMNS: &str =
    "id, event_id, run_id, job_id, target, state, attempts, created_at, next_at, settled_at, reason";

pub(super) fn insert(
    conn: &Connection,
    finish: &FinishRun,
    event_seq: i64,
    delivery: &NewDelivery,
) -> Result<(), StoreError> {
    let now = finish.ended_at;
    let origin = match &delivery.plan.target {
        Target::Webhook(url) => Some(url.origin()),
        Target::Announce(_) => None,
    };
    let (state, next_at, settled_at, reason) = match &delivery.plan.begin {
        DeliveryBegin::Pending => (DeliveryState::Pending, Some(now), None, None),
        DeliveryBegin::Suppressed(why) => (DeliveryState::Suppressed, None, Some(now), Some(why.as_str())),
        DeliveryBegin::Dead(why) => (DeliveryState::Dead, None, Some(now), Some(why.as_str())),
    };
    conn.prepare_cached(
        "INSERT INTO deliveries (id, event_seq, event_id, run_id, job_id, target, origin, state, next_at, removes_job, \
         reason, created_at, settled_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            delivery.id.as_bytes(),
            event_seq,
            finish.event_id.as_bytes(),
            finish.run_id.as_bytes(),
            finish.job_id.as_str(),
            rows::target_json(&delivery.plan.target),
            origin,
            state.as_str(),
            next_at.map(At),
            finish.after == AfterRun::RemoveWhenComplete && finish.outcome.status == clawhook_model::RunStatus::Ok,
            reason,
            At(now),
            settled_at.map(At),
        ])
    })
    .map_err(fault)?;
    Ok(())
}

/// The columns of a delivery that a worker is given.
const LEASED_COLUMNS: &str = "d.seq, d.id, d.event_id, d.target, d.attempts, d.retries_used, e.body \
                              FROM deliveries d JOIN events e ON e.seq = d.event_seq";

pub(super) fn lease(conn: &Connection, request: &LeaseRequest) -> Result<Vec<LeasedDelivery>, StoreError> {
    void_leases(conn, request.now, Some(request.now))?;
    if request.busy_origins.is_empty() {
        let sql = format!(
            "SELECT {LEASED_COLUMNS} WHERE d.next_at IS NOT NULL AND d.next_at <= ?1 ORDER BY d.next_at LIMIT ?2"
        );
        return take(conn, request, &sql, params![At(request.now), rows::int(request.limit)]);
    }
    lease_beside_busy(conn, request)
}

/// Leases from the origins that are not busy, in equal shares. A busy origin's backlog is stepped over, not through:
/// it may be large, and must not slow the others down.
fn lease_beside_busy(conn: &Connection, request: &LeaseRequest) -> Result<Vec<LeasedDelivery>, StoreError> {
    let sql = format!(
        "SELECT {LEASED_COLUMNS} WHERE d.next_at IS NOT NULL AND d.origin = ?1 AND d.next_at <= ?2 \
         ORDER BY d.next_at LIMIT ?3"
    );
    let mut leased = Vec::new();
    loop {
        let origins = due_origins(conn, request)?;
        let left = request.limit - leased.len();
        if origins.is_empty() || left == 0 {
            return Ok(leased);
        }
        let share = (left / origins.len()).max(1);
        for origin in origins {
            let most = share.min(request.limit - leased.len());
            leased.append(&mut take(conn, request, &sql, params![origin, At(request.now), rows::int(most)])?);
        }
    }
}

/// Origins that are not busy and have something due; as many as can be given anything.
fn due_origins(conn: &Connection, request: &LeaseRequest) -> Result<Vec<String>, StoreError> {
    let mut following = conn
        .prepare_cached("SELECT min(origin) FROM deliveries WHERE next_at IS NOT NULL AND origin > ?1")
        .map_err(fault)?;
    let mut is_due = conn
        .prepare_cached(
            "SELECT 1 FROM deliveries WHERE next_at IS NOT NULL AND origin = ?1 AND next_at <= ?2",
        )
        .map_err(fault)?;
    let (mut origins, mut origin) = (Vec::new(), String::new());
    while origins.len() < request.limit {
        let next: Option<String> = following.query_row([&origin], |row| row.get(0)).map_err(fault)?;
        let Some(next) = next else { break };
        origin = next;
        let is_busy = request.busy_origins.contains(&origin);
        if !is_busy && is_due.exists(params![origin, At(request.now)]).map_err(fault)? {
            origins.push(origin.clone());
        }
    }
    Ok(origins)
}

/// Takes the deliveries that `sql` finds into the worker's hands.
fn take(
    conn: &Connection,
    request: &LeaseRequest,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<LeasedDelivery>, StoreError> {
    let mut select = conn.prepare_cached(sql).map_err(fault)?;
    let mut found = select.query(values).map_err(fault)?;
    let (mut leased, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = found.next().map_err(fault)? {
        let seq: i64 = rows::get(row, "seq")?;
        match read_leased(row, request.now) {
            Ok(delivery) => leased.push((seq, delivery)),
            Err(error) => unreadable.push((seq, error)),
        }
    }
    drop(found);
    for (seq, error) in unreadable {
        set_aside(conn, seq, &error, request.now)?;
    }
    let mut mark = conn
        .prepare_cached(
            "UPDATE deliveries SET state = 'leased', lease = ?2, leased_at = ?3, lease_until = ?4, next_at = NULL, \
             attempts = attempts + 1 WHERE seq = ?1",
        )
        .map_err(fault)?;
    for (seq, delivery) in &leased {
        mark.execute(params![seq, delivery.lease.as_bytes(), At(request.now), At(request.until)])
            .map_err(fault)?;
    }
    Ok(leased.into_iter().map(|(_, delivery)| delivery).collect())
}

/// A row that cannot be read must not keep the others from being sent: it is given up, visibly.
fn set_aside(conn: &Connection, seq: i64, error: &StoreError, now: UnixMs) -> Result<(), StoreError> {
    tracing::error!(%error, "a delivery cannot be read and is given up");
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'dead', next_at = NULL, settled_at = ?2, reason = ?3 WHERE seq = ?1",
    )
    .and_then(|mut update| update.execute(params![seq, At(now), error.to_string()]))
    .map_err(fault)?;
    Ok(())
}

fn read_leased(row: &Row<'_>, now: UnixMs) -> Result<LeasedDelivery, StoreError> {
    let attempts: u32 = rows::get(row, "attempts")?;
    let body: Vec<u8> = rows::get(row, "body")?;
    Ok(LeasedDelivery {
        id: rows::id(row, "id", DeliveryId::from_bytes)?,
        lease: LeaseId::new(now),
        event_id: rows::id(row, "event_id", EventId::from_bytes)?,
        body: Bytes::from(body),
        target: rows::target(row)?,
        attempt: attempts + 1,
        retries_used: rows::get(row, "retries_used")?,
    })
}

/// Voids every lease: on the embedded store whoever held one is dead.
pub(super) fn void_all_leases(conn: &Connection, now: UnixMs) -> Result<(), StoreError> {
    void_leases(conn, now, None)
}

/// Voids leases, all or those that ended by `until`: each leaves its attempt, of which nobody knows how it went, and
/// the delivery is due again.
fn void_leases(conn: &Connection, now: UnixMs, until: Option<UnixMs>) -> Result<(), StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT seq, attempts, leased_at FROM deliveries WHERE lease_until IS NOT NULL AND lease_until <= ?1",
        )
        .map_err(fault)?;
    let bound = until.unwrap_or(UnixMs::from_millis(i64::MAX));
    let mut found = select.query([At(bound)]).map_err(fault)?;
    let mut void = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        void.push((
            rows::get::<i64>(row, "seq")?,
            rows::get::<u32>(row, "attempts")?,
            rows::at(row, "leased_at")?,
        ));
    }
    drop(found);
    for (seq, number, leased_at) in void {
        let error = "the gateway ended while the attempt was under way; the receiver may have the event";
        let timings = PhaseTimings::default();
        let report = AttemptReport::failed(AttemptClass::Interrupted, error, timings);
        let decision = "tried again at once, with the same webhook-id; no retry is used up";
        insert_attempt(conn, seq, number, leased_at, &report, Some(now), decision)?;
        conn.prepare_cached(
            "UPDATE deliveries SET state = 'waiting', lease = NULL, leased_at = NULL, lease_until = NULL, next_at = ?2, \
             reason = ?3 WHERE seq = ?1",
        )
        .and_then(|mut update| update.execute(params![seq, At(now), error]))
        .map_err(fault)?;
    }
    Ok(())
}

fn insert_attempt(
    conn: &Connection,
    delivery_seq: i64,
    number: u32,
    started_at: UnixMs,
    report: &AttemptReport,
    next_at: Option<UnixMs>,
    decision: &str,
) -> Result<(), StoreError> {
    let report = serde_json::to_string(report).map_err(|error| StoreError::Engine(error.to_string()))?;
    conn.prepare_cached(
        "INSERT INTO attempts (delivery_seq, number, started_at, report, next_at, decision) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut insert| {
        insert.execute(params![delivery_seq, number, At(started_at), report, next_at.map(At), decision])
    })
    .map_err(fault)?;
    Ok(())
}

pub(super) fn settle(
    conn: &Connection,
    raised: &mut Raised,
    settle: &SettleAttempt,
) -> Result<Settled, StoreError> {
    let (state, next_at, settled_at, uses_retry) = match settle.verdict {
        Verdict::Delivered => (DeliveryState::Delivered, None, Some(settle.now), false),
        Verdict::RetryAt { at, uses_retry } => (DeliveryState::Waiting, Some(at), None, uses_retry),
        Verdict::Dead => (DeliveryState::Dead, None, Some(settle.now), false),
    };
    // Found and changed in two statements of one transaction: `RETURNING` would cost a journal for each.
    let found = conn
        .prepare_cached(
            "SELECT seq, removes_job, run_id, job_id FROM deliveries WHERE id = ?1 AND lease = ?2 AND state = 'leased'",
        )
        .and_then(|mut select| {
            select
                .query_row(params![settle.delivery_id.as_bytes(), settle.lease.as_bytes()], |row| {
                    Ok((row.get::<_, i64>("seq")?, row.get::<_, bool>("removes_job")?, used_up(row)))
                })
                .optional()
        })
        .map_err(fault)?;
    let Some((seq, removes_job, used_up)) = found else { return Ok(Settled::LeaseLost) };
    conn.prepare_cached(
        "UPDATE deliveries SET state = ?2, next_at = ?3, settled_at = ?4, retries_used = retries_used + ?5, \
         reason = ?6, lease = NULL, leased_at = NULL, lease_until = NULL WHERE seq = ?1",
    )
    .and_then(|mut update| {
        let (next_at, settled_at) = (next_at.map(At), settled_at.map(At));
        update.execute(params![seq, state.as_str(), next_at, settled_at, uses_retry, settle.reason])
    })
    .map_err(fault)?;
    let attempt = &settle.attempt;
    insert_attempt(
        conn,
        seq,
        attempt.number,
        attempt.started_at,
        &attempt.report,
        next_at,
        &attempt.decision,
    )?;
    if removes_job && state == DeliveryState::Delivered {
        let (job, run) = used_up?;
        if of_run(conn, run)?.iter().all(|delivery| delivery.state == DeliveryState::Delivered) {
            runs::remove_used_up(conn, &job, run)?;
        }
    }
    if state.is_settled() {
        raised.raise(Topic::Settled);
    } else {
        raised.raise(Topic::Outbox);
    }
    Ok(Settled::Done)
}

fn used_up(row: &Row<'_>) -> Result<(clawhook_model::JobId, RunId), StoreError> {
    Ok((rows::job_id(row)?, rows::id(row, "run_id", RunId::from_bytes)?))
}

pub(super) fn next_due(conn: &Connection) -> Result<Option<UnixMs>, StoreError> {
    let earliest = |sql: &str| -> Result<Option<UnixMs>, StoreError> {
        conn.prepare_cached(sql)
            .and_then(|mut select| select.query_row([], |row| row.get::<_, Option<At>>(0)))
            .map(|at| at.map(|at| at.0))
            .map_err(fault)
    };
    let due = earliest("SELECT min(next_at) FROM deliveries WHERE next_at IS NOT NULL")?;
    let lease_end = earliest("SELECT min(lease_until) FROM deliveries WHERE lease_until IS NOT NULL")?;
    Ok(due.into_iter().chain(lease_end).min())
}

pub(super) fn retry(
    conn: &Connection,
    raised: &mut Raised,
    id: DeliveryId,
    now: UnixMs,
) -> Result<DeliveryRetried, StoreError> {
    let Some(delivery) = one(conn, id)? else { return Ok(DeliveryRetried::NotFound) };
    match delivery.state {
        DeliveryState::Leased => return Ok(DeliveryRetried::UnderWay),
        DeliveryState::Delivered => return Ok(DeliveryRetried::AlreadyDelivered),
        DeliveryState::Suppressed => return Ok(DeliveryRetried::Suppressed),
        _ if matches!(delivery.target, Target::Announce(_)) => return Ok(DeliveryRetried::NoSender),
        DeliveryState::Pending | DeliveryState::Waiting | DeliveryState::Dead | DeliveryState::Cancelled => {}
    }
    conn.prepare_cached(
        "UPDATE deliveries SET state = CASE WHEN attempts = 0 THEN 'pending' ELSE 'waiting' END, next_at = ?2, \
         settled_at = NULL, retries_used = 0 WHERE id = ?1 AND lease IS NULL",
    )
    .and_then(|mut update| update.execute(params![id.as_bytes(), At(now)]))
    .map_err(fault)?;
    raised.raise(Topic::Outbox);
    Ok(DeliveryRetried::Due)
}

fn one(conn: &Connection, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM deliveries WHERE id = ?1"))
        .and_then(|mut select| select.query_row([id.as_bytes()], |row| Ok(read(row))).optional())
        .map_err(fault)?
        .transpose()
}

pub(super) fn get(conn: &Connection, id: DeliveryId) -> Result<Option<DeliveryWithAttempts>, StoreError> {
    let Some(delivery) = one(conn, id)? else { return Ok(None) };
    let mut select = conn
        .prepare_cached(
            "SELECT a.number, a.started_at, a.report, a.next_at, a.decision FROM attempts a \
             JOIN deliveries d ON d.seq = a.delivery_seq WHERE d.id = ?1 ORDER BY a.number",
        )
        .map_err(fault)?;
    let mut found = select.query([id.as_bytes()]).map_err(fault)?;
    let mut attempts = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let report: String = rows::get(row, "report")?;
        attempts.push(Attempt {
            delivery_id: id,
            number: rows::get(row, "number")?,
            started_at: rows::at(row, "started_at")?,
            report: rows::from_json(&report, "an attempt's report")?,
            next_at: rows::at_opt(row, "next_at")?,
            decision: rows::get(row, "decision")?,
        });
    }
    Ok(Some(DeliveryWithAttempts { delivery, attempts }))
}

pub(super) fn of_run(conn: &Connection, run: RunId) -> Result<Vec<Delivery>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM deliveries WHERE run_id = ?1 ORDER BY seq");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query([run.as_bytes()]).map_err(fault)?;
    let mut deliveries = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        deliveries.push(read(row)?);
    }
    Ok(deliveries)
}

pub(super) fn page(conn: &Connection, filter: &DeliveryFilter) -> Result<DeliveryPage, StoreError> {
    let mut conditions = Vec::new();
    let mut values: Vec<rusqlite::types::Value> = Vec::new();
    if let Some(job) = &filter.job_id {
        // Deliveries have no index by job; its runs lead to them.
        conditions.push("run_id IN (SELECT id FROM runs WHERE job_id = ?)".to_owned());
        values.push(job.as_str().to_owned().into());
    }
    if let Some(run) = &filter.run_id {
        conditions.push("run_id = ?".to_owned());
        values.push(run.as_bytes().to_vec().into());
    }
    let states: HashSet<&str> = filter.states.iter().map(|state| state.as_str()).collect();
    if !states.is_empty() {
        conditions.push(format!("state IN ({})", vec!["?"; states.len()].join(", ")));
        values.extend(states.into_iter().map(|state| state.to_owned().into()));
    }
    let condition = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
    let total: i64 = conn
        .prepare_cached(&format!("SELECT count(*) FROM deliveries WHERE {condition}"))
        .and_then(|mut count| count.query_row(params_from_iter(&values), |row| row.get(0)))
        .map_err(fault)?;
    values.push(rows::int(filter.limit).into());
    values.push(rows::int(filter.offset).into());
    let sql =
        format!("SELECT {COLUMNS} FROM deliveries WHERE {condition} ORDER BY seq DESC LIMIT ? OFFSET ?");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query(params_from_iter(&values)).map_err(fault)?;
    let mut deliveries = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        deliveries.push(read(row)?);
    }
    Ok(DeliveryPage { deliveries, total: rows::count(total) })
}

fn read(row: &Row<'_>) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: rows::id(row, "id", DeliveryId::from_bytes)?,
        event_id: rows::id(row, "event_id", EventId::from_bytes)?,
        run_id: rows::id(row, "run_id", RunId::from_bytes)?,
        job_id: rows::job_id(row)?,
        target: rows::target(row)?,
        state: rows::word(row, "state", rows::delivery_state)?,
        attempts: rows::get(row, "attempts")?,
        created_at: rows::at(row, "created_at")?,
        next_at: rows::at_opt(row, "next_at")?,
        settled_at: rows::at_opt(row, "settled_at")?,
        reason: rows::get(row, "reason")?,
    })
}

pub(super) fn counts(conn: &Connection, now: UnixMs) -> Result<Counts, StoreError> {
    let count = |sql: &str| -> Result<u64, StoreError> {
        conn.prepare_cached(sql)
            .and_then(|mut select| select.query_row([], |row| row.get::<_, i64>(0)))
            .map(|count| u64::try_from(count).unwrap_or(0))
            .map_err(fault)
    };
    let next_run_at = conn
        .prepare_cached("SELECT min(next_run_at) FROM jobs WHERE next_run_at IS NOT NULL")
        .and_then(|mut select| select.query_row([], |row| row.get::<_, Option<At>>(0)))
        .map_err(fault)?;
    let oldest_due = conn
        .prepare_cached("SELECT min(next_at) FROM deliveries WHERE next_at IS NOT NULL AND next_at <= ?1")
        .and_then(|mut select| select.query_row([At(now)], |row| row.get::<_, Option<At>>(0)))
        .map_err(fault)?;
    Ok(Counts {
        jobs: count("SELECT count(*) FROM jobs WHERE removed = 0")?,
        jobs_enabled: count("SELECT count(*) FROM jobs WHERE enabled")?,
        next_run_at: next_run_at.map(|at| at.0),
        runs_queued: count("SELECT count(*) FROM runs WHERE state = 'queued' AND state <> 'finished'")?,
        runs_running: count("SELECT count(*) FROM runs WHERE state = 'running' AND state <> 'finished'")?,
        deliveries_open: count("SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL")?
            + count("SELECT count(*) FROM deliveries WHERE lease_until IS NOT NULL")?,
        deliveries_dead: count("SELECT count(*) FROM deliveries WHERE state = 'dead'")?,
        oldest_due_delivery_at: oldest_due.map(|at| at.0),
    })
}
