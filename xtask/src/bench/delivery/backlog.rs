//! How fast a backlog goes, once its destination takes deliveries again.

use std::time::Duration;

use super::Bench;
use crate::bench::BenchError;
use crate::bench::gateway::Gateway;
use crate::bench::instant::Instant;
use crate::bench::report::{Figure, megabytes, number, rate};
use crate::bench::throughput::{Pace, drive};
use crate::bench::usage::{Cpu, Memory};

const NAME: &str = "backlog";
/// How long the last of a backlog may take before the rest is given up.
const ARRIVE_WITHIN: Duration = Duration::from_secs(300);

/// How a backlog went.
#[derive(Debug)]
pub(super) struct Drained {
    pub(super) per_s: f64,
    /// What the gateway's processors had to do for each, in microseconds.
    pub(super) cpu_us: f64,
    made: usize,
    arrived: usize,
    repeats: usize,
    /// The gateway's memory while it waited.
    waiting: Memory,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>, BenchError> {
    let gateway = Gateway::start(bench.folder, NAME).await?;
    let jobs = bench.jobs_for(&gateway, NAME, &bench.receiver.hook_url(), bench.connections).await?;
    let drained = drain(bench, &gateway, &jobs, NAME, bench.sizes.backlog).await?;
    let Drained { per_s, cpu_us, made, arrived, repeats, waiting } = drained;
    Ok(vec![
        Figure::new("delivery.drain", per_s, "/s")
            .noted(format!("resumed to last arrival: {arrived} of {made} that waited, {repeats} twice")),
        Figure::new("delivery.drain_cpu", cpu_us, "us").noted("of the gateway's processor time for each"),
        Figure::new("delivery.drain_lost", number(made - arrived), ""),
        Figure::new("delivery.waiting_memory", megabytes(waiting.resident_kib), "MB")
            .noted(format!("resident while they waited; at its peak {:.0}", megabytes(waiting.peak_kib))),
    ])
}

/// Has `count` deliveries wait for a destination, through real runs, and measures how fast they go then.
pub(super) async fn drain(
    bench: &Bench<'_>,
    gateway: &Gateway,
    jobs: &[String],
    destination: &str,
    count: usize,
) -> Result<Drained, BenchError> {
    gateway.pause(destination).await?;
    bench.receiver.forget().await?;
    let made = drive(gateway, jobs, count, Pace::AsTaken).await?.accepted.len();
    gateway.finish_runs().await?;
    let waiting = Memory::of(gateway.pid);

    let before = Cpu::of(gateway.pid);
    let began = Instant::now();
    gateway.resume(destination).await?;
    let arrivals = bench.receiver.wait_for(made, ARRIVE_WITHIN).await?;
    let last = arrivals.first.values().copied().max().unwrap_or(began);
    gateway.settle().await?;
    let cpu = Cpu::of(gateway.pid).since(&before).total();
    let (arrived, repeats) = (arrivals.first.len(), arrivals.repeats);
    let cpu_us = cpu.as_secs_f64() * 1e6 / number(arrived.max(1));
    Ok(Drained { per_s: rate(arrived, last.since(began)), cpu_us, made, arrived, repeats, waiting })
}
