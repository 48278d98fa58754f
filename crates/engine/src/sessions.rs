//! Sessions that are kept: one turn at a time in each, and what their next turn is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use clawhook_model::{EntryDetail, SessionId, TranscriptEntry, UnixMs};
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
    /// Takes the session's turn, unless another has it or waits for it.
    pub(crate) fn try_take(&self, session: SessionId) -> Option<SessionTurn> {
        self.lock_of(session).try_lock_owned().ok().map(|guard| SessionTurn { _guard: guard })
    }

    /// Waits for the session's turn. Whoever stops waiting leaves nothing behind.
    pub(crate) async fn take(&self, session: SessionId) -> SessionTurn {
        SessionTurn { _guard: self.lock_of(session).lock_owned().await }
    }

    fn lock_of(&self, session: SessionId) -> Arc<TurnMutex<()>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody holds or waits for a lock that this map alone knows.
        sessions.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(sessions.entry(session).or_default())
    }
}

/// A history of which each call of a tool has its result, and each result its call: a turn that was ended early may have
/// left one without the other, and no provider takes that.
pub(crate) fn matched(history: Vec<TranscriptEntry>) -> Vec<TranscriptEntry> {
    let mut open: HashMap<&str, usize> = HashMap::new();
    let mut has_other = vec![false; history.len()];
    for (place, entry) in history.iter().enumerate() {
        match &entry.detail {
            Some(EntryDetail::ToolCall { call_id, .. }) => {
                open.insert(call_id, place);
            }
            Some(EntryDetail::ToolResult { call_id, .. }) => {
                if let Some(call) = open.remove(call_id.as_str()) {
                    (has_other[call], has_other[place]) = (true, true);
                }
            }
            _ => has_other[place] = true,
        }
    }
    history.into_iter().zip(has_other).filter_map(|(entry, has_other)| has_other.then_some(entry)).collect()
}

/// The first events that one turn is told of: no more than so many bytes of text, and at least one.
pub(crate) fn told_at_once(events: Vec<SystemEvent>, most_bytes: usize) -> Vec<SystemEvent> {
    let mut bytes = 0usize;
    let fits = |event: &SystemEvent| {
        let is_first = bytes == 0;
        bytes = bytes.saturating_add(event.text.len().max(1));
        is_first || bytes <= most_bytes
    };
    events.into_iter().take_while(fits).collect()
}

/// The message of a turn that looks after what has come to a session: the texts, and what the agent is asked to do.
pub(crate) fn message(events: &[SystemEvent], ask: &str) -> String {
    let mut message = String::new();
    if !events.is_empty() {
        message.push_str("System events since your last turn:\n");
        for event in events {
            let text = event.text.trim().replace('\n', "\n  ");
            message.push_str(&format!("- [{}, cron:{}] {text}\n", stamp(event.at), event.job_id));
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
    use clawhook_model::Role;
    use proptest::prelude::*;
    use serde_json::Value;

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

    fn waiting(seq: u64, text: &str) -> SystemEvent {
        let (job_id, at) = ("job-1".parse().unwrap(), UnixMs::from_millis(0));
        SystemEvent { seq, job_id, at, text: text.to_owned() }
    }

    #[test]
    fn a_turn_is_told_at_least_one_event_and_no_more_than_there_is_room_for() {
        let told = |texts: &[&str], most| {
            let events = texts.iter().zip(0..).map(|(text, seq)| waiting(seq, text)).collect();
            told_at_once(events, most).len()
        };
        assert_eq!(told(&["far too long"], 3), 1);
        assert_eq!(told(&["far too long", "b"], 3), 1);
        assert_eq!(told(&["a", "b", "c", "d"], 3), 3);
        assert_eq!(told(&[], 3), 0);
    }

    proptest! {
        #[test]
        fn no_history_has_a_call_without_its_result_or_a_result_without_its_call(
            kinds in proptest::collection::vec((0..3u8, 0..4u8), 0..40),
        ) {
            let at = UnixMs::from_millis(0);
            let history = kinds.iter().map(|(kind, id)| {
                let (call_id, name) = (format!("call-{id}"), "look".to_owned());
                let detail = match kind {
                    0 => return TranscriptEntry::said(at, Role::User, "hello"),
                    1 => EntryDetail::ToolCall { call_id, name, arguments: Value::Null },
                    _ => EntryDetail::ToolResult { call_id, name, is_error: false },
                };
                TranscriptEntry::with(at, Role::Tool, "", detail)
            });
            let said = kinds.iter().filter(|(kind, _)| *kind == 0).count();
            let history = matched(history.collect());
            let mut open = HashMap::new();
            for entry in &history {
                match &entry.detail {
                    Some(EntryDetail::ToolCall { call_id, .. }) => {
                        prop_assert_eq!(open.insert(call_id.clone(), ()), None);
                    }
                    Some(EntryDetail::ToolResult { call_id, .. }) => {
                        prop_assert_eq!(open.remove(call_id), Some(()));
                    }
                    _ => {}
                }
            }
            prop_assert!(open.is_empty());
            prop_assert_eq!(history.iter().filter(|entry| entry.detail.is_none()).count(), said);
        }
    }

    #[test]
    fn a_turn_is_told_the_events_in_order_with_their_jobs() {
        let message = message(&[waiting(1, "one\nand more"), waiting(2, "two")], "Look after them.");
        assert_eq!(
            message,
            "System events since your last turn:\n- [1970-01-01T00:00:00Z, cron:job-1] one\n  and more\n\
             - [1970-01-01T00:00:00Z, cron:job-1] two\n\nLook after them."
        );
    }
}
