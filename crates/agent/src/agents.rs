//! Which agents there are, and the one runtime that works for all of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_clock::Clock;
use clawhook_model::{AgentId, ErrorReason, JobDefinition, Payload, RunOutcome, WakeMode};
use tokio_util::sync::CancellationToken;

use crate::acp::AcpBackend;
use crate::backend::Backend;
use crate::chain::{Candidate, Chain, Named, Preflights};
use crate::conversation::Conversations;
use crate::mcp::{McpOptions, McpServers};
use crate::openclaw::OpenClawBackend;
use crate::output_schema::OutputSchema;
use crate::profile::AgentProfile;
use crate::providers::{ChatModels, Provider, ProviderApi, SharedClient};
use crate::system_prompt::system_prompt;
use crate::workspace::start_in;
use crate::{
    AgentError, Command, CommandOptions, CommandRuntime, LiveOutput, Message, ModelRef, NoSuchModel, Runtime,
    Turn, TurnResult, Work,
};

/// What agents are made of.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// The agents. `main` is always there, by its defaults if by nothing else.
    pub agents: BTreeMap<AgentId, AgentProfile>,
    /// Those who answer messages, by the names that models refer to them with.
    pub providers: BTreeMap<String, Provider>,
    /// Where their tools come from.
    pub tools: McpOptions,
    /// Where and with what commands run.
    pub commands: CommandOptions,
}

/// The agents. It is cheap to clone.
#[derive(Clone)]
pub struct Agents {
    inner: Arc<Inner>,
}

struct Inner {
    agents: BTreeMap<AgentId, AgentProfile>,
    providers: BTreeMap<String, Answering>,
    tools: McpServers,
    commands: CommandRuntime,
    preflights: Preflights,
    clock: Arc<dyn Clock>,
}

/// A provider, and what answers for it.
struct Answering {
    provider: Provider,
    backend: Box<dyn Backend>,
}

