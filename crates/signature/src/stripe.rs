//! Stripe's signature: HMAC-SHA256 over the attempt's time and the body, in `Stripe-Signature: t=…,v1=…`. It has room
//! for several: while a secret is being changed, both sign.

use std::time::Duration;

use crate::freshness;
use crate::mac::{MacKey, hash_from_hex, push_hex};
use crate::secret::SharedSecret;
use crate::verify_error::VerifyError;

/// The header that holds it.
pub const HEADER: &str = "stripe-signature";
const SCHEME: &str = "v1";

pub(crate) fn header<'a>(keys: impl Iterator<Item = &'a MacKey>, timestamp: &str, body: &[u8]) -> String {
    let message = message(timestamp, body);
    let mut header = String::with_capacity(2 + timestamp.len() + 2 * (SCHEME.len() + 2 + 64));
    header.push_str("t=");
    header.push_str(timestamp);
    for key in keys {
        header.push(',');
        header.push_str(SCHEME);
        header.push('=');
        push_hex(&mut header, &key.hash(&message));
    }
    header
}

fn message<'a>(timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 3] {
    [timestamp.as_bytes(), b".", body]
}

/// Checks a request as a receiver should: first whether it is fresh, then, in constant time, whether it is genuine.
/// `signature` is the header's value.
pub fn verify(
    secret: &SharedSecret,
    signature: &str,
    body: &[u8],
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let items = || signature.split(',').filter_map(|item| item.trim().split_once('='));
    let mut times = items().filter(|(name, _)| *name == "t");
    let (Some((_, timestamp)), None) = (times.next(), times.next()) else {
        return Err(VerifyError::Unreadable {
            header: HEADER.to_owned(),
            problem: "does not hold one time (`t=`)",
        });
    };
    freshness::check_text(HEADER, timestamp, now_secs, tolerance)?;
    let key = secret.text_key();
    let message = message(timestamp, body);
    let mut understood = false;
    let mut genuine = false;
    for (_, digits) in items().filter(|(name, _)| *name == SCHEME) {
        understood = true;
        genuine |= hash_from_hex(digits).is_some_and(|hash| key.verifies(&message, &hash));
    }
    match (genuine, understood) {
        (true, _) => Ok(()),
        (false, true) => Err(VerifyError::Mismatch),
        (false, false) => Err(VerifyError::NoSignature { header: HEADER, scheme: SCHEME }),
    }
}
