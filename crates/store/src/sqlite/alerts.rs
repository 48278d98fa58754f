//! Alerts: whether trouble is told is decided and written in the transaction that writes the trouble.

use clawhook_model::{
    AgentId, AlertAbout, AlertNotice, AlertPurpose, AlertState, DeliveryId, DeliveryState, DeliveryStatus,
    DestinationId, EventId, Job, JobId, LadderPlan, LastAlert, Notice, Provenance, RunId, Target, Trouble,
    UnixMs,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::ladders::{self, Carried};
use super::notices::{self, About, NewEvent};
use super::rows::{self, At};
use super::writer::Raised;
use super::{event_log, fault, jobs, outbox};
use crate::alerts::alert_status;
use crate::{AlertCounts, AlertFilter, AlertPage, AlertRecord, GatewayNotice, StoreError, SyntheticAlert};

/// How many alerts of the gateway are looked through for the one that told of the same.
const LOOKED_BACK: usize = 200;

/// Trouble of a job, with what is to be told of it.
#[derive(Debug)]
pub(super) struct TroubleOf<'a> {
    pub(super) job_id: &'a JobId,
    pub(super) trouble: Trouble,
    pub(super) error: Option<&'a str>,
    pub(super) run: Option<(RunId, UnixMs)>,
    pub(super) scheduled_at: Option<UnixMs>,
    /// The delivery that was given up, and where it was to go.
    pub(super) delivery: Option<(DeliveryId, EventId, &'a Target)>,
    /// What led to it.
    pub(super) provenance: Option<Provenance>,
}

impl<'a> TroubleOf<'a> {
    pub(super) fn new(job_id: &'a JobId, trouble: Trouble) -> Self {
        Self { job_id, trouble, error: None, run: None, scheduled_at: None, delivery: None, provenance: None }
    }
}

/// Notes trouble of a job, and tells of it where its rules say so.
pub(super) fn trouble(
    conn: &Connection,
    raised: &mut Raised,
    of: &TroubleOf<'_>,
    now: UnixMs,
) -> Result<(), StoreError> {
    let Some((job, false)) = jobs::of_run(conn, of.job_id)? else { return Ok(()) };
    let gateway = raised.alerts();
    let failed = of.delivery.map(|(_, _, target)| target);
    let targets = job.definition.alert_targets(&gateway, failed);
    let agent = job.definition.agent();
    let is_heard = !targets.is_empty() || notices::is_subscribed(conn, AlertNotice::KIND, of.job_id, &agent)?;
    let rules = job.definition.alert_rules(&gateway).filter(|_| is_heard);
    let mut state = job.state.alerts.clone();
    let event_id = EventId::new(now);
    let due = state.note(of.trouble, rules, targets.first(), event_id, now);
    keep(conn, of.job_id, &state)?;
    let Some(due) = due else { return Ok(()) };
    let shown = failed.map(Target::shown).unwrap_or_default();
    let notice = AlertNotice {
        about: AlertAbout::Job { trouble: of.trouble, consecutive: due.consecutive },
        job: Some((of.job_id, &job.definition.name)),
        run_id: of.run.map(|(run, _)| run),
        run_at: of.run.map(|(_, began)| began),
        scheduled_at: of.scheduled_at,
        error: of.error,
        delivery: of.delivery.map(|(id, event, _)| (id, event, shown.as_str())),
        provenance: of.provenance.as_ref(),
        ..AlertNotice::synthetic(AlertPurpose::Trouble)
    };
    send(conn, raised, Some(&job), &notice, event_id, &targets, now)
}

/// Writes an alert, the delivery to the first of its targets with the others as the rungs above it, and one for each
/// that subscribed.
fn send(
    conn: &Connection,
    raised: &mut Raised,
    job: Option<&Job>,
    notice: &AlertNotice<'_>,
    event_id: EventId,
    targets: &[Target],
    now: UnixMs,
) -> Result<(), StoreError> {
    let gateway = JobId::of_gateway();
    let (job_id, agent_id) = match job {
        Some(job) => (&job.id, job.definition.agent()),
        None => (&gateway, AgentId::main()),
    };
    let body = notice.to_bytes(event_id, now);
    let of_job = job.map(|_| job_id);
    let event_seq = event_log::next(conn, raised)?;
    let agent = job.map(|_| &agent_id);
    notices::write_event(conn, raised, event_seq, &new_event(event_id, of_job, agent, now, &body))?;
    let carried = Carried { event_seq, event_id, run_id: None, job_id: job_id.clone() };
    let mut reached = Vec::new();
    if let Some((first, then)) = targets.split_first() {
        let plan = LadderPlan { then: then.to_vec(), ask: None };
        reached = ladders::begin(conn, raised, &carried, first, &plan, now)?;
    }
    if notice.purpose == AlertPurpose::Trouble {
        let about = About { job_id, job_name: "", agent_id: &agent_id };
        let event = (event_seq, event_id, AlertNotice::KIND);
        notices::carry_to_subscribers(conn, raised, about, event, &reached, now)?;
    }
    Ok(())
}

fn new_event<'a>(
    id: EventId,
    job: Option<&'a JobId>,
    agent: Option<&'a AgentId>,
    at: UnixMs,
    body: &'a [u8],
) -> NewEvent<'a> {
    NewEvent { id, kind: AlertNotice::KIND, run: None, job, agent, status: None, at, body }
}

