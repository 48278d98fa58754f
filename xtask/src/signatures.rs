//! The proof that receivers can verify what we sign: requests signed by our own signer, judged by libraries of other
//! languages that we did not write (`receivers/verify`).

mod requests;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, ProcessError};
use crate::progress::Progress;
use crate::stage;
use crate::workspace;

use requests::{SigningError, signed_requests};

/// Why the signatures could not be judged, or were judged otherwise than they should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignaturesError {
    #[error("the requests could not be signed")]
    Sign(#[from] SigningError),
    #[error("{path} can't be written", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("Python could not make a virtual environment; on Debian, `apt-get install python3-venv` helps")]
    Environment(#[source] ProcessError),
    #[error("the libraries of {0} could not be installed")]
    Install(&'static str, #[source] ProcessError),
    #[error("a library of {0} does not judge our signatures as it should")]
    Judged(&'static str, #[source] ProcessError),
}

/// Has the libraries of each language judge the same requests.
pub(crate) fn check(progress: Progress) -> Result<(), SignaturesError> {
    let folder = workspace::target().join("signatures");
    std::fs::create_dir_all(&folder).map_err(on_file(&folder))?;

    progress.note("JavaScript:");
    let node = verifiers().join("node");
    stage::install_packages(&node, progress)
        .map_err(|source| SignaturesError::Install("JavaScript", source))?;
    // The requests are fresh for minutes only, so they are signed once everything is installed.
    let requests = write_requests(&folder)?;
    process::run(Command::new("node").arg(node.join("verify.js")).arg(&requests))
        .map_err(|source| SignaturesError::Judged("JavaScript", source))?;

    progress.note("Python:");
    let python = find_or_make_environment(&folder.join("venv"), progress)?;
    let requests = write_requests(&folder)?;
    process::run(Command::new(python).arg(verifiers().join("python/verify.py")).arg(&requests))
        .map_err(|source| SignaturesError::Judged("Python", source))
}

fn verifiers() -> PathBuf {
    workspace::root().join("receivers/verify")
}

fn write_requests(folder: &Path) -> Result<PathBuf, SignaturesError> {
    let path = folder.join("requests.json");
    std::fs::write(&path, format!("{:#}\n", signed_requests()?)).map_err(on_file(&path))?;
    Ok(path)
}

/// The interpreter of a virtual environment in which exactly the required packages are.
fn find_or_make_environment(folder: &Path, progress: Progress) -> Result<PathBuf, SignaturesError> {
    let python = folder.join("bin/python");
    let requirements = verifiers().join("python/requirements.txt");
    let wanted = std::fs::read(&requirements).map_err(on_file(&requirements))?;
    let marker = folder.join("installed-from");
    if python.exists() && std::fs::read(&marker).is_ok_and(|installed| installed == wanted) {
        progress.note("already installed");
        return Ok(python);
    }
    process::run(workspace::command("python3").args(["-m", "venv", "--clear"]).arg(folder))
        .map_err(SignaturesError::Environment)?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--requirement"]).arg(&requirements);
    process::run(&mut pip).map_err(|source| SignaturesError::Install("Python", source))?;
    std::fs::write(&marker, wanted).map_err(on_file(&marker))?;
    Ok(python)
}

fn on_file(path: &Path) -> impl FnOnce(std::io::Error) -> SignaturesError + use<> {
    let path = path.to_owned();
    |source| SignaturesError::File { path, source }
}
