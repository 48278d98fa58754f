//! What the operator configured of a channel.

use std::fmt;
use std::str::FromStr;

use clawhook_model::{MASK, SecretSource, SecretText, WebhookUrl};
use http::HeaderValue;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use url::Url;

use super::kind::ChannelKind;
use super::place::Place;
use crate::guard::{Guard, GuardRefusal};

/// An account with a service: who sends, and by which server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The service.
    pub kind: ChannelKind,
    /// Its server, where it is not [the service's own](ChannelKind::default_url): the base of its API, `smtps://…` or
    /// `smtp://…` for e-mail, the whole address for a webhook.
    pub url: Option<ServerUrl>,
    /// The token, or the password for e-mail.
    pub credential: Option<SecretSource>,
    /// The name to sign in with: e-mail's, where it has a credential.
    pub user: Option<String>,
    /// Whom e-mail is from.
    pub from: Option<String>,
    /// Where a message goes that names no place.
    pub default_place: Option<Place>,
    /// Whether the server may lie in a private network or on this machine, on any port and without TLS.
    pub allow_private: bool,
}

/// The address of a server. `Display` and `Debug` show scheme, host and port alone: there may be a secret in the rest.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    text: SecretText,
    shown: String,
}

/// Why an account cannot be used. It shows no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccountError {
    /// The server's address is none.
    #[error("`url` is not the address of a server: {0}")]
    Url(String),
    /// The server's address has another scheme than the channel speaks.
    #[error("`url` begins with `{scheme}:`, and {kind} needs {wanted}")]
    Scheme {
        /// The scheme.
        scheme: String,
        /// The channel.
        kind: ChannelKind,
        /// What it needs.
        wanted: &'static str,
    },
    /// The address holds a name and a password.
    #[error("`url` carries a user name or password; use `credential`")]
    UrlCredentials,
    /// Something is missing.
    #[error("{kind} needs `{field}`")]
    Missing {
        /// The channel.
        kind: ChannelKind,
        /// What is missing.
        field: &'static str,
    },
    /// Something is there that the channel has no use for.
    #[error("{kind} has no `{field}`")]
    Unused {
        /// The channel.
        kind: ChannelKind,
        /// What is too much.
        field: &'static str,
    },
    /// The credential cannot be sent.
    #[error("the credential holds a character that cannot be sent in a request")]
    Credential,
    /// The sender's address is none.
    #[error("`from` is `{given}`, and must be an address like `Clawhook <clawhook@example.com>`")]
    From {
        /// What was given.
        given: String,
    },
    /// A webhook's address has a placeholder where none may be.
    #[error("`url` may have `{{to}}` and `{{thread}}` in its path and its query alone")]
    Placeholder,
    /// The default place is none of the channel's.
    #[error("the default place: {0}")]
    Place(#[from] super::place::PlaceError),
    /// The guard refuses the server.
    #[error("{0}; {hint}", hint = .0.hint())]
    Guard(#[from] GuardRefusal),
}

/// An account with its credential at hand, checked.
pub(super) struct Settled<'a> {
    pub(super) account: &'a Account,
    pub(super) url: &'a str,
    pub(super) credential: Option<SecretString>,
}

impl Account {
    /// An account of this kind with nothing but a credential.
    pub fn new(kind: ChannelKind, credential: Option<SecretSource>) -> Self {
        Self {
            kind,
            url: None,
            credential,
            user: None,
            from: None,
            default_place: None,
            allow_private: false,
        }
    }

    /// What can be said of an account without asking anybody: whether it is whole, and whether its server may be
    /// reached.
    pub fn check(&self, guard: &Guard) -> Result<(), AccountError> {
        let kind = self.kind;
        if kind.needs_credential() && self.credential.is_none() {
            return Err(AccountError::Missing { kind, field: "credential" });
        }
        let url = self.base_url()?;
        self.check_mail_fields()?;
        if let Some(place) = &self.default_place {
            kind.check_place(place)?;
        }
        let private = guard.reaching_private();
        let guard = if self.allow_private { &private } else { guard };
        if kind == ChannelKind::Email {
            let server = super::email::MailServer::parse(url)?;
            return Ok(guard.check_mail_server(&server.host(), server.port())?);
        }
        let filled = if kind == ChannelKind::Webhook {
            super::webhook::Template::parse(url)?.fill(&Place::new("place").in_thread("thread"))
        } else {
            web_url(url)
        };
        let url = filled.map_err(|error| AccountError::Url(error.to_string()))?;
        Ok(guard.check_url(&url)?)
    }

