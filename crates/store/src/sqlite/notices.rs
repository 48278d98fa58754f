//! Events that no job asked for: written with what they tell of, and delivered to those who subscribed to them.

use std::cell::RefCell;
use std::collections::HashMap;

use clawhook_model::{
    AgentId, Begun, DeliveryBegin, DeliveryId, DestinationDefinition, DestinationId, EventId, EventKind,
    JobId, LoopBroken, Notice, Provenance, RunId, RunOutcome, RunStatus, Subscription, SuppressionReason,
    UnixMs,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::outbox::{self, NewRow};
use super::rows::At;
use super::writer::Raised;
use super::{alerts, destinations, event_log, fault, rows};
use crate::{FinishRun, GatewayNotice, StoreError, Topic};

/// Whom an event is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) job_id: &'a JobId,
    pub(super) job_name: &'a str,
    pub(super) agent_id: &'a AgentId,
}

/// Writes a notice, and a delivery for each destination that subscribed to it.
pub(super) fn publish(
    conn: &Connection,
    raised: &mut Raised,
    about: About<'_>,
    notice: &Notice<'_>,
    now: UnixMs,
) -> Result<(), StoreError> {
    publish_to(conn, raised, about, notice, (&Provenance::default(), &[]), now)
}

/// As [`publish`], of what came of work that something led to.
pub(super) fn publish_caused(
    conn: &Connection,
    raised: &mut Raised,
    about: About<'_>,
    notice: &Notice<'_>,
    provenance: &Provenance,
    now: UnixMs,
) -> Result<(), StoreError> {
    publish_to(conn, raised, about, notice, (provenance, &[]), now)
}

/// The same, and for others beside those who subscribed.
pub(super) fn publish_to(
    conn: &Connection,
    raised: &mut Raised,
    about: About<'_>,
    notice: &Notice<'_>,
    (provenance, others): (&Provenance, &[DestinationId]),
    now: UnixMs,
) -> Result<(), StoreError> {
    let event_id = match notice {
        Notice::RunStarted(run) => EventId::of_start(run.run_id, run.deferrals),
        _ => EventId::new(now),
    };
    let body = notice.to_bytes(event_id, now, (about.job_id, about.job_name), provenance);
    let seq = event_log::next(conn, raised)?;
    write_event(conn, raised, seq, &NewEvent::of_notice(event_id, about, notice, now, &body))?;
    let mut subscribers = subscribers(conn, notice.kind(), None, about.job_id, about.agent_id)?;
    for other in others {
        if !subscribers.contains(other) && destinations::current(conn, *other)?.is_some() {
            subscribers.push(*other);
        }
    }
    for destination in subscribers {
        let row = NewRow {
            id: DeliveryId::new(now),
            event_seq: seq,
            event_id,
            run_id: notice.belongs_to(),
            job_id: about.job_id,
            to: destinations::accepting_of(conn, destination)?,
            begin: DeliveryBegin::Pending,
            required: false,
            removes_job: false,
            ladder: None,
            after: None,
            now,
        };
        outbox::insert(conn, raised, &row)?;
    }
    Ok(())
}

/// Tells that a run begins. The run itself is what tells it: the number under which it does so is to be noted with it. Where
/// somebody subscribed, an event is written instead, to be delivered.
pub(super) fn tell_of_start(
    conn: &Connection,
    raised: &mut Raised,
    run: &Begun<'_>,
    now: UnixMs,
) -> Result<Option<i64>, StoreError> {
    if subscribers(conn, EventKind::RunStarted, None, run.job_id, run.agent_id)?.is_empty() {
        raised.raise(Topic::Log);
        return event_log::next(conn, raised).map(Some);
    }
    let about = About { job_id: run.job_id, job_name: run.job_name, agent_id: run.agent_id };
    publish_caused(conn, raised, about, &Notice::RunStarted(*run), run.provenance, now)?;
    Ok(None)
}

/// Writes the event that told until now from the run itself that it began: it is about to begin once more.
pub(super) fn keep_start(
    conn: &Connection,
    raised: &mut Raised,
    seq: i64,
    run: &Begun<'_>,
    began_at: UnixMs,
) -> Result<(), StoreError> {
    let about = About { job_id: run.job_id, job_name: run.job_name, agent_id: run.agent_id };
    let (id, notice) = (EventId::of_start(run.run_id, run.deferrals), Notice::RunStarted(*run));
    let body = notice.to_bytes(id, began_at, (run.job_id, run.job_name), run.provenance);
    write_event(conn, raised, seq, &NewEvent::of_notice(id, about, &notice, began_at, &body))
}

