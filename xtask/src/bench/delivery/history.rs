//! Whether a delivery costs more in a store that is long in use.

use std::path::Path;

use rusqlite::{Connection, params};

use super::backlog::{Drained, drain};
use super::{Bench, read_store};
use crate::bench::BenchError;
use crate::bench::gateway::Gateway;
use crate::bench::instant::unix_ms;
use crate::bench::limits::{id, insert_attempt, insert_run_and_event};
use crate::bench::report::{Figure, median};

/// Of the rate in a new store.
const AIM: f64 = 0.9;
/// The two stores take turns, so that what else the machine does meets both.
const ROUNDS: usize = 3;
/// How many deliveries of the history share a transaction.
const GROUP: usize = 10_000;
const NEW: &str = "new";
const USED: &str = "used";

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>, BenchError> {
    let hook = bench.receiver.hook_url();
    let new = Gateway::start(bench.folder, NEW).await?;
    let new_jobs = bench.jobs_for(&new, NEW, &hook, bench.connections).await?;
    let used = Gateway::start(bench.folder, USED).await?;
    let used_jobs = bench.jobs_for(&used, USED, &hook, bench.connections).await?;
    // The first round goes before the history, for a real event to fill it with, and warms both up.
    drain(bench, &new, &new_jobs, NEW, bench.connections).await?;
    drain(bench, &used, &used_jobs, USED, bench.connections).await?;
    let (body, store) = (bench.receiver.last().await?, used.store());
    let state = used.stop();
    let settled = bench.sizes.history;
    tokio::task::spawn_blocking(move || fill(&store, &body, settled)).await??;
    let used = Gateway::start_again(bench.folder, USED, state).await?;

    let (mut in_new, mut in_used) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        in_new.push(drain(bench, &new, &new_jobs, NEW, bench.sizes.round).await?);
        in_used.push(drain(bench, &used, &used_jobs, USED, bench.sizes.round).await?);
    }
    let counted = count(&used.store())?;
    let (rate, rate_used) = (median_of(&in_new, |one| one.per_s), median_of(&in_used, |one| one.per_s));
    let (cpu, cpu_used) = (median_of(&in_new, |one| one.cpu_us), median_of(&in_used, |one| one.cpu_us));
    let note = format!("median of {ROUNDS} backlogs of {}, in turns", bench.sizes.round);
    Ok(vec![
        Figure::new("delivery.drain_new", rate, "/s").noted(format!("{note}, in a new store")),
        Figure::new("delivery.drain_used", rate_used, "/s")
            .noted(format!("the same with {settled} settled before; {counted} deliveries in the end")),
        Figure::new("delivery.drain_used_of_new", rate_used / rate, "")
            .at_least(AIM, "the rate with a long history, of that with none"),
        Figure::new("delivery.cpu_new", cpu, "us")
            .noted("the gateway's processor time for each, in a new store"),
        Figure::new("delivery.cpu_used", cpu_used, "us").noted("the same with the history"),
        Figure::new("delivery.cpu_new_of_used", cpu / cpu_used, "")
            .at_least(AIM, "the ratio that other programs on the machine disturb least"),
    ])
}

fn median_of(drains: &[Drained], value: impl Fn(&Drained) -> f64) -> f64 {
    median(drains.iter().map(value).collect())
}

/// Writes deliveries that are settled into a store that no gateway has open.
fn fill(store: &Path, body: &[u8], settled: usize) -> Result<(), BenchError> {
    let mut conn = Connection::open(store)?;
    conn.pragma_update(None, "foreign_keys", "OFF")?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.set_prepared_statement_cache_capacity(64);
    let destination =
        conn.query_row("SELECT seq FROM destinations WHERE key = ?1", [USED], |row| row.get::<_, i64>(0))?;
    for first in (0..settled).step_by(GROUP) {
        let tx = conn.transaction()?;
        for n in first..settled.min(first + GROUP) {
            insert_settled(&tx, &id(n), body, destination)?;
        }
        tx.commit()?;
    }
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

fn insert_settled(conn: &Connection, id: &[u8; 16], body: &[u8], destination: i64) -> rusqlite::Result<()> {
    let event = insert_run_and_event(conn, id, body)?;
    conn.prepare_cached(
        "INSERT INTO deliveries (id, event_seq, event_id, run_id, job_id, required, destination, state, attempts, \
         created_at, armed_at, settled_at) VALUES (?1, ?2, ?1, ?1, 'job', 1, ?3, 'delivered', 1, ?4, ?4, ?4)",
    )?
    .execute(params![id, event, destination, unix_ms()])?;
    insert_attempt(conn, conn.last_insert_rowid())
}

fn count(store: &Path) -> Result<i64, BenchError> {
    Ok(read_store(store)?.query_row("SELECT count(*) FROM deliveries", [], |row| row.get(0))?)
}
