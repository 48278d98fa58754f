//! GitHub's signature: HMAC-SHA256 over the body alone, in `X-Hub-Signature-256`. It covers no time and no id, and has
//! room for one signature: while a secret is being changed, the new one signs.

use crate::mac::{MacKey, hash_from_hex, push_hex};
use crate::secret::SharedSecret;
use crate::verify_error::VerifyError;

/// The header that holds it.
pub const HEADER: &str = "x-hub-signature-256";
const SCHEME: &str = "sha256";

pub(crate) fn header(key: &MacKey, body: &[u8]) -> String {
    let mut header = String::with_capacity(SCHEME.len() + 1 + 64);
    header.push_str(SCHEME);
    header.push('=');
    push_hex(&mut header, &key.hash(&[body]));
    header
}

/// Checks, in constant time, whether the body is genuine. `signature` is the header's value.
pub fn verify(secret: &SharedSecret, signature: &str, body: &[u8]) -> Result<(), VerifyError> {
    let Some((SCHEME, digits)) = signature.trim().split_once('=') else {
        return Err(VerifyError::NoSignature { header: HEADER, scheme: SCHEME });
    };
    match hash_from_hex(digits) {
        Some(hash) if secret.text_key().verifies(&[body], &hash) => Ok(()),
        _ => Err(VerifyError::Mismatch),
    }
}
