//! Calls of hooks in rows.

use clawhook_model::{
    DeliveryBegin, DeliveryId, DeliveryState, DestinationId, HookCall, HookCallState, HookKind, HookReport,
    HookStage, JobHook, JobId, OwnerId, RunId, Target, UnixMs, WebhookTarget,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::outbox::NewRow;
use super::rows::{self, At};
use super::spending::Spender;
use super::writer::Raised;
use super::{destinations, fault, outbox, spending};
use crate::{BegunHookCall, EndHookCall, FinishRun, NewHookCall, StoreError, Topic};

/// How many calls that belong to no run are kept: the last ones.
const KEPT_OF_NO_RUN: i64 = 1_000;

/// How a call's row begins.
struct Beginning<'a> {
    run: Option<RunId>,
    job: &'a JobId,
    state: HookCallState,
    owner: Option<OwnerId>,
    delivery: Option<DeliveryId>,
    now: UnixMs,
}

fn insert(conn: &Connection, begin: &Beginning<'_>, call: &NewHookCall) -> Result<i64, StoreError> {
    let is_over = begin.state == HookCallState::Done;
    let keeps_hook = begin.state == HookCallState::Pending && begin.delivery.is_none();
    let started = begin.state != HookCallState::Pending;
    conn.prepare_cached(
        "INSERT INTO hook_calls (run_id, job_id, stage, name, global, kind, hook, state, owner, delivery_id, created_at, \
         started_at, ended_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            begin.run.as_ref().map(RunId::as_bytes),
            begin.job.as_str(),
            call.stage.as_str(),
            call.hook.name,
            call.is_global,
            call.hook.kind.as_str(),
            keeps_hook.then(|| call.hook.to_json(false).to_string()),
            begin.state.as_str(),
            begin.owner.as_ref().map(OwnerId::as_bytes),
            begin.delivery.as_ref().map(DeliveryId::as_bytes),
            At(begin.now),
            started.then_some(At(begin.now)),
            is_over.then_some(At(begin.now)),
        ])
    })
    .map_err(fault)?;
    Ok(conn.last_insert_rowid())
}

/// Writes that a gate of a run is asked.
pub(super) fn begin_gate(
    conn: &Connection,
    owner: OwnerId,
    (run, job): (RunId, &JobId),
    call: &NewHookCall,
    now: UnixMs,
) -> Result<u64, StoreError> {
    let (state, owner) = (HookCallState::Running, Some(owner));
    let begin = Beginning { run: Some(run), job, state, owner, delivery: None, now };
    insert(conn, &begin, call).map(i64::cast_unsigned)
}

/// Writes what is to follow a run, in the transaction that ends it. What is a delivery becomes one; a text for the main
/// session is left there with what else the run leaves, and is done with that. Gives the destinations that were added.
pub(super) fn write_after(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    event_seq: i64,
    own: &[DestinationId],
) -> Result<Vec<DestinationId>, StoreError> {
    let mut added = Vec::new();
    for call in &finish.hooks {
        let mut begin = Beginning {
            run: Some(finish.run_id),
            job: &finish.job_id,
            state: HookCallState::Pending,
            owner: None,
            delivery: None,
            now: finish.ended_at,
        };
        match &call.hook.kind {
            HookKind::SystemEvent { .. } => begin.state = HookCallState::Done,
            HookKind::Webhook(to) => {
                let (id, destination) = deliver(conn, raised, finish, event_seq, own, to)?;
                begin.delivery = Some(id);
                added.push(destination);
            }
            HookKind::Command { .. } | HookKind::AgentTurn { .. } => raised.raise(Topic::Hooks),
        }
        insert(conn, &begin, call)?;
    }
    Ok(added)
}

/// Has the run's event carried to where a hook says. Where the job itself asked for that, it is that very delivery.
fn deliver(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    event_seq: i64,
    own: &[DestinationId],
    to: &WebhookTarget,
) -> Result<(DeliveryId, DestinationId), StoreError> {
    let target = match to {
        WebhookTarget::Url(url) => Target::Webhook(url.clone()),
        WebhookTarget::Destination(name) => Target::Destination(name.clone()),
    };
    let accepting = destinations::accepting(conn, &target, finish.ended_at)?;
    let twin = own.iter().position(|destination| *destination == accepting.id);
    if let Some(own) = twin.and_then(|place| finish.deliveries.get(place)) {
        return Ok((own.id, accepting.id));
    }
    let begin = if accepting.exists {
        DeliveryBegin::Pending
    } else {
        DeliveryBegin::Dead(format!("there is no destination `{}` any more", target.shown()))
    };
    let id = DeliveryId::new(finish.ended_at);
    let row = NewRow {
        id,
        event_seq,
        event_id: finish.event_id,
        run_id: Some(finish.run_id),
        job_id: &finish.job_id,
        to: accepting,
        begin,
        required: false,
        ladder: None,
        after: None,
        removes_job: false,
        now: finish.ended_at,
    };
    outbox::insert(conn, raised, &row)?;
    Ok((id, accepting.id))
}

