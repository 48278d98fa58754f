//! The slots that runs hold, and the signal that one is free.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clawhook_model::Lane;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many system events are under way at once; each is over within two commits.
const INSTANT: usize = 2048;

/// The slots of all lanes.
pub(crate) struct Slots {
    instant: LaneSlots,
    slot: LaneSlots,
    hook: LaneSlots,
    freed: Arc<Notify>,
}

struct LaneSlots {
    free: Arc<Semaphore>,
    /// Whether runs may wait in the store for a slot of this lane.
    queue: AtomicBool,
    /// Whether the timer found no slot free, and is to be woken by the next one that is.
    wanted: Arc<AtomicBool>,
}

/// A slot that is held. Dropping it frees the slot, and wakes the timer where it waits for one.
pub(crate) struct Held {
    /// The slot's lane.
    pub(crate) lane: Lane,
    permit: Option<OwnedSemaphorePermit>,
    wanted: Arc<AtomicBool>,
    freed: Arc<Notify>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.permit = None;
        if self.wanted.swap(false, Ordering::SeqCst) {
            self.freed.notify_one();
        }
    }
}

impl Slots {
    pub(crate) fn new(runs: usize, hook_runs: usize) -> Self {
        // A run may have been queued before this process began.
        let lane = |slots| LaneSlots {
            free: Arc::new(Semaphore::new(slots)),
            queue: AtomicBool::new(true),
            wanted: Arc::new(AtomicBool::new(false)),
        };
        Self {
            instant: lane(INSTANT),
            slot: lane(runs),
            hook: lane(hook_runs),
            freed: Arc::new(Notify::new()),
        }
    }

    /// How many slots of `lane` are free. Where none is, the next one that is freed wakes the timer.
    pub(crate) fn room(&self, lane: Lane) -> usize {
        let lane = self.lane(lane);
        let free = lane.free.available_permits();
        if free > 0 {
            return free;
        }
        lane.wanted.store(true, Ordering::SeqCst);
        // One may have been freed between the look and the note.
        lane.free.available_permits()
    }

    /// How many slots of `lane` are free, for whoever only wants to know.
    pub(crate) fn free(&self, lane: Lane) -> usize {
        self.lane(lane).free.available_permits()
    }

    /// Takes up to `most` slots of `lane` that are free.
    pub(crate) fn try_hold(&self, lane: Lane, most: usize) -> Vec<Held> {
        std::iter::from_fn(|| self.try_hold_one(lane)).take(most).collect()
    }

    /// Waits for a slot of `lane`; whoever waits here goes before those that wait in the store.
    pub(crate) async fn hold(&self, lane: Lane) -> Option<Held> {
        let slots = self.lane(lane);
        let permit = slots.free.clone().acquire_owned().await.ok()?;
        Some(self.held(lane, permit))
    }

    /// Takes a slot of each lane that has one free and nobody waiting for it.
    pub(crate) fn try_hold_each(&self) -> Vec<Held> {
        let unclaimed = |lane: &Lane| !self.has_queue(*lane);
        Lane::ALL.into_iter().filter(unclaimed).filter_map(|lane| self.try_hold_one(lane)).collect()
    }

    fn try_hold_one(&self, lane: Lane) -> Option<Held> {
        let permit = self.lane(lane).free.clone().try_acquire_owned().ok()?;
        Some(self.held(lane, permit))
    }

    fn held(&self, lane: Lane, permit: OwnedSemaphorePermit) -> Held {
        let wanted = self.lane(lane).wanted.clone();
        Held { lane, permit: Some(permit), wanted, freed: self.freed.clone() }
    }

    /// Whether runs may wait in the store for a slot of `lane`.
    pub(crate) fn has_queue(&self, lane: Lane) -> bool {
        self.lane(lane).queue.load(Ordering::SeqCst)
    }

    /// Notes whether runs may wait in the store for a slot of `lane`.
    pub(crate) fn note_queue(&self, lane: Lane, waits: bool) {
        self.lane(lane).queue.store(waits, Ordering::SeqCst);
    }

    /// Returns when a slot that was wanted is free, or the timer was nudged, since the last time.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Has the timer look again.
    pub(crate) fn nudge(&self) {
        self.freed.notify_one();
    }

    fn lane(&self, lane: Lane) -> &LaneSlots {
        match lane {
            Lane::Instant => &self.instant,
            Lane::Slot => &self.slot,
            Lane::Hook => &self.hook,
        }
    }
}