fn keep(conn: &Connection, job: &JobId, state: &AlertState) -> Result<(), StoreError> {
    let text = if state.is_empty() {
        None
    } else {
        Some(serde_json::to_string(state).map_err(|error| StoreError::Engine(error.to_string()))?)
    };
    conn.prepare_cached("UPDATE jobs SET alerts = ?2 WHERE id = ?1")
        .and_then(|mut update| update.execute(params![job.as_str(), text]))
        .map_err(fault)?;
    Ok(())
}

/// What is remembered of a job's trouble, where something is.
fn remembered(conn: &Connection, job: &JobId) -> Result<Option<AlertState>, StoreError> {
    let text: Option<String> = conn
        .prepare_cached("SELECT alerts FROM jobs WHERE id = ?1 AND alerts IS NOT NULL")
        .and_then(|mut select| select.query_row([job.as_str()], |row| row.get(0)).optional())
        .map_err(fault)?;
    text.map(|text| rows::from_json(&text, "what was told of a job's trouble")).transpose()
}

/// A run succeeded: gives those who were told of trouble, and how many failures there were in a row.
pub(super) fn succeeded(conn: &Connection, job: &JobId) -> Result<(Vec<DestinationId>, u32), StoreError> {
    let Some(mut state) = remembered(conn, job)? else { return Ok((Vec::new(), 0)) };
    let (told, failures) = state.succeeded();
    keep(conn, job, &state)?;
    Ok((who_was_told(conn, &told)?, failures))
}

/// A result arrived: whoever was told that results did not, is told that they do again.
pub(super) fn delivered(
    conn: &Connection,
    raised: &mut Raised,
    delivery: DeliveryId,
    now: UnixMs,
) -> Result<(), StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT j.id AS job_id, d.run_id FROM deliveries d JOIN jobs j ON j.id = d.job_id \
             WHERE d.id = ?1 AND j.alerts IS NOT NULL",
        )
        .and_then(|mut select| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(rows::job_id(row)
                    .and_then(|job| Ok((job, rows::id_opt(row, "run_id", RunId::from_bytes)?))))
            };
            select.query_row([delivery.as_bytes()], read).optional()
        })
        .map_err(fault)?
        .transpose()?;
    let Some((job_id, run_id)) = &found else { return Ok(()) };
    let (job_id, run_id) = (job_id, *run_id);
    let Some(mut state) = remembered(conn, job_id)? else { return Ok(()) };
    if state.told_of_deliveries.is_empty() {
        return Ok(());
    }
    let told = who_was_told(conn, &state.delivered())?;
    keep(conn, job_id, &state)?;
    let (job_name, agent_id) = jobs::name_and_agent(conn, job_id)?;
    let about = About { job_id, job_name: &job_name, agent_id: &agent_id };
    notices::publish_to(
        conn,
        raised,
        about,
        &Notice::DeliveriesRecovered { run_id },
        (&Provenance::default(), &told),
        now,
    )
}

/// The destinations that alerts have reached; of one that has reached nobody yet, those that it is on its way to.
fn who_was_told(conn: &Connection, events: &[EventId]) -> Result<Vec<DestinationId>, StoreError> {
    let mut told = Vec::new();
    for event in events {
        let deliveries = of_event(conn, *event)?;
        let arrived = |state: DeliveryState| state == DeliveryState::Delivered;
        let any = deliveries.iter().any(|(_, state, _)| arrived(*state));
        for (destination, state, _) in deliveries {
            let counts = if any { arrived(state) } else { !state.is_settled() };
            if counts && !told.contains(&destination) {
                told.push(destination);
            }
        }
    }
    Ok(told)
}

