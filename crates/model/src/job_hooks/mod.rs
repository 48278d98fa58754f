//! What else happens around the runs of a job: gates before them, and what follows when they have ended.
//!
//! A `pre` hook is asked before the run's turn and before anything is spent: it may let the run go on, have it skipped, or
//! have it fail. `post`, `onError` and `always` hooks are told afterwards; whatever becomes of them, the run stays what it is.
//! A hook is defined with its job, or for many jobs in the configuration ([`GlobalHooks`]).

mod call;
mod global;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::delivery_settings::WebhookTarget;
use crate::destination::DestinationName;
use crate::id::AgentId;
use crate::run::RunStatus;
use crate::webhook_url::MASK;

pub use call::{GateDecision, GateVerdict, HookCall, HookCallState, HookReport, NoGateVerdict};
pub(crate) use read::merge;

pub use global::{CreationStage, GlobalHook, GlobalHooks, HookFilter, NamePattern};

/// How many hooks of one stage a job may have.
pub(crate) const MOST_HOOKS: usize = 16;
/// How long a hook may take where it does not say.
pub(crate) const GATE_LIMIT: Duration = Duration::from_secs(30);
pub(crate) const AFTER_LIMIT: Duration = Duration::from_secs(60);
/// How long a hook may take at most: a gate keeps its run waiting.
pub(crate) const MOST_GATE_MS: u64 = 10 * 60 * 1000;
pub(crate) const MOST_AFTER_MS: u64 = 60 * 60 * 1000;

/// When a hook's turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookStage {
    /// Before the run's turn.
    Pre,
    /// After a run that succeeded.
    Post,
    /// After a run that failed, whatever the reason.
    OnError,
    /// After every run, one that a gate refused too.
    Always,
    /// Before a job is added or edited.
    PreCreate,
    /// After a job was added or edited.
    PostCreate,
}

impl HookStage {
    /// Every stage.
    pub const ALL: [Self; 6] =
        [Self::Pre, Self::Post, Self::OnError, Self::Always, Self::PreCreate, Self::PostCreate];
    /// The stages that a job's own hooks have.
    pub const OF_RUNS: [Self; 4] = [Self::Pre, Self::Post, Self::OnError, Self::Always];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Post => "post",
            Self::OnError => "onError",
            Self::Always => "always",
            Self::PreCreate => "preCreate",
            Self::PostCreate => "postCreate",
        }
    }

    /// Whether something waits for its answer, and may be refused by it.
    pub fn is_gate(self) -> bool {
        matches!(self, Self::Pre | Self::PreCreate)
    }

    /// Whether a run that ended so has it.
    pub fn follows(self, status: RunStatus) -> bool {
        match self {
            Self::Post => status == RunStatus::Ok,
            Self::OnError => status == RunStatus::Error,
            Self::Always => true,
            Self::Pre | Self::PreCreate | Self::PostCreate => false,
        }
    }

    /// How long its hooks may take where they do not say, and at most, in milliseconds.
    fn limits(self) -> (Duration, u64) {
        if self.is_gate() { (GATE_LIMIT, MOST_GATE_MS) } else { (AFTER_LIMIT, MOST_AFTER_MS) }
    }
}

impl fmt::Display for HookStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The hooks of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHooks {
    /// Asked before each run.
    pub pre: Vec<JobHook>,
    /// Told after a run that succeeded.
    pub post: Vec<JobHook>,
    /// Told after a run that failed.
    pub on_error: Vec<JobHook>,
    /// Told after every run.
    pub always: Vec<JobHook>,
    /// Whether the hooks that the configuration has for all jobs hold for this one.
    pub inherit_global: bool,
}

impl Default for JobHooks {
    fn default() -> Self {
        Self {
            pre: Vec::new(),
            post: Vec::new(),
            on_error: Vec::new(),
            always: Vec::new(),
            inherit_global: true,
        }
    }
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHook {
    /// What people call it; no other hook of its stage and job is called so.
    pub name: String,
    /// What it does.
    pub kind: HookKind,
    /// The higher, the earlier; of one priority the configuration's come first, in the order in which they are written.
    pub priority: i32,
    /// How long it may take, in milliseconds, where it says.
    pub timeout_ms: Option<u64>,
    /// What it means for the run where the gate itself fails.
    pub on_failure: GateDecision,
    /// Whether what the gate puts out is added to the run's prompt.
    pub append_output: bool,
}

/// What a hook does.
#[derive(Clone, PartialEq, Eq)]
pub enum HookKind {
    /// Runs a program, which reads the context on its standard input.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
        /// The working directory.
        cwd: Option<String>,
        /// Variables; their values are write-only.
        env: BTreeMap<String, String>,
    },
    /// Posts the context, signed as other webhooks are.
    Webhook(WebhookTarget),
    /// Has an agent take a turn of its own.
    AgentTurn {
        /// What it is told before the context.
        message: String,
        /// The agent; none is the job's.
        agent: Option<AgentId>,
        /// `provider/model`, where it is not the agent's own.
        model: Option<String>,
    },
    /// Leaves a text for the next turn in the main session of the job's agent.
    SystemEvent {
        /// The text.
        text: String,
    },
}