/// Writes what is to follow the making of a job.
pub(super) fn write_creation(
    conn: &Connection,
    raised: &mut Raised,
    job: &JobId,
    calls: &[NewHookCall],
    now: UnixMs,
) -> Result<(), StoreError> {
    if calls.is_empty() {
        return Ok(());
    }
    for call in calls {
        let begin =
            Beginning { run: None, job, state: HookCallState::Pending, owner: None, delivery: None, now };
        insert(conn, &begin, call)?;
    }
    conn.prepare_cached(
        "DELETE FROM hook_calls WHERE run_id IS NULL AND ended_at IS NOT NULL AND seq NOT IN \
         (SELECT seq FROM hook_calls WHERE run_id IS NULL ORDER BY seq DESC LIMIT ?1)",
    )
    .and_then(|mut delete| delete.execute([KEPT_OF_NO_RUN]))
    .map_err(fault)?;
    raised.raise(Topic::Hooks);
    Ok(())
}

/// Begins calls that wait, the oldest first. One that cannot be read is over.
pub(super) fn claim(
    conn: &Connection,
    owner: OwnerId,
    limit: usize,
    now: UnixMs,
) -> Result<Vec<BegunHookCall>, StoreError> {
    let mut update = conn
        .prepare_cached(
            "UPDATE hook_calls SET state = 'running', owner = ?1, started_at = ?2 WHERE seq IN (SELECT seq FROM hook_calls \
             WHERE state = 'pending' AND delivery_id IS NULL ORDER BY seq LIMIT ?3) \
             RETURNING seq, run_id, job_id, stage, global, hook",
        )
        .map_err(fault)?;
    let mut found = update.query(params![owner.as_bytes(), At(now), rows::int(limit)]).map_err(fault)?;
    let (mut begun, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = found.next().map_err(fault)? {
        match read_begun(row) {
            Ok(call) => begun.push(call),
            Err(error) => unreadable.push((rows::get::<i64>(row, "seq")?, error)),
        }
    }
    drop(found);
    drop(update);
    for (seq, error) in unreadable {
        tracing::error!(%error, "a call of a hook cannot be read and is given up");
        end_row(conn, seq, None, HookCallState::Failed, &HookReport::failed(error.to_string()), now)?;
    }
    begun.sort_by_key(|call| call.id);
    Ok(begun)
}

fn read_begun(row: &Row<'_>) -> Result<BegunHookCall, StoreError> {
    let bad = |what: &str| StoreError::BadRow(format!("a call of a hook: {what}"));
    let stage = stage(row)?;
    let text: Option<String> = rows::get(row, "hook")?;
    let value = serde_json::from_str(&text.ok_or_else(|| bad("it does not say what to do"))?)
        .map_err(|error| bad(&error.to_string()))?;
    let hook = JobHook::from_stored_json(value, stage).map_err(|error| bad(&error.to_string()))?;
    Ok(BegunHookCall {
        id: rows::get::<i64>(row, "seq")?.cast_unsigned(),
        run_id: rows::id_opt(row, "run_id", RunId::from_bytes)?,
        job_id: rows::job_id(row)?,
        call: NewHookCall { stage, hook, is_global: rows::get(row, "global")? },
    })
}

fn stage(row: &Row<'_>) -> Result<HookStage, StoreError> {
    rows::word(row, "stage", |word| HookStage::ALL.into_iter().find(|stage| stage.as_str() == word))
}

/// Ends a call that is this owner's; false where it is not, or is over.
pub(super) fn end(conn: &Connection, owner: OwnerId, end: &EndHookCall) -> Result<bool, StoreError> {
    let seq = end.id.cast_signed();
    if !end_row(conn, seq, Some(owner), end.state, &end.report, end.at)? {
        return Ok(false);
    }
    if let Some(spent) = &end.spent {
        let of = Spender { day: spent.day, job: &spent.job_id, agent: &spent.agent_id };
        spending::count(conn, &of, &spent.outcome)?;
    }
    Ok(true)
}

fn end_row(
    conn: &Connection,
    seq: i64,
    owner: Option<OwnerId>,
    state: HookCallState,
    report: &HookReport,
    at: UnixMs,
) -> Result<bool, StoreError> {
    let report = serde_json::to_string(report).map_err(|error| StoreError::Engine(error.to_string()))?;
    let ended = conn
        .prepare_cached(
            "UPDATE hook_calls SET state = ?2, report = ?3, ended_at = ?4, owner = NULL, hook = NULL \
             WHERE seq = ?1 AND state = 'running' AND (?5 IS NULL OR owner = ?5)",
        )
        .and_then(|mut update| {
            let owner = owner.as_ref().map(OwnerId::as_bytes);
            update.execute(params![seq, state.as_str(), report, At(at), owner])
        })
        .map_err(fault)?;
    Ok(ended > 0)
}

/// Ends the calls that dead processes had begun: nobody knows what they did, so they are not repeated.
pub(super) fn interrupt(conn: &Connection, owner: OwnerId) -> Result<(), StoreError> {
    let report = HookReport::failed("the gateway ended while the hook was under way; it is not repeated");
    let report = serde_json::to_string(&report).map_err(|error| StoreError::Engine(error.to_string()))?;
    conn.prepare_cached(
        "UPDATE hook_calls SET state = 'interrupted', owner = NULL, hook = NULL, report = ?2, ended_at = started_at \
         WHERE state = 'running' AND owner <> ?1",
    )
    .and_then(|mut update| update.execute(params![owner.as_bytes(), report]))
    .map_err(fault)?;
    Ok(())
}

/// The calls of a run, in their order.
pub(super) fn of_run(conn: &Connection, run: RunId) -> Result<Vec<HookCall>, StoreError> {
    read_all(conn, "h.run_id = ?1", params![run.as_bytes()])
}

/// The calls that followed the making of jobs, the last ones of a job first.
pub(super) fn of_creation(conn: &Connection, job: &JobId, limit: usize) -> Result<Vec<HookCall>, StoreError> {
    let mut calls = read_all(conn, "h.run_id IS NULL AND h.job_id = ?1", params![job.as_str()])?;
    calls.reverse();
    calls.truncate(limit);
    Ok(calls)
}

fn read_all(
    conn: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<HookCall>, StoreError> {
    let sql = format!(
        "SELECT h.stage, h.name, h.global, h.kind, h.state, h.started_at, h.ended_at, h.delivery_id, h.report, \
         d.state AS delivery_state, d.created_at AS sent_at, d.settled_at, d.reason \
         FROM hook_calls h LEFT JOIN deliveries d ON d.id = h.delivery_id WHERE {condition} ORDER BY h.seq"
    );
    let mut select = conn.prepare_cached(&sql).map_err(fault)?;
    let mut found = select.query(values).map_err(fault)?;
    let mut calls = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        calls.push(read(row)?);
    }
    Ok(calls)
}

fn read(row: &Row<'_>) -> Result<HookCall, StoreError> {
    let word = |word: &str| HookCallState::ALL.into_iter().find(|state| state.as_str() == word);
    let report: Option<String> = rows::get(row, "report")?;
    let report = report.map(|text| rows::from_json(&text, "what a hook brought")).transpose()?;
    let call = HookCall {
        stage: stage(row)?,
        name: rows::get(row, "name")?,
        is_global: rows::get(row, "global")?,
        kind: rows::get(row, "kind")?,
        state: rows::word(row, "state", word)?,
        started_at: rows::at_opt(row, "started_at")?,
        ended_at: rows::at_opt(row, "ended_at")?,
        delivery: rows::id_opt(row, "delivery_id", DeliveryId::from_bytes)?,
        report: report.unwrap_or_default(),
    };
    let state: Option<String> = rows::get(row, "delivery_state")?;
    let Some(delivery) = state.as_deref().and_then(rows::delivery_state) else { return Ok(call) };
    let state = match delivery {
        DeliveryState::Delivered | DeliveryState::Suppressed => HookCallState::Done,
        DeliveryState::Dead | DeliveryState::Cancelled => HookCallState::Failed,
        DeliveryState::Leased => HookCallState::Running,
        DeliveryState::Pending | DeliveryState::Waiting => HookCallState::Pending,
    };
    let reason: Option<String> = rows::get(row, "reason")?;
    Ok(HookCall {
        state,
        started_at: rows::at_opt(row, "sent_at")?,
        ended_at: rows::at_opt(row, "settled_at")?,
        report: HookReport { error: reason.filter(|_| state == HookCallState::Failed), ..call.report },
        ..call
    })
}

/// Whether calls wait for somebody to do them.
pub(super) fn any_pending(conn: &Connection) -> Result<bool, StoreError> {
    conn.prepare_cached("SELECT 1 FROM hook_calls WHERE state = 'pending' AND delivery_id IS NULL LIMIT 1")
        .and_then(|mut select| select.query_row([], |_| Ok(())).optional())
        .map(|found| found.is_some())
        .map_err(fault)
}
