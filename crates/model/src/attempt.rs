//! An attempt: one try at carrying an event to its target, with everything an operator wants to know about it.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::DeliveryId;
use crate::recorded_headers::RecordedHeaders;
use crate::time::UnixMs;
use crate::webhook_url::MASK;

/// How one attempt ended.
///
/// Success is a 2xx and nothing else (invariant 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptClass {
    /// The receiver answered 2xx.
    Delivered,
    /// The receiver answered 3xx; redirects are never followed.
    Redirect,
    /// The receiver answered 4xx.
    ClientError,
    /// The receiver answered 5xx, or a status outside every class.
    ServerError,
    /// The guard refused the URL or the address it resolves to.
    Blocked,
    /// The host's name does not exist.
    DnsNotFound,
    /// Our resolver failed or gave no answer in time; the receiver is not to blame.
    DnsFailed,
    /// The connection was refused or could not be made.
    ConnectFailed,
    /// The connection was not made within its time.
    ConnectTimeout,
    /// The TLS handshake or the certificate's check failed.
    TlsFailed,
    /// The connection broke before the answer was complete; the receiver may have the event.
    AnswerLost,
    /// No complete answer came within the time for the whole request; the receiver may have the event.
    AnswerTimeout,
    /// The receiver's answer is not HTTP.
    ProtocolError,
    /// The gateway ended while the attempt was under way; the receiver may have the event.
    Interrupted,
    /// The proxy that the operator set failed or refused; the receiver is not to blame.
    ProxyFailed,
    /// This machine has no more open files, ports or memory for a connection; the receiver is not to blame.
    ResourcesExhausted,
    /// A chat channel's service, or a mail server, does not take the message: the place is unknown to it, closed to the
    /// sender, or the text is not to its liking.
    Refused,
    /// It does not accept the account's credential, or not for this.
    Unauthorized,
    /// It is sent too much at once.
    RateLimited,
    /// The body could not be made as the destination's format wants it; nothing was sent.
    RenderFailed,
}

impl AttemptClass {
    /// The class of an HTTP status.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            300..=399 => Self::Redirect,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// Whether the event has arrived.
    pub fn is_delivered(self) -> bool {
        self == Self::Delivered
    }

    /// Whether the failure lies on the gateway's own side; such an attempt does not use up one of the retries.
    pub fn is_own_fault(self) -> bool {
        matches!(
            self,
            Self::DnsFailed
                | Self::Interrupted
                | Self::ProxyFailed
                | Self::ResourcesExhausted
                | Self::RenderFailed
        )
    }

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Redirect => "redirect",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Blocked => "blocked",
            Self::DnsNotFound => "dns_not_found",
            Self::DnsFailed => "dns_failed",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::TlsFailed => "tls_failed",
            Self::AnswerLost => "answer_lost",
            Self::AnswerTimeout => "answer_timeout",
            Self::ProtocolError => "protocol_error",
            Self::Interrupted => "interrupted",
            Self::ProxyFailed => "proxy_failed",
            Self::ResourcesExhausted => "resources_exhausted",
            Self::Refused => "refused",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::RenderFailed => "render_failed",
        }
    }
}

/// How long the phases of an attempt took, in whole microseconds; a phase that did not happen is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseTimings {
    /// Resolving the host's name. Absent where a connection was reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_us: Option<u64>,
    /// Opening the TCP connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_us: Option<u64>,
    /// The TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_us: Option<u64>,
    /// From the request's first byte to the answer's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_us: Option<u64>,
    /// Reading the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_us: Option<u64>,
    /// Everything together.
    pub total_us: u64,
}

/// `duration` in whole microseconds, for [`PhaseTimings`].
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// When a receiver asks to be tried again (`Retry-After`, RFC 9110 §10.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetryAfter {
    /// So many seconds after its answer.
    Seconds(u64),
    /// At an instant of the wall clock.
    At(UnixMs),
}

impl RetryAfter {
    /// How long to wait from `now`; an instant that has passed asks for nothing.
    pub fn wait(self, now: UnixMs) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            Self::At(instant) => instant.since(now),
        }
    }
}

/// The version of TLS that protected an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// What an attempt brought, before it is decided what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptReport {
    /// How it ended.
    pub class: AttemptClass,
    /// The HTTP status, where an answer's head came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong, in words, without secrets and without the address a name resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The start of the answer's body, as text; invalid UTF-8 is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    /// Whether the answer's body was longer than what was read or kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub response_truncated: bool,
    /// Where a redirect pointed; it was not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// When the receiver asked to be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<RetryAfter>,
    /// The request's headers as they were sent, secrets masked; none where it was not sent.
    #[serde(default, skip_serializing_if = "RecordedHeaders::is_empty")]
    pub request_headers: RecordedHeaders,
    /// The answer's headers, secrets masked.
    #[serde(default, skip_serializing_if = "RecordedHeaders::is_empty")]
    pub response_headers: RecordedHeaders,
    /// Whom the connection was made to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// The version of TLS; none over plain http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_version: Option<TlsVersion>,
    /// Whether an open connection was used again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub connection_reused: bool,
    /// Of a message to a chat channel: by whom it was sent, and how far it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<Announced>,
    /// How long it took.
    pub timings: PhaseTimings,
}

