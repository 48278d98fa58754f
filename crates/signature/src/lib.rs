//! Signatures: how a receiver can tell that a request is ours, that it is fresh, and that nobody changed it.
//!
//! The cast: a [`Signer`] is built once for a destination, from its schemes and its [`SigningKeys`], and then sets
//! every header of every scheme over the exact bytes that are sent. One module for each scheme holds both sides:
//! what the signer writes, and `verify`, which is how a receiver should read it.
//! - [`v1`] and [`v1a`]: Standard Webhooks, with a shared secret and with a private key;
//! - [`github`] and [`stripe`]: the headers that their receivers' libraries know;
//! - [`slack`], [`token`] and [`generic`]: what services send us in their own ways, which is verified only;
//! - [`rfc9421`]: HTTP Message Signatures, which cover the method and the address too.
//! - [`AckLinks`]: the links by which people acknowledge what they were sent.
//!
//! Who owns what: keys are taken in once, when the signer is built, so that a signature costs its message alone. Where
//! a key is being replaced, the retiring one signs as well for as long as the attempt's time is before its end.
//!
//! What is not guaranteed: that a receiver verifies; that GitHub's scheme tells a fresh request from a repeated one,
//! because it covers no time; and that Stripe's and GitHub's cover the event's id, which travels beside them.

mod ack_link;
mod freshness;
pub mod generic;
pub mod github;
mod key_pair;
mod mac;
pub mod rfc9421;
mod secret;
mod signer;
pub mod slack;
mod standard;
pub mod stripe;
pub mod token;
pub mod v1;
pub mod v1a;
mod verify_error;

pub use ack_link::{AckLinkError, AckLinks};
pub use key_pair::{KeyError, PublicKey, SigningKeyPair};
pub use secret::{NoRandomness, SecretError, SharedSecret, SharedSecretError, SigningSecret};
pub use signer::{LiveKeys, Retiring, Signer, SignerError, SigningInput, SigningKeys};
pub use standard::SignedHeaders;
pub use v1::{sign, verify};
pub use verify_error::VerifyError;

use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Padded when written, indifferent when read: keys are carried by hand.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