impl Agents {
    /// These agents. Nothing is opened or started before the first turn.
    pub fn new(options: AgentOptions, clock: Arc<dyn Clock>) -> Self {
        let AgentOptions { mut agents, providers, tools, commands } = options;
        agents.entry(AgentId::main()).or_default();
        let client = SharedClient::default();
        let answering = |(name, provider): (String, Provider)| {
            let backend = backend(&name, &provider, &commands.cwd, &client, &clock);
            (name, Answering { provider, backend })
        };
        let inner = Inner {
            agents,
            providers: providers.into_iter().map(answering).collect(),
            tools: McpServers::new(tools),
            commands: CommandRuntime::new(commands, Arc::clone(&clock)),
            preflights: Preflights::default(),
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether `agent` is known. An unknown one is an error and never the default agent in its stead.
    pub fn check_known(&self, agent: &AgentId) -> Result<(), AgentError> {
        self.inner.profile(agent).map(|_| ())
    }

    /// Whether `agent` can do what `job` asks, by the configuration alone: nothing is started and nobody is asked. A door can
    /// refuse a job with this when it is saved rather than when it is due.
    pub fn check(&self, agent: &AgentId, job: &JobDefinition) -> Result<(), AgentError> {
        let profile = self.inner.profile(agent)?;
        if let Some(schema) = &job.output_schema {
            OutputSchema::compile(schema)?;
        }
        match &job.payload {
            Payload::AgentTurn(turn) => {
                self.inner.check_tools(turn.tools_allow.as_deref().unwrap_or_default())?;
                let (model, fallbacks) = (turn.model.as_deref(), turn.fallbacks.as_deref());
                self.inner.check_models(profile, model, fallbacks, "payload.model")
            }
            Payload::SystemEvent { .. } if job.wake_mode == WakeMode::Now => {
                self.inner.check_models(profile, None, None, "wakeMode")
            }
            Payload::SystemEvent { .. } => Ok(()),
            Payload::Heartbeat => self.inner.check_models(profile, None, None, "agentId"),
            Payload::Command(command) if command.argv.first().is_none_or(String::is_empty) => {
                Err(AgentError::NoProgram)
            }
            Payload::Command(command) => match confined_to(profile) {
                Some(workspace) => start_in(workspace, command.cwd.as_deref().map(AsRef::as_ref)).map(|_| ()),
                None => Ok(()),
            },
        }
    }
}

/// What answers for a provider.
fn backend(
    name: &str,
    provider: &Provider,
    cwd: &Path,
    client: &SharedClient,
    clock: &Arc<dyn Clock>,
) -> Box<dyn Backend> {
    match &provider.api {
        ProviderApi::Acp(options) => {
            Box::new(AcpBackend::new(options.clone(), cwd.to_owned(), Arc::clone(clock)))
        }
        ProviderApi::OpenClaw(options) => {
            Box::new(OpenClawBackend::new(options.clone(), client.clone(), Arc::clone(clock)))
        }
        ProviderApi::Chat(endpoint) => {
            let models = ChatModels::new(name, endpoint.clone(), client.clone(), Arc::clone(clock));
            Box::new(Conversations::new(models, provider.models.clone(), Arc::clone(clock)))
        }
    }
}

impl Inner {
    fn profile(&self, agent: &AgentId) -> Result<&AgentProfile, AgentError> {
        self.agents.get(agent).ok_or_else(|| AgentError::Unknown {
            agent: agent.clone(),
            known: self.agents.keys().cloned().collect(),
        })
    }

    fn check_models(
        &self,
        profile: &AgentProfile,
        model: Option<&str>,
        fallbacks: Option<&[String]>,
        field: &'static str,
    ) -> Result<(), AgentError> {
        let candidates = self.candidates(profile, model, fallbacks).into_iter().enumerate();
        for (place, named) in candidates {
            let is_fallback = place > 0 && fallbacks.is_some();
            let field = if is_fallback { "payload.fallbacks" } else { field };
            named.map_err(|error| AgentError::Model { field, error })?;
        }
        Ok(())
    }

    /// Whether each of a job's patterns can fit any tool. All of an agent's tools may be none.
    fn check_tools(&self, patterns: &[String]) -> Result<(), AgentError> {
        let known = |pattern: &&String| *pattern == "*" || self.tools.know(pattern);
        match patterns.iter().find(|pattern| !known(pattern)) {
            None => Ok(()),
            Some(pattern) => Err(AgentError::UnknownTool {
                pattern: pattern.clone(),
                servers: self.tools.names().map(str::to_owned).collect(),
            }),
        }
    }

    /// Those who may answer, in the order in which they are asked, each once.
    fn candidates(
        &self,
        profile: &AgentProfile,
        model: Option<&str>,
        fallbacks: Option<&[String]>,
    ) -> Vec<Named<'_>> {
        let own = profile.model.as_ref();
        let first = match (model, own) {
            (Some(name), own) => ModelRef::read(name, own).map_err(NoSuchModel::from),
            (None, Some(own)) => Ok(own.clone()),
            (None, None) => return vec![Err(NoSuchModel::NoneConfigured)],
        };
        let then: Vec<Result<ModelRef, NoSuchModel>> = match fallbacks {
            Some(names) => {
                names.iter().map(|name| ModelRef::read(name, own).map_err(NoSuchModel::from)).collect()
            }
            None => profile.fallbacks.iter().cloned().map(Ok).collect(),
        };
        let mut asked: Vec<ModelRef> = Vec::new();
        let mut candidates = Vec::new();
        for model in [first].into_iter().chain(then) {
            if let Ok(model) = &model {
                if asked.contains(model) {
                    continue;
                }
                asked.push(model.clone());
            }
            candidates.push(model.and_then(|model| self.candidate(model)));
        }
        candidates
    }

    fn candidate(&self, model: ModelRef) -> Named<'_> {
        let Some(Answering { provider, backend }) = self.providers.get(&model.provider) else {
            return Err(NoSuchModel::UnknownProvider {
                model,
                providers: self.providers.keys().cloned().collect(),
            });
        };
        if !provider.models.is_empty() && !provider.models.contains_key(&model.model) {
            return Err(NoSuchModel::UnknownModel {
                model,
                models: provider.models.keys().cloned().collect(),
            });
        }
        Ok((model, Candidate { provider, backend: backend.as_ref() }))
    }