/// How far a message came that is sent to people, perhaps in several parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announced {
    /// The channel.
    pub channel: String,
    /// The account that sent it.
    pub account_id: String,
    /// How many parts have arrived by now, those of earlier attempts among them.
    pub parts_arrived: u32,
    /// How many there are.
    pub parts: u32,
    /// The ids that the service gave the parts that arrived on this attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub message_ids: Vec<String>,
}

impl AttemptReport {
    /// A report of an attempt that ended without an answer's head.
    pub fn failed(class: AttemptClass, error: impl Into<String>, timings: PhaseTimings) -> Self {
        Self {
            class,
            status: None,
            error: Some(error.into()),
            response_body: None,
            response_truncated: false,
            location: None,
            retry_after: None,
            request_headers: RecordedHeaders::default(),
            response_headers: RecordedHeaders::default(),
            peer: None,
            tls_version: None,
            connection_reused: false,
            announced: None,
            timings,
        }
    }

    /// Puts the mask in the place of a secret wherever what came back repeats it.
    pub fn mask(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        for text in [&mut self.error, &mut self.response_body, &mut self.location].into_iter().flatten() {
            if text.contains(secret) {
                *text = text.replace(secret, MASK);
            }
        }
        self.request_headers.mask(secret);
        self.response_headers.mask(secret);
    }
}

/// One try, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The delivery it belongs to.
    pub delivery_id: DeliveryId,
    /// Its number within the delivery, from 1, without gaps.
    pub number: u32,
    /// When it began.
    pub started_at: UnixMs,
    /// What it brought.
    #[serde(flatten)]
    pub report: AttemptReport,
    /// When the next one is due; absent after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<UnixMs>,
    /// What was decided and why, in words.
    pub decision: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_of_an_earlier_version_is_still_read() {
        let old = r#"{"class":"server_error","status":500,"error":"the receiver answered 500","timings":{"totalUs":9}}"#;
        let report: AttemptReport = serde_json::from_str(old).unwrap();
        assert_eq!((report.class, report.peer, report.retry_after), (AttemptClass::ServerError, None, None));
        assert!(report.request_headers.is_empty() && report.response_headers.is_empty());
        assert_eq!(serde_json::to_string(&report).unwrap(), old);
    }

    #[test]
    fn what_there_is_to_know_of_an_attempt_is_written_short() {
        let report = AttemptReport {
            retry_after: Some(RetryAfter::Seconds(120)),
            request_headers: RecordedHeaders::record([("authorization", b"***".as_slice())]),
            peer: Some(SocketAddr::from(([192, 0, 2, 1], 443))),
            tls_version: Some(TlsVersion::V1_3),
            ..AttemptReport::failed(AttemptClass::ServerError, "no", PhaseTimings::default())
        };
        let written = serde_json::to_value(&report).unwrap();
        let expected = json!({
            "class": "server_error", "error": "no", "retryAfter": { "seconds": 120 },
            "requestHeaders": [["authorization", "***"]],
            "peer": "192.0.2.1:443", "tlsVersion": "1.3", "timings": { "totalUs": 0 },
        });
        assert_eq!(written, expected);
        assert_eq!(serde_json::from_value::<AttemptReport>(written).unwrap(), report);
    }

    #[test]
    fn i12_a_secret_that_comes_back_is_masked() {
        let mut report = AttemptReport {
            response_body: Some("unknown token s3cret".to_owned()),
            location: Some("https://h/bots3cret/".to_owned()),
            response_headers: RecordedHeaders::record([("x-echo", b"Bearer s3cret".as_slice())]),
            ..AttemptReport::failed(AttemptClass::Unauthorized, "s3cret is no token", PhaseTimings::default())
        };
        report.mask("s3cret");
        let written = serde_json::to_string(&report).unwrap();
        assert!(!written.contains("s3cret") && written.contains("Bearer ***"), "{written}");
        report.mask("");
        assert_eq!(report.error.as_deref(), Some("*** is no token"));
    }

    #[test]
    fn an_instant_that_has_passed_asks_for_no_wait() {
        let now = UnixMs::from_millis(10_000);
        assert_eq!(RetryAfter::At(UnixMs::from_millis(4_000)).wait(now), Duration::ZERO);
        assert_eq!(RetryAfter::At(UnixMs::from_millis(12_000)).wait(now), Duration::from_secs(2));
        assert_eq!(RetryAfter::Seconds(7).wait(now), Duration::from_secs(7));
    }
}
