//! Sending once more, in rows.

use clawhook_model::{
    DeliveryId, DeliveryState, DestinationId, JobId, Order, Replay, ReplayFilter, ReplayId, ReplayState,
    RunId, Target, UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::destinations::Current;
use super::outbox::Conditions;
use super::rows::{self, At};
use super::writer::Raised;
use super::{destinations, fault, leases};
use crate::{
    DeliveryReplayed, NewReplay, NotSentAgain, QueueClass, QueueNews, ReplayAdvanced, ReplayCancelled,
    ReplayListFilter, ReplayOutcomes, ReplayPage, ReplayWithOutcomes, RunReplayed, RunningReplay, SentAgain,
    StoreError, Topic,
};

const COLUMNS: &str = "r.id, r.filter, r.destination, r.per_second, r.matched, r.done, r.skipped, r.state, \
                       r.reason, r.created_at, r.ended_at, t.kind, t.key \
                       FROM replays r LEFT JOIN destinations t ON t.seq = r.destination";

const CARRIED: &str = "d.seq, d.id, d.event_seq, d.job_id, d.destination, d.state FROM deliveries d";

/// How many deliveries a replay looks at in one transaction, matching or not, so that nobody waits long for the writer.
const STRETCH: i64 = 4096;

/// A delivery whose event is to be sent once more.
struct Carried {
    seq: i64,
    id: DeliveryId,
    event_seq: i64,
    job_id: JobId,
    destination: DestinationId,
    state: DeliveryState,
}

/// On whose behalf something is sent once more, and when.
#[derive(Clone, Copy)]
struct Asked {
    /// The replay; none where a person asked for this very one.
    replay: Option<i64>,
    now: UnixMs,
}

pub(super) fn replay_delivery(
    conn: &Connection,
    raised: &mut Raised,
    id: DeliveryId,
    to: Option<&Target>,
    now: UnixMs,
) -> Result<DeliveryReplayed, StoreError> {
    let Some(carried) = one(conn, id)? else { return Ok(DeliveryReplayed::NotFound) };
    let target = match to {
        None => destinations::current(conn, carried.destination)?,
        Some(to) => chosen(conn, to, now)?,
    };
    Ok(match send_again(conn, raised, &carried, target, Asked { replay: None, now })? {
        Ok(sent) => DeliveryReplayed::Sent(sent),
        Err(why) => DeliveryReplayed::Refused(why),
    })
}

pub(super) fn replay_run(
    conn: &Connection,
    raised: &mut Raised,
    run: RunId,
    event_seq: Option<i64>,
    to: Option<&Target>,
    now: UnixMs,
) -> Result<RunReplayed, StoreError> {
    let Some(job_id) = job_of(conn, run)? else { return Ok(RunReplayed::NotFound) };
    let Some(event_seq) = event_seq else { return Ok(RunReplayed::NotOver) };
    let asked = Asked { replay: None, now };
    let own = required_by(conn, run)?;
    let (mut sent, mut refused) = (Vec::new(), Vec::new());
    let mut note = |id: DeliveryId, again: Result<SentAgain, NotSentAgain>| match again {
        Ok(again) => sent.push(again),
        Err(why) => refused.push((id, why)),
    };
    match to.map(|to| chosen(conn, to, now)).transpose()? {
        None => {
            for carried in &own {
                let target = destinations::current(conn, carried.destination)?;
                note(carried.id, send_again(conn, raised, carried, target, asked)?);
            }
        }
        Some(target) => {
            // One that went there already is the one to be sent again.
            let is_there = |carried: &&Carried| target.is_some_and(|to| to.id == carried.destination);
            match (own.iter().find(is_there).or(own.first()), target) {
                (Some(carried), _) => note(carried.id, send_again(conn, raised, carried, target, asked)?),
                (None, Some(to)) => {
                    let event = Event { seq: event_seq, job_id: &job_id, replay_of: None };
                    sent.push(SentAgain::Added(add(conn, raised, event, to, asked)?));
                }
                (None, None) => {}
            }
        }
    }
    Ok(RunReplayed::Done { sent, refused })
}

fn one(conn: &Connection, id: DeliveryId) -> Result<Option<Carried>, StoreError> {
    conn.prepare_cached(&format!("SELECT {CARRIED} WHERE d.id = ?1"))
        .and_then(|mut select| select.query_row([id.as_bytes()], |row| Ok(read_carried(row))).optional())
        .map_err(fault)?
        .transpose()
}

fn required_by(conn: &Connection, run: RunId) -> Result<Vec<Carried>, StoreError> {
    let sql = format!("SELECT {CARRIED} WHERE d.run_id = ?1 AND d.required ORDER BY d.seq");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    read_all(select.query([run.as_bytes()]).map_err(fault)?)
}

fn read_all(mut found: rusqlite::Rows<'_>) -> Result<Vec<Carried>, StoreError> {
    let mut carried = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        carried.push(read_carried(row)?);
    }
    Ok(carried)
}

