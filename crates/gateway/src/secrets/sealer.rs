//! Sealing: what a user wrote is stored in a form that only this gateway's key opens.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use clawhook_delivery::UnreadableSecret;
use clawhook_model::{SecretSource, SecretText};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// How many bytes a key has.
const KEY_BYTES: usize = 32;
/// How many random bytes make each sealing one of its kind; so many that they may be drawn by chance for ever.
const NONCE_BYTES: usize = 24;
/// The form of a sealed text: `v1.<key>.<nonce and cipher>`, where the first part says how and the second by which key.
const VERSION: &str = "v1";

/// Seals secrets and opens them again: XChaCha20-Poly1305 under the key in the state directory. What a secret belongs
/// to is part of its seal, so that nobody who can write the store can have it sent elsewhere.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    /// Tells keys apart and says nothing else of them.
    key_id: String,
    key_file: PathBuf,
}

/// There is no randomness to seal with.
#[derive(Debug, Error)]
#[error("the operating system gave no random bytes to seal a secret with: {0}")]
pub struct NoNonce(getrandom::Error);

impl Sealer {
    /// A new key, as its file holds it.
    pub(crate) fn generate_key() -> Result<SecretString, getrandom::Error> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(BASE64.encode(bytes).into())
    }

    /// The sealer with the key that `key_file` holds as `text`; `None` where that is no key.
    pub(crate) fn from_file_text(text: &SecretString, key_file: PathBuf) -> Option<Self> {
        let bytes: [u8; KEY_BYTES] = BASE64.decode(text.expose_secret()).ok()?.try_into().ok()?;
        Some(Self { cipher: XChaCha20Poly1305::new(&bytes.into()), key_id: key_id(&bytes), key_file })
    }

    /// Seals `text` for `context`, such as `destination/ops/signing.secret`.
    pub fn seal(&self, text: &SecretText, context: &str) -> Result<String, NoNonce> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(NoNonce)?;
        let payload = Payload { msg: text.expose().as_bytes(), aad: &bound_to(context) };
        let cipher = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let Ok(cipher) = cipher else { unreachable!("a text is far shorter than the cipher can take") };
        Ok(format!("{VERSION}.{}.{}", self.key_id, BASE64.encode([&nonce[..], &cipher].concat())))
    }

    /// Opens what was sealed for this very context.
    pub fn open(&self, sealed: &str, context: &str) -> Result<SecretString, UnreadableSecret> {
        let damaged =
            || UnreadableSecret::Damaged { context: context.to_owned(), key_file: self.key_file.clone() };
        let mut parts = sealed.split('.');
        let (Some(VERSION), Some(key_id), Some(rest), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(damaged());
        };
        if key_id != self.key_id {
            let key_file = self.key_file.clone();
            return Err(UnreadableSecret::OtherKey { context: context.to_owned(), key_file });
        }
        let bytes = BASE64.decode(rest).map_err(|_| damaged())?;
        let (nonce, cipher) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
        let payload = Payload { msg: cipher, aad: &bound_to(context) };
        let text = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| damaged())?;
        Ok(String::from_utf8(text).map_err(|_| damaged())?.into())
    }

    /// The source as it may be stored: a text that was written is sealed, everything else stays as it is.
    pub fn at_rest(&self, source: SecretSource, context: &str) -> Result<SecretSource, NoNonce> {
        match source {
            SecretSource::Written(text) => Ok(SecretSource::Sealed(self.seal(&text, context)?)),
            other => Ok(other),
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("key_id", &self.key_id)
            .field("key_file", &self.key_file)
            .finish_non_exhaustive()
    }
}

/// What is authenticated with each text.
fn bound_to(context: &str) -> Vec<u8> {
    format!("clawhook secret {VERSION}\0{context}").into_bytes()
}

fn key_id(key: &[u8; KEY_BYTES]) -> String {
    let digest = Sha256::new().chain_update(b"clawhook secret-key id\0").chain_update(key).finalize();
    BASE64.encode(&digest[..6])
}
