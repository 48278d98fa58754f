//! How late jobs start among a million: alone, ten thousand at once, and right after those.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::params;

use super::{Bench, fill, store_in};
use crate::bench::BenchError;
use crate::bench::gateway::{Gateway, read_store};
use crate::bench::instant::unix_ms;
use crate::bench::report::{Figure, Times, number};

/// How long the gateway has to start before the first job is due.
const LEAD_MS: i64 = 6_000;
const ALONE_EVERY_MS: i64 = 300;
/// Between the last job alone and the burst.
const PAUSE_MS: i64 = 2_000;
/// The jobs that follow the burst, one each second.
const FOLLOWERS: usize = 30;
const FOLLOW_EVERY_MS: i64 = 1_000;
const END_WITHIN_MS: i64 = 5_000;

const ALONE_P99_MS: f64 = 10.0;
const BURST_P50_MS: f64 = 500.0;
const BURST_MAX_MS: f64 = 2_000.0;

/// What is due when.
#[derive(Debug, Clone, Copy)]
struct Dues {
    alone: usize,
    burst: usize,
    alone_ms: i64,
    burst_ms: i64,
}

impl Dues {
    fn from_now(bench: &Bench<'_>) -> Self {
        // A store with fewer jobs has a smaller burst.
        let spare = bench.sizes.jobs.saturating_sub(FOLLOWERS);
        let alone = bench.sizes.alone.min(spare);
        let burst = bench.sizes.burst.min(spare - alone);
        let alone_ms = unix_ms() + LEAD_MS;
        let burst_ms = alone_ms + i64::try_from(alone).unwrap_or(0) * ALONE_EVERY_MS + PAUSE_MS;
        Self { alone, burst, alone_ms, burst_ms }
    }

    fn followers_ms(self) -> i64 {
        self.burst_ms + FOLLOW_EVERY_MS
    }

    fn end_ms(self) -> i64 {
        self.burst_ms + i64::try_from(FOLLOWERS).unwrap_or(0) * FOLLOW_EVERY_MS + END_WITHIN_MS
    }

    fn write(self, store: &Path) -> Result<(), BenchError> {
        let conn = fill::open(store)?;
        fill::make_due(&conn, fill::SENDING, 0, self.alone, self.alone_ms, ALONE_EVERY_MS)?;
        fill::make_due(&conn, fill::SENDING, self.alone, self.burst, self.burst_ms, 0)?;
        fill::make_due(
            &conn,
            fill::SENDING,
            self.alone + self.burst,
            FOLLOWERS,
            self.followers_ms(),
            FOLLOW_EVERY_MS,
        )?;
        fill::close(&conn)
    }
}

/// Measures on a store that no gateway has open, and leaves it so.
pub(super) async fn measure(bench: &Bench<'_>, state: PathBuf) -> Result<(Vec<Figure>, PathBuf), BenchError> {
    let dues = Dues::from_now(bench);
    dues.write(&store_in(&state))?;
    let gateway = Gateway::start_again(bench.folder, "punctual", state).await?;
    let left_ms = u64::try_from(dues.end_ms() - unix_ms()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left_ms)).await;
    gateway.settle().await?;
    let store = gateway.store();
    let alone = lateness(&store, dues.alone_ms, dues.burst_ms)?;
    let burst = lateness(&store, dues.burst_ms, dues.burst_ms + 1)?;
    let followers = lateness(&store, dues.followers_ms(), dues.end_ms())?;
    let started = |times: &Times, due: usize| format!("{} of {due} started", times.len());
    let figures = vec![
        Figure::ms("schedule.alone_p50", alone.median()).noted(started(&alone, dues.alone)),
        Figure::ms("schedule.alone_p99", alone.percentile(99)).at_most(
            ALONE_P99_MS,
            format!("due to started, one job each {ALONE_EVERY_MS} ms in an idle gateway"),
        ),
        Figure::new("schedule.burst", number(burst.len()), "started").noted(started(&burst, dues.burst)),
        Figure::ms("schedule.burst_p50", burst.median())
            .at_most(BURST_P50_MS, "due to started, all at one instant"),
        Figure::ms("schedule.burst_max", burst.max()).at_most(BURST_MAX_MS, "the last of them"),
        Figure::ms("schedule.after_p50", followers.median())
            .noted(format!("one job a second after the burst: {}", started(&followers, FOLLOWERS))),
        Figure::ms("schedule.after_max", followers.max()).noted("the latest of those"),
    ];
    Ok((figures, gateway.stop()))
}

/// How late the runs started that were due from one instant to before another.
fn lateness(store: &Path, from_ms: i64, to_ms: i64) -> Result<Times, BenchError> {
    let conn = read_store(store)?;
    let mut select = conn.prepare(
        "SELECT started_at - scheduled_at FROM runs WHERE scheduled_at >= ?1 AND scheduled_at < ?2 \
         AND started_at IS NOT NULL",
    )?;
    let late = select.query_map(params![from_ms, to_ms], |row| row.get::<_, i64>(0))?;
    let late = late.collect::<Result<Vec<_>, _>>()?;
    Ok(Times::new(late.into_iter().map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)))))
}
