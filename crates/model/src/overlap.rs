//! What becomes of an instant that is due while the job's runs before it are not over; the policies have Temporal's
//! names.

use serde_json::{Value, json};

use crate::definition_error::DefinitionError;
use crate::fields::Fields;
use crate::misfire::bounded;

/// What becomes of an instant that is due while an earlier run of the job waits or is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It is run when the one before is over; a further one that is due in the meantime is skipped.
    BufferOne,
    /// It is run when those before are over; so many wait at most.
    BufferAll {
        /// How many wait at most.
        most: u32,
    },
    /// The one under way is cancelled, and this one is run when that has ended.
    CancelOther,
    /// It is run beside the others.
    AllowAll,
}

impl Overlap {
    /// How many runs `bufferAll` has wait where its job names no number.
    pub const BUFFER: u32 = 100;
    /// How many runs of one job may wait or be under way, whatever its policy.
    pub const MOST_OPEN: u32 = 1000;

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::BufferOne => "bufferOne",
            Self::BufferAll { .. } => "bufferAll",
            Self::CancelOther => "cancelOther",
            Self::AllowAll => "allowAll",
        }
    }

    /// Reads a policy's name, whatever its case, with or without dashes: `bufferOne`, `buffer-one`, `BUFFER_ONE`.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect();
        match plain.to_ascii_lowercase().as_str() {
            "skip" => Some(Self::Skip),
            "bufferone" => Some(Self::BufferOne),
            "bufferall" => Some(Self::BufferAll { most: Self::BUFFER }),
            "cancelother" => Some(Self::CancelOther),
            "allowall" => Some(Self::AllowAll),
            _ => None,
        }
    }

    /// Reads `"bufferOne"`, or `{"policy": "bufferAll", "max": 20}`.
    pub(crate) fn parse(value: Value) -> Result<Self, DefinitionError> {
        let value = match value {
            Value::String(word) => json!({ "policy": word }),
            other => other,
        };
        let mut fields = Fields::open("overlap", value)?;
        let word =
            fields.text("policy")?.ok_or(DefinitionError::Missing { field: "overlap.policy".to_owned() })?;
        let most = fields.count("max")?;
        fields.close(&[])?;
        match (Self::from_name(&word), most) {
            (Some(Self::BufferAll { .. }), most) => {
                Ok(Self::BufferAll { most: bounded("overlap.max", most, Self::BUFFER, Self::MOST_OPEN)? })
            }
            (Some(_), Some(_)) => {
                Err(DefinitionError::invalid("overlap.max", "only the policy `bufferAll` has a maximum"))
            }
            (Some(policy), None) => Ok(policy),
            (None, _) => {
                let why = format!("`{word}` is not skip, bufferOne, bufferAll, cancelOther or allowAll");
                Err(DefinitionError::invalid("overlap.policy", why))
            }
        }
    }

    /// The policy as JSON.
    pub(crate) fn to_json(self) -> Value {
        match self {
            Self::BufferAll { most } => json!({ "policy": self.as_str(), "max": most }),
            _ => json!({ "policy": self.as_str() }),
        }
    }
}

/// How many runs of a job are not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenRuns {
    /// How many are under way.
    pub running: u32,
    /// How many wait: for a slot, for their time, or for another to end.
    pub waiting: u32,
}

impl OpenRuns {
    /// All of them.
    pub fn all(self) -> u32 {
        self.running.saturating_add(self.waiting)
    }

    /// Whether there is one.
    pub fn any(self) -> bool {
        self.all() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_in_any_spelling_and_written_in_one() {
        for (given, written) in [
            (json!("skip"), json!({ "policy": "skip" })),
            (json!("buffer-one"), json!({ "policy": "bufferOne" })),
            (json!({ "policy": "BUFFER_ALL" }), json!({ "policy": "bufferAll", "max": 100 })),
            (json!({ "policy": "bufferAll", "max": 7 }), json!({ "policy": "bufferAll", "max": 7 })),
            (json!("CancelOther"), json!({ "policy": "cancelOther" })),
            (json!("allowAll"), json!({ "policy": "allowAll" })),
        ] {
            let policy = Overlap::parse(given).unwrap();
            assert_eq!(policy.to_json(), written);
            assert_eq!(Overlap::parse(written).unwrap(), policy);
        }
    }

    #[test]
    fn what_is_no_policy_is_refused_with_the_value() {
        for (given, why) in [
            (json!("replace"), "`replace` is not skip"),
            (json!({ "policy": "skip", "max": 3 }), "only the policy `bufferAll`"),
            (json!({ "policy": "bufferAll", "max": 5000 }), "`5000` is not between 1 and 1000"),
        ] {
            let refused = Overlap::parse(given).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
