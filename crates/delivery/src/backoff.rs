//! When the next try of a delivery is due: a list of waits, and a little chance on top.

use std::time::Duration;

/// How much of a wait is added at most, by chance, so that many deliveries which failed together do not come back
/// together.
const JITTER: f64 = 0.1;

const SECOND: u64 = 1;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The waits between the tries of one delivery. An empty list means one try and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule {
    delays: Vec<Duration>,
}

impl RetrySchedule {
    /// The waits in their order: the first stands between the first try and the second.
    pub fn new(delays: Vec<Duration>) -> Self {
        Self { delays }
    }

    /// The wait before the next try, once `retries_used` retries have been made; `None` when none is left.
    ///
    /// `random` lies in `0..1`. Jitter only ever lengthens a wait: what the schedule promises as a minimum stays one.
    pub fn delay(&self, retries_used: u32, random: f64) -> Option<Duration> {
        let step = *self.delays.get(usize::try_from(retries_used).ok()?)?;
        let share = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        Some(step.saturating_add(step.mul_f64(JITTER * share)))
    }

    /// How many retries follow the first try.
    pub fn retries(&self) -> u32 {
        u32::try_from(self.delays.len()).unwrap_or(u32::MAX)
    }

    /// The waits in their order, without jitter.
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    /// The time from the first try to the last, without jitter and without the tries themselves.
    pub fn span(&self) -> Duration {
        self.delays.iter().fold(Duration::ZERO, |sum, delay| sum.saturating_add(*delay))
    }
}

impl Default for RetrySchedule {
    /// The Standard Webhooks' sample: three days and a bit, most of it for outages that last over a night.
    fn default() -> Self {
        let seconds = [
            5 * SECOND,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ];
        Self::new(seconds.map(Duration::from_secs).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn jitter_never_shortens_a_wait_and_adds_a_tenth_at_most(
            steps in prop::collection::vec(0u64..1_000_000_000, 0..20),
            retries_used in 0u32..25,
            random in prop::num::f64::ANY,
        ) {
            let steps: Vec<Duration> = steps.into_iter().map(Duration::from_millis).collect();
            let delay = RetrySchedule::new(steps.clone()).delay(retries_used, random);
            match steps.get(retries_used as usize) {
                None => prop_assert_eq!(delay, None),
                Some(step) => {
                    let delay = delay.unwrap();
                    prop_assert!(delay >= *step);
                    prop_assert!(delay <= step.mul_f64(1.1) + Duration::from_nanos(2));
                }
            }
        }
    }

    #[test]
    fn the_default_tries_nine_times_again_within_three_days_and_four_hours() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.retries(), 9);
        assert_eq!(schedule.span(), Duration::from_secs(75 * HOUR + 35 * MINUTE + 5));
        assert_eq!(schedule.delay(0, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(schedule.delay(8, 0.0), Some(Duration::from_secs(24 * HOUR)));
        assert_eq!(schedule.delay(9, 0.0), None);
    }

    #[test]
    fn chance_spreads_the_waits() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.delay(1, 0.5), Some(Duration::from_secs(5 * MINUTE + 15)));
    }
}
