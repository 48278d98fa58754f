//! Why a request is not accepted as signed.

use thiserror::Error;

/// Why a request is not accepted as signed. Nothing of a key is in it, nor more than the start of what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The timestamp is not a number of seconds.
    #[error("the time in `{header}` is `{given}`, which is not a whole number of seconds")]
    Timestamp {
        /// Where it stands.
        header: &'static str,
        /// The start of what was sent.
        given: String,
    },
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
    /// There is no signature that is understood.
    #[error("`{header}` holds no `{scheme}` signature")]
    NoSignature {
        /// Where it should stand.
        header: &'static str,
        /// What was looked for.
        scheme: &'static str,
    },
    /// A header that the signature needs is missing, or cannot be read.
    #[error("`{header}` {problem}")]
    Unreadable {
        /// The start of its name.
        header: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The signature does not speak for a part of the request that it must cover.
    #[error("the signature does not cover `{0}`")]
    NotCovered(&'static str),
    /// The body is not the one that the digest was made of.
    #[error("`content-digest` is not the digest of this body")]
    Digest,
    /// None of the signatures is right: another secret, or a changed id, time or body.
    #[error(
        "no signature matches: the secret is another one, or the id, the timestamp or the body was changed"
    )]
    Mismatch,
}

/// The start of a text that came from outside.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}
