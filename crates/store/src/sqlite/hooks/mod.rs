//! Inbound hooks in rows: accepting requests, and letting their runs begin.

pub(super) mod requests;

use clawhook_model::{DestinationId, EventKind, JobId, OpenRuns, RunId, UnixMs};
use rusqlite::{Connection, OptionalExtension, params};

use super::notices::{self, About, NewEvent};
use super::outbox::{self, NewRow};
use super::rows::{self, At};
use super::runs::Begin;
use super::writer::Raised;
use super::{destinations, event_log, fault, jobs, ladders, runs, sessions};
use crate::{
    AcceptHook, FinishRun, HookAccepted, HookAsk, HookEvent, HookKey, HookOutcome, HookRun, HookState,
    HookWake, JobEdit, KEY_LIFE, KeptHook, Left, NextRun, StoreError, Topic,
};

/// Keeps a hook as the configuration has it.
pub(super) fn keep(
    conn: &Connection,
    raised: &mut Raised,
    hook: &KeptHook,
    now: UnixMs,
) -> Result<(), StoreError> {
    let KeptHook { job, at_once, held } = hook;
    match jobs::get(conn, &job.id)? {
        None => jobs::insert(conn, raised, job, &[])?,
        Some(found) => {
            let mut after = job.definition.clone();
            after.enabled = found.definition.enabled;
            if after != found.definition {
                let (before, left) = (found.definition, Left::default());
                let edit = JobEdit {
                    before,
                    after,
                    next_run: NextRun::Keep,
                    left,
                    forgives: false,
                    tells: Vec::new(),
                };
                jobs::update(conn, raised, &job.id, &edit, now)?;
            }
        }
    }
    conn.prepare_cached(
        "INSERT INTO hooks (job_id, at_once, held) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET at_once = excluded.at_once, held = excluded.held",
    )
    .and_then(|mut insert| insert.execute(params![job.id.as_str(), at_once, held]))
    .map_err(fault)?;
    if *held { hold(conn, &job.id) } else { release(conn, raised, &job.id, now) }
}

/// How the hooks stand. One whose job is gone is none any more.
pub(super) fn states(conn: &Connection) -> Result<Vec<HookState>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT h.job_id, h.at_once, h.held, h.paused_at FROM hooks h JOIN jobs j ON j.id = h.job_id \
             WHERE j.removed = 0 ORDER BY h.job_id",
        )
        .map_err(fault)?;
    let mut found = select.query([]).map_err(fault)?;
    let mut states = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        states.push(HookState {
            job_id: rows::job_id(row)?,
            at_once: rows::get(row, "at_once")?,
            held: rows::get(row, "held")?,
            paused_at: rows::at_opt(row, "paused_at")?,
        });
    }
    Ok(states)
}

/// Has nothing more of what a hook accepts begin, or lets it begin again.
pub(super) fn pause(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    paused: bool,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let found = conn
        .prepare_cached(
            "UPDATE hooks SET paused_at = CASE WHEN ?2 THEN coalesce(paused_at, ?3) END WHERE job_id = ?1",
        )
        .and_then(|mut update| update.execute(params![job.as_str(), paused, At(now)]))
        .map_err(fault)?;
    if paused {
        hold(conn, job)?;
    } else {
        release(conn, raised, job, now)?;
    }
    Ok(found > 0)
}

/// Has what was about to begin wait.
fn hold(conn: &Connection, job: &JobId) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE runs SET ready_at = NULL WHERE job_id = ?1 AND state = 'queued' AND trigger = 'hook'",
    )
    .and_then(|mut update| update.execute([job.as_str()]))
    .map_err(fault)?;
    Ok(())
}

