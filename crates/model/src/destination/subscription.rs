//! Which events a destination is sent without a job asking for it.

use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::event_kind::EventKind;
use crate::fields::{Fields, kind_of};
use crate::id::{AgentId, JobId};
use crate::run::RunStatus;

/// How many subscriptions a destination may have.
const MOST_SUBSCRIPTIONS: usize = 32;
/// How many jobs or agents one subscription may name.
const MOST_NAMES: usize = 1_000;

/// Events that a destination wants: all of these kinds that fit every part that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The kinds; at least one.
    pub events: Vec<EventKind>,
    /// Of `run.finished`, only runs that ended so.
    pub statuses: Vec<RunStatus>,
    /// Only events of these jobs.
    pub jobs: Vec<JobId>,
    /// Only events of jobs that run as these agents.
    pub agents: Vec<AgentId>,
}

impl Subscription {
    /// Whether an event is wanted. `status` is that of a run that has finished.
    pub fn wants(&self, kind: EventKind, status: Option<RunStatus>, job: &JobId, agent: &AgentId) -> bool {
        self.events.contains(&kind)
            && status.is_none_or(|status| self.statuses.is_empty() || self.statuses.contains(&status))
            && (self.jobs.is_empty() || self.jobs.contains(job))
            && (self.agents.is_empty() || self.agents.contains(agent))
    }

    /// Reads the list that stands at a destination's `subscriptions`.
    pub(super) fn parse_all(value: Value) -> Result<Vec<Self>, DefinitionError> {
        let Value::Array(entries) = value else {
            let field = "subscriptions".to_owned();
            return Err(DefinitionError::Type { field, expected: "a list", got: kind_of(&value) });
        };
        if entries.len() > MOST_SUBSCRIPTIONS {
            let why = format!("has {} entries, and at most {MOST_SUBSCRIPTIONS} are served", entries.len());
            return Err(DefinitionError::invalid("subscriptions", why));
        }
        entries.into_iter().map(Self::parse).collect()
    }

    fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("subscriptions", value)?;
        let events = names(&mut fields, "events", |name| {
            EventKind::ALL.into_iter().find(|kind| kind.as_str() == name)
        })?;
        let statuses = names(&mut fields, "statuses", |name| {
            RunStatus::ALL.into_iter().find(|status| status.as_str() == name)
        })?;
        let jobs = names(&mut fields, "jobs", |name| name.parse().ok())?;
        let agents = names(&mut fields, "agents", |name| Some(AgentId::normalise(name)))?;
        fields.close(&[])?;
        if events.is_empty() {
            return Err(DefinitionError::Missing { field: "subscriptions.events".to_owned() });
        }
        if !statuses.is_empty() && !events.contains(&EventKind::RunFinished) {
            let why = "only `run.finished` has a status, and it is not among the events";
            return Err(DefinitionError::invalid("subscriptions.statuses", why));
        }
        Ok(Self { events, statuses, jobs, agents })
    }

    pub(super) fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("events".to_owned(), json!(self.events));
        if !self.statuses.is_empty() {
            out.insert("statuses".to_owned(), json!(self.statuses));
        }
        if !self.jobs.is_empty() {
            out.insert("jobs".to_owned(), json!(self.jobs));
        }
        if !self.agents.is_empty() {
            out.insert("agents".to_owned(), json!(self.agents));
        }
        Value::Object(out)
    }
}

/// Takes a list of names that `read` knows, each once.
fn names<T: PartialEq>(
    fields: &mut Fields,
    key: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, DefinitionError> {
    let given = fields.texts(key)?.unwrap_or_default();
    let name = fields.name(key);
    if given.len() > MOST_NAMES {
        return Err(DefinitionError::invalid(
            name,
            format!("has {} entries, and at most {MOST_NAMES} are served", given.len()),
        ));
    }
    let mut names = Vec::with_capacity(given.len());
    for text in given {
        let value = read(text.trim()).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            DefinitionError::invalid(name.as_str(), format!("`{shown}` is not known"))
        })?;
        if !names.contains(&value) {
            names.push(value);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: impl Into<Value>) -> Result<Subscription, String> {
        Subscription::parse_all(json!([value.into()]))
            .map(|mut all| all.remove(0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_part_that_is_given_must_fit() {
        let subscription = one(json!({
            "events": ["run.finished", "run.missed"], "statuses": ["error"], "jobs": ["a"], "agents": ["main"]
        }))
        .unwrap();
        let (a, b): (JobId, JobId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let wants = |kind, status, job| subscription.wants(kind, status, job, &AgentId::main());
        assert!(wants(EventKind::RunFinished, Some(RunStatus::Error), &a));
        assert!(!wants(EventKind::RunFinished, Some(RunStatus::Ok), &a));
        assert!(!wants(EventKind::RunFinished, Some(RunStatus::Error), &b));
        assert!(wants(EventKind::RunMissed, None, &a));
        assert!(!wants(EventKind::JobAdded, None, &a));
        assert!(!subscription.wants(EventKind::RunMissed, None, &a, &AgentId::normalise("other")));
        assert_eq!(one(subscription.to_json()), Ok(subscription));
    }

    #[test]
    fn what_would_never_match_is_refused() {
        for (given, why) in [
            (json!({}), "`subscriptions.events` is required"),
            (json!({ "events": ["run.finishd"] }), "`run.finishd` is not known"),
            (json!({ "events": ["job.added"], "statuses": ["ok"] }), "only `run.finished` has a status"),
            (json!({ "events": ["job.added"], "job": "x" }), "unknown field `subscriptions.job`"),
        ] {
            let error = one(given).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
