//! Which agents there are, and with which model each of them works.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use clawhook_agent::{CheckError, Command, Message, Runtime, Runtimes, Turn, TurnResult, Work};
use clawhook_model::{AgentId, JobDefinition, Payload, WakeMode};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// The agents of the configuration before the runtimes: a turn whose job names no model gets its agent's.
#[derive(Debug, Clone)]
pub(crate) struct Agents {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    runtimes: Runtimes,
    /// Each agent with its own model, where it has one.
    models: BTreeMap<AgentId, Option<String>>,
}

/// Why a job's work could never run as the gateway is configured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum AgentError {
    /// The configuration has no such agent.
    #[error("there is no agent `{agent}`")]
    Unknown {
        /// The agent that was asked for.
        agent: AgentId,
        /// The agents there are.
        known: Vec<AgentId>,
    },
    /// The agent has nothing to do the work with.
    #[error(transparent)]
    Work(#[from] CheckError),
}

impl Agents {
    /// The agents in `models`, and `main`, which is always there.
    pub(crate) fn new(runtimes: Runtimes, mut models: BTreeMap<AgentId, Option<String>>) -> Self {
        models.entry(AgentId::main()).or_default();
        Self { inner: Arc::new(Inner { runtimes, models }) }
    }

    /// Whether `agent` is known. An unknown one is an error and never the default agent in its stead.
    pub(crate) fn check_known(&self, agent: &AgentId) -> Result<(), AgentError> {
        if self.inner.models.contains_key(agent) {
            return Ok(());
        }
        let known = self.inner.models.keys().cloned().collect();
        Err(AgentError::Unknown { agent: agent.clone(), known })
    }

    /// Whether a job's agent can do what the job asks, by the configuration alone. A system event that is only left for the
    /// next heartbeat asks nobody.
    pub(crate) fn check_work(&self, job: &JobDefinition) -> Result<(), AgentError> {
        let mut work = match &job.payload {
            Payload::AgentTurn(turn) => Work::Message(Box::new(Message {
                text: turn.message.clone(),
                model: turn.model.clone(),
                ..Message::default()
            })),
            Payload::Command(command) => Work::Command(Command {
                argv: command.argv.clone(),
                cwd: None,
                env: BTreeMap::new(),
                input: None,
                no_output_timeout: None,
                output_max_bytes: None,
            }),
            Payload::SystemEvent { .. } if job.wake_mode == WakeMode::NextHeartbeat => return Ok(()),
            Payload::SystemEvent { .. } | Payload::Heartbeat => Work::Message(Box::default()),
        };
        self.give_model(&job.agent(), &mut work);
        Ok(self.inner.runtimes.check(&work)?)
    }

    /// Gives work that names no model its agent's own.
    fn give_model(&self, agent: &AgentId, work: &mut Work) {
        if let Work::Message(message) = work
            && message.model.is_none()
        {
            message.model = self.inner.models.get(agent).cloned().flatten();
        }
    }
}

impl AgentError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Unknown { agent, known } => {
                let known: Vec<&str> = known.iter().map(AgentId::as_str).collect();
                format!("use one of {}, or add `agents.entries.{agent}` to the configuration", known.join(", "))
            }
            Self::Work(CheckError::Model(_)) => {
                "set `agents.defaults.model` (as `provider/model`) and that provider under `models.providers`, \
                 and start the gateway again"
                    .to_owned()
            }
            Self::Work(CheckError::NoProgram) => "begin `payload.argv` with a program".to_owned(),
        }
    }

    /// The field of the job that it is about.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "agentId",
            Self::Work(CheckError::Model(_)) => "payload.model",
            Self::Work(CheckError::NoProgram) => "payload.argv",
        }
    }
}

#[async_trait]
impl Runtime for Agents {
    async fn run_turn(&self, mut turn: Turn, cancel: CancellationToken) -> TurnResult {
        self.give_model(&turn.agent, &mut turn.work);
        self.inner.runtimes.run_turn(turn, cancel).await
    }
}
