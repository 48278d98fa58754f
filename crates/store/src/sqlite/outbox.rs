//! Deliveries and attempts in rows.

use std::collections::HashSet;

use clawhook_model::{
    Attempt, AttemptReport, DeadCause, Delivery, DeliveryBegin, DeliveryId, DeliveryState, DestinationId,
    EventId, EventKind, JobId, Lane, Notice, Order, RunId, RunStatus, Target, Trouble, UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::alerts::TroubleOf;
use super::destinations::Accepting;
use super::notices::{self, About};
use super::rows::{self, At};
use super::writer::Raised;
use super::{alerts, destinations, fault, finish, job_pages, jobs, ladders, leases, pieces, replays};
use crate::{
    AfterRun, Counts, DeadCounts, DeliveryCancelled, DeliveryFilter, DeliveryPage, DeliveryReplayed,
    DeliveryRetried, DeliveryWithAttempts, FinishRun, LateResult, NewDelivery, NotSentAgain, QueueClass,
    QueueNews, SettleAttempt, Settled, Spends, StoreError, Topic, Verdict,
};

const COLUMNS: &str = "d.id, d.event_id, d.run_id, d.job_id, d.required, d.replay_of, d.destination, d.state, \
                       d.attempts, d.created_at, d.next_at, d.settled_at, d.reason, d.cause, t.kind, t.key, d.after, \
                       CASE WHEN l.ask IS NOT NULL THEN l.state END AS ack_state, l.acknowledged_at, l.acknowledged_by, \
                       l.asked, l.ask_at FROM deliveries d JOIN destinations t ON t.seq = d.destination \
                       LEFT JOIN ladders l ON l.seq = d.ladder";

/// A delivery that is to be written.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub(super) id: DeliveryId,
    pub(super) event_seq: i64,
    pub(super) event_id: EventId,
    pub(super) run_id: Option<RunId>,
    pub(super) job_id: &'a JobId,
    pub(super) to: Accepting,
    pub(super) begin: DeliveryBegin,
    pub(super) required: bool,
    pub(super) removes_job: bool,
    /// Where its event goes next.
    pub(super) ladder: Option<i64>,
    /// The delivery of its ladder before it.
    pub(super) after: Option<DeliveryId>,
    pub(super) now: UnixMs,
}

/// Writes a delivery that the run's job asked for, and tells whom it is for.
pub(super) fn insert_own(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    event_seq: i64,
    delivery: &NewDelivery,
) -> Result<DestinationId, StoreError> {
    let to = destinations::accepting(conn, &delivery.plan.target, finish.ended_at)?;
    let begin = match &delivery.plan.begin {
        DeliveryBegin::Pending | DeliveryBegin::Suppressed(_) if !to.exists => {
            let gone = delivery.plan.target.shown();
            DeliveryBegin::Dead(format!("there is no destination `{gone}` any more"))
        }
        begin => begin.clone(),
    };
    let is_sent = match &begin {
        DeliveryBegin::Suppressed(_) => to.send_empty,
        DeliveryBegin::Pending | DeliveryBegin::Dead(_) => true,
    };
    let plan = delivery.plan.ladder.as_ref().filter(|_| is_sent);
    let ladder = plan.map(|plan| ladders::insert(conn, event_seq, plan)).transpose()?.flatten();
    let dead_at_birth = match &begin {
        DeliveryBegin::Dead(why) => Some(why.clone()),
        DeliveryBegin::Pending | DeliveryBegin::Suppressed(_) => None,
    };
    let row = NewRow {
        id: delivery.id,
        event_seq,
        event_id: finish.event_id,
        run_id: Some(finish.run_id),
        job_id: &finish.job_id,
        to,
        begin,
        required: delivery.plan.required,
        removes_job: finish.after == AfterRun::RemoveWhenComplete && finish.outcome.status == RunStatus::Ok,
        ladder,
        after: None,
        now: finish.ended_at,
    };
    insert(conn, raised, &row)?;
    if let Some(why) = dead_at_birth {
        ladders::died(conn, raised, conn.last_insert_rowid(), finish.ended_at)?;
        let trouble = Trouble::Undelivered { cause: DeadCause::Configuration };
        let of = TroubleOf {
            error: Some(&why),
            run: finish::started_at(conn, finish.run_id)?.map(|began| (finish.run_id, began)),
            delivery: Some((delivery.id, finish.event_id, &delivery.plan.target)),
            ..TroubleOf::new(&finish.job_id, trouble)
        };
        alerts::trouble(conn, raised, &of, finish.ended_at)?;
    }
    Ok(to.id)
}

