//! What is known of the attempt under way. It outlives the future that carries the request, so that a request which
//! ran out of time still leaves its story.

use std::net::SocketAddr;
use std::time::Instant;

use clawhook_model::{
    AttemptClass, AttemptReport, MASK, PhaseTimings, RecordedHeaders, RetryAfter, TlsVersion, micros,
};
use http::header::{AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHORIZATION, SET_COOKIE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::connection::BodyEnd;
use super::failure::Failure;
use crate::retry_after::retry_after;

/// What is said of an answer of which nothing but its status is known begins so.
pub(crate) const ANSWERED: &str = "the receiver answered";
/// How much of a redirect's target is kept.
const MAX_LOCATION_CHARS: usize = 2_048;

#[derive(Debug)]
pub(super) struct Attempt {
    started_at: Instant,
    request_began_at: Instant,
    request_headers: RecordedHeaders,
    head: Option<Head>,
    body: Vec<u8>,
    body_complete: bool,
    reused: bool,
    reached: Reached,
    timings: PhaseTimings,
}

/// Whom a connection reached, and how its bytes are protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) peer: Option<SocketAddr>,
    pub(super) tls_version: Option<TlsVersion>,
}

#[derive(Debug)]
struct Head {
    status: StatusCode,
    location: Option<String>,
    retry_after: Option<RetryAfter>,
    headers: RecordedHeaders,
    came_at: Instant,
}

impl Attempt {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            started_at: now,
            request_began_at: now,
            request_headers: RecordedHeaders::default(),
            head: None,
            body: Vec::new(),
            body_complete: false,
            reused: false,
            reached: Reached::default(),
            timings: PhaseTimings::default(),
        }
    }

    pub(super) fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Where the connector notes how long its phases took, and whom it reached. What was noted of a connection that
    /// was found dead is forgotten.
    pub(super) fn connecting(&mut self) -> (&mut PhaseTimings, &mut Reached) {
        self.request_headers = RecordedHeaders::default();
        self.reached = Reached::default();
        self.reused = false;
        (&mut self.timings, &mut self.reached)
    }

    pub(super) fn body_buffer(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    pub(super) fn request_begins(&mut self, headers: &HeaderMap, reached: Reached, reused: bool) {
        self.request_headers = record(headers);
        self.reached = reached;
        self.reused = reused;
        self.request_began_at = Instant::now();
    }

    pub(super) fn answer_began(&mut self, head: &Parts) {
        let now = Instant::now();
        self.timings.first_byte_us = Some(micros(now - self.request_began_at));
        self.head = Some(Head {
            status: head.status,
            location: location(&head.headers),
            retry_after: retry_after(head.status, &head.headers),
            headers: record(&head.headers),
            came_at: now,
        });
    }

    pub(super) fn answer_ended(&mut self, end: Option<&BodyEnd>) {
        self.body_complete = end == Some(&BodyEnd::Complete);
        self.note_body_time();
    }

    fn note_body_time(&mut self) {
        if let Some(head) = &self.head {
            self.timings.body_us = Some(micros(head.came_at.elapsed()));
        }
    }

    /// The report. A head is the receiver's word, and what happens after it does not change what it said.
    pub(super) fn into_report(mut self, failure: Option<Failure>) -> AttemptReport {
        self.timings.total_us = micros(self.started_at.elapsed());
        if self.timings.body_us.is_none() {
            self.note_body_time();
        }
        let told = match self.head {
            Some(head) => AttemptReport {
                class: AttemptClass::of_status(head.status.as_u16()),
                status: Some(head.status.as_u16()),
                error: complaint(head.status, failure),
                response_body: text(self.body, self.body_complete),
                response_truncated: !self.body_complete,
                location: head.location,
                retry_after: head.retry_after,
                response_headers: head.headers,
                ..AttemptReport::failed(AttemptClass::AnswerLost, String::new(), self.timings)
            },
            None => match failure {
                Some(failure) => AttemptReport::failed(failure.class(), failure.to_string(), self.timings),
                // Only a head ends the exchange without a failure.
                None => AttemptReport::failed(AttemptClass::AnswerLost, "no answer came", self.timings),
            },
        };
        AttemptReport {
            request_headers: self.request_headers,
            peer: self.reached.peer,
            tls_version: self.reached.tls_version,
            connection_reused: self.reused,
            ..told
        }
    }
}

/// Headers for the record. A secret is masked: what is one by its name, and what whoever set it marked as one.
fn record(headers: &HeaderMap) -> RecordedHeaders {
    let shown = headers.iter().map(|(name, value)| {
        let value = if is_secret(name, value) { MASK.as_bytes() } else { value.as_bytes() };
        (name.as_str(), value)
    });
    RecordedHeaders::record(shown)
}

fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    value.is_sensitive() || [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE].contains(name)
}

/// What there is to say of an answer that is not simply a success.
fn complaint(status: StatusCode, failure: Option<Failure>) -> Option<String> {
    let answered = format!("{ANSWERED} {status}");
    match (AttemptClass::of_status(status.as_u16()), failure) {
        (AttemptClass::Delivered, None) => None,
        (AttemptClass::Delivered, Some(failure)) => {
            Some(format!("{answered}, and the rest of its answer was lost: {failure}"))
        }
        (AttemptClass::Redirect, _) => Some(format!("{answered}; redirects are not followed")),
        _ => Some(answered),
    }
}

fn location(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(LOCATION)?;
    Some(String::from_utf8_lossy(value.as_bytes()).chars().take(MAX_LOCATION_CHARS).collect())
}

/// The body as text that every store can keep: no broken UTF-8, no NUL.
fn text(mut body: Vec<u8>, complete: bool) -> Option<String> {
    if !complete {
        drop_split_character(&mut body);
    }
    if body.is_empty() {
        return None;
    }
    let text = String::from_utf8(body)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Some(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
}

/// Removes the first bytes of a character whose others were cut off.
fn drop_split_character(body: &mut Vec<u8>) {
    if let Err(error) = std::str::from_utf8(body)
        && error.error_len().is_none()
    {
        body.truncate(error.valid_up_to());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_as_text_that_every_store_can_hold() {
        assert_eq!(text(b"ok".to_vec(), true).as_deref(), Some("ok"));
        assert_eq!(text(b"".to_vec(), true), None);
        assert_eq!(text(b"a\0b\xff".to_vec(), true).as_deref(), Some("a\u{fffd}b\u{fffd}"));
        assert_eq!(text("grü".as_bytes()[..3].to_vec(), false).as_deref(), Some("gr"));
        assert_eq!(text("grü".as_bytes()[..3].to_vec(), true).as_deref(), Some("gr\u{fffd}"));
    }

    #[test]
    fn i12_what_is_secret_by_name_or_by_mark_is_masked() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-team"] {
            let mut value = HeaderValue::from_static("s3cret");
            value.set_sensitive(name == "x-api-key");
            headers.insert(name, value);
        }
        let recorded = record(&headers);
        assert_eq!(recorded.get("x-team"), Some("s3cret"));
        assert_eq!(recorded.iter().filter(|(_, value)| *value == MASK).count(), 5);
    }
}
