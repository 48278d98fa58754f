//! How an event gets there: sign, guard, send, classify, retry.

mod backoff;
mod guard;
mod signature;

pub use backoff::RetrySchedule;
pub use guard::{Guard, GuardPolicy, GuardRefusal, VettedAddress};
pub use signature::{NoRandomness, SecretError, SignedHeaders, SigningSecret, VerifyError, sign, verify};
