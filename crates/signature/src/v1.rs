//! Standard Webhooks' symmetric signature, version `v1`: HMAC-SHA256 over the event's id, the attempt's time and the
//! exact bytes of the body.

use std::time::Duration;

use crate::secret::SigningSecret;
use crate::standard::{self, SignedHeaders};
use crate::verify_error::VerifyError;

/// The version of the scheme, as each signature names it.
pub(crate) const VERSION: &str = "v1";

/// The value of `webhook-signature` for one attempt.
///
/// `id` is the event's and the same on every attempt, `timestamp_secs` is the attempt's, and `body` is exactly what
/// is sent (invariant 9).
pub fn sign(secret: &SigningSecret, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let timestamp = timestamp_secs.to_string();
    let mut header = String::with_capacity(VERSION.len() + 1 + 44);
    standard::push(&mut header, VERSION, &secret.mac_key().hash(&standard::message(id, &timestamp, body)));
    header
}

/// Checks a request as a receiver should: first whether it is fresh, then, in constant time, whether it is genuine.
pub fn verify(
    secret: &SigningSecret,
    headers: &SignedHeaders<'_>,
    body: &[u8],
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let key = secret.mac_key();
    let is_genuine = |message: &[&[u8]], hash: &[u8]| key.verifies(message, hash);
    standard::verify(VERSION, headers, body, now_secs, tolerance, is_genuine)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use standardwebhooks::Webhook;

    use super::*;

    const TOLERANCE: Duration = Duration::from_secs(300);
    const ID: &str = "01890000-0000-7000-8000-000000000001";
    const NOW: i64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"action":"finished","text":"gr\u00fc\u00df"}"#;

    fn headers(signature: &str) -> SignedHeaders<'_> {
        SignedHeaders { id: ID, timestamp: "1700000000", signature }
    }

    #[test]
    fn i09_the_published_vector_is_signed_as_published() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(
            sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    /// What the standard's own library says about a request signed here, at the library's own time.
    fn library_accepts(secret: &SigningSecret, signed_at: i64, signed: &[u8], received: &[u8]) -> bool {
        let library = Webhook::new(secret.to_file_text().expose_secret()).unwrap();
        let mut headers = http::HeaderMap::new();
        headers.insert("webhook-id", ID.parse().unwrap());
        headers.insert("webhook-timestamp", signed_at.into());
        headers.insert("webhook-signature", sign(secret, ID, signed_at, signed).parse().unwrap());
        library.verify(received, &headers).is_ok()
    }

    #[expect(clippy::disallowed_methods, reason = "the library reads the system's clock, so the test must")]
    fn system_seconds() -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_secs()).unwrap()
    }

    #[test]
    fn the_standards_own_library_accepts_what_is_signed_here_and_nothing_else() {
        let secret = SigningSecret::generate().unwrap();
        let now = system_seconds();
        assert!(library_accepts(&secret, now, BODY, BODY));
        assert!(!library_accepts(&secret, now, BODY, br#"{"action":"finished","text":"changed"}"#));
        assert!(!library_accepts(&secret, now - 3_600, BODY, BODY));
        let other = Webhook::new(SigningSecret::generate().unwrap().to_file_text().expose_secret()).unwrap();
        assert_ne!(other.sign(ID, now, BODY).unwrap(), sign(&secret, ID, now, BODY));
    }

    #[test]
    fn what_the_standards_own_library_signs_is_accepted_here() {
        let secret = SigningSecret::generate().unwrap();
        let library = Webhook::new(secret.to_file_text().expose_secret()).unwrap();
        let signature = library.sign(ID, NOW, BODY).unwrap();
        assert_eq!(verify(&secret, &headers(&signature), BODY, NOW, TOLERANCE), Ok(()));
    }

    #[test]
    fn any_one_of_several_signatures_suffices() {
        let (old, new) = (SigningSecret::generate().unwrap(), SigningSecret::generate().unwrap());
        let both = format!("v1a,AAAA {} {}", sign(&old, ID, NOW, BODY), sign(&new, ID, NOW, BODY));
        assert_eq!(verify(&old, &headers(&both), BODY, NOW, TOLERANCE), Ok(()));
        assert_eq!(verify(&new, &headers(&both), BODY, NOW, TOLERANCE), Ok(()));
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let secret = SigningSecret::generate().unwrap();
        let signature = sign(&secret, ID, NOW, BODY);
        let genuine = headers(&signature);
        let check =
            |headers: SignedHeaders<'_>, body: &[u8], now| verify(&secret, &headers, body, now, TOLERANCE);

        assert_eq!(check(genuine, b"{}", NOW), Err(VerifyError::Mismatch));
        assert_eq!(check(SignedHeaders { id: "another", ..genuine }, BODY, NOW), Err(VerifyError::Mismatch));
        assert_eq!(
            check(SignedHeaders { timestamp: "1700000001", ..genuine }, BODY, NOW),
            Err(VerifyError::Mismatch)
        );
        assert_eq!(
            check(SignedHeaders { signature: "v1,", ..genuine }, BODY, NOW),
            Err(VerifyError::Mismatch),
            "an empty signature is none that matches"
        );
        assert_eq!(
            check(SignedHeaders { signature: "v1a,AAAA", ..genuine }, BODY, NOW),
            Err(VerifyError::NoSignature { header: "webhook-signature", scheme: "v1" })
        );
        assert_eq!(
            check(SignedHeaders { timestamp: "soon", ..genuine }, BODY, NOW),
            Err(VerifyError::Timestamp { header: "webhook-timestamp", given: "soon".into() })
        );
        assert_eq!(check(genuine, BODY, NOW + 300), Ok(()));
        assert_eq!(
            check(genuine, BODY, NOW + 301),
            Err(VerifyError::TooOld { age_secs: 301, tolerance_secs: 300 })
        );
        assert_eq!(
            check(genuine, BODY, NOW - 301),
            Err(VerifyError::TooNew { ahead_secs: 301, tolerance_secs: 300 })
        );
        let other = SigningSecret::generate().unwrap();
        assert_eq!(verify(&other, &genuine, BODY, NOW, TOLERANCE), Err(VerifyError::Mismatch));
    }
}
