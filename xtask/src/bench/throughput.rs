//! How many results a second go the whole way: accepted over the API, run, committed, signed, delivered, settled.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Interval;

use super::BenchError;
use super::gateway::{Gateway, system_event};
use super::instant::Instant;
use super::limits::Limits;
use super::receiver::Receiver;
use super::report::{Figure, Times, megabytes, number, rate};
use super::usage::{Cpu, Memory};
use super::wire::{Connection, run_in};

/// How many jobs each connection takes in turn, so that one is rarely asked for while it still runs.
pub(super) const JOBS_EACH: usize = 8;
/// How long nothing may arrive before the rest is given up.
const ARRIVE_WITHIN: Duration = Duration::from_secs(300);
/// After so many answers that are no acceptance, a connection gives up.
const MOST_REFUSALS: usize = 10_000;

/// What was measured.
#[derive(Debug)]
pub(super) struct Throughput {
    pub(super) delivered_per_s: f64,
    figures: Vec<Figure>,
}

/// How fast runs are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// As fast as the gateway takes them.
    AsTaken,
    /// So many a second, on all connections together.
    PerSecond(f64),
}

/// What the driver's connections saw.
#[derive(Debug, Default)]
pub(super) struct Driven {
    pub(super) accepted: Vec<(u128, Instant)>,
    already_running: usize,
    refused: usize,
}

pub(super) async fn measure(
    folder: &Path,
    receiver: &Receiver,
    events: usize,
    connections: usize,
) -> Result<Throughput, BenchError> {
    let gateway = Gateway::start(folder, "throughput").await?;
    let hook = receiver.hook_url();
    let jobs = (0..connections * JOBS_EACH).map(|n| system_event(&format!("backup-{n}"), &hook)).collect();
    let jobs = gateway.make_jobs(jobs).await?;
    receiver.forget().await?;

    let before = Cpu::of(gateway.pid);
    let began = Instant::now();
    let driven = drive(&gateway, &jobs, events, Pace::AsTaken).await?;
    let arrivals = receiver.wait_for(driven.accepted.len(), ARRIVE_WITHIN).await?;
    gateway.settle().await?;
    let cpu = Cpu::of(gateway.pid).since(&before);
    let memory = Memory::of(gateway.pid);

    let accepted = driven.accepted.len();
    let last_accepted = driven.accepted.iter().map(|(_, at)| *at).max().unwrap_or(began);
    let last_arrived = arrivals.first.values().copied().max().unwrap_or(began);
    let found = driven.accepted.iter().filter_map(|(run, at)| Some(arrivals.first.get(run)?.since(*at)));
    let latency = Times::new(found);
    let lost = accepted - latency.len();
    let delivered_per_s = rate(latency.len(), last_arrived.since(began));

    let per_event = |time: Duration| time.as_secs_f64() * 1e6 / number(accepted.max(1));
    let mut figures = vec![
        Figure::new("throughput.accepted", rate(accepted, last_accepted.since(began)), "/s")
            .noted(format!("{accepted} runs asked for on {connections} connections")),
        Figure::new("throughput.delivered", delivered_per_s, "/s").noted("first request to last arrival"),
        Figure::ms("throughput.latency_p50", latency.median())
            .noted("acceptance to arrival, under full load"),
        Figure::ms("throughput.latency_p99", latency.percentile(99)),
        Figure::new("throughput.errors", number(driven.refused + lost), "").noted(format!(
            "{} refused, {lost} accepted and not arrived; {} arrived twice, {} met a job still running",
            driven.refused, arrivals.repeats, driven.already_running
        )),
        Figure::new("throughput.peak_memory", megabytes(memory.peak_kib), "MB").noted("VmHWM"),
        Figure::new("throughput.cpu", per_event(cpu.total()), "us/event").noted(format!(
            "{:.1} s in all, the driver and the receiver not counted",
            cpu.total().as_secs_f64()
        )),
    ];
    if let Some(cpu_note) = figures.last_mut() {
        for (thread, time) in cpu.by_thread.iter().filter(|(_, time)| per_event(**time) >= 0.1) {
            cpu_note.note.push_str(&format!("; {thread} {:.1}", per_event(*time)));
        }
    }
    Ok(Throughput { delivered_per_s, figures })
}

/// Has `events` runs accepted, on a connection for each [`JOBS_EACH`] jobs.
pub(super) async fn drive(
    gateway: &Gateway,
    jobs: &[String],
    events: usize,
    pace: Pace,
) -> Result<Driven, BenchError> {
    let open = Arc::new(AtomicUsize::new(events));
    let began = tokio::time::Instant::now();
    let connections = jobs.chunks(JOBS_EACH);
    let count = number(connections.len());
    let mut drivers = Vec::new();
    for (n, jobs) in connections.enumerate() {
        let requests = jobs.iter().map(|job| gateway.run_request(job)).collect();
        let ticks = match pace {
            Pace::AsTaken => None,
            // One after another: connections that ask at the same instant would make bursts.
            Pace::PerSecond(rate) => Some(tokio::time::interval_at(
                began + Duration::from_secs_f64(number(n) / rate),
                Duration::from_secs_f64(count / rate),
            )),
        };
        drivers.push(tokio::spawn(drive_connection(gateway.address, requests, open.clone(), ticks)));
    }
    let mut all = Driven::default();
    for driver in drivers {
        let driven = driver.await??;
        all.accepted.extend(driven.accepted);
        all.already_running += driven.already_running;
        all.refused += driven.refused;
    }
    Ok(all)
}

async fn drive_connection(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    open: Arc<AtomicUsize>,
    mut ticks: Option<Interval>,
) -> Result<Driven, BenchError> {
    let mut driven = Driven::default();
    let mut connection = Connection::open(address).await?;
    let mut requests = requests.iter().cycle();
    let one_less = |open: usize| open.checked_sub(1);
    while open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        for request in requests.by_ref() {
            let answer = connection.exchange(request).await?;
            match (answer.status, run_in(answer.body)) {
                (202, Some(run)) => {
                    driven.accepted.push((run, Instant::now()));
                    break;
                }
                (200, _) => driven.already_running += 1,
                _ => driven.refused += 1,
            }
            if driven.refused + driven.already_running > MOST_REFUSALS {
                return Ok(driven);
            }
        }
    }
    Ok(driven)
}

impl Throughput {
    /// The figures, with what they are worth beside the limits of the parts.
    pub(super) fn into_figures(self, limits: Option<&Limits>) -> Vec<Figure> {
        let mut figures = self.figures;
        if let Some(limits) = limits {
            let ratio = |key, limit: f64| Figure::new(key, self.delivered_per_s / limit, "");
            figures.push(
                ratio("throughput.of_transport", limits.transport_per_s)
                    .noted("of what the bare HTTP client sends"),
            );
            figures.push(ratio("throughput.of_store", limits.store_per_s).noted("of what SQLite alone does"));
        }
        figures
    }
}
