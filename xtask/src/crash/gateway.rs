//! One life of the gateway: started, found, killed.

use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use clawhook_clock::{Clock, SystemClock};
use clawhook_model::UnixMs;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::api::Api;
use super::points::Point;
use crate::workspace;

/// The gateway waits so long for a receiver's answer.
pub(super) const DELIVERY_TIMEOUT: Duration = Duration::from_millis(400);
/// The wait before each further attempt. There are so many that nothing is ever given up.
pub(super) const RETRY_STEP: Duration = Duration::from_millis(200);
const RETRY_STEPS: usize = 50;
/// How many commands run at once: fewer than are asked for together, so that runs queue.
const RUN_SLOTS: usize = 8;

const LISTENING: &str = "listening on ";
const READY_WITHIN: Duration = Duration::from_secs(30);
const END_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Why a life could not be begun or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error("the gateway could not be started")]
    Start(#[source] io::Error),
    #[error("the gateway ended with {status} before it listened; its log is {log}", log = log.display())]
    Ended { status: ExitStatus, log: PathBuf },
    #[error("the gateway did not listen within {seconds} s; its log is {log}", seconds = READY_WITHIN.as_secs(), log = log.display())]
    Silent { log: PathBuf },
    #[error("the gateway printed '{0}', which is no address of this machine")]
    Address(String),
    #[error("the gateway had not ended {seconds} s after it was asked to", seconds = END_WITHIN.as_secs())]
    DoesNotEnd,
    #[error("the gateway ended with {0} when it was asked to end")]
    BadEnd(ExitStatus),
}

/// The folders and secrets that all lives share.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) signing_secret: &'static str,
    token: &'static str,
}

impl Place {
    /// Makes the folders and the configuration below `folder`.
    pub(super) fn make(folder: &Path) -> io::Result<Self> {
        // Secrets of a store that lives for minutes, on an address that only this machine reaches.
        let place = Self {
            folder: folder.to_owned(),
            signing_secret: "whsec_Y3Jhc2gtdGVzdC1zaWduaW5nLXNlY3JldC0wMTIzNDU=",
            token: "crash-test-token-0123456789abcdef",
        };
        for made in [place.state(), place.markers()] {
            DirBuilder::new().mode(0o700).create(made)?;
        }
        let step = format!("{}ms", RETRY_STEP.as_millis());
        let config = json!({
            "gateway": { "port": 0, "auth": { "token": place.token } },
            "cron": {
                "maxConcurrentRuns": RUN_SLOTS,
                "webhookSsrfPolicy": { "allowedHostnames": ["127.0.0.1"] },
            },
            "delivery": {
                "signingSecret": place.signing_secret,
                "timeout": format!("{}ms", DELIVERY_TIMEOUT.as_millis()),
                "retrySchedule": vec![step; RETRY_STEPS],
            },
        });
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(place.config())?;
        write!(file, "{config:#}")?;
        Ok(place)
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn config(&self) -> PathBuf {
        self.state().join("clawhook.json5")
    }

    pub(super) fn store(&self) -> PathBuf {
        self.state().join("clawhook.db")
    }

    /// Each execution of a command leaves one file here.
    pub(super) fn markers(&self) -> PathBuf {
        self.folder.join("markers")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("gateway.log")
    }
}

/// A gateway process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Gateway {
    child: Child,
    announcements: Receiver<(UnixMs, String)>,
    log: PathBuf,
    token: &'static str,
}

/// How a start went.
pub(super) enum Started {
    /// It listens since then.
    Listening(UnixMs, Api),
    /// The armed point was reached before it listened.
    DiedAtPoint,
}

impl Gateway {
    /// Starts a life; with a point, the process ends itself there as if it were killed.
    pub(super) fn start(place: &Place, point: Option<&Point>) -> Result<Self, GatewayError> {
        let log = place.log();
        let mut log_file =
            File::options().create(true).append(true).open(&log).map_err(GatewayError::Start)?;
        let armed = point.map_or_else(|| "no point armed".to_owned(), ToString::to_string);
        writeln!(log_file, "---- a new life, {armed}").map_err(GatewayError::Start)?;
        let mut command = Command::new(workspace::clawhook());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CLAWHOOK_") {
                command.env_remove(name);
            }
        }
        if let Some(point) = point {
            command.env("CLAWHOOK_FAILPOINT", point.to_string());
        }
        let mut child = command
            .arg("gateway")
            .env("CLAWHOOK_STATE_DIR", place.state())
            .env("CLAWHOOK_CONFIG_PATH", place.config())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .map_err(GatewayError::Start)?;
        let (sender, announcements) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if let Some(url) = line.strip_prefix(LISTENING) {
                        sender.send((SystemClock.now(), url.trim().to_owned())).ok();
                    }
                }
            });
        }
        Ok(Self { child, announcements, log, token: place.token })
    }

    /// Waits until the gateway listens, or has died at the point that was armed.
    pub(super) fn wait_until_listening(&mut self, armed: bool) -> Result<Started, GatewayError> {
        match self.announcements.recv_timeout(READY_WITHIN) {
            Ok((since, url)) => {
                let address = url.strip_prefix("http://").and_then(|rest| rest.parse::<SocketAddr>().ok());
                let address = address.ok_or(GatewayError::Address(url))?;
                Ok(Started::Listening(since, Api { address, token: self.token.to_owned() }))
            }
            Err(RecvTimeoutError::Timeout) => Err(GatewayError::Silent { log: self.log.clone() }),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().map_err(GatewayError::Start)?;
                if armed && is_abort(status) {
                    return Ok(Started::DiedAtPoint);
                }
                Err(GatewayError::Ended { status, log: self.log.clone() })
            }
        }
    }

    /// Waits for the process to end by itself, for at most `time`. Gives how it ended.
    pub(super) fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().ok().flatten() {
                return Some(status);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            std::thread::sleep(LOOK_AGAIN.min(left));
        }
    }

    /// `kill -9`.
    pub(super) fn kill_without_waiting(&mut self) {
        self.child.kill().ok();
    }

    /// `kill -9`, and the certainty that nothing of the process is left.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks the gateway to end and waits until it has.
    pub(super) fn stop(mut self) -> Result<(), GatewayError> {
        // The child has not been waited for, so its number is still its own.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).ok();
        }
        match self.wait(END_WITHIN) {
            None => Err(GatewayError::DoesNotEnd),
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(GatewayError::BadEnd(status)),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Whether a process ended the way an armed point ends it.
pub(super) fn is_abort(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::ABORT.as_raw())
}
