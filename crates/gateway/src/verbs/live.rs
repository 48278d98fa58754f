//! Following a run: what it says while it goes on, and how it ends.
//!
//! Whoever follows is told what came so far, and then what comes. Nothing is held back for a follower: one who is too slow
//! misses pieces and is told so, and one who leaves changes nothing about the run.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use clawhook_agent::LivePiece;
use clawhook_model::{RunId, RunProgress, Wait};
use clawhook_store::{RunRecord, StoreError, Topic};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::{RunVerbError, Verbs, shown};

/// How many runs are followed at once; each follower holds a connection.
pub(super) const MOST_FOLLOWERS: usize = 64;
/// How long a follower of a run that says nothing rests between two looks at it.
const REST: Duration = Duration::from_millis(20);

/// What a follower is told.
#[derive(Debug)]
pub(crate) enum LiveNews {
    /// The run waits for its turn.
    Waiting(Wait),
    /// It says something.
    Piece(LivePiece),
    /// Something was said that cannot be told any more: so many pieces, where they were counted.
    Missed(Option<u64>),
    /// It is over.
    End(Box<RunRecord>),
}

/// A follower of one run.
pub(crate) struct Following {
    verbs: Verbs,
    run: RunId,
    /// What is still to be told.
    news: VecDeque<LiveNews>,
    /// What the turn says that goes on.
    pieces: Option<Receiver<LivePiece>>,
    /// What it was last told to wait for.
    waits: Option<Wait>,
    changes: Changes,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// What a run that says nothing can be woken by.
struct Changes {
    begins: watch::Receiver<()>,
    settled: watch::Receiver<u64>,
    schedule: watch::Receiver<u64>,
}

impl Changes {
    fn mark_unchanged(&mut self) {
        self.begins.mark_unchanged();
        self.settled.mark_unchanged();
        self.schedule.mark_unchanged();
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.begins.changed() => {}
            _ = self.settled.changed() => {}
            _ = self.schedule.changed() => {}
        }
    }
}

impl Verbs {
    /// Follows a run.
    pub(crate) async fn follow(&self, id: &str) -> Result<Following, RunVerbError> {
        let not_found = || RunVerbError::NotFound(shown(id));
        let run: RunId = id.parse().map_err(|_| not_found())?;
        self.with.store.run(run).await?.ok_or_else(not_found)?;
        let place = Arc::clone(&self.followers).try_acquire_owned();
        let place = place.map_err(|_| RunVerbError::TooManyFollowers)?;
        let store = &self.with.store;
        let changes = Changes {
            begins: self.with.engine.begins(),
            settled: store.subscribe(Topic::Settled),
            schedule: store.subscribe(Topic::Schedule),
        };
        Ok(Following {
            verbs: self.clone(),
            run,
            news: VecDeque::new(),
            pieces: None,
            waits: None,
            changes,
            is_over: false,
            _place: place,
        })
    }
}

impl Following {
    /// What is told next; nothing once the run is over, or the gateway stops.
    pub(crate) async fn next(&mut self) -> Option<LiveNews> {
        let stopping = self.verbs.with.stopping.clone();
        stopping.run_until_cancelled(self.heard()).await?
    }

    async fn heard(&mut self) -> Option<LiveNews> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Some(news);
            }
            if self.is_over {
                return None;
            }
            if let Some(pieces) = &mut self.pieces {
                match pieces.recv().await {
                    Ok(piece) => return Some(LiveNews::Piece(piece)),
                    Err(RecvError::Lagged(missed)) => return Some(LiveNews::Missed(Some(missed))),
                    Err(RecvError::Closed) => self.pieces = None,
                }
                continue;
            }
            self.changes.mark_unchanged();
            if let Err(error) = self.look().await {
                tracing::error!(run = %self.run, %error, "a run cannot be followed any more");
                return None;
            }
            if self.news.is_empty() && self.pieces.is_none() && !self.is_over {
                self.changes.any().await;
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// Looks where the run stands.
    async fn look(&mut self) -> Result<(), StoreError> {
        if let Some(follow) = self.verbs.with.engine.follow(self.run) {
            self.news.extend(follow.so_far.into_iter().map(LiveNews::Piece));
            self.news.extend(follow.is_cut.then_some(LiveNews::Missed(None)));
            self.pieces = Some(follow.pieces);
            return Ok(());
        }
        let Some(record) = self.verbs.with.store.run(self.run).await? else {
            self.is_over = true;
            return Ok(());
        };
        match &record.run.progress {
            RunProgress::Finished { .. } => {
                self.is_over = true;
                self.news.push_back(LiveNews::End(Box::new(record)));
            }
            RunProgress::Queued(wait) if self.waits.as_ref() != Some(wait) => {
                self.waits = Some(wait.clone());
                self.news.push_back(LiveNews::Waiting(wait.clone()));
            }
            RunProgress::Queued(_) | RunProgress::Running { .. } => {}
        }
        Ok(())
    }
}
