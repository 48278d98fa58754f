//! How people are told: messages in chat channels, by e-mail, and to whatever else takes a text.
//!
//! The cast: an [`Account`] is what the operator configured, and its credential never leaves it; a [`Place`] is where
//! in it a message goes. [`message_of`] makes a [`Message`] for people of a stored event. A [`Channel`] is an account made
//! ready: it knows in what [`Piece`]s its service takes a message ([`Channel::pieces`]), the request for each
//! ([`Channel::request`]), and what the service's answer means ([`Channel::judge`]). [`Channel::send`] puts these
//! together: it sends piece after piece through the [`Carrier`](crate::Carrier), at the pace that the service allows, and
//! tells whoever keeps the record of each piece that arrived before it sends the next.
//!
//! Who owns what: each service has a file of its own with its limits and its errors, taken from its published
//! documentation. `markdown` writes what agents write in the services' own dialects, `split` cuts it, `answer` reads
//! what came back. Nothing here knows the store, deliveries or retries: what an answer means is put into the
//! [`AttemptReport`] that the rules of every delivery judge.
//!
//! What goes in decides what comes out: the same message makes the same pieces, byte for byte, on each attempt. An
//! agent's text mentions nobody. Not guaranteed: that a piece arrives once. Where the service can tell a repeat by a key
//! (Matrix, and for some minutes Discord and Mattermost), it is given one; elsewhere an answer that was lost means that
//! the piece may come twice.

mod account;
mod answer;
mod discord;
mod email;
mod kind;
mod markdown;
mod matrix;
mod mattermost;
mod message;
mod ntfy;
mod openclaw;
mod place;
mod request;
mod sender;
mod slack;
mod split;
mod telegram;
mod webhook;

use std::fmt::Debug;
use std::time::Duration;

use clawhook_model::{AttemptClass, AttemptReport, RetryAfter};
use secrecy::{ExposeSecret as _, SecretString};

use crate::transport::ConnectionProfile;

pub use account::{Account, AccountError, ServerUrl};
pub use email::MailServer;
pub use kind::{ChannelKind, UnknownChannel};
pub use message::{Message, MessageFor, Urgency, message_of};
pub use place::{Place, PlaceError};
pub use request::{ChannelRequest, HttpRequest};
pub use sender::{Arrived, PieceLog, Sending, Sent};

/// One part of a message, as its service takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// The text in the service's own dialect.
    pub text: String,
    /// The same in HTML, where the service takes both.
    pub html: Option<String>,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// The piece has arrived.
    Delivered {
        /// The message's id, as the service gave it.
        message_id: Option<String>,
        /// How long the service wants no more of it.
        hold: Option<Duration>,
    },
    /// It has not, and may another time.
    Retry {
        /// What kind of failure it was.
        class: AttemptClass,
        /// When the service asks to be tried again.
        after: Option<RetryAfter>,
        /// What it said, in words.
        reason: String,
    },
    /// The service does not take it.
    Refused {
        /// What kind of refusal it is.
        class: AttemptClass,
        /// What it said, in words.
        reason: String,
    },
}

/// What tells services apart.
trait Service: Debug + Send + Sync {
    /// The message as the service takes it; at least one piece.
    fn pieces(&self, message: &Message) -> Vec<Piece>;

    /// The request for one piece. `key` is the same on each attempt at the delivery.
    fn request(
        &self,
        piece: &Piece,
        message: &Message,
        place: &Place,
        key: &str,
    ) -> Result<ChannelRequest, PlaceError>;

    /// What an answer means that came with a head.
    fn judge(&self, answer: &answer::Answer<'_>) -> Judged;
}

/// An account made ready. `Debug` shows no secret.
#[derive(Debug)]
pub struct Channel {
    kind: ChannelKind,
    service: Box<dyn Service>,
    profile: ConnectionProfile,
    /// What no record may show.
    secrets: Vec<SecretString>,
}

impl Channel {
    /// Makes an account ready. `profile` is how connections to its server are made, and `credential` what
    /// [`Account::credential`] refers to.
    pub fn open(
        account: &Account,
        credential: Option<&SecretString>,
        profile: ConnectionProfile,
    ) -> Result<Self, AccountError> {
        let settled = account.settle(credential)?;
        let service: Box<dyn Service> = match account.kind {
            ChannelKind::Slack => Box::new(slack::Slack::new(&settled)?),
            ChannelKind::Discord => Box::new(discord::Discord::new(&settled)?),
            ChannelKind::Telegram => Box::new(telegram::Telegram::new(&settled)?),
            ChannelKind::Mattermost => Box::new(mattermost::Mattermost::new(&settled)?),
            ChannelKind::Matrix => Box::new(matrix::Matrix::new(&settled)?),
            ChannelKind::Email => Box::new(email::Email::new(&settled)?),
            ChannelKind::Ntfy => Box::new(ntfy::Ntfy::new(&settled)?),
            ChannelKind::Webhook => Box::new(webhook::Webhook::new(&settled)?),
            ChannelKind::Openclaw => Box::new(openclaw::Openclaw::new(&settled)?),
        };
        Ok(Self { kind: account.kind, service, profile, secrets: settled.secrets() })
    }

    /// What kind of channel it is.
    pub fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// How connections to its server are made.
    pub fn profile(&self) -> &ConnectionProfile {
        &self.profile
    }

    /// The message in the pieces that the service takes; at least one, and the same on each attempt.
    pub fn pieces(&self, message: &Message) -> Vec<Piece> {
        self.service.pieces(message)
    }

    /// The request for one piece of `message`. `key` names the delivery: the same on each attempt at it, and on no other.
    pub fn request(
        &self,
        piece: &Piece,
        message: &Message,
        place: &Place,
        key: &str,
    ) -> Result<ChannelRequest, PlaceError> {
        self.kind.check_place(place)?;
        self.service.request(piece, message, place, key)
    }

    /// What came of a request. Where no answer came, that is what there is to say.
    pub fn judge(&self, report: &AttemptReport) -> Judged {
        let is_unanswered = report.status.is_none() && self.kind != ChannelKind::Email;
        if is_unanswered {
            let reason = report.error.clone().unwrap_or_default();
            return Judged::Retry { class: report.class, after: report.retry_after, reason };
        }
        self.service.judge(&answer::Answer::of(self.kind, report))
    }

    /// The report as it may be kept: what the account's secrets are is masked wherever a server repeats it.
    fn masked(&self, mut report: AttemptReport) -> AttemptReport {
        for secret in &self.secrets {
            report.mask(secret.expose_secret());
        }
        report
    }
}
