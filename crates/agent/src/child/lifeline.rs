//! The end of running programs when the gateway is killed.
//!
//! A gateway that ends by `kill -9` cannot end its commands, tool servers and agents any more, and its successor reports
//! their runs as interrupted; so somebody else must. A small shell reads from a pipe which process groups are running.
//! When the gateway dies, however it dies, the pipe closes, and the shell ends the groups that are left. It is started
//! with the first program, and where there is no `/bin/sh` programs run without it.
//!
//! Not guaranteed: a command that was started in the very moment of the gateway's death, before its group could be
//! told, and a process that left its group and whose parent had ended before.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustix::process::Pid;

const SCRIPT: &str = include_str!("lifeline.sh");

/// The shell and the groups it must know.
#[derive(Debug, Default)]
pub(crate) struct Lifeline {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeSet<i32>,
    shell: Option<(Child, ChildStdin)>,
}

/// A group whose end is provided for until this is dropped.
#[derive(Debug)]
pub(crate) struct Tied {
    lifeline: Arc<Lifeline>,
    group: i32,
}

impl Lifeline {
    /// The one of this process: there is one gateway to die, so one shell is enough.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Lifeline>> = LazyLock::new(Arc::default);
        Arc::clone(&SHARED)
    }

    /// Has the shell ready, so that hardly a moment lies between the start of a command and its being known.
    pub(crate) fn stand_by(&self) {
        self.tell(|state| if state.shell.is_none() { state.start() } else { Ok(()) });
    }

    /// Has `group` ended, should the gateway die before the returned value is dropped.
    pub(crate) fn tie(self: &Arc<Self>, group: Pid) -> Tied {
        let group = group.as_raw_nonzero().get();
        self.tell(|state| {
            state.running.insert(group);
            state.tell(&format!("+ {group}\n"))
        });
        Tied { lifeline: Arc::clone(self), group }
    }

    /// A shell that cannot be told is one that is gone or stuck: the next one hears of all groups anew.
    fn tell(&self, message: impl FnOnce(&mut State) -> io::Result<()>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let told = message(&mut state).or_else(|_| state.start_anew());
        if let Err(error) = told {
            tracing::warn!(%error, "should the gateway be killed, its running commands would live on");
        }
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        let group = self.group;
        self.lifeline.tell(|state| {
            state.running.remove(&group);
            state.tell(&format!("- {group}\n"))
        });
    }
}

impl State {
    fn tell(&mut self, line: &str) -> io::Result<()> {
        match &mut self.shell {
            // The pipe does not block, and a line is short enough to be written whole or not at all.
            Some((_, stdin)) => stdin.write_all(line.as_bytes()),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Replaces the shell, if there is still something for it to know.
    fn start_anew(&mut self) -> io::Result<()> {
        if let Some((mut shell, _)) = self.shell.take() {
            shell.kill()?;
            shell.wait()?;
        }
        if self.running.is_empty() {
            return Ok(());
        }
        self.start()
    }

    /// Starts a shell and tells it every group.
    fn start(&mut self) -> io::Result<()> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends the gateway's own group must not end the shell before its work.
            .process_group(0)
            .spawn()?;
        let Some(stdin) = shell.stdin.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        rustix::io::ioctl_fionbio(&stdin, true)?;
        self.shell = Some((shell, stdin));
        let groups: String = self.running.iter().map(|group| format!("+ {group}\n")).collect();
        self.tell(&groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (Child, Pid) {
        let child = Command::new("sleep").arg("300").process_group(0).spawn().unwrap();
        let pid = Pid::from_child(&child);
        (child, pid)
    }

    #[test]
    fn a_new_shell_hears_of_every_group_that_runs_and_of_none_that_is_over() {
        let lifeline = Arc::new(Lifeline::default());
        let (mut first, first_group) = sleeper();
        let _first = lifeline.tie(first_group);
        let (mut over, over_group) = sleeper();
        drop(lifeline.tie(over_group));

        let mut shell = lifeline.state.lock().unwrap().shell.take().unwrap();
        shell.0.kill().unwrap();
        shell.0.wait().unwrap();
        lifeline.state.lock().unwrap().shell = Some(shell);
        let (mut second, second_group) = sleeper();
        let _second = lifeline.tie(second_group);

        // What the death of the gateway does to the pipe.
        let (mut shell, stdin) = lifeline.state.lock().unwrap().shell.take().unwrap();
        drop(stdin);
        assert!(!first.wait().unwrap().success());
        assert!(!second.wait().unwrap().success());
        shell.wait().unwrap();
        assert_eq!(over.try_wait().unwrap(), None);
        over.kill().unwrap();
        over.wait().unwrap();
    }
}
