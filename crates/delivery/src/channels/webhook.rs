//! A webhook that takes a message as JSON, at an address that the operator fixed.
//!
//! `{to}` and `{thread}` in the address's path and query stand for the place, encoded so that they stay what they stand
//! for: the host, and the path that was fixed, are the operator's.

use clawhook_model::WebhookUrl;
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use url::Url;

use super::account::{AccountError, Settled, web_url};
use super::answer::Answer;
use super::message::{Message, Urgency};
use super::place::{Place, PlaceError};
use super::request::{ChannelRequest, HttpRequest};
use super::{Judged, Piece, Service};
use crate::format::percent;

#[derive(Debug)]
pub(super) struct Webhook {
    template: Template,
    authorization: Option<HeaderValue>,
}

/// The address with its placeholders.
pub(super) struct Template {
    text: String,
    origin: String,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, AccountError> {
        let text = text.trim().to_owned();
        let wrong = |error: &str| AccountError::Url(error.to_owned());
        let origin = web_url(&text).map_err(wrong)?.origin();
        let template = Self { text, origin };
        // A place may change neither the host nor the path before it.
        let authority_end = Url::parse(&template.text).ok().map(|url| url[..url::Position::AfterPort].len());
        let placeholder = template.text.find(['{', '}']);
        if placeholder.is_some_and(|at| authority_end.is_none_or(|end| at < end)) {
            return Err(AccountError::Placeholder);
        }
        let left = template.text.replace("{to}", "").replace("{thread}", "");
        if left.contains(['{', '}']) {
            return Err(AccountError::Placeholder);
        }
        Ok(template)
    }

    /// The address of a place.
    pub(super) fn fill(&self, place: &Place) -> Result<WebhookUrl, &'static str> {
        const WRONG: &str = "no address can be made of this place";
        let thread = place.thread.as_deref().unwrap_or_default().trim();
        let to = place.to.trim();
        // These name a directory, also when they are encoded.
        if [to, thread].iter().any(|text| matches!(*text, "." | "..")) {
            return Err(WRONG);
        }
        let encode = |text: &str| percent::encode(text, percent::is_unreserved);
        let text = self.text.replace("{to}", &encode(to)).replace("{thread}", &encode(thread));
        let url = web_url(&text)?;
        if url.origin() == self.origin { Ok(url) } else { Err(WRONG) }
    }
}

impl Webhook {
    pub(super) fn new(account: &Settled<'_>) -> Result<Self, AccountError> {
        Ok(Self { template: Template::parse(account.url)?, authorization: account.authorization("Bearer")? })
    }
}

impl Service for Webhook {
    fn pieces(&self, message: &Message) -> Vec<Piece> {
        let text = Message { headed: false, ack_url: None, ..message.clone() }.markdown();
        vec![Piece { number: 1, of: 1, text, html: None }]
    }

    fn request(
        &self,
        piece: &Piece,
        message: &Message,
        place: &Place,
        key: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        let url = self.template.fill(place).map_err(|wanted| PlaceError::Form {
            field: "to",
            given: place.to.clone(),
            wanted,
        })?;
        let body = json!({
            "to": place.to,
            "thread": place.thread,
            "title": message.title,
            "text": piece.text,
            "urgent": message.urgency == Urgency::High,
            "ackUrl": message.ack_url,
            "eventId": message.event_id,
            "deliveryId": key,
        });
        let mut request = HttpRequest::json(Method::POST, url, self.authorization.as_ref(), &body);
        if let Ok(key) = HeaderValue::try_from(key) {
            request.headers.insert("idempotency-key", key);
        }
        Ok(ChannelRequest::Http(Box::new(request)))
    }

    fn judge(&self, answer: &Answer<'_>) -> Judged {
        match answer.status() {
            200..=299 => {
                let id = ["id", "messageId", "message_id"].iter().find_map(|name| answer.members.get(*name));
                answer.delivered(id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)))
            }
            _ => {
                let said =
                    answer.members.get("error").or(answer.members.get("message")).and_then(Value::as_str);
                answer.by_status(said.unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, to: &str) -> Option<String> {
        let url = Template::parse(template).unwrap().fill(&Place::new(to)).ok()?;
        Some(url.expose().to_owned())
    }

    #[test]
    fn a_place_stays_what_it_stands_for() {
        let template = "https://chat.example.com/rooms/{to}/send?k=s3cret&in={thread}";
        assert_eq!(
            filled(template, "a b").unwrap(),
            "https://chat.example.com/rooms/a%20b/send?k=s3cret&in="
        );
        assert_eq!(
            filled(template, "../x?y#z/@evil.com").unwrap(),
            "https://chat.example.com/rooms/..%2Fx%3Fy%23z%2F%40evil.com/send?k=s3cret&in="
        );
        assert_eq!(filled(template, ".."), None);
        assert_eq!(filled("https://chat.example.com/fixed", "x").unwrap(), "https://chat.example.com/fixed");
    }

    #[test]
    fn a_placeholder_stands_in_the_path_or_the_query() {
        for wrong in
            ["https://{to}.example.com/", "https://h.example.com/{other}", "https://h.example.com:{to}/"]
        {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
        let shown = format!("{:?}", Template::parse("https://h.example.com/{to}?key=s3cret").unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
