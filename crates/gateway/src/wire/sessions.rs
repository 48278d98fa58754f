//! Sessions as answers show them.

use clawhook_store::{SessionPage, SessionRecord, SpokenPage};
use serde::Serialize;
use utoipa::ToSchema;

use super::runs::TranscriptEntryView;
use crate::verbs::RemovedSession;

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub(crate) struct SessionView {
    /// Its id.
    session_id: String,
    /// Its key.
    #[schema(example = "agent:main:main")]
    session_key: String,
    /// Whose it is.
    agent_id: String,
    /// The job that ran in it last.
    job_id: String,
    /// Whether it is kept from run to run.
    kept: bool,
    /// The run whose own it is, where it is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// How many system events wait for its next turn.
    events_waiting: u32,
    /// When it began.
    created_at_ms: i64,
    /// When something was last said or left in it.
    updated_at_ms: i64,
}

impl From<&SessionRecord> for SessionView {
    fn from(record: &SessionRecord) -> Self {
        Self {
            session_id: record.session.id.to_string(),
            session_key: record.session.key.clone(),
            agent_id: record.agent_id.to_string(),
            job_id: record.job_id.to_string(),
            kept: record.run_id.is_none(),
            run_id: record.run_id.map(|run| run.to_string()),
            events_waiting: record.waiting,
            created_at_ms: record.created_at.as_millis(),
            updated_at_ms: record.updated_at.as_millis(),
        }
    }
}

/// A page of sessions, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionList {
    /// The sessions.
    sessions: Vec<SessionView>,
    /// How many the page holds at most.
    limit: usize,
    /// Whether more may follow.
    has_more: bool,
    /// Where the next page begins, for `after`; null on the last one. A search may find nothing for a while and go on.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

impl SessionList {
    /// A page that holds `limit` at most.
    pub(crate) fn new(page: &SessionPage, limit: usize) -> Self {
        Self {
            sessions: page.sessions.iter().map(SessionView::from).collect(),
            limit,
            has_more: page.next.is_some(),
            next_cursor: page.next.map(|next| next.to_string()),
        }
    }
}

/// A part of what was said in a session, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionTranscript {
    /// The entries.
    entries: Vec<SpokenView>,
    /// The place before which older entries are; null where there are none.
    #[schema(required = true)]
    before: Option<u64>,
}

/// One thing that was said in a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionEntry)]
pub(crate) struct SpokenView {
    /// The run in which it was said.
    run_id: String,
    /// Whether later turns are told of it, where the session is kept.
    remembered: bool,
    /// What was said.
    #[serde(flatten)]
    entry: TranscriptEntryView,
}

impl From<SpokenPage> for SessionTranscript {
    fn from(page: SpokenPage) -> Self {
        let entries = page.entries.into_iter().map(|spoken| SpokenView {
            run_id: spoken.run_id.to_string(),
            remembered: spoken.is_remembered,
            entry: TranscriptEntryView::from(spoken.entry),
        });
        Self { entries: entries.collect(), before: page.before }
    }
}

/// A session that was removed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RemovedSession)]
pub(crate) struct RemovedSessionView {
    /// Always true.
    ok: bool,
    /// What it was.
    session: SessionView,
    /// How many entries of its transcript went.
    entries: usize,
    /// How many system events went, untold.
    events: usize,
}

impl From<&RemovedSession> for RemovedSessionView {
    fn from(removed: &RemovedSession) -> Self {
        let session = SessionView::from(&removed.session);
        Self { ok: true, session, entries: removed.entries, events: removed.events }
    }
}
