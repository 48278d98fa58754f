//! What the delivery service asks of whoever holds the secrets.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_model::{MAX_SECRET_BYTES, SecretSource};
use secrecy::SecretString;
use thiserror::Error;

/// Follows references to secrets, and opens what is sealed. Nothing is remembered: a secret that was changed where it
/// is kept is the new one when it is read again.
#[async_trait]
pub trait SecretReader: Send + Sync {
    /// The secret. `context` names whose and which it is, as `destination/ops/signing.secret`: what was sealed for
    /// one context opens in no other.
    async fn read(&self, source: &SecretSource, context: &str) -> Result<SecretString, UnreadableSecret>;
}

/// Why a source gives no secret. It names the source and never a value.
#[derive(Debug, Error)]
pub enum UnreadableSecret {
    /// There is no such variable.
    #[error("the environment variable `{0}` is not set; set it where the gateway is started")]
    Unset(String),
    /// The file is not there, or not for us.
    #[error("the file `{file}` cannot be read: {error}")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The program is not there, or not for us.
    #[error("the program `{program}` cannot be started: {error}")]
    NotStarted {
        /// The program.
        program: String,
        /// What the system says.
        error: io::Error,
    },
    /// The program said that it failed.
    #[error("the program `{program}` failed with {status}; run it by hand to see why")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The program took too long, and was ended.
    #[error("the program `{program}` did not end within {} s and was killed", .within.as_secs())]
    TimedOut {
        /// The program.
        program: String,
        /// Its time.
        within: Duration,
    },
    /// What was found is larger than any secret.
    #[error("{origin} gives more than {MAX_SECRET_BYTES} bytes")]
    TooLarge {
        /// Where it was found.
        origin: String,
    },
    /// What was found is no text.
    #[error("{origin} gives no UTF-8 text")]
    NoText {
        /// Where it was found.
        origin: String,
    },
    /// There is nothing in what was found.
    #[error("{origin} is empty")]
    Empty {
        /// Where it was found.
        origin: String,
    },
    /// There is something in it that is no character of a text.
    #[error("{origin} gives a control character")]
    Control {
        /// Where it was found.
        origin: String,
    },
    /// It was sealed, and no key is at hand.
    #[error("the secret of `{context}` is sealed, and there is no key here that opens it")]
    NoKey {
        /// Whose secret.
        context: String,
    },
    /// It was sealed with another key.
    #[error(
        "the secret of `{context}` was sealed with another key than the one in `{key_file}`; restore that file from a \
         backup, or write the secret again"
    )]
    OtherKey {
        /// Whose secret.
        context: String,
        /// Where the key is kept.
        key_file: PathBuf,
    },
    /// It was changed, or moved here from elsewhere.
    #[error(
        "the sealed secret of `{context}` does not open with the key in `{key_file}`: it was damaged, or sealed for \
         something else; write the secret again"
    )]
    Damaged {
        /// Whose secret.
        context: String,
        /// Where the key is kept.
        key_file: PathBuf,
    },
    /// The reading was given up before its end.
    #[error("the secret of `{context}` was not read: the gateway is ending")]
    Cancelled {
        /// Whose secret.
        context: String,
    },
}
