//! The circuit breaker: a destination that keeps failing is left alone for a while, then asked by one delivery.

use std::time::Duration;

use clawhook_model::UnixMs;

/// How many failures in a row open the circuit.
const THRESHOLD: u32 = 10;
/// How long it stays open at first; the time doubles with each probe that fails.
const FIRST_COOLDOWN: Duration = Duration::from_secs(5);
/// How long it stays open at most.
const LONGEST_COOLDOWN: Duration = Duration::from_mins(5);

/// Whether a destination is asked at all. What waits for it meanwhile uses up no retry (invariant 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// It is; so many attempts in a row have failed.
    Closed { failures: u32 },
    /// It is not, until then.
    Open { until: UnixMs, cooldown: Duration },
    /// One delivery is under way to find out.
    HalfOpen { cooldown: Duration },
}

/// What an attempt's end did to the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switched {
    /// It opened, for the first time since it was closed.
    Opened,
    /// It closed again.
    Closed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// When the next request may be made; none while a probe is under way.
    pub(crate) fn next_at(self) -> Option<UnixMs> {
        match self {
            Self::Closed { .. } => Some(UnixMs::from_millis(i64::MIN)),
            Self::Open { until, .. } => Some(until),
            Self::HalfOpen { .. } => None,
        }
    }

    /// How many requests may be made now.
    pub(crate) fn allowance(self, now: UnixMs) -> usize {
        match self {
            Self::Closed { .. } => usize::MAX,
            Self::Open { until, .. } if until <= now => 1,
            Self::Open { .. } | Self::HalfOpen { .. } => 0,
        }
    }

    /// A request is made: after the circuit was open it is the probe.
    pub(crate) fn begin(&mut self) {
        if let Self::Open { cooldown, .. } = *self {
            *self = Self::HalfOpen { cooldown };
        }
    }

    /// The request that was to be made is not.
    pub(crate) fn withdraw(&mut self, now: UnixMs) {
        if let Self::HalfOpen { cooldown } = *self {
            *self = Self::Open { until: now, cooldown };
        }
    }

    pub(crate) fn succeeded(&mut self) -> Option<Switched> {
        let was_closed = matches!(self, Self::Closed { .. });
        *self = Self::default();
        (!was_closed).then_some(Switched::Closed)
    }

    pub(crate) fn failed(&mut self, now: UnixMs) -> Option<Switched> {
        match *self {
            Self::Closed { failures } if failures + 1 < THRESHOLD => {
                *self = Self::Closed { failures: failures + 1 };
                None
            }
            Self::Closed { .. } => {
                *self = Self::Open { until: now.plus(FIRST_COOLDOWN), cooldown: FIRST_COOLDOWN };
                Some(Switched::Opened)
            }
            Self::HalfOpen { cooldown } => {
                let cooldown = (cooldown * 2).min(LONGEST_COOLDOWN);
                *self = Self::Open { until: now.plus(cooldown), cooldown };
                None
            }
            // An attempt that began before the circuit opened tells nothing new.
            Self::Open { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs::from_millis(1_000_000);

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 1..THRESHOLD {
            assert_eq!(breaker.failed(NOW), None);
            assert_eq!(breaker.allowance(NOW), usize::MAX);
        }
        assert_eq!(breaker.failed(NOW), Some(Switched::Opened));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        opened();
        let mut breaker = Breaker::default();
        for _ in 0..5 * THRESHOLD {
            breaker.failed(NOW);
            assert_eq!(breaker.succeeded(), None);
        }
        assert_eq!(breaker.allowance(NOW), usize::MAX);
    }

    #[test]
    fn an_open_circuit_lets_one_probe_through_when_its_time_is_over() {
        let mut breaker = opened();
        assert_eq!(breaker.allowance(NOW.plus_millis(4_999)), 0);
        let later = NOW.plus_millis(5_000);
        assert_eq!(breaker.allowance(later), 1);
        breaker.begin();
        assert_eq!((breaker.allowance(later), breaker.next_at()), (0, None), "one, and no second");
        assert_eq!(breaker.succeeded(), Some(Switched::Closed));
        assert_eq!(breaker.allowance(later), usize::MAX);
    }

    #[test]
    fn each_probe_that_fails_doubles_the_time_up_to_a_bound() {
        let mut breaker = opened();
        let mut now = NOW;
        for expected in [10, 20, 40, 80, 160, 300, 300] {
            now = breaker.next_at().unwrap();
            breaker.begin();
            assert_eq!(breaker.failed(now), None, "it was open before");
            assert_eq!(breaker.next_at().unwrap().since(now), Duration::from_secs(expected));
        }
        assert!(now > NOW);
    }

    #[test]
    fn what_began_before_it_opened_changes_nothing() {
        let mut breaker = opened();
        let before = breaker;
        assert_eq!(breaker.failed(NOW.plus_millis(1)), None);
        assert_eq!(breaker, before);
    }
}
