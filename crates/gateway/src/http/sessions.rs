//! `/api/v1/sessions`.

use axum::Json;
use axum::extract::State;
use clawhook_model::{AgentId, JobId};
use clawhook_store::{NoSessionCursor, SessionCursor, SessionFilter};
use http::StatusCode;
use utoipa::IntoParams;

use super::error::{ApiError, ErrorBody};
use super::jobs::{LARGEST_PAGE, PAGE};
use super::query::{NoQuery, Params, PathId, Query, QueryForm};
use crate::verbs::Verbs;
use crate::wire::{RemovedSessionView, SessionList, SessionTranscript, SessionView};

/// Which sessions.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct SessionsQuery {
    /// Only sessions of this agent.
    #[param(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    /// Only sessions in which this job ran last.
    #[param(value_type = Option<String>)]
    job_id: Option<JobId>,
    /// Only sessions that are kept from run to run (`true`), or only the own ones of single runs (`false`).
    kept: Option<bool>,
    /// Only sessions whose key holds this text.
    query: Option<String>,
    /// How many at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `nextCursor` of an earlier page, which this one follows.
    #[param(value_type = Option<String>)]
    after: Option<SessionCursor>,
}

impl QueryForm for SessionsQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let after = params.text("after").map(|text| text.trim().parse()).transpose();
        Ok(Self {
            agent_id: params.text("agentId").map(|text| AgentId::normalise(&text)),
            job_id: params.id("jobId")?,
            kept: params.flag("kept")?,
            query: params.text("query"),
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            after: after.map_err(|error: NoSessionCursor| {
                ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", error.to_string())
                    .field("after".to_owned())
                    .hint(error.hint().to_owned())
            })?,
        })
    }
}

/// Lists sessions, the newest first.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", params(SessionsQuery),
    responses((status = 200, description = "A page of sessions.", body = SessionList))
)]
pub(super) async fn list(
    State(verbs): State<Verbs>,
    Query(query): Query<SessionsQuery>,
) -> Result<Json<SessionList>, ApiError> {
    let SessionsQuery { agent_id, job_id, kept, query, limit, after } = query;
    let limit = limit.unwrap_or(PAGE);
    let filter = SessionFilter { agent: agent_id, job: job_id, kept, text: query, after, limit };
    Ok(Json(SessionList::new(&verbs.sessions(filter).await?, limit)))
}

/// Reads a session.
#[utoipa::path(
    get, path = "/api/v1/sessions/{session}", tag = "sessions",
    params(("session" = String, Path, description = "Its id, its key, or the name of one of the default agent's.")),
    responses(
        (status = 200, description = "The session.", body = SessionView),
        (status = 404, description = "There is no such session.", body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(verbs): State<Verbs>,
    PathId(which): PathId,
    _: Query<NoQuery>,
) -> Result<Json<SessionView>, ApiError> {
    Ok(Json(SessionView::from(&verbs.session(&which).await?)))
}

/// Which part of what was said.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct SpokenQuery {
    /// How many entries at most; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `before` of another page, before which this one ends; without it, the end of it all.
    before: Option<u64>,
}

impl QueryForm for SpokenQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let before = params.number("before", 1..=usize::MAX)?;
        Ok(Self {
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
            before: before.and_then(|before| u64::try_from(before).ok()),
        })
    }
}

/// Reads what was said in a session, from its end.
#[utoipa::path(
    get, path = "/api/v1/sessions/{session}/transcript", tag = "sessions",
    params(
        ("session" = String, Path, description = "Its id, its key, or the name of one of the default agent's."),
        SpokenQuery,
    ),
    responses(
        (status = 200, description = "A part of what was said, the oldest first.", body = SessionTranscript),
        (status = 404, description = "There is no such session.", body = ErrorBody),
    )
)]
pub(super) async fn transcript(
    State(verbs): State<Verbs>,
    PathId(which): PathId,
    Query(query): Query<SpokenQuery>,
) -> Result<Json<SessionTranscript>, ApiError> {
    let page = verbs.session_transcript(&which, query.before, query.limit.unwrap_or(PAGE)).await?;
    Ok(Json(SessionTranscript::from(page)))
}

/// Removes a session in which no run is under way, with what was said and what waits in it. One that is kept begins anew
/// with its next run.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{session}", tag = "sessions",
    params(("session" = String, Path, description = "Its id, its key, or the name of one of the default agent's.")),
    responses(
        (status = 200, description = "It is gone.", body = RemovedSessionView),
        (status = 404, description = "There is no such session.", body = ErrorBody),
        (status = 409, description = "A run is under way in it.", body = ErrorBody),
    )
)]
pub(super) async fn remove(
    State(verbs): State<Verbs>,
    PathId(which): PathId,
    _: Query<NoQuery>,
) -> Result<Json<RemovedSessionView>, ApiError> {
    Ok(Json(RemovedSessionView::from(&verbs.remove_session(&which).await?)))
}
