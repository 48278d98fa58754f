//! What the indexes and counts of lists cost where jobs are claimed and runs end.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params_from_iter};

use super::{Bench, fill, store_in};
use crate::bench::BenchError;
use crate::bench::gateway::Gateway;
use crate::bench::instant::unix_ms;
use crate::bench::report::{Figure, median, number};
use crate::bench::usage::Cpu;

/// What serves lists alone.
const FOR_LISTS: [&str; 5] =
    ["jobs_by_name", "jobs_never_due", "jobs_counted_in", "jobs_counted_out", "jobs_counted_anew"];
/// The thread that writes the store.
const WRITER: &str = "clawhook-store";
/// Of the processor time without them.
const AIM: f64 = 0.95;
/// Both take turns, so that what else the machine does meets both.
const ROUNDS: usize = 5;
const LEAD_MS: i64 = 3_000;
const END_WITHIN: Duration = Duration::from_secs(3);

pub(super) async fn measure(bench: &Bench<'_>, state: &Path) -> Result<Vec<Figure>, BenchError> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Whoever is first in a round is second in the next one.
        for drops in [round % 2 == 0, round % 2 != 0] {
            let taken = writers_time(bench, state, drops).await?;
            if drops { without.push(taken) } else { with.push(taken) }
        }
    }
    let (with, without) = (median(with), median(without));
    let claims = bench.sizes.claims;
    Ok(vec![
        Figure::new("schedule.claim_cpu", with, "us").noted(format!(
            "the writing thread's processor time for a claim and its run's end; median of {ROUNDS} rounds of {claims}"
        )),
        Figure::new("schedule.claim_without_of_with", without / with, "")
            .at_least(AIM, "the same without what serves lists alone, of that with it"),
    ])
}

/// The writing thread's microseconds for each of the jobs that are due at once.
async fn writers_time(bench: &Bench<'_>, state: &Path, drops: bool) -> Result<f64, BenchError> {
    let conn = fill::open(&store_in(state))?;
    let dropped = if drops { drop_for_lists(&conn)? } else { Vec::new() };
    let due_ms = unix_ms() + LEAD_MS;
    let jobs = bench.sizes.claims;
    fill::make_due(&conn, fill::QUIET, 0, jobs, due_ms, 0)?;
    fill::close(&conn)?;
    drop(conn);

    let gateway = Gateway::start_again(bench.folder, "claims", state.to_owned()).await?;
    let writer = |cpu: Cpu| cpu.by_thread.get(WRITER).copied().unwrap_or_default();
    let before = writer(Cpu::of(gateway.pid));
    let left_ms = u64::try_from(due_ms - unix_ms()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left_ms) + END_WITHIN).await;
    gateway.finish_runs().await?;
    let taken = writer(Cpu::of(gateway.pid)).saturating_sub(before);
    gateway.stop();

    let conn = fill::open(&store_in(state))?;
    conn.execute_batch(&dropped.join(";"))?;
    fill::close(&conn)?;
    Ok(taken.as_secs_f64() * 1e6 / number(jobs))
}

/// Drops what serves lists alone, and returns what makes it again.
fn drop_for_lists(conn: &Connection) -> Result<Vec<String>, BenchError> {
    let marks = vec!["?"; FOR_LISTS.len()].join(", ");
    let mut select =
        conn.prepare(&format!("SELECT type, name, sql FROM sqlite_schema WHERE name IN ({marks})"))?;
    let found = select.query_map(params_from_iter(FOR_LISTS), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    let mut makes = Vec::new();
    for found in found.collect::<Result<Vec<_>, _>>()? {
        let (kind, name, sql) = found;
        conn.execute_batch(&format!("DROP {kind} {name}"))?;
        makes.push(sql);
    }
    Ok(makes)
}
