//! How each example is set up, tested and started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ReceiverError, folder, on_file};
use crate::process;
use crate::progress::Progress;
use crate::stage;
use crate::workspace;

/// One of the folders below `receivers`.
pub(super) struct Example {
    pub(super) name: &'static str,
    /// Runs its tests; what it needs is installed first.
    pub(super) prepare: fn(Progress) -> Result<Readiness, ReceiverError>,
}

/// What can be done with an example whose tests pass.
pub(super) enum Readiness {
    /// It is started by this.
    Runs(Command),
    /// It runs on somebody else's platform.
    Tested,
    /// What it needs is not on this machine, and nobody is made to install it.
    NotHere(&'static str),
}

pub(super) const EXAMPLES: [Example; 6] = [
    Example { name: "express", prepare: express },
    Example { name: "fastapi", prepare: fastapi },
    Example { name: "go", prepare: go },
    Example { name: "axum", prepare: axum },
    Example { name: "n8n", prepare: n8n },
    Example { name: "zapier", prepare: zapier },
];

fn express(progress: Progress) -> Result<Readiness, ReceiverError> {
    let setup_error = |source| ReceiverError::Setup { name: "express", source };
    stage::install_receiver(progress).map_err(setup_error)?;
    let mut npm = Command::new("npm");
    process::run(npm.current_dir(stage::receiver_folder()).args(["test", "--loglevel=error"]))
        .map_err(setup_error)?;
    let mut node = Command::new("node");
    node.arg(folder("express").join("src/main.js"));
    Ok(Readiness::Runs(node))
}

fn fastapi(progress: Progress) -> Result<Readiness, ReceiverError> {
    let python = install_fastapi(progress)?;
    let mut tests = Command::new(&python);
    tests.current_dir(folder("fastapi")).env("PYTHONDONTWRITEBYTECODE", "1").args(["-m", "unittest", "-q"]);
    process::run(&mut tests).map_err(|source| ReceiverError::Setup { name: "fastapi", source })?;
    let mut main = Command::new(python);
    main.arg(folder("fastapi").join("main.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(Readiness::Runs(main))
}

/// The interpreter of a virtual environment with what requirements.txt names, made unless exactly that is there.
fn install_fastapi(progress: Progress) -> Result<PathBuf, ReceiverError> {
    let environment = workspace::target().join("receivers/fastapi");
    let python = environment.join("bin/python");
    let marker = environment.join("installed-from");
    let requirements = folder("fastapi").join("requirements.txt");
    let wanted = std::fs::read(&requirements).map_err(on_file(&requirements))?;
    // The interpreter is looked at too: it is a link, which breaks when the system's Python is replaced.
    if std::fs::read(&marker).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    progress.note("installing FastAPI into a virtual environment");
    let setup_error = |source| ReceiverError::Setup { name: "fastapi", source };
    let mut venv = workspace::command("python3");
    process::run(venv.args(["-m", "venv", "--clear"]).arg(&environment)).map_err(setup_error)?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "install",
        "--quiet",
        "--requirement",
    ]);
    process::run(pip.arg(&requirements)).map_err(setup_error)?;
    std::fs::write(&marker, wanted).map_err(on_file(&marker))?;
    Ok(python)
}

fn go(_: Progress) -> Result<Readiness, ReceiverError> {
    if process::capture(Command::new("go").arg("version")).is_err() {
        return Ok(Readiness::NotHere("for there is no Go on this machine"));
    }
    let binary = workspace::target().join("receivers/go-receiver");
    go_in_its_folder(&[Path::new("vet"), Path::new("./...")])?;
    go_in_its_folder(&[Path::new("test"), Path::new("./...")])?;
    go_in_its_folder(&[Path::new("build"), Path::new("-o"), &binary])?;
    Ok(Readiness::Runs(Command::new(binary)))
}

fn go_in_its_folder(words: &[&Path]) -> Result<(), ReceiverError> {
    // It needs the standard library alone, so nothing is to be fetched.
    let mut go = Command::new("go");
    go.current_dir(folder("go")).env("GOTOOLCHAIN", "local").env("GOPROXY", "off").args(words);
    process::run(&mut go).map_err(|source| ReceiverError::Setup { name: "go", source })
}

/// A member of the workspace: the step `tests` has tested it, and it is built with everything else.
fn axum(_: Progress) -> Result<Readiness, ReceiverError> {
    let name = format!("clawhook-axum-receiver{}", std::env::consts::EXE_SUFFIX);
    Ok(Readiness::Runs(Command::new(workspace::target().join("debug").join(name))))
}

fn n8n(_: Progress) -> Result<Readiness, ReceiverError> {
    node_tests("n8n", "test/workflow.test.js")
}

fn zapier(_: Progress) -> Result<Readiness, ReceiverError> {
    node_tests("zapier", "test/recipe.test.js")
}

fn node_tests(name: &'static str, file: &str) -> Result<Readiness, ReceiverError> {
    let mut node = Command::new("node");
    process::capture(node.current_dir(folder(name)).args(["--test", file]))
        .map_err(|source| ReceiverError::Setup { name, source })?;
    Ok(Readiness::Tested)
}