type Fared = (DestinationId, DeliveryState, Option<String>);

/// How the deliveries of an alert fare, in their order.
fn of_event(conn: &Connection, event: EventId) -> Result<Vec<Fared>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT d.destination, d.state, d.reason FROM events e JOIN deliveries d ON d.event_seq = e.seq \
             AND d.run_id IS NULL WHERE e.id = ?1 ORDER BY d.seq",
        )
        .map_err(fault)?;
    let mut found = select.query([event.as_bytes()]).map_err(fault)?;
    let mut deliveries = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let destination = DestinationId::from_number(rows::get(row, "destination")?);
        deliveries.push((
            destination,
            rows::word(row, "state", rows::delivery_state)?,
            rows::get(row, "reason")?,
        ));
    }
    Ok(deliveries)
}

/// How the last alert of a job fares; none where there was none, or where it is forgotten.
pub(super) fn last(conn: &Connection, state: &AlertState) -> Result<Option<LastAlert>, StoreError> {
    let Some(event) = state.last_event else { return Ok(None) };
    let deliveries = of_event(conn, event)?;
    let Some((_, _, reason)) = deliveries.last() else { return Ok(None) };
    let status = alert_status(&deliveries.iter().map(|(_, state, _)| *state).collect::<Vec<_>>());
    let error = reason.clone().filter(|_| status != DeliveryStatus::Delivered);
    Ok(Some(LastAlert { status, error }))
}

/// Tells those whom the gateway's own route names what is wrong with it, or is so no more. The same is not told again
/// within the cooldown, however often it comes and goes.
pub(super) fn of_gateway(
    conn: &Connection,
    raised: &mut Raised,
    notice: &GatewayNotice,
    now: UnixMs,
) -> Result<Vec<DestinationId>, StoreError> {
    let gateway = raised.alerts();
    let targets = gateway.targets();
    if gateway.enabled == Some(false) || targets.is_empty() {
        return Ok(Vec::new());
    }
    match notice {
        GatewayNotice::Alarm { alarm, detail } => {
            let cooled =
                now.plus_millis(-i64::try_from(gateway.rules.cooldown.as_millis()).unwrap_or(i64::MAX));
            if told_of(conn, alarm, cooled)?.is_some() {
                return Ok(Vec::new());
            }
            let notice = AlertNotice {
                about: AlertAbout::Gateway(alarm),
                error: Some(detail),
                ..AlertNotice::synthetic(AlertPurpose::Trouble)
            };
            send(conn, raised, None, &notice, EventId::new(now), &targets, now)?;
            Ok(Vec::new())
        }
        GatewayNotice::Cleared { alarm, since } => match told_of(conn, alarm, *since)? {
            Some(event) => who_was_told(conn, &[event]),
            None => Ok(Vec::new()),
        },
    }
}

/// The last alert since an instant that told of this alarm.
fn told_of(conn: &Connection, alarm: &str, since: UnixMs) -> Result<Option<EventId>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT id, body FROM events WHERE kind = 'job.alert' AND created_at >= ?1 ORDER BY seq DESC LIMIT ?2",
        )
        .map_err(fault)?;
    let mut found = select.query(params![At(since), rows::int(LOOKED_BACK)]).map_err(fault)?;
    while let Some(row) = found.next().map_err(fault)? {
        let body: Vec<u8> = rows::get(row, "body")?;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if body["scope"] == "gateway" && body["cause"] == alarm {
            return Ok(Some(rows::id(row, "id", EventId::from_bytes)?));
        }
    }
    Ok(None)
}

