//! Why the definition of a job or of a destination is refused.

use thiserror::Error;

use crate::job::JobDefinition;
use crate::schedule::Schedule;
use crate::webhook_url::WebhookUrlError;

/// Why JSON is no definition of a job, or of a destination. The message carries the value; what to do is in
/// [`DefinitionError::hint`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DefinitionError {
    /// A field that there is not.
    #[error("unknown field `{field}`")]
    UnknownField {
        /// Its full name.
        field: String,
        /// The known field it resembles most.
        near: Option<String>,
    },
    /// A field that OpenClaw knows and this version does not act on.
    #[error("`{field}` is a field of OpenClaw that this version of clawhook does not act on")]
    NotServed {
        /// Its full name.
        field: String,
    },
    /// A field that is needed and absent or blank.
    #[error("`{field}` is required")]
    Missing {
        /// Its full name.
        field: String,
    },
    /// A value of the wrong JSON type.
    #[error("`{field}` must be {expected}, not {got}")]
    Type {
        /// Its full name.
        field: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// A value outside what is allowed.
    #[error("`{field}`: {why}")]
    Invalid {
        /// Its full name.
        field: String,
        /// What is wrong with the value, with the value in it.
        why: String,
    },
    /// A session target with a payload that cannot run there (contract §1.3).
    #[error("sessionTarget `{target}` cannot run payload.kind `{payload}`: {rule}")]
    Pairing {
        /// The target as given.
        target: String,
        /// The payload's kind.
        payload: &'static str,
        /// OpenClaw's sentence for the rule.
        rule: &'static str,
    },
    /// The webhook's URL.
    #[error("`{field}`: {error}")]
    Url {
        /// Its full name.
        field: String,
        /// What is wrong with it.
        error: WebhookUrlError,
    },
}

impl DefinitionError {
    /// What to do about it, where that is not plain from the message.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownField { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::NotServed { field } => Some(format!("leave `{field}` out; the job runs without it")),
            Self::Pairing { .. } => {
                Some("use main with systemEvent, and isolated with agentTurn or command".to_owned())
            }
            Self::Missing { field } if field == "delivery.to" => {
                Some("give the URL that the event is to be posted to".to_owned())
            }
            Self::Missing { field } | Self::Type { field, .. } | Self::Invalid { field, .. } => {
                hint_by_field(field).map(str::to_owned)
            }
            _ => None,
        }
    }

    /// A heartbeat is nobody's to make.
    pub(crate) fn heartbeat() -> Self {
        let why = "heartbeats are the gateway's own; set `agents.defaults.heartbeat` in its configuration";
        Self::invalid("payload.kind", why)
    }

    /// The gateway's own jobs are nobody's to make.
    pub(crate) fn system_owned(definition: &JobDefinition) -> Self {
        match definition.schedule {
            Schedule::Event { .. } => Self::kind_not_run("event"),
            _ => Self::heartbeat(),
        }
    }

    /// A kind of schedule that only OpenClaw has.
    pub(crate) fn kind_not_run(kind: &str) -> Self {
        let why = format!("`{kind}` is a kind of OpenClaw that this version of clawhook does not run");
        Self::invalid("schedule.kind", why)
    }

    /// The error that a field holds something that it may not.
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), why: why.into() }
    }
}

/// How the values of a field are written.
fn hint_by_field(field: &str) -> Option<&'static str> {
    match field {
        "schedule.at" => Some(
            "write an instant such as `2027-02-18T14:00:00Z` or `2027-02-18T15:00:00+01:00`, or milliseconds since \
             the epoch; the last year is 9999",
        ),
        "schedule.everyMs" => {
            Some("give a whole number of milliseconds, at least 1: 900000 is a quarter of an hour")
        }
        "schedule.anchorMs" => {
            Some("give milliseconds since the epoch, or leave it out: it is then the present")
        }
        "schedule.staggerMs" => Some("give a whole number of milliseconds; 0 is exact"),
        "schedule.expr" => Some("give a cron expression such as `0 9 * * 1-5`"),
        "schedule.dst" => Some("`openclaw` is the default; docs/schedules.md shows what each of them does"),
        "misfire.policy" | "misfire.max" | "misfire.maxLatenessSeconds" => {
            Some("write `\"once\"`, or `{\"policy\": \"each\", \"max\": 10, \"maxLatenessSeconds\": 3600}`")
        }
        "overlap.policy" | "overlap.max" => {
            Some("write `\"bufferOne\"`, or `{\"policy\": \"bufferAll\", \"max\": 20}`")
        }
        "from" | "to" => {
            Some("give both ends, such as `2027-02-18T14:00:00Z`, or milliseconds since the epoch")
        }
        "schedule.kind" => Some("use `at` for once, `every` for an interval, `cron` for times of day"),
        _ => None,
    }
}