    async fn answer(
        &self,
        profile: &AgentProfile,
        message: &Message,
        turn: &Turn,
        cancel: &CancellationToken,
    ) -> TurnResult {
        let schema = match message.output_schema.as_ref().map(OutputSchema::compile).transpose() {
            Ok(schema) => schema,
            Err(error) => return refused(&AgentError::Schema(error)),
        };
        let system = match system_prompt(profile, message, self.clock.now()).await {
            Ok(system) => system,
            Err(error) => {
                return TurnResult::of(RunOutcome::skipped(ErrorReason::Unavailable, format!("{error}.")));
            }
        };
        let chain = Chain {
            profile,
            message,
            session: &turn.session,
            system: &system,
            schema,
            tools: &self.tools,
            timeout: turn.timeout,
            live: &turn.live,
            clock: self.clock.as_ref(),
            preflights: &self.preflights,
            cancel,
        };
        chain.answer(self.candidates(profile, message.model.as_deref(), message.fallbacks.as_deref())).await
    }

    async fn execute(
        &self,
        profile: &AgentProfile,
        command: &Command,
        timeout: Option<Duration>,
        live: &LiveOutput,
        cancel: &CancellationToken,
    ) -> TurnResult {
        let schema = match command.output_schema.as_ref().map(OutputSchema::compile).transpose() {
            Ok(schema) => schema,
            Err(error) => return refused(&AgentError::Schema(error)),
        };
        let cwd = match confined_to(profile) {
            None => command.cwd.clone(),
            Some(workspace) => match start_in(workspace, command.cwd.as_deref()) {
                Ok(cwd) => Some(cwd),
                Err(error) => return refused(&error),
            },
        };
        let command = Command { cwd, ..command.clone() };
        let mut result = self.commands.run(&command, timeout, live, cancel).await;
        if let (Some(schema), None) = (&schema, &result.outcome.error) {
            hold_to(schema, &mut result.outcome);
        }
        result
    }
}

/// The folder that the agent's commands may not start outside of.
fn confined_to(profile: &AgentProfile) -> Option<&Path> {
    profile.workspace.as_deref().filter(|_| profile.is_confined)
}

/// Holds what a command printed to its schema. A command cannot be told to mend it.
fn hold_to(schema: &OutputSchema, outcome: &mut RunOutcome) {
    match schema.read(outcome.summary.as_deref().unwrap_or_default()) {
        Ok(value) => outcome.output = Some(value),
        Err(misfit) => {
            let message = format!("what the command printed does not fit the job's outputSchema: {misfit}.");
            let RunOutcome { status, error, .. } = RunOutcome::error(ErrorReason::OutputSchema, message);
            (outcome.status, outcome.error) = (status, error);
        }
    }
}

/// The result of a turn that could not be what it was asked to be.
fn refused(error: &AgentError) -> TurnResult {
    let reason = match error {
        AgentError::Schema(_) => ErrorReason::OutputSchema,
        AgentError::OutsideWorkspace { .. } | AgentError::NoProgram => ErrorReason::Launch,
        AgentError::Model { .. } | AgentError::UnknownTool { .. } => ErrorReason::ModelNotFound,
        AgentError::Unknown { .. } => ErrorReason::Unknown,
    };
    TurnResult::of(RunOutcome::error(reason, format!("{error}: {}.", error.hint())))
}

#[async_trait]
impl Runtime for Agents {
    async fn run_turn(&self, turn: Turn, cancel: CancellationToken) -> TurnResult {
        let profile = match self.inner.profile(&turn.agent) {
            Ok(profile) => profile,
            Err(error) => return refused(&error),
        };
        match &turn.work {
            Work::Message(message) => self.inner.answer(profile, message, &turn, &cancel).await,
            Work::Command(command) => {
                self.inner.execute(profile, command, turn.timeout, &turn.live, &cancel).await
            }
        }
    }
}

impl std::fmt::Debug for Agents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let agents: Vec<&AgentId> = self.inner.agents.keys().collect();
        let providers: BTreeMap<&String, &Provider> =
            self.inner.providers.iter().map(|(name, answering)| (name, &answering.provider)).collect();
        f.debug_struct("Agents")
            .field("agents", &agents)
            .field("providers", &providers)
            .finish_non_exhaustive()
    }
}
