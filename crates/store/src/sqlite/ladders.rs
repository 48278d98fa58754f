//! Ladders in rows: where an event goes next, when its delivery dies or nobody acknowledges it.

use clawhook_model::{
    AckState, Acknowledgement, AskRules, DeliveryBegin, DeliveryId, DestinationId, EventId, JobId,
    LadderPlan, RunId, Target, UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::outbox::{self, NewRow};
use super::rows::{self, At};
use super::writer::Raised;
use super::{destinations, fault};
use crate::{Acknowledged, Ask, AskAnswer, StoreError, Topic};

/// An event that a ladder carries.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub(super) event_seq: i64,
    pub(super) event_id: EventId,
    pub(super) run_id: Option<RunId>,
    pub(super) job_id: JobId,
}

/// A ladder's row.
struct Ladder {
    seq: i64,
    /// The rungs above the present one.
    rungs: Vec<Target>,
    ask: Option<AskRules>,
    asked: u32,
}

/// Writes an event's delivery to the first rung of a ladder, or to the first that can be tried at all; gives the
/// destinations of what was written.
pub(super) fn begin(
    conn: &Connection,
    raised: &mut Raised,
    carried: &Carried,
    first: &Target,
    plan: &LadderPlan,
    now: UnixMs,
) -> Result<Vec<DestinationId>, StoreError> {
    let mut ladder = Ladder { seq: 0, rungs: plan.then.clone(), ask: plan.ask.clone(), asked: 0 };
    let number = insert(conn, carried.event_seq, plan)?;
    ladder.seq = number.unwrap_or(0);
    let mut written = Vec::new();
    let alive = rung(conn, raised, carried, first, number, None, now)?;
    written.push(alive.1);
    if !alive.0 && number.is_some() {
        climb(conn, raised, ladder, carried, None, now, &mut written)?;
    }
    Ok(written)
}

/// Writes the ladder of a delivery that is to be; none where there is nothing above it and nothing to acknowledge.
pub(super) fn insert(
    conn: &Connection,
    event_seq: i64,
    plan: &LadderPlan,
) -> Result<Option<i64>, StoreError> {
    if plan.then.is_empty() && plan.ask.is_none() {
        return Ok(None);
    }
    let ask = plan.ask.as_ref().map(json).transpose()?;
    conn.prepare_cached("INSERT INTO ladders (event_seq, rungs, ask, state) VALUES (?1, ?2, ?3, 'open')")
        .and_then(|mut insert| insert.execute(params![event_seq, rungs_json(&plan.then), ask]))
        .map_err(fault)?;
    Ok(Some(conn.last_insert_rowid()))
}

fn json(ask: &AskRules) -> Result<String, StoreError> {
    serde_json::to_string(ask).map_err(|error| StoreError::Engine(error.to_string()))
}

fn rungs_json(rungs: &[Target]) -> String {
    serde_json::Value::from_iter(rungs.iter().map(Target::to_stored_json)).to_string()
}

/// Writes the delivery to one rung. Gives whether it can be tried, and its destination.
fn rung(
    conn: &Connection,
    raised: &mut Raised,
    carried: &Carried,
    target: &Target,
    ladder: Option<i64>,
    after: Option<DeliveryId>,
    now: UnixMs,
) -> Result<(bool, DestinationId), StoreError> {
    let to = destinations::accepting(conn, target, now)?;
    let begin = match target {
        _ if !to.exists => {
            DeliveryBegin::Dead(format!("there is no destination `{}` any more", target.shown()))
        }
        _ => DeliveryBegin::Pending,
    };
    let alive = begin == DeliveryBegin::Pending;
    let row = NewRow {
        id: DeliveryId::new(now),
        event_seq: carried.event_seq,
        event_id: carried.event_id,
        run_id: carried.run_id,
        job_id: &carried.job_id,
        to,
        begin,
        required: false,
        removes_job: false,
        ladder,
        after,
        now,
    };
    outbox::insert(conn, raised, &row)?;
    Ok((alive, to.id))
}

