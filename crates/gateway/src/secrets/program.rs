//! Secrets that a program prints: the way to every password manager there is.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clawhook_delivery::UnreadableSecret;
use clawhook_model::MAX_SECRET_BYTES;
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The variables that a program is given, where they are set; it is to hear no other secret.
pub(super) const VARIABLES: [&str; 3] = ["PATH", "HOME", "LANG"];

/// What the program prints, as far as a secret may go and one byte more. It is started without a shell, without input,
/// and with these variables alone; what it complains of is not kept, for it may hold the secret.
pub(super) fn output(
    argv: &[String],
    variables: Vec<(&'static str, String)>,
) -> Result<Vec<u8>, UnreadableSecret> {
    output_within(LIMIT, argv, variables)
}

pub(super) fn output_within(
    limit: Duration,
    argv: &[String],
    variables: Vec<(&'static str, String)>,
) -> Result<Vec<u8>, UnreadableSecret> {
    let (program, arguments) = argv.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    let not_started = |error| UnreadableSecret::NotStarted { program: program.to_owned(), error };
    let timed_out = || UnreadableSecret::TimedOut { program: program.to_owned(), within: limit };
    let deadline = Instant::now() + limit;
    let mut running = Running::start(program, arguments, variables).map_err(not_started)?;
    let printed = running.printed(deadline).ok_or_else(timed_out)?.map_err(not_started)?;
    if printed.len() > MAX_SECRET_BYTES {
        // Whoever prints so much does not end by itself.
        return Ok(printed);
    }
    let status = running.ended(deadline).ok_or_else(timed_out)?.map_err(not_started)?;
    if status.success() {
        Ok(printed)
    } else {
        Err(UnreadableSecret::Failed { program: program.to_owned(), status })
    }
}

/// A program under way; it and all that it started are killed when this is dropped before its end.
struct Running {
    child: Option<Child>,
    stdout: Option<ChildStdout>,
}

impl Running {
    fn start(
        program: &str,
        arguments: &[String],
        variables: Vec<(&'static str, String)>,
    ) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let stdout = child.stdout.take();
        Ok(Self { child: Some(child), stdout })
    }

    /// What it prints until it closes its output; `None` when the time is over.
    fn printed(&mut self, deadline: Instant) -> Option<io::Result<Vec<u8>>> {
        let stdout = self.stdout.take();
        within(deadline, move || {
            let mut printed = Vec::new();
            if let Some(stdout) = stdout {
                stdout.take(MAX_SECRET_BYTES as u64 + 1).read_to_end(&mut printed)?;
            }
            Ok(printed)
        })
    }

    /// How it ended; `None` when the time is over.
    fn ended(&mut self, deadline: Instant) -> Option<io::Result<ExitStatus>> {
        // A program that has closed its output has as good as ended; the others are looked at now and then.
        const GLANCE: Duration = Duration::from_millis(2);
        loop {
            match self.child.as_mut()?.try_wait() {
                Ok(None) if Instant::now() >= deadline => return None,
                Ok(None) => std::thread::sleep(GLANCE),
                Ok(Some(status)) => {
                    self.child = None;
                    return Some(Ok(status));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = self.child.as_mut() else { return };
        // It was not waited for yet, so the number is still its own.
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            kill_process_group(group, Signal::KILL).ok();
        }
        child.wait().ok();
    }
}

/// Does `work` on a thread of its own and waits for it until `deadline`. The thread ends with the program's output.
fn within<T: Send + 'static>(
    deadline: Instant,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Option<io::Result<T>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let started = std::thread::Builder::new().name("secret".to_owned()).spawn(move || {
        sender.send(work()).ok();
    });
    match started {
        Ok(_) => receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok(),
        Err(error) => Some(Err(error)),
    }
}
