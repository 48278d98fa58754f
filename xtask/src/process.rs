//! Child processes: commands that run to their end, and servers that live until they are dropped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How many lines of a server's output wait for a reader. Later ones are in its log only.
const WAITING_LINES: usize = 4_096;
/// Where a longer line is cut in two.
const LONGEST_LINE: u64 = 4 << 20;
/// How long a server has to end by itself once it is asked to.
const GRACE: Duration = Duration::from_secs(10);
/// How long a command may take whose output is awaited.
const LONGEST_CAPTURE: Duration = Duration::from_secs(600);
/// How often a child that is to end is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How much of a log an error shows.
const SHOWN_LINES: usize = 12;

/// Why a child process did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("`{command}` could not be started")]
    Start { command: String, source: std::io::Error },
    #[error("`{command}` failed: {status}{output}")]
    Failed { command: String, status: ExitStatus, output: String },
    #[error("`{command}` had not ended after {seconds} s")]
    TooLong { command: String, seconds: u64 },
    #[error("{name} ended with {status} before it was ready\n{log}")]
    Ended { name: String, status: String, log: String },
    #[error("{name} did not print '{wanted}' within {seconds} s\n{log}")]
    Silent { name: String, wanted: String, seconds: u64, log: String },
}

/// Runs to the end, with its output where ours is.
pub(crate) fn run(command: &mut Command) -> Result<(), ProcessError> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|source| ProcessError::Start { command: line_of(command), source })?;
    if status.success() {
        return Ok(());
    }
    Err(ProcessError::Failed { command: line_of(command), status, output: String::new() })
}

/// Runs to the end and returns what it wrote to standard output.
pub(crate) fn capture(command: &mut Command) -> Result<String, ProcessError> {
    let start_error = |command: &Command, source| ProcessError::Start { command: line_of(command), source };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| start_error(command, source))?;
    let stdout = child.stdout.take().map(|pipe| std::thread::spawn(move || read_all(pipe)));
    let stderr = child.stderr.take().map(|pipe| std::thread::spawn(move || read_all(pipe)));
    let Some(status) = wait_within(&mut child, LONGEST_CAPTURE) else {
        child.kill().ok();
        child.wait().ok();
        return Err(ProcessError::TooLong { command: line_of(command), seconds: LONGEST_CAPTURE.as_secs() });
    };
    let text_of =
        |reader: Option<JoinHandle<String>>| reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    let (stdout, stderr) = (text_of(stdout), text_of(stderr));
    if status.success() {
        return Ok(stdout);
    }
    let output = format!("\n{stdout}{stderr}").trim_end().to_owned();
    Err(ProcessError::Failed { command: line_of(command), status, output })
}

fn read_all(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How the child ended, if it did so in time.
fn wait_within(child: &mut Child, time: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + time;
    loop {
        if let Some(status) = child.try_wait().ok().flatten() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The command as a person would type it.
fn line_of(command: &Command) -> String {
    format!("{} {}", quoted(&command.get_program().to_string_lossy()), words_of(command))
}

/// What follows the program's name, as a person would type it.
pub(crate) fn words_of(command: &Command) -> String {
    command.get_args().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=./:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A server that was started here. Dropping it asks it to end, and ends it if it does not.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    /// Held open for the child's whole life, so that one which reads it sees its end when this program dies.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
    log: PathBuf,
}

impl Server {
    /// Starts `command`; all that it prints is kept in `logs`, as `<name>.log`.
    pub(crate) fn start(name: &str, command: &mut Command, logs: &Path) -> Result<Self, ProcessError> {
        let log = logs.join(format!("{name}.log"));
        let start_error = |source| ProcessError::Start { command: line_of(command), source };
        let stdout_log = File::options().create(true).append(true).open(&log).map_err(start_error)?;
        let stderr_log = stdout_log.try_clone().map_err(start_error)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr_log)
            .spawn()
            .map_err(|source| ProcessError::Start { command: line_of(command), source })?;

        let stdin = child.stdin.take();
        let (sender, lines) = sync_channel(WAITING_LINES);
        let reader = child.stdout.take().map(|stdout| {
            std::thread::spawn(move || copy_lines(BufReader::new(stdout), stdout_log, &sender))
        });
        Ok(Self { name: name.to_owned(), child, stdin, lines, reader, log })
    }

    /// The rest of the first line that begins with `prefix`; lines before it are passed over.
    pub(crate) fn wait_for_line(&mut self, prefix: &str, within: Duration) -> Result<String, ProcessError> {
        let deadline = Instant::now() + within;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(prefix) {
                        return Ok(rest.to_owned());
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.silent(prefix, within)),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// Asks the server to end and waits until it has, so that its log is whole.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stdin.take());
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.ask_to_end();
            if wait_within(&mut self.child, GRACE).is_none() {
                self.child.kill().ok();
                self.child.wait().ok();
            }
        }
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }

    fn ask_to_end(&self) {
        // The child has not been waited for, so its number is still its own.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).ok();
        }
    }

    fn silent(&self, prefix: &str, within: Duration) -> ProcessError {
        ProcessError::Silent {
            name: self.name.clone(),
            wanted: prefix.trim_end().to_owned(),
            seconds: within.as_secs(),
            log: self.end_of_log(),
        }
    }

    fn ended(&mut self) -> ProcessError {
        let status = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        ProcessError::Ended { name: self.name.clone(), status, log: self.end_of_log() }
    }

    fn end_of_log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        format!("the end of {}:\n  {}", self.log.display(), shown.join("\n  "))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Keeps every line in the log and offers it to whoever waits for one, without ever waiting itself: a child whose
/// output nobody takes would stand still.
fn copy_lines(mut from: impl BufRead, mut log: File, lines: &SyncSender<String>) {
    let mut line = Vec::new();
    while let Ok(1..) = from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
        log.write_all(&line).ok();
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if let Err(TrySendError::Disconnected(_)) = lines.try_send(text) {
            std::io::copy(&mut from, &mut log).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_is_ready_once_it_prints_the_line_that_is_waited_for() {
        let logs = tempfile::tempdir().unwrap();
        let mut server =
            Server::start("echo", &mut shell("echo one; echo 'ready on 7'; cat"), logs.path()).unwrap();
        assert_eq!(server.wait_for_line("ready on ", Duration::from_secs(30)).unwrap(), "7");
        server.stop();
        assert_eq!(std::fs::read_to_string(logs.path().join("echo.log")).unwrap(), "one\nready on 7\n");
    }

    #[test]
    fn a_server_that_ends_too_early_is_reported_with_the_end_of_its_log() {
        let logs = tempfile::tempdir().unwrap();
        let mut server =
            Server::start("broken", &mut shell("echo no port is free >&2; exit 3"), logs.path()).unwrap();
        let error = server.wait_for_line("ready on ", Duration::from_secs(30)).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no port is free"), "{error}");
    }

    #[test]
    fn dropping_a_server_ends_it() {
        let logs = tempfile::tempdir().unwrap();
        let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
        let mut server = Server::start("trapper", &mut shell(script), logs.path()).unwrap();
        server.wait_for_line("ready", Duration::from_secs(30)).unwrap();
        drop(server);
        assert!(std::fs::read_to_string(logs.path().join("trapper.log")).unwrap().ends_with("asked\n"));
    }

    #[test]
    fn a_failed_command_shows_what_it_said_and_how_to_type_it() {
        let error = capture(&mut shell("echo 'it is broken' >&2; exit 1")).unwrap_err().to_string();
        assert!(error.contains(r"`sh -c 'echo '\''it is broken'\''"), "{error}");
        assert!(error.ends_with("it is broken"), "{error}");
    }
}
