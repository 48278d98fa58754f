//! The key pairs of the asymmetric schemes: the gateway keeps the private key, and receivers need only the public one.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::ed25519::signature::{MultipartSigner as _, MultipartVerifier as _};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::BASE64;
use crate::secret::{NoRandomness, fill_with_randomness};

/// What a written private key begins with.
const PRIVATE_PREFIX: &str = "whsk_";
/// What a written public key begins with.
const PUBLIC_PREFIX: &str = "whpk_";

/// Why a text is not a key. A private key's text is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It lacks its prefix.
    #[error("a private key begins with `{PRIVATE_PREFIX}`; {HOW_TO_MAKE_ONE}")]
    PrivatePrefix,
    /// What follows is not base64.
    #[error("what follows `{PRIVATE_PREFIX}` in the private key is not base64; {HOW_TO_MAKE_ONE}")]
    PrivateBase64,
    /// It is neither a seed nor a key pair.
    #[error(
        "the private key has {0} bytes; an ed25519 key has 32, or 64 with its public half; {HOW_TO_MAKE_ONE}"
    )]
    PrivateLength(usize),
    /// The two halves of it are of different keys.
    #[error("the second half of the private key's 64 bytes is not its public key; {HOW_TO_MAKE_ONE}")]
    Halves,
    /// It lacks its prefix.
    #[error("a public key begins with `{PUBLIC_PREFIX}`; ask the sender for it")]
    PublicPrefix,
    /// What follows is not the base64 of an ed25519 public key, or of one that anybody can forge signatures for.
    #[error("what follows `{PUBLIC_PREFIX}` is not an ed25519 public key in base64; ask the sender for it")]
    Public,
}

const HOW_TO_MAKE_ONE: &str =
    "make one with: echo whsk_$(openssl genpkey -algorithm ed25519 -outform DER | tail -c 32 | base64)";

/// An ed25519 private key and its public half. It is shown by nothing but [`SigningKeyPair::to_file_text`].
#[derive(Clone)]
pub struct SigningKeyPair(SigningKey);

impl SigningKeyPair {
    /// Reads `whsk_` and the base64 of a 32-byte seed, or of the 64 bytes that are the seed and the public key; white
    /// space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let encoded = text.trim().strip_prefix(PRIVATE_PREFIX).ok_or(KeyError::PrivatePrefix)?;
        let bytes = Zeroizing::new(BASE64.decode(encoded).map_err(|_| KeyError::PrivateBase64)?);
        if let Ok(seed) = bytes.as_slice().try_into() {
            return Ok(Self(SigningKey::from_bytes(seed)));
        }
        let pair = bytes.as_slice().try_into().map_err(|_| KeyError::PrivateLength(bytes.len()))?;
        SigningKey::from_keypair_bytes(pair).map(Self).map_err(|_| KeyError::Halves)
    }

    /// A new one, from the operating system's randomness.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut seed = Zeroizing::new([0; 32]);
        fill_with_randomness(seed.as_mut_slice())?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The private key as it is written into its file: with its public half, as most libraries want it.
    pub fn to_file_text(&self) -> SecretString {
        let bytes = Zeroizing::new(self.0.to_keypair_bytes());
        SecretString::from(format!("{PRIVATE_PREFIX}{}", BASE64.encode(bytes.as_slice())))
    }

    /// The half that receivers verify with.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The public half as receivers are given it: `whpk_` and base64.
    pub fn public_text(&self) -> String {
        self.public().to_string()
    }

    /// The signature of a message that is given in parts.
    pub(crate) fn sign(&self, message: &[&[u8]]) -> [u8; 64] {
        self.0.multipart_sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeyPair({})", self.public())
    }
}

/// The public half of a key pair. It is no secret: `Display` writes `whpk_` and base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads `whpk_` and base64; white space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let encoded = text.trim().strip_prefix(PUBLIC_PREFIX).ok_or(KeyError::PublicPrefix)?;
        let bytes = BASE64.decode(encoded).map_err(|_| KeyError::Public)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Public)?;
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(key)),
            _ => Err(KeyError::Public),
        }
    }

    /// The name by which signatures refer to it: the thumbprint of the key as a JSON Web Key (RFC 7638, RFC 8037).
    pub fn key_id(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.0.as_bytes());
        let key = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(key))
    }

    /// Whether `signature` is this key's for the message.
    pub(crate) fn verifies(&self, message: &[&[u8]], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.multipart_verify(message, &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", BASE64.encode(self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// The key of RFC 8037, appendix A.
    const SEED: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn the_key_of_the_rfc_has_the_thumbprint_of_the_rfc() {
        let pair = SigningKeyPair::parse(SEED).unwrap();
        assert_eq!(pair.public_text(), PUBLIC);
        assert_eq!(pair.public().key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_is_read_as_it_is_written_with_or_without_its_public_half() {
        let pair = SigningKeyPair::generate().unwrap();
        let written = format!("{}\n", pair.to_file_text().expose_secret());
        assert_eq!(SigningKeyPair::parse(&written).unwrap().public(), pair.public());
        assert_eq!(PublicKey::parse(&pair.public_text()).unwrap(), pair.public());
        assert_eq!(SigningKeyPair::parse(SEED.trim_end_matches('=')).unwrap().public_text(), PUBLIC);
    }

    #[test]
    fn i12_a_private_key_shows_itself_neither_in_debug_nor_in_errors() {
        let pair = SigningKeyPair::parse(SEED).unwrap();
        assert_eq!(format!("{pair:?}"), format!("SigningKeyPair({PUBLIC})"));
        let other = SigningKeyPair::generate().unwrap();
        let mut mixed = [0; 64];
        mixed[..32].copy_from_slice(pair.0.as_bytes());
        mixed[32..].copy_from_slice(other.public().0.as_bytes());
        let mixed = format!("whsk_{}", BASE64.encode(mixed));
        for (bad, error) in [
            ("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", KeyError::PrivatePrefix),
            ("whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZ!", KeyError::PrivateBase64),
            ("whsk_nWGxne/9", KeyError::PrivateLength(6)),
            (mixed.as_str(), KeyError::Halves),
        ] {
            assert_eq!(SigningKeyPair::parse(bad).unwrap_err(), error);
            assert!(!error.to_string().contains("nWGx") && error.to_string().contains("openssl genpkey"));
        }
    }

    #[test]
    fn a_public_key_that_anybody_can_forge_for_is_refused() {
        // The identity element: every message has the same valid signature for it.
        let weak = format!("whpk_{}", BASE64.encode([[1].as_slice(), &[0; 31]].concat()));
        assert_eq!(PublicKey::parse(&weak), Err(KeyError::Public));
        assert_eq!(PublicKey::parse(SEED), Err(KeyError::PublicPrefix));
        assert_eq!(PublicKey::parse("whpk_AAAA"), Err(KeyError::Public));
    }
}
