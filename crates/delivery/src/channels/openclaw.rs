//! Everything else: the `message` tool of an OpenClaw gateway, which sends on to the channels that are set up there.
//!
//! `POST /tools/invoke` with the gateway's token. Whoever holds that token holds the gateway, so it belongs on this
//! machine or in a private network. It takes 2 MB; it cuts messages for its channels itself. Whatever goes wrong in a
//! channel is `500 tool execution failed` (OpenClaw 2026.9.6), and only its own log says what. It does not tell a repeat:
//! `idempotencyKey` names the call in its records and no more.

use clawhook_model::WebhookUrl;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::account::{AccountError, Settled, web_url};
use super::answer::Answer;
use super::markdown::Dialect;
use super::message::Message;
use super::place::{Place, PlaceError};
use super::request::{ChannelRequest, HttpRequest};
use super::{Judged, Piece, Service};

/// The gateway takes 2 MB, in which a character may take six bytes.
const MAX_TEXT: usize = 300_000;

const WANTED: &str = "an OpenClaw gateway wants its channel and the target there, such as telegram:123456 or whatsapp:+15551234567";

#[derive(Debug)]
pub(super) struct Openclaw {
    url: WebhookUrl,
    authorization: HeaderValue,
}

impl Openclaw {
    pub(super) fn new(account: &Settled<'_>) -> Result<Self, AccountError> {
        let url = web_url(&format!("{}/tools/invoke", account.base()?));
        let url = url.map_err(|error| AccountError::Url(error.to_owned()))?;
        Ok(Self { url, authorization: account.required_authorization("Bearer")? })
    }
}

/// The channel and the target in it.
fn route(to: &str) -> Option<(&str, &str)> {
    let (channel, target) = to.split_once(':')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (!channel.is_empty() && channel.bytes().all(is_name) && !target.trim().is_empty())
        .then_some((channel, target.trim()))
}

pub(super) fn check_place(place: &Place) -> Result<(), PlaceError> {
    place.to_of(|to| route(to).is_some(), WANTED)?;
    Ok(())
}

impl Service for Openclaw {
    fn pieces(&self, message: &Message) -> Vec<Piece> {
        Piece::rendered(message, Dialect::Anywhere, 1, MAX_TEXT)
    }

    fn request(
        &self,
        piece: &Piece,
        _: &Message,
        place: &Place,
        key: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        let to = place.to.trim();
        let (channel, target) = route(to).ok_or_else(|| PlaceError::Form {
            field: "to",
            given: to.to_owned(),
            wanted: WANTED,
        })?;
        let mut args =
            json!({ "action": "send", "channel": channel, "target": target, "message": piece.text });
        if let Some(thread) = &place.thread {
            args["threadId"] = json!(thread.trim());
        }
        let body = json!({
            "tool": "message",
            "action": "send",
            "args": args,
            "idempotencyKey": format!("clawhook:{key}:{}", piece.number),
        });
        let request = HttpRequest::json(Method::POST, self.url.clone(), Some(&self.authorization), &body);
        Ok(ChannelRequest::Http(Box::new(request)))
    }

    fn judge(&self, answer: &Answer<'_>) -> Judged {
        let error = answer.members.get("error");
        let why = error.and_then(|error| error.get("message").or(Some(error))).and_then(Value::as_str);
        let why = why.unwrap_or_default();
        match answer.status() {
            200..=299 if answer.members.get("ok") == Some(&Value::Bool(true)) => {
                answer.delivered(message_id(answer.members.get("result")))
            }
            404 => answer.refused(&format!("{why}; its tool policy does not let `message` be used")),
            _ => answer.by_status(why),
        }
    }
}

/// The message's id in what the tool gave back, wherever its channel puts it.
fn message_id(result: Option<&Value>) -> Option<String> {
    let details = result?.get("details")?;
    let found = [
        details.get("messageId"),
        details.pointer("/result/messageId"),
        details.pointer("/sendResult/messageId"),
    ];
    let id = found.into_iter().flatten().next()?;
    Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
}
