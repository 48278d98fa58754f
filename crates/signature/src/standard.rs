//! What the two schemes of Standard Webhooks share: the message that is signed, and the header that holds the
//! signatures.

use std::time::Duration;

use base64::Engine as _;

use crate::verify_error::VerifyError;
use crate::{BASE64, freshness};

/// The three headers of a signed request, as they came.
#[derive(Debug, Clone, Copy)]
pub struct SignedHeaders<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`: one signature, or several parted by spaces while a key is being changed.
    pub signature: &'a str,
}

/// What is signed, in parts.
pub(crate) fn message<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}

/// Appends a signature to those that stand in `header` already.
pub(crate) fn push(header: &mut String, version: &str, signature: &[u8]) {
    if !header.is_empty() {
        header.push(' ');
    }
    header.push_str(version);
    header.push(',');
    BASE64.encode_string(signature, header);
}

/// Checks freshness first, and then whether any signature of this version is genuine.
pub(crate) fn verify(
    version: &'static str,
    headers: &SignedHeaders<'_>,
    body: &[u8],
    now_secs: i64,
    tolerance: Duration,
    is_genuine: impl Fn(&[&[u8]], &[u8]) -> bool,
) -> Result<(), VerifyError> {
    freshness::check_text("webhook-timestamp", headers.timestamp, now_secs, tolerance)?;
    let message = message(headers.id, headers.timestamp, body);
    let mut understood = false;
    let mut genuine = false;
    for item in headers.signature.split_ascii_whitespace() {
        let Some((of_version, encoded)) = item.split_once(',') else { continue };
        if of_version != version {
            continue;
        }
        understood = true;
        let Ok(signature) = BASE64.decode(encoded) else { continue };
        genuine |= is_genuine(&message, &signature);
    }
    match (genuine, understood) {
        (true, _) => Ok(()),
        (false, true) => Err(VerifyError::Mismatch),
        (false, false) => Err(VerifyError::NoSignature { header: "webhook-signature", scheme: version }),
    }
}
