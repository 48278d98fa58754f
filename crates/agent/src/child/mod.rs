//! Programs that are started by the gateway, and what they all need.
//!
//! The cast: a [`Child`] speaks with the gateway over its standard input and output for as long as a turn takes: a tool
//! server, an agent. It is the head of a [`Group`], which is ended as a whole, at the latest when the child is dropped;
//! the [`Lifeline`] ends it even when the gateway is killed. It sees an [`Environment`] without the gateway's own
//! settings, and the end of what it prints on stderr is kept for error messages. Commands have their own way of being
//! run, on the same group, lifeline and environment.
//!
//! Not guaranteed: that a process which leaves its group (`setsid`) is found again once its parent has ended, or where the
//! system has no `/proc`.

mod environment;
mod group;
mod launch_error;
mod lifeline;
mod stderr;
mod strays;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

pub use self::environment::Environment;
pub(crate) use self::group::Group;
pub(crate) use self::launch_error::LaunchError;
pub(crate) use self::lifeline::Lifeline;
use self::stderr::Stderr;

/// How often a group that is to end is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// How long the end of a child, and the last of what it printed, are awaited where they are to be told.
const LINGER: Duration = Duration::from_millis(500);

/// A program that is to be started.
pub(crate) struct Launch<'a> {
    /// The program and its arguments.
    pub(crate) argv: &'a [String],
    /// Its working directory.
    pub(crate) cwd: &'a Path,
    /// Variables set over the gateway's environment. Their values can be secrets, and are masked where the child's words
    /// are told.
    pub(crate) env: &'a BTreeMap<String, String>,
}

/// A program that runs beside a turn. Dropping it kills its whole group.
#[derive(Debug)]
pub(crate) struct Child {
    process: tokio::process::Child,
    /// None once the child has ended: what was left of its group went with it.
    group: Option<Group>,
    stderr: Stderr,
}

/// The two ends by which a child is spoken with.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// What is written here the child reads; closing it asks most children to end.
    pub(crate) stdin: ChildStdin,
    /// What the child says.
    pub(crate) stdout: ChildStdout,
}

impl Child {
    /// Starts the program in a group of its own.
    pub(crate) fn start(launch: &Launch<'_>) -> Result<(Self, Pipes), LaunchError> {
        LaunchError::foresee(launch.argv, launch.cwd, launch.env.keys())?;
        let Some((program, arguments)) = launch.argv.split_first() else {
            return Err(LaunchError::NoProgram);
        };
        let lifeline = Lifeline::shared();
        lifeline.stand_by();
        let mut process = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(Environment::inherited().with(launch.env).into_vars())
            .current_dir(launch.cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| LaunchError::of(program, error))?;
        let group = Group::led_by(&process, &lifeline);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take())
        else {
            return Err(LaunchError::NoPipes { program: program.clone() });
        };
        let stderr = Stderr::read(stderr, launch.env.values());
        Ok((Self { process, group, stderr }, Pipes { stdin, stdout }))
    }

    /// Waits until the child has ended by itself. It can be dropped and called again.
    pub(crate) async fn exited(&mut self) -> String {
        let ended = self.process.wait().await;
        // Its process id can now become another's, so the group is ended while it is still this one.
        self.group = None;
        ended.map_or_else(|error| format!("is lost: {error}"), end_text)
    }

    /// The child's end, where it comes soon, and the last line it printed on stderr, for a sentence of which the child is
    /// the subject: `exited with code 1 (stderr: no such file)`.
    pub(crate) async fn last_words(&mut self) -> String {
        let end = match timeout(LINGER, self.exited()).await {
            Ok(end) => {
                timeout(LINGER, self.stderr.ended()).await.ok();
                end
            }
            Err(_) => "is still running".to_owned(),
        };
        match self.stderr.last_line() {
            Some(line) => format!("{end} (stderr: {line})"),
            None => end,
        }
    }

    /// Ends the child and its group within `grace`: it has half of that to end by itself, which it should do once its
    /// input is closed; then it is asked to, and at last it is made to.
    pub(crate) async fn stop(mut self, grace: Duration) {
        if timeout(grace / 2, self.all_gone()).await.is_ok() {
            return;
        }
        if let Some(group) = &self.group {
            group.signal(Signal::TERM);
        }
        timeout(grace / 2, self.all_gone()).await.ok();
    }

    async fn all_gone(&mut self) {
        // The first process must be waited for, or it would stay in its group as a zombie.
        while !matches!(self.process.try_wait(), Ok(Some(_)) | Err(_))
            || self.group.as_ref().is_some_and(Group::exists)
        {
            sleep(GLANCE).await;
        }
    }
}

fn end_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => format!("ended in an unknown way ({status})"),
    }
}

#[cfg(test)]
mod tests;
