//! What is known of the attempt under way. It outlives the future that carries the request, so that a request which
//! ran out of time still leaves its story.

use std::time::Instant;

use clawhook_model::{AttemptClass, AttemptReport, PhaseTimings, micros};
use http::header::LOCATION;
use http::response::Parts;
use http::{HeaderMap, StatusCode};

use super::connection::BodyEnd;
use super::failure::Failure;

/// How much of a redirect's target is kept.
const MAX_LOCATION_CHARS: usize = 2_048;

#[derive(Debug)]
pub(super) struct Attempt {
    started_at: Instant,
    request_began_at: Instant,
    head: Option<Head>,
    body: Vec<u8>,
    body_complete: bool,
    reused: bool,
    timings: PhaseTimings,
}

#[derive(Debug)]
struct Head {
    status: StatusCode,
    location: Option<String>,
    came_at: Instant,
}

impl Attempt {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            started_at: now,
            request_began_at: now,
            head: None,
            body: Vec::new(),
            body_complete: false,
            reused: false,
            timings: PhaseTimings::default(),
        }
    }

    pub(super) fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Where the connector notes how long its phases took.
    pub(super) fn timings(&mut self) -> &mut PhaseTimings {
        &mut self.timings
    }

    pub(super) fn body_buffer(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    pub(super) fn request_begins(&mut self, reused: bool) {
        self.request_began_at = Instant::now();
        self.reused = reused;
    }

    pub(super) fn answer_began(&mut self, head: &Parts) {
        let now = Instant::now();
        self.timings.first_byte_us = Some(micros(now - self.request_began_at));
        self.head = Some(Head { status: head.status, location: location(&head.headers), came_at: now });
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
        let Some(head) = self.head else {
            return match failure {
                Some(failure) => {
                    let mut report =
                        AttemptReport::failed(failure.class(), failure.to_string(), self.timings);
                    report.connection_reused = self.reused;
                    report
                }
                // Only a head ends the exchange without a failure.
                None => AttemptReport::failed(AttemptClass::AnswerLost, "no answer came", self.timings),
            };
        };
        AttemptReport {
            class: AttemptClass::of_status(head.status.as_u16()),
            status: Some(head.status.as_u16()),
            error: complaint(head.status, failure),
            response_body: text(self.body, self.body_complete),
            response_truncated: !self.body_complete,
            location: head.location,
            connection_reused: self.reused,
            timings: self.timings,
        }
    }
}

/// What there is to say of an answer that is not simply a success.
fn complaint(status: StatusCode, failure: Option<Failure>) -> Option<String> {
    let answered = format!("the receiver answered {status}");
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
}