fn read_carried(row: &Row<'_>) -> Result<Carried, StoreError> {
    Ok(Carried {
        seq: rows::get(row, "seq")?,
        id: rows::id(row, "id", DeliveryId::from_bytes)?,
        event_seq: rows::get(row, "event_seq")?,
        job_id: rows::job_id(row)?,
        destination: DestinationId::from_number(rows::get(row, "destination")?),
        state: rows::word(row, "state", rows::delivery_state)?,
    })
}

fn job_of(conn: &Connection, run: RunId) -> Result<Option<JobId>, StoreError> {
    conn.prepare_cached("SELECT job_id FROM runs WHERE id = ?1")
        .and_then(|mut select| select.query_row([run.as_bytes()], |row| Ok(rows::job_id(row))).optional())
        .map_err(fault)?
        .transpose()
}

/// The event of a run that is over; it never changes.
pub(super) fn event_of(conn: &Connection, run: RunId) -> Result<Option<i64>, StoreError> {
    let by_delivery: Option<i64> = conn
        .prepare_cached("SELECT event_seq FROM deliveries WHERE run_id = ?1 AND required LIMIT 1")
        .and_then(|mut select| select.query_row([run.as_bytes()], |row| row.get(0)).optional())
        .map_err(fault)?;
    if by_delivery.is_some() {
        return Ok(by_delivery);
    }
    conn.prepare_cached("SELECT seq FROM events WHERE run_id = ?1 AND kind = 'run.finished' LIMIT 1")
        .and_then(|mut select| select.query_row([run.as_bytes()], |row| row.get(0)).optional())
        .map_err(fault)
}

/// The destination that a person chose; an implicit one comes about when it is first named.
fn chosen(conn: &Connection, to: &Target, now: UnixMs) -> Result<Option<Current>, StoreError> {
    if matches!(to, Target::Webhook(_) | Target::Announce(_)) {
        destinations::accepting(conn, to, now)?;
    }
    match destinations::id_of(conn, to)? {
        Some(id) => destinations::current(conn, id),
        None => Ok(None),
    }
}

/// Sends the event of a delivery to `target` once more: by the delivery itself where it is over and did not arrive
/// there, else by another one.
fn send_again(
    conn: &Connection,
    raised: &mut Raised,
    carried: &Carried,
    target: Option<Current>,
    asked: Asked,
) -> Result<Result<SentAgain, NotSentAgain>, StoreError> {
    if carried.state == DeliveryState::Suppressed {
        return Ok(Err(NotSentAgain::Suppressed));
    }
    let Some(to) = target else { return Ok(Err(NotSentAgain::NoDestination)) };
    if !to.can_be_sent_to {
        return Ok(Err(NotSentAgain::NoSender));
    }
    let own = destinations::current(conn, carried.destination)?;
    let is_own = own.is_some_and(|own| own.id == to.id);
    if is_own && !carried.state.is_settled() {
        return Ok(Err(NotSentAgain::Open(carried.state)));
    }
    if let Some(replay) = asked.replay
        && has_sent(conn, replay, carried.event_seq, to.id)?
    {
        return Ok(Err(NotSentAgain::SentByThisReplay));
    }
    if is_own && carried.state != DeliveryState::Delivered {
        rearm(conn, raised, carried, to, asked)?;
        return Ok(Ok(SentAgain::Rearmed(carried.id)));
    }
    let event = Event { seq: carried.event_seq, job_id: &carried.job_id, replay_of: Some(carried.id) };
    Ok(Ok(SentAgain::Added(add(conn, raised, event, to, asked)?)))
}

