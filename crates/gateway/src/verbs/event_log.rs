//! Reading the log of events, a page at a time or as it grows.
//!
//! A follower holds one page at most and reads the next one when it was told this one, so that one who is slow costs no
//! memory and loses nothing. Commits wake it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use clawhook_store::{EventFilter, EventGap, EventPage, EventStart, LoggedEvent, StoreError, Topic};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Verbs, store_code};

/// How many follow the log at once; each holds a connection, and a page.
pub(super) const MOST_FOLLOWERS: usize = 64;
/// How many events a follower reads at once.
const PAGE: usize = 100;
/// How long a follower rests between two looks, so that many of them do not keep the readers from others.
const REST: Duration = Duration::from_millis(20);
/// Behind how many events that do not fit a follower is told how far it has come.
const UNTOLD: u64 = 256;

/// Why the log is not read.
#[derive(Debug, Error)]
pub(crate) enum EventVerbError {
    /// The log has no such place.
    #[error("the log of events ends at {end}, and {after} is beyond it")]
    Ahead {
        /// The place that was asked for.
        after: u64,
        /// The last one that there is.
        end: u64,
    },
    /// As many follow it as may.
    #[error("{MOST_FOLLOWERS} clients follow the log of events, and no more can")]
    TooManyFollowers,
    /// The store has a fault.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl EventVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Ahead { .. } => "no_such_position",
            Self::TooManyFollowers => "too_many_followers",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Ahead { .. } => {
                let hint = "the position is of another store, or of this one before it was restored; begin at 0, or without one";
                Some(hint.to_owned())
            }
            Self::TooManyFollowers => Some("ask for pages instead, or let others end".to_owned()),
            Self::Store(_) => None,
        }
    }
}

/// What a follower is told.
#[derive(Debug)]
pub(crate) enum LogNews {
    /// The next event.
    Event(LoggedEvent),
    /// Behind this number, some are kept no more.
    Gap(u64, EventGap),
    /// Nothing up to here was for it.
    Passed(u64),
}

/// A follower of the log.
pub(crate) struct LogFollower {
    verbs: Verbs,
    filter: EventFilter,
    /// Up to where it has read.
    after: u64,
    /// Up to where it was told.
    told: u64,
    /// Up to where it was told that some are missing.
    missing: u64,
    news: VecDeque<LogNews>,
    log: watch::Receiver<u64>,
    _place: OwnedSemaphorePermit,
}

impl Verbs {
    /// A page of the log.
    pub(crate) async fn events(&self, filter: EventFilter) -> Result<EventPage, EventVerbError> {
        let start = filter.start;
        let page = self.with.store.event_page(filter).await?;
        match start {
            EventStart::After(after) if after > page.end => {
                Err(EventVerbError::Ahead { after, end: page.end })
            }
            _ => Ok(page),
        }
    }

    /// Follows the log from a place on: behind a number, or with what comes next.
    pub(crate) async fn follow_events(&self, filter: EventFilter) -> Result<LogFollower, EventVerbError> {
        let place = Arc::clone(&self.log_followers).try_acquire_owned();
        let place = place.map_err(|_| EventVerbError::TooManyFollowers)?;
        let log = self.with.store.subscribe(Topic::Log);
        let after = match filter.start {
            EventStart::After(after) => {
                self.events(EventFilter { limit: 0, ..filter.clone() }).await?;
                after
            }
            EventStart::Newest => self.events(EventFilter { limit: 0, ..filter.clone() }).await?.end,
        };
        let filter = EventFilter { limit: PAGE, ..filter };
        let (verbs, news) = (self.clone(), VecDeque::new());
        Ok(LogFollower { verbs, filter, after, told: after, missing: 0, news, log, _place: place })
    }
}

impl LogFollower {
    /// What is told next; nothing once the gateway stops.
    pub(crate) async fn next(&mut self) -> Option<LogNews> {
        let stopping = self.verbs.with.stopping.clone();
        stopping.run_until_cancelled(self.heard()).await?
    }

    async fn heard(&mut self) -> Option<LogNews> {
        loop {
            if let Some(news) = self.news.pop_front() {
                match &news {
                    LogNews::Event(event) => self.told = event.seq,
                    LogNews::Passed(upto) => self.told = *upto,
                    LogNews::Gap(..) => {}
                }
                return Some(news);
            }
            self.log.mark_unchanged();
            let more = match self.read().await {
                Ok(more) => more,
                Err(error) => {
                    tracing::error!(%error, "the log of events cannot be followed any more");
                    return None;
                }
            };
            if self.news.is_empty() && !more {
                // The store is closed only when the gateway stops.
                self.log.changed().await.ok()?;
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// Reads the next page, and tells whether there is more behind it.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let filter = EventFilter { start: EventStart::After(self.after), ..self.filter.clone() };
        let page = self.verbs.with.store.event_page(filter).await?;
        if let Some(gap) = page.gap.filter(|gap| gap.upto > self.missing) {
            self.news.push_back(LogNews::Gap(self.after, gap));
            self.missing = gap.upto;
        }
        let is_empty = page.events.is_empty();
        self.news.extend(page.events.into_iter().map(LogNews::Event));
        self.after = page.next;
        if is_empty && self.after >= self.told + UNTOLD {
            self.news.push_back(LogNews::Passed(self.after));
        }
        Ok(page.next < page.end)
    }
}
