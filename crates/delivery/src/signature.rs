//! Standard Webhooks' symmetric signature, version `v1`: HMAC-SHA256 over the event's id, the attempt's time and the
//! exact bytes of the body.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;
use thiserror::Error;

/// What a written secret begins with.
const PREFIX: &str = "whsec_";
/// The standard's bounds on a secret's length, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// The length of the secrets made here: the length of the hash, beyond which nothing is gained.
const GENERATED_LENGTH: usize = 32;
/// The version of the scheme, as each signature names it.
const VERSION: &str = "v1";

/// Padded when written, indifferent when read: secrets are carried by hand.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is not a signing secret. The text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    /// It does not begin with `whsec_`.
    #[error("a signing secret begins with `{PREFIX}`; {HOW_TO_MAKE_ONE}")]
    Prefix,
    /// What follows is not base64.
    #[error("what follows `{PREFIX}` in the signing secret is not base64; {HOW_TO_MAKE_ONE}")]
    Base64,
    /// It is too short to be safe, or longer than the standard allows.
    #[error("the signing secret has {0} bytes, and it takes 24 to 64; {HOW_TO_MAKE_ONE}")]
    Length(usize),
}

const HOW_TO_MAKE_ONE: &str = "make one with: echo whsec_$(openssl rand -base64 32)";

/// The operating system gave no random bytes.
#[derive(Debug, Error)]
#[error("the operating system gave no random bytes for a signing secret: {0}")]
pub struct NoRandomness(getrandom::Error);

/// The secret that the gateway and a receiver share. It is shown by nothing but [`SigningSecret::to_file_text`].
#[derive(Clone)]
pub struct SigningSecret(SecretSlice<u8>);

impl SigningSecret {
    /// Reads `whsec_` and base64; white space around it, such as a file's last newline, is ignored.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        let bytes = SecretSlice::from(BASE64.decode(encoded).map_err(|_| SecretError::Base64)?);
        match bytes.expose_secret().len() {
            length if LENGTHS.contains(&length) => Ok(Self(bytes)),
            length => Err(SecretError::Length(length)),
        }
    }

    /// A new one, from the operating system's randomness.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = vec![0; GENERATED_LENGTH];
        getrandom::fill(&mut bytes).map_err(NoRandomness)?;
        Ok(Self(SecretSlice::from(bytes)))
    }

    /// The secret as it is written: into its file, and into the receiver's configuration.
    pub fn to_file_text(&self) -> SecretString {
        SecretString::from(format!("{PREFIX}{}", BASE64.encode(self.0.expose_secret())))
    }

    /// The signature's hash, fed with everything but taken to no end yet.
    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("HMAC takes keys of every length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(***)")
    }
}

/// The value of `webhook-signature` for one attempt.
///
/// `id` is the event's and the same on every attempt, `timestamp_secs` is the attempt's, and `body` is exactly what
/// is sent (invariant 9).
pub fn sign(secret: &SigningSecret, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let hash = secret.mac(id, &timestamp_secs.to_string(), body).finalize().into_bytes();
    let mut signature = String::with_capacity(VERSION.len() + 1 + 44);
    signature.push_str(VERSION);
    signature.push(',');
    BASE64.encode_string(hash, &mut signature);
    signature
}

/// The three headers of a signed request, as they came.
#[derive(Debug, Clone, Copy)]
pub struct SignedHeaders<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`: one signature, or several parted by spaces while a secret is being changed.
    pub signature: &'a str,
}

/// Why a request is not accepted as signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The timestamp is not a number of seconds.
    #[error("`webhook-timestamp` is `{0}`, which is not a whole number of seconds")]
    Timestamp(String),
    /// The request is from too long ago, or is being replayed.
    #[error("the request was signed {age_secs} s ago, and at most {tolerance_secs} s are tolerated")]
    TooOld {
        /// Its age.
        age_secs: u64,
        /// How old it may be.
        tolerance_secs: u64,
    },
    /// The request is from the future: a clock is wrong.
    #[error(
        "the request was signed {ahead_secs} s ahead of this clock, and at most {tolerance_secs} s are tolerated"
    )]
    TooNew {
        /// How far it is ahead.
        ahead_secs: u64,
        /// How far it may be.
        tolerance_secs: u64,
    },
    /// There is no signature of a version that is understood.
    #[error("`webhook-signature` holds no `{VERSION}` signature")]
    NoSignature,
    /// None of the signatures is right: another secret, or a changed id, time or body.
    #[error(
        "no signature matches: the secret is another one, or the id, the timestamp or the body was changed"
    )]
    Mismatch,
}

/// Checks a request as a receiver should: first whether it is fresh, then, in constant time, whether it is genuine.
pub fn verify(
    secret: &SigningSecret,
    headers: &SignedHeaders<'_>,
    body: &[u8],
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    check_freshness(headers.timestamp, now_secs, tolerance.as_secs())?;
    let mut understood = false;
    let mut genuine = false;
    for signature in headers.signature.split_ascii_whitespace() {
        let Some((VERSION, encoded)) = signature.split_once(',') else { continue };
        understood = true;
        let Ok(hash) = BASE64.decode(encoded) else { continue };
        genuine |= secret.mac(headers.id, headers.timestamp, body).verify_slice(&hash).is_ok();
    }
    match (genuine, understood) {
        (true, _) => Ok(()),
        (false, true) => Err(VerifyError::Mismatch),
        (false, false) => Err(VerifyError::NoSignature),
    }
}

fn check_freshness(timestamp: &str, now_secs: i64, tolerance_secs: u64) -> Result<(), VerifyError> {
    let signed_at: i64 = timestamp.parse().map_err(|_| VerifyError::Timestamp(shortened(timestamp)))?;
    let apart = now_secs.abs_diff(signed_at);
    if apart <= tolerance_secs {
        Ok(())
    } else if signed_at < now_secs {
        Err(VerifyError::TooOld { age_secs: apart, tolerance_secs })
    } else {
        Err(VerifyError::TooNew { ahead_secs: apart, tolerance_secs })
    }
}

/// The start of a text that came from outside.
fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
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
            Err(VerifyError::NoSignature)
        );
        assert_eq!(
            check(SignedHeaders { timestamp: "soon", ..genuine }, BODY, NOW),
            Err(VerifyError::Timestamp("soon".into()))
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

    #[test]
    fn a_secret_is_read_as_it_is_written() {
        let secret = SigningSecret::generate().unwrap();
        let text = format!("{}\n", secret.to_file_text().expose_secret());
        let read = SigningSecret::parse(&text).unwrap();
        assert_eq!(sign(&read, ID, NOW, BODY), sign(&secret, ID, NOW, BODY));
        let unpadded = SigningSecret::parse(text.trim().trim_end_matches('=')).unwrap();
        assert_eq!(sign(&unpadded, ID, NOW, BODY), sign(&secret, ID, NOW, BODY));
    }

    #[test]
    fn i12_a_secret_shows_itself_neither_in_debug_nor_in_errors() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secret = SigningSecret::parse(text).unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret(***)");
        for (bad, error) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZI!", SecretError::Base64),
            ("whsec_MfKQ9r8G", SecretError::Length(6)),
            ("whsec_", SecretError::Length(0)),
        ] {
            assert_eq!(SigningSecret::parse(bad).unwrap_err(), error);
            assert!(!error.to_string().contains("MfKQ"), "{error}");
            assert!(error.to_string().contains("openssl rand"), "{error}");
        }
    }
}
