//! Hooks for many jobs, as the configuration has them.

use serde_json::{Value, json};

use super::{HookStage, JobHook};
use crate::definition_error::DefinitionError;
use crate::fields::Fields;
use crate::id::{AgentId, JobId};
use crate::job::Job;
use crate::payload::Payload;

/// The hooks of the configuration, by stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GlobalHooks(Vec<(HookStage, GlobalHook)>);

/// A hook of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalHook {
    /// What it is.
    pub hook: JobHook,
    /// For which jobs it is.
    pub filter: HookFilter,
}

/// For which jobs a hook is; what is empty does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookFilter {
    /// Jobs whose id or name one of these fits.
    pub jobs: Vec<NamePattern>,
    /// Jobs that run as one of these.
    pub agents: Vec<AgentId>,
}

/// A name with `*` for any part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

/// What is done with a job that its gates are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreationStage {
    /// It is new.
    Add,
    /// It is edited.
    Edit,
}

impl CreationStage {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Edit => "edit",
        }
    }
}

impl NamePattern {
    /// The pattern that is written so.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether it fits a name; letters count as they are.
    pub fn fits(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(place) => rest = &rest[place + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl HookFilter {
    /// Whether it is for this job.
    pub fn fits(&self, id: &JobId, name: &str, agent: &AgentId) -> bool {
        let by_job = self.jobs.is_empty()
            || self.jobs.iter().any(|pattern| pattern.fits(id.as_str()) || pattern.fits(name));
        by_job && (self.agents.is_empty() || self.agents.contains(agent))
    }
}

impl GlobalHook {
    /// Reads a hook of the configuration that is written at `place` in the list of its stage.
    pub fn parse(value: Value, stage: HookStage, place: usize) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("", value)?;
        let jobs = fields.texts("jobs")?.unwrap_or_default();
        let agents = fields.texts("agents")?.unwrap_or_default();
        let hook = JobHook::read(&mut fields, stage, place)?;
        fields.close(&[])?;
        let filter = HookFilter {
            jobs: jobs.into_iter().map(NamePattern).collect(),
            agents: agents.iter().map(|agent| AgentId::normalise(agent)).collect(),
        };
        Ok(Self { hook, filter })
    }

    /// The hook as JSON, secrets masked.
    pub fn to_json(&self) -> Value {
        let mut out = self.hook.to_json(true);
        if !self.filter.jobs.is_empty() {
            out["jobs"] = self.filter.jobs.iter().map(|pattern| json!(pattern.0)).collect();
        }
        if !self.filter.agents.is_empty() {
            out["agents"] = json!(self.filter.agents);
        }
        out
    }
}

impl GlobalHooks {
    /// These hooks, each with its stage.
    pub fn new(hooks: Vec<(HookStage, GlobalHook)>) -> Self {
        Self(hooks)
    }

    /// Every hook with its stage.
    pub fn all(&self) -> impl Iterator<Item = (HookStage, &GlobalHook)> {
        self.0.iter().map(|(stage, hook)| (*stage, hook))
    }

    /// The hooks of a job at a stage in their order, each with whether it is the configuration's. Heartbeats have none.
    pub fn of_job<'a>(&'a self, job: &'a Job, stage: HookStage) -> Vec<(&'a JobHook, bool)> {
        let definition = &job.definition;
        let agent = definition.agent();
        let inherits = definition.hooks.inherit_global && definition.payload != Payload::Heartbeat;
        let global = self
            .all()
            .filter(|(at, hook)| {
                inherits && *at == stage && hook.filter.fits(&job.id, &definition.name, &agent)
            })
            .map(|(_, hook)| (&hook.hook, true));
        let own = definition.hooks.of(stage).iter().map(|hook| (hook, false));
        let mut hooks: Vec<(&JobHook, bool)> = global.chain(own).collect();
        hooks.sort_by_key(|(hook, _)| std::cmp::Reverse(hook.priority));
        hooks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_whole_names_with_a_star_for_any_part() {
        let fits = |pattern: &str, name: &str| NamePattern::new(pattern).fits(name);
        for (pattern, name) in [
            ("daily", "daily"),
            ("*", "x"),
            ("*", ""),
            ("da*", "daily"),
            ("*ly", "daily"),
            ("d*l*y", "daily"),
            ("a**b", "ab"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("daily", "daily-2"), ("da*", "Daily"), ("*x", "daily"), ("dail*ly", "daily"), ("", "x")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
