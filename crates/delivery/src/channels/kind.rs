//! The kinds of channels, and what can be said of each without an account.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::place::{Place, PlaceError};
use super::{discord, email, matrix, mattermost, ntfy, openclaw, slack, telegram};

/// A kind of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChannelKind {
    /// Slack, by a bot token.
    Slack,
    /// Discord, by a bot token.
    Discord,
    /// Telegram, by a bot token.
    Telegram,
    /// A Mattermost server, by a bot's access token.
    Mattermost,
    /// A Matrix homeserver, by an access token.
    Matrix,
    /// E-mail, through an SMTP server.
    Email,
    /// ntfy.sh or an ntfy server of one's own.
    Ntfy,
    /// Whatever takes a text as JSON at an address that the operator fixed.
    Webhook,
    /// A channel of an OpenClaw gateway, which sends the message on.
    Openclaw,
}

/// No kind of channel has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{given}` is no kind of channel; there are {}", names())]
pub struct UnknownChannel {
    given: String,
}

impl ChannelKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Slack,
        Self::Discord,
        Self::Telegram,
        Self::Mattermost,
        Self::Matrix,
        Self::Email,
        Self::Ntfy,
        Self::Webhook,
        Self::Openclaw,
    ];

    /// The configuration's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Telegram => "telegram",
            Self::Mattermost => "mattermost",
            Self::Matrix => "matrix",
            Self::Email => "email",
            Self::Ntfy => "ntfy",
            Self::Webhook => "webhook",
            Self::Openclaw => "openclaw",
        }
    }

    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::Discord => "Discord",
            Self::Telegram => "Telegram",
            Self::Mattermost => "Mattermost",
            Self::Matrix => "Matrix",
            Self::Email => "the mail server",
            Self::Ntfy => "ntfy",
            Self::Webhook => "the webhook",
            Self::Openclaw => "the OpenClaw gateway",
        }
    }

    /// Where its API is, unless the operator says otherwise; none where every operator has a server of their own.
    pub const fn default_url(self) -> Option<&'static str> {
        match self {
            Self::Slack => Some("https://slack.com/api"),
            Self::Discord => Some("https://discord.com/api/v10"),
            Self::Telegram => Some("https://api.telegram.org"),
            Self::Ntfy => Some("https://ntfy.sh"),
            Self::Mattermost | Self::Matrix | Self::Email | Self::Webhook | Self::Openclaw => None,
        }
    }

    /// Whether it does nothing without a credential.
    pub const fn needs_credential(self) -> bool {
        !matches!(self, Self::Email | Self::Ntfy | Self::Webhook)
    }

    /// The time between two messages to one place that the service asks for.
    pub const fn pace(self) -> Duration {
        match self {
            // "One message per second per channel", and "avoid sending more than one message per second" to a chat.
            Self::Slack | Self::Telegram => Duration::from_secs(1),
            // Five in five seconds; what its answers say comes on top.
            Self::Discord => Duration::from_secs(1),
            // Their limits are their administrators' affair, and told with a 429.
            Self::Mattermost | Self::Matrix | Self::Email | Self::Ntfy | Self::Webhook | Self::Openclaw => {
                Duration::ZERO
            }
        }
    }

    /// What can be said of a place without asking the service: that it is written as the service names places.
    pub fn check_place(self, place: &Place) -> Result<(), PlaceError> {
        place.check()?;
        match self {
            Self::Slack => slack::check_place(place),
            Self::Discord => discord::check_place(place),
            Self::Telegram => telegram::check_place(place),
            Self::Mattermost => mattermost::check_place(place),
            Self::Matrix => matrix::check_place(place),
            Self::Email => email::check_place(place),
            Self::Ntfy => ntfy::check_place(place),
            Self::Webhook => Ok(()),
            Self::Openclaw => openclaw::check_place(place),
        }
    }
}

fn names() -> String {
    ChannelKind::ALL.map(ChannelKind::as_str).join(", ")
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChannelKind {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, UnknownChannel> {
        let given = text.trim().to_lowercase();
        Self::ALL.into_iter().find(|kind| kind.as_str() == given).ok_or(UnknownChannel { given })
    }
}

impl Serialize for ChannelKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ChannelKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