/// Whether a replay has sent this event there before: two of its deliveries may carry the same one.
fn has_sent(
    conn: &Connection,
    replay: i64,
    event_seq: i64,
    destination: DestinationId,
) -> Result<bool, StoreError> {
    conn.prepare_cached(
        "SELECT 1 FROM deliveries WHERE replay = ?1 AND replay IS NOT NULL AND event_seq = ?2 AND destination = ?3",
    )
    .and_then(|mut select| select.exists(params![replay, event_seq, destination.number()]))
    .map_err(fault)
}

fn rearm(
    conn: &Connection,
    raised: &mut Raised,
    carried: &Carried,
    to: Current,
    asked: Asked,
) -> Result<(), StoreError> {
    let order_key = order_key(to, &carried.job_id);
    let next_at = place(conn, raised, to, order_key, asked.now)?;
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'waiting', next_at = ?2, settled_at = NULL, cause = NULL, retries_used = 0, refusals = 0, \
         armed_at = ?3, destination = ?4, order_key = ?5, replay = coalesce(?6, replay) \
         WHERE seq = ?1 AND settled_at IS NOT NULL",
    )
    .and_then(|mut update| {
        let (next_at, armed_at) = (next_at.map(At), At(asked.now));
        update.execute(params![carried.seq, next_at, armed_at, to.id.number(), order_key, asked.replay])
    })
    .map_err(fault)?;
    Ok(())
}

/// An event that another delivery is made for.
#[derive(Clone, Copy)]
struct Event<'a> {
    seq: i64,
    job_id: &'a JobId,
    replay_of: Option<DeliveryId>,
}

/// Makes another delivery of an event. It waits among the retries, so that a replay cannot stand before new results.
fn add(
    conn: &Connection,
    raised: &mut Raised,
    event: Event<'_>,
    to: Current,
    asked: Asked,
) -> Result<DeliveryId, StoreError> {
    let id = DeliveryId::new(asked.now);
    let order_key = order_key(to, event.job_id);
    let next_at = place(conn, raised, to, order_key, asked.now)?;
    conn.prepare_cached(
        "INSERT INTO deliveries (id, event_seq, event_id, run_id, job_id, required, replay_of, replay, destination, \
         order_key, state, next_at, created_at, armed_at) \
         SELECT ?1, seq, id, run_id, ?2, 0, ?3, ?4, ?5, ?6, 'waiting', ?7, ?8, ?8 FROM events WHERE seq = ?9",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            id.as_bytes(),
            event.job_id.as_str(),
            event.replay_of.as_ref().map(DeliveryId::as_bytes),
            asked.replay,
            to.id.number(),
            order_key,
            next_at.map(At),
            At(asked.now),
            event.seq,
        ])
    })
    .map_err(fault)?;
    Ok(id)
}

fn order_key(to: Current, job: &JobId) -> Option<&str> {
    match to.order {
        Order::None => None,
        Order::Job => Some(job.as_str()),
        Order::Destination => Some(""),
    }
}

/// When what is queued now is due; none where it stands behind another in an order.
fn place(
    conn: &Connection,
    raised: &mut Raised,
    to: Current,
    order_key: Option<&str>,
    now: UnixMs,
) -> Result<Option<UnixMs>, StoreError> {
    if let Some(key) = order_key
        && leases::is_blocked(conn, to.id, key)?
    {
        return Ok(None);
    }
    raised.queue(QueueNews { destination: to.id, class: QueueClass::Retry, at: now });
    Ok(Some(now))
}

/// What a replay is about to go through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) matched: u64,
    upto: i64,
}

