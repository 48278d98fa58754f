//! A destination's name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// The longest name, in characters.
const LONGEST: usize = 63;

/// The name that jobs and people call a destination by: lower-case letters, digits, `-`, `_` and `.`, beginning with a
/// letter or a digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DestinationName(String);

/// Why a text is not a destination's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a destination's name: 1 to {LONGEST} lower-case letters, digits, `-`, `_` or `.`, the first a letter or a digit"
)]
pub struct DestinationNameError(String);

impl DestinationName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the secret in this field of the destination is sealed for: it opens nowhere else.
    pub fn secret_context(&self, field: &str) -> String {
        format!("destination/{self}/{field}")
    }
}

impl FromStr for DestinationName {
    type Err = DestinationNameError;

    fn from_str(text: &str) -> Result<Self, DestinationNameError> {
        let fits = text.len() <= LONGEST
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c))
            // Such names are the handles of implicit destinations.
            && !text.starts_with("dst_");
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(DestinationNameError(text.chars().take(2 * LONGEST).collect()))
        }
    }
}

impl fmt::Display for DestinationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DestinationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DestinationName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_plain_and_no_handle() {
        for good in ["ops", "n8n", "team-a.alerts_2", "0"] {
            assert_eq!(good.parse::<DestinationName>().unwrap().as_str(), good);
        }
        for bad in ["", "Ops", "-a", "a b", "a/b", "dst_1", "é", &"x".repeat(64)] {
            assert!(bad.parse::<DestinationName>().is_err(), "{bad:?}");
        }
    }
}
