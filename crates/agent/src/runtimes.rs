//! The runtime the gateway wires in.

use async_trait::async_trait;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{CommandRuntime, ModelRuntime, NoSuchModel, Runtime, Turn, TurnResult, Work};

/// Messages to models, commands to the system.
#[derive(Debug)]
pub struct Runtimes {
    models: ModelRuntime,
    commands: CommandRuntime,
}

/// Why work could never run as the gateway is configured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckError {
    /// The message has no model to go to.
    #[error(transparent)]
    Model(#[from] NoSuchModel),
    /// The command names no program.
    #[error("the command is empty: argv must begin with a program")]
    NoProgram,
}

impl Runtimes {
    /// Both runtimes behind one door.
    pub fn new(models: ModelRuntime, commands: CommandRuntime) -> Self {
        Self { models, commands }
    }

    /// Whether `work` has a chance to run, by the configuration alone: nothing is started and nobody is asked. A
    /// door can refuse a job with this, or warn of it, when the job is saved rather than when it is due.
    pub fn check(&self, work: &Work) -> Result<(), CheckError> {
        match work {
            Work::Message(message) => Ok(self.models.check(message.model.as_deref())?),
            Work::Command(command) if command.argv.first().is_none_or(String::is_empty) => {
                Err(CheckError::NoProgram)
            }
            Work::Command(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Runtime for Runtimes {
    async fn run_turn(&self, turn: Turn, cancel: CancellationToken) -> TurnResult {
        match &turn.work {
            Work::Message(message) => {
                self.models.run(&message.text, message.model.as_deref(), turn.timeout, &cancel).await
            }
            Work::Command(command) => self.commands.run(command, turn.timeout, &turn.live, &cancel).await,
        }
    }
}
