//! Why a program could not be started, in words that say what to change.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;

/// Why a program could not be started.
#[derive(Debug, Error)]
pub(crate) enum LaunchError {
    #[error("the command is empty")]
    NoProgram,
    #[error("(ENOENT): the working directory {} is not there", .0.display())]
    NoDirectory(PathBuf),
    #[error("(EINVAL): `{0}` is not a name for an environment variable")]
    VariableName(String),
    #[error("(ENOENT): there is no program {program:?}")]
    NotFound { program: String },
    #[error("(EACCES): {program:?} is not a program that the gateway may run")]
    NotAllowed { program: String },
    #[error("(ENOEXEC): {program:?} is not a program; a script must begin with #!")]
    NotAProgram { program: String },
    #[error("(E2BIG): the arguments and environment of {program:?} are too long")]
    TooLong { program: String },
    #[error("(EPIPE): {program:?} has no standard input or output")]
    NoPipes { program: String },
    #[error("of {program:?}: {source}")]
    Other { program: String, source: io::Error },
}

impl LaunchError {
    /// The failure of `program` to start, as the system put it.
    pub(crate) fn of(program: &str, error: io::Error) -> Self {
        let program = program.to_owned();
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => Self::NotFound { program },
            Some(Errno::ACCESS | Errno::PERM) => Self::NotAllowed { program },
            Some(Errno::NOEXEC) => Self::NotAProgram { program },
            Some(Errno::TOOBIG) => Self::TooLong { program },
            _ => Self::Other { program, source: error },
        }
    }

    /// What the system would report so that nobody could tell which of several things is wrong.
    pub(crate) fn foresee<'a>(
        argv: &[String],
        cwd: &Path,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<(), Self> {
        if argv.first().is_none_or(String::is_empty) {
            return Err(Self::NoProgram);
        }
        if !cwd.is_dir() {
            return Err(Self::NoDirectory(cwd.to_owned()));
        }
        for name in names {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Self::VariableName(name.clone()));
            }
        }
        Ok(())
    }
}
