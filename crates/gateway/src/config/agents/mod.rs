//! Who runs jobs: `agents.defaults`, and over it, key by key, `agents.entries.<id>`.
//!
//! A block is checked by itself, once, with its own places (`Layer`); only then are the layers laid over each other, so
//! that a mistake in the defaults is told once and not for every agent.

pub(super) mod keys;
mod raw;
pub(super) mod setting;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clawhook_agent::{AgentProfile, ModelRef, ToolPolicy, TurnLimits};
use clawhook_model::{AgentId, Thinking};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jsonc_parser::common::Range;

pub(super) use self::raw::{RawAgent, RawAgents};
use self::setting::{ActiveZone, ToolPattern};
use super::block::{Written, nearest, shorten};
use super::environment::Environment;
use super::mcp::McpConfig;
use super::models::ModelsConfig;
use super::problem::Findings;

/// `agents`.
#[derive(Debug, Clone)]
pub struct AgentsConfig {
    /// All known agents, with the defaults filled in; `main` is always among them.
    pub entries: BTreeMap<AgentId, AgentConfig>,
    /// How much of a session that is kept its next turn is told.
    pub history: HistoryConfig,
}

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// What it is.
    pub profile: AgentProfile,
    /// Its folder. Where the configuration names none it lies in the state directory, and is made when the gateway starts.
    pub workspace: PathBuf,
    /// How long one of its turns may take where the job does not say; none is no limit.
    pub time_limit: Option<Duration>,
    /// When it looks after its main session by itself; none is never.
    pub heartbeat: Option<HeartbeatConfig>,
}

/// The heartbeat of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatConfig {
    /// How often.
    pub every: Duration,
    /// The hours of the day in which it beats; none is all of them.
    pub active_hours: Option<ActiveHours>,
    /// What the agent is asked.
    pub prompt: Option<String>,
    /// The model that is asked, where it is not the agent's own.
    pub model: Option<ModelRef>,
}

/// A part of the day; one that ends before it begins goes over midnight.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveHours {
    /// When it begins.
    pub start: Time,
    /// When it ends; that instant is no part of it.
    pub end: Time,
    /// Where; none is the zone of the gateway's host.
    pub zone: Option<TimeZone>,
}

/// `agents.defaults.history`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryConfig {
    /// The most entries.
    pub entries: usize,
    /// The most bytes of text.
    pub bytes: usize,
}

impl AgentConfig {
    /// Whether the configuration names its folder.
    pub fn workspace_is_named(&self) -> bool {
        self.profile.workspace.is_some()
    }
}

/// What an agent may refer to, and what relative paths start from.
pub(super) struct Surroundings<'r, 'e> {
    pub(super) models: &'r ModelsConfig,
    pub(super) mcp: &'r McpConfig,
    pub(super) environment: &'r Environment<'e>,
    pub(super) state_dir: &'r Path,
}

/// One block of agent's keys: what is written in it and well.
#[derive(Debug, Clone, Default)]
struct Layer {
    model: Option<ModelRef>,
    fallbacks: Option<Vec<ModelRef>>,
    system_prompt: Option<String>,
    system_prompt_file: Option<PathBuf>,
    workspace: Option<PathBuf>,
    tools_allow: Option<Vec<String>>,
    tools_deny: Option<Vec<String>>,
    thinking: Option<Thinking>,
    time_zone: Option<String>,
    timeout_seconds: Option<u32>,
    rounds: Option<u32>,
    tool_calls: Option<u32>,
    tool_timeout: Option<Duration>,
    model_timeout: Option<Duration>,
    max_tokens: Option<u32>,
    heartbeat_every: Option<Option<Duration>>,
    heartbeat_hours: Option<setting::ActiveHoursGiven>,
    heartbeat_prompt: Option<String>,
    heartbeat_model: Option<ModelRef>,
}

/// Fills in and checks; every problem goes to `findings`.
pub(super) fn resolve(
    raw: RawAgents,
    surroundings: &Surroundings<'_, '_>,
    findings: &mut Findings,
) -> AgentsConfig {
    let history = HistoryConfig {
        entries: keys::HISTORY_ENTRIES.or_default(raw.history_entries),
        bytes: keys::HISTORY_BYTES.or_default(raw.history_bytes),
    };
    let mut resolver = Resolver { with: surroundings, findings };
    let defaults = resolver.layer(raw.defaults);
    let mut entries = BTreeMap::new();
    for (name, entry) in raw.entries {
        let id = AgentId::normalise(&name.value);
        let agent = resolver.layer(entry).over(&defaults).into_agent(&id, surroundings.state_dir);
        if entries.insert(id.clone(), agent).is_some() {
            let given = shorten(&name.value);
            let message = format!("`{given}` is the agent `{id}`, which has an entry already");
            resolver.findings.report(Some(name.at), message, None);
        }
    }
    entries.entry(AgentId::main()).or_insert_with_key(|id| defaults.into_agent(id, surroundings.state_dir));
    AgentsConfig { entries, history }
}