impl fmt::Debug for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.as_str()).finish_non_exhaustive()
    }
}

impl HookKind {
    /// The wire's name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Command { .. } => "command",
            Self::Webhook(_) => "webhook",
            Self::AgentTurn { .. } => "agentTurn",
            Self::SystemEvent { .. } => "systemEvent",
        }
    }
}

impl JobHook {
    /// Whether it posts to this destination.
    pub fn names_destination(&self, name: &DestinationName) -> bool {
        matches!(&self.kind, HookKind::Webhook(WebhookTarget::Destination(named)) if named == name)
    }

    /// How long it may take in this stage.
    pub fn time_limit(&self, stage: HookStage) -> Duration {
        self.timeout_ms.map_or(stage.limits().0, Duration::from_millis)
    }

    /// The hook as JSON; with `mask`, the values of variables and what is secret in a URL are hidden.
    pub fn to_json(&self, mask: bool) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("name", json!(self.name));
        put("kind", json!(self.kind.as_str()));
        match &self.kind {
            HookKind::Command { argv, cwd, env } => {
                put("argv", json!(argv));
                if let Some(cwd) = cwd {
                    put("cwd", json!(cwd));
                }
                if !env.is_empty() {
                    let shown = |value: &String| if mask { json!(MASK) } else { json!(value) };
                    let env: Map<String, Value> =
                        env.iter().map(|(name, value)| (name.clone(), shown(value))).collect();
                    put("env", Value::Object(env));
                }
            }
            HookKind::Webhook(WebhookTarget::Url(url)) => {
                put("to", if mask { json!(url.to_string()) } else { json!(url.expose()) });
            }
            HookKind::Webhook(WebhookTarget::Destination(name)) => {
                put("destination", json!(name));
            }
            HookKind::AgentTurn { message, agent, model } => {
                put("message", json!(message));
                if let Some(agent) = agent {
                    put("agentId", json!(agent));
                }
                if let Some(model) = model {
                    put("model", json!(model));
                }
            }
            HookKind::SystemEvent { text } => {
                put("text", json!(text));
            }
        }
        if self.priority != 0 {
            put("priority", json!(self.priority));
        }
        if let Some(ms) = self.timeout_ms {
            put("timeoutSeconds", seconds_json(ms));
        }
        if self.on_failure != GateDecision::Error {
            put("onFailure", json!(self.on_failure.as_str()));
        }
        if self.append_output {
            put("appendOutput", json!(true));
        }
        Value::Object(out)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a limit has far fewer digits than a double holds")]
fn seconds_json(ms: u64) -> Value {
    if ms.is_multiple_of(1000) { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}

impl JobHooks {
    /// The hooks of a stage, in the order in which they are written.
    pub fn of(&self, stage: HookStage) -> &[JobHook] {
        match stage {
            HookStage::Pre => &self.pre,
            HookStage::Post => &self.post,
            HookStage::OnError => &self.on_error,
            HookStage::Always => &self.always,
            HookStage::PreCreate | HookStage::PostCreate => &[],
        }
    }

    /// Every hook with its stage.
    pub fn all(&self) -> impl Iterator<Item = (HookStage, &JobHook)> {
        HookStage::OF_RUNS.into_iter().flat_map(|stage| self.of(stage).iter().map(move |hook| (stage, hook)))
    }

    /// The hooks as JSON; none where a job says nothing of them.
    pub(crate) fn to_json(&self, mask: bool) -> Option<Value> {
        let mut out = Map::new();
        for stage in HookStage::OF_RUNS {
            if !self.of(stage).is_empty() {
                let hooks: Vec<Value> = self.of(stage).iter().map(|hook| hook.to_json(mask)).collect();
                out.insert(stage.as_str().to_owned(), json!(hooks));
            }
        }
        if !self.inherit_global {
            out.insert("inheritGlobal".to_owned(), json!(false));
        }
        (!out.is_empty()).then_some(Value::Object(out))
    }
}