/// Counts what a replay that began now would go through.
pub(super) fn find(conn: &Connection, filter: &ReplayFilter, now: UnixMs) -> Result<Found, StoreError> {
    let upto: i64 = conn
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM deliveries")
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(fault)?;
    let conditions = conditions(filter, now);
    let matched: i64 = conn
        .prepare_cached(&format!("SELECT count(*) FROM deliveries d WHERE {}", conditions.text()))
        .and_then(|mut count| count.query_row(params_from_iter(&conditions.values), |row| row.get(0)))
        .map_err(fault)?;
    Ok(Found { matched: u64::try_from(matched).unwrap_or(0), upto })
}

/// What was settled when the replay began, and still stands as it did.
fn conditions(filter: &ReplayFilter, began_at: UnixMs) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.add("d.settled_at <= ?", began_at.as_millis());
    if let Some(job) = &filter.job_id {
        conditions.add("d.job_id = ?", job.as_str().to_owned());
    }
    if let Some(run) = &filter.run_id {
        conditions.add("d.run_id = ?", run.as_bytes().to_vec());
    }
    if let Some(destination) = filter.destination {
        conditions.add("d.destination = ?", destination.number());
    }
    if let Some(since) = filter.since {
        conditions.add("d.created_at >= ?", since.as_millis());
    }
    if let Some(until) = filter.until {
        conditions.add("d.created_at < ?", until.as_millis());
    }
    conditions.add_words("d.state", filter.states.iter().map(|word| word.state().as_str()));
    conditions.add_words("d.cause", filter.causes.iter().map(|cause| cause.as_str()));
    conditions
}

/// Begins a replay of what was found. None where it is to go to a destination that there is not.
pub(super) fn start(
    conn: &Connection,
    raised: &mut Raised,
    new: &NewReplay,
    found: Found,
) -> Result<Option<Replay>, StoreError> {
    let to = new.to.as_ref().map(|to| chosen(conn, to, new.now)).transpose()?;
    if to.is_some_and(|to| to.is_none()) {
        return Ok(None);
    }
    let filter = serde_json::to_string(&new.filter).map_err(|error| StoreError::Engine(error.to_string()))?;
    conn.prepare_cached(
        "INSERT INTO replays (id, filter, destination, per_second, upto, matched, state, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', ?7)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            new.id.as_bytes(),
            filter,
            to.flatten().map(|to| to.id.number()),
            new.per_second,
            found.upto,
            i64::try_from(found.matched).unwrap_or(i64::MAX),
            At(new.now),
        ])
    })
    .map_err(fault)?;
    raised.raise(Topic::Replays);
    get(conn, new.id)
}

/// How far a replay that goes on has come.
struct Progress {
    seq: i64,
    filter: ReplayFilter,
    destination: Option<DestinationId>,
    upto: i64,
    cursor: i64,
    matched: i64,
    done: i64,
    skipped: i64,
    began_at: UnixMs,
}

pub(super) fn advance(
    conn: &Connection,
    raised: &mut Raised,
    id: ReplayId,
    most: usize,
    now: UnixMs,
) -> Result<ReplayAdvanced, StoreError> {
    let Some(mut progress) = progress(conn, id)? else { return Ok(ReplayAdvanced::Over) };
    let redirected = progress.destination.map(|to| destinations::current(conn, to)).transpose()?;
    if redirected.is_some_and(|to| to.is_none()) {
        end(conn, raised, progress.seq, ReplayState::Cancelled, Some("its destination was removed"), now)?;
        return Ok(ReplayAdvanced::Over);
    }
    let (carried, cursor) = next(conn, &progress, most)?;
    let asked = Asked { replay: Some(progress.seq), now };
    let mut sent = 0;
    for carried in &carried {
        let target = match redirected {
            Some(to) => to,
            None => destinations::current(conn, carried.destination)?,
        };
        match send_again(conn, raised, carried, target, asked)? {
            Ok(_) => sent += 1,
            Err(_) => progress.skipped += 1,
        }
    }
    progress.cursor = cursor;
    progress.done += rows::int(sent);
    let is_over = cursor >= progress.upto;
    if is_over {
        // What was settled otherwise in the meantime is not found any more.
        progress.skipped = progress.skipped.max(progress.matched - progress.done);
    }
    // A record that was on its way to the disk while the replay was counted is found all the same.
    progress.matched = progress.matched.max(progress.done + progress.skipped);
    conn.prepare_cached(
        "UPDATE replays SET cursor = ?2, done = ?3, skipped = ?4, matched = ?5 WHERE seq = ?1",
    )
    .and_then(|mut update| {
        let Progress { seq, cursor, done, skipped, matched, .. } = progress;
        update.execute(params![seq, cursor, done, skipped, matched])
    })
    .map_err(fault)?;
    if is_over {
        end(conn, raised, progress.seq, ReplayState::Done, None, now)?;
        return Ok(ReplayAdvanced::Over);
    }
    Ok(ReplayAdvanced::Running { sent })
}