/// Writes a delivery of a late result. The run's completion does not wait for it, because the run was over before.
pub(super) fn insert_late(
    conn: &Connection,
    raised: &mut Raised,
    late: &LateResult,
    (event_seq, event_id): (i64, EventId),
    delivery: &NewDelivery,
) -> Result<(), StoreError> {
    let to = destinations::accepting(conn, &delivery.plan.target, late.at)?;
    let begin = match &delivery.plan.begin {
        _ if !to.exists => {
            let gone = delivery.plan.target.shown();
            DeliveryBegin::Dead(format!("there is no destination `{gone}` any more"))
        }
        begin => begin.clone(),
    };
    let row = NewRow {
        id: delivery.id,
        event_seq,
        event_id,
        run_id: Some(late.run_id),
        job_id: &late.job_id,
        to,
        begin,
        required: false,
        removes_job: false,
        ladder: None,
        after: None,
        now: late.at,
    };
    insert(conn, raised, &row)
}

pub(super) fn insert(conn: &Connection, raised: &mut Raised, new: &NewRow<'_>) -> Result<(), StoreError> {
    let NewRow { to, now, .. } = *new;
    let order_key = match to.order {
        Order::None => None,
        Order::Job => Some(new.job_id.as_str()),
        Order::Destination => Some(""),
    };
    let begin = match &new.begin {
        DeliveryBegin::Suppressed(_) if to.send_empty => &DeliveryBegin::Pending,
        begin => begin,
    };
    let (state, next_at, settled_at, reason) = match begin {
        DeliveryBegin::Pending => {
            let blocked = order_key.map(|key| leases::is_blocked(conn, to.id, key)).transpose()?;
            let next_at = (blocked != Some(true)).then_some(now);
            (DeliveryState::Pending, next_at, None, None)
        }
        DeliveryBegin::Suppressed(why) => (DeliveryState::Suppressed, None, Some(now), Some(why.as_str())),
        DeliveryBegin::Dead(why) => (DeliveryState::Dead, None, Some(now), Some(why.as_str())),
    };
    conn.prepare_cached(
        "INSERT INTO deliveries (id, event_seq, event_id, run_id, job_id, required, destination, order_key, state, \
         next_at, removes_job, reason, cause, created_at, armed_at, settled_at, ladder, after) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14, ?15, ?16, ?17)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            new.id.as_bytes(),
            new.event_seq,
            new.event_id.as_bytes(),
            new.run_id.as_ref().map(RunId::as_bytes),
            new.job_id.as_str(),
            new.required,
            to.id.number(),
            order_key,
            state.as_str(),
            next_at.map(At),
            new.removes_job,
            reason,
            // Nothing that a receiver did: it could not even be tried.
            (state == DeliveryState::Dead).then_some(DeadCause::Configuration.as_str()),
            At(now),
            settled_at.map(At),
            new.ladder,
            new.after.as_ref().map(DeliveryId::as_bytes),
        ])
    })
    .map_err(fault)?;
    if let Some(at) = next_at {
        raised.queue(QueueNews { destination: to.id, class: QueueClass::FirstTry, at });
    }
    Ok(())
}