/// How many runs of a hook go on at once, and whether it is paused; none where the job is no hook's.
fn bound(conn: &Connection, job: &JobId) -> Result<Option<(u32, bool)>, StoreError> {
    conn.prepare_cached("SELECT at_once, held OR paused_at IS NOT NULL FROM hooks WHERE job_id = ?1")
        .and_then(|mut select| {
            select.query_row([job.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(fault)
}

/// Lets what waits of a job begin after one of its runs has ended: of a hook as many as it may have at once, of another job
/// the next one when none is under way.
pub(super) fn release_after(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    running: u32,
    now: UnixMs,
) -> Result<(), StoreError> {
    match bound(conn, job)? {
        Some(_) => release(conn, raised, job, now),
        None if running == 0 => runs::release_next(conn, raised, job, now),
        None => Ok(()),
    }
}

/// Lets the next runs of a hook begin, while fewer than it may have at once are under way or about to begin.
fn release(conn: &Connection, raised: &mut Raised, job: &JobId, now: UnixMs) -> Result<(), StoreError> {
    let Some((at_once, false)) = bound(conn, job)? else { return Ok(()) };
    let (running, ready): (u32, u32) = conn
        .prepare_cached(
            "SELECT (SELECT running FROM jobs WHERE id = ?1), \
             (SELECT count(*) FROM runs WHERE lane = 'hook' AND ready_at IS NOT NULL AND job_id = ?1)",
        )
        .and_then(|mut select| {
            select.query_row([job.as_str()], |row| {
                Ok((row.get::<_, Option<u32>>(0)?.unwrap_or(0), row.get(1)?))
            })
        })
        .map_err(fault)?;
    let room = at_once.saturating_sub(running).saturating_sub(ready);
    if room == 0 {
        return Ok(());
    }
    let released = conn
        .prepare_cached(
            "UPDATE runs SET ready_at = ?2 WHERE seq IN (SELECT seq FROM runs WHERE job_id = ?1 \
             AND state = 'queued' AND ready_at IS NULL ORDER BY seq LIMIT ?3)",
        )
        .and_then(|mut update| update.execute(params![job.as_str(), At(now), room]))
        .map_err(fault)?;
    if released > 0 {
        raised.raise(Topic::Schedule);
    }
    Ok(())
}

/// Notes that a request is over, where the run that ends here was the last one that it asked for.
pub(super) fn complete_of(conn: &Connection, finish: &FinishRun) -> Result<(), StoreError> {
    if finish.trigger != clawhook_model::Trigger::Hook {
        return Ok(());
    }
    conn.prepare_cached(
        "UPDATE hook_requests SET completed_at = ?2 WHERE seq = (SELECT request FROM runs WHERE id = ?1) \
         AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.request = hook_requests.seq AND r.state <> 'finished')",
    )
    .and_then(|mut update| update.execute(params![finish.run_id.as_bytes(), At(finish.ended_at)]))
    .map_err(fault)?;
    Ok(())
}

/// Accepts a request. The request, its key and all that it asks for become durable together.
pub(super) fn accept(
    conn: &Connection,
    raised: &mut Raised,
    accept: &AcceptHook,
    now: UnixMs,
) -> Result<HookAccepted, StoreError> {
    let job = &accept.job_id;
    let Some((enabled, waiting)) = standing(conn, job)? else { return Ok(HookAccepted::NoHook) };
    if let Some(key) = &accept.key
        && let Some(before) = made_before(conn, key, now)?
    {
        return Ok(before);
    }
    if !enabled {
        return Ok(HookAccepted::Disabled);
    }
    let runs = accept.asks.iter().filter(|ask| matches!(ask, HookAsk::Run(_))).count();
    if runs > 0 && u64::from(waiting) + u64::try_from(runs).unwrap_or(u64::MAX) > u64::from(accept.depth) {
        return Ok(HookAccepted::Full { waiting });
    }
    let request = requests::insert(conn, accept, now)?;
    let mut outcome = HookOutcome::Ignored;
    for ask in &accept.asks {
        let became = match ask {
            HookAsk::Run(run) => {
                queue(conn, job, Some(request), run, now)?;
                HookOutcome::Queued
            }
            HookAsk::Wake(wake) => wake_up(conn, job, Some(request), wake, now)?,
            HookAsk::Event(event) => {
                publish(conn, raised, job, request, event, now)?;
                HookOutcome::Published
            }
        };
        // Of several texts one that waits already is the lesser news.
        outcome =
            if became == HookOutcome::Coalesced && outcome == HookOutcome::Queued { outcome } else { became };
    }
    release(conn, raised, job, now)?;
    requests::settle(conn, request, outcome, now)?;
    Ok(HookAccepted::Done(outcome))
}

/// Whether a hook is switched on, and how many of its runs wait.
fn standing(conn: &Connection, job: &JobId) -> Result<Option<(bool, u32)>, StoreError> {
    conn.prepare_cached(
        "SELECT j.enabled, j.waiting FROM jobs j JOIN hooks h ON h.job_id = j.id WHERE j.id = ?1 AND j.removed = 0",
    )
    .and_then(|mut select| select.query_row([job.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional())
    .map_err(fault)
}

/// What a request of this key is answered because of one that was made before. Keys of requests that have been over for
/// long enough can be used again.
fn made_before(conn: &Connection, key: &HookKey, now: UnixMs) -> Result<Option<HookAccepted>, StoreError> {
    let life = i64::try_from(KEY_LIFE.as_millis()).unwrap_or(i64::MAX);
    conn.prepare_cached(
        "UPDATE hook_requests SET idempotency = NULL WHERE idempotency = ?1 AND completed_at < ?2",
    )
    .and_then(|mut update| update.execute(params![key.key, At(now.plus_millis(-life))]))
    .map_err(fault)?;
    requests::by_key(conn, key)
}

/// Queues a run that a request, or the end of another, asks for; it begins when its hook has room for it.
fn queue(
    conn: &Connection,
    job: &JobId,
    request: Option<i64>,
    asked: &HookRun,
    now: UnixMs,
) -> Result<(), StoreError> {
    runs::insert(conn, Begin::Queued(None), &asked.run, now)?;
    runs::carry(conn, asked.run.id, request, &asked.work)?;
    jobs::add_open(conn, job, OpenRuns { running: 0, waiting: 1 }, now)
}

/// Leaves a text for a session, and has the agent told of it at once, unless a run that will do so waits already.
pub(super) fn wake_up(
    conn: &Connection,
    job: &JobId,
    request: Option<i64>,
    wake: &HookWake,
    now: UnixMs,
) -> Result<HookOutcome, StoreError> {
    let left = sessions::leave_event(conn, &wake.session, (&wake.agent_id, job), &wake.text, now)?;
    if let Some(asked) = &wake.run
        && !waits_in(conn, job, &asked.run.session.key)?
    {
        queue(conn, job, request, asked, now)?;
    }
    Ok(if left { HookOutcome::Queued } else { HookOutcome::Coalesced })
}

/// Whether a run of the job waits that is to take a turn in this session.
fn waits_in(conn: &Connection, job: &JobId, session_key: &str) -> Result<bool, StoreError> {
    conn.prepare_cached("SELECT 1 FROM runs WHERE job_id = ?1 AND state = 'queued' AND session_key = ?2")
        .and_then(|mut select| select.exists(params![job.as_str(), session_key]))
        .map_err(fault)
}

/// Writes an event, with a delivery for each target and for each destination that subscribed to such events.
fn publish(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    request: i64,
    event: &HookEvent,
    now: UnixMs,
) -> Result<(), StoreError> {
    let kind = EventKind::HookReceived;
    let (job_name, agent_id) = jobs::name_and_agent(conn, job)?;
    let new = NewEvent {
        id: event.id,
        kind,
        run: None,
        job: Some(job),
        agent: Some(&agent_id),
        status: None,
        at: now,
        body: &event.body,
    };
    let event_seq = event_log::next(conn, raised)?;
    notices::write_event(conn, raised, event_seq, &new)?;
    requests::note_event(conn, request, event_seq)?;
    let mut own: Vec<DestinationId> = Vec::with_capacity(event.deliveries.len());
    for delivery in &event.deliveries {
        let to = destinations::accepting(conn, &delivery.plan.target, now)?;
        let begin = match &delivery.plan.begin {
            _ if !to.exists => {
                let gone = delivery.plan.target.shown();
                clawhook_model::DeliveryBegin::Dead(format!("there is no destination `{gone}` any more"))
            }
            begin => begin.clone(),
        };
        let plan = delivery.plan.ladder.as_ref();
        let ladder = plan.map(|plan| ladders::insert(conn, event_seq, plan)).transpose()?.flatten();
        let row = NewRow {
            id: delivery.id,
            event_seq,
            event_id: event.id,
            run_id: None,
            job_id: job,
            to,
            begin,
            required: true,
            removes_job: false,
            ladder,
            after: None,
            now,
        };
        outbox::insert(conn, raised, &row)?;
        own.push(to.id);
    }
    let about = About { job_id: job, job_name: &job_name, agent_id: &agent_id };
    notices::carry_to_subscribers(conn, raised, about, (event_seq, event.id, kind), &own, now)
}

/// The runs of a request that are known, in order.
fn runs_of(conn: &Connection, request: i64) -> Result<Vec<RunId>, StoreError> {
    let mut select =
        conn.prepare_cached("SELECT id FROM runs WHERE request = ?1 ORDER BY seq").map_err(fault)?;
    let mut found = select.query([request]).map_err(fault)?;
    let mut runs = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        runs.push(rows::id(row, "id", RunId::from_bytes)?);
    }
    Ok(runs)
}
