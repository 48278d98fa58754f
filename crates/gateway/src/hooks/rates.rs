//! How many requests a minute each hook takes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clawhook_inbound::HookId;
use clawhook_model::UnixMs;

const MINUTE_MS: f64 = 60_000.0;

/// What each hook has taken of late: a bucket that holds a minute's worth. There are no more than there are hooks.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    buckets: Mutex<BTreeMap<HookId, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: UnixMs,
}

impl Rates {
    /// Counts a request, or says after how long there is room for one.
    pub(crate) fn take(&self, hook: &HookId, per_minute: u32, now: UnixMs) -> Result<(), Duration> {
        let most = f64::from(per_minute.max(1));
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(hook.clone()).or_insert(Bucket { left: most, at: now });
        let passed = now.since(bucket.at).as_secs_f64() * 1000.0;
        let left = (bucket.left + passed * most / MINUTE_MS).min(most);
        *bucket = Bucket { left, at: now };
        if left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - left) * 60.0 / most));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_takes_a_minutes_worth_at_once_and_then_as_much_as_time_brings() {
        let rates = Rates::default();
        let (hook, other): (HookId, HookId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let now = UnixMs::from_millis(1_000_000);
        assert!((0..30).all(|_| rates.take(&hook, 30, now).is_ok()));
        let wait = rates.take(&hook, 30, now).unwrap_err();
        assert_eq!(wait.as_secs_f64().round(), 2.0);
        assert!(rates.take(&other, 30, now).is_ok());
        assert!(rates.take(&hook, 30, now.plus_millis(2_001)).is_ok());
        // A clock that was set back takes nothing away.
        assert!(rates.take(&other, 30, now.plus_millis(-60_000)).is_ok());
    }
}
