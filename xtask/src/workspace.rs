//! Where things are in this checkout, and how cargo is called in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, ProcessError};

/// The checkout's top folder.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

/// Where cargo leaves the binary.
pub(crate) fn clawhook() -> PathBuf {
    target().join("debug").join(format!("clawhook{}", std::env::consts::EXE_SUFFIX))
}

/// What else cargo builds when it builds the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltWith {
    /// The binary and what it needs.
    Nothing,
    /// Every package and test, as the test runner builds it. Its dependencies then have the features that all of
    /// them ask for together, so that a gate which runs the tests as well does not build half of them twice.
    AllTests,
}

/// Builds the binary, with cargo's own progress where ours is.
pub(crate) fn build_clawhook(with: BuiltWith) -> Result<(), ProcessError> {
    let mut build = cargo();
    match with {
        BuiltWith::Nothing => build.args(["build", "--locked", "--package", "clawhook-cli"]),
        BuiltWith::AllTests => build.args(["build", "--locked", "--workspace", "--bins", "--tests"]),
    };
    process::run(&mut build)
}

/// Runs in the checkout's top folder.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Cargo, as if it were called by hand.
///
/// What the outer cargo tells this program about its own package is taken away: some build scripts ask to be run
/// again when those variables change, and half of the workspace would be built twice.
pub(crate) fn cargo() -> Command {
    let mut command = command("cargo");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name.as_ref());
        }
    }
    command.env_remove("LD_LIBRARY_PATH");
    command
}
