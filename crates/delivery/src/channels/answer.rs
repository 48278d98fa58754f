//! Reading what services answer.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use clawhook_model::{AttemptClass, AttemptReport, RetryAfter};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::Judged;
use super::kind::ChannelKind;

/// The most of a service's own words that is repeated.
const MAX_WORDS: usize = 300;

/// An answer with its head, and the members of the JSON object that its body is, as far as they came.
pub(super) struct Answer<'a> {
    kind: ChannelKind,
    report: &'a AttemptReport,
    pub(super) members: Map<String, Value>,
}

impl<'a> Answer<'a> {
    pub(super) fn of(kind: ChannelKind, report: &'a AttemptReport) -> Self {
        let members = members(report.response_body.as_deref().unwrap_or_default());
        Self { kind, report, members }
    }

    /// The HTTP status.
    pub(super) fn status(&self) -> u16 {
        self.report.status.unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.report.response_headers.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// A time in seconds, as some services write it with a fraction.
    pub(super) fn seconds(&self, name: &str) -> Option<Duration> {
        whole(self.members.get(name)?.as_f64()?)
    }

    /// The same in a header.
    pub(super) fn header_seconds(&self, name: &str) -> Option<Duration> {
        whole(self.header(name)?.trim().parse().ok()?)
    }

    /// What `Retry-After` says.
    pub(super) fn retry_after(&self) -> Option<RetryAfter> {
        self.report.retry_after
    }

    /// What whoever carried the request has made of the answer.
    pub(super) fn as_reported(&self) -> Judged {
        let reason = self.report.error.clone().unwrap_or_default();
        match self.report.class {
            AttemptClass::Delivered => self.delivered(None),
            class @ (AttemptClass::Refused | AttemptClass::Unauthorized) => Judged::Refused { class, reason },
            class => Judged::Retry { class, after: self.retry_after(), reason },
        }
    }

    /// Delivered, with the id that the service gave.
    pub(super) fn delivered(&self, message_id: Option<String>) -> Judged {
        Judged::Delivered { message_id, hold: None }
    }

    /// The service wants to be left alone for a while.
    pub(super) fn rate_limited(&self, after: Option<Duration>) -> Judged {
        let after = after.map(in_seconds).or(self.retry_after());
        let asked = match after {
            Some(RetryAfter::Seconds(seconds)) => format!(" and asks for {seconds} s"),
            _ => String::new(),
        };
        let reason = format!("{} is sent too much at once{asked}", self.kind.title());
        Judged::Retry { class: AttemptClass::RateLimited, after, reason }
    }

    /// The service does not take this message there.
    pub(super) fn refused(&self, why: &str) -> Judged {
        Judged::Refused { class: AttemptClass::Refused, reason: self.words("refuses the message", why) }
    }

    /// The service does not take the credential.
    pub(super) fn unauthorized(&self, why: &str) -> Judged {
        Judged::Refused {
            class: AttemptClass::Unauthorized,
            reason: self.words("does not accept the credential", why),
        }
    }

    /// The service failed by itself.
    pub(super) fn failed(&self, why: &str) -> Judged {
        let reason = self.words("failed", why);
        Judged::Retry { class: AttemptClass::ServerError, after: self.retry_after(), reason }
    }

    /// What an answer means of which nothing but the status is known; `why` is what the service said.
    pub(super) fn by_status(&self, why: &str) -> Judged {
        match self.status() {
            429 => self.rate_limited(None),
            401 => self.unauthorized(why),
            408 | 425 => self.failed(why),
            300..=399 => {
                let reason = self.words("points elsewhere, and redirects are not followed", why);
                Judged::Refused { class: AttemptClass::Redirect, reason }
            }
            400..=499 => self.refused(why),
            200..=299 => {
                let reason =
                    format!("what {} answered is nothing of its API: {}", self.kind.title(), cut(why));
                Judged::Retry { class: AttemptClass::ProtocolError, after: None, reason }
            }
            _ => self.failed(why),
        }
    }

    fn words(&self, what: &str, why: &str) -> String {
        let status = match self.report.status {
            Some(status) if !AttemptClass::of_status(status).is_delivered() => format!(" (HTTP {status})"),
            _ => String::new(),
        };
        let why = cut(why);
        let colon = if why.is_empty() { "" } else { ": " };
        format!("{} {what}{status}{colon}{why}", self.kind.title())
    }
}

/// So much of a service's words as is repeated, on one line.
fn cut(why: &str) -> String {
    let line = crate::format::one_line(why);
    match line.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn whole(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// A wait as it is recorded: whole seconds, never less than what was asked for.
fn in_seconds(wait: Duration) -> RetryAfter {
    RetryAfter::Seconds(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// The members of the object that `text` is, or begins to be: some services repeat the whole message in their answer,
/// behind what there is to know.
fn members(text: &str) -> Map<String, Value> {
    struct Members<'a>(&'a RefCell<Map<String, Value>>);

    impl<'de> Visitor<'de> for Members<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some((name, value)) = map.next_entry::<String, Value>()? {
                self.0.borrow_mut().insert(name, value);
            }
            Ok(())
        }
    }

    let found = RefCell::new(Map::new());
    // What stands before the place where the reading stopped has been read.
    serde_json::Deserializer::from_str(text).deserialize_map(Members(&found)).ok();
    found.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_an_answer_that_was_cut_is_read() {
        let whole = members(r#"{"ok":true,"ts":"1.2","message":{"text":"a"}}"#);
        assert_eq!(whole.len(), 3);
        let cut = members(r#"{"ok":true,"ts":"1.2","message":{"text":"aaaaa"#);
        assert_eq!((cut.get("ok"), cut.get("ts")), (Some(&Value::Bool(true)), Some(&Value::from("1.2"))));
        for junk in ["", "no", "[1]", "\"text\"", "{"] {
            assert!(members(junk).is_empty(), "{junk}");
        }
    }

    #[test]
    fn a_wait_is_never_shortened() {
        assert_eq!(in_seconds(Duration::from_millis(64_570)), RetryAfter::Seconds(65));
        assert_eq!(in_seconds(Duration::from_secs(2)), RetryAfter::Seconds(2));
        assert_eq!(whole(-1.0), None);
        assert_eq!(whole(f64::NAN), None);
    }
}
