//! `/api/v1/events`: the log of all that happens, as server-sent events or in pages.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use clawhook_model::{AgentId, EventKind, JobId, RunStatus};
use clawhook_store::{EventFilter, EventStart};
use futures_util::stream::unfold;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use utoipa::IntoParams;

use super::error::{ApiError, ErrorBody};
use super::query::{Params, Query, QueryForm};
use crate::verbs::{LogFollower, LogNews, Verbs};
use crate::wire::{EventGapView, EventList};

/// How often a comment shows that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many events a page holds unless it is said otherwise, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// Which events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct EventsQuery {
    /// Only what comes behind this number of the log.
    after: Option<u64>,
    /// Only events of these kinds, with commas between them; `run.*` is every kind that begins so.
    #[param(value_type = Option<String>, example = "run.*,job.alert")]
    types: Vec<EventKind>,
    /// Only events of this job.
    #[param(value_type = Option<String>)]
    job: Option<JobId>,
    /// Only events of jobs that run as this agent.
    #[param(value_type = Option<String>)]
    agent: Option<AgentId>,
    /// Only events of runs that ended so: `ok`, `error` or `skipped`.
    #[param(value_type = Option<String>)]
    status: Option<RunStatus>,
    /// How many a page holds at most, 100 where it is left out; a stream has no end and takes none.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl QueryForm for EventsQuery {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let after = params.number("after", 0..=usize::MAX)?;
        let statuses = [("ok", RunStatus::Ok), ("error", RunStatus::Error), ("skipped", RunStatus::Skipped)];
        Ok(Self {
            after: after.map(|after| u64::try_from(after).unwrap_or(u64::MAX)),
            types: params.text("types").map(|text| kinds(&text)).transpose()?.unwrap_or_default(),
            job: params.id("job")?,
            agent: params.text("agent").map(|text| AgentId::normalise(&text)),
            status: params.word("status", &statuses)?,
            limit: params.number("limit", 1..=LARGEST_PAGE)?,
        })
    }
}

impl EventsQuery {
    fn filter(self, start: EventStart) -> EventFilter {
        let limit = self.limit.unwrap_or(PAGE);
        EventFilter { start, kinds: self.types, job: self.job, agent: self.agent, status: self.status, limit }
    }
}

/// The kinds that a list of names and beginnings of names means.
fn kinds(text: &str) -> Result<Vec<EventKind>, ApiError> {
    let mut kinds = Vec::new();
    for part in text.split(',').map(str::trim) {
        let fits = |kind: &EventKind| match part.strip_suffix('*') {
            Some(beginning) => kind.as_str().starts_with(beginning),
            None => kind.as_str() == part,
        };
        let found: Vec<EventKind> = EventKind::ALL.into_iter().filter(fits).collect();
        if found.is_empty() {
            let shown: String = part.chars().take(80).collect();
            let known: Vec<&str> = EventKind::ALL.into_iter().map(EventKind::as_str).collect();
            let message = format!("no kind of event is `{shown}`");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", message)
                .hint(format!("the kinds are {}", known.join(", ")))
                .field("types".to_owned()));
        }
        kinds.extend(found);
    }
    kinds.sort_by_key(|kind| kind.as_str());
    kinds.dedup();
    Ok(kinds)
}

/// Reads the log of events.
///
/// As server-sent events it goes on with what happens next, for as long as the client stays. Each event has its kind as its
/// name, its number in the log as its id, and its exact bytes as its data. A client that comes back sends the last id that it
/// saw as `Last-Event-ID` (or `after`) and misses nothing: what happened meanwhile comes first. Without either it is told
/// only what comes. Where events behind that place are kept no more, an event named `gap` says so first. A block with an id
/// alone says how far a client has come for whom nothing was.
///
/// With `Accept: application/json` it answers at once with a page: behind `after`, or the newest ones without it.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(
        EventsQuery,
        ("last-event-id" = Option<u64>, Header, description = "The last id that a stream's client saw; it comes before `after`."),
    ),
    responses(
        (status = 200, description = "Server-sent events, or a page.", content(
            (String = "text/event-stream"),
            (EventList = "application/json"),
        )),
        (status = 400, description = "The log has no such place, or the query cannot be read.", body = ErrorBody),
        (status = 429, description = "As many clients follow the log as may.", body = ErrorBody),
    )
)]
pub(super) async fn events(
    State(verbs): State<Verbs>,
    headers: HeaderMap,
    Query(query): Query<EventsQuery>,
) -> Result<Response, ApiError> {
    if wants_page(&headers) {
        let (after, start) = (query.after, query.after.map_or(EventStart::Newest, EventStart::After));
        let page = verbs.events(query.filter(start)).await?;
        return Ok(Json(EventList::new(after.unwrap_or(0), page)).into_response());
    }
    if query.limit.is_some() {
        let message = "a stream of events takes no `limit`";
        let hint = "send `Accept: application/json` for a page".to_owned();
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", message)
            .hint(hint)
            .field("limit".to_owned()));
    }
    let after = last_event_id(&headers)?.or(query.after);
    let start = after.map_or(EventStart::Newest, EventStart::After);
    let follower = verbs.follow_events(query.filter(start)).await?;
    let events = unfold(follower, |mut follower: LogFollower| async move {
        let news = follower.next().await?;
        Some((Ok::<Event, Infallible>(event(&news)), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// Whether a page is wanted, and no stream.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<&str> = accepted.flat_map(|value| value.split(',')).collect();
    let accepts = |wanted: &str| {
        accepted.iter().any(|part| part.split(';').next().is_some_and(|one| one.trim() == wanted))
    };
    accepts("application/json") && !accepts("text/event-stream")
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().map(str::trim);
    if number == Some("") {
        return Ok(None);
    }
    number.and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| {
        let message = "`Last-Event-ID` must be the id of an event of this stream, a whole number";
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", message)
    })
}

fn event(news: &LogNews) -> Event {
    match news {
        LogNews::Event(event) => {
            // What is written to the log is one line of JSON; a carriage return would end the field.
            let data = String::from_utf8_lossy(&event.body).replace('\r', "");
            Event::default().id(event.seq.to_string()).event(event.kind.as_str()).data(data)
        }
        LogNews::Gap(after, gap) => {
            Event::default().event("gap").data(json!(EventGapView::new(*after, *gap)).to_string())
        }
        LogNews::Passed(upto) => Event::default().id(upto.to_string()),
    }
}
