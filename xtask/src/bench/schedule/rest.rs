//! What so many jobs cost while none of them is due.

use std::path::PathBuf;
use std::time::Duration;

use super::Bench;
use crate::bench::BenchError;
use crate::bench::gateway::{Gateway, command_on, wait_for_address};
use crate::bench::instant::Instant;
use crate::bench::report::{Figure, Times, number};
use crate::bench::usage::{Cpu, Memory};
use crate::bench::wire::{Connection, request};
use crate::process::Server;

const STARTS: usize = 5;
const READY_MS: f64 = 3_000.0;
const BYTES_A_JOB: f64 = 400.0;
const IDLE_CPU_PERCENT: f64 = 1.0;
/// How long after its start a gateway counts as idle.
const AT_REST: Duration = Duration::from_secs(3);
const WATCHED: Duration = Duration::from_secs(10);

/// Measures, and leaves the gateway running on its many jobs.
pub(super) async fn measure(bench: &Bench<'_>, state: PathBuf) -> Result<(Vec<Figure>, Gateway), BenchError> {
    let mut ready = Vec::new();
    for n in 0..STARTS {
        ready.push(start(bench, &format!("many-{n}"), &state).await?);
    }
    let empty = resting_memory(&Gateway::start(bench.folder, "none").await?).await;
    let gateway = Gateway::start_again(bench.folder, "many", state).await?;
    let many = resting_memory(&gateway).await;
    let before = Cpu::of(gateway.pid);
    tokio::time::sleep(WATCHED).await;
    let used = Cpu::of(gateway.pid).since(&before).total();

    let jobs = bench.sizes.jobs;
    let (ready, bytes) = (Times::new(ready), number(many.saturating_sub(empty) * 1024) / number(jobs));
    let figures = vec![
        Figure::ms("schedule.ready", ready.median()).at_most(
            READY_MS,
            format!("spawn to the first 200 of /readyz with {jobs} jobs, median of {STARTS}"),
        ),
        Figure::ms("schedule.ready_max", ready.max()),
        Figure::new("schedule.memory", bytes, "B/job")
            .at_most(BYTES_A_JOB, format!("{many} KiB resident at rest, {empty} KiB with no job")),
        Figure::new("schedule.idle_cpu", used.as_secs_f64() / WATCHED.as_secs_f64() * 100.0, "%")
            .at_most(IDLE_CPU_PERCENT, format!("of one processor over {} s, no job due", WATCHED.as_secs())),
    ];
    Ok((figures, gateway))
}

/// How long a gateway takes until it is ready.
async fn start(bench: &Bench<'_>, name: &str, state: &std::path::Path) -> Result<Duration, BenchError> {
    let began = Instant::now();
    let mut server = Server::start(name, &mut command_on(state), bench.folder)?;
    let mut connection = Connection::open(wait_for_address(&mut server)?).await?;
    while connection.exchange(&request("GET", "/readyz", None, "")).await?.status != 200 {}
    let ready = Instant::now().since(began);
    server.stop();
    Ok(ready)
}

/// The KiB that a gateway holds once it has nothing to do.
async fn resting_memory(gateway: &Gateway) -> usize {
    tokio::time::sleep(AT_REST).await;
    usize::try_from(Memory::of(gateway.pid).resident_kib).unwrap_or(usize::MAX)
}
