//! Slack: `chat.postMessage` with a bot token.
//!
//! Limits: a text of up to 4,000 characters for best results (40,000 are cut), one message per second and channel. It
//! answers 200 to nearly everything; what happened is in `ok` and `error`. It knows no key by which a repeat is told.

use clawhook_model::WebhookUrl;
use http::{HeaderValue, Method};
use serde_json::json;

use super::account::{AccountError, Settled, web_url};
use super::answer::Answer;
use super::markdown::Dialect;
use super::message::Message;
use super::place::{Place, PlaceError};
use super::request::{ChannelRequest, HttpRequest};
use super::{Judged, Piece, Service};

const MAX_TEXT: usize = 4_000;
const MAX_PIECES: usize = 20;

/// Errors that say that the token is not the right one, or not right for this.
const CREDENTIAL_ERRORS: [&str; 14] = [
    "access_denied",
    "account_inactive",
    "enterprise_is_restricted",
    "invalid_auth",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "org_login_required",
    "team_access_not_granted",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
    "ekm_access_denied",
];

/// Errors of the moment.
const PASSING_ERRORS: [&str; 6] = [
    "fatal_error",
    "internal_error",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
    "accesslimited",
];

#[derive(Debug)]
pub(super) struct Slack {
    url: WebhookUrl,
    authorization: HeaderValue,
}

impl Slack {
    pub(super) fn new(account: &Settled<'_>) -> Result<Self, AccountError> {
        let url = web_url(&format!("{}/chat.postMessage", account.base()?));
        let url = url.map_err(|error| AccountError::Url(error.to_owned()))?;
        Ok(Self { url, authorization: account.required_authorization("Bearer")? })
    }
}

pub(super) fn check_place(place: &Place) -> Result<(), PlaceError> {
    place.to_of(
        |to| !to.contains(char::is_whitespace) && !to.starts_with('@'),
        "Slack wants a conversation's id such as C0123456789, or the name of a channel such as #ops",
    )?;
    let is_timestamp = |thread: &str| {
        thread
            .split_once('.')
            .is_some_and(|(secs, rest)| super::place::is_number(secs) && super::place::is_number(rest))
    };
    place.thread_of(
        is_timestamp,
        "Slack wants the `ts` of the thread's first message, such as 1503435956.000247",
    )?;
    Ok(())
}

impl Service for Slack {
    fn pieces(&self, message: &Message) -> Vec<Piece> {
        Piece::rendered(message, Dialect::Mrkdwn, MAX_PIECES, MAX_TEXT)
    }

    fn request(
        &self,
        piece: &Piece,
        _: &Message,
        place: &Place,
        _: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        let mut body = json!({
            "channel": place.to.trim(),
            "text": piece.text,
            // Neither names nor addresses in the text are looked up.
            "link_names": false,
            "parse": "none",
            "unfurl_links": false,
            "unfurl_media": false,
        });
        if let Some(thread) = &place.thread {
            body["thread_ts"] = json!(thread.trim());
        }
        let request = HttpRequest::json(Method::POST, self.url.clone(), Some(&self.authorization), &body);
        Ok(ChannelRequest::Http(Box::new(request)))
    }

    fn judge(&self, answer: &Answer<'_>) -> Judged {
        if answer.members.get("ok") == Some(&true.into()) && (200..300).contains(&answer.status()) {
            return answer.delivered(answer.text("ts").map(str::to_owned));
        }
        match answer.text("error") {
            Some("ratelimited" | "rate_limited" | "message_limit_exceeded") => {
                answer.rate_limited(answer.header_seconds("retry-after"))
            }
            Some(error) if CREDENTIAL_ERRORS.contains(&error) => answer.unauthorized(error),
            Some(error) if PASSING_ERRORS.contains(&error) => answer.failed(error),
            Some(error @ "not_in_channel") => {
                answer.refused(&format!("{error}; invite the bot to the channel with /invite"))
            }
            Some(error) => answer.refused(error),
            None => answer.by_status(""),
        }
    }
}
