//! The signer of one destination: every header of every scheme that it chose, over the exact bytes that are sent.

use clawhook_model::{EventId, SignatureScheme, SignatureSchemes, UnixMs, WebhookUrl};
use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::key_pair::SigningKeyPair;
use crate::mac::MacKey;
use crate::secret::{SecretError, SharedSecret};
use crate::{github, rfc9421, standard, stripe, v1, v1a};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const GITHUB: HeaderName = HeaderName::from_static(github::HEADER);
const STRIPE: HeaderName = HeaderName::from_static(stripe::HEADER);

/// The keys of one destination. A scheme that needs a key which is not there cannot be chosen.
#[derive(Debug, Clone, Default)]
pub struct SigningKeys {
    /// The secret that is shared with the receiver: for v1, GitHub and Stripe, and for RFC 9421 where there is no
    /// private key.
    pub secret: Option<LiveKeys<SharedSecret>>,
    /// The private key: for v1a and RFC 9421.
    pub private_key: Option<LiveKeys<SigningKeyPair>>,
}

/// A key and, while it takes another's place, that other one.
#[derive(Debug, Clone)]
pub struct LiveKeys<K> {
    /// The key that stays.
    pub current: K,
    /// The key that goes.
    pub retiring: Option<Retiring<K>>,
}

/// A key that still signs, until receivers have learnt the one that takes its place.
#[derive(Debug, Clone)]
pub struct Retiring<K> {
    /// The key.
    pub key: K,
    /// From this instant on it signs no more.
    pub until: UnixMs,
}

impl<K> LiveKeys<K> {
    /// One key, which no other is replaced by.
    pub fn only(current: K) -> Self {
        Self { current, retiring: None }
    }

    /// The keys that sign at `now`, the one that stays first.
    pub(crate) fn at(&self, now: UnixMs) -> impl Iterator<Item = &K> {
        let retiring = self.retiring.iter().filter(move |retiring| now < retiring.until);
        std::iter::once(&self.current).chain(retiring.map(|retiring| &retiring.key))
    }

    fn try_map<T, E>(&self, make: impl Fn(&K) -> Result<T, E>) -> Result<LiveKeys<T>, E> {
        let current = make(&self.current)?;
        let retiring = match &self.retiring {
            Some(retiring) => Some(Retiring { key: make(&retiring.key)?, until: retiring.until }),
            None => None,
        };
        Ok(LiveKeys { current, retiring })
    }

    fn map<T>(&self, make: impl Fn(&K) -> T) -> LiveKeys<T> {
        let retiring = self.retiring.as_ref();
        LiveKeys {
            current: make(&self.current),
            retiring: retiring.map(|retiring| Retiring { key: make(&retiring.key), until: retiring.until }),
        }
    }
}

/// Why a destination's keys do not serve the schemes it chose. No key is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignerError {
    /// There is no shared secret.
    #[error("signing by `{0}` needs a shared secret; give the destination `signing.secret`")]
    NoSecret(SignatureScheme),
    /// There is no private key.
    #[error("signing by `{0}` needs an ed25519 private key; give the destination `signing.privateKey`")]
    NoPrivateKey(SignatureScheme),
    /// There is neither.
    #[error(
        "signing by `{0}` needs a key; give the destination `signing.privateKey` (ed25519) or `signing.secret` \
         (hmac-sha256)"
    )]
    NoKey(SignatureScheme),
    /// The shared secret does not have the form that the scheme prescribes.
    #[error("the secret does not serve for signing by `{scheme}`: {error}")]
    Secret {
        /// The scheme.
        scheme: SignatureScheme,
        /// What is wrong with the secret.
        error: SecretError,
    },
}

/// What one attempt signs.
#[derive(Debug, Clone, Copy)]
pub struct SigningInput<'a> {
    /// The event's id, the same on every attempt.
    pub event_id: EventId,
    /// The attempt's time, in whole seconds since the Unix epoch.
    pub timestamp_secs: i64,
    /// Where the request goes.
    pub url: &'a WebhookUrl,
    /// The value of the request's `Content-Type`.
    pub content_type: &'a str,
    /// Exactly the bytes that are sent.
    pub body: &'a [u8],
}

