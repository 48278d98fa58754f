//! An HMAC in a header, as most services that have no scheme of their own send it: which header, which hash, how it is
//! written, and what is signed are the receiver's to say.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use http::HeaderName;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use thiserror::Error;

use crate::mac::bytes_from_hex;
use crate::secret::SharedSecret;
use crate::verify_error::VerifyError;
use crate::{BASE64, freshness};

/// The longest message template, in bytes.
const MAX_TEMPLATE_BYTES: usize = 256;

/// How a service signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HmacScheme {
    /// The header that holds the signature.
    pub header: HeaderName,
    /// The hash.
    pub algorithm: HmacAlgorithm,
    /// How the hash is written.
    pub encoding: HmacEncoding,
    /// What stands before it, such as `sha256=`.
    pub prefix: String,
    /// The header that holds the time of the request, in seconds or milliseconds since the Unix epoch. With it the request
    /// must be fresh.
    pub timestamp: Option<HeaderName>,
    /// What is signed.
    pub message: SignedMessage,
}

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HmacAlgorithm {
    /// SHA-1: old, and still safe within an HMAC.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a hash is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HmacEncoding {
    /// Hexadecimal digits of either case.
    Hex,
    /// Base64 of the standard's or the URL's alphabet, padded or not.
    Base64,
}

/// What is signed: a text with the body in it, and the time where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMessage(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Timestamp,
    Body,
}

/// Why a text does not say what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignedMessageError {
    /// The body is not in it, or more than once.
    #[error("holds `{{{{body}}}}` {0} times, and must hold it once")]
    Body(usize),
    /// Something in braces that there is not.
    #[error("holds `{{{{{0}}}}}`; there are `{{{{body}}}}` and `{{{{timestamp}}}}`")]
    Unknown(String),
    /// Braces that do not close.
    #[error("holds `{{{{` without `}}}}`")]
    Unclosed,
    /// Too long.
    #[error("is larger than {MAX_TEMPLATE_BYTES} bytes")]
    TooLarge,
}

impl SignedMessage {
    /// The body alone.
    pub fn body() -> Self {
        Self(vec![Part::Body])
    }

    /// The time, a dot, the body.
    pub fn timestamp_and_body() -> Self {
        Self(vec![Part::Timestamp, Part::Text(".".to_owned()), Part::Body])
    }

    /// Whether the time is a part of it.
    pub fn has_timestamp(&self) -> bool {
        self.0.contains(&Part::Timestamp)
    }

    fn parts<'a>(&'a self, timestamp: &'a str, body: &'a [u8]) -> Vec<&'a [u8]> {
        let bytes = |part: &'a Part| match part {
            Part::Text(text) => text.as_bytes(),
            Part::Timestamp => timestamp.as_bytes(),
            Part::Body => body,
        };
        self.0.iter().map(bytes).collect()
    }
}

impl FromStr for SignedMessage {
    type Err = SignedMessageError;

    fn from_str(text: &str) -> Result<Self, SignedMessageError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(SignedMessageError::TooLarge);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((own, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").ok_or(SignedMessageError::Unclosed)?;
            if !own.is_empty() {
                parts.push(Part::Text(own.to_owned()));
            }
            parts.push(match inside.trim() {
                "body" => Part::Body,
                "timestamp" => Part::Timestamp,
                other => return Err(SignedMessageError::Unknown(other.chars().take(40).collect())),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        match parts.iter().filter(|part| **part == Part::Body).count() {
            1 => Ok(Self(parts)),
            count => Err(SignedMessageError::Body(count)),
        }
    }
}

impl fmt::Display for HmacAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        })
    }
}

/// Checks a request: first, where it has a time, whether it is fresh; then, in constant time, whether it is genuine.
/// `timestamp` and `signature` are the values of the scheme's headers.
pub fn verify(
    scheme: &HmacScheme,
    secret: &SharedSecret,
    timestamp: Option<&str>,
    signature: &str,
    body: &[u8],
    now_secs: i64,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let timestamp = match (&scheme.timestamp, timestamp) {
        (None, _) => "",
        (Some(_), Some(timestamp)) => {
            check_freshness(timestamp, now_secs, tolerance)?;
            timestamp
        }
        (Some(header), None) => {
            return Err(VerifyError::Unreadable { header: header.to_string(), problem: "is missing" });
        }
    };
    let written = signature.trim().strip_prefix(scheme.prefix.as_str()).ok_or(VerifyError::Unreadable {
        header: scheme.header.to_string(),
        problem: "does not begin with the prefix",
    })?;
    let hash = match scheme.encoding {
        HmacEncoding::Hex => bytes_from_hex(written),
        HmacEncoding::Base64 => BASE64.decode(written.replace('-', "+").replace('_', "/")).ok(),
    };
    let Some(hash) = hash else { return Err(VerifyError::Mismatch) };
    let parts = scheme.message.parts(timestamp, body);
    let key = secret.text_bytes();
    let is_genuine = match scheme.algorithm {
        HmacAlgorithm::Sha1 => verifies::<Hmac<Sha1>>(key, &parts, &hash),
        HmacAlgorithm::Sha256 => verifies::<Hmac<Sha256>>(key, &parts, &hash),
        HmacAlgorithm::Sha512 => verifies::<Hmac<Sha512>>(key, &parts, &hash),
    };
    if is_genuine { Ok(()) } else { Err(VerifyError::Mismatch) }
}

/// A time of thirteen digits is one of milliseconds, until the year 5138 in seconds.
fn check_freshness(timestamp: &str, now_secs: i64, tolerance: Duration) -> Result<(), VerifyError> {
    const HEADER: &str = "the time's header";
    const FIRST_IN_MILLISECONDS: i64 = 100_000_000_000;
    match timestamp.parse::<i64>() {
        Ok(ms) if ms >= FIRST_IN_MILLISECONDS => freshness::check(ms / 1000, now_secs, tolerance),
        _ => freshness::check_text(HEADER, timestamp, now_secs, tolerance),
    }
}

