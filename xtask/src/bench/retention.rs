//! Whether forgetting gets in the way of working: the store's rate beside a reaper that is never done, and without one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawhook_clock::{Clock, SystemClock};
use clawhook_engine::{Reaper, ReaperOptions};
use clawhook_model::{DestinationId, Job, Lane, Overlap, RunId, SessionId, Target, WebhookUrl};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{LeaseRequest, LeaseShare, QueueClass, Retention, RunStarted, StartRun, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::BenchError;
use super::report::{Figure, median};
use crate::month::world::{delivered, event, finish, job};

/// Of the rate without a reaper.
const AIM: f64 = 0.85;
/// The two take turns, so that what else the machine does meets both.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
/// How many jobs run at once, each one run after the other.
const JOBS: usize = 64;
/// How many runs of each the reaper leaves: next to none, so that it is never done.
const KEPT: u32 = 2;

pub(super) async fn measure(folder: &Path) -> Result<Vec<Figure>, BenchError> {
    let now = SystemClock.now();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.join("retention.db"), "a bench", now)?);
    let mut jobs = Vec::new();
    for n in 0..JOBS {
        let mut added = job(&format!("job-{n}"), Duration::from_hours(1));
        added.state.next_run_at = Some(now.plus(Duration::from_hours(24)));
        store.insert_job(added.clone()).await?;
        jobs.push(added);
    }
    // What is measured first warms up, and leaves a history.
    work(&store, &jobs).await?;
    work(&store, &jobs).await?;
    let (mut alone, mut beside, mut forgotten) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        alone.push(work(&store, &jobs).await?);
        let options = ReaperOptions {
            retention: Retention { runs_per_job: Some(KEPT), ..Retention::KEEP_ALL },
            first_after: Duration::ZERO,
            busy_rest: Duration::ZERO,
            idle_rest: Duration::ZERO,
        };
        let (reaper, handle) = Reaper::new(store.clone(), Arc::new(SystemClock), options);
        let stop = CancellationToken::new();
        let reaping = tokio::spawn(reaper.run(stop.clone()));
        beside.push(work(&store, &jobs).await?);
        stop.cancel();
        reaping.await?;
        forgotten += handle.report().since_start.runs;
    }
    let (alone, beside) = (median(alone), median(beside));
    let forgotten_per_s = forgotten as f64 / (ROUNDS as f64 * ROUND.as_secs_f64());
    Ok(vec![
        Figure::new("retention.alone", alone, "/s")
            .noted(format!("results begun, ended and delivered in the store; median of {ROUNDS} rounds")),
        Figure::new("retention.beside", beside, "/s").noted("the same beside a reaper that is never done"),
        Figure::new("retention.beside_of_alone", beside / alone, "")
            .at_least(AIM, "the rate beside the reaper, of that without"),
        Figure::new("retention.forgotten", forgotten_per_s, "runs/s").noted("with all that belongs to each"),
    ])
}

/// Has every job run as fast as it can, one run after the other; gives how many results were delivered in a second.
async fn work(store: &Arc<dyn Store>, jobs: &[Job]) -> Result<f64, BenchError> {
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for job in jobs {
        workers.spawn(work_at(store.clone(), job.clone(), began + ROUND));
    }
    let mut done = 0;
    while let Some(worker) = workers.join_next().await {
        done += worker??;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

async fn work_at(store: Arc<dyn Store>, job: Job, until: Instant) -> Result<u64, BenchError> {
    let (event, mut done, mut destination) = (event(), 0, None);
    while Instant::now() < until {
        let now = SystemClock.now();
        let start = StartRun {
            job_id: job.id.clone(),
            run_id: RunId::new(now),
            session_id: SessionId::random(),
            held: vec![Lane::Instant, Lane::Slot],
            overlap: Overlap::Skip,
        };
        let RunStarted::Begun(run, _) = store.start_run(start, now).await? else { continue };
        store.finish_run(finish(&job, &run, now, event.clone())).await?;
        let destination = match destination {
            Some(known) => known,
            None => *destination.insert(destination_of(store.as_ref(), &job).await?),
        };
        let share = LeaseShare {
            destination,
            class: QueueClass::FirstTry,
            most: 1,
            until: now.plus(Duration::from_secs(45)),
            probe: false,
        };
        for delivery in store.lease_deliveries(LeaseRequest { now, shares: vec![share] }).await?.leased {
            store.settle_attempt(delivered(&delivery, now)).await?;
            done += 1;
        }
    }
    Ok(done)
}

async fn destination_of(store: &dyn Store, job: &Job) -> Result<DestinationId, BenchError> {
    let unreadable = || BenchError::Unreadable { what: "the destination of a job", text: job.id.to_string() };
    let url: WebhookUrl = format!("https://example.com/{}", job.id).parse().map_err(|_| unreadable())?;
    store.destination_id(&Target::Webhook(url)).await?.ok_or_else(unreadable)
}
