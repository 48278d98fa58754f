//! Standard Webhooks' asymmetric signature, version `v1a`: ed25519 over the same message as `v1`. The receiver holds
//! the public key alone, so it can verify and never sign.

use std::time::Duration;

use crate::key_pair::{PublicKey, SigningKeyPair};
use crate::standard::{self, SignedHeaders};
use crate::verify_error::VerifyError;

/// The version of the scheme, as each signature names it.
pub(crate) const VERSION: &str = "v1a";

/// The value of `webhook-signature` for one attempt; the arguments are those of [`v1::sign`](crate::v1::sign).
pub fn sign(key: &SigningKeyPair, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let timestamp = timestamp_secs.to_string();
    let mut header = String::with_capacity(VERSION.len() + 1 + 88);
    standard::push(&mut header, VERSION, &key.sign(&standard::message(id, &timestamp, body)));
    header
}

/// Checks a request as a receiver should: first whether it is fresh, then whether it is genuine.
pub fn verify(
    key: &PublicKey,
    headers: &SignedHeaders<'_>,
    body: &[u8],
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let is_genuine = |message: &[&[u8]], signature: &[u8]| key.verifies(message, signature);
    standard::verify(VERSION, headers, body, now_secs, tolerance, is_genuine)
}
