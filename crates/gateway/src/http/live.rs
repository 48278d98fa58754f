//! `/api/v1/runs/{runId}/live`: a run that is followed, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::{Value, json};

use super::error::{ApiError, ErrorBody};
use super::query::{NoQuery, PathId, Query};
use crate::verbs::{Following, LiveNews, Verbs};
use crate::wire::{RunEntry, WaitView};

/// How often a comment shows that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Follows a run: what it said so far, then what it says, until it is over.
///
/// The events are named by what they tell: `asked`, `text`, `thinking`, `toolCall`, `toolResult`, `output` and `note` are
/// pieces of the turn; `waiting` says why the run does not begin yet; `missed` that pieces could not be told; and `end`,
/// the last, holds the run once its end is committed. Each has JSON data and an id that counts the events of this answer.
#[utoipa::path(
    get, path = "/api/v1/runs/{runId}/live", tag = "runs",
    params(("runId" = String, Path, description = "The run.")),
    responses(
        (status = 200, description = "Server-sent events.", body = String, content_type = "text/event-stream"),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        (status = 429, description = "As many runs are followed as may be.", body = ErrorBody),
    )
)]
pub(super) async fn live(
    State(verbs): State<Verbs>,
    PathId(id): PathId,
    _: Query<NoQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let following = verbs.follow(&id).await?;
    let events = unfold((following, 1), |(mut following, number): (Following, u64)| async move {
        let news = following.next().await?;
        Some((Ok(event(number, &news)), (following, number + 1)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(number: u64, news: &LiveNews) -> Event {
    let (name, data) = named(news);
    Event::default().id(number.to_string()).event(name).data(data.to_string())
}

fn named(news: &LiveNews) -> (String, Value) {
    match news {
        LiveNews::Waiting(wait) => ("waiting".to_owned(), json!(WaitView::from(wait))),
        LiveNews::Piece(piece) => {
            let data = json!(piece);
            (data["kind"].as_str().unwrap_or_default().to_owned(), data)
        }
        LiveNews::Missed(pieces) => ("missed".to_owned(), json!({ "pieces": pieces })),
        LiveNews::End(record) => ("end".to_owned(), json!(RunEntry::from(record.as_ref()))),
    }
}
