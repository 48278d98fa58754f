//! Looking at sessions, and removing them.

use clawhook_model::{RunId, SessionId, SessionRef};
use clawhook_store::{
    SessionFilter, SessionPage, SessionRecord, SessionRemoved, SpokenFilter, SpokenPage, StoreError,
};
use thiserror::Error;

use super::{Verbs, shown, store_code};

/// Why a verb on sessions was not done.
#[derive(Debug, Error)]
pub(crate) enum SessionVerbError {
    /// There is no such session.
    #[error("Session not found: {0}.")]
    NotFound(String),
    /// A run is under way in it.
    #[error("the session `{key}` is not removed: the run `{run}` is under way in it")]
    Busy {
        /// The session.
        key: String,
        /// The run.
        run: RunId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SessionVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Busy { .. } => "session_busy",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(_) => {
                Some("list the sessions (`clawhook sessions list`) to see their keys".to_owned())
            }
            Self::Busy { .. } => Some("try again when the run is over, or cancel it".to_owned()),
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }
}

/// A session that is gone.
#[derive(Debug)]
pub(crate) struct RemovedSession {
    /// What it was.
    pub(crate) session: SessionRecord,
    /// How many entries of its transcript went.
    pub(crate) entries: usize,
    /// How many system events went, untold.
    pub(crate) events: usize,
}

impl Verbs {
    /// A page of sessions.
    pub(crate) async fn sessions(&self, filter: SessionFilter) -> Result<SessionPage, SessionVerbError> {
        Ok(self.with.store.sessions(filter).await?)
    }

    /// A session by its id, its key, or the name of one of the default agent's.
    pub(crate) async fn session(&self, which: &str) -> Result<SessionRecord, SessionVerbError> {
        let not_found = || SessionVerbError::NotFound(shown(which));
        self.with.store.session(session_id(which)).await?.ok_or_else(not_found)
    }

    /// A part of what was said in a session.
    pub(crate) async fn session_transcript(
        &self,
        which: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<SpokenPage, SessionVerbError> {
        let session = self.session(which).await?.session.id;
        Ok(self.with.store.session_transcript(SpokenFilter { session, before, limit }).await?)
    }

    /// Removes a session with what was said and what waits in it.
    pub(crate) async fn remove_session(&self, which: &str) -> Result<RemovedSession, SessionVerbError> {
        let session = self.session(which).await?;
        match self.with.store.remove_session(session.session.id).await? {
            SessionRemoved::Done { entries, events } => Ok(RemovedSession { session, entries, events }),
            SessionRemoved::Busy(run) => Err(SessionVerbError::Busy { key: session.session.key, run }),
            SessionRemoved::NotFound => Err(SessionVerbError::NotFound(shown(which))),
        }
    }
}

fn session_id(which: &str) -> SessionId {
    let which = which.trim();
    if let Ok(id) = which.parse() {
        return id;
    }
    if which.to_lowercase().starts_with("agent:") {
        return SessionRef::of_key(which).id;
    }
    SessionRef::of_key(&format!("agent:main:{which}")).id
}
