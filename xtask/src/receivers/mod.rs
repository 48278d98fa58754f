//! The example receivers: each one's own tests, and then `clawhook conformance` against it as it runs.

mod example;
#[cfg(test)]
mod excerpts;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::{self, ProcessError, Server};
use crate::progress::Progress;
use crate::workspace::{self, BuiltWith};

use example::{EXAMPLES, Example, Readiness};

/// Known to the receivers of these tests and to nobody who matters.
const SECRET: &str = "whsec_ZXhhbXBsZSByZWNlaXZlcnMgYXJlIHRyaWVkIHdpdGggdGhpcw==";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Where a receiver takes events, and where it counts them.
const WEBHOOK_PATH: &str = "/openclaw/webhook";
const COUNT_PATH: &str = "/processed";

/// Why an example is none to follow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiverError {
    #[error("the receiver {name} could not be set up, or its tests fail")]
    Setup { name: &'static str, source: ProcessError },
    #[error("{path} can't be used", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("clawhook could not be built")]
    Build(#[source] ProcessError),
    #[error("the receiver {name} does not run")]
    Run { name: &'static str, source: ProcessError },
    #[error("`clawhook conformance` finds faults in the receiver {name}")]
    Conformance { name: &'static str, source: ProcessError },
    #[error("`clawhook conformance` warns about the receiver {name}: {findings}")]
    Warned { name: &'static str, findings: String },
}

/// Tries all that can be tried here.
pub(crate) fn check(progress: Progress) -> Result<(), ReceiverError> {
    workspace::build_clawhook(BuiltWith::AllTests).map_err(ReceiverError::Build)?;
    for example in &EXAMPLES {
        match (example.prepare)(progress)? {
            Readiness::Runs(command) => {
                conform(example, command)?;
                progress.note(format_args!(
                    "{}: its tests pass, and so does every case of conformance",
                    example.name
                ));
            }
            Readiness::Tested => progress.note(format_args!("{}: its tests pass", example.name)),
            Readiness::NotHere(why) => progress.note(format_args!("{}: not checked, {why}", example.name)),
        }
    }
    Ok(())
}

/// Runs the receiver and has it examined; it must pass everything.
fn conform(example: &Example, mut command: Command) -> Result<(), ReceiverError> {
    let name = example.name;
    let logs =
        tempfile::tempdir().map_err(|source| ReceiverError::File { path: std::env::temp_dir(), source })?;
    without_clawhooks_variables(&mut command);
    command.env("PORT", "0").env("CLAWHOOK_SIGNING_SECRET", SECRET).env("INBOX", logs.path().join("inbox"));
    let run_error = |source| ReceiverError::Run { name, source };
    let mut server = Server::start(name, &mut command, logs.path()).map_err(run_error)?;
    let url = server.wait_for_line("listening on ", READY_WITHIN).map_err(run_error)?;

    let mut conformance = Command::new(workspace::clawhook());
    without_clawhooks_variables(&mut conformance);
    conformance.env("CLAWHOOK_WEBHOOK_SECRET", SECRET);
    conformance.args(["conformance", &url, "--allow-private", "--json"]);
    conformance.args(["--effects-url", &url.replace(WEBHOOK_PATH, COUNT_PATH)]);
    let findings =
        process::capture(&mut conformance).map_err(|source| ReceiverError::Conformance { name, source })?;
    let verdict = serde_json::from_str::<Value>(&findings).ok().map(|findings| findings["verdict"].clone());
    if verdict == Some(Value::from("pass")) { Ok(()) } else { Err(ReceiverError::Warned { name, findings }) }
}

fn without_clawhooks_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CLAWHOOK_") {
            command.env_remove(name);
        }
    }
    for other in ["WEBHOOK_TOKEN", "FAIL_FIRST", "REQUEST_LOG"] {
        command.env_remove(other);
    }
}

/// Where an example's sources are.
fn folder(name: &str) -> PathBuf {
    workspace::root().join("receivers").join(name)
}

fn on_file(path: &Path) -> impl FnOnce(std::io::Error) -> ReceiverError + use<> {
    let path = path.to_owned();
    |source| ReceiverError::File { path, source }
}
