//! The gateway, the model and the receiver of this proof, and how they are asked.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::AgentsError;
use crate::model_server::{Installation, MODEL, ModelServer};
use crate::process::Server;
use crate::stage::{self, Place, READY_WITHIN};

/// How long an event may take to arrive once its run is over.
const EVENT_WITHIN: Duration = Duration::from_secs(30);
/// An agent that is offered a tool.
pub(super) const CLOCK: &str = "clock";

/// What runs. Dropping it ends all of it.
pub(super) struct House {
    place: Place,
    pub(super) model: ModelServer,
    receiver: Server,
    receiver_url: String,
    _gateway: Server,
}

impl House {
    /// Starts all three, with everything they write below `folder`.
    pub(super) fn open(
        folder: &Path,
        installation: &Installation,
        time_server: &Path,
    ) -> Result<Self, AgentsError> {
        let place = Place::make(folder)?;
        let model = installation.serve_with_tools(&place.logs)?;
        let mut listen = place.clawhook();
        let mut receiver =
            Server::start("receiver", listen.args(["listen", "--port", "0", "--json"]), &place.logs)?;
        let receiver_url = listening_at(&place.logs.join("receiver.log"), &mut receiver)?;
        let config = gateway_config(&model.base_url(), &receiver_url, time_server)?;
        stage::write_private(&place.config(), &format!("{config:#}\n"))?;
        let mut gateway = Server::start("gateway", place.clawhook().arg("gateway"), &place.logs)?;
        gateway.wait_for_line("listening on ", READY_WITHIN)?;
        Ok(Self { place, model, receiver, receiver_url, _gateway: gateway })
    }

    /// Adds a job that sends its results to the receiver; its id.
    pub(super) fn add(&self, name: &str, words: &[&str]) -> Result<String, AgentsError> {
        let mut add = vec!["cron", "add", "--every", "24h", "--name", name];
        add.extend(words);
        add.extend(["--webhook", &self.receiver_url, "--json"]);
        Ok(text(&self.json(&add)?, "/id"))
    }

    /// Runs the job until its result is delivered, however it ends; the run.
    pub(super) fn run(&self, job: &str) -> Result<Value, AgentsError> {
        let answer = self.json(&["cron", "run", job, "--wait", "--json"])?;
        Ok(answer["run"].clone())
    }

    /// Begins a run; its id.
    pub(super) fn begin(&self, job: &str) -> Result<String, AgentsError> {
        Ok(text(&self.json(&["cron", "run", job, "--json"])?, "/runId"))
    }

    /// Runs a command whose JSON is wanted, whatever its exit code says of the run.
    pub(super) fn json(&self, words: &[&str]) -> Result<Value, AgentsError> {
        let (stdout, stderr) = self.said(words)?;
        serde_json::from_str(&stdout).map_err(|_| AgentsError::Unreadable {
            command: words.join(" "),
            text: format!("{stdout}{stderr}"),
        })
    }

    /// What a command writes to standard output and to standard error.
    pub(super) fn said(&self, words: &[&str]) -> Result<(String, String), AgentsError> {
        let output = self.place.clawhook().args(words).stdin(Stdio::null()).output();
        let output = output.map_err(|source| AgentsError::Command { command: words.join(" "), source })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&output.stdout), text(&output.stderr)))
    }

    /// Runs the job and follows it; each piece of standard output as it came.
    pub(super) fn follow(&self, job: &str) -> Result<Vec<String>, AgentsError> {
        let mut command = self.place.clawhook();
        command.args(["cron", "run", job, "--follow"]).stdin(Stdio::null());
        let on_error = |source| AgentsError::Command { command: "cron run --follow".to_owned(), source };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(on_error)?;
        let mut pieces = Vec::new();
        let mut buffer = [0; 4096];
        if let Some(stdout) = child.stdout.as_mut() {
            while let length @ 1.. = stdout.read(&mut buffer).map_err(on_error)? {
                pieces.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        }
        child.wait().map_err(on_error)?;
        Ok(pieces)
    }

    /// The event of a run, once it has arrived and its signature was verified.
    pub(super) fn event(&mut self, run: &Value) -> Result<Value, AgentsError> {
        let wanted = text(run, "/runId");
        let deadline = Instant::now() + EVENT_WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = format!("{{{}", self.receiver.wait_for_line("{", left)?);
            let request: Value = serde_json::from_str(&line)
                .map_err(|_| AgentsError::Unreadable { command: "listen".to_owned(), text: line.clone() })?;
            if request["runId"] == wanted.as_str() && request["signature"] == "valid" {
                return Ok(request["event"].clone());
            }
        }
    }
}

/// `listen --json` keeps standard output for events, and says on standard error where it listens.
fn listening_at(log: &Path, receiver: &mut Server) -> Result<String, AgentsError> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("listening on: "));
        if let Some(url) = line.filter(|_| text.ends_with('\n')) {
            return Ok(url.to_owned());
        }
        if Instant::now() >= deadline {
            // This tells the end of the log, or how the process ended.
            receiver.wait_for_line("listening on", Duration::ZERO)?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn gateway_config(model: &str, receiver: &str, time_server: &Path) -> Result<Value, AgentsError> {
    let plain = json!([{ "id": MODEL, "compat": { "supportsTools": false } }]);
    Ok(json!({
        "gateway": { "port": 0 },
        "cron": { "webhookSsrfPolicy": { "allowedHostnames": ["127.0.0.1"] } },
        "delivery": { "signingSecret": { "file": "signing-secret" } },
        "models": { "providers": {
            "local": { "baseUrl": model, "models": plain },
            "tooled": { "baseUrl": model, "models": [{ "id": MODEL, "maxTokens": 200 }] },
            "stopped": { "baseUrl": format!("{}/v1", address_of_nobody()?) },
            // It is there and speaks HTTP; it is no model and refuses what is not signed.
            "refusing": { "baseUrl": receiver },
        } },
        "mcp": { "servers": { "time": { "command": time_server, "args": ["--local-timezone", "UTC"] } } },
        "agents": {
            "defaults": { "model": format!("local/{MODEL}") },
            "entries": {
                "main": {},
                CLOCK: {
                    "model": format!("tooled/{MODEL}"),
                    "tools": { "allow": ["time__get_current_time"] },
                    "limits": { "rounds": 3 },
                },
            },
        },
    }))
}

/// An address at which a server was, and is no more.
fn address_of_nobody() -> Result<String, AgentsError> {
    let on_error = |source| AgentsError::Command { command: "bind".to_owned(), source };
    let listener = TcpListener::bind("127.0.0.1:0").map_err(on_error)?;
    Ok(format!("http://{}", listener.local_addr().map_err(on_error)?))
}

/// A text inside JSON; empty if there is none.
pub(super) fn text(value: &Value, place: &str) -> String {
    value.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
}
