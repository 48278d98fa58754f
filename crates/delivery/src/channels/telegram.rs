//! Telegram: `sendMessage` of the Bot API.
//!
//! Limits: 4,096 UTF-16 code units after markup is read; one message per second to a chat, 20 a minute to a group. The
//! token is part of the URL, so the URL is shown nowhere. It knows no key by which a repeat is told.

use clawhook_model::WebhookUrl;
use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::account::{AccountError, Settled, web_url};
use super::answer::Answer;
use super::markdown::Dialect;
use super::message::Message;
use super::place::{Place, PlaceError, is_number};
use super::request::{ChannelRequest, HttpRequest};
use super::{Judged, Piece, Service};
use std::time::Duration;

const MAX_TEXT: usize = 4_096;
const MAX_PIECES: usize = 20;

pub(super) struct Telegram {
    url: WebhookUrl,
}

impl std::fmt::Debug for Telegram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telegram").field("origin", &self.url.origin()).finish_non_exhaustive()
    }
}

impl Telegram {
    pub(super) fn new(account: &Settled<'_>) -> Result<Self, AccountError> {
        let kind = account.account.kind;
        let token = account.credential.as_ref().ok_or(AccountError::Missing { kind, field: "credential" })?;
        let token = token.expose_secret();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b":_-".contains(&byte);
        if token.is_empty() || !token.bytes().all(is_token) {
            return Err(AccountError::Credential);
        }
        let url = web_url(&format!("{}/bot{token}/sendMessage", account.base()?));
        Ok(Self { url: url.map_err(|error| AccountError::Url(error.to_owned()))? })
    }
}

pub(super) fn check_place(place: &Place) -> Result<(), PlaceError> {
    let is_chat = |to: &str| {
        is_number(to.strip_prefix('-').unwrap_or(to))
            || to.strip_prefix('@').is_some_and(|name| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
    };
    place.to_of(is_chat, "Telegram wants the id of a chat, such as -1001234567890, or @channelname")?;
    place.thread_of(is_number, "Telegram wants the number of a topic, `message_thread_id`")?;
    Ok(())
}

impl Service for Telegram {
    fn pieces(&self, message: &Message) -> Vec<Piece> {
        Piece::rendered(message, Dialect::TelegramHtml, MAX_PIECES, MAX_TEXT)
    }

    fn request(
        &self,
        piece: &Piece,
        _: &Message,
        place: &Place,
        _: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        let to = place.to.trim();
        let chat: Value = to.parse::<i64>().map_or_else(|_| json!(to), |id| json!(id));
        let mut body = json!({
            "chat_id": chat,
            "text": piece.text,
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
        });
        if let Some(topic) = place.thread.as_deref().and_then(|topic| topic.trim().parse::<i64>().ok()) {
            body["message_thread_id"] = json!(topic);
        }
        Ok(ChannelRequest::Http(Box::new(HttpRequest::json(Method::POST, self.url.clone(), None, &body))))
    }

    fn judge(&self, answer: &Answer<'_>) -> Judged {
        if answer.members.get("ok") == Some(&Value::Bool(true)) && (200..300).contains(&answer.status()) {
            let id = answer.members.get("result").and_then(|result| result.get("message_id"));
            return answer.delivered(id.map(Value::to_string));
        }
        let why = answer.text("description").unwrap_or_default();
        let parameter = |name: &str| answer.members.get("parameters")?.get(name).cloned();
        match answer.status() {
            429 => {
                let after = parameter("retry_after").and_then(|wait| wait.as_u64()).map(Duration::from_secs);
                answer.rate_limited(after)
            }
            400 if parameter("migrate_to_chat_id").is_some() => {
                let id = parameter("migrate_to_chat_id").unwrap_or_default();
                answer.refused(&format!("{why}; the group is a supergroup now, whose id is {id}"))
            }
            // So it answers to a token that it does not know.
            404 if !answer.members.is_empty() => answer.unauthorized(why),
            _ => answer.by_status(why),
        }
    }
}
