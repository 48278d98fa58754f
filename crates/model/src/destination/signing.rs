//! By which schemes a destination's requests are signed.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

/// How much of a text that is no scheme a message repeats.
const SHOWN: usize = 40;

/// A way to sign a request, such that its receiver can tell who sent it and that nobody changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureScheme {
    /// Standard Webhooks with a shared secret (HMAC-SHA256).
    V1,
    /// Standard Webhooks with a private key (ed25519), whose public half receivers verify with.
    V1a,
    /// GitHub's `X-Hub-Signature-256`.
    Github,
    /// Stripe's `Stripe-Signature`.
    Stripe,
    /// HTTP Message Signatures (RFC 9421), which cover the method and the address as well.
    Rfc9421,
}

impl SignatureScheme {
    /// All of them, in the order in which people are told of them.
    pub const ALL: [Self; 5] = [Self::V1, Self::V1a, Self::Github, Self::Stripe, Self::Rfc9421];

    /// The wire's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1a => "v1a",
            Self::Github => "github",
            Self::Stripe => "stripe",
            Self::Rfc9421 => "rfc9421",
        }
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SignatureScheme {
    type Err = SchemesError;

    fn from_str(text: &str) -> Result<Self, SchemesError> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == text).ok_or_else(|| SchemesError::Unknown {
            given: text.chars().take(SHOWN).collect(),
            near: near(text),
        })
    }
}

impl Serialize for SignatureScheme {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The scheme whose name `text` resembles most, if it resembles one at all.
fn near(text: &str) -> Option<SignatureScheme> {
    let text = text.trim().to_lowercase();
    SignatureScheme::ALL
        .into_iter()
        .map(|scheme| (strsim::damerau_levenshtein(scheme.as_str(), &text), scheme))
        .filter(|(distance, scheme)| *distance <= scheme.as_str().len() / 3)
        .min()
        .map(|(_, scheme)| scheme)
}

/// The schemes of one destination: at least one, each once, in the order they were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SignatureSchemes(Vec<SignatureScheme>);

impl SignatureSchemes {
    /// These schemes.
    pub fn new(schemes: impl IntoIterator<Item = SignatureScheme>) -> Result<Self, SchemesError> {
        let mut chosen = Vec::new();
        for scheme in schemes {
            if chosen.contains(&scheme) {
                return Err(SchemesError::Duplicate(scheme));
            }
            chosen.push(scheme);
        }
        if chosen.is_empty() { Err(SchemesError::Empty) } else { Ok(Self(chosen)) }
    }

    /// Reads a JSON list of names.
    pub fn parse(value: &Value) -> Result<Self, SchemesError> {
        let names = value.as_array().ok_or(SchemesError::NotAList)?;
        let schemes: Result<Vec<_>, _> =
            names.iter().map(|name| name.as_str().ok_or(SchemesError::NotAList)?.parse()).collect();
        Self::new(schemes?)
    }

    /// Whether `scheme` is one of them.
    pub fn contains(&self, scheme: SignatureScheme) -> bool {
        self.0.contains(&scheme)
    }

    /// The schemes, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = SignatureScheme> + '_ {
        self.0.iter().copied()
    }
}

impl Default for SignatureSchemes {
    /// `v1` alone, which every Standard Webhooks library verifies.
    fn default() -> Self {
        Self(vec![SignatureScheme::V1])
    }
}

/// Why a JSON value names no schemes. What to do is in [`SchemesError::hint`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemesError {
    /// It is something else.
    #[error("signature schemes are a list of names")]
    NotAList,
    /// It is an empty list.
    #[error("the list of signature schemes is empty, and nothing is sent unsigned")]
    Empty,
    /// A name that no scheme has.
    #[error("`{given}` is not a signature scheme")]
    Unknown {
        /// The start of what was given.
        given: String,
        /// The scheme it resembles most.
        near: Option<SignatureScheme>,
    },
    /// A scheme is named twice.
    #[error("the signature scheme `{0}` is named twice")]
    Duplicate(SignatureScheme),
}

impl SchemesError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NotAList | Self::Unknown { near: None, .. } => {
                "choose among v1, v1a, github, stripe and rfc9421, such as [\"v1\", \"v1a\"]".to_owned()
            }
            Self::Empty => "leave it out for v1, or name at least one".to_owned(),
            Self::Duplicate(scheme) => {
                format!("name `{scheme}` once; each request carries one header for it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemes_are_read_as_they_are_written() {
        let all = json!(["v1", "v1a", "github", "stripe", "rfc9421"]);
        let schemes = SignatureSchemes::parse(&all).unwrap();
        assert!(schemes.iter().eq(SignatureScheme::ALL));
        assert_eq!(json!(schemes), all);
        assert_eq!(json!(SignatureSchemes::default()), json!(["v1"]));
    }

    #[test]
    fn what_names_no_schemes_is_refused_with_what_to_do() {
        let unknown = |given: &str, near| SchemesError::Unknown { given: given.to_owned(), near };
        let cases = [
            (json!(["gihtub"]), unknown("gihtub", Some(SignatureScheme::Github)), "did you mean `github`"),
            (json!(["Stripe"]), unknown("Stripe", Some(SignatureScheme::Stripe)), "did you mean `stripe`"),
            (json!(["RFC-9421"]), unknown("RFC-9421", Some(SignatureScheme::Rfc9421)), "`rfc9421`"),
            (json!(["pgp"]), unknown("pgp", None), "choose among"),
            (json!(["v1", "v1"]), SchemesError::Duplicate(SignatureScheme::V1), "once"),
            (json!([]), SchemesError::Empty, "leave it out"),
            (json!("v1"), SchemesError::NotAList, "such as"),
            (json!([1]), SchemesError::NotAList, "such as"),
        ];
        for (value, error, hint) in cases {
            assert_eq!(SignatureSchemes::parse(&value), Err(error.clone()), "{value}");
            assert!(error.hint().contains(hint), "{error}: {}", error.hint());
        }
        let long = "x".repeat(1_000);
        assert!(SignatureSchemes::parse(&json!([long])).unwrap_err().to_string().len() < 100);
    }
}
