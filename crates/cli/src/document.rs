//! JSON from a file or from standard input, sent as it is.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;

/// The longest body that the gateway takes.
const LONGEST: u64 = 1024 * 1024;

/// Reads `path`, where `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    let (name, text) = if path == Path::new("-") {
        ("standard input".to_owned(), read_to_limit(io::stdin().lock()))
    } else {
        (format!("`{}`", path.display()), File::open(path).and_then(read_to_limit))
    };
    let text = text.map_err(|error| Failure::error(format!("cannot read {name}: {error}")))?;
    serde_json::from_slice(&text).map_err(|error| Failure::error(format!("{name} is not JSON: {error}")))
}

fn read_to_limit(source: impl io::Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 1 MiB, the most that the gateway takes"));
    }
    Ok(text)
}
