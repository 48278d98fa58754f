//! What is wrong with the gateway itself: raised once, cleared once, listed, and told to those who subscribed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::UnixMs;
use clawhook_store::{GatewayNotice, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long it waits where the store cannot take what is to be told.
const PAUSE: Duration = Duration::from_secs(1);

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// An instant has no record, although it is over.
    Overdue,
    /// A run that could begin has waited too long for a slot.
    Slots,
    /// The timer does not look any more.
    TimerSilent,
    /// The store cannot be read or written.
    Store,
    /// The drill of the alerts did not come back.
    AlertDrill,
    /// A task of the gateway panicked; it names the task.
    TaskPanicked(&'static str),
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What.
    pub kind: AlarmKind,
    /// Since when.
    pub since: UnixMs,
    /// What, in a sentence.
    pub detail: String,
}

/// The alarms that are raised. Cheap to clone; all clones are one list.
#[derive(Debug, Clone, Default)]
pub struct Alarms {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    book: Mutex<Book>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Book {
    raised: BTreeMap<AlarmKind, (UnixMs, String)>,
    /// What subscribers do not know yet, in order: of each kind two at most, and one that is being told.
    untold: VecDeque<Untold>,
}

#[derive(Debug)]
struct Untold {
    kind: AlarmKind,
    notice: GatewayNotice,
    /// Whether the store may have it already.
    being_told: bool,
}

impl AlarmKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Slots => "slots",
            Self::TimerSilent => "timer-silent",
            Self::Store => "store",
            Self::AlertDrill => "alert-drill",
            Self::TaskPanicked(_) => "task-panicked",
        }
    }
}

impl Alarms {
    /// Raises an alarm. One that is raised stays the same alarm, and says what it says now.
    pub fn raise(&self, kind: AlarmKind, detail: String, now: UnixMs) {
        let mut book = self.book();
        if let Some((_, said)) = book.raised.get_mut(&kind) {
            *said = detail;
            return;
        }
        tracing::error!(alarm = kind.as_str(), %detail, "an alarm is raised");
        let since = book.take_unknown_end(kind);
        if since.is_none() {
            let notice = GatewayNotice::Alarm { alarm: kind.as_str(), detail: detail.clone() };
            book.untold.push_back(Untold { kind, notice, being_told: false });
        }
        book.raised.insert(kind, (since.unwrap_or(now), detail));
        drop(book);
        self.inner.changed.notify_one();
    }

    /// Clears an alarm, if it is raised.
    pub fn clear(&self, kind: AlarmKind) {
        let mut book = self.book();
        let Some((since, _)) = book.raised.remove(&kind) else { return };
        tracing::warn!(alarm = kind.as_str(), %since, "an alarm is over");
        let notice = GatewayNotice::Cleared { alarm: kind.as_str(), since };
        book.untold.push_back(Untold { kind, notice, being_told: false });
        drop(book);
        self.inner.changed.notify_one();
    }

    /// Those that are raised.
    pub fn raised(&self) -> Vec<Alarm> {
        let book = self.book();
        let alarm = |(kind, (since, detail)): (&AlarmKind, &(UnixMs, String))| Alarm {
            kind: *kind,
            since: *since,
            detail: detail.clone(),
        };
        book.raised.iter().map(alarm).collect()
    }

    /// Whether this one is raised.
    pub fn is_raised(&self, kind: AlarmKind) -> bool {
        self.book().raised.contains_key(&kind)
    }

    /// Tells those who subscribed, until `shutdown`. While the store cannot take it, it is told later; what has not been
    /// told when the gateway ends is not told.
    pub async fn tell(self, store: Arc<dyn Store>, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        let telling = async {
            loop {
                let Some(notice) = self.next_untold() else {
                    self.inner.changed.notified().await;
                    continue;
                };
                match store.tell_of_gateway(notice, clock.now()).await {
                    Ok(()) => self.told(),
                    Err(error) => {
                        tracing::debug!(%error, "an alarm cannot be told yet");
                        self.untell();
                        clock.sleep(PAUSE).await;
                    }
                }
            }
        };
        shutdown.run_until_cancelled(telling).await;
    }

    fn next_untold(&self) -> Option<GatewayNotice> {
        let mut book = self.book();
        let next = book.untold.front_mut()?;
        next.being_told = true;
        Some(next.notice.clone())
    }

    fn told(&self) {
        self.book().untold.pop_front();
    }

    fn untell(&self) {
        if let Some(next) = self.book().untold.front_mut() {
            next.being_told = false;
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.inner.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Takes back the end of an alarm that nobody knows of yet: it was none. Gives the alarm's beginning.
    fn take_unknown_end(&mut self, kind: AlarmKind) -> Option<UnixMs> {
        let place = self.untold.iter().rposition(|untold| untold.kind == kind && !untold.being_told)?;
        let GatewayNotice::Cleared { since, .. } = self.untold[place].notice else { return None };
        self.untold.remove(place);
        Some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(seconds: i64) -> UnixMs {
        UnixMs::from_millis(seconds * 1000)
    }

    fn words(alarms: &Alarms) -> Vec<&'static str> {
        let word = |untold: &Untold| match untold.notice {
            GatewayNotice::Alarm { .. } => "raised",
            GatewayNotice::Cleared { .. } => "cleared",
        };
        alarms.book().untold.iter().map(word).collect()
    }

    #[test]
    fn an_alarm_is_told_once_however_often_it_is_raised_and_cleared() {
        let alarms = Alarms::default();
        alarms.raise(AlarmKind::Store, "full".to_owned(), t(1));
        alarms.raise(AlarmKind::Store, "still full".to_owned(), t(2));
        let store = Alarm { kind: AlarmKind::Store, since: t(1), detail: "still full".to_owned() };
        assert_eq!((alarms.raised(), words(&alarms)), (vec![store], vec!["raised"]));
        alarms.clear(AlarmKind::Store);
        alarms.clear(AlarmKind::Store);
        assert_eq!((alarms.raised(), words(&alarms)), (Vec::new(), vec!["raised", "cleared"]));
    }

    #[test]
    fn what_flutters_while_nobody_can_be_told_is_one_alarm_that_takes_no_room() {
        let alarms = Alarms::default();
        for second in 0..1000 {
            alarms.raise(AlarmKind::Store, "full".to_owned(), t(second));
            alarms.clear(AlarmKind::Store);
        }
        assert_eq!(words(&alarms), ["raised", "cleared"]);
        alarms.raise(AlarmKind::Store, "full".to_owned(), t(1000));
        assert_eq!(alarms.raised()[0].since, t(0));
    }

    #[test]
    fn an_end_that_is_being_told_is_not_taken_back() {
        let alarms = Alarms::default();
        alarms.raise(AlarmKind::Slots, "busy".to_owned(), t(1));
        alarms.next_untold();
        alarms.told();
        alarms.clear(AlarmKind::Slots);
        alarms.next_untold();
        alarms.raise(AlarmKind::Slots, "busy".to_owned(), t(2));
        assert_eq!(words(&alarms), ["cleared", "raised"]);
        assert_eq!(alarms.raised()[0].since, t(2));
    }
}
