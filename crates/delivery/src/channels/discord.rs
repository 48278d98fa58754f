//! Discord: messages of a bot.
//!
//! Limits: 2,000 characters; five messages in five seconds for a channel, told by its headers; 50 requests a second in
//! all. A thread is a channel of its own. For some minutes a repeat is told by its `nonce`, and is then no second message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Method, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::account::{AccountError, Settled, web_url};
use super::answer::Answer;
use super::markdown::Dialect;
use super::message::Message;
use super::place::{Place, PlaceError, is_number};
use super::request::{ChannelRequest, HttpRequest};
use super::{Judged, Piece, Service};

const MAX_TEXT: usize = 2_000;
const MAX_PIECES: usize = 25;
/// The longest nonce.
const MAX_NONCE: usize = 25;
/// No previews of what links lead to.
const SUPPRESS_EMBEDS: u32 = 1 << 2;
/// Clients must name themselves so, or are not let in.
const USER_AGENT: &str =
    concat!("DiscordBot (https://github.com/clawhook/clawhook, ", env!("CARGO_PKG_VERSION"), ")");

#[derive(Debug)]
pub(super) struct Discord {
    base: String,
    authorization: HeaderValue,
}

impl Discord {
    pub(super) fn new(account: &Settled<'_>) -> Result<Self, AccountError> {
        Ok(Self { base: account.base()?, authorization: account.required_authorization("Bot")? })
    }
}

const WANTED: &str = "Discord wants the id of a channel, a number such as 1234567890123456789";

pub(super) fn check_place(place: &Place) -> Result<(), PlaceError> {
    place.to_of(is_number, WANTED)?;
    place.thread_of(is_number, "Discord wants the id of a thread, a number such as 1234567890123456789")?;
    Ok(())
}

/// A key of 25 characters for this piece of this delivery.
fn nonce(key: &str, piece: &Piece) -> String {
    let digest = Sha256::digest(format!("{key}/{}", piece.number));
    let mut nonce = URL_SAFE_NO_PAD.encode(digest);
    nonce.truncate(MAX_NONCE);
    nonce
}

impl Service for Discord {
    fn pieces(&self, message: &Message) -> Vec<Piece> {
        Piece::rendered(message, Dialect::Discord, MAX_PIECES, MAX_TEXT)
    }

    fn request(
        &self,
        piece: &Piece,
        _: &Message,
        place: &Place,
        key: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        let channel = place.thread.as_ref().unwrap_or(&place.to).trim();
        let url = web_url(&format!("{}/channels/{channel}/messages", self.base));
        let url =
            url.map_err(|_| PlaceError::Form { field: "to", given: channel.to_owned(), wanted: WANTED })?;
        let body = json!({
            "content": piece.text,
            "allowed_mentions": { "parse": [] },
            "flags": SUPPRESS_EMBEDS,
            "nonce": nonce(key, piece),
            "enforce_nonce": true,
        });
        let mut request = HttpRequest::json(Method::POST, url, Some(&self.authorization), &body);
        request.headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        Ok(ChannelRequest::Http(Box::new(request)))
    }

    fn judge(&self, answer: &Answer<'_>) -> Judged {
        let code = answer.members.get("code").and_then(Value::as_u64).unwrap_or_default();
        let said = answer.text("message").unwrap_or_default();
        let why = if code == 0 { said.to_owned() } else { format!("{said} ({code})") };
        match answer.status() {
            200..=299 if answer.text("id").is_some() => Judged::Delivered {
                message_id: answer.text("id").map(str::to_owned),
                hold: answer
                    .header_seconds("x-ratelimit-reset-after")
                    .filter(|_| answer.header("x-ratelimit-remaining").map(str::trim) == Some("0")),
            },
            429 => answer.rate_limited(answer.seconds("retry_after")),
            // Unknown channel; archived thread; no access or no permission there.
            403 | 404 if code != 0 => answer.refused(&why),
            _ => answer.by_status(&why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_has_the_same_nonce_and_nothing_else_has() {
        let piece = |number| Piece { number, of: 2, text: String::new(), html: None };
        let nonces = [("a", 1), ("a", 2), ("b", 1)].map(|(key, number)| nonce(key, &piece(number)));
        assert_eq!(nonces[0], nonce("a", &piece(1)));
        assert!(nonces.iter().all(|nonce| nonce.len() == MAX_NONCE));
        assert!(nonces[0] != nonces[1] && nonces[0] != nonces[2] && nonces[1] != nonces[2]);
    }
}
