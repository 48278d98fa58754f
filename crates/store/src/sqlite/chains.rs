//! Chains in rows: which jobs begin when another has ended. The rows repeat what the definitions say.

use clawhook_model::{
    ChainOn, Job, JobDefinition, JobId, OpenRuns, Overlap, Provenance, RunId, RunStatus, SessionId, Trigger,
    UnixMs,
};
use rusqlite::{Connection, params};

use super::notices::{self, About};
use super::runs::Begin;
use super::writer::Raised;
use super::{fault, jobs, rows, runs};
use crate::{FinishRun, NewRun, StoreError, Topic};

/// How many jobs one run's end looks at.
const MOST_FOLLOWERS: usize = 1_000;

/// Writes which jobs a job waits for.
pub(super) fn write(conn: &Connection, id: &JobId, definition: &JobDefinition) -> Result<(), StoreError> {
    remove(conn, id)?;
    for after in &definition.after {
        conn.prepare_cached("INSERT INTO chains (upstream, job_id) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![after.job, id.as_str()]))
            .map_err(fault)?;
    }
    Ok(())
}

/// Forgets which jobs a job waits for.
pub(super) fn remove(conn: &Connection, id: &JobId) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM chains WHERE job_id = ?1")
        .and_then(|mut delete| delete.execute([id.as_str()]))
        .map_err(fault)?;
    Ok(())
}

/// The jobs that wait for a job.
pub(super) fn followers(conn: &Connection, id: &JobId) -> Result<Vec<JobId>, StoreError> {
    let mut select = conn
        .prepare_cached("SELECT job_id FROM chains WHERE upstream = ?1 ORDER BY job_id LIMIT ?2")
        .map_err(fault)?;
    let mut found = select.query(params![id.as_str(), rows::int(MOST_FOLLOWERS)]).map_err(fault)?;
    let mut followers = Vec::new();
    while let Some(row) = found.next().map_err(fault)? {
        followers.push(rows::job_id(row)?);
    }
    Ok(followers)
}

/// The way on which a job that waits for these comes back to itself, from the job to itself; none where there is no such.
pub(super) fn circle(
    conn: &Connection,
    id: &JobId,
    definition: &JobDefinition,
) -> Result<Option<Vec<String>>, StoreError> {
    // Each way leads from what is waited for to the job. Every job is looked at once.
    let mut open: Vec<Vec<String>> =
        definition.after.iter().map(|after| vec![after.job.clone(), id.as_str().to_owned()]).collect();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(way) = open.pop() {
        let Some(first) = way.first().cloned() else { continue };
        if first == id.as_str() {
            return Ok(Some(way));
        }
        if !seen.insert(first.clone()) {
            continue;
        }
        let mut select = conn
            .prepare_cached("SELECT upstream FROM chains WHERE job_id = ?1 ORDER BY upstream")
            .map_err(fault)?;
        let mut found = select.query([&first]).map_err(fault)?;
        while let Some(row) = found.next().map_err(fault)? {
            let mut longer = vec![rows::get::<String>(row, "upstream")?];
            longer.extend(way.iter().cloned());
            open.push(longer);
        }
    }
    Ok(None)
}

/// Queues a run of each job that waits for such an end, in the transaction that makes it: no link is lost, and none is made
/// twice. A failure that is tried again is no end yet.
pub(super) fn follow(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    is_tried_again: bool,
) -> Result<(), StoreError> {
    if is_tried_again {
        return Ok(());
    }
    let followers = followers(conn, &finish.job_id)?;
    if followers.is_empty() {
        return Ok(());
    }
    let told = notices::provenance_of(conn, finish.event_id)?;
    for id in followers {
        let Some((job, false)) = jobs::of_run(conn, &id)? else { continue };
        if job.is_enabled() && waits_for(&job, finish) {
            queue(conn, raised, finish, &job, &told)?;
        }
    }
    Ok(())
}

fn waits_for(job: &Job, finish: &FinishRun) -> bool {
    // What was never executed has not ended, except for whoever wants to know of any end.
    let status = if finish.passed.is_some() { RunStatus::Skipped } else { finish.outcome.status };
    let fits = |on: ChainOn| on.follows(status);
    job.definition.after.iter().any(|after| after.job == finish.job_id.as_str() && fits(after.on))
}

fn queue(
    conn: &Connection,
    raised: &mut Raised,
    finish: &FinishRun,
    job: &Job,
    told: &Provenance,
) -> Result<(), StoreError> {
    let now = finish.ended_at;
    let agent = job.definition.agent();
    let about = About { job_id: &job.id, job_name: &job.definition.name, agent_id: &agent };
    let provenance = match told.caused(finish.chain.max_hops) {
        Ok(provenance) => provenance,
        Err(broken) => return notices::publish_loop(conn, raised, about, &broken, now),
    };
    let open = job.state.open_runs;
    // A run that finds no place is queued all the same, in order to be ended with its reason: no link is lost in silence.
    let full = |why: &str| (Some(now), Some(why.to_owned()));
    let (ready_at, refused) = match job.definition.overlap.unwrap_or(finish.chain.overlap) {
        _ if !open.any() => (Some(ready(job, now)), None),
        Overlap::AllowAll if open.all() < Overlap::MOST_OPEN => (Some(ready(job, now)), None),
        Overlap::CancelOther => (Some(ready(job, now)), None),
        Overlap::BufferOne if open.waiting == 0 => (None, None),
        Overlap::BufferAll { most } if open.waiting < most => (None, None),
        Overlap::Skip => full("the run before was still under way"),
        _ => full("as many runs of the job wait as may"),
    };
    let mut run = NewRun::of(job, RunId::new(now), Trigger::Chain, None, SessionId::random());
    run.provenance = provenance;
    run.upstream = Some(finish.run_id);
    jobs::add_open(conn, &job.id, OpenRuns { running: 0, waiting: 1 }, now)?;
    runs::insert(conn, Begin::Queued(ready_at), &run, now)?;
    if let Some(why) = refused {
        runs::refuse(conn, run.id, &why)?;
    }
    raised.raise(Topic::Schedule);
    Ok(())
}

/// A job that backs off begins when that is over.
fn ready(job: &Job, now: UnixMs) -> UnixMs {
    job.state.backoff_until.map_or(now, |until| until.max(now))
}
