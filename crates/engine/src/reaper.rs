//! The reaper: what is over is forgotten in time, and the disk gets its room back.
//!
//! It is a task of its own that shares nothing with the timer but the store, so that a history that grows is never the
//! timer's business, and goes on growing no more when the timer stands still. What may go is said by the store's verb;
//! what the reaper decides is when, and how much of the store's time that may take: it works in small steps, and rests
//! nine times as long as each took, so that whoever has work to do finds the store free.
//!
//! Not guaranteed: that something goes at the very moment when it may. A pass comes every minute while there is something
//! to forget, and every five where there is not; rows that one pass looked at and kept are looked at again after an hour.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::UnixMs;
use clawhook_store::{
    HeldSpace, PruneCursor, PruneNext, PrunedRows, Retention, Store, StoreError, StoreSize,
};
use tokio_util::sync::CancellationToken;

/// How much longer than a step takes the reaper rests after it: it has a tenth of the store's time.
const RESTS: u32 = 9;
/// And where a pass has gone on for this long, so that more is written than goes: a quarter.
const BEHIND_AFTER: Duration = Duration::from_mins(5);
const RESTS_BEHIND: u32 = 3;
/// How long it rests at most after one step.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// How often everything is looked at, what was kept before too.
const THOROUGH_EVERY: Duration = Duration::from_hours(1);
/// How much is given back to the disk in one step.
const RECLAIMED_AT_ONCE: u64 = 1024 * 1024;
/// How much of the file may hold nothing before room is given back: what is freed is mostly written to again soon.
const LEAST_FREE: u64 = 8 * 1024 * 1024;
const FREE_PART: u64 = 8;

/// What the reaper keeps, and when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaperOptions {
    /// How long what is over is kept.
    pub retention: Retention,
    /// How long after the start it comes for the first time.
    pub first_after: Duration,
    /// How long it rests after a pass that has found something to forget.
    pub busy_rest: Duration,
    /// How long it rests after one that has found nothing.
    pub idle_rest: Duration,
}

impl Default for ReaperOptions {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            first_after: Duration::from_secs(10),
            busy_rest: Duration::from_mins(1),
            idle_rest: Duration::from_mins(5),
        }
    }
}

/// The task that forgets what is over. A clone begins a pass of its own.
#[derive(Clone)]
pub struct Reaper {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    options: ReaperOptions,
    handle: ReaperHandle,
}

/// What a door holds of the reaper. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ReaperHandle {
    report: Arc<Mutex<ReaperReport>>,
}

/// What the reaper has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReaperReport {
    /// The last pass that came to its end.
    pub last_pass: Option<PassReport>,
    /// What went since the start.
    pub since_start: PrunedRows,
    /// The room that the store took after the last pass.
    pub size: StoreSize,
    /// Why the store takes more room than it may.
    pub held: Option<HeldSpace>,
    /// Why the last pass did not come to its end.
    pub failure: Option<StoreError>,
}

/// What one pass has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassReport {
    /// When it began.
    pub began_at: UnixMs,
    /// When it ended.
    pub ended_at: UnixMs,
    /// What went.
    pub rows: PrunedRows,
    /// How many bytes the disk has back.
    pub reclaimed: u64,
}

/// From where the next pass goes on, and since when.
#[derive(Debug, Default)]
struct Round {
    cursor: PruneCursor,
    thorough_at: Option<UnixMs>,
}