fn progress(conn: &Connection, id: ReplayId) -> Result<Option<Progress>, StoreError> {
    conn.prepare_cached(
        "SELECT seq, filter, destination, upto, cursor, matched, done, skipped, created_at FROM replays \
         WHERE id = ?1 AND state = 'running'",
    )
    .and_then(|mut select| select.query_row([id.as_bytes()], |row| Ok(read_progress(row))).optional())
    .map_err(fault)?
    .transpose()
}

fn read_progress(row: &Row<'_>) -> Result<Progress, StoreError> {
    Ok(Progress {
        seq: rows::get(row, "seq")?,
        filter: filter(row)?,
        destination: rows::get::<Option<i64>>(row, "destination")?.map(DestinationId::from_number),
        upto: rows::get(row, "upto")?,
        cursor: rows::get(row, "cursor")?,
        matched: rows::get(row, "matched")?,
        done: rows::get(row, "done")?,
        skipped: rows::get(row, "skipped")?,
        began_at: rows::at(row, "created_at")?,
    })
}

/// The next deliveries that match, and how far that has come.
fn next(conn: &Connection, progress: &Progress, most: usize) -> Result<(Vec<Carried>, i64), StoreError> {
    let Progress { cursor, upto, .. } = *progress;
    let end: Option<i64> = conn
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq FROM deliveries WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3)",
        )
        .and_then(|mut select| select.query_row([cursor, upto, STRETCH], |row| row.get(0)))
        .map_err(fault)?;
    let Some(end) = end else { return Ok((Vec::new(), upto)) };
    let mut conditions = conditions(&progress.filter, progress.began_at);
    conditions.add("d.seq > ?", cursor);
    conditions.add("d.seq <= ?", end);
    let sql = format!("SELECT {CARRIED} WHERE {} ORDER BY d.seq LIMIT ?", conditions.text());
    conditions.values.push(rows::int(most).into());
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let carried = read_all(select.query(params_from_iter(&conditions.values)).map_err(fault)?)?;
    let reached = match carried.last() {
        Some(last) if carried.len() == most => last.seq,
        _ => end,
    };
    Ok((carried, reached))
}

fn end(
    conn: &Connection,
    raised: &mut Raised,
    seq: i64,
    state: ReplayState,
    reason: Option<&str>,
    now: UnixMs,
) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE replays SET state = ?2, reason = ?3, ended_at = ?4 WHERE seq = ?1")
        .and_then(|mut update| update.execute(params![seq, state.as_str(), reason, At(now)]))
        .map_err(fault)?;
    raised.raise(Topic::Replays);
    Ok(())
}

pub(super) fn cancel(
    conn: &Connection,
    raised: &mut Raised,
    id: ReplayId,
    now: UnixMs,
) -> Result<ReplayCancelled, StoreError> {
    if let Some(progress) = progress(conn, id)? {
        end(conn, raised, progress.seq, ReplayState::Cancelled, Some("cancelled by hand"), now)?;
        let ended = get(conn, id)?;
        return Ok(ended.map_or(ReplayCancelled::NotFound, |replay| ReplayCancelled::Done(Box::new(replay))));
    }
    Ok(get(conn, id)?.map_or(ReplayCancelled::NotFound, |replay| ReplayCancelled::Over(replay.state)))
}

