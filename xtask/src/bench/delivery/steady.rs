//! How long a result takes from its commit to its acknowledgement when the gateway has half its work.

use std::path::Path;
use std::time::Duration;

use super::{Bench, read_store};
use crate::bench::BenchError;
use crate::bench::gateway::Gateway;
use crate::bench::instant::Instant;
use crate::bench::report::{Figure, Times, rate};
use crate::bench::throughput::{Pace, drive};

const AIM_MS: f64 = 20.0;
const NAME: &str = "steady";

pub(super) async fn measure(bench: &Bench<'_>, per_s: f64) -> Result<Vec<Figure>, BenchError> {
    let gateway = Gateway::start(bench.folder, NAME).await?;
    let jobs = bench.jobs_for(&gateway, NAME, &bench.receiver.hook_url(), bench.connections).await?;
    let began = Instant::now();
    let driven =
        drive(&gateway, &jobs, whole(per_s * bench.sizes.steady.as_secs_f64()), Pace::PerSecond(per_s));
    let accepted = driven.await?.accepted.len();
    let reached = rate(accepted, Instant::now().since(began));
    gateway.settle().await?;
    let acknowledged = acknowledged(&gateway.store())?;
    Ok(vec![
        Figure::new("delivery.half_rate", reached, "/s")
            .noted(format!("asked for {per_s:.0}; {} of {accepted} acknowledged", acknowledged.len())),
        Figure::ms("delivery.acknowledged_p50", acknowledged.median()).noted("commit to acknowledgement"),
        Figure::ms("delivery.acknowledged_p99", acknowledged.percentile(99))
            .at_most(AIM_MS, "the same, in whole milliseconds"),
    ])
}

/// How long after its run's end each delivery had its answer, as the store has both.
fn acknowledged(store: &Path) -> Result<Times, BenchError> {
    let conn = read_store(store)?;
    let mut select = conn.prepare(
        "SELECT max(0, d.settled_at - r.ended_at) FROM deliveries d JOIN runs r ON r.id = d.run_id \
         WHERE d.state = 'delivered'",
    )?;
    let times = select.query_map([], |row| row.get::<_, u32>(0))?;
    let times: Vec<u32> = times.collect::<Result<_, _>>()?;
    Ok(Times::new(times.into_iter().map(|ms| Duration::from_millis(ms.into()))))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate times a time is a small number above zero"
)]
fn whole(count: f64) -> usize {
    count as usize
}