/// Tells of the gateway itself.
pub(super) fn publish_of_gateway(
    conn: &Connection,
    raised: &mut Raised,
    notice: &GatewayNotice,
    now: UnixMs,
) -> Result<(), StoreError> {
    let (job_id, agent_id) = (JobId::of_gateway(), AgentId::main());
    let about = About { job_id: &job_id, job_name: "", agent_id: &agent_id };
    let others = alerts::of_gateway(conn, raised, notice, now)?;
    publish_to(conn, raised, about, &notice.notice(), (&Provenance::default(), &others), now)
}

/// Counts that work was refused, because it was too many hops away from its beginning, and tells those who subscribed.
pub(super) fn publish_loop(
    conn: &Connection,
    raised: &mut Raised,
    about: About<'_>,
    broken: &LoopBroken,
    now: UnixMs,
) -> Result<(), StoreError> {
    tracing::warn!(job = %about.job_id, %broken, "a circle of events was broken: the work is refused");
    conn.prepare_cached("UPDATE tallies SET count = count + 1 WHERE name = 'loops-broken'")
        .and_then(|mut update| update.execute([]))
        .map_err(fault)?;
    let provenance = Provenance { hops: broken.hops, trail: broken.trail.clone() };
    publish_caused(conn, raised, about, &Notice::LoopBroken(broken), &provenance, now)
}

/// What an event that is kept tells of where it comes from.
pub(super) fn provenance_of(conn: &Connection, event: EventId) -> Result<Provenance, StoreError> {
    let told = conn
        .prepare_cached("SELECT body FROM events WHERE id = ?1")
        .and_then(|mut select| {
            let read = |row: &Row<'_>| Ok(Provenance::of_event(row.get_ref(0)?.as_bytes()?));
            select.query_row([event.as_bytes()], read).optional()
        })
        .map_err(fault)?;
    Ok(told.flatten().unwrap_or_default())
}

/// Writes a delivery of a finished run's event for each destination that subscribed to it and is not among the run's own.
pub(super) fn publish_finished(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    event_seq: i64,
    own: &[DestinationId],
) -> Result<(), StoreError> {
    let status = Some(finish.outcome.status);
    let subscribers = subscribers(conn, EventKind::RunFinished, status, &finish.job_id, &finish.agent_id)?;
    for destination in subscribers.into_iter().filter(|subscriber| !own.contains(subscriber)) {
        let row = NewRow {
            id: DeliveryId::new(finish.ended_at),
            event_seq,
            event_id: finish.event_id,
            run_id: Some(finish.run_id),
            job_id: &finish.job_id,
            to: destinations::accepting_of(conn, destination)?,
            begin: begin(&finish.outcome),
            required: false,
            removes_job: false,
            ladder: None,
            after: None,
            now: finish.ended_at,
        };
        outbox::insert(conn, raised, &row)?;
    }
    Ok(())
}

/// Writes a delivery of an event of no run for each destination that subscribed to it and is not among `own`.
pub(super) fn carry_to_subscribers(
    conn: &Connection,
    raised: &mut Raised,
    about: About<'_>,
    (event_seq, event_id, kind): (i64, EventId, EventKind),
    own: &[DestinationId],
    now: UnixMs,
) -> Result<(), StoreError> {
    let subscribers = subscribers(conn, kind, None, about.job_id, about.agent_id)?;
    for destination in subscribers.into_iter().filter(|subscriber| !own.contains(subscriber)) {
        let row = NewRow {
            id: DeliveryId::new(now),
            event_seq,
            event_id,
            run_id: None,
            job_id: about.job_id,
            to: destinations::accepting_of(conn, destination)?,
            begin: DeliveryBegin::Pending,
            required: false,
            removes_job: false,
            ladder: None,
            after: None,
            now,
        };
        outbox::insert(conn, raised, &row)?;
    }
    Ok(())
}

fn begin(outcome: &RunOutcome) -> DeliveryBegin {
    SuppressionReason::of(outcome).map_or(DeliveryBegin::Pending, DeliveryBegin::Suppressed)
}

