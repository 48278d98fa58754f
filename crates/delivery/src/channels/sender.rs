//! Sending a message piece by piece, so that what has arrived is never sent again.

use std::time::Duration;

use async_trait::async_trait;
use clawhook_clock::Clock;
use clawhook_model::{AttemptClass, AttemptReport, PhaseTimings};
use tokio::time::Instant;

use super::message::Message;
use super::place::Place;
use super::request::{ChannelRequest, HttpRequest};
use super::{Channel, Judged, Piece};
use crate::transport::{Carrier, PostRequest};

/// What is to be sent, and how much of it has arrived.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// The message.
    pub message: &'a Message,
    /// Where it goes.
    pub place: &'a Place,
    /// What names the delivery: the same on each attempt at it, and on no other.
    pub key: &'a str,
    /// How many pieces have arrived on attempts before.
    pub arrived: u32,
    /// The time for all of it. No piece is begun that could not end within; the first one always is.
    pub budget: Duration,
}

/// A piece that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Its number, from 1.
    pub piece: u32,
    /// How many there are.
    pub of: u32,
    /// The message's id, as the service gave it.
    pub message_id: Option<String>,
}

/// Whoever keeps the record of what has arrived.
#[async_trait]
pub trait PieceLog: Send + Sync {
    /// Notes durably that a piece has arrived; false where that cannot be, and then nothing more is sent.
    async fn arrived(&self, piece: Arrived) -> bool;
}

/// What came of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What the last request brought, with the class that the service's answer amounts to, and without secrets. It is
    /// `delivered` where that piece was, whether more are to follow or not.
    pub report: AttemptReport,
    /// How many pieces have arrived, all attempts together.
    pub arrived: u32,
    /// How many there are.
    pub of: u32,
    /// How long the service wants no more, where it said so with its last answer.
    pub hold: Option<Duration>,
}

impl Sent {
    /// Whether the whole message has arrived.
    pub fn is_whole(&self) -> bool {
        self.arrived >= self.of
    }
}

impl Channel {
    /// Sends what is left of a message, at the service's pace, until it has all arrived, a piece does not, or the time is
    /// up.
    pub async fn send(
        &self,
        carrier: &dyn Carrier,
        clock: &dyn Clock,
        sending: Sending<'_>,
        log: &dyn PieceLog,
    ) -> Sent {
        let Sending { message, arrived, .. } = sending;
        let deadline = Instant::now() + sending.budget;
        let pieces = self.pieces(message);
        let of = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let nothing_left = AttemptReport { error: None, ..failed(AttemptClass::Delivered, "") };
        let mut sent = Sent { report: nothing_left, arrived: arrived.min(of), of, hold: None };
        for piece in pieces.iter().skip(sent.arrived as usize) {
            if sent.arrived > arrived {
                let pause = self.kind.pace().max(sent.hold.unwrap_or_default());
                let needed = pause + carrier.timeout_for(&self.profile);
                if Instant::now() + needed > deadline {
                    return sent;
                }
                clock.sleep(pause).await;
            }
            let (report, message_id) = self.send_piece(carrier, piece, sending, &mut sent.hold).await;
            sent.report = report;
            if !sent.report.class.is_delivered() {
                return sent;
            }
            if !log.arrived(Arrived { piece: piece.number, of, message_id }).await {
                sent.report = failed(
                    AttemptClass::Interrupted,
                    "it could not be noted which part of the message has arrived",
                );
                return sent;
            }
            sent.arrived = piece.number;
        }
        sent
    }

    /// Sends one piece and judges what came of it.
    async fn send_piece(
        &self,
        carrier: &dyn Carrier,
        piece: &Piece,
        sending: Sending<'_>,
        hold: &mut Option<Duration>,
    ) -> (AttemptReport, Option<String>) {
        let Sending { message, place, key, .. } = sending;
        let (report, sent_id) = match self.request(piece, message, place, key) {
            Ok(ChannelRequest::Http(request)) => {
                let HttpRequest { method, url, headers, body } = *request;
                let request = PostRequest { method, url: &url, profile: &self.profile, headers, body };
                (carrier.send(request).await, None)
            }
            Ok(ChannelRequest::Mail(request)) => {
                (carrier.send_mail(&request, &self.profile).await, Some(request.message_id))
            }
            Err(error) => (failed(AttemptClass::RenderFailed, error.to_string()), None),
        };
        let judged = self.judge(&report);
        let which =
            if piece.of > 1 { format!("part {} of {}: ", piece.number, piece.of) } else { String::new() };
        let (report, message_id) = match judged {
            Judged::Delivered { message_id, hold: asked } => {
                *hold = asked;
                let report = AttemptReport { class: AttemptClass::Delivered, error: None, ..report };
                (report, message_id.or(sent_id))
            }
            Judged::Retry { class, after, reason } => {
                let error = Some(format!("{which}{reason}"));
                (AttemptReport { class, error, retry_after: after, ..report }, None)
            }
            Judged::Refused { class, reason } => {
                let error = Some(format!("{which}{reason}"));
                (AttemptReport { class, error, retry_after: None, ..report }, None)
            }
        };
        (self.masked(report), message_id)
    }
}

fn failed(class: AttemptClass, error: impl Into<String>) -> AttemptReport {
    AttemptReport::failed(class, error, PhaseTimings::default())
}
