//! What becomes of due instants at which nobody was there to run them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::fields::Fields;

/// What becomes of due instants at which nobody was there: the gateway was down, the machine asleep, its clock set
/// forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfire {
    /// Which of them are run.
    pub policy: MisfirePolicy,
    /// How late an instant may be begun at most; one that is later is missed, whatever the policy.
    pub max_lateness: Option<Duration>,
}

/// Which of several instants that have passed are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MisfirePolicy {
    /// None: each is recorded as missed.
    Skip,
    /// The last one, which stands for the others, as OpenClaw does it (contract §3.7).
    Once,
    /// Each of them, in order, and the last so many at most.
    Each {
        /// How many at most.
        most: u32,
    },
}

impl Default for Misfire {
    fn default() -> Self {
        Self { policy: MisfirePolicy::Once, max_lateness: None }
    }
}

impl MisfirePolicy {
    /// How many instants `each` runs where its job names no number.
    pub const EACH: u32 = 10;
    /// The greatest number that a job may name.
    pub const MOST_EACH: u32 = 1000;

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::Each { .. } => "each",
        }
    }
}

/// What a job says of misfires; what it leaves open is the gateway's to say (`cron.misfire`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MisfireSettings {
    /// Which of several instants are run.
    pub policy: Option<MisfirePolicy>,
    /// How late an instant may be begun at most.
    pub max_lateness: Option<Duration>,
}

impl MisfireSettings {
    /// What holds, where `defaults` is what the gateway says.
    pub fn over(self, defaults: Misfire) -> Misfire {
        Misfire {
            policy: self.policy.unwrap_or(defaults.policy),
            max_lateness: self.max_lateness.or(defaults.max_lateness),
        }
    }

    /// Reads `"once"`, or `{"policy": "each", "max": 5, "maxLatenessSeconds": 3600}`.
    pub(crate) fn parse(value: Value) -> Result<Self, DefinitionError> {
        let value = match value {
            Value::String(word) => json!({ "policy": word }),
            other => other,
        };
        let mut fields = Fields::open("misfire", value)?;
        let word = fields.text("policy")?.map(|word| word.trim().to_lowercase());
        let most = fields.count("max")?;
        let max_lateness = fields.seconds("maxLatenessSeconds")?.map(Duration::from_millis);
        fields.close(&[])?;
        let policy = match word.as_deref() {
            None => None,
            Some("skip") => Some(MisfirePolicy::Skip),
            Some("once") => Some(MisfirePolicy::Once),
            Some("each") => Some(MisfirePolicy::Each {
                most: bounded("misfire.max", most, MisfirePolicy::EACH, MisfirePolicy::MOST_EACH)?,
            }),
            Some(other) => {
                let why = format!("`{other}` is not skip, once or each");
                return Err(DefinitionError::invalid("misfire.policy", why));
            }
        };
        if most.is_some() && !matches!(policy, Some(MisfirePolicy::Each { .. })) {
            return Err(DefinitionError::invalid("misfire.max", "only the policy `each` has a maximum"));
        }
        Ok(Self { policy, max_lateness })
    }

    /// The settings as JSON; none where nothing is set.
    pub(crate) fn to_json(self) -> Option<Value> {
        let mut out = Map::new();
        if let Some(policy) = self.policy {
            out.insert("policy".to_owned(), json!(policy.as_str()));
            if let MisfirePolicy::Each { most } = policy {
                out.insert("max".to_owned(), json!(most));
            }
        }
        if let Some(lateness) = self.max_lateness {
            out.insert("maxLatenessSeconds".to_owned(), seconds(lateness));
        }
        (!out.is_empty()).then_some(Value::Object(out))
    }
}

/// A number of at least 1, or `default` where none is given.
pub(crate) fn bounded(
    field: &str,
    given: Option<u64>,
    default: u32,
    most: u32,
) -> Result<u32, DefinitionError> {
    let Some(given) = given else { return Ok(default) };
    match u32::try_from(given) {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(DefinitionError::invalid(field, format!("`{given}` is not between 1 and {most}"))),
    }
}

/// A duration as a number of seconds: a whole one where it is whole.
fn seconds(duration: Duration) -> Value {
    if duration.subsec_nanos() == 0 { json!(duration.as_secs()) } else { json!(duration.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_says_of_misfires_is_read_and_written_back() {
        for (given, written) in [
            (json!("skip"), json!({ "policy": "skip" })),
            (json!({ "policy": "Once" }), json!({ "policy": "once" })),
            (json!("each"), json!({ "policy": "each", "max": 10 })),
            (json!({ "policy": "each", "max": 3 }), json!({ "policy": "each", "max": 3 })),
            (json!({ "maxLatenessSeconds": 90 }), json!({ "maxLatenessSeconds": 90 })),
            (
                json!({ "policy": "skip", "maxLatenessSeconds": 0.5 }),
                json!({ "policy": "skip", "maxLatenessSeconds": 0.5 }),
            ),
        ] {
            assert_eq!(MisfireSettings::parse(given).unwrap().to_json(), Some(written));
        }
        assert_eq!(MisfireSettings::default().to_json(), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_value() {
        for (given, why) in [
            (json!("never"), "`never` is not skip, once or each"),
            (json!({ "policy": "each", "max": 0 }), "`0` is not between 1 and 1000"),
            (json!({ "policy": "once", "max": 2 }), "only the policy `each` has a maximum"),
        ] {
            let refused = MisfireSettings::parse(given).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
        assert!(MisfireSettings::parse(json!({ "policy": "skip", "maxLatness": 1 })).is_err());
    }

    #[test]
    fn a_job_overrides_what_it_names_and_leaves_the_rest_to_the_gateway() {
        let gateway = Misfire { policy: MisfirePolicy::Skip, max_lateness: Some(Duration::from_secs(5)) };
        let job = MisfireSettings { policy: Some(MisfirePolicy::Once), max_lateness: None };
        let both = Misfire { policy: MisfirePolicy::Once, max_lateness: Some(Duration::from_secs(5)) };
        assert_eq!(job.over(gateway), both);
    }
}