pub(super) fn insert_attempt(
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
    let (state, next_at, settled_at, spends) = match settle.verdict {
        Verdict::Delivered => (DeliveryState::Delivered, None, Some(settle.now), Spends::Nothing),
        Verdict::RetryAt { at, spends } => (DeliveryState::Waiting, Some(at), None, spends),
        Verdict::Dead => (DeliveryState::Dead, None, Some(settle.now), Spends::Nothing),
    };
    // Found and changed in two statements of one transaction: `RETURNING` would cost a journal for each.
    let found = conn
        .prepare_cached(
            "SELECT seq, removes_job, run_id, job_id, destination, order_key, required, ladder FROM deliveries \
             WHERE id = ?1 AND lease = ?2 AND state = 'leased'",
        )
        .and_then(|mut select| {
            select
                .query_row(params![settle.delivery_id.as_bytes(), settle.lease.as_bytes()], |row| {
                    let place = (DestinationId::from_number(row.get("destination")?), row.get("order_key")?);
                    let followed = (row.get::<_, bool>("required")?, row.get::<_, Option<i64>>("ladder")?.is_some());
                    let job = (row.get::<_, bool>("removes_job")?, rows::job_id(row));
                    Ok((row.get::<_, i64>("seq")?, job, used_up(row), place, followed))
                })
                .optional()
        })
        .map_err(fault)?;
    let Some((seq, (removes_job, job_id), used_up, place, (required, has_ladder))) = found else {
        return Ok(Settled::LeaseLost);
    };
    let (destination, order_key): (DestinationId, Option<String>) = place;
    conn.prepare_cached(
        "UPDATE deliveries SET state = ?2, next_at = ?3, settled_at = ?4, retries_used = retries_used + ?5, \
         refusals = refusals + ?6, reason = ?7, cause = ?8, lease = NULL, leased_at = NULL, lease_until = NULL \
         WHERE seq = ?1",
    )
    .and_then(|mut update| {
        let (next_at, settled_at) = (next_at.map(At), settled_at.map(At));
        let (retry, refusal) = (spends.a_retry(), spends.a_refusal());
        let class = settle.attempt.report.class;
        let cause = (state == DeliveryState::Dead).then(|| DeadCause::of(class).as_str());
        update.execute(params![
            seq,
            state.as_str(),
            next_at,
            settled_at,
            retry,
            refusal,
            settle.reason,
            cause
        ])
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
    if state == DeliveryState::Delivered && attempt.report.announced.is_some() {
        pieces::note_route(conn, &job_id?, destination, settle.now)?;
    }
    if removes_job && state == DeliveryState::Delivered {
        let (job, run) = used_up?;
        if finish::nothing_is_missing(conn, run)? {
            finish::remove_used_up(conn, raised, &job, run, settle.now)?;
        }
    }
    if let Some(at) = next_at {
        raised.queue(QueueNews { destination, class: QueueClass::Retry, at });
        return Ok(Settled::Done);
    }
    if let Some(key) = order_key {
        leases::unblock(conn, raised, destination, &key, settle.now)?;
    }
    if state == DeliveryState::Dead {
        ladders::died(conn, raised, seq, settle.now)?;
        tell_of_dead(conn, raised, settle)?;
    } else if has_ladder {
        ladders::arrived(conn, raised, seq, settle.acknowledged, settle.now)?;
    }
    if required {
        alert(conn, raised, settle, state)?;
    }
    raised.raise(Topic::Settled);
    Ok(Settled::Done)
}

/// Tells of a result that its job asked for and that was given up, or of one that arrived after others were.
fn alert(
    conn: &Connection,
    raised: &mut Raised,
    settle: &SettleAttempt,
    state: DeliveryState,
) -> Result<(), StoreError> {
    if state == DeliveryState::Delivered {
        return alerts::delivered(conn, raised, settle.delivery_id, settle.now);
    }
    let Some(delivery) = one(conn, settle.delivery_id)? else { return Ok(()) };
    let run = delivery.run_id.map(|run| Ok::<_, StoreError>((run, finish::started_at(conn, run)?)));
    let trouble = Trouble::Undelivered { cause: delivery.cause.unwrap_or(DeadCause::Receiver) };
    let of = TroubleOf {
        error: Some(settle.reason.as_deref().unwrap_or(&settle.attempt.decision)),
        run: run.transpose()?.and_then(|(run, began)| Some((run, began?))),
        provenance: Some(notices::provenance_of(conn, delivery.event_id)?),
        delivery: Some((delivery.id, delivery.event_id, &delivery.target)),
        ..TroubleOf::new(&delivery.job_id, trouble)
    };
    alerts::trouble(conn, raised, &of, settle.now)
}

/// Tells that a delivery was given up; but not that such a telling was, which would go on for ever.
fn tell_of_dead(conn: &Connection, raised: &mut Raised, settle: &SettleAttempt) -> Result<(), StoreError> {
    let Some(delivery) = one(conn, settle.delivery_id)? else { return Ok(()) };
    let kind: String = conn
        .prepare_cached("SELECT kind FROM events WHERE id = ?1")
        .and_then(|mut select| select.query_row([delivery.event_id.as_bytes()], |row| row.get(0)))
        .map_err(fault)?;
    if kind == EventKind::DeliveryDead.as_str() {
        return Ok(());
    }
    let notice = Notice::DeliveryDead {
        delivery_id: delivery.id,
        event_id: delivery.event_id,
        run_id: delivery.run_id,
        target: &delivery.target.shown(),
        attempts: delivery.attempts,
        reason: settle.reason.as_deref().unwrap_or(&settle.attempt.decision),
    };
    let (job_name, agent_id) = jobs::name_and_agent(conn, &delivery.job_id)?;
    let about = About { job_id: &delivery.job_id, job_name: &job_name, agent_id: &agent_id };
    let provenance = notices::provenance_of(conn, delivery.event_id)?;
    notices::publish_caused(conn, raised, about, &notice, &provenance, settle.now)
}

fn used_up(row: &Row<'_>) -> Result<(clawhook_model::JobId, RunId), StoreError> {
    Ok((rows::job_id(row)?, rows::id(row, "run_id", RunId::from_bytes)?))
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
        // It has no way: its job named none, and nothing was configured that it could have taken.
        _ if matches!(&delivery.target, Target::Announce(place) if place.channel.is_none()) => {
            return Ok(DeliveryRetried::NoSender);
        }
        DeliveryState::Dead | DeliveryState::Cancelled => return rearm(conn, raised, id, now),
        DeliveryState::Pending | DeliveryState::Waiting => {}
    }
    conn.prepare_cached(
        "UPDATE deliveries SET next_at = ?2, retries_used = 0, refusals = 0, armed_at = ?2 WHERE id = ?1 AND lease IS NULL",
    )
    .and_then(|mut update| update.execute(params![id.as_bytes(), At(now)]))
    .map_err(fault)?;
    let class =
        if delivery.state == DeliveryState::Pending { QueueClass::FirstTry } else { QueueClass::Retry };
    raised.queue(QueueNews { destination: delivery.destination_id, class, at: now });
    Ok(DeliveryRetried::Due)
}

fn rearm(
    conn: &Connection,
    raised: &mut Raised,
    id: DeliveryId,
    now: UnixMs,
) -> Result<DeliveryRetried, StoreError> {
    Ok(match replays::replay_delivery(conn, raised, id, None, now)? {
        DeliveryReplayed::Sent(_) => DeliveryRetried::Due,
        DeliveryReplayed::Refused(NotSentAgain::NoDestination) => DeliveryRetried::NoDestination,
        DeliveryReplayed::Refused(_) => DeliveryRetried::NoSender,
        DeliveryReplayed::NotFound => DeliveryRetried::NotFound,
    })
}

pub(super) fn cancel(
    conn: &Connection,
    raised: &mut Raised,
    id: DeliveryId,
    now: UnixMs,
) -> Result<DeliveryCancelled, StoreError> {
    let Some(delivery) = one(conn, id)? else { return Ok(DeliveryCancelled::NotFound) };
    match delivery.state {
        DeliveryState::Leased => return Ok(DeliveryCancelled::UnderWay),
        state if state.is_settled() => return Ok(DeliveryCancelled::Settled(state)),
        _ => {}
    }
    call_off(conn, raised, id, "cancelled by hand", now)?;
    ladders::cancelled(conn, raised, id)?;
    Ok(DeliveryCancelled::Done)
}

/// Ends a delivery that waits, and lets go what stands behind it in an order.
pub(super) fn call_off(
    conn: &Connection,
    raised: &mut Raised,
    id: DeliveryId,
    why: &str,
    now: UnixMs,
) -> Result<(), StoreError> {
    let (destination, order_key): (i64, Option<String>) = conn
        .prepare_cached("SELECT destination, order_key FROM deliveries WHERE id = ?1")
        .and_then(|mut select| select.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(fault)?;
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'cancelled', next_at = NULL, settled_at = ?2, reason = ?3 \
         WHERE id = ?1 AND lease IS NULL",
    )
    .and_then(|mut update| update.execute(params![id.as_bytes(), At(now), why]))
    .map_err(fault)?;
    if let Some(key) = order_key {
        leases::unblock(conn, raised, DestinationId::from_number(destination), &key, now)?;
    }
    raised.raise(Topic::Settled);
    Ok(())
}

fn one(conn: &Connection, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} WHERE d.id = ?1"))
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
    Ok(Some(DeliveryWithAttempts { delivery, attempts, replayed_as: replayed_as(conn, id)? }))
}

