//! Commands: a program is run, and what it prints is the result.
//!
//! The cast: [`CommandRuntime`] starts a command in a process group of its own, with the gateway's [`Environment`]
//! without the gateway's own settings; it watches the clock, the silence and the cancellation; and when the command is
//! over, for whatever reason, nothing of its group is left. Output of a failed command is kept as well.
//!
//! Not guaranteed: that a process which leaves the group (`setsid`) is found again once its parent has ended, or that a
//! command outlives the gateway: it must not, and a [`Lifeline`] sees to that even when the gateway is killed.

mod capture;
mod process;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use tokio_util::sync::CancellationToken;

use self::process::{Launch, Limits, Process};
use self::report::Report;
use crate::child::{Environment, LaunchError, Lifeline};
use crate::{Command, LiveOutput, TurnResult};

/// How many bytes of each output stream are kept where the job does not say.
const DEFAULT_OUTPUT_BYTES: usize = 1024 * 1024;

/// The most that a job can ask to be kept.
const MOST_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// Where and with what commands run.
#[derive(Debug, Clone)]
pub struct CommandOptions {
    /// The working directory of commands that name none; theirs, where relative, is taken from here.
    pub cwd: PathBuf,
    /// The variables that every command sees.
    pub environment: Environment,
}

/// Runs commands.
pub struct CommandRuntime {
    options: CommandOptions,
    lifeline: Arc<Lifeline>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for CommandRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandRuntime").field("options", &self.options).finish_non_exhaustive()
    }
}

impl CommandRuntime {
    /// A runtime that starts nothing before the first command.
    pub fn new(options: CommandOptions, clock: Arc<dyn Clock>) -> Self {
        Self { options, lifeline: Lifeline::shared(), clock }
    }

    /// Runs `command` to its end, or to the first limit it meets.
    pub async fn run(
        &self,
        command: &Command,
        timeout: Option<Duration>,
        live: &LiveOutput,
        cancel: &CancellationToken,
    ) -> TurnResult {
        let output_bytes = command.output_max_bytes.unwrap_or(DEFAULT_OUTPUT_BYTES).min(MOST_OUTPUT_BYTES);
        let limits = Limits { timeout, no_output_timeout: command.no_output_timeout, output_bytes };
        if cancel.is_cancelled() {
            return Report::not_begun().into_result(&command.argv, self.clock.now());
        }
        let report = match self.start(command, limits, live) {
            Err(error) => Report::not_started(&error),
            Ok(process) => {
                let (end, output) = process.finish(limits, cancel).await;
                Report::ended(&end, &output)
            }
        };
        report.into_result(&command.argv, self.clock.now())
    }

    fn start(&self, command: &Command, limits: Limits, live: &LiveOutput) -> Result<Process, LaunchError> {
        let cwd =
            command.cwd.as_ref().map_or_else(|| self.options.cwd.clone(), |cwd| self.options.cwd.join(cwd));
        LaunchError::foresee(&command.argv, &cwd, command.env.keys())?;
        let Some((program, arguments)) = command.argv.split_first() else {
            return Err(LaunchError::NoProgram);
        };
        let launch = Launch {
            program,
            arguments,
            cwd: &cwd,
            environment: self.options.environment.with(&command.env),
            input: command.input.clone(),
            output_bytes: limits.output_bytes,
            live,
        };
        Process::start(launch, &self.lifeline).map_err(|error| LaunchError::of(program, error))
    }
}
