//! ntfy: publishing as JSON.
//!
//! Limits: 4,096 bytes of text (more would become a file), a title of 1,024; messages by the server's own limits, told
//! with a 429. It knows no key by which a repeat is told.

use clawhook_model::WebhookUrl;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::account::{AccountError, Settled, web_url};
use super::answer::Answer;
use super::markdown::Dialect;
use super::message::{Message, Urgency};
use super::place::{Place, PlaceError};
use super::request::{ChannelRequest, HttpRequest};
use super::{Judged, Piece, Service};

const MAX_TEXT_BYTES: usize = 4_096;
const MAX_TITLE_BYTES: usize = 1_024;
/// Each is a notification of its own, so there are few.
const MAX_PIECES: usize = 5;
/// The longest name of a topic.
const MAX_TOPIC: usize = 64;

#[derive(Debug)]
pub(super) struct Ntfy {
    url: WebhookUrl,
    authorization: Option<HeaderValue>,
}

impl Ntfy {
    pub(super) fn new(account: &Settled<'_>) -> Result<Self, AccountError> {
        let url = web_url(&account.base()?).map_err(|error| AccountError::Url(error.to_owned()))?;
        Ok(Self { url, authorization: account.authorization("Bearer")? })
    }
}

pub(super) fn check_place(place: &Place) -> Result<(), PlaceError> {
    let is_topic = |to: &str| {
        to.len() <= MAX_TOPIC && to.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    place.to_of(is_topic, "ntfy wants the name of a topic: up to 64 letters, digits, `-` and `_`")?;
    place.without_thread("ntfy")
}

impl Service for Ntfy {
    fn pieces(&self, message: &Message) -> Vec<Piece> {
        let fits = |text: &str| text.len() <= MAX_TEXT_BYTES;
        let text = Message { headed: false, ..message.clone() }.markdown();
        Piece::split(&text, MAX_PIECES, &fits, Dialect::Plain)
    }

    fn request(
        &self,
        piece: &Piece,
        message: &Message,
        place: &Place,
        _: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        let mut title = message.title.clone();
        title.truncate(title.floor_char_boundary(MAX_TITLE_BYTES));
        let mut body = json!({
            "topic": place.to.trim(),
            "title": title,
            "message": piece.text,
            "markdown": true,
            "priority": match message.urgency {
                Urgency::Normal => 3,
                Urgency::High => 4,
            },
        });
        if let Some(url) = message.ack_url.as_ref().filter(|_| piece.number == piece.of) {
            body["actions"] =
                json!([{ "action": "view", "label": "Acknowledge", "url": url, "clear": true }]);
        }
        let request = HttpRequest::json(Method::POST, self.url.clone(), self.authorization.as_ref(), &body);
        Ok(ChannelRequest::Http(Box::new(request)))
    }

    fn judge(&self, answer: &Answer<'_>) -> Judged {
        let code = answer.members.get("code").and_then(Value::as_u64);
        let said = answer.text("error").unwrap_or_default();
        let why = code.map_or_else(|| said.to_owned(), |code| format!("{said} ({code})"));
        match answer.status() {
            200..=299 if answer.text("id").is_some() => {
                answer.delivered(answer.text("id").map(str::to_owned))
            }
            // To ntfy, 403 is somebody who may not write to the topic.
            403 => answer.unauthorized(&why),
            _ => answer.by_status(&why),
        }
    }
}