fn verifies<M: Mac + KeyInit>(key: &[u8], message: &[&[u8]], hash: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return false };
    message.iter().for_each(|part| mac.update(part));
    mac.verify_slice(hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Duration = Duration::from_secs(300);
    const BODY: &[u8] = b"Hello, World!";

    fn secret() -> SharedSecret {
        SharedSecret::parse("It's a Secret to Everybody").unwrap()
    }

    fn scheme(algorithm: HmacAlgorithm, encoding: HmacEncoding, prefix: &str) -> HmacScheme {
        HmacScheme {
            header: HeaderName::from_static("x-signature"),
            algorithm,
            encoding,
            prefix: prefix.to_owned(),
            timestamp: None,
            message: SignedMessage::body(),
        }
    }

    #[test]
    fn each_hash_in_each_writing_is_verified() {
        // Made with `openssl dgst -hmac`.
        for (algorithm, encoding, prefix, signature) in [
            (
                HmacAlgorithm::Sha256,
                HmacEncoding::Hex,
                "sha256=",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
            (
                HmacAlgorithm::Sha1,
                HmacEncoding::Hex,
                "sha1=",
                "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59",
            ),
            (HmacAlgorithm::Sha256, HmacEncoding::Base64, "", "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc="),
            (HmacAlgorithm::Sha256, HmacEncoding::Base64, "", "dXEH6g6yUJ_CESIczphLijdXC211hsIsRvQ3nIsEPhc"),
        ] {
            let scheme = scheme(algorithm, encoding, prefix);
            let check = |signature: &str, body: &[u8]| {
                verify(&scheme, &secret(), None, signature, body, 0, TOLERANCE)
            };
            assert_eq!(check(signature, BODY), Ok(()), "{signature}");
            assert_eq!(check(signature, b"Hello, World?"), Err(VerifyError::Mismatch));
            assert_eq!(check(&format!("{prefix}AAAA"), BODY), Err(VerifyError::Mismatch));
            assert_eq!(check(prefix, BODY), Err(VerifyError::Mismatch), "an empty hash");
        }
    }

    #[test]
    fn sha512_is_verified_and_a_hash_of_another_length_is_not() {
        let scheme = scheme(HmacAlgorithm::Sha512, HmacEncoding::Hex, "");
        let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(secret().text_bytes()).unwrap();
        mac.update(BODY);
        let hash = mac.finalize().into_bytes();
        let mut written = String::new();
        crate::mac::push_hex(&mut written, &hash);
        assert_eq!(verify(&scheme, &secret(), None, &written, BODY, 0, TOLERANCE), Ok(()));
        let half = verify(&scheme, &secret(), None, &written[..64], BODY, 0, TOLERANCE);
        assert_eq!(half, Err(VerifyError::Mismatch));
    }

    #[test]
    fn a_prefix_that_is_missing_is_told() {
        let scheme = scheme(HmacAlgorithm::Sha256, HmacEncoding::Hex, "sha256=");
        let error = verify(&scheme, &secret(), None, "757107ea", BODY, 0, TOLERANCE).unwrap_err();
        assert_eq!(error.to_string(), "`x-signature` does not begin with the prefix");
    }

    #[test]
    fn with_a_time_the_request_must_be_fresh_and_its_time_be_signed() {
        let scheme = HmacScheme {
            timestamp: Some(HeaderName::from_static("x-time")),
            message: "v0:{{timestamp}}:{{body}}".parse().unwrap(),
            ..scheme(HmacAlgorithm::Sha256, HmacEncoding::Hex, "v0=")
        };
        assert!(scheme.message.has_timestamp());
        let secret = SharedSecret::parse("8f742231b10e8888abcd99yyyzzz85a5").unwrap();
        let sign = |timestamp: &str| {
            let hash = secret.text_key().hash(&[b"v0:", timestamp.as_bytes(), b":", BODY]);
            let mut written = "v0=".to_owned();
            crate::mac::push_hex(&mut written, &hash);
            written
        };
        let check = |timestamp: Option<&str>, signature: &str, now| {
            verify(&scheme, &secret, timestamp, signature, BODY, now, TOLERANCE)
        };
        for (timestamp, now) in [("1531420618", 1_531_420_618), ("1531420618123", 1_531_420_918)] {
            assert_eq!(check(Some(timestamp), &sign(timestamp), now), Ok(()));
            assert_eq!(check(Some("1531420617"), &sign(timestamp), now - 300), Err(VerifyError::Mismatch));
            assert!(matches!(
                check(Some(timestamp), &sign(timestamp), now + 301),
                Err(VerifyError::TooOld { .. })
            ));
        }
        assert!(check(None, &sign("1"), 1).unwrap_err().to_string().contains("x-time"));
    }

    #[test]
    fn what_is_signed_holds_the_body_once() {
        for (text, expected) in [
            ("{{timestamp}}", SignedMessageError::Body(0)),
            ("{{body}}{{ body }}", SignedMessageError::Body(2)),
            ("{{id}}.{{body}}", SignedMessageError::Unknown("id".to_owned())),
            ("{{body", SignedMessageError::Unclosed),
        ] {
            assert_eq!(text.parse::<SignedMessage>(), Err(expected), "{text}");
        }
        assert_eq!("{{body}}".parse(), Ok(SignedMessage::body()));
        assert_eq!("{{timestamp}}.{{body}}".parse(), Ok(SignedMessage::timestamp_and_body()));
    }
}
