//! Which runs have been handled: `(jobId, runId)`, the newest ten thousand of them.

use std::collections::{HashSet, VecDeque};

/// How many are remembered.
const MOST: usize = 10_000;

/// What makes an event the same as another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// The run of a job.
    Run {
        /// `jobId`.
        job: String,
        /// `runId`.
        run: String,
    },
    /// `webhook-id`, for what is no run's event.
    Webhook(String),
}

/// The memory of what was handled.
#[derive(Debug, Default)]
pub(super) struct Seen {
    known: HashSet<Identity>,
    oldest_first: VecDeque<Identity>,
}

impl Seen {
    /// Whether this was handled before.
    pub(super) fn contains(&self, identity: &Identity) -> bool {
        self.known.contains(identity)
    }

    /// Remembers it, and forgets the oldest where there are too many.
    pub(super) fn insert(&mut self, identity: Identity) {
        if self.known.insert(identity.clone()) {
            self.oldest_first.push_back(identity);
        }
        if self.oldest_first.len() > MOST
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest_first() {
        let identity = |n: usize| Identity::Run { job: "job".to_owned(), run: n.to_string() };
        let mut seen = Seen::default();
        for n in 0..=MOST {
            seen.insert(identity(n));
        }
        assert!(!seen.contains(&identity(0)));
        assert!(seen.contains(&identity(1)));
        assert!(seen.contains(&identity(MOST)));
        assert_eq!(seen.known.len(), MOST);
        assert_eq!(seen.oldest_first.len(), MOST);
    }
}
