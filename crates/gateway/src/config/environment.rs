//! What surrounds the file: the variables, and the directories that relative paths start from.

use std::path::{Path, PathBuf};

/// The variables that clawhook itself reads.
pub(super) const STATE_DIR: &str = "CLAWHOOK_STATE_DIR";
pub(super) const CONFIG_PATH: &str = "CLAWHOOK_CONFIG_PATH";
pub(super) const GATEWAY_PORT: &str = "CLAWHOOK_GATEWAY_PORT";
pub(super) const GATEWAY_TOKEN: &str = "CLAWHOOK_GATEWAY_TOKEN";
pub(super) const SKIP_CRON: &str = "CLAWHOOK_SKIP_CRON";

/// The surroundings of one configuration.
pub(crate) struct Environment<'e> {
    variable: &'e dyn Fn(&str) -> Option<String>,
    directory: PathBuf,
    file: Option<PathBuf>,
}

impl<'e> Environment<'e> {
    /// The surroundings of the file that is called `name`.
    pub(crate) fn of(name: &str, variable: &'e dyn Fn(&str) -> Option<String>) -> Self {
        let directory = Path::new(name).parent().map(Path::to_owned).unwrap_or_default();
        let file = (!name.is_empty()).then(|| PathBuf::from(name));
        Self { variable, directory, file }
    }

    /// The file, where there is one.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.file.clone()
    }

    /// A variable's value as it is.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    /// A variable's value; blank counts as not set.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Where a path of the file leads: `~/` is the home directory, and a relative path starts beside the file.
    pub(crate) fn locate(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), self.setting("HOME")) {
            (Ok(rest), Some(home)) => Path::new(&home).join(rest),
            _ => self.directory.join(path),
        }
    }

    /// A path that starts in an agent's workspace, as far as that can be said here: `~/` is the home directory.
    pub(super) fn locate_within(&self, path: &Path) -> PathBuf {
        if path.starts_with("~") { self.locate(path) } else { path.to_owned() }
    }

    /// The directory of clawhook's own state.
    pub(super) fn state_dir(&self) -> PathBuf {
        match (self.setting(STATE_DIR), self.setting("HOME")) {
            (Some(directory), _) => PathBuf::from(directory),
            (None, Some(home)) => Path::new(&home).join(".clawhook"),
            (None, None) => PathBuf::from(".clawhook"),
        }
    }
}