impl Reaper {
    /// A reaper and its handle; nothing is forgotten before [`Reaper::run`].
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, options: ReaperOptions) -> (Self, ReaperHandle) {
        let handle = ReaperHandle::default();
        (Self { store, clock, options, handle: handle.clone() }, handle)
    }

    /// Makes pass after pass, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        // A pass holds nothing that must be put away: it ends wherever it is.
        shutdown.run_until_cancelled(self.pass_by_pass()).await;
    }

    async fn pass_by_pass(&self) {
        let (mut round, mut rest) = (Round::default(), self.options.first_after);
        loop {
            self.clock.sleep(rest).await;
            rest = match self.pass(&mut round).await {
                Ok(pass) if pass.rows.total() > 0 => self.options.busy_rest,
                Ok(_) => self.options.idle_rest,
                Err(error) => {
                    tracing::warn!(%error, "what is over cannot be forgotten: the store cannot be read or written");
                    self.handle.with(|report| report.failure = Some(error));
                    round = Round::default();
                    self.options.busy_rest
                }
            };
        }
    }

    async fn pass(&self, round: &mut Round) -> Result<PassReport, StoreError> {
        let began_at = self.clock.now();
        let is_thorough = round.thorough_at.is_none_or(|last| {
            began_at.since(last) >= THOROUGH_EVERY || last.since(began_at) >= THOROUGH_EVERY
        });
        if is_thorough {
            *round = Round { cursor: PruneCursor::default(), thorough_at: Some(began_at) };
        }
        let (rows, held) = self.forget(round, began_at).await?;
        let (reclaimed, size) = self.give_back(began_at).await?;
        let pass = PassReport { began_at, ended_at: self.clock.now(), rows, reclaimed };
        if rows.total() > 0 || reclaimed > 0 {
            tracing::debug!(?rows, reclaimed, "what is over was forgotten");
        }
        self.handle.with(|report| {
            *report = ReaperReport {
                last_pass: Some(pass),
                since_start: report.since_start,
                size,
                held,
                failure: None,
            };
        });
        Ok(pass)
    }

    async fn forget(
        &self,
        round: &mut Round,
        began_at: UnixMs,
    ) -> Result<(PrunedRows, Option<HeldSpace>), StoreError> {
        let (mut rows, mut held) = (PrunedRows::default(), None);
        let mut cursor = std::mem::take(&mut round.cursor);
        loop {
            let pruned = self.store.prune(&self.options.retention, cursor, self.clock.now()).await?;
            rows.add(&pruned.rows);
            self.handle.with(|report| report.since_start.add(&pruned.rows));
            held = held.or(pruned.held);
            self.rest_after(pruned.took, began_at).await;
            match pruned.then {
                PruneNext::Step(next) => cursor = next,
                PruneNext::Pass(next) => {
                    round.cursor = next;
                    return Ok((rows, held));
                }
            }
        }
    }

    /// Gives room back to the disk, where more of the file holds nothing than will soon be written to again.
    async fn give_back(&self, began_at: UnixMs) -> Result<(u64, StoreSize), StoreError> {
        let mut size = self.store.size().await?;
        let mut given_back = 0;
        while size.free > (size.bytes / FREE_PART).max(LEAST_FREE) {
            let reclaimed = self.store.reclaim(RECLAIMED_AT_ONCE).await?;
            // A file that was made without the means gives nothing back.
            if reclaimed.bytes == 0 {
                break;
            }
            given_back += reclaimed.bytes;
            size = StoreSize { bytes: size.bytes.saturating_sub(reclaimed.bytes), free: reclaimed.free };
            self.rest_after(reclaimed.took, began_at).await;
        }
        if given_back > 0 {
            self.store.fold_log().await?;
            size = self.store.size().await?;
        }
        Ok((given_back, size))
    }

    async fn rest_after(&self, took: Duration, began_at: UnixMs) {
        let is_behind = self.clock.now().since(began_at) > BEHIND_AFTER;
        let rest = took.saturating_mul(if is_behind { RESTS_BEHIND } else { RESTS }).min(LONGEST_REST);
        if rest.is_zero() {
            tokio::task::yield_now().await;
        } else {
            self.clock.sleep(rest).await;
        }
    }
}

impl ReaperHandle {
    /// What the reaper has done.
    pub fn report(&self) -> ReaperReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What asks for the operator, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        self.report().held.into_iter().map(too_large).collect()
    }

    fn with(&self, change: impl FnOnce(&mut ReaperReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn too_large(held: HeldSpace) -> String {
    let HeldSpace { bytes, deliveries_open, deliveries_dead } = held;
    format!(
        "the store takes {} MiB, which is more than `cron.retention.maxBytes`, and nothing more of it may go: \
         {deliveries_open} deliveries are not settled, and {deliveries_dead} were given up lately",
        bytes / (1024 * 1024)
    )
}
