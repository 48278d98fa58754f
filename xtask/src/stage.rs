//! The three processes of the demo: a model, a receiver and the gateway, each on a free port of this machine.

use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::model_server::{Installation, MODEL, ModelError, ModelServer};
use crate::process::{self, ProcessError, Server};
use crate::progress::Progress;
use crate::workspace;

/// How long a process may take until it listens.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(30);
const SECRET_BYTES: usize = 32;

/// Why the three could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("{path} can't be used", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the model can't be used")]
    Model(#[from] ModelError),
    #[error("a process of the demo did not start")]
    Process(#[from] ProcessError),
}

/// What runs, and where. Dropping it ends all three.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) gateway: Server,
    pub(crate) receiver: Server,
    pub(crate) model: ModelServer,
    pub(crate) place: Place,
    pub(crate) gateway_url: String,
    pub(crate) receiver_url: String,
}

impl Stage {
    /// Starts all three, with everything they write below `folder`.
    pub(crate) fn set(folder: &Path, installation: &Installation) -> Result<Self, StageError> {
        let place = Place::make(folder)?;
        let model = installation.serve(&place.logs)?;

        let mut receiver = Server::start("receiver", &mut place.receiver_command(), &place.logs)?;
        let receiver_url = receiver.wait_for_line("listening on ", READY_WITHIN)?;

        write_private(&place.config(), &format!("{:#}\n", gateway_config(&model)))?;
        let mut gateway = Server::start("gateway", place.clawhook().arg("gateway"), &place.logs)?;
        let gateway_url = gateway.wait_for_line("listening on ", READY_WITHIN)?;
        Ok(Self { gateway, receiver, model, place, gateway_url, receiver_url })
    }
}

/// The folders of one demo.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) state: PathBuf,
    pub(crate) logs: PathBuf,
}

impl Place {
    /// Makes the folders, and a signing secret.
    pub(crate) fn make(folder: &Path) -> Result<Self, StageError> {
        let place = Self { state: folder.join("state"), logs: folder.join("logs") };
        for made in [&place.state, &place.logs] {
            DirBuilder::new().mode(0o700).create(made).map_err(on_file(made))?;
        }
        let secret = new_signing_secret().map_err(on_file(Path::new("/dev/urandom")))?;
        write_private(&place.signing_secret(), &secret)?;
        Ok(place)
    }

    /// The command line of clawhook, which finds the demo's gateway by this variable.
    pub(crate) fn clawhook(&self) -> Command {
        let mut command = Command::new(workspace::clawhook());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CLAWHOOK_") {
                command.env_remove(name);
            }
        }
        command.env("CLAWHOOK_STATE_DIR", &self.state);
        command
    }

    /// Where the gateway looks for its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.state.join("clawhook.json5")
    }

    /// One JSON object for each request that the receiver has answered.
    pub(crate) fn request_log(&self) -> PathBuf {
        self.logs.join("requests.jsonl")
    }

    fn signing_secret(&self) -> PathBuf {
        self.state.join("signing-secret")
    }

    fn receiver_command(&self) -> Command {
        let mut node = Command::new("node");
        node.arg(receiver_folder().join("src/main.js"))
            .env("PORT", "0")
            .env("CLAWHOOK_SIGNING_SECRET_FILE", self.signing_secret())
            .env("REQUEST_LOG", self.request_log());
        for other in ["CLAWHOOK_SIGNING_SECRET", "WEBHOOK_TOKEN", "FAIL_FIRST"] {
            node.env_remove(other);
        }
        node
    }
}

/// Installs what the receiver needs, unless exactly that is there already.
pub(crate) fn install_receiver(progress: Progress) -> Result<(), ProcessError> {
    install_packages(&receiver_folder(), progress)
}

/// Installs the npm packages that the folder's lock names, unless exactly those are there already.
pub(crate) fn install_packages(folder: &Path, progress: Progress) -> Result<(), ProcessError> {
    let marker = folder.join("node_modules/.installed-from");
    let lock = std::fs::read(folder.join("package-lock.json")).unwrap_or_default();
    if std::fs::read(&marker).is_ok_and(|installed| installed == lock) {
        progress.note("already installed");
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    process::run(&mut npm)?;
    // Without the marker the next run installs again, which is slow and not wrong.
    std::fs::write(marker, lock).ok();
    Ok(())
}

/// Where the receiver's sources are.
pub(crate) fn receiver_folder() -> PathBuf {
    workspace::root().join("receivers/express")
}

/// The receiver is on this machine, which the gateway refuses to send to unless it is told that it may.
fn gateway_config(model: &ModelServer) -> Value {
    json!({
        "gateway": { "port": 0 },
        "cron": { "webhookSsrfPolicy": { "allowedHostnames": ["127.0.0.1"] } },
        "delivery": { "signingSecret": { "file": "signing-secret" } },
        "models": { "providers": { "local": { "baseUrl": model.base_url() } } },
        "agents": { "defaults": { "model": format!("local/{MODEL}") } },
    })
}

/// Writes a file that nobody else can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), StageError> {
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).map_err(on_file(path))?;
    file.write_all(text.as_bytes()).map_err(on_file(path))
}

fn new_signing_secret() -> std::io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("whsec_{}\n", BASE64_STANDARD.encode(bytes)))
}

fn on_file(path: &Path) -> impl FnOnce(std::io::Error) -> StageError + use<> {
    let path = path.to_owned();
    |source| StageError::File { path, source }
}