fn replayed_as(conn: &Connection, id: DeliveryId) -> Result<Vec<DeliveryId>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT id FROM deliveries WHERE replay_of = ?1 AND replay_of IS NOT NULL ORDER BY seq",
        )
        .map_err(fault)?;
    let mut found = select.query([id.as_bytes()]).map_err(fault)?;
    let mut ids = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        ids.push(rows::id(row, "id", DeliveryId::from_bytes)?);
    }
    Ok(ids)
}

/// The deliveries of an event of no run, in their order.
pub(super) fn of_notice(conn: &Connection, event_seq: i64) -> Result<Vec<Delivery>, StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE d.run_id IS NULL AND d.event_seq = ?1 ORDER BY d.seq");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query([event_seq]).map_err(fault)?;
    let mut deliveries = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        deliveries.push(read(row)?);
    }
    Ok(deliveries)
}

pub(super) fn of_run(conn: &Connection, run: RunId) -> Result<Vec<Delivery>, StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE d.run_id = ?1 ORDER BY d.seq");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query([run.as_bytes()]).map_err(fault)?;
    let mut deliveries = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        deliveries.push(read(row)?);
    }
    Ok(deliveries)
}

/// Conditions on deliveries (`d`), joined by AND, with their values.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    texts: Vec<String>,
    pub(super) values: Vec<rusqlite::types::Value>,
}

