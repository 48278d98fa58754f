//! The secrets that the gateway shares with a receiver.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::BASE64;
use crate::mac::MacKey;

/// What a written secret of Standard Webhooks begins with.
pub(crate) const PREFIX: &str = "whsec_";
/// The standard's bounds on a secret's length, in bytes.
const LENGTHS: RangeInclusive<usize> = 24..=64;
/// The length of the secrets made here: the length of the hash, beyond which nothing is gained.
const GENERATED_LENGTH: usize = 32;
/// The bounds on a text that is a secret as it stands, in characters.
const TEXT_LENGTHS: RangeInclusive<usize> = 16..=1024;

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

/// Why a text cannot be a secret at all. The text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SharedSecretError {
    /// It is too short to be safe, or too long to be a secret.
    #[error("the secret has {0} characters, and it takes 16 to 1024; {HOW_TO_MAKE_ONE}")]
    Length(usize),
}

const HOW_TO_MAKE_ONE: &str = "make one with: echo whsec_$(openssl rand -base64 32)";

/// The operating system gave no random bytes.
#[derive(Debug, Error)]
#[error("the operating system gave no random bytes for a signing key: {0}")]
pub struct NoRandomness(getrandom::Error);

/// Fills `bytes` from the operating system's randomness.
pub(crate) fn fill_with_randomness(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(NoRandomness)
}

/// A secret of Standard Webhooks. It is shown by nothing but [`SigningSecret::to_file_text`].
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
        fill_with_randomness(&mut bytes)?;
        Ok(Self(SecretSlice::from(bytes)))
    }

    /// The secret as it is written: into its file, and into the receiver's configuration.
    pub fn to_file_text(&self) -> SecretString {
        SecretString::from(format!("{PREFIX}{}", BASE64.encode(self.0.expose_secret())))
    }

    pub(crate) fn mac_key(&self) -> MacKey {
        MacKey::new(self.0.expose_secret())
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(***)")
    }
}

/// The secret of a destination, as it was written. What its key is depends on the scheme: Standard Webhooks take the
/// bytes that follow `whsec_`, GitHub and Stripe the whole text, whatever it looks like.
#[derive(Clone)]
pub struct SharedSecret(SecretString);

impl SharedSecret {
    /// Takes a text of 16 to 1024 characters; white space around it, such as a file's last newline, is ignored.
    pub fn parse(text: &str) -> Result<Self, SharedSecretError> {
        let text = text.trim();
        match text.chars().count() {
            length if TEXT_LENGTHS.contains(&length) => Ok(Self(SecretString::from(text))),
            length => Err(SharedSecretError::Length(length)),
        }
    }

    /// The secret as Standard Webhooks understand it.
    pub fn to_signing_secret(&self) -> Result<SigningSecret, SecretError> {
        SigningSecret::parse(self.0.expose_secret())
    }

    /// The key of the schemes that take the whole text.
    pub(crate) fn text_key(&self) -> MacKey {
        MacKey::new(self.0.expose_secret().as_bytes())
    }

    /// The bytes of the whole text.
    pub(crate) fn text_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }

    /// Whether `given` has the digest that the whole text has, in constant time.
    pub(crate) fn has_digest_of(&self, given: &str) -> bool {
        Sha256::digest(self.text_bytes()).ct_eq(&Sha256::digest(given.as_bytes())).into()
    }

    /// The key of a scheme that takes bytes and prescribes no form: those that follow `whsec_`, or the whole of a text
    /// that does not begin so.
    pub(crate) fn bytes_key(&self) -> Result<MacKey, SecretError> {
        match self.to_signing_secret() {
            Ok(secret) => Ok(secret.mac_key()),
            Err(SecretError::Prefix) => Ok(self.text_key()),
            Err(error) => Err(error),
        }
    }
}

impl From<&SigningSecret> for SharedSecret {
    fn from(secret: &SigningSecret) -> Self {
        Self(secret.to_file_text())
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_is_written() {
        let secret = SigningSecret::generate().unwrap();
        let text = format!("{}\n", secret.to_file_text().expose_secret());
        let padding = text.trim().trim_end_matches('=');
        for written in [text.as_str(), padding] {
            let read = SigningSecret::parse(written).unwrap();
            assert_eq!(read.mac_key().hash(&[b"m"]), secret.mac_key().hash(&[b"m"]));
        }
    }

    #[test]
    fn i12_a_secret_shows_itself_neither_in_debug_nor_in_errors() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(format!("{:?}", SigningSecret::parse(text).unwrap()), "SigningSecret(***)");
        assert_eq!(format!("{:?}", SharedSecret::parse(text).unwrap()), "SharedSecret(***)");
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
        let error = SharedSecret::parse("fifteen letters").unwrap_err();
        assert_eq!(error, SharedSecretError::Length(15));
        assert!(!error.to_string().contains("letters") && error.to_string().contains("openssl rand"));
        assert_eq!(SharedSecret::parse(&"x".repeat(1_025)).unwrap_err(), SharedSecretError::Length(1_025));
    }

    #[test]
    fn a_plain_text_is_a_key_as_it_stands_and_a_whsec_text_is_one_by_its_bytes() {
        let plain = SharedSecret::parse("a plain text of many letters").unwrap();
        assert_eq!(plain.to_signing_secret().unwrap_err(), SecretError::Prefix);
        assert!(plain.bytes_key().unwrap().hash(&[]) == plain.text_key().hash(&[]));

        let standard = SigningSecret::generate().unwrap();
        let shared = SharedSecret::from(&standard);
        assert!(shared.bytes_key().unwrap().hash(&[]) == standard.mac_key().hash(&[]));
        assert!(shared.text_key().hash(&[]) != standard.mac_key().hash(&[]));

        let broken = SharedSecret::parse("whsec_not_base64_at_all").unwrap();
        assert_eq!(broken.bytes_key().err(), Some(SecretError::Base64), "it is not taken for a plain text");
    }
}
