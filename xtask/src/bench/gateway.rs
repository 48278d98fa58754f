//! The gateway that is measured: the shipped program, with its default settings, a process of its own, on an empty
//! state directory.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::{Connection as StoreConnection, OpenFlags};
use serde_json::{Value, json};

use super::BenchError;
use super::wire::{Connection, request};
use crate::process::Server;
use crate::workspace;

const START_WITHIN: Duration = Duration::from_secs(30);
/// How many connections make jobs at once.
const MAKERS: usize = 32;
/// How long a gateway may take to settle what was delivered.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);
/// A second page of runs is asked for from here on.
const PAGE: usize = 200;

/// A gateway that runs.
#[derive(Debug)]
pub(super) struct Gateway {
    server: Server,
    pub(super) address: SocketAddr,
    pub(super) token: String,
    pub(super) pid: u32,
    pub(super) state: PathBuf,
}

/// The program that is measured.
pub(super) fn binary() -> PathBuf {
    workspace::target().join("release").join(format!("clawhook{}", std::env::consts::EXE_SUFFIX))
}

/// A gateway's command line, on a fresh state directory in `folder`.
pub(super) fn prepare(folder: &Path, name: &str) -> Result<(Command, PathBuf), BenchError> {
    let state = folder.join(name);
    let on_state = |source| BenchError::File { path: state.clone(), source };
    fs::DirBuilder::new().mode(0o700).create(&state).map_err(on_state)?;
    let config = json!({
        "gateway": { "port": 0 },
        "cron": { "webhookSsrfPolicy": { "allowedHostnames": ["127.0.0.1"] } },
    });
    fs::write(state.join("clawhook.json5"), config.to_string()).map_err(on_state)?;
    let command = command_on(&state);
    Ok((command, state))
}

/// A gateway's command line, on a state directory that there is.
pub(super) fn command_on(state: &Path) -> Command {
    let mut command = Command::new(binary());
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("CLAWHOOK_") {
            command.env_remove(variable);
        }
    }
    command.arg("gateway").env("CLAWHOOK_STATE_DIR", state).env("CLAWHOOK_LOG", "warn");
    command
}

/// The address in what a gateway prints once it listens.
pub(super) fn wait_for_address(server: &mut Server) -> Result<SocketAddr, BenchError> {
    let url = server.wait_for_line("listening on ", START_WITHIN)?;
    url.strip_prefix("http://")
        .and_then(|address| address.trim_end_matches('/').parse().ok())
        .ok_or(BenchError::Unreadable { what: "the gateway's address", text: url })
}

impl Gateway {
    pub(super) async fn start(folder: &Path, name: &str) -> Result<Self, BenchError> {
        let (command, state) = prepare(folder, name)?;
        Self::start_with(folder, name, command, state).await
    }

    /// Ends, and returns where its state lies.
    pub(super) fn stop(self) -> PathBuf {
        self.server.stop();
        self.state
    }

    /// Starts on the state that another one has left.
    pub(super) async fn start_again(folder: &Path, name: &str, state: PathBuf) -> Result<Self, BenchError> {
        Self::start_with(folder, name, command_on(&state), state).await
    }