/// Goes to the next rung that can be tried; where there is none, the ladder is at its end.
fn climb(
    conn: &Connection,
    raised: &mut Raised,
    mut ladder: Ladder,
    carried: &Carried,
    after: Option<DeliveryId>,
    now: UnixMs,
    written: &mut Vec<DestinationId>,
) -> Result<(), StoreError> {
    raised.raise(Topic::Asks);
    while !ladder.rungs.is_empty() {
        let next = ladder.rungs.remove(0);
        let (alive, destination) = rung(conn, raised, carried, &next, Some(ladder.seq), after, now)?;
        written.push(destination);
        if alive {
            conn.prepare_cached("UPDATE ladders SET rungs = ?2, asked = 0, ask_at = NULL WHERE seq = ?1")
                .and_then(|mut update| update.execute(params![ladder.seq, rungs_json(&ladder.rungs)]))
                .map_err(fault)?;
            return Ok(());
        }
    }
    conn.prepare_cached(
        "UPDATE ladders SET rungs = '[]', ask_at = NULL, \
         state = CASE WHEN ask IS NULL THEN 'ended' ELSE 'unacknowledged' END WHERE seq = ?1",
    )
    .and_then(|mut update| update.execute([ladder.seq]))
    .map_err(fault)?;
    raised.raise(Topic::Settled);
    Ok(())
}

/// The ladder with this number, while it goes on.
fn open(conn: &Connection, seq: i64) -> Result<Option<Ladder>, StoreError> {
    conn.prepare_cached("SELECT seq, rungs, ask, asked FROM ladders WHERE seq = ?1 AND state = 'open'")
        .and_then(|mut select| select.query_row([seq], |row| Ok(read(row))).optional())
        .map_err(fault)?
        .transpose()
}

fn read(row: &Row<'_>) -> Result<Ladder, StoreError> {
    let rungs: Vec<serde_json::Value> =
        rows::from_json(&rows::get::<String>(row, "rungs")?, "a ladder's rungs")?;
    let rungs: Result<Vec<Target>, _> = rungs.into_iter().map(Target::from_stored_json).collect();
    let ask: Option<String> = rows::get(row, "ask")?;
    Ok(Ladder {
        seq: rows::get(row, "seq")?,
        rungs: rungs.map_err(|_| StoreError::BadRow("a ladder's rungs".to_owned()))?,
        ask: ask.map(|ask| rows::from_json(&ask, "how an acknowledgement is asked for")).transpose()?,
        asked: rows::get(row, "asked")?,
    })
}

/// A delivery of a ladder, with its ladder's number.
struct Rung {
    id: DeliveryId,
    carried: Carried,
    destination: DestinationId,
}

fn rung_of(conn: &Connection, delivery: i64) -> Result<Option<(i64, Rung)>, StoreError> {
    conn.prepare_cached(
        "SELECT ladder, id, event_seq, event_id, run_id, job_id, destination FROM deliveries \
         WHERE seq = ?1 AND ladder IS NOT NULL",
    )
    .and_then(|mut select| select.query_row([delivery], |row| Ok(read_rung(row))).optional())
    .map_err(fault)?
    .transpose()
}

fn read_rung(row: &Row<'_>) -> Result<(i64, Rung), StoreError> {
    let carried = Carried {
        event_seq: rows::get(row, "event_seq")?,
        event_id: rows::id(row, "event_id", EventId::from_bytes)?,
        run_id: rows::id_opt(row, "run_id", RunId::from_bytes)?,
        job_id: rows::job_id(row)?,
    };
    let rung = Rung {
        id: rows::id(row, "id", DeliveryId::from_bytes)?,
        carried,
        destination: DestinationId::from_number(rows::get(row, "destination")?),
    };
    Ok((rows::get(row, "ladder")?, rung))
}

/// A delivery was given up: its event goes to the next rung, in the same transaction.
pub(super) fn died(
    conn: &Connection,
    raised: &mut Raised,
    delivery: i64,
    now: UnixMs,
) -> Result<(), StoreError> {
    let Some((number, rung)) = rung_of(conn, delivery)? else { return Ok(()) };
    let Some(ladder) = open(conn, number)? else { return Ok(()) };
    climb(conn, raised, ladder, &rung.carried, Some(rung.id), now, &mut Vec::new())
}

