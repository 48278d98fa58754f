//! Whether a destination that hangs, with a long queue, delays another one.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use super::{Bench, read_store};
use crate::bench::BenchError;
use crate::bench::gateway::Gateway;
use crate::bench::instant::Instant;
use crate::bench::report::{Figure, Times, number};
use crate::bench::throughput::{Pace, drive};

/// How often the healthy destination gets something, in a second.
const PER_SECOND: usize = 200;
/// How many connections ask for its runs.
const CONNECTIONS: usize = 8;
/// Of the time that the healthy one takes alone.
const AIM: f64 = 1.5;
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);
const HEALTHY: &str = "healthy";
const HANGING: &str = "hanging";

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>, BenchError> {
    let gateway = Gateway::start(bench.folder, "fairness").await?;
    // The kernel takes the connections and the requests, and nobody ever answers. Dropped before the gateway, it
    // ends them.
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|hung| Ok((hung.local_addr()?, hung)));
    let (hung_address, hung) =
        bound.map_err(|source| BenchError::Connection { address: gateway.address, source })?;
    let hung_hook = format!("http://{hung_address}/hang");
    let hanging = bench.jobs_for(&gateway, HANGING, &hung_hook, bench.connections).await?;
    let healthy = bench.jobs_for(&gateway, HEALTHY, &bench.receiver.hook_url(), CONNECTIONS).await?;
    gateway.pause(HANGING).await?;
    let waiting = drive(&gateway, &hanging, bench.sizes.hanging, Pace::AsTaken).await?.accepted.len();
    gateway.finish_runs().await?;

    let alone = steady(bench, &gateway, &healthy).await?;
    gateway.resume(HANGING).await?;
    let beside = steady(bench, &gateway, &healthy).await?;
    drop(hung);
    let (p99_alone, p99_beside) = (alone.percentile(99), beside.percentile(99));
    Ok(vec![
        Figure::ms("delivery.healthy_alone_p99", p99_alone).noted(format!(
            "commit to arrival, {} at {PER_SECOND} a second, median {:.1} ms",
            alone.len(),
            alone.median().as_secs_f64() * 1e3
        )),
        Figure::ms("delivery.healthy_beside_hanging_p99", p99_beside).noted(format!(
            "the same, {}, beside a destination that never answers and that {waiting} wait for, median {:.1} ms",
            beside.len(),
            beside.median().as_secs_f64() * 1e3
        )),
        Figure::new("delivery.fairness", p99_beside.as_secs_f64() / p99_alone.as_secs_f64().max(1e-9), "")
            .at_most(AIM, "the one of the other"),
    ])
}

/// How long after its commit each result arrived that came up for the healthy destination.
async fn steady(bench: &Bench<'_>, gateway: &Gateway, jobs: &[String]) -> Result<Times, BenchError> {
    bench.receiver.forget().await?;
    let count = PER_SECOND * usize::try_from(bench.sizes.steady.as_secs()).unwrap_or(1);
    let runs = drive(gateway, jobs, count, Pace::PerSecond(number(PER_SECOND))).await?.accepted;
    let arrivals = bench.receiver.wait_for(runs.len(), ARRIVE_WITHIN).await?;
    if let Some((lost, _)) = runs.iter().find(|(run, _)| !arrivals.first.contains_key(run)) {
        return Err(BenchError::Lost { run: *lost });
    }
    let ended = ended(&gateway.store())?;
    Ok(Times::new(arrivals.first.iter().filter_map(|(run, at)| Some(at.since(*ended.get(run)?)))))
}

/// When each run ended. It is noted right before the commit, which is so a part of what follows.
fn ended(store: &Path) -> Result<HashMap<u128, Instant>, BenchError> {
    let conn = read_store(store)?;
    let mut select = conn.prepare("SELECT id, ended_at FROM runs WHERE ended_at IS NOT NULL")?;
    let ended = select.query_map([], |row| {
        let run: [u8; 16] = row.get(0)?;
        Ok((u128::from_be_bytes(run), Instant::of_unix_ms(row.get(1)?)))
    })?;
    Ok(ended.collect::<Result<_, _>>()?)
}