pub(super) fn running(conn: &Connection) -> Result<Vec<RunningReplay>, StoreError> {
    let mut select = conn
        .prepare_cached("SELECT id, per_second FROM replays WHERE state = 'running' ORDER BY seq")
        .map_err(fault)?;
    let mut found = select.query([]).map_err(fault)?;
    let mut running = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let id = rows::id(row, "id", ReplayId::from_bytes)?;
        running.push(RunningReplay { id, per_second: rows::get(row, "per_second")? });
    }
    Ok(running)
}

fn get(conn: &Connection, id: ReplayId) -> Result<Option<Replay>, StoreError> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} WHERE r.id = ?1"))
        .and_then(|mut select| select.query_row([id.as_bytes()], |row| Ok(read(row))).optional())
        .map_err(fault)?
        .transpose()
}

pub(super) fn get_with_outcomes(
    conn: &Connection,
    id: ReplayId,
) -> Result<Option<ReplayWithOutcomes>, StoreError> {
    let Some(replay) = get(conn, id)? else { return Ok(None) };
    Ok(Some(ReplayWithOutcomes { replay, outcomes: outcomes(conn, id)? }))
}

fn outcomes(conn: &Connection, id: ReplayId) -> Result<ReplayOutcomes, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT state, count(*) AS count FROM deliveries WHERE replay IS NOT NULL \
             AND replay = (SELECT seq FROM replays WHERE id = ?1) GROUP BY state",
        )
        .map_err(fault)?;
    let mut found = select.query([id.as_bytes()]).map_err(fault)?;
    let mut outcomes = ReplayOutcomes::default();
    while let Some(row) = found.next().map_err(fault)? {
        let count = u64::try_from(rows::get::<i64>(row, "count")?).unwrap_or(0);
        match rows::word(row, "state", rows::delivery_state)? {
            DeliveryState::Delivered => outcomes.delivered += count,
            DeliveryState::Dead => outcomes.dead += count,
            DeliveryState::Cancelled | DeliveryState::Suppressed => outcomes.cancelled += count,
            DeliveryState::Pending | DeliveryState::Leased | DeliveryState::Waiting => outcomes.open += count,
        }
    }
    Ok(outcomes)
}

pub(super) fn page(conn: &Connection, filter: &ReplayListFilter) -> Result<ReplayPage, StoreError> {
    let state = filter.state.map(ReplayState::as_str);
    let total: i64 = conn
        .prepare_cached("SELECT count(*) FROM replays WHERE ?1 IS NULL OR state = ?1")
        .and_then(|mut count| count.query_row([state], |row| row.get(0)))
        .map_err(fault)?;
    let sql =
        format!("SELECT {COLUMNS} WHERE ?1 IS NULL OR r.state = ?1 ORDER BY r.seq DESC LIMIT ?2 OFFSET ?3");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found =
        select.query(params![state, rows::int(filter.limit), rows::int(filter.offset)]).map_err(fault)?;
    let mut replays = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        replays.push(read(row)?);
    }
    Ok(ReplayPage { replays, total: rows::count(total) })
}

fn read(row: &Row<'_>) -> Result<Replay, StoreError> {
    let is_redirected = rows::get::<Option<i64>>(row, "destination")?.is_some();
    let count = |column| Ok(u64::try_from(rows::get::<i64>(row, column)?).unwrap_or(0));
    Ok(Replay {
        id: rows::id(row, "id", ReplayId::from_bytes)?,
        filter: filter(row)?,
        to: if is_redirected { Some(rows::target(row)?) } else { None },
        per_second: rows::get(row, "per_second")?,
        matched: count("matched")?,
        done: count("done")?,
        skipped: count("skipped")?,
        state: rows::word(row, "state", rows::replay_state)?,
        reason: rows::get(row, "reason")?,
        created_at: rows::at(row, "created_at")?,
        ended_at: rows::at_opt(row, "ended_at")?,
    })
}

fn filter(row: &Row<'_>) -> Result<ReplayFilter, StoreError> {
    rows::from_json(&rows::get::<String>(row, "filter")?, "a replay's filter")
}
