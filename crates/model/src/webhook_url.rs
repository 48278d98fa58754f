//! The address of a webhook, as a user gave it. What may be dialled is decided by the `delivery` crate's guard.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use thiserror::Error;
use url::Url;

/// What stands in the place of a secret wherever it would be shown. Written back, it keeps the stored value.
pub const MASK: &str = "***";

/// Why a text is not the URL of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WebhookUrlError {
    /// It does not parse.
    #[error("`{0}` is not a URL: {1}")]
    Unparsable(String, url::ParseError),
    /// The scheme is neither http nor https.
    #[error("the scheme of `{url}` is `{scheme}`, and a webhook needs https (or http)")]
    Scheme {
        /// The URL, masked.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// It carries a user name or a password.
    #[error("`{0}` carries a user name or password; use the bearer token (`cron.webhookToken`) instead")]
    Credentials(String),
    /// It carries a fragment, which is never sent.
    #[error("`{0}` carries a fragment (`#…`), which is never sent to a server")]
    Fragment(String),
}

/// An http or https URL without credentials. The text is kept as it was given (contract §1.4); `Display`, `Debug` and
/// JSON show it with every query value masked (invariant 12).
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    text: String,
    url: Url,
}

impl WebhookUrl {
    /// The whole text, secrets included: for the store and for the wire, never for people.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The parsed URL, secrets included.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Scheme, host and port: what a connection is made to.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(given: &str) -> Result<Self, WebhookUrlError> {
        let text = given.trim();
        let url = Url::parse(text).map_err(|error| WebhookUrlError::Unparsable(masked_text(text), error))?;
        if !matches!(url.scheme(), "http" | "https") {
            let scheme = url.scheme().to_owned();
            return Err(WebhookUrlError::Scheme { url: masked(&url), scheme });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::Credentials(masked(&url)));
        }
        if url.fragment().is_some() {
            return Err(WebhookUrlError::Fragment(masked(&url)));
        }
        Ok(Self { text: text.to_owned(), url })
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.url))
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for WebhookUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The URL without user information, fragment and the values of its query.
fn masked(url: &Url) -> String {
    let mut shown = url.clone();
    // Setting these fails only for URLs that cannot have them, and then there is nothing to hide.
    shown.set_username("").ok();
    shown.set_password(None).ok();
    shown.set_fragment(None);
    let Some(query) = url.query() else { return shown.to_string() };
    let parts: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) => format!("{name}={MASK}"),
            None => MASK.to_owned(),
        })
        .collect();
    shown.set_query(Some(&parts.join("&")));
    shown.to_string()
}

/// What can be shown of a text that is no URL: nothing from the first `?`, `#` or `@` on.
fn masked_text(text: &str) -> String {
    match text.find(['?', '#', '@']) {
        Some(end) => format!("{}{MASK}", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i12_a_token_in_the_query_is_never_shown() {
        let url: WebhookUrl = "https://example.com/openclaw/webhook?token=s3cret&a=b&bare".parse().unwrap();
        assert_eq!(url.to_string(), "https://example.com/openclaw/webhook?token=***&a=***&***");
        assert!(!format!("{url:?}").contains("s3cret"));
        assert!(url.expose().contains("s3cret"));
    }

    #[test]
    fn what_is_no_webhook_url_is_refused_without_showing_secrets() {
        for bad in ["ftp://h/?k=s3cret", "https://u:s3cret@h/", "not a url?s3cret", "https://h/#s3cret", ""] {
            let error = bad.parse::<WebhookUrl>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn the_text_is_kept_as_given() {
        let url: WebhookUrl = "  HTTPS://Example.com/A%20b ".parse().unwrap();
        assert_eq!(url.expose(), "HTTPS://Example.com/A%20b");
        assert_eq!(url.origin(), "https://example.com");
    }
}
