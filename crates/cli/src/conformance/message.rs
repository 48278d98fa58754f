//! One request: an event, signed, and perhaps spoilt on purpose.

use std::time::Duration;

use bytes::Bytes;
use clawhook_delivery::{ConnectionProfile, PostRequest, SigningSecret, sign};
use clawhook_model::{UnixMs, WebhookUrl};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::sample::{Event, Samples};
use crate::failure::Failure;

/// Makes messages for one endpoint.
pub(super) struct Messages {
    samples: Samples,
    secret: SigningSecret,
    other_secret: SigningSecret,
    authorization: Option<HeaderValue>,
}

impl Messages {
    /// Messages that the holder of `secret` believes, and some that nobody should.
    pub(super) fn new(
        endpoint: &WebhookUrl,
        secret: &SigningSecret,
        bearer: Option<&SecretString>,
    ) -> Result<Self, Failure> {
        let samples = Samples::new(endpoint).map_err(|error| Failure::error(error.to_string()))?;
        let other_secret = SigningSecret::generate().map_err(|error| Failure::error(error.to_string()))?;
        let authorization = bearer.map(authorization).transpose()?;
        Ok(Self { samples, secret: secret.clone(), other_secret, authorization })
    }

    /// What there is to send.
    pub(super) fn samples(&self) -> &Samples {
        &self.samples
    }

    /// `event` as the gateway sends it at `now`.
    pub(super) fn signed_at(&self, event: &Event, now: UnixMs) -> Message {
        self.signed_with(&self.secret, event, now)
    }

    /// `event` signed by somebody who does not know the secret.
    pub(super) fn forged_at(&self, event: &Event, now: UnixMs) -> Message {
        self.signed_with(&self.other_secret, event, now)
    }

    fn signed_with(&self, secret: &SigningSecret, event: &Event, now: UnixMs) -> Message {
        let (id, timestamp) = (event.id.to_string(), now.as_secs());
        let signature = sign(secret, &id, timestamp, &event.body);
        Message {
            id,
            timestamp,
            signature: Some(signature),
            content_type: "application/json",
            attempt: 1,
            authorization: self.authorization.clone(),
            body: event.body.clone(),
        }
    }
}

fn authorization(token: &SecretString) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| Failure::error("the bearer token holds a character that cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A request that can be sent.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) id: String,
    timestamp: i64,
    signature: Option<String>,
    content_type: &'static str,
    attempt: u32,
    authorization: Option<HeaderValue>,
    body: Bytes,
}

impl Message {
    /// Without a signature.
    pub(super) fn without_signature(mut self) -> Self {
        self.signature = None;
        self
    }

    /// With other signatures, made of its own.
    pub(super) fn with_signature(mut self, remake: impl FnOnce(&str) -> String) -> Self {
        self.signature = self.signature.as_deref().map(remake);
        self
    }

    /// With another message's signature before its own, as while a secret is being changed.
    pub(super) fn with_signature_of(self, other: &Self) -> Self {
        let first = other.signature.clone().unwrap_or_default();
        self.with_signature(|own| format!("{first} {own}"))
    }

    /// With one byte of the signed body changed; it stays JSON.
    pub(super) fn with_a_changed_byte(mut self) -> Self {
        let mut body = self.body.to_vec();
        if let Some(byte) = body.iter_mut().rev().find(|byte| byte.is_ascii_lowercase()) {
            *byte = if *byte == b'x' { b'y' } else { b'x' };
        }
        self.body = Bytes::from(body);
        self
    }

    /// Under another id than the one that was signed.
    pub(super) fn with_id(mut self, id: String) -> Self {
        self.id = id;
        self
    }

    /// At the other message's time, in place of the one that was signed.
    pub(super) fn with_timestamp_of(mut self, other: &Self) -> Self {
        self.timestamp = other.timestamp;
        self
    }

    /// As another type of content.
    pub(super) fn with_content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    /// As a later attempt.
    pub(super) fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The request to `url`.
    pub(super) fn to<'a>(&self, url: &'a WebhookUrl, profile: &'a ConnectionProfile) -> PostRequest<'a> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert("webhook-timestamp", HeaderValue::from(self.timestamp));
        headers.insert("clawhook-attempt", HeaderValue::from(self.attempt));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let texts = [
            ("webhook-id", Some(&self.id)),
            ("idempotency-key", Some(&self.id)),
            ("webhook-signature", self.signature.as_ref()),
        ];
        for (name, value) in texts {
            // Ids and signatures are always fit for a header.
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
        PostRequest { method: hyper::Method::POST, url, headers, body: self.body.clone(), profile }
    }
}

/// How far a timestamp is off that nobody should believe.
pub(super) const STALE: Duration = Duration::from_secs(600);
