//! What is taken from a file or from standard input: JSON that is sent as it is, and secrets.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;

/// The longest body that the gateway takes.
const LONGEST: u64 = 1024 * 1024;

/// Reads the JSON in `path`, where `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    parse(path).map_err(Failure::error)
}

/// The same; the error is a sentence.
pub(crate) fn parse(path: &Path) -> Result<Value, String> {
    let text = bytes(path)?;
    serde_json::from_slice(&text).map_err(|error| format!("{} is not JSON: {error}", name(path)))
}

/// Reads the secret in `path`, where `-` is standard input. A line break at its end is not part of it.
pub(crate) fn read_secret(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(bytes(path).map_err(Failure::error)?);
    let text = text.map_err(|_| Failure::error(format!("{} is not UTF-8 text", name(path))))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::error(format!("{} is empty, and a secret was expected", name(path))));
    }
    Ok(secret.to_owned())
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = if is_standard_input(path) {
        read_to_limit(io::stdin().lock())
    } else {
        File::open(path).and_then(read_to_limit)
    };
    bytes.map_err(|error| format!("cannot read {}: {error}", name(path)))
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { format!("`{}`", path.display()) }
}

fn read_to_limit(source: impl io::Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 1 MiB, the most that the gateway takes"));
    }
    Ok(text)
}
