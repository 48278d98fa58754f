//! The proof that messages to people arrive: real servers that we did not write, spoken to by our own channels through
//! our own guard, and asked afterwards what they have.
//!
//! Synapse is the Matrix homeserver, and aiosmtpd the mail server. Long texts come in pieces, in a thread, through the
//! server's own rate limit and through its restart; what somebody else reads there is the text, whole and once.

mod homeserver;
mod mail;
mod sending;
mod servers;

use std::path::PathBuf;

use crate::loopback::AskError;
use crate::process::ProcessError;
use crate::progress::Progress;
use crate::workspace;

/// Why the channels could not be tried, or did not do what they promise.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelsError {
    #[error("the servers could not be installed")]
    Install(#[source] ProcessError),
    #[error("a server could not be used")]
    Server(#[from] ProcessError),
    #[error("a server could not be asked")]
    Ask(#[from] AskError),
    #[error("{path} can't be used", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("nothing could be started to send with")]
    Runtime(#[source] std::io::Error),
    #[error("the account cannot be used: {0}")]
    Account(String),
    #[error("{what}: {found}")]
    Broken { what: &'static str, found: String },
}

impl ChannelsError {
    fn on_file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }
}

/// That something is as it should be; `found` is what it is.
fn ensure(holds: bool, what: &'static str, found: impl std::fmt::Debug) -> Result<(), ChannelsError> {
    if holds { Ok(()) } else { Err(ChannelsError::Broken { what, found: format!("{found:?}") }) }
}

/// Sends to both servers.
pub(crate) fn check(progress: Progress) -> Result<(), ChannelsError> {
    let environment = servers::find_or_install(progress)?;
    let folder = workspace::target().join("channels/run");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(ChannelsError::on_file(&folder))?;
    }
    std::fs::create_dir_all(&folder).map_err(ChannelsError::on_file(&folder))?;
    let runtime = tokio::runtime::Runtime::new().map_err(ChannelsError::Runtime)?;
    progress.note("Matrix, to Synapse:");
    homeserver::check(&runtime, &environment, &folder, progress)?;
    progress.note("e-mail, to aiosmtpd:");
    mail::check(&runtime, &environment, &folder, progress)
}
