//! Many jobs due at the same instant: how late they start, and how late their events arrive.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::BenchError;
use super::gateway::{Gateway, due_at, system_event};
use super::instant::{Instant, unix_ms};
use super::receiver::Receiver;
use super::report::{Figure, Times, number};

const JOBS: usize = 10_000;
/// How long it takes at most to make them.
const PREPARATION_MS: i64 = 20_000;
const START_WITHIN: Duration = Duration::from_secs(2);
const ARRIVE_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn measure(folder: &Path, receiver: &Receiver) -> Result<Vec<Figure>, BenchError> {
    let gateway = Gateway::start(folder, "storm").await?;
    receiver.forget().await?;
    let due_ms = unix_ms() + PREPARATION_MS;
    let due = Instant::of_unix_ms(due_ms);
    let hook = receiver.hook_url();
    let job = |n| due_at(system_event(&format!("storm-{n}"), &hook), due_ms);
    let began = Instant::now();
    gateway.make_jobs((0..JOBS).map(job).collect()).await?;
    let made = Instant::now();
    let spare_ms = due_ms - unix_ms();

    let to_wait = due.since(made) + ARRIVE_WITHIN;
    let arrivals = receiver.wait_for(JOBS, to_wait).await?;
    gateway.settle().await?;
    let runs = gateway.runs().await?;
    let started = Times::new(runs.iter().filter_map(|run| lateness(run, due_ms)));
    let arrived = Times::new(arrivals.first.values().map(|at| at.since(due)));

    let in_time = started.len() == JOBS && started.max() <= START_WITHIN;
    let verdict = if in_time { "yes" } else { "NO" };
    let mut figures = vec![
        Figure::new("storm.jobs", number(started.len()), "started").noted(format!(
            "of {JOBS} due at one instant; making them took {:.1} s",
            made.since(began).as_secs_f64()
        )),
        Figure::ms("storm.start_p50", started.median()).noted("due to started"),
        Figure::ms("storm.start_max", started.max()).noted(format!("all start within 2 s: {verdict}")),
        Figure::ms("storm.arrival_p50", arrived.median()).noted("due to received"),
        Figure::ms("storm.arrival_p99", arrived.percentile(99)),
        Figure::ms("storm.arrival_max", arrived.max()).noted(format!(
            "{} of {JOBS} received, {} twice",
            arrived.len(),
            arrivals.repeats
        )),
    ];
    if spare_ms < 0 {
        figures[0].note.push_str(": LONGER THAN PLANNED, the figures below say nothing");
    }
    Ok(figures)
}

fn lateness(run: &Value, due_ms: i64) -> Option<Duration> {
    let started = run["runAtMs"].as_i64()?;
    Some(Duration::from_millis(u64::try_from(started - due_ms).unwrap_or(0)))
}
