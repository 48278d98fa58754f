//! A wall clock on simulated time: it goes with the runtime's paused time, and can be set wrong.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clawhook_clock::Clock;
use clawhook_model::UnixMs;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long after a step of the wall clock a sleeper may still not know of it; the system's clock promises the same.
const NOTICES_WITHIN: Duration = Duration::from_secs(30);
/// The longest that a timer is set for.
const LONGEST_SLEEP: Duration = Duration::from_hours(24 * 30);

/// The clock of all lives of one simulated machine.
#[derive(Debug)]
pub(super) struct SimClock {
    face: Mutex<Face>,
    steps: watch::Sender<u64>,
}

#[derive(Debug)]
struct Face {
    /// What the clock showed when it was last set, or when the life began.
    shown: UnixMs,
    /// Since when it has been going; none between lives.
    going_since: Option<Instant>,
    /// The latest instant that it ever showed.
    latest: UnixMs,
    /// The earliest instant that it ever showed.
    earliest: UnixMs,
}

impl Face {
    fn now(&self) -> UnixMs {
        let went = self.going_since.map(|since| Instant::now().duration_since(since));
        self.shown.plus(went.unwrap_or_default())
    }
}

impl SimClock {
    pub(super) fn at(now: UnixMs) -> Self {
        let face = Face { shown: now, going_since: None, latest: now, earliest: now };
        Self { face: Mutex::new(face), steps: watch::Sender::new(0) }
    }

    /// Goes with the time of the runtime that calls it.
    pub(super) fn start(&self) {
        self.with(|face| face.going_since = Some(Instant::now()));
    }

    /// Stands still; called on the runtime that it goes with.
    pub(super) fn stop(&self) {
        self.with(|face| {
            face.shown = face.now();
            face.going_since = None;
            face.latest = face.latest.max(face.shown);
        });
    }

    /// Shows another instant from now on, earlier or later.
    pub(super) fn set(&self, now: UnixMs) {
        self.with(|face| {
            face.latest = face.latest.max(face.now()).max(now);
            face.earliest = face.earliest.min(now);
            face.shown = now;
            face.going_since = face.going_since.map(|_| Instant::now());
        });
        self.steps.send_modify(|steps| *steps += 1);
    }

    /// The latest instant that it ever showed.
    pub(super) fn latest(&self) -> UnixMs {
        self.with(|face| face.latest.max(face.now()))
    }

    /// The earliest instant that it ever showed.
    pub(super) fn earliest(&self) -> UnixMs {
        self.with(|face| face.earliest)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Face) -> T) -> T {
        act(&mut self.face.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> UnixMs {
        self.with(|face| face.now())
    }

    async fn sleep_until(&self, instant: UnixMs) {
        let mut steps = self.steps.subscribe();
        loop {
            let left = instant.since(self.now()).min(LONGEST_SLEEP);
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                // The sender lives in the clock.
                _ = steps.changed() => tokio::time::sleep(left.min(NOTICES_WITHIN)).await,
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
