//! Counting wrong tokens by the address that they came from (contract §5.2): right ones are never slowed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clawhook_model::UnixMs;

/// How many wrong tokens an address may try within the time below, before it is locked out for as long.
const MOST_WRONG: u32 = 20;
/// For how long an address is locked out.
pub(crate) const LOCKED_OUT: Duration = Duration::from_secs(60);
/// How many addresses are told apart. All further ones share one count, so that many of them take no more room than few.
const MOST_ADDRESSES: usize = 10_000;

/// The wrong tokens of late, by address.
#[derive(Debug, Default)]
pub(crate) struct WrongTokens {
    counts: Mutex<BTreeMap<Source, Count>>,
}

/// Where tokens came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// An address.
    One(IpAddr),
    /// All that there was no room for.
    Others,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: UnixMs,
    wrong: u32,
}

impl Count {
    /// Whether it counts for nothing any more. A clock that was set back starts anew.
    fn is_over(self, now: UnixMs) -> bool {
        now < self.since || now.since(self.since) >= LOCKED_OUT
    }
}

impl WrongTokens {
    /// Counts a wrong token. False where there were too many before it.
    pub(crate) fn may_try(&self, from: IpAddr, now: UnixMs) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let one = Source::One(from.to_canonical());
        if !counts.contains_key(&one) && counts.len() >= MOST_ADDRESSES {
            counts.retain(|_, count| !count.is_over(now));
        }
        let has_room = counts.contains_key(&one) || counts.len() < MOST_ADDRESSES;
        let source = if has_room { one } else { Source::Others };
        let count = counts.entry(source).or_insert(Count { since: now, wrong: 0 });
        if count.is_over(now) {
            *count = Count { since: now, wrong: 0 };
        }
        if count.wrong >= MOST_WRONG {
            return false;
        }
        count.wrong += 1;
        if count.wrong == MOST_WRONG {
            // From here on it is locked out, for the whole time.
            count.since = now;
        }
        true
    }

    /// Forgets the wrong tokens of an address that has shown a right one.
    pub(crate) fn forgive(&self, from: IpAddr) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(&Source::One(from.to_canonical()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: UnixMs = UnixMs::from_millis(1_000_000);

    fn later(secs: i64) -> UnixMs {
        NOW.plus_millis(secs * 1000)
    }

    #[test]
    fn twenty_wrong_tokens_lock_an_address_out_for_a_minute_and_no_other() {
        let (limiter, one) = (WrongTokens::default(), IpAddr::from([10, 0, 0, 1]));
        assert!((0..20).all(|_| limiter.may_try(one, NOW)));
        assert!(!limiter.may_try(one, later(1)));
        let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        assert!(!limiter.may_try(mapped, later(59)));
        assert!(limiter.may_try(IpAddr::from([10, 0, 0, 2]), later(1)));
        assert!(limiter.may_try(one, later(60)));
    }

    #[test]
    fn a_right_token_forgives_and_a_clock_that_was_set_back_starts_anew() {
        let (limiter, one) = (WrongTokens::default(), IpAddr::from([10, 0, 0, 1]));
        (0..20).for_each(|_| assert!(limiter.may_try(one, NOW)));
        limiter.forgive(one);
        assert!((0..20).all(|_| limiter.may_try(one, NOW)));
        assert!(limiter.may_try(one, later(-3600)));
    }

    #[test]
    fn however_many_addresses_there_are_their_counts_take_no_more_room_than_a_bound() {
        let limiter = WrongTokens::default();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..20_000 {
            limiter.may_try(address(n), NOW);
        }
        assert_eq!(limiter.counts.lock().unwrap().len(), MOST_ADDRESSES + 1);
        // Those without a place of their own share the twenty.
        assert!(!limiter.may_try(address(50_000), NOW));
        assert!(limiter.may_try(address(50_000), later(61)));
    }
}