struct Resolver<'r, 'e> {
    with: &'r Surroundings<'r, 'e>,
    findings: &'r mut Findings,
}

impl Resolver<'_, '_> {
    fn layer(&mut self, raw: RawAgent) -> Layer {
        let value = |written: Option<Written<String>>| written.map(|written| written.value);
        let (model, fallbacks) = self.models(raw.model, raw.fallbacks);
        Layer {
            model,
            fallbacks,
            system_prompt: value(raw.system_prompt),
            system_prompt_file: raw.system_prompt_file.map(|written| written.value.0),
            workspace: raw.workspace.map(|written| self.workspace(&written)),
            tools_allow: self.patterns(raw.tools_allow),
            tools_deny: self.patterns(raw.tools_deny),
            thinking: raw.thinking.map(|written| written.value),
            time_zone: raw.time_zone.map(|written| written.value.0),
            timeout_seconds: raw.timeout_seconds.map(|written| written.value),
            rounds: raw.rounds.map(|written| written.value),
            tool_calls: raw.tool_calls.map(|written| written.value),
            tool_timeout: raw.tool_timeout.map(|written| written.value),
            model_timeout: raw.model_timeout.map(|written| written.value),
            max_tokens: raw.max_tokens.map(|written| written.value),
            heartbeat_every: raw.heartbeat_every.map(|written| written.value.0),
            heartbeat_hours: raw.heartbeat_hours.map(|written| written.value),
            heartbeat_prompt: value(raw.heartbeat_prompt),
            heartbeat_model: raw.heartbeat_model.map(|written| self.model(written.value, written.at)),
        }
    }

    /// The model and its fallbacks, which may stand beside it or in it, as OpenClaw writes them.
    fn models(
        &mut self,
        model: Option<Written<setting::ModelChoice>>,
        fallbacks: Option<Written<Vec<ModelRef>>>,
    ) -> (Option<ModelRef>, Option<Vec<ModelRef>>) {
        let (mut chosen, mut inner) = (None, None);
        if let Some(Written { value: choice, at }) = model {
            chosen = choice.primary.map(|primary| self.model(primary, at));
            inner = choice.fallbacks.map(|fallbacks| Written { value: fallbacks, at });
        }
        if let (Some(_), Some(outer)) = (&inner, &fallbacks) {
            let message = "`fallbacks` stands beside `model` and within it".to_owned();
            self.findings.report(Some(outer.at), message, Some("take one of the two out".to_owned()));
        }
        let fallbacks = fallbacks
            .or(inner)
            .map(|Written { value, at }| value.into_iter().map(|model| self.model(model, at)).collect());
        (chosen, fallbacks)
    }

    /// A model, whose provider must be there, and it among that provider's, where those are listed.
    fn model(&mut self, model: ModelRef, at: Range) -> ModelRef {
        let providers = &self.with.models.providers;
        let Some(provider) = providers.get(&model.provider) else {
            self.no_provider(&model, at);
            return model;
        };
        let known: Vec<&str> = provider.models.keys().map(String::as_str).collect();
        if !known.is_empty() && !known.contains(&model.model.as_str()) {
            let name = shorten(&model.model);
            let hint = match nearest(&name, &known) {
                Some(near) => format!("did you mean `{}/{near}`?", model.provider),
                None => {
                    format!("add it to `models.providers.{}.models`, or take that list out", model.provider)
                }
            };
            let message = format!("the provider `{}` lists no model `{name}`", shorten(&model.provider));
            self.findings.report(Some(at), message, Some(hint));
        }
        model
    }

    fn no_provider(&mut self, model: &ModelRef, at: Range) {
        let provider = shorten(&model.provider);
        let known: Vec<&str> = self.with.models.names().collect();
        let hint = match nearest(&provider, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `models.providers.{provider}` with its `baseUrl`"),
        };
        // A provider that has an entry which is wrong has been told already.
        if !known.contains(&model.provider.as_str()) {
            let message =
                format!("the model names the provider `{provider}`, which `models.providers` lacks");
            self.findings.report(Some(at), message, Some(hint));
        }
    }

    /// A folder of the agent's own: it must be there, and the gateway's own state must not lie in it.
    fn workspace(&mut self, written: &Written<PathBuf>) -> PathBuf {
        let path = self.with.environment.locate(&written.value);
        let shown = shorten(&path.display().to_string());
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if !path.is_dir() {
            let message = format!("the workspace `{shown}` is no folder");
            let hint = "make the folder, or leave `workspace` out to have one made in the state directory";
            self.findings.report(Some(written.at), message, Some(hint.to_owned()));
        } else if real(self.with.state_dir).starts_with(real(&path)) {
            let message = format!(
                "the workspace `{shown}` holds the state directory, whose secrets are not the agent's"
            );
            let hint = "give the agent a folder of its own";
            self.findings.report(Some(written.at), message, Some(hint.to_owned()));
        }
        path
    }