    fn check_mail_fields(&self) -> Result<(), AccountError> {
        let kind = self.kind;
        if kind == ChannelKind::Email {
            let from = self.from.as_deref().ok_or(AccountError::Missing { kind, field: "from" })?;
            mailbox(from)?;
            return match (&self.user, &self.credential) {
                (Some(_), None) => Err(AccountError::Missing { kind, field: "credential" }),
                (None, Some(_)) => Err(AccountError::Missing { kind, field: "user" }),
                _ => Ok(()),
            };
        }
        for (field, given) in [("user", self.user.is_some()), ("from", self.from.is_some())] {
            if given {
                return Err(AccountError::Unused { kind, field });
            }
        }
        Ok(())
    }

    /// The server's address, as it was given.
    fn base_url(&self) -> Result<&str, AccountError> {
        let given = self.url.as_ref().map(|url| url.text.expose()).or(self.kind.default_url());
        given.ok_or(AccountError::Missing { kind: self.kind, field: "url" })
    }

    pub(super) fn settle(&self, credential: Option<&SecretString>) -> Result<Settled<'_>, AccountError> {
        if self.kind.needs_credential() && credential.is_none() {
            return Err(AccountError::Missing { kind: self.kind, field: "credential" });
        }
        let credential = credential.map(|text| SecretString::from(text.expose_secret().trim().to_owned()));
        Ok(Settled { account: self, url: self.base_url()?, credential })
    }
}

impl Settled<'_> {
    /// The base of the service's API, without a slash at its end.
    pub(super) fn base(&self) -> Result<String, AccountError> {
        let url = web_url(self.url).map_err(|error| AccountError::Url(error.to_string()))?;
        if url.url().query().is_some() {
            return Err(AccountError::Url("it carries a query".to_owned()));
        }
        Ok(url.url().as_str().trim_end_matches('/').to_owned())
    }

    /// The credential behind `scheme`, as a header that no record shows.
    pub(super) fn authorization(&self, scheme: &str) -> Result<Option<HeaderValue>, AccountError> {
        let Some(credential) = &self.credential else { return Ok(None) };
        let value = HeaderValue::try_from(format!("{scheme} {}", credential.expose_secret()));
        let mut value = value.map_err(|_| AccountError::Credential)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    pub(super) fn required_authorization(&self, scheme: &str) -> Result<HeaderValue, AccountError> {
        let missing = AccountError::Missing { kind: self.account.kind, field: "credential" };
        self.authorization(scheme)?.ok_or(missing)
    }

    /// What no record may show.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        self.credential.iter().cloned().collect()
    }
}

pub(super) fn mailbox(text: &str) -> Result<Mailbox, AccountError> {
    text.trim().parse().map_err(|_| AccountError::From { given: text.to_owned() })
}

/// An http or https URL; what is wrong with it never shows what may be a secret in it.
pub(super) fn web_url(text: &str) -> Result<WebhookUrl, &'static str> {
    text.parse().map_err(|_| "it must be a URL that begins with https:// (or http://), without a user's name")
}

impl ServerUrl {
    /// The whole text, secrets included.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

impl FromStr for ServerUrl {
    type Err = AccountError;

    fn from_str(given: &str) -> Result<Self, AccountError> {
        let given = given.trim();
        let url = Url::parse(given).map_err(|error| AccountError::Url(error.to_string()))?;
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(AccountError::Url("it names no host".to_owned()));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AccountError::UrlCredentials);
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let rest = if matches!(url.path(), "" | "/") && url.query().is_none() { "" } else { MASK };
        let slash = if rest.is_empty() { "" } else { "/" };
        let shown = format!("{}://{host}{port}{slash}{rest}", url.scheme());
        Ok(Self { text: given.to_owned().into(), shown })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
