//! Chains: a job that begins when another has ended.

use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::fields::{Fields, kind_of};
use crate::run::RunStatus;

/// How many jobs one job may wait for.
const MOST: usize = 16;

/// A job whose end begins this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// The job: its id. A name is taken where a job is saved, and its id is what is kept.
    pub job: String,
    /// How it must end.
    pub on: ChainOn,
    /// Whether the run is told what the other one brought.
    pub pass_result: bool,
}

/// Which ends of a run begin the next one. Execution alone counts: whether a result arrives is another fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainOn {
    /// It succeeded.
    Success,
    /// It failed, and is not tried again.
    Failure,
    /// However it ended, also where it was skipped.
    Always,
}

impl ChainOn {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Always];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Always => "always",
        }
    }

    /// Whether a run that ended so is meant.
    pub fn follows(self, status: RunStatus) -> bool {
        match self {
            Self::Success => status == RunStatus::Ok,
            Self::Failure => status == RunStatus::Error,
            Self::Always => true,
        }
    }

    /// The end of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|on| on.as_str() == word)
    }
}

impl After {
    /// Reads the jobs that a job waits for.
    pub(crate) fn parse_list(value: Value) -> Result<Vec<Self>, DefinitionError> {
        let Value::Array(entries) = value else {
            let (field, expected) = ("after".to_owned(), "a list");
            return Err(DefinitionError::Type { field, expected, got: kind_of(&value) });
        };
        if entries.len() > MOST {
            let why = format!("names {} jobs, at most {MOST} are allowed", entries.len());
            return Err(DefinitionError::invalid("after", why));
        }
        let mut read: Vec<Self> = Vec::with_capacity(entries.len());
        for entry in entries {
            let after = Self::parse(entry)?;
            if read.iter().any(|known| known.job == after.job) {
                return Err(DefinitionError::invalid("after", format!("names `{}` twice", after.job)));
            }
            read.push(after);
        }
        Ok(read)
    }

    fn parse(value: Value) -> Result<Self, DefinitionError> {
        let value = match value {
            Value::String(job) => json!({ "job": job }),
            other => other,
        };
        let mut fields = Fields::open("after", value)?;
        let job = fields.text("job")?.ok_or(DefinitionError::Missing { field: "after.job".to_owned() })?;
        let on = match fields.text("on")?.as_deref().map(str::trim) {
            None => ChainOn::Success,
            Some(word) => ChainOn::named(word).ok_or_else(|| {
                DefinitionError::invalid("after.on", format!("`{word}` is not success, failure or always"))
            })?,
        };
        let pass_result = fields.flag("passResult")?.unwrap_or(true);
        fields.close(&[])?;
        Ok(Self { job: job.trim().to_owned(), on, pass_result })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("job".to_owned(), json!(self.job));
        out.insert("on".to_owned(), json!(self.on.as_str()));
        if !self.pass_result {
            out.insert("passResult".to_owned(), json!(false));
        }
        Value::Object(out)
    }
}