impl Conditions {
    pub(super) fn add(&mut self, text: &str, value: impl Into<rusqlite::types::Value>) {
        self.texts.push(text.to_owned());
        self.values.push(value.into());
    }

    /// One of some words, where there are any.
    pub(super) fn add_words<'w>(&mut self, column: &str, words: impl Iterator<Item = &'w str>) {
        let words: HashSet<&str> = words.collect();
        if words.is_empty() {
            return;
        }
        self.texts.push(format!("{column} IN ({})", vec!["?"; words.len()].join(", ")));
        self.values.extend(words.into_iter().map(|word| word.to_owned().into()));
    }

    pub(super) fn text(&self) -> String {
        if self.texts.is_empty() { "1".to_owned() } else { self.texts.join(" AND ") }
    }
}

fn conditions(filter: &DeliveryFilter) -> Conditions {
    let mut conditions = Conditions::default();
    if let Some(job) = &filter.job_id {
        // Deliveries have no index by job; its runs lead to them.
        conditions.add("d.run_id IN (SELECT id FROM runs WHERE job_id = ?)", job.as_str().to_owned());
    }
    if let Some(run) = &filter.run_id {
        conditions.add("d.run_id = ?", run.as_bytes().to_vec());
    }
    if let Some(destination) = filter.destination {
        conditions.add("d.destination = ?", destination.number());
    }
    for (bound, condition) in [(filter.since, "d.created_at >= ?"), (filter.until, "d.created_at < ?")] {
        if let Some(at) = bound {
            conditions.add(condition, at.as_millis());
        }
    }
    conditions.add_words("d.state", filter.states.iter().map(|state| state.as_str()));
    conditions.add_words("d.cause", filter.causes.iter().map(|cause| cause.as_str()));
    conditions
}

pub(super) fn page(conn: &Connection, filter: &DeliveryFilter) -> Result<DeliveryPage, StoreError> {
    let conditions = conditions(filter);
    let (condition, mut values) = (conditions.text(), conditions.values);
    let total: i64 = conn
        .prepare_cached(&format!("SELECT count(*) FROM deliveries d WHERE {condition}"))
        .and_then(|mut count| count.query_row(params_from_iter(&values), |row| row.get(0)))
        .map_err(fault)?;
    values.push(rows::int(filter.limit).into());
    values.push(rows::int(filter.offset).into());
    let sql = format!("SELECT {COLUMNS} WHERE {condition} ORDER BY d.seq DESC LIMIT ? OFFSET ?");
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
        run_id: rows::id_opt(row, "run_id", RunId::from_bytes)?,
        job_id: rows::job_id(row)?,
        required: rows::get(row, "required")?,
        replay_of: rows::id_opt(row, "replay_of", DeliveryId::from_bytes)?,
        destination_id: DestinationId::from_number(rows::get(row, "destination")?),
        target: rows::target(row)?,
        state: rows::word(row, "state", rows::delivery_state)?,
        attempts: rows::get(row, "attempts")?,
        created_at: rows::at(row, "created_at")?,
        next_at: rows::at_opt(row, "next_at")?,
        settled_at: rows::at_opt(row, "settled_at")?,
        reason: rows::get(row, "reason")?,
        cause: rows::word_opt(row, "cause", rows::dead_cause)?,
        after: rows::id_opt(row, "after", DeliveryId::from_bytes)?,
        acknowledgement: ladders::acknowledgement(row)?,
    })
}

