//! What is forgotten and what never is.

mod ledger;
mod rules;
mod sessions;
mod space;

use std::time::Duration;

use clawhook_model::{Job, RunOutcome, UnixMs};
use clawhook_store::{NewRun, PruneCursor, PruneNext, PrunedRows, Retention, RunFilter, Verdict};

use crate::outbox::settle_all;
use crate::world::{World, t};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const MINUTE_MS: i64 = 60 * 1000;

/// Nothing but this goes.
fn by_age(minutes: u64) -> Retention {
    Retention { history_max_age: Some(Duration::from_mins(minutes)), ..Retention::KEEP_ALL }
}

fn newest(runs: u32) -> Retention {
    Retention { runs_per_job: Some(runs), ..Retention::KEEP_ALL }
}

/// Goes through the whole store.
async fn prune(world: &World, rules: &Retention, now: UnixMs) -> PrunedRows {
    let (mut cursor, mut rows) = (PruneCursor::default(), PrunedRows::default());
    for _ in 0..10_000 {
        let pruned = world.store.prune(rules, cursor, now).await.expect("the step is taken");
        rows.add(&pruned.rows);
        match pruned.then {
            PruneNext::Step(next) => cursor = next,
            PruneNext::Pass(_) => return rows,
        }
    }
    panic!("a pass comes to its end");
}

/// How many rows a table holds.
fn rows(world: &World, table: &str) -> u64 {
    let conn = rusqlite::Connection::open(world.path()).expect("the store's file");
    let count = format!("SELECT count(*) FROM {table}");
    conn.query_row(&count, [], |row| row.get::<_, i64>(0)).expect("a count").unsigned_abs()
}

/// Runs a job's instants in this range, a second apart, and has what they send arrive.
async fn deliver(world: &World, job: &Job, from: i64, to: i64) -> Vec<NewRun> {
    let mut runs = Vec::new();
    for second in from..=to {
        runs.push(world.run(job, t(second * 1000)).await);
        settle_all(world, t(second * 1000), Verdict::Delivered).await;
    }
    runs
}

/// The due seconds of a job's runs that are known, the oldest first.
async fn known(world: &World, job: &Job) -> Vec<i64> {
    let filter = RunFilter { job_id: Some(job.id.clone()), limit: 10_000, ..RunFilter::default() };
    let runs = world.store.runs(filter).await.expect("the store answers").runs;
    let second = |at: UnixMs| (at.as_millis() - t(0).as_millis()) / 1000;
    runs.iter().rev().filter_map(|record| record.run.scheduled_at.map(second)).collect()
}

fn done() -> RunOutcome {
    RunOutcome::ok("done")
}
