//! ACP agents: programs that speak the Agent Client Protocol over their standard input and output, as coding agents do.
//!
//! The cast: [`AcpBackend`] starts the program in the agent's workspace, in a process of its own for each turn, and has a
//! [`Talk`] with it: one fresh session, one prompt. What the agent says and does goes through the [`Record`] into the
//! transcript; when it asks for leave, its [`Leave`] answers, at once, and the answer is recorded. When the turn is over,
//! for whatever reason, nothing of the program's process group is left.
//!
//! Not guaranteed: that an agent asks before it acts. The protocol lets it decide that for itself; what must not happen
//! has to be made impossible where it runs. Nor that what was said in a session before is known to it but by being retold:
//! agents keep sessions of their own each in its way, and those are not used.

mod choices;
mod error;
mod leave;
mod options;
mod program;
mod record;
mod talk;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_clock::Clock;
use clawhook_model::EntryDetail;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::error::AcpError;
use self::leave::Leave;
pub use self::options::{AcpOptions, AcpPermissions, AcpRule, AcpRuleError, AcpToolKind, AcpToolKindError};
use self::record::Record;
use self::talk::{Talk, Wanted};
use self::wire::{Wire, WireError};
use crate::backend::{Ask, Backend, Said, TryError};
use crate::briefing::briefing;
use crate::child::{Child, Launch};

/// How long an agent may take to break its turn off.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How long it may take to end once its input is closed.
const END_GRACE: Duration = Duration::from_secs(2);

/// The model that stands for whatever the agent is set to by itself.
const OWN_MODEL: &str = "default";

/// Has messages answered by an ACP agent.
pub(crate) struct AcpBackend {
    options: AcpOptions,
    /// Where an agent without a workspace works.
    cwd: PathBuf,
    clock: Arc<dyn Clock>,
}

impl AcpBackend {
    /// A backend that starts nothing before it is asked.
    pub(crate) fn new(options: AcpOptions, cwd: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { options, cwd, clock }
    }

    /// Where the agent works: never outside its workspace, where it has one.
    fn folder(&self, workspace: Option<&Path>) -> Result<PathBuf, AcpError> {
        let real = |folder: &Path| {
            folder.canonicalize().map_err(|error| AcpError::Folder { folder: folder.to_owned(), error })
        };
        let base = real(workspace.unwrap_or(&self.cwd))?;
        let Some(cwd) = &self.options.cwd else { return Ok(base) };
        let folder = real(&base.join(cwd))?;
        if workspace.is_some() && !folder.starts_with(&base) {
            return Err(AcpError::OutsideWorkspace { folder, workspace: base });
        }
        Ok(folder)
    }

    async fn turn(&self, ask: &Ask<'_>, said: &mut Said, stop: &CancellationToken) -> Result<(), AcpError> {
        let cwd = self.folder(ask.profile.workspace.as_deref())?;
        let env = self.options.exposed_env();
        let (mut child, pipes) = Child::start(&Launch { argv: &self.options.argv, cwd: &cwd, env: &env })?;
        let wire = Wire::new(pipes.stdout, pipes.stdin, ask.profile.limits.model_timeout);
        let record = Record::new(said, ask.live, self.clock.as_ref());
        let leave = Leave { permissions: &self.options.permissions, tools_allow: ask.tools_allow };
        let mut talk = Talk::new(wire, record, leave, ask.profile.limits.tool_calls);

        let end = tokio::select! {
            biased;
            () = stop.cancelled() => Err(AcpError::Stopped),
            end = Box::pin(talk.run(self.wanted(ask, &cwd))) => end,
        };
        if end.as_ref().is_err_and(AcpError::leaves_it_working) {
            timeout(CANCEL_GRACE, talk.cancel()).await.ok();
        }
        // This closes the agent's input, by which it knows that it is not needed any more.
        talk.finish();
        let end = match end {
            Err(AcpError::Wire(WireError::Closed | WireError::Read(_))) => {
                Err(AcpError::Ended(child.last_words().await))
            }
            Err(AcpError::Full) => Ok(()),
            end => end,
        };
        child.stop(END_GRACE).await;
        end
    }

    fn wanted<'a>(&'a self, ask: &'a Ask<'_>, cwd: &'a Path) -> Wanted<'a> {
        let options = &self.options;
        Wanted {
            cwd,
            servers: ask.tools.servers(),
            auth_method: options.auth_method.as_deref(),
            model: Some(ask.model).filter(|model| *model != OWN_MODEL),
            mode: options.mode.as_deref(),
            thinking: ask.thinking.map(clawhook_model::Thinking::as_str),
            prompt: briefing(ask.system, ask.history, ask.text),
        }
    }
}

#[async_trait]
impl Backend for AcpBackend {
    fn starts_in_workspace(&self) -> bool {
        true
    }

    fn calls_tools_itself(&self) -> bool {
        true
    }

    async fn preflight(&self, ask: &Ask<'_>) -> Result<(), String> {
        let cwd = ask.profile.workspace.as_deref().unwrap_or(&self.cwd);
        let env = self.options.exposed_env();
        let path = env.get("PATH").map(Into::into).or_else(|| std::env::var_os("PATH"));
        match program::find(self.options.program(), cwd, path.as_deref()) {
            Some(_) => Ok(()),
            None => Err(format!(
                "there is no program {:?} that the gateway may run. Install it, or check models.providers.{}.command",
                self.options.program(),
                ask.provider
            )),
        }
    }

    async fn answer(&self, ask: &Ask<'_>, said: &mut Said, stop: &CancellationToken) -> Result<(), TryError> {
        let end = Box::pin(self.turn(ask, said, stop)).await;
        let end = end.and_then(|()| if said.text.is_empty() { Err(wordless(said)) } else { Ok(()) });
        let subject = format!("{}/{}", ask.provider, ask.model);
        end.map_err(|error| error.into_try_error(&subject, ask.provider, &self.options))
    }
}

/// Why an agent that ended its turn as it should said nothing.
fn wordless(said: &Said) -> AcpError {
    let refused = said
        .transcript
        .iter()
        .rev()
        .find(|entry| matches!(entry.detail, Some(EntryDetail::Permission { granted: false })));
    refused.map_or(AcpError::Empty, |entry| AcpError::NotPermitted(entry.text.clone()))
}

#[cfg(test)]
mod tests;
