//! What a person sees while a task runs: what is happening, and since when.

use std::error::Error;
use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

/// Writes lines to standard output, each with the seconds since the task began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    started: Instant,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Says that something begins.
    pub(crate) fn step(&self, what: impl Display) {
        say(format_args!("[{}] {what}", seconds(self.started.elapsed())));
    }

    /// Says something about the step that runs.
    pub(crate) fn note(&self, what: impl Display) {
        for line in what.to_string().lines() {
            say(format_args!("           {line}"));
        }
    }
}

/// A line of standard output. Nobody is left to tell when it can't be written.
pub(crate) fn say(line: impl Display) {
    writeln!(std::io::stdout(), "{line}").ok();
}

/// An error and what led to it, on standard error.
pub(crate) fn failure(error: &dyn Error) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "\nerror: {error}").ok();
    let mut cause = error.source();
    while let Some(error) = cause {
        writeln!(stderr, "  because: {error}").ok();
        cause = error.source();
    }
}

/// Seconds with one digit after the point, in a column that fits the longest task.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:>7.1}s", duration.as_secs_f64())
}
