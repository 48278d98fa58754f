//! Secrets: written in the file or, better, referred to, and never shown (invariant 12).

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use clawhook_model::MASK;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::Environment;

/// The most that is read of a secret's file.
const LARGEST_SECRET: u64 = 64 * 1024;

/// A secret's value. `Debug` shows a mask; whoever needs the text says so with [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself: for the wire and for comparing, never for people.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The value as the `secrecy` crate's type.
    pub fn as_secret_string(&self) -> &SecretString {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// How a secret was written.
#[derive(Debug, Clone)]
pub(super) enum SecretSource {
    /// The text itself.
    Written(Secret),
    /// The variable of this name.
    Variable(String),
    /// The content of this file.
    File(PathBuf),
}

/// Why a reference gives no secret. It names the reference and never a value.
#[derive(Debug, Error)]
pub(super) enum UnresolvedSecret {
    #[error("the environment variable `{0}`, which is not set")]
    Unset(String),
    #[error("the file `{0}`, which cannot be read: {1}")]
    Unreadable(String, std::io::Error),
    #[error("the file `{0}`, which is larger than {LARGEST_SECRET} bytes")]
    TooLarge(String),
    #[error("{0}, which is empty")]
    Empty(String),
    #[error("{0}, which holds a line break or another control character")]
    Control(String),
    #[error("the file `{0}`, which is no UTF-8 text")]
    NoText(String),
}

impl SecretSource {
    /// Fetches the secret.
    pub(super) fn resolve(&self, environment: &Environment<'_>) -> Result<Secret, UnresolvedSecret> {
        match self {
            Self::Written(secret) => Ok(secret.clone()),
            Self::Variable(name) => {
                let text = environment.get(name).ok_or_else(|| UnresolvedSecret::Unset(name.clone()))?;
                checked(text, || format!("the environment variable `{name}`"))
            }
            Self::File(path) => {
                let path = environment.locate(path);
                let name = path.display().to_string();
                let mut text = read(&path, &name)?;
                let without_newline = text.trim_end_matches(['\r', '\n']).len();
                text.truncate(without_newline);
                checked(text, || format!("the file `{name}`"))
            }
        }
    }
}

fn read(path: &std::path::Path, name: &str) -> Result<String, UnresolvedSecret> {
    let unreadable = |error| UnresolvedSecret::Unreadable(name.to_owned(), error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LARGEST_SECRET + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_SECRET {
        return Err(UnresolvedSecret::TooLarge(name.to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| UnresolvedSecret::NoText(name.to_owned()))
}

fn checked(text: String, origin: impl Fn() -> String) -> Result<Secret, UnresolvedSecret> {
    if text.trim().is_empty() {
        return Err(UnresolvedSecret::Empty(origin()));
    }
    if text.contains(char::is_control) {
        return Err(UnresolvedSecret::Control(origin()));
    }
    Ok(Secret::from(text))
}
