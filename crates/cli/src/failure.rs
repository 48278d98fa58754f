//! How a command fails: a sentence, perhaps a hint, and an exit code.

use std::io;
use std::process::ExitCode;

use crate::output;

/// Why a command did not do what it was asked.
pub(crate) enum Failure {
    /// What was typed cannot be meant (exit code 2).
    Usage(Box<clap::Error>),
    /// It was meant and did not work (exit code 1).
    Error {
        /// What went wrong, with the offending value.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Standard output takes no more.
    Output(io::Error),
}

impl Failure {
    /// An error that explains itself.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self::Error { message: message.into(), hint: None }
    }

    /// An error with advice.
    pub(crate) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Error { message: message.into(), hint: Some(hint.into()) }
    }

    /// Tells the person, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(error) => {
                // If standard error is closed, nobody is there to be told.
                error.print().ok();
                ExitCode::from(2)
            }
            Self::Error { message, hint } => {
                output::message("error", &message);
                if let Some(hint) = hint {
                    output::message("hint", &hint);
                }
                ExitCode::FAILURE
            }
            // Whoever reads our output, `head` for one, has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Output(error) => {
                output::message("error", &format!("cannot write to standard output: {error}"));
                ExitCode::FAILURE
            }
        }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(Box::new(error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
