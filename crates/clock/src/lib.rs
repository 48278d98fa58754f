//! The one way to ask what time it is, and to wait for a time (invariant 14).
//!
//! Everything that decides by the wall clock takes an `Arc<dyn Clock>`. [`SystemClock`] is made in `main` and
//! nowhere else; tests drive a [`ManualClock`] by hand and never sleep. Measuring how long something took is not
//! telling the time: for that, `std::time::Instant` is right.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clawhook_model::UnixMs;
use tokio::sync::oneshot;

/// How long a sleep lasts at most before the wall clock is read again, so that a step of the clock or a
/// suspended machine delays a wake-up by no more than this.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// A source of the current instant, and of wake-ups.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The wall clock's instant.
    fn now(&self) -> UnixMs;

    /// Returns once the wall clock shows `instant` or later.
    async fn sleep_until(&self, instant: UnixMs);

    /// Returns after `duration`. The system's clock measures it apart from the wall clock, which may be set back
    /// meanwhile.
    async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().plus(duration)).await;
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> UnixMs {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixMs::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep_until(&self, instant: UnixMs) {
        loop {
            let left = instant.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST_NAP)).await;
        }
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Clone)]
pub struct ManualClock {
    inner: Arc<Mutex<Manual>>,
}

#[derive(Debug)]
struct Manual {
    now: UnixMs,
    next_ticket: u64,
    sleepers: BTreeMap<(UnixMs, u64), oneshot::Sender<()>>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: UnixMs) -> Self {
        Self { inner: Arc::new(Mutex::new(Manual { now, next_ticket: 0, sleepers: BTreeMap::new() })) }
    }

    /// Moves forward by `by` and wakes whoever is due.
    pub fn advance(&self, by: Duration) {
        let target = self.now().plus(by);
        self.set(target);
    }

    /// Sets the clock, backwards too, and wakes whoever is due.
    pub fn set(&self, now: UnixMs) {
        let mut manual = self.lock();
        manual.now = now;
        let later = manual.sleepers.split_off(&(now.plus_millis(1), 0));
        let due = std::mem::replace(&mut manual.sleepers, later);
        drop(manual);
        for (_, sleeper) in due {
            // A sleeper that was dropped in the meantime has nothing to be woken for.
            sleeper.send(()).ok();
        }
    }

    /// The instant that the earliest sleeper waits for.
    pub fn next_wake(&self) -> Option<UnixMs> {
        let mut manual = self.lock();
        manual.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        manual.sleepers.keys().next().map(|(instant, _)| *instant)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Manual> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> UnixMs {
        self.lock().now
    }

    async fn sleep_until(&self, instant: UnixMs) {
        let woken = {
            let mut manual = self.lock();
            if instant <= manual.now {
                return;
            }
            let (wake, woken) = oneshot::channel();
            let ticket = manual.next_ticket;
            manual.next_ticket += 1;
            manual.sleepers.insert((instant, ticket), wake);
            woken
        };
        // The sender lives in the clock; were the clock dropped, nobody could ever ask again.
        woken.await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_duration_is_waited_for_though_the_wall_clock_does_not_show_its_end() {
        let before = SystemClock.now();
        SystemClock.sleep(Duration::from_hours(24)).await;
        assert!(SystemClock.now().since(before) < Duration::from_hours(1));
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_their_time_has_come_and_not_before() {
        let clock = ManualClock::at(UnixMs::from_millis(1_000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(UnixMs::from_millis(2_000)).await }
        });
        while clock.next_wake().is_none() {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_millis(999));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_millis(1));
        sleeper.await.unwrap();
    }
}
