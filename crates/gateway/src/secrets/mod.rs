//! Where secrets are kept, and how they are fetched.
//!
//! The cast: a [`Sealer`] locks up what users wrote, with the key in the state directory; `reference` follows what
//! they referred to instead, into the environment, a file, or (`program`) what a program prints; [`Secrets`] does
//! both for the delivery service, each time it makes a destination ready.
//!
//! Nothing is remembered here: a secret that was changed where it is kept is the new one when it is read again.
//!
//! What is not guaranteed: that a sealed secret is safe from who can read both the store and the key's file. Sealing
//! is for copies of the store, such as backups, which travel without it.

mod program;
mod reference;
mod sealer;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use clawhook_delivery::{SecretReader, UnreadableSecret};
use clawhook_model::SecretSource;
use secrecy::SecretString;

use crate::config::Environment;
use crate::state_dir::{StateDir, StateDirError};

pub(crate) use reference::follow_now;
pub use sealer::{NoNonce, Sealer};

/// Reads secrets for the delivery service: from the environment of this process, from files, from programs, and from
/// what was sealed with the key in the state directory.
#[derive(Debug)]
pub struct Secrets {
    sealer: Sealer,
}

impl Secrets {
    /// The secrets of the gateway with this state directory; its key is made where there is none.
    pub(crate) fn of(state: &StateDir) -> Result<Self, StateDirError> {
        Ok(Self { sealer: state.sealer()? })
    }

    /// Locks up what is to be stored.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }
}

#[async_trait]
impl SecretReader for Secrets {
    async fn read(&self, source: &SecretSource, context: &str) -> Result<SecretString, UnreadableSecret> {
        if let SecretSource::Sealed(sealed) = source {
            return self.sealer.open(sealed, context);
        }
        // Files may lie on a disk that takes its time.
        let (source, owned_context) = (source.clone(), context.to_owned());
        let following = tokio::task::spawn_blocking(move || {
            let variable = |name: &str| std::env::var(name).ok();
            follow_now(&source, &Environment::of("", &variable), &owned_context)
        });
        match following.await {
            Ok(read) => read,
            Err(_) => Err(UnreadableSecret::Cancelled { context: context.to_owned() }),
        }
    }
}