/// Sends an alert that tells of nothing. A test goes to each of its targets at once, so that each is proven; a drill goes
/// up its ladder.
pub(super) fn synthetic(
    conn: &Connection,
    raised: &mut Raised,
    alert: &SyntheticAlert,
    now: UnixMs,
) -> Result<EventId, StoreError> {
    let event_id = EventId::new(now);
    let notice = AlertNotice {
        job: alert.job.as_ref().map(|(id, name)| (id, name.as_str())),
        ..AlertNotice::synthetic(alert.purpose)
    };
    let body = notice.to_bytes(event_id, now);
    let of_job = alert.job.as_ref().map(|(id, _)| id);
    let event_seq = event_log::next(conn, raised)?;
    notices::write_event(conn, raised, event_seq, &new_event(event_id, of_job, None, now, &body))?;
    let job_id = alert.job.as_ref().map_or_else(JobId::of_gateway, |(id, _)| id.clone());
    let carried = Carried { event_seq, event_id, run_id: None, job_id };
    match alert.purpose {
        AlertPurpose::Drill => {
            if let Some((first, then)) = alert.targets.split_first() {
                let plan = LadderPlan { then: then.to_vec(), ask: alert.ask.clone() };
                ladders::begin(conn, raised, &carried, first, &plan, now)?;
            }
        }
        AlertPurpose::Test | AlertPurpose::Trouble => {
            let plan = LadderPlan { then: Vec::new(), ask: alert.ask.clone() };
            for target in &alert.targets {
                ladders::begin(conn, raised, &carried, target, &plan, now)?;
            }
        }
    }
    Ok(event_id)
}

const RECORD: &str = "SELECT e.seq, e.id, e.created_at, e.body FROM events e";
const OF_JOB: &str = "(?1 IS NULL OR e.job_id = ?1)";

pub(super) fn page(conn: &Connection, filter: &AlertFilter) -> Result<AlertPage, StoreError> {
    let job = filter.job_id.as_ref().map(JobId::as_str);
    let total: i64 = conn
        .prepare_cached(&format!("SELECT count(*) FROM events e WHERE e.kind = 'job.alert' AND {OF_JOB}"))
        .and_then(|mut count| count.query_row([job], |row| row.get(0)))
        .map_err(fault)?;
    let sql =
        format!("{RECORD} WHERE e.kind = 'job.alert' AND {OF_JOB} ORDER BY e.seq DESC LIMIT ?2 OFFSET ?3");
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found =
        select.query(params![job, rows::int(filter.limit), rows::int(filter.offset)]).map_err(fault)?;
    let mut alerts = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        alerts.push(read(conn, row)?);
    }
    Ok(AlertPage { alerts, total: rows::count(total) })
}

pub(super) fn get(conn: &Connection, event: EventId) -> Result<Option<AlertRecord>, StoreError> {
    conn.prepare_cached(&format!("{RECORD} WHERE e.id = ?1 AND e.kind = 'job.alert'"))
        .and_then(|mut select| select.query_row([event.as_bytes()], |row| Ok(read(conn, row))).optional())
        .map_err(fault)?
        .transpose()
}

pub(super) fn last_drill(conn: &Connection) -> Result<Option<AlertRecord>, StoreError> {
    let sql = format!(
        "{RECORD} WHERE e.kind = 'job.alert' AND json_extract(CAST(e.body AS TEXT), '$.purpose') = 'drill' \
         ORDER BY e.seq DESC LIMIT 1"
    );
    conn.prepare_cached(&sql)
        .and_then(|mut select| select.query_row([], |row| Ok(read(conn, row))).optional())
        .map_err(fault)?
        .transpose()
}

fn read(conn: &Connection, row: &rusqlite::Row<'_>) -> Result<AlertRecord, StoreError> {
    let body: Vec<u8> = rows::get(row, "body")?;
    let body = serde_json::from_slice(&body)
        .map_err(|error| StoreError::BadRow(format!("the body of an alert: {error}")))?;
    Ok(AlertRecord {
        event_id: rows::id(row, "id", EventId::from_bytes)?,
        raised_at: rows::at(row, "created_at")?,
        body,
        deliveries: outbox::of_notice(conn, rows::get(row, "seq")?)?,
    })
}

pub(super) fn counts(conn: &Connection, since: Option<UnixMs>) -> Result<AlertCounts, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT sum(d.state = 'delivered') AS arrived, sum(d.settled_at IS NULL) AS open FROM events e \
             JOIN deliveries d ON d.event_seq = e.seq AND d.run_id IS NULL WHERE e.kind = 'job.alert' \
             AND (?1 IS NULL OR e.created_at >= ?1) GROUP BY e.seq",
        )
        .map_err(fault)?;
    let mut found = select.query([since.map(At)]).map_err(fault)?;
    let mut counts = AlertCounts::default();
    while let Some(row) = found.next().map_err(fault)? {
        let (arrived, open): (i64, i64) = (rows::get(row, "arrived")?, rows::get(row, "open")?);
        match (arrived > 0, open > 0) {
            (true, _) => counts.delivered += 1,
            (false, true) => counts.pending += 1,
            (false, false) => counts.dead += 1,
        }
    }
    Ok(counts)
}
