//! What a command's run amounts to, in OpenClaw's words where it has them.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use clawhook_model::{
    Diagnostic, Diagnostics, ErrorReason, Role, RunError, RunOutcome, Severity, TranscriptEntry, UnixMs,
};
use rustix::process::Signal;

use super::capture::Output;
use super::process::End;
use crate::TurnResult;
use crate::child::LaunchError;

/// How many characters of the output or the command line stand in a diagnostic.
const NOTE_LIMIT: usize = 1000;

/// The end of a command and what it printed.
#[derive(Debug)]
pub(super) struct Report {
    /// The end in two or three words, before the command line.
    headline: &'static str,
    error: Option<RunError>,
    text: String,
    exit_code: Option<i32>,
    truncated: Option<bool>,
}

impl Report {
    /// The command did not come to run.
    pub(super) fn not_started(error: &LaunchError) -> Self {
        let message = format!("Command failed during launch {error}");
        Self {
            headline: "command failed to start",
            error: Some(RunError { reason: ErrorReason::Launch, message }),
            text: String::new(),
            exit_code: None,
            truncated: None,
        }
    }

    /// The turn was cancelled before the command was started.
    pub(super) fn not_begun() -> Self {
        let message = "cron: job interrupted, the command was not started".to_owned();
        Self {
            headline: "command not started",
            error: Some(RunError { reason: ErrorReason::Interrupted, message }),
            text: String::new(),
            exit_code: None,
            truncated: None,
        }
    }

    /// The command ran.
    pub(super) fn ended(end: &End, output: &Output) -> Self {
        let text = both(output.stdout(), output.stderr());
        let (headline, error) = match end {
            End::Exited(status) if status.success() && text.is_empty() => ("command ok with no output", None),
            End::Exited(status) if status.success() => ("command ok", None),
            End::Exited(status) => ("command error", Some((ErrorReason::Exit, exit_text(*status)))),
            End::TimedOut(limit) => (
                "command timed out",
                Some((ErrorReason::Timeout, format!("cron: job execution timed out after {limit:?}"))),
            ),
            End::Silent(limit) => (
                "command timed out",
                Some((
                    ErrorReason::Timeout,
                    format!("command timed out: it printed nothing for {limit:?} (noOutputTimeoutSeconds)"),
                )),
            ),
            End::Cancelled => (
                "command interrupted",
                Some((ErrorReason::Interrupted, "cron: job interrupted, the command was ended".to_owned())),
            ),
            End::Lost(error) => (
                "command lost",
                Some((
                    ErrorReason::Unknown,
                    format!("the system cannot say what became of the command: {error}"),
                )),
            ),
        };
        Self {
            headline,
            error: error.map(|(reason, message)| RunError { reason, message }),
            text,
            exit_code: if let End::Exited(status) = end { status.code() } else { None },
            truncated: Some(output.is_truncated()),
        }
    }

    /// The result of the turn that ran `argv`.
    pub(super) fn into_result(self, argv: &[String], now: UnixMs) -> TurnResult {
        let diagnostics = self.diagnostics(argv, now);
        let mut outcome = match self.error {
            Some(error) => RunOutcome::error(error.reason, error.message),
            None => RunOutcome::ok(String::new()),
        };
        outcome.diagnostics = Some(diagnostics);
        outcome.summary = Some(self.text).filter(|text| !text.is_empty());
        let printed = outcome.summary.iter();
        let transcript = printed.map(|text| TranscriptEntry::said(now, Role::Tool, text));
        TurnResult { transcript: transcript.collect(), ..TurnResult::of(outcome) }
    }

    fn diagnostics(&self, argv: &[String], now: UnixMs) -> Diagnostics {
        let line = format!("{}: {}", self.headline, command_line(argv));
        let (severity, message) = match &self.error {
            None => (Severity::Info, line),
            Some(error) if error.reason == ErrorReason::Exit && self.exit_code.is_some() => {
                (Severity::Error, line)
            }
            Some(error) => (Severity::Error, format!("{line}: {}", error.message)),
        };
        let summary = match &self.error {
            Some(error) if self.text.is_empty() => Some(error.message.clone()),
            _ => Some(start_of(&self.text)).filter(|text| !text.is_empty()),
        };
        let entry = Diagnostic {
            ts: now,
            source: "exec".to_owned(),
            severity,
            message,
            exit_code: self.exit_code,
            truncated: self.truncated,
        };
        Diagnostics { summary, entries: vec![entry] }
    }
}

fn both(stdout: String, stderr: String) -> String {
    match (stdout.is_empty(), stderr.is_empty()) {
        (false, false) => format!("stdout:\n{stdout}\n\nstderr:\n{stderr}"),
        (true, _) => stderr,
        (_, true) => stdout,
    }
}

fn exit_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("command exited with code {code}"),
        (None, Some(signal)) => format!("command was ended by signal {}", signal_name(signal)),
        (None, None) => format!("command ended in an unknown way ({status})"),
    }
}

fn signal_name(number: i32) -> String {
    let name = match Signal::from_named_raw(number) {
        Some(Signal::HUP) => "SIGHUP",
        Some(Signal::INT) => "SIGINT",
        Some(Signal::QUIT) => "SIGQUIT",
        Some(Signal::ILL) => "SIGILL",
        Some(Signal::ABORT) => "SIGABRT",
        Some(Signal::BUS) => "SIGBUS",
        Some(Signal::FPE) => "SIGFPE",
        Some(Signal::KILL) => "SIGKILL",
        Some(Signal::SEGV) => "SIGSEGV",
        Some(Signal::PIPE) => "SIGPIPE",
        Some(Signal::ALARM) => "SIGALRM",
        Some(Signal::TERM) => "SIGTERM",
        _ => return number.to_string(),
    };
    format!("{name} ({number})")
}

/// The command with each part in quotes, as OpenClaw writes it.
fn command_line(argv: &[String]) -> String {
    let parts = argv.iter().map(|part| serde_json::Value::from(part.as_str()).to_string());
    start_of(&parts.collect::<Vec<_>>().join(" "))
}

fn start_of(text: &str) -> String {
    match text.char_indices().nth(NOTE_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
