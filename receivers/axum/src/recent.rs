//! The newest ids, so that memory stays bounded.

use std::collections::{HashSet, VecDeque};

/// Remembers the newest ids and forgets the oldest first.
pub(crate) struct RecentIds {
    known: HashSet<String>,
    oldest_first: VecDeque<String>,
    limit: usize,
}

impl RecentIds {
    pub(crate) fn new(limit: usize) -> Self {
        Self { known: HashSet::new(), oldest_first: VecDeque::new(), limit }
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    pub(crate) fn insert(&mut self, id: &str) {
        if self.known.insert(id.to_owned()) {
            self.oldest_first.push_back(id.to_owned());
        }
        if self.oldest_first.len() > self.limit
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
        let mut recent = RecentIds::new(2);
        for id in ["a", "b", "a", "c"] {
            recent.insert(id);
        }
        assert_eq!(["a", "b", "c"].map(|id| recent.contains(id)), [false, true, true]);
    }
}
