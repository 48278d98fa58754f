//! Claiming occurrences.

use clawhook_model::{JobId, Notice, OwnerId, RunId, UnixMs};
use rusqlite::{Connection, params};

use super::notices::{self, About};
use super::rows::{self, At};
use super::writer::Raised;
use super::{fault, jobs, runs};
use crate::{Claim, Claimed, Occurrence, OccurrenceOutcome, StoreError};

pub(super) fn claim(
    conn: &Connection,
    raised: &mut Raised,
    owner: OwnerId,
    claims: &[Claim],
    now: UnixMs,
) -> Result<Vec<Claimed>, StoreError> {
    claims.iter().map(|claim| claim_one(conn, raised, owner, claim, now)).collect()
}

/// The job's next instant moves here and nowhere else, in the transaction that writes the record (invariant 1).
fn claim_one(
    conn: &Connection,
    raised: &mut Raised,
    owner: OwnerId,
    claim: &Claim,
    now: UnixMs,
) -> Result<Claimed, StoreError> {
    let mut run = claim.run.as_ref();
    let recorded = match run {
        Some(run) => is_recorded(conn, &claim.job_id, run.scheduled_at.unwrap_or(claim.due_at))?,
        None => false,
    };
    if recorded {
        run = None;
    }
    let moved = conn
        .prepare_cached(
            "UPDATE jobs SET next_run_at = ?3, active_run = coalesce(?4, active_run), \
             running_at = CASE WHEN ?4 IS NULL THEN running_at ELSE ?5 END \
             WHERE id = ?1 AND next_run_at = ?2 AND (?4 IS NULL OR active_run IS NULL)",
        )
        .and_then(|mut update| {
            update.execute(params![
                claim.job_id.as_str(),
                At(claim.due_at),
                claim.next_run_at.map(At),
                run.map(|run| run.id.as_bytes()),
                At(now),
            ])
        })
        .map_err(fault)?;
    if moved == 0 {
        return Ok(Claimed::Lost);
    }
    for (due_at, outcome) in &claim.passed {
        record(conn, &claim.job_id, *due_at, outcome, now)?;
        tell_of_passed(conn, raised, &claim.job_id, *due_at, outcome, now)?;
    }
    if let Some(run) = run {
        let due_at = run.scheduled_at.unwrap_or(claim.due_at);
        record(conn, &claim.job_id, due_at, &OccurrenceOutcome::Ran(run.id), now)?;
        runs::insert(conn, Some(owner), run, now)?;
    }
    Ok(if recorded { Claimed::AlreadyRecorded } else { Claimed::Won })
}

/// Tells those who subscribed that an instant passed without a run.
fn tell_of_passed(
    conn: &Connection,
    raised: &mut Raised,
    job_id: &JobId,
    due_at: UnixMs,
    outcome: &OccurrenceOutcome,
    now: UnixMs,
) -> Result<(), StoreError> {
    let notice = match outcome {
        OccurrenceOutcome::Ran(_) => return Ok(()),
        OccurrenceOutcome::Skipped(reason) => Notice::RunSkipped { due_at, reason },
        OccurrenceOutcome::Missed(reason) => Notice::RunMissed { due_at, reason },
    };
    if !notices::anybody(conn, notice.kind())? {
        return Ok(());
    }
    let (job_name, agent_id) = jobs::name_and_agent(conn, job_id)?;
    let about = About { job_id, job_name: &job_name, agent_id: &agent_id };
    notices::publish(conn, raised, about, &notice, now)
}

fn is_recorded(conn: &Connection, job: &JobId, due_at: UnixMs) -> Result<bool, StoreError> {
    conn.prepare_cached("SELECT 1 FROM occurrences WHERE job_id = ?1 AND due_at = ?2")
        .and_then(|mut select| select.exists(params![job.as_str(), At(due_at)]))
        .map_err(fault)
}

/// Writes an instant's record. The first one stands: an instant that comes again, because the clock was set back, was
/// accounted for when it came first.
fn record(
    conn: &Connection,
    job: &JobId,
    due_at: UnixMs,
    outcome: &OccurrenceOutcome,
    now: UnixMs,
) -> Result<(), StoreError> {
    let (word, run, reason) = match outcome {
        OccurrenceOutcome::Ran(run) => ("ran", Some(run.as_bytes()), None),
        OccurrenceOutcome::Skipped(reason) => ("skipped", None, Some(reason)),
        OccurrenceOutcome::Missed(reason) => ("missed", None, Some(reason)),
    };
    conn.prepare_cached(
        "INSERT INTO occurrences (job_id, due_at, outcome, run_id, reason, recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT DO NOTHING",
    )
    .and_then(|mut insert| insert.execute(params![job.as_str(), At(due_at), word, run, reason, At(now)]))
    .map_err(fault)?;
    Ok(())
}

pub(super) fn occurrences(
    conn: &Connection,
    job: &JobId,
    limit: usize,
) -> Result<Vec<Occurrence>, StoreError> {
    let mut select = conn
        .prepare_cached(
            "SELECT due_at, outcome, run_id, reason, recorded_at FROM occurrences WHERE job_id = ?1 \
             ORDER BY due_at DESC LIMIT ?2",
        )
        .map_err(fault)?;
    let mut found = select.query(params![job.as_str(), rows::int(limit)]).map_err(fault)?;
    let mut occurrences = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        let reason: Option<String> = rows::get(row, "reason")?;
        let reason = reason.unwrap_or_default();
        let run = rows::id_opt(row, "run_id", RunId::from_bytes)?;
        let outcome = rows::word(row, "outcome", |word| match (word, run) {
            ("ran", Some(run)) => Some(OccurrenceOutcome::Ran(run)),
            ("skipped", _) => Some(OccurrenceOutcome::Skipped(reason.clone())),
            ("missed", _) => Some(OccurrenceOutcome::Missed(reason.clone())),
            _ => None,
        })?;
        let (due_at, recorded_at) = (rows::at(row, "due_at")?, rows::at(row, "recorded_at")?);
        occurrences.push(Occurrence { due_at, outcome, recorded_at });
    }
    Ok(occurrences)
}
