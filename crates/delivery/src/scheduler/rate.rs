//! A destination's rate limit: a bucket that fills evenly and holds a second's worth.

use std::time::Duration;

use clawhook_model::UnixMs;

/// Tokens for requests. A clock that steps back fills nothing, and one that steps forward fills no more than the bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TokenBucket {
    per_second: f64,
    tokens: f64,
    counted_at: UnixMs,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(per_second: f64, now: UnixMs) -> Self {
        Self { per_second, tokens: per_second.max(1.0), counted_at: now }
    }

    /// How many requests may be made now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bucket holds from 0 to a million"
    )]
    pub(crate) fn available(&mut self, now: UnixMs) -> usize {
        let elapsed = now.since(self.counted_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.per_second.max(1.0));
        self.counted_at = now;
        // A wait ends on a whole millisecond, so the last token may lack a rounding error.
        (self.tokens + 1e-6) as usize
    }

    #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
    pub(crate) fn take(&mut self, count: usize) {
        self.tokens -= count as f64;
    }

    #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
    pub(crate) fn give_back(&mut self, count: usize) {
        self.tokens = (self.tokens + count as f64).min(self.per_second.max(1.0));
    }

    /// When the next request may be made.
    pub(crate) fn next_at(&self) -> UnixMs {
        let missing = (1.0 - self.tokens).max(0.0);
        // Whole milliseconds, rounded up, or the bucket would be asked a moment too early again and again.
        let wait_ms = (missing / self.per_second * 1_000.0).ceil().min(1e12);
        self.counted_at.plus(Duration::from_secs_f64(wait_ms / 1_000.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: UnixMs = UnixMs::from_millis(1_000_000);

    #[test]
    fn a_seconds_worth_comes_at_once_and_then_one_at_a_time() {
        let mut bucket = TokenBucket::new(2.0, T0);
        assert_eq!(bucket.available(T0), 2);
        bucket.take(2);
        assert_eq!(bucket.available(T0), 0);
        let next = bucket.next_at();
        assert_eq!(next.since(T0), Duration::from_millis(500));
        assert_eq!(bucket.available(next), 1);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_gets_more_than_the_rate_and_one_burst(
            per_second in 0.01f64..5_000.0,
            steps in prop::collection::vec(0i64..5_000, 1..100),
        ) {
            let (mut bucket, mut now, mut taken) = (TokenBucket::new(per_second, T0), T0, 0usize);
            for step in steps {
                now = now.plus_millis(step);
                let available = bucket.available(now);
                bucket.take(available);
                taken += available;
            }
            let most = per_second.max(1.0) + per_second * now.since(T0).as_secs_f64() + 0.01;
            prop_assert!(taken as f64 <= most, "{taken} of {most}");
        }

        #[test]
        fn at_the_time_it_names_there_is_a_token(per_second in 0.000_02f64..5_000.0, drained in 1usize..5) {
            let mut bucket = TokenBucket::new(per_second, T0);
            for _ in 0..drained {
                let available = bucket.available(bucket.next_at());
                bucket.take(available);
            }
            let next = bucket.next_at();
            prop_assert!(bucket.available(next) >= 1);
        }
    }
}