/// A delivery arrived: from now on its acknowledgement is waited for, unless the receiver gave it with its answer.
pub(super) fn arrived(
    conn: &Connection,
    raised: &mut Raised,
    delivery: i64,
    acknowledged: bool,
    now: UnixMs,
) -> Result<(), StoreError> {
    let Some((number, rung)) = rung_of(conn, delivery)? else { return Ok(()) };
    let Some(ladder) = open(conn, number)? else { return Ok(()) };
    let Some(ask) = ladder.ask else { return Ok(()) };
    if acknowledged {
        return close(conn, raised, rung.carried.event_seq, "receiver", now);
    }
    conn.prepare_cached("UPDATE ladders SET ask_at = ?2 WHERE seq = ?1")
        .and_then(|mut update| update.execute(params![number, At(now.plus(ask.within()))]))
        .map_err(fault)?;
    raised.raise(Topic::Asks);
    Ok(())
}

/// A person ended a delivery: nobody is asked for it any more.
pub(super) fn cancelled(conn: &Connection, raised: &mut Raised, id: DeliveryId) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE ladders SET state = 'ended', ask_at = NULL WHERE state = 'open' \
         AND seq = (SELECT ladder FROM deliveries WHERE id = ?1)",
    )
    .and_then(|mut update| update.execute([id.as_bytes()]))
    .map_err(fault)?;
    raised.raise(Topic::Asks);
    Ok(())
}

/// Closes what waits for somebody to acknowledge an event; what was to be sent again and is not yet on its way is not.
fn close(
    conn: &Connection,
    raised: &mut Raised,
    event_seq: i64,
    by: &str,
    now: UnixMs,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE ladders SET state = 'acknowledged', acknowledged_at = ?2, acknowledged_by = ?3, ask_at = NULL \
         WHERE event_seq = ?1 AND ask IS NOT NULL AND state <> 'acknowledged'",
    )
    .and_then(|mut update| update.execute(params![event_seq, At(now), by]))
    .map_err(fault)?;
    let mut select = conn
        .prepare_cached(
            "SELECT d.id FROM ladders l JOIN deliveries d ON d.ladder = l.seq AND d.ladder IS NOT NULL \
             WHERE l.event_seq = ?1 AND l.ask IS NOT NULL AND d.after IS NOT NULL AND d.settled_at IS NULL \
             AND d.lease IS NULL",
        )
        .map_err(fault)?;
    let mut found = select.query([event_seq]).map_err(fault)?;
    let mut needless = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        needless.push(rows::id(row, "id", DeliveryId::from_bytes)?);
    }
    drop(found);
    for id in needless {
        outbox::call_off(conn, raised, id, "it was acknowledged before it was sent again", now)?;
    }
    raised.raise(Topic::Asks);
    raised.raise(Topic::Settled);
    Ok(())
}

/// Somebody acknowledges the event of a delivery: all who were asked for it are asked no more.
pub(super) fn acknowledge(
    conn: &Connection,
    raised: &mut Raised,
    id: DeliveryId,
    by: &str,
    now: UnixMs,
) -> Result<Acknowledged, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT d.event_seq, l.state, l.ask IS NOT NULL AS asks FROM deliveries d \
             LEFT JOIN ladders l ON l.seq = d.ladder WHERE d.id = ?1",
        )
        .and_then(|mut select| {
            select
                .query_row([id.as_bytes()], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, bool>(2)?))
                })
                .optional()
        })
        .map_err(fault)?;
    let Some((event_seq, state, asks)) = found else { return Ok(Acknowledged::NotFound) };
    match state.as_deref() {
        Some("acknowledged") => Ok(Acknowledged::Before),
        Some(_) if asks => {
            close(conn, raised, event_seq, by, now)?;
            Ok(Acknowledged::Done)
        }
        _ => Ok(Acknowledged::NotAsked),
    }
}

/// When somebody is to be asked again next.
pub(super) fn next_ask(conn: &Connection) -> Result<Option<UnixMs>, StoreError> {
    let at: Option<At> = conn
        .prepare_cached("SELECT min(ask_at) FROM ladders WHERE ask_at IS NOT NULL")
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(fault)?;
    Ok(at.map(|at| at.0))
}