    fn patterns(&mut self, written: Option<Written<Vec<ToolPattern>>>) -> Option<Vec<String>> {
        let Written { value: patterns, at } = written?;
        for pattern in &patterns {
            self.check_server(pattern, at);
        }
        Some(patterns.into_iter().map(|pattern| pattern.0).collect())
    }

    /// A pattern that begins with a server's name must name one there is.
    fn check_server(&mut self, pattern: &ToolPattern, at: Range) {
        let Some(server) = pattern.server() else { return };
        let known: Vec<&str> = self.with.mcp.names().collect();
        if known.contains(&server) {
            return;
        }
        let hint = match nearest(server, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `mcp.servers.{server}`; tools are named `server__tool`"),
        };
        let message =
            format!("the tools `{}` are of the server `{server}`, which `mcp.servers` lacks", pattern.0);
        self.findings.report(Some(at), message, Some(hint));
    }
}

impl Layer {
    /// This layer over another one, key by key.
    fn over(self, under: &Self) -> Self {
        let under = under.clone();
        Self {
            model: self.model.or(under.model),
            fallbacks: self.fallbacks.or(under.fallbacks),
            system_prompt: self.system_prompt.or(under.system_prompt),
            system_prompt_file: self.system_prompt_file.or(under.system_prompt_file),
            workspace: self.workspace.or(under.workspace),
            tools_allow: self.tools_allow.or(under.tools_allow),
            tools_deny: self.tools_deny.or(under.tools_deny),
            thinking: self.thinking.or(under.thinking),
            time_zone: self.time_zone.or(under.time_zone),
            timeout_seconds: self.timeout_seconds.or(under.timeout_seconds),
            rounds: self.rounds.or(under.rounds),
            tool_calls: self.tool_calls.or(under.tool_calls),
            tool_timeout: self.tool_timeout.or(under.tool_timeout),
            model_timeout: self.model_timeout.or(under.model_timeout),
            max_tokens: self.max_tokens.or(under.max_tokens),
            heartbeat_every: self.heartbeat_every.or(under.heartbeat_every),
            heartbeat_hours: self.heartbeat_hours.or(under.heartbeat_hours),
            heartbeat_prompt: self.heartbeat_prompt.or(under.heartbeat_prompt),
            heartbeat_model: self.heartbeat_model.or(under.heartbeat_model),
        }
    }

    fn into_agent(self, id: &AgentId, state_dir: &Path) -> AgentConfig {
        let heartbeat = self.heartbeat();
        let time_limit = self.timeout_seconds.unwrap_or_else(keys::TIMEOUT_SECONDS.default);
        AgentConfig {
            workspace: self.workspace.clone().unwrap_or_else(|| default_workspace(id, state_dir)),
            time_limit: (time_limit > 0).then(|| Duration::from_secs(time_limit.into())),
            heartbeat,
            profile: AgentProfile {
                limits: self.limits(),
                model: self.model,
                fallbacks: self.fallbacks.unwrap_or_default(),
                system_prompt: self.system_prompt,
                system_prompt_file: self.system_prompt_file,
                is_confined: self.workspace.is_some(),
                workspace: self.workspace,
                tools: ToolPolicy {
                    allow: self.tools_allow.unwrap_or_default(),
                    deny: self.tools_deny.unwrap_or_default(),
                },
                thinking: self.thinking,
                time_zone: self.time_zone,
            },
        }
    }

    fn limits(&self) -> TurnLimits {
        let limits = TurnLimits::default();
        TurnLimits {
            rounds: self.rounds.unwrap_or(limits.rounds),
            tool_calls: self.tool_calls.unwrap_or(limits.tool_calls),
            tool_timeout: self.tool_timeout.unwrap_or(limits.tool_timeout),
            model_timeout: self.model_timeout.unwrap_or(limits.model_timeout),
            max_tokens: self.max_tokens.or(limits.max_tokens),
        }
    }

    fn heartbeat(&self) -> Option<HeartbeatConfig> {
        let every = self.heartbeat_every.flatten()?;
        let given = self.heartbeat_hours.as_ref();
        let active_hours = given.and_then(|given| Some((given.hours?, &given.zone)));
        let active_hours = active_hours.map(|((start, end), zone)| ActiveHours {
            start,
            end,
            zone: match zone {
                ActiveZone::Host => None,
                ActiveZone::Agents => self.time_zone.as_deref().and_then(setting::zone),
                ActiveZone::Named(name) => setting::zone(name),
            },
        });
        let (prompt, model) = (self.heartbeat_prompt.clone(), self.heartbeat_model.clone());
        Some(HeartbeatConfig { every, active_hours, prompt, model })
    }
}

/// OpenClaw's names: `workspace` of the main agent, `workspace-<id>` of another.
fn default_workspace(id: &AgentId, state_dir: &Path) -> PathBuf {
    if *id == AgentId::main() {
        state_dir.join("workspace")
    } else {
        state_dir.join(format!("workspace-{id}"))
    }
}
