//! Mattermost: posts of a bot.
//!
//! Limits: 16,383 characters; requests by the server's own `RateLimitSettings`. A repeat within half a minute is told by
//! its `pending_post_id`, and is then no second post.

use std::time::Duration;

use http::{HeaderValue, Method};
use serde_json::json;

use super::account::{AccountError, Settled, web_url};
use super::answer::Answer;
use super::markdown::Dialect;
use super::message::Message;
use super::place::{Place, PlaceError};
use super::request::{ChannelRequest, HttpRequest};
use super::{Judged, Piece, Service};

const MAX_TEXT: usize = 16_383;
const MAX_PIECES: usize = 10;
/// An id has so many characters.
const ID_LENGTH: usize = 26;
/// The most seconds in `X-Ratelimit-Reset` that can be a wait; what is more is an instant.
const MOST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug)]
pub(super) struct Mattermost {
    url: clawhook_model::WebhookUrl,
    authorization: HeaderValue,
}

impl Mattermost {
    pub(super) fn new(account: &Settled<'_>) -> Result<Self, AccountError> {
        let url = web_url(&format!("{}/api/v4/posts", account.base()?));
        let url = url.map_err(|error| AccountError::Url(error.to_owned()))?;
        Ok(Self { url, authorization: account.required_authorization("Bearer")? })
    }
}

pub(super) fn check_place(place: &Place) -> Result<(), PlaceError> {
    let is_id = |text: &str| text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    place.to_of(is_id, "Mattermost wants the id of a channel, 26 letters and digits (View Info shows it)")?;
    place.thread_of(is_id, "Mattermost wants the id of the thread's first post, 26 letters and digits")?;
    Ok(())
}

impl Service for Mattermost {
    fn pieces(&self, message: &Message) -> Vec<Piece> {
        Piece::rendered(message, Dialect::Mattermost, MAX_PIECES, MAX_TEXT)
    }

    fn request(
        &self,
        piece: &Piece,
        _: &Message,
        place: &Place,
        key: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        let mut body = json!({
            "channel_id": place.to.trim(),
            "message": piece.text,
            "pending_post_id": format!("clawhook:{key}:{}", piece.number),
        });
        if let Some(thread) = &place.thread {
            body["root_id"] = json!(thread.trim());
        }
        let request = HttpRequest::json(Method::POST, self.url.clone(), Some(&self.authorization), &body);
        Ok(ChannelRequest::Http(Box::new(request)))
    }

    fn judge(&self, answer: &Answer<'_>) -> Judged {
        let id = answer.text("id").unwrap_or_default();
        let said = answer.text("message").unwrap_or_default();
        match answer.status() {
            200..=299 if !id.is_empty() => answer.delivered(Some(id.to_owned())),
            429 => {
                let reset = answer.header_seconds("x-ratelimit-reset").filter(|wait| *wait <= MOST_WAIT);
                answer.rate_limited(answer.header_seconds("retry-after").or(reset))
            }
            _ if id.is_empty() => answer.by_status(said),
            // Errors have an id as well, by which the server's documentation knows them.
            _ => answer.by_status(&format!("{said} ({id})")),
        }
    }
}
