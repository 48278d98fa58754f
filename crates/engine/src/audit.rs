//! The audit: what jobs wait for is what their schedules say.
//!
//! The timer trusts the instant that is stored with a job. That is right until the world around it is mended: new zone
//! data moves what is to come, and a clock that was years ahead leaves jobs waiting for years. So every job is looked
//! at from time to time, a page at a time so that it costs next to nothing, and all of them at once when the clock was
//! set back.
//!
//! An instant that was run is never run again, so that waiting for it once more does no harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clawhook_model::{Job, UnixMs};
use clawhook_schedule::Timetable;
use clawhook_store::{OccurrenceFilter, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{Core, EngineHandle};

/// How many jobs are read at once.
const PAGE: usize = 500;
/// How many jobs are looked at without a rest when the gateway starts.
const AT_THE_START: usize = 2_000;
/// How many jobs are judged before others have their turn.
const STRETCH: usize = 50;
/// How far ahead a job's last record may lie and still be believed: what lies further was written by a wrong clock.
const BELIEVABLE: Duration = Duration::from_secs(25 * 60 * 60);

/// How the audit spares the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditOptions {
    /// How long it rests after a page of jobs.
    pub page_rest: Duration,
    /// How long it rests after all of them.
    pub walk_rest: Duration,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { page_rest: Duration::from_secs(5), walk_rest: Duration::from_mins(5) }
    }
}

/// The task that compares what jobs wait for with their schedules. A clone goes on from the first job, and counts with it.
#[derive(Clone)]
pub struct Audit {
    core: Arc<Core>,
    corrected: Arc<AtomicU64>,
    options: AuditOptions,
}

/// Where the walk through the jobs is.
#[derive(Debug, Default)]
struct Walk {
    cursor: u64,
    /// How many jobs are still looked at without a rest.
    in_haste: usize,
}

impl Audit {
    /// An audit of an engine's jobs; nothing happens before [`Audit::run`].
    pub fn new(engine: &EngineHandle, options: AuditOptions) -> Self {
        Self { core: engine.core.clone(), corrected: Arc::default(), options }
    }

    /// How many jobs were made to wait for another instant since the start.
    pub fn corrected(&self) -> u64 {
        self.corrected.load(Ordering::Relaxed)
    }

    /// Walks through the jobs again and again, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let core = &self.core;
        let mut walk = Walk { cursor: 0, in_haste: AT_THE_START };
        while !shutdown.is_cancelled() {
            let rest = match self.page(&mut walk).await {
                Ok(rest) => rest,
                Err(error) => {
                    tracing::warn!(%error, "schedules cannot be audited: the store cannot be read or written");
                    self.options.page_rest
                }
            };
            if rest.is_zero() {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = core.schedules_suspect.notified() => walk = Walk { cursor: 0, in_haste: usize::MAX },
                () = core.clock.sleep(rest) => {}
            }
        }
    }

    /// Looks at the next page, and says how long to rest.
    async fn page(&self, walk: &mut Walk) -> Result<Duration, StoreError> {
        let jobs = self.core.store.scheduled_jobs(walk.cursor, PAGE).await?;
        if jobs.is_empty() {
            *walk = Walk::default();
            return Ok(self.options.walk_rest);
        }
        for (place, (cursor, job)) in jobs.into_iter().enumerate() {
            self.judge(&job).await?;
            walk.cursor = cursor;
            walk.in_haste = walk.in_haste.saturating_sub(1);
            if place % STRETCH == STRETCH - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(if walk.in_haste > 0 { Duration::ZERO } else { self.options.page_rest })
    }

    /// Has a job wait for what its schedule says, where it waits for something else.
    async fn judge(&self, job: &Job) -> Result<(), StoreError> {
        let core = &self.core;
        let now = core.clock.now();
        let (from, schedule) = (job.state.next_run_at, &job.definition.schedule);
        // What is due is the timer's; an instant alone, once it was due, is used up.
        let is_due = from.is_some_and(|next| next <= now);
        if is_due || (schedule.is_one_shot() && from.is_none()) || job.state.auto_disabled.is_some() {
            return Ok(());
        }
        // A schedule that cannot be read is told of, and acted on, when the job is due.
        let Ok(timetable) = Timetable::new(schedule, &job.id, &core.host_zone) else { return Ok(()) };
        let mut expected = timetable.next_after(now);
        if expected == from {
            return Ok(());
        }
        if let Some(last) = self.last_record(job, now).await? {
            expected = timetable.next_after(last);
        }
        if expected == from
            || expected.is_none()
            || !core.store.correct_next_run(&job.id, from, expected).await?
        {
            return Ok(());
        }
        self.corrected.fetch_add(1, Ordering::Relaxed);
        let why = match from {
            Some(_) => "its schedule says otherwise since the zone data or the clock was mended",
            None => "it is enabled and waited for nothing",
        };
        tracing::warn!(
            job = %job.id, was = from.map(tracing::field::display), is = expected.map(tracing::field::display), why,
            "the instant that a job waits for was corrected"
        );
        Ok(())
    }

    /// The job's last record, where that lies ahead: instants up to it are over, although the clock was set back since.
    async fn last_record(&self, job: &Job, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
        let newest = self.core.store.occurrences(OccurrenceFilter::newest(&job.id, 1)).await?;
        let last = newest.first().map(|occurrence| occurrence.due_at);
        Ok(last.filter(|last| *last > now && last.since(now) <= BELIEVABLE))
    }
}
