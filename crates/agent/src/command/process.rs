//! A command's processes: one group, started together and ended together.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::capture::Output;
use crate::child::{Environment, Group, Lifeline};
use crate::live::LiveOutput;

/// How long processes that were asked to end may take for it.
const GRACE: Duration = Duration::from_secs(2);

/// How long output is awaited after the command itself has ended: a child in the background may hold the pipes.
const LINGER: Duration = Duration::from_secs(1);

/// How often a group that was asked to end is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// How a command's run ended.
#[derive(Debug)]
pub(super) enum End {
    /// By itself, or by somebody else's signal.
    Exited(ExitStatus),
    /// It was ended: its time was over.
    TimedOut(Duration),
    /// It was ended: it had printed nothing for so long.
    Silent(Duration),
    /// It was ended: the turn was cancelled.
    Cancelled,
    /// The system could not say what became of it.
    Lost(io::Error),
}

/// How long a command may run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) timeout: Option<Duration>,
    pub(super) no_output_timeout: Option<Duration>,
    pub(super) output_bytes: usize,
}

/// A command under way.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Group>,
    output: Output,
    /// Writes the input; ends with the process.
    _input: Option<AbortOnDropHandle<()>>,
}

/// A command that is to be started.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) program: &'a str,
    pub(super) arguments: &'a [String],
    pub(super) cwd: &'a Path,
    pub(super) environment: Environment,
    pub(super) input: Option<String>,
    pub(super) output_bytes: usize,
    pub(super) live: &'a LiveOutput,
}

impl Process {
    /// Starts the command in a group of its own.
    pub(super) fn start(launch: Launch<'_>, lifeline: &Arc<Lifeline>) -> io::Result<Self> {
        lifeline.stand_by();
        let stdin = if launch.input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = Command::new(launch.program)
            .args(launch.arguments)
            .env_clear()
            .envs(launch.environment.into_vars())
            .current_dir(launch.cwd)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = Group::led_by(&child, lifeline);
        let input = child.stdin.take().zip(launch.input).map(|(stdin, text)| feed(stdin, text));
        let output = Output::new(child.stdout.take(), child.stderr.take(), launch.output_bytes, launch.live);
        Ok(Self { child, group, output, _input: input })
    }

    /// Waits for the command's end, brings it about where a limit is met, and sees to it that nothing of the group
    /// is left.
    pub(super) async fn finish(mut self, limits: Limits, cancel: &CancellationToken) -> (End, Output) {
        let end = self.watch(limits, cancel).await;
        match end {
            End::Exited(_) | End::Lost(_) => {
                timeout(LINGER, self.output.read_to_end()).await.ok();
            }
            End::TimedOut(_) | End::Silent(_) | End::Cancelled => self.end_group().await,
        }
        (end, self.output)
    }

    async fn watch(&mut self, limits: Limits, cancel: &CancellationToken) -> End {
        let deadline = After::new(limits.timeout);
        let mut silence = After::new(limits.no_output_timeout);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return End::Cancelled,
                limit = deadline.wait() => return End::TimedOut(limit),
                exited = self.child.wait() => return exited.map_or_else(End::Lost, End::Exited),
                () = self.output.read_some() => silence = After::new(limits.no_output_timeout),
                limit = silence.wait() => return End::Silent(limit),
            }
        }
    }

    /// Asks the group to end, and after a while makes it. What is printed meanwhile is kept.
    async fn end_group(&mut self) {
        let Some(group) = &self.group else { return };
        group.signal(Signal::TERM);
        let deadline = Instant::now() + GRACE;
        let gone = async {
            // The first process must be waited for, or it would stay in its group as a zombie.
            while !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) || group.exists() {
                sleep(GLANCE).await;
            }
        };
        tokio::select! {
            gone = timeout_at(deadline, gone) => if gone.is_err() { group.signal(Signal::KILL) },
            () = read_for_ever(&mut self.output) => {}
        }
        timeout(LINGER, self.child.wait()).await.ok();
        timeout(GLANCE, self.output.read_to_end()).await.ok();
    }
}

async fn read_for_ever(output: &mut Output) {
    loop {
        output.read_some().await;
    }
}

/// A command need not read its input; that it closes its end is no failure.
fn feed(mut stdin: ChildStdin, text: String) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        stdin.write_all(text.as_bytes()).await.ok();
        stdin.shutdown().await.ok();
    }))
}

/// A moment in the future, or none.
struct After {
    limit: Duration,
    at: Option<Instant>,
}

impl After {
    fn new(limit: Option<Duration>) -> Self {
        let limit = limit.unwrap_or(Duration::MAX);
        Self { limit, at: Instant::now().checked_add(limit) }
    }

    /// Returns the limit once it is over.
    async fn wait(&self) -> Duration {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
        self.limit
    }
}
