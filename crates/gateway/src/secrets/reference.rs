//! Following a reference to its secret.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use clawhook_delivery::UnreadableSecret;
use clawhook_model::{MAX_SECRET_BYTES, SecretSource};
use secrecy::SecretString;

use super::program;
use crate::config::Environment;

/// Fetches a secret that is not sealed. It blocks: on the disk, and for some seconds on a program.
pub(crate) fn follow_now(
    source: &SecretSource,
    environment: &Environment<'_>,
    context: &str,
) -> Result<SecretString, UnreadableSecret> {
    match source {
        SecretSource::Written(text) => Ok(text.as_secret_string().clone()),
        SecretSource::Env(name) => {
            let text = environment.get(name).ok_or_else(|| UnreadableSecret::Unset(name.clone()))?;
            checked(text.into_bytes(), || format!("the environment variable `{name}`"))
        }
        SecretSource::File(path) => {
            let path = environment.locate(path);
            let origin = format!("the file `{}`", path.display());
            let bytes = read(&path).map_err(|error| UnreadableSecret::File { file: path, error })?;
            checked(bytes, || origin)
        }
        SecretSource::Exec(argv) => {
            let variables = program::VARIABLES
                .into_iter()
                .filter_map(|name| environment.get(name).map(|value| (name, value)))
                .collect();
            let printed = program::output(argv, variables)?;
            checked(printed, || format!("the program `{}`", argv.first().map_or("", String::as_str)))
        }
        SecretSource::Sealed(_) => Err(UnreadableSecret::NoKey { context: context.to_owned() }),
    }
}

/// The file's content, as far as a secret may go and one byte more.
fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    // A pipe would be waited for without end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SECRET_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What was found, without the line break that editors and programs put at the end, as a secret.
fn checked(mut bytes: Vec<u8>, origin: impl FnOnce() -> String) -> Result<SecretString, UnreadableSecret> {
    if bytes.len() > MAX_SECRET_BYTES {
        return Err(UnreadableSecret::TooLarge { origin: origin() });
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(UnreadableSecret::NoText { origin: origin() });
    };
    if text.trim().is_empty() {
        return Err(UnreadableSecret::Empty { origin: origin() });
    }
    if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(UnreadableSecret::Control { origin: origin() });
    }
    Ok(text.into())
}
