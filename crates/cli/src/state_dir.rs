//! The state directory: where the gateway keeps what it knows, and where its clients find its address and token.

use std::env;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;

/// What the flags that choose a gateway stand under.
pub(crate) const WHICH: &str = "Which gateway";

/// Which state directory.
#[derive(Args)]
#[group(skip)]
pub(crate) struct StateDirArgs {
    /// The gateway's state directory [default: ~/.clawhook]
    #[arg(long, global = true, help_heading = WHICH, value_name = "DIR", env = "CLAWHOOK_STATE_DIR", hide_env_values = true)]
    state_dir: Option<PathBuf>,
}

impl StateDirArgs {
    /// The directory that was named.
    pub(crate) fn named(&self) -> Option<&Path> {
        self.state_dir.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// The directory that was named, or the default one.
    pub(crate) fn resolve(&self) -> Result<PathBuf, Failure> {
        if let Some(named) = self.named() {
            return std::path::absolute(named).map_err(|error| {
                Failure::error(format!("`{}` cannot be a directory: {error}", named.display()))
            });
        }
        match env::home_dir().filter(|home| !home.as_os_str().is_empty()) {
            Some(home) => Ok(home.join(".clawhook")),
            None => Err(Failure::with_hint(
                "there is no home directory to find the state directory in",
                "name one with --state-dir or CLAWHOOK_STATE_DIR",
            )),
        }
    }
}
