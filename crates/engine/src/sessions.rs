//! Sessions that are kept: one turn at a time in each, and what their next turn is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use clawhook_model::{SessionId, UnixMs};
use clawhook_store::SystemEvent;
use jiff::Timestamp;
use tokio::sync::{Mutex as TurnMutex, OwnedMutexGuard};

/// The sessions in which a turn goes on, or is waited for.
#[derive(Debug, Default)]
pub(crate) struct TurnLocks {
    sessions: Mutex<HashMap<SessionId, Arc<TurnMutex<()>>>>,
}

/// The turn of a session is ours for as long as this lives.
#[derive(Debug)]
pub(crate) struct SessionTurn {
    _guard: OwnedMutexGuard<()>,
}

impl TurnLocks {
    /// Waits for the session's turn. Whoever stops waiting leaves nothing behind.
    pub(crate) async fn take(&self, session: SessionId) -> SessionTurn {
        let turn = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody holds or waits for a lock that this map alone knows.
            sessions.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(sessions.entry(session).or_default())
        };
        SessionTurn { _guard: turn.lock_owned().await }
    }
}

/// The message of a turn that looks after what has come to a session: the texts, and what the agent is asked to do.
pub(crate) fn message(events: &[SystemEvent], ask: &str) -> String {
    let mut message = String::new();
    if !events.is_empty() {
        message.push_str("System events since your last turn:\n");
        for event in events {
            let at = event.at;
            message.push_str(&format!("- [{}, cron:{}] {}\n", stamp(at), event.job_id, event.text));
        }
        message.push('\n');
    }
    message.push_str(ask);
    message.trim_end().to_owned()
}

fn stamp(at: UnixMs) -> String {
    Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| at.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_turn_at_a_time_in_each_session_and_no_lock_is_kept_for_ever() {
        let locks = TurnLocks::default();
        let (one, other) = (SessionId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
        let held = locks.take(one).await;
        let waiting = locks.take(one);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(locks.take(other).await);
        drop(held);
        drop(waiting.await);
        drop(locks.take(other).await);
        assert_eq!(locks.sessions.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_turn_is_told_the_events_in_order_with_their_jobs() {
        let event = |seq, text: &str| SystemEvent {
            seq,
            job_id: "job-1".parse().unwrap(),
            at: UnixMs::from_millis(0),
            text: text.to_owned(),
        };
        let message = message(&[event(1, "one"), event(2, "two")], "Look after them.");
        assert_eq!(
            message,
            "System events since your last turn:\n- [1970-01-01T00:00:00Z, cron:job-1] one\n\
             - [1970-01-01T00:00:00Z, cron:job-1] two\n\nLook after them."
        );
    }
}
