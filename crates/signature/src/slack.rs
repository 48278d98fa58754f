//! Slack's signature, version `v0`: HMAC-SHA256 over the version, the request's time and the body, in
//! `X-Slack-Signature: v0=…`, with the time in `X-Slack-Request-Timestamp`.

use std::time::Duration;

use crate::freshness;
use crate::mac::hash_from_hex;
use crate::secret::SharedSecret;
use crate::verify_error::VerifyError;

/// The header that holds the signature.
pub const HEADER: &str = "x-slack-signature";
/// The header that holds the time.
pub const TIMESTAMP: &str = "x-slack-request-timestamp";
const SCHEME: &str = "v0";

/// Checks a request: first whether it is fresh, then, in constant time, whether it is genuine. `timestamp` and
/// `signature` are the values of its headers.
pub fn verify(
    secret: &SharedSecret,
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    freshness::check_text(TIMESTAMP, timestamp, now_secs, tolerance)?;
    let Some((SCHEME, digits)) = signature.trim().split_once('=') else {
        return Err(VerifyError::NoSignature { header: HEADER, scheme: SCHEME });
    };
    let message = [SCHEME.as_bytes(), b":", timestamp.as_bytes(), b":", body];
    match hash_from_hex(digits) {
        Some(hash) if secret.text_key().verifies(&message, &hash) => Ok(()),
        _ => Err(VerifyError::Mismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const NOW: i64 = 1_531_420_618;
    const TOLERANCE: Duration = Duration::from_secs(300);

    fn check(timestamp: &str, signature: &str, body: &[u8], now: i64) -> Result<(), VerifyError> {
        let secret = SharedSecret::parse("8f742231b10e8888abcd99yyyzzz85a5").unwrap();
        verify(&secret, timestamp, signature, body, now, TOLERANCE)
    }

    #[test]
    fn the_published_example_is_genuine() {
        assert_eq!(check("1531420618", SIGNATURE, BODY, NOW), Ok(()));
        assert_eq!(check("1531420618", SIGNATURE, BODY, NOW + 300), Ok(()));
    }

    #[test]
    fn what_was_changed_or_is_old_is_refused() {
        let no_signature = VerifyError::NoSignature { header: HEADER, scheme: SCHEME };
        let old = VerifyError::TooOld { age_secs: 301, tolerance_secs: 300 };
        assert_eq!(check("1531420618", SIGNATURE, &BODY[1..], NOW), Err(VerifyError::Mismatch));
        assert_eq!(check("1531420619", SIGNATURE, BODY, NOW), Err(VerifyError::Mismatch));
        assert_eq!(check("1531420618", "v0=", BODY, NOW), Err(VerifyError::Mismatch));
        assert_eq!(check("1531420618", &SIGNATURE.replace("v0", "v1"), BODY, NOW), Err(no_signature));
        assert_eq!(check("1531420618", SIGNATURE, BODY, NOW + 301), Err(old));
        assert!(matches!(check("now", SIGNATURE, BODY, NOW), Err(VerifyError::Timestamp { .. })));
    }
}
