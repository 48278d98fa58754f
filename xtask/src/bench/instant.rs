//! Instants that processes on this machine can compare.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds on the clock that all processes of this machine share and that never jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instant(u64);

impl Instant {
    pub(super) fn now() -> Self {
        Self(nanos(clock_gettime(ClockId::Monotonic)))
    }

    /// The instant at which the wall clock shows these milliseconds, if nobody sets it.
    pub(super) fn of_unix_ms(ms: i64) -> Self {
        let unix = u64::try_from(ms).unwrap_or(0) * 1_000_000;
        let since_boot = Self::now().0;
        Self((unix + since_boot).saturating_sub(nanos(clock_gettime(ClockId::Realtime))))
    }

    pub(super) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(super) const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; none at all where that is later.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What the wall clock shows, in milliseconds since the epoch.
pub(super) fn unix_ms() -> i64 {
    i64::try_from(nanos(clock_gettime(ClockId::Realtime)) / 1_000_000).unwrap_or(i64::MAX)
}

fn nanos(time: Timespec) -> u64 {
    let (seconds, nanos) =
        (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds * 1_000_000_000 + nanos
}
