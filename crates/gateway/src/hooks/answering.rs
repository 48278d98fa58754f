//! Requests that are being answered: whoever waits for an end has no answer yet that could be repeated.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The keys of requests whose callers wait. There are no more of them than open connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answering {
    keys: Arc<Mutex<HashSet<[u8; 32]>>>,
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(crate) struct BeingAnswered {
    keys: Arc<Mutex<HashSet<[u8; 32]>>>,
    key: [u8; 32],
}

impl Answering {
    /// Notes that a request of this key is being answered; none where one is already.
    pub(crate) fn begin(&self, key: [u8; 32]) -> Option<BeingAnswered> {
        let is_first = self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        is_first.then(|| BeingAnswered { keys: Arc::clone(&self.keys), key })
    }

    /// Whether a request of this key is being answered.
    pub(crate) fn goes_on(&self, key: &[u8; 32]) -> bool {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}

impl Drop for BeingAnswered {
    fn drop(&mut self) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
