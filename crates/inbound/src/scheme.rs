//! How the requests for a hook are signed, and whether one is.

use std::fmt;
use std::time::Duration;

use clawhook_model::UnixMs;
use clawhook_signature::generic::{self, HmacScheme};
use clawhook_signature::{
    KeyError, PublicKey, SecretError, SharedSecret, SharedSecretError, SignedHeaders, SigningSecret,
    VerifyError, github, slack, stripe, token, v1, v1a,
};
use thiserror::Error;

use crate::request::{Head, Request};

/// How old a signed request may be where the hook does not say.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_mins(5);

/// How a hook's requests are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`, with shared secrets (`v1`) or public keys
    /// (`v1a`). GitLab signs so too, where a signing token is set.
    Standard,
    /// GitHub: `X-Hub-Signature-256`.
    Github,
    /// GitLab: the secret itself, in `X-Gitlab-Token`.
    Gitlab,
    /// Stripe: `Stripe-Signature`.
    Stripe,
    /// Slack: `X-Slack-Signature`.
    Slack,
    /// An HMAC in a header.
    Hmac(Box<HmacScheme>),
}

/// The check of a hook's signatures: a scheme and the keys that are live.
pub struct SignatureCheck {
    scheme: Scheme,
    secrets: Vec<SharedSecret>,
    standard: Vec<StandardKey>,
    tolerance: Duration,
}

enum StandardKey {
    Secret(SigningSecret),
    Public(Box<PublicKey>),
}

/// Why a text is no key of a scheme. The text itself is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemeKeyError {
    /// No secret of any scheme.
    #[error(transparent)]
    Secret(#[from] SharedSecretError),
    /// No secret of Standard Webhooks.
    #[error(transparent)]
    Standard(#[from] SecretError),
    /// No public key of Standard Webhooks.
    #[error(transparent)]
    PublicKey(#[from] KeyError),
    /// There is none.
    #[error("there is no secret, and a hook without one would take every request for a genuine one")]
    None,
}

impl SignatureCheck {
    /// A check by this scheme with these keys, each of which suffices. For Standard Webhooks a key may be a public one,
    /// `whpk_…`.
    pub fn new<'k>(
        scheme: Scheme,
        keys: impl IntoIterator<Item = &'k str>,
        tolerance: Duration,
    ) -> Result<Self, SchemeKeyError> {
        let mut check = Self { scheme, secrets: Vec::new(), standard: Vec::new(), tolerance };
        for key in keys {
            let key = key.trim();
            if check.scheme != Scheme::Standard {
                check.secrets.push(SharedSecret::parse(key)?);
            } else if key.starts_with("whpk_") {
                check.standard.push(StandardKey::Public(Box::new(PublicKey::parse(key)?)));
            } else {
                check.standard.push(StandardKey::Secret(SigningSecret::parse(key)?));
            }
        }
        if check.secrets.is_empty() && check.standard.is_empty() {
            return Err(SchemeKeyError::None);
        }
        Ok(check)
    }

    /// The scheme.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether the request is genuine and, where the scheme has a time, fresh. Every key is tried, whichever is right.
    pub fn verify(&self, request: &Request<'_>, now: UnixMs) -> Result<(), VerifyError> {
        let now_secs = now.as_secs();
        let mut verdict = Err(VerifyError::Mismatch);
        for key in &self.standard {
            verdict = better(verdict, self.standard_verdict(key, request, now_secs));
        }
        for secret in &self.secrets {
            verdict = better(verdict, self.verdict(secret, request, now_secs));
        }
        verdict
    }

    fn standard_verdict(
        &self,
        key: &StandardKey,
        request: &Request<'_>,
        now_secs: i64,
    ) -> Result<(), VerifyError> {
        let headers = SignedHeaders {
            id: one(&request.head, "webhook-id")?,
            timestamp: one(&request.head, "webhook-timestamp")?,
            signature: one(&request.head, "webhook-signature")?,
        };
        match key {
            StandardKey::Secret(secret) => {
                v1::verify(secret, &headers, request.body, now_secs, self.tolerance)
            }
            StandardKey::Public(key) => v1a::verify(key, &headers, request.body, now_secs, self.tolerance),
        }
    }

    fn verdict(
        &self,
        secret: &SharedSecret,
        Request { head, body, .. }: &Request<'_>,
        now_secs: i64,
    ) -> Result<(), VerifyError> {
        match &self.scheme {
            Scheme::Standard => Err(VerifyError::Mismatch),
            Scheme::Github => github::verify(secret, one(head, github::HEADER)?, body),
            Scheme::Gitlab => token::verify(secret, one(head, token::GITLAB_HEADER)?),
            Scheme::Stripe => {
                stripe::verify(secret, one(head, stripe::HEADER)?, body, now_secs, self.tolerance)
            }
            Scheme::Slack => {
                let timestamp = one(head, slack::TIMESTAMP)?;
                slack::verify(secret, timestamp, one(head, slack::HEADER)?, body, now_secs, self.tolerance)
            }
            Scheme::Hmac(scheme) => {
                let timestamp = scheme.timestamp.as_ref().and_then(|name| head.header(name.as_str()));
                let signature = one(head, scheme.header.as_str())?;
                generic::verify(scheme, secret, timestamp, signature, body, now_secs, self.tolerance)
            }
        }
    }
}

/// Of two verdicts the one that lets the request in, or the one that tells more than that nothing matches.
fn better(one: Result<(), VerifyError>, other: Result<(), VerifyError>) -> Result<(), VerifyError> {
    match (&one, &other) {
        (Ok(()), _) => one,
        (_, Ok(())) => other,
        (Err(VerifyError::Mismatch), Err(_)) => other,
        _ => one,
    }
}

/// The value of a header that must be there once.
fn one<'a>(head: &Head<'a>, name: &str) -> Result<&'a str, VerifyError> {
    head.header(name).ok_or_else(|| VerifyError::Unreadable {
        header: name.to_owned(),
        problem: "is missing, or there more than once",
    })
}

impl fmt::Debug for SignatureCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureCheck")
            .field("scheme", &self.scheme)
            .field("keys", &(self.secrets.len() + self.standard.len()))
            .field("tolerance", &self.tolerance)
            .finish()
    }
}