pub(super) fn counts(conn: &Connection, now: UnixMs) -> Result<Counts, StoreError> {
    let count = |sql: &str| -> Result<u64, StoreError> {
        conn.prepare_cached(sql)
            .and_then(|mut select| select.query_row([], |row| row.get::<_, i64>(0)))
            .map(|count| u64::try_from(count).unwrap_or(0))
            .map_err(fault)
    };
    let next_runs = [jobs::next_wake(conn, Lane::Instant)?.due_at, jobs::next_wake(conn, Lane::Slot)?.due_at];
    let (jobs_enabled, jobs_disabled) = (job_pages::count(conn, true)?, job_pages::count(conn, false)?);
    let (halted, oldest_due) = waiting(conn, now)?;
    Ok(Counts {
        jobs: jobs_enabled + jobs_disabled,
        jobs_enabled,
        jobs_switched_off: count("SELECT count(*) FROM jobs WHERE auto_disabled IS NOT NULL")?,
        next_run_at: next_runs.into_iter().flatten().min(),
        runs_queued: count("SELECT count(*) FROM runs WHERE state = 'queued'")?,
        runs_running: count("SELECT count(*) FROM runs WHERE state = 'running'")?,
        deliveries_open: count("SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL")?
            + count("SELECT count(*) FROM deliveries WHERE lease_until IS NOT NULL")?
            + count(
                "SELECT count(*) FROM deliveries WHERE order_key IS NOT NULL AND settled_at IS NULL \
                 AND next_at IS NULL AND lease IS NULL",
            )?,
        deliveries_halted: halted,
        deliveries_dead: dead(conn)?,
        loops_broken: count("SELECT count FROM tallies WHERE name = 'loops-broken'")?,
        replays_running: count("SELECT count(*) FROM replays WHERE state = 'running'")?,
        oldest_due_delivery_at: oldest_due,
    })
}

fn dead(conn: &Connection) -> Result<DeadCounts, StoreError> {
    let mut select = conn
        .prepare_cached("SELECT cause, count(*) AS dead FROM deliveries WHERE state = 'dead' GROUP BY cause")
        .map_err(fault)?;
    let mut found = select.query([]).map_err(fault)?;
    let mut counts = DeadCounts::default();
    while let Some(row) = found.next().map_err(fault)? {
        let dead = u64::try_from(rows::get::<i64>(row, "dead")?).unwrap_or(0);
        match rows::word(row, "cause", rows::dead_cause)? {
            DeadCause::Receiver => counts.receiver += dead,
            DeadCause::Configuration => counts.configuration += dead,
            DeadCause::Gateway => counts.gateway += dead,
        }
    }
    Ok(counts)
}

/// How many deliveries wait for destinations that are halted, and when the longest overdue one of the others was due.
fn waiting(conn: &Connection, now: UnixMs) -> Result<(u64, Option<UnixMs>), StoreError> {
    let (mut halted, mut oldest_due) = (0, None::<UnixMs>);
    let mut count = conn
        .prepare_cached(
            "SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL AND destination = ?1 AND state = ?2",
        )
        .map_err(fault)?;
    for QueueNews { destination, class, at } in leases::all(conn)? {
        if destinations::gives(conn, destination, false)? {
            oldest_due = oldest_due.into_iter().chain((at <= now).then_some(at)).min();
        } else {
            let params = params![destination.number(), leases::state_of(class)];
            let waits: i64 = count.query_row(params, |row| row.get(0)).map_err(fault)?;
            halted += u64::try_from(waits).unwrap_or(0);
        }
    }
    Ok((halted, oldest_due))
}