    async fn start_with(
        folder: &Path,
        name: &str,
        mut command: Command,
        state: PathBuf,
    ) -> Result<Self, BenchError> {
        let mut server = Server::start(name, &mut command, folder)?;
        let address = wait_for_address(&mut server)?;
        let token_file = state.join("gateway-token");
        let token = fs::read_to_string(&token_file)
            .map_err(|source| BenchError::File { path: token_file, source })?
            .trim()
            .to_owned();
        let mut gateway = Self { server, address, token, pid: 0, state };
        let status = gateway.get("/api/v1/status").await?;
        gateway.pid = status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        Ok(gateway)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, BenchError> {
        let mut connection = Connection::open(self.address).await?;
        expect_json(&mut connection, &request("GET", path, Some(&self.token), ""), 200).await
    }

    /// Where its store lies.
    pub(super) fn store(&self) -> PathBuf {
        self.state.join("clawhook.db")
    }

    /// Adds a destination of this name.
    pub(super) async fn add_destination(&self, name: &str, url: &str) -> Result<(), BenchError> {
        let body = json!({ "name": name, "url": url }).to_string();
        self.post("/api/v1/destinations", &body, 201).await
    }

    /// Sends nothing more to a destination; what comes up for it waits.
    pub(super) async fn pause(&self, destination: &str) -> Result<(), BenchError> {
        self.post(&format!("/api/v1/destinations/{destination}/pause"), "", 200).await
    }

    /// Sends to a destination again.
    pub(super) async fn resume(&self, destination: &str) -> Result<(), BenchError> {
        self.post(&format!("/api/v1/destinations/{destination}/resume"), "", 200).await
    }

    async fn post(&self, path: &str, body: &str, status: u16) -> Result<(), BenchError> {
        let mut connection = Connection::open(self.address).await?;
        expect_json(&mut connection, &request("POST", path, Some(&self.token), body), status).await.map(drop)
    }

    /// A request that runs a job now.
    pub(super) fn run_request(&self, job: &str) -> Vec<u8> {
        request("POST", &format!("/api/v1/jobs/{job}/run"), Some(&self.token), "")
    }

    /// Makes all these jobs and returns their ids.
    pub(super) async fn make_jobs(&self, jobs: Vec<Value>) -> Result<Vec<String>, BenchError> {
        let share = jobs.len().div_ceil(MAKERS).max(1);
        let mut makers = Vec::new();
        for jobs in jobs.chunks(share) {
            let requests: Vec<Vec<u8>> = jobs
                .iter()
                .map(|job| request("POST", "/api/v1/jobs", Some(&self.token), &job.to_string()))
                .collect();
            makers.push(tokio::spawn(make(self.address, requests)));
        }
        let mut ids = Vec::new();
        for maker in makers {
            ids.extend(maker.await??);
        }
        Ok(ids)
    }

    /// Waits until nothing is under way and no delivery waits.
    pub(super) async fn settle(&self) -> Result<(), BenchError> {
        self.until_none(&["/runs/queued", "/runs/running", "/deliveries/open"]).await
    }

    /// Waits until nothing runs; deliveries may wait.
    pub(super) async fn finish_runs(&self) -> Result<(), BenchError> {
        self.until_none(&["/runs/queued", "/runs/running"]).await
    }

    /// Waits until the status counts none of these.
    async fn until_none(&self, counts: &[&str]) -> Result<(), BenchError> {
        let settled = async {
            loop {
                let status = self.get("/api/v1/status").await?;
                let busy =
                    counts.iter().any(|place| status.pointer(place).and_then(Value::as_u64).unwrap_or(0) > 0);
                if !busy {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // A gateway that never settles shows in the figures; it is no reason to stop measuring.
        tokio::time::timeout(SETTLE_WITHIN, settled).await.unwrap_or(Ok(()))
    }

    /// All runs that there have been.
    pub(super) async fn runs(&self) -> Result<Vec<Value>, BenchError> {
        let mut connection = Connection::open(self.address).await?;
        let mut runs = Vec::new();
        loop {
            let path = format!("/api/v1/runs?limit={PAGE}&offset={}", runs.len());
            let page =
                expect_json(&mut connection, &request("GET", &path, Some(&self.token), ""), 200).await?;
            runs.extend(page["entries"].as_array().into_iter().flatten().cloned());
            if page["hasMore"] != true {
                return Ok(runs);
            }
        }
    }
}

async fn make(address: SocketAddr, requests: Vec<Vec<u8>>) -> Result<Vec<String>, BenchError> {
    let mut connection = Connection::open(address).await?;
    let mut ids = Vec::with_capacity(requests.len());
    for request in requests {
        let job = expect_json(&mut connection, &request, 201).await?;
        ids.push(job["id"].as_str().unwrap_or_default().to_owned());
    }
    Ok(ids)
}

async fn expect_json(connection: &mut Connection, request: &[u8], status: u16) -> Result<Value, BenchError> {
    let answer = connection.exchange(request).await?;
    let text = || String::from_utf8_lossy(answer.body).into_owned();
    if answer.status != status {
        return Err(BenchError::Refused { status: answer.status, text: text() });
    }
    serde_json::from_slice(answer.body)
        .map_err(|_| BenchError::Unreadable { what: "the gateway's answer", text: text() })
}

/// Opens a gateway's store to read it.
pub(super) fn read_store(path: &Path) -> Result<StoreConnection, BenchError> {
    let conn = StoreConnection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    Ok(conn)
}

/// A job that writes into the main session and sends the result to `hook`; it is due once a year.
pub(super) fn system_event(name: &str, hook: &str) -> Value {
    let mut job = command(name, hook);
    job["sessionTarget"] = json!("main");
    job["wakeMode"] = json!("next-heartbeat");
    job["payload"] =
        json!({ "kind": "systemEvent", "text": "The nightly backup of the orders database is done." });
    job
}

/// A job that runs `echo x`, as an agent of its own.
pub(super) fn command(name: &str, hook: &str) -> Value {
    const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;
    json!({
        "name": name,
        "schedule": { "kind": "every", "everyMs": YEAR_MS },
        "sessionTarget": "isolated",
        "payload": { "kind": "command", "argv": ["echo", "x"] },
        "delivery": { "mode": "webhook", "to": hook },
    })
}

/// The same job, with its result sent to a destination by its name.
pub(super) fn sent_to(mut job: Value, destination: &str) -> Value {
    job["delivery"] = json!({ "mode": "webhook", "destination": destination });
    job
}

/// The same job, due once, at an instant.
pub(super) fn due_at(mut job: Value, unix_ms: i64) -> Value {
    job["schedule"] = json!({ "kind": "at", "at": unix_ms.to_string() });
    job
}
