//! An attempt: one try at carrying an event to its target, with everything an operator wants to know about it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::DeliveryId;
use crate::time::UnixMs;

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
    /// The proxy that the operator set failed or refused; the receiver is not to blame.
    ProxyFailed,
    /// The gateway ended while the attempt was under way; the receiver may have the event.
    Interrupted,
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
        matches!(self, Self::DnsFailed | Self::ProxyFailed | Self::Interrupted)
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
            Self::ProxyFailed => "proxy_failed",
            Self::Interrupted => "interrupted",
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
    /// Whether an open connection was used again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub connection_reused: bool,
    /// How long it took.
    pub timings: PhaseTimings,
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
            connection_reused: false,
            timings,
        }
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
