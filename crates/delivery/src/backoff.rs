//! How long to wait: the schedule's steps with a little chance on top, and waits of our own making.

use std::time::Duration;

/// How much of a wait is added at most, by chance, so that many deliveries which failed together do not come back
/// together.
const JITTER: f64 = 0.1;

/// The shortest and the longest wait after a fault of our own side.
const OWN_FAULT_LEAST: Duration = Duration::from_secs(5);
const OWN_FAULT_MOST: Duration = Duration::from_secs(5 * 60);

/// `wait` and some more. `random` lies in `0..1`.
///
/// Jitter only ever lengthens a wait: what was promised as a minimum stays one.
pub(crate) fn with_jitter(wait: Duration, random: f64) -> Duration {
    let share = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
    wait.saturating_add(wait.mul_f64(JITTER * share))
}

/// The wait after a fault of our own side, of a delivery that is `age` old: half of what it has waited already, within
/// bounds. So the waits of a long fault grow, and nothing needs to be counted for it.
pub(crate) fn after_own_fault(age: Duration) -> Duration {
    (age / 2).clamp(OWN_FAULT_LEAST, OWN_FAULT_MOST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn jitter_never_shortens_a_wait_and_adds_a_tenth_at_most(
            millis in 0u64..1_000_000_000_000,
            random in prop::num::f64::ANY,
        ) {
            let wait = Duration::from_millis(millis);
            let delay = with_jitter(wait, random);
            prop_assert!(delay >= wait);
            prop_assert!(delay <= wait + wait / 10 + Duration::from_millis(1));
        }
    }

    #[test]
    fn chance_spreads_the_waits() {
        assert_eq!(with_jitter(Duration::from_secs(300), 0.5), Duration::from_secs(315));
    }

    #[test]
    fn the_waits_of_a_fault_of_our_own_grow_up_to_five_minutes() {
        let mut age = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..15 {
            let wait = after_own_fault(age);
            waits.push(wait.as_secs());
            age += wait;
        }
        assert_eq!(waits, [5, 5, 5, 7, 11, 16, 25, 37, 56, 85, 128, 192, 288, 300, 300]);
    }
}