/// An event that is to be written.
#[derive(Debug)]
pub(super) struct NewEvent<'a> {
    pub(super) id: EventId,
    pub(super) kind: EventKind,
    /// The run that it belongs to, and goes with.
    pub(super) run: Option<RunId>,
    pub(super) job: Option<&'a JobId>,
    pub(super) agent: Option<&'a AgentId>,
    /// How that run ended.
    pub(super) status: Option<RunStatus>,
    pub(super) at: UnixMs,
    pub(super) body: &'a [u8],
}

impl<'a> NewEvent<'a> {
    fn of_notice(id: EventId, about: About<'a>, notice: &Notice<'_>, at: UnixMs, body: &'a [u8]) -> Self {
        let of_job = !notice.is_of_gateway();
        Self {
            id,
            kind: notice.kind(),
            run: notice.belongs_to(),
            job: of_job.then_some(about.job_id),
            agent: of_job.then_some(about.agent_id),
            status: None,
            at,
            body,
        }
    }
}

/// Writes an event under a number of the log.
pub(super) fn write_event(
    conn: &Connection,
    raised: &mut Raised,
    seq: i64,
    event: &NewEvent<'_>,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO events (seq, id, kind, run_id, job_id, agent_id, status, created_at, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            seq,
            event.id.as_bytes(),
            event.kind.as_str(),
            event.run.as_ref().map(RunId::as_bytes),
            event.job.map(JobId::as_str),
            event.agent.map(AgentId::as_str),
            event.status.map(RunStatus::as_str),
            At(event.at),
            event.body,
        ])
    })
    .map_err(fault)?;
    raised.raise(Topic::Log);
    Ok(())
}

/// Whether anybody subscribed to events of this kind about this job.
pub(super) fn is_subscribed(
    conn: &Connection,
    kind: EventKind,
    job: &JobId,
    agent: &AgentId,
) -> Result<bool, StoreError> {
    Ok(!subscribers(conn, kind, None, job, agent)?.is_empty())
}

fn subscribers(
    conn: &Connection,
    kind: EventKind,
    status: Option<RunStatus>,
    job: &JobId,
    agent: &AgentId,
) -> Result<Vec<DestinationId>, StoreError> {
    let mut found = Vec::new();
    each(conn, |destination, subscriptions| {
        if subscriptions.iter().any(|subscription| subscription.wants(kind, status, job, agent)) {
            found.push(destination);
        }
    })?;
    Ok(found)
}

/// Looks at every destination that has subscriptions.
fn each(conn: &Connection, mut look: impl FnMut(DestinationId, &[Subscription])) -> Result<(), StoreError> {
    let mut select = conn
        .prepare_cached("SELECT seq, definition FROM destinations WHERE subscribes = 1 AND removed = 0")
        .map_err(fault)?;
    let mut found = select.query([]).map_err(fault)?;
    while let Some(row) = found.next().map_err(fault)? {
        let destination = DestinationId::from_number(rows::get(row, "seq")?);
        let definition = row.get_ref("definition").and_then(|text| Ok(text.as_str()?)).map_err(fault)?;
        with_subscriptions(definition, |subscriptions| look(destination, subscriptions));
    }
    Ok(())
}

thread_local! {
    /// The subscriptions of definitions that were parsed lately: they are looked at with every run, and seldom change.
    static PARSED: RefCell<HashMap<String, Vec<Subscription>>> = RefCell::default();
}

/// How many definitions are kept.
const KEPT: usize = 512;

fn with_subscriptions(definition: &str, look: impl FnOnce(&[Subscription])) {
    PARSED.with_borrow_mut(|parsed| {
        if let Some(subscriptions) = parsed.get(definition) {
            return look(subscriptions);
        }
        let value = serde_json::from_str(definition).unwrap_or_default();
        let subscriptions = match DestinationDefinition::parse_stored(value) {
            Ok(definition) => definition.subscriptions,
            // Such a destination is paused with this reason as soon as something is to be sent to it.
            Err(_) => Vec::new(),
        };
        look(&subscriptions);
        if parsed.len() >= KEPT {
            parsed.clear();
        }
        parsed.insert(definition.to_owned(), subscriptions);
    });
}
