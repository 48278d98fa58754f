//! Idle connections, by profile and origin: what was made with one destination's credentials serves no other.
//!
//! The one used last goes out first, so that those which are not needed grow old. A task looks for the old ones and
//! for those that the other side has closed; it runs only while there are any.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::HeaderMap;

use super::connection::HttpConnection;
use super::profile::ProfileId;

/// How many idle connections are kept in all.
const MAX_IDLE: usize = 1_024;
/// How often the old ones are looked for, at most.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How much earlier than the receiver a connection is given up, so that a request does not cross with its closing.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pool {
    idle_timeout: Duration,
    max_idle_per_origin: usize,
    shelves: Mutex<Shelves>,
}

#[derive(Debug, Default)]
struct Shelves {
    by_profile: HashMap<ProfileId, ByOrigin>,
    count: usize,
    swept: bool,
}

type ByOrigin = HashMap<Box<str>, Vec<Idle>>;

#[derive(Debug)]
struct Idle {
    connection: HttpConnection,
    until: Instant,
}

impl Pool {
    pub(super) fn new(idle_timeout: Duration, max_idle_per_origin: usize) -> Self {
        Self { idle_timeout, max_idle_per_origin, shelves: Mutex::default() }
    }

    /// The idle connection of `profile` to `origin` that was used last, if there is one that has not grown old.
    pub(super) fn take(&self, profile: ProfileId, origin: &str) -> Option<HttpConnection> {
        loop {
            let idle = self.lock().pop(profile, origin)?;
            if Instant::now() < idle.until {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection for the profile's next request to `origin`, for as long as `answer` lets hope that it stays
    /// open.
    pub(super) fn put(
        self: &Arc<Self>,
        profile: ProfileId,
        origin: &str,
        connection: HttpConnection,
        answer: &HeaderMap,
    ) {
        let lifetime = promised_lifetime(answer).map_or(self.idle_timeout, |it| it.min(self.idle_timeout));
        if lifetime.is_zero() {
            return;
        }
        let idle = Idle { connection, until: Instant::now() + lifetime };
        let mut shelves = self.lock();
        let surplus = shelves.push(profile, origin, idle, self.max_idle_per_origin);
        if !shelves.swept && shelves.count > 0 {
            shelves.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self), (self.idle_timeout / 4).min(SWEEP_EVERY)));
        }
        // Closing a connection takes a while, and others wait for the shelves.
        drop(shelves);
        drop(surplus);
    }

    /// Closes what is old or closed already; whether nothing is left.
    fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut gone = Vec::new();
        let mut shelves = self.lock();
        for shelf in shelves.by_profile.values_mut().flat_map(HashMap::values_mut) {
            gone.extend(shelf.extract_if(.., |idle| idle.until <= now || !idle.connection.is_open()));
        }
        shelves.by_profile.retain(|_, by_origin| {
            by_origin.retain(|_, shelf| !shelf.is_empty());
            !by_origin.is_empty()
        });
        shelves.count -= gone.len();
        shelves.swept = shelves.count > 0;
        !shelves.swept
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn pop(&mut self, profile: ProfileId, origin: &str) -> Option<Idle> {
        let idle = self.by_profile.get_mut(&profile)?.get_mut(origin)?.pop()?;
        self.count -= 1;
        Some(idle)
    }

    /// Puts `idle` on its shelf, or hands it back where there is no room.
    fn push(&mut self, profile: ProfileId, origin: &str, idle: Idle, max_per_origin: usize) -> Option<Idle> {
        if self.count >= MAX_IDLE || max_per_origin == 0 {
            return Some(idle);
        }
        let by_origin = self.by_profile.entry(profile).or_default();
        match by_origin.get_mut(origin) {
            Some(shelf) if shelf.len() >= max_per_origin => return Some(idle),
            Some(shelf) => shelf.push(idle),
            None => {
                by_origin.insert(origin.into(), vec![idle]);
            }
        }
        self.count += 1;
        None
    }
}

async fn sweep(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        if pool.sweep() {
            return;
        }
    }
}

/// How long the receiver says that it keeps an idle connection (`Keep-Alive: timeout=5`), less a margin.
fn promised_lifetime(answer: &HeaderMap) -> Option<Duration> {
    let value = answer.get("keep-alive")?.to_str().ok()?;
    let timeout = value.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| value.trim())
    })?;
    Some(Duration::from_secs(timeout.parse().ok()?).saturating_sub(KEEP_ALIVE_MARGIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receivers_own_promise_shortens_the_life_of_an_idle_connection() {
        let promise = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", http::HeaderValue::from_static(value));
            promised_lifetime(&headers)
        };
        assert_eq!(promise("timeout=5"), Some(Duration::from_secs(4)));
        assert_eq!(promise("max=100, Timeout = 1"), Some(Duration::ZERO));
        assert_eq!(promise("timeout=soon"), None);
        assert_eq!(promise("max=100"), None);
        assert_eq!(promised_lifetime(&HeaderMap::new()), None);
    }
}