/// Signs a destination's requests. It is made once for each revision of the destination.
#[derive(Clone)]
pub struct Signer {
    v1: Option<LiveKeys<MacKey>>,
    v1a: Option<LiveKeys<SigningKeyPair>>,
    github: Option<MacKey>,
    stripe: Option<LiveKeys<MacKey>>,
    rfc9421: Option<LiveKeys<rfc9421::Key>>,
}

impl Signer {
    /// A signer by these schemes with these keys.
    pub fn new(schemes: &SignatureSchemes, keys: &SigningKeys) -> Result<Self, SignerError> {
        let mut signer = Self { v1: None, v1a: None, github: None, stripe: None, rfc9421: None };
        for scheme in schemes.iter() {
            let secret = keys.secret.as_ref().ok_or(SignerError::NoSecret(scheme));
            let private_key = keys.private_key.as_ref().ok_or(SignerError::NoPrivateKey(scheme));
            match scheme {
                SignatureScheme::V1 => {
                    let mac_key = |secret: &SharedSecret| Ok(secret.to_signing_secret()?.mac_key());
                    signer.v1 = Some(secret?.try_map(mac_key).map_err(unfit(scheme))?);
                }
                SignatureScheme::V1a => signer.v1a = Some(private_key?.clone()),
                SignatureScheme::Github => signer.github = Some(secret?.current.text_key()),
                SignatureScheme::Stripe => signer.stripe = Some(secret?.map(SharedSecret::text_key)),
                SignatureScheme::Rfc9421 => signer.rfc9421 = Some(message_keys(keys)?),
            }
        }
        Ok(signer)
    }

    /// Sets every header of every scheme. The event's id and the attempt's time are set by whichever scheme: the
    /// receiver deduplicates by the one, and tells attempts apart by the other.
    ///
    /// Of the headers that are there already, RFC 9421 covers the attributes of `CloudEvents` (`ce-…`), which are a part
    /// of the event.
    pub fn sign(&self, input: &SigningInput<'_>, headers: &mut HeaderMap) {
        let now = UnixMs::from_millis(input.timestamp_secs.saturating_mul(1000));
        let id = input.event_id.to_string();
        let timestamp = input.timestamp_secs.to_string();

        if self.v1.is_some() || self.v1a.is_some() {
            headers.insert(SIGNATURE, header_value(self.standard_header(now, &id, &timestamp, input.body)));
        }
        if let Some(key) = &self.github {
            headers.insert(GITHUB, header_value(github::header(key, input.body)));
        }
        if let Some(keys) = &self.stripe {
            headers.insert(STRIPE, header_value(stripe::header(keys.at(now), &timestamp, input.body)));
        }
        if let Some(keys) = &self.rfc9421 {
            rfc9421::sign(keys.at(now), input, &id, headers);
        }
        headers.insert(ID, header_value(id));
        headers.insert(TIMESTAMP, header_value(timestamp));
    }

    /// `webhook-signature`: an item for each live key of each version.
    fn standard_header(&self, now: UnixMs, id: &str, timestamp: &str, body: &[u8]) -> String {
        /// Two items of each version, the longer one being 92 bytes.
        const LONGEST: usize = 2 * (48 + 93);
        let message = standard::message(id, timestamp, body);
        let mut header = String::with_capacity(LONGEST);
        for key in self.v1.iter().flat_map(|keys| keys.at(now)) {
            standard::push(&mut header, v1::VERSION, &key.hash(&message));
        }
        for key in self.v1a.iter().flat_map(|keys| keys.at(now)) {
            standard::push(&mut header, v1a::VERSION, &key.sign(&message));
        }
        header
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(***)")
    }
}

/// The keys of RFC 9421: the private ones where there are any, because receivers can then verify without being able
/// to sign.
fn message_keys(keys: &SigningKeys) -> Result<LiveKeys<rfc9421::Key>, SignerError> {
    let scheme = SignatureScheme::Rfc9421;
    match (&keys.private_key, &keys.secret) {
        (Some(pairs), _) => Ok(pairs.map(rfc9421::Key::of_pair)),
        (None, Some(secrets)) => secrets.try_map(rfc9421::Key::of_secret).map_err(unfit(scheme)),
        (None, None) => Err(SignerError::NoKey(scheme)),
    }
}

fn unfit(scheme: SignatureScheme) -> impl Fn(SecretError) -> SignerError {
    move |error| SignerError::Secret { scheme, error }
}

/// The value of a header that is made of ids, digits, base64 and the names of fields.
pub(crate) fn header_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("ids, digits, base64 and field names are fit for a header")
}
