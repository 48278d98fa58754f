//! What people call a destination by, wherever they may name any.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::destination::{DestinationName, DestinationNameError};
use crate::id::{DestinationId, IdError};
use crate::webhook_url::{WebhookUrl, WebhookUrlError};

/// A destination as it was named: by its name, by its handle, or by the URL of an implicit one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationRef {
    /// `ops`.
    Name(DestinationName),
    /// `dst_7`.
    Id(DestinationId),
    /// `https://…`.
    Url(WebhookUrl),
    /// `telegram:123`: a recipient in a chat channel.
    Place(String),
}

/// Why a text names no destination.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DestinationRefError {
    /// It is neither a URL nor a handle, and no name.
    #[error(transparent)]
    Name(#[from] DestinationNameError),
    /// It begins as a handle does.
    #[error(transparent)]
    Id(#[from] IdError),
    /// It looks like a URL.
    #[error(transparent)]
    Url(#[from] WebhookUrlError),
}

impl FromStr for DestinationRef {
    type Err = DestinationRefError;

    fn from_str(given: &str) -> Result<Self, DestinationRefError> {
        let text = given.trim();
        if text.contains("://") {
            return Ok(Self::Url(text.parse()?));
        }
        if text.starts_with("dst_") {
            return Ok(Self::Id(text.parse()?));
        }
        if text.contains(':') && text.len() <= 512 && !text.contains(char::is_control) {
            return Ok(Self::Place(text.to_owned()));
        }
        Ok(Self::Name(text.parse()?))
    }
}

/// Secrets are masked.
impl fmt::Display for DestinationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Id(id) => id.fmt(f),
            Self::Url(url) => url.fmt(f),
            Self::Place(place) => place.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_named_in_three_ways_and_shown_without_secrets() {
        for (given, shown) in [
            ("ops", "ops"),
            (" dst_7 ", "dst_7"),
            ("https://example.com/hook?token=s3cret", "https://example.com/hook?token=***"),
        ] {
            assert_eq!(given.parse::<DestinationRef>().unwrap().to_string(), shown);
        }
        for bad in ["", "Ops", "dst_x", "ftp://example.com/"] {
            assert!(bad.parse::<DestinationRef>().is_err(), "{bad}");
        }
    }
}