/// What is to be asked again by now, the longest waiting first.
pub(super) fn due_asks(conn: &Connection, now: UnixMs, limit: usize) -> Result<Vec<Ask>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT seq, ask, ask_at FROM ladders WHERE ask_at IS NOT NULL AND ask_at <= ?1 ORDER BY ask_at LIMIT ?2",
        )
        .map_err(fault)?;
    let mut found = select.query(params![At(now), rows::int(limit)]).map_err(fault)?;
    let mut asks = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let rules: Option<String> = rows::get(row, "ask")?;
        let rules: Option<AskRules> =
            rules.map(|rules| rows::from_json(&rules, "how an acknowledgement is asked for")).transpose()?;
        asks.push(Ask {
            ladder: rows::get(row, "seq")?,
            at: rows::at(row, "ask_at")?,
            quiet_hours: rules.and_then(|rules| rules.quiet_hours),
        });
    }
    Ok(asks)
}

/// Sends an event again whose acknowledgement did not come: to the same rung, or once that was asked often enough to the
/// next; or has it wait until quiet hours are over.
pub(super) fn answer_ask(
    conn: &Connection,
    raised: &mut Raised,
    ask: &Ask,
    answer: AskAnswer,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let is_due = conn
        .prepare_cached("SELECT 1 FROM ladders WHERE seq = ?1 AND ask_at = ?2 AND state = 'open'")
        .and_then(|mut select| select.exists(params![ask.ladder, At(ask.at)]))
        .map_err(fault)?;
    if !is_due {
        return Ok(false);
    }
    if let AskAnswer::Postpone(until) = answer {
        conn.prepare_cached("UPDATE ladders SET ask_at = ?2 WHERE seq = ?1")
            .and_then(|mut update| update.execute(params![ask.ladder, At(until)]))
            .map_err(fault)?;
        raised.raise(Topic::Asks);
        return Ok(true);
    }
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(seq) FROM deliveries WHERE ladder = ?1 AND ladder IS NOT NULL")
        .and_then(|mut select| select.query_row([ask.ladder], |row| row.get(0)))
        .map_err(fault)?;
    let rung = last.map(|last| rung_of(conn, last)).transpose()?.flatten();
    let (Some(ladder), Some((_, rung))) = (open(conn, ask.ladder)?, rung) else { return Ok(false) };
    let times = ladder.ask.as_ref().map_or(0, |rules| rules.times);
    if ladder.asked >= times {
        climb(conn, raised, ladder, &rung.carried, Some(rung.id), now, &mut Vec::new())?;
        return Ok(true);
    }
    conn.prepare_cached("UPDATE ladders SET asked = asked + 1, ask_at = NULL WHERE seq = ?1")
        .and_then(|mut update| update.execute([ladder.seq]))
        .map_err(fault)?;
    let same = destinations::current(conn, rung.destination)?;
    match same.filter(|same| same.can_be_sent_to) {
        Some(same) => {
            let row = NewRow {
                id: DeliveryId::new(now),
                event_seq: rung.carried.event_seq,
                event_id: rung.carried.event_id,
                run_id: rung.carried.run_id,
                job_id: &rung.carried.job_id,
                to: destinations::accepting_of(conn, same.id)?,
                begin: DeliveryBegin::Pending,
                required: false,
                removes_job: false,
                ladder: Some(ladder.seq),
                after: Some(rung.id),
                now,
            };
            outbox::insert(conn, raised, &row)?;
        }
        None => climb(conn, raised, ladder, &rung.carried, Some(rung.id), now, &mut Vec::new())?,
    }
    raised.raise(Topic::Asks);
    Ok(true)
}

/// How the acknowledgement of a delivery stands, from the columns that [`outbox`] reads along.
pub(super) fn acknowledgement(row: &Row<'_>) -> Result<Option<Acknowledgement>, StoreError> {
    let Some(state) = rows::word_opt(row, "ack_state", ack_state)? else { return Ok(None) };
    Ok(Some(Acknowledgement {
        state,
        by: rows::get(row, "acknowledged_by")?,
        at: rows::at_opt(row, "acknowledged_at")?,
        asked_again: rows::get(row, "asked")?,
        ask_at: rows::at_opt(row, "ask_at")?,
    }))
}

pub(super) fn ack_state(text: &str) -> Option<AckState> {
    AckState::ALL.into_iter().find(|state| state.as_str() == text)
}
