//! Matrix: `m.room.message` events through the client-server API.
//!
//! Limits: an event of 65,536 bytes in all; requests by the homeserver's own settings, told with `M_LIMIT_EXCEEDED`. A
//! repeat is told by its transaction's id, and is then no second event.

use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::account::{AccountError, Settled, web_url};
use super::answer::Answer;
use super::markdown::{self, Dialect};
use super::message::Message;
use super::place::{Place, PlaceError};
use super::request::{ChannelRequest, HttpRequest};
use super::{Judged, Piece, Service};
use crate::format::percent;
use std::time::Duration;

/// What body and HTML may take together in JSON: the rest is for the event around them.
const MAX_CONTENT_BYTES: usize = 48_000;
const MAX_PIECES: usize = 8;

const WANTED: &str = "Matrix wants the id of a room, such as !abc:example.com (an alias `#…` is none)";

#[derive(Debug)]
pub(super) struct Matrix {
    base: String,
    authorization: HeaderValue,
}

impl Matrix {
    pub(super) fn new(account: &Settled<'_>) -> Result<Self, AccountError> {
        Ok(Self { base: account.base()?, authorization: account.required_authorization("Bearer")? })
    }
}

pub(super) fn check_place(place: &Place) -> Result<(), PlaceError> {
    let is_id = |sigil: char| {
        move |text: &str| {
            text.strip_prefix(sigil)
                .is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
        }
    };
    place.to_of(is_id('!'), WANTED)?;
    place.thread_of(is_id('$'), "Matrix wants the id of the thread's first event, such as $abc")?;
    Ok(())
}

/// What a text takes in JSON.
fn json_len(text: &str) -> usize {
    Value::from(text).to_string().len()
}

impl Service for Matrix {
    fn pieces(&self, message: &Message) -> Vec<Piece> {
        let fits = |text: &str| json_len(text) + json_len(&markdown::html(text)) <= MAX_CONTENT_BYTES;
        let mut pieces = Piece::split(&message.markdown(), MAX_PIECES, &fits, Dialect::Plain);
        for piece in &mut pieces {
            piece.html = Some(markdown::html(&piece.text));
        }
        pieces
    }

    fn request(
        &self,
        piece: &Piece,
        _: &Message,
        place: &Place,
        key: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        let room = percent::encode(place.to.trim(), percent::is_unreserved);
        let transaction =
            percent::encode(&format!("clawhook-{key}-{}", piece.number), percent::is_unreserved);
        let url = format!("{}/_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}", self.base);
        let url = web_url(&url).map_err(|_| PlaceError::Form {
            field: "to",
            given: place.to.clone(),
            wanted: WANTED,
        })?;
        let mut body = json!({
            "msgtype": "m.text",
            "body": piece.text,
            "format": "org.matrix.custom.html",
            "formatted_body": piece.html,
            // It mentions nobody, whatever the text looks like.
            "m.mentions": {},
        });
        if let Some(thread) = place.thread.as_deref().map(str::trim) {
            body["m.relates_to"] = json!({
                "rel_type": "m.thread",
                "event_id": thread,
                "is_falling_back": true,
                "m.in_reply_to": { "event_id": thread },
            });
        }
        let request = HttpRequest::json(Method::PUT, url, Some(&self.authorization), &body);
        Ok(ChannelRequest::Http(Box::new(request)))
    }

    fn judge(&self, answer: &Answer<'_>) -> Judged {
        let code = answer.text("errcode").unwrap_or_default();
        let why = format!("{} {code}", answer.text("error").unwrap_or_default());
        match (answer.status(), code) {
            (200..=299, _) if answer.text("event_id").is_some() => {
                answer.delivered(answer.text("event_id").map(str::to_owned))
            }
            (429, _) | (_, "M_LIMIT_EXCEEDED") => {
                let millis = answer.members.get("retry_after_ms").and_then(Value::as_u64);
                answer
                    .rate_limited(answer.header_seconds("retry-after").or(millis.map(Duration::from_millis)))
            }
            (
                _,
                "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN" | "M_USER_DEACTIVATED" | "M_USER_LOCKED"
                | "M_USER_SUSPENDED",
            ) => answer.unauthorized(&why),
            _ => answer.by_status(&why),
        }
    }
}
