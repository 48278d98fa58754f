//! The proof that no request to a hook is lost and none is done twice, however often the gateway is killed.
//!
//! The cast: callers post requests with idempotency keys, each again and again until it is acknowledged ([`callers`]). A
//! scripted model answers the turns and keeps a record of what it was asked ([`model`]). Meanwhile the gateway is killed, at
//! random moments and at points just before and after the commit that accepts a request. In the end every acknowledged
//! request has exactly one run, and no turn was taken twice; a run that was under way at a death is there as `interrupted`.

mod callers;
mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::callers::Callers;
use self::model::Model;
use crate::chance::Chance;
use crate::process::ProcessError;
use crate::progress::{Progress, seconds};
use crate::workspace::{self, BuiltWith};

const API_TOKEN: &str = "hooks-test-token-0123456789abcdef";
const HOOK_TOKEN: &str = "hooks-test-caller-0123456789abcdef";
/// How long a life lasts, in milliseconds.
const SHORTEST_MS: u64 = 200;
const LONGEST_MS: u64 = 1_500;
/// How many commits a life lasts at most that ends at one.
const MOST_COMMITS: u64 = 60;
/// How long everything may take to come to its end, once it is accepted.
const DRAINED_WITHIN: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const READY_WITHIN: Duration = Duration::from_secs(60);
const PAGE: usize = 200;

/// How much is tried.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many requests are posted
    #[arg(long, default_value_t = 5_000)]
    pub(crate) posts: usize,
    /// How many callers post at the same time
    #[arg(long, default_value_t = 16)]
    pub(crate) callers: usize,
    /// What the moments of the deaths follow from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Let the gateway live, to see how fast it accepts
    #[arg(long)]
    pub(crate) calm: bool,
}

/// What does not hold.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HooksError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the gateway did not answer within {} s; its log is {}", READY_WITHIN.as_secs(), .0.display())]
    Silent(PathBuf),
    #[error("after {} s requests were still open; the gateway's log is {}", DRAINED_WITHIN.as_secs(), .0.display())]
    NotDrained(PathBuf),
    #[error("the gateway answered {status} to {path}")]
    Answer { status: u16, path: String },
    #[error("{} promises are broken, among them: {}", .0.len(), .0.iter().take(10).cloned().collect::<Vec<_>>().join("; "))]
    Broken(Vec<String>),
}

impl Options {
    /// A small one, for the gate.
    pub(crate) fn for_the_gate() -> Self {
        Self { posts: 300, callers: 8, seed: 1, calm: false }
    }
}

/// Builds the gateway, posts, kills, and looks at what is left.
pub(crate) fn run(options: &Options, with: BuiltWith) -> Result<(), HooksError> {
    let progress = Progress::start();
    workspace::build_clawhook(with)?;
    let folder = tempfile::Builder::new().prefix("clawhook-hooks-").tempdir()?.keep();
    let model = Model::start()?;
    let house = House::make(&folder, model.address())?;
    progress
        .step(format_args!("Posting {} requests to a gateway that is killed again and again", options.posts));
    let callers = Callers::start(house.address, options.posts, options.callers);
    let mut chance = Chance::new(options.seed);
    let (mut deaths, mut at_commits) = (0, 0);
    let begun = Instant::now();
    while !callers.are_done() {
        let point = (!options.calm && chance.within(0..=2) == 0).then(|| {
            let place = chance.pick(&["before_commit", "after_commit"]).copied().unwrap_or("after_commit");
            format!("accept_hook.{place}@{}", chance.within(1..=MOST_COMMITS))
        });
        let mut life = house.begin(point.as_deref())?;
        let until = Instant::now() + Duration::from_millis(chance.within(SHORTEST_MS..=LONGEST_MS));
        house.wait_until_ready(&mut life)?;
        let mut died = false;
        while !callers.are_done() && (options.calm || Instant::now() < until) {
            if life.try_wait()?.is_some() {
                died = true;
                at_commits += 1;
                break;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        if !died {
            life.kill()?;
        }
        life.wait()?;
        deaths += 1;
    }
    let took = begun.elapsed();
    let acknowledged = callers.end();
    progress.note(format_args!(
        "{} acknowledged in {} ({:.0}/s), {} answers to repetitions, over {deaths} deaths, {at_commits} of them at a commit",
        acknowledged.runs.len(),
        seconds(took),
        f64::from(u32::try_from(acknowledged.runs.len()).unwrap_or(u32::MAX)) / took.as_secs_f64(),
        acknowledged.tries.saturating_sub(acknowledged.runs.len()),
    ));
    progress.step("Letting the queue drain");
    let drained = Instant::now();
    let mut life = house.begin(None)?;
    house.wait_until_ready(&mut life)?;
    let found = house.drain().and_then(|()| house.found());
    life.kill()?;
    life.wait()?;
    let found = found?;
    progress.note(format_args!("drained in {}", seconds(drained.elapsed())));
    let broken = violations(&acknowledged.runs, &found, &model.asked());
    if !broken.is_empty() {
        return Err(HooksError::Broken(broken));
    }
    let interrupted = found.runs.values().filter(|run| run.reason.as_deref() == Some("interrupted")).count();
    progress.note(format_args!(
        "{} requests have {} runs: {} ok, {interrupted} interrupted and visible; none lost, none twice",
        found.requests,
        found.runs.len(),
        found.runs.values().filter(|run| run.status == "ok").count(),
    ));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// A run as the gateway tells of it.
#[derive(Debug)]
struct FoundRun {
    status: String,
    reason: Option<String>,
}

/// What is left at the end.
#[derive(Debug)]
struct Found {
    requests: usize,
    runs: BTreeMap<String, FoundRun>,
}

/// What does not hold of what is left. `acknowledged` has the run of each request, `asked` how often the model saw each.
fn violations(
    acknowledged: &BTreeMap<usize, String>,
    found: &Found,
    asked: &BTreeMap<usize, u32>,
) -> Vec<String> {
    let mut broken = Vec::new();
    let promised: BTreeSet<&String> = acknowledged.values().collect();
    if promised.len() != acknowledged.len() {
        broken.push("two requests were answered with the same run".to_owned());
    }
    if found.requests != acknowledged.len() {
        broken.push(format!("{} requests are kept of {}", found.requests, acknowledged.len()));
    }
    for (request, run) in acknowledged {
        let seen = asked.get(request).copied().unwrap_or(0);
        match found.runs.get(run) {
            None => broken.push(format!("the run {run} of request {request} is lost")),
            Some(run) if run.status == "ok" && seen != 1 => {
                broken.push(format!("the turn of request {request} was taken {seen} times"));
            }
            Some(FoundRun { status, reason })
                if status != "ok" && reason.as_deref() != Some("interrupted") =>
            {
                broken.push(format!("request {request} ended as {status} ({reason:?})"));
            }
            Some(_) if seen > 1 => {
                broken.push(format!("request {request} was interrupted and begun {seen} times"));
            }
            Some(_) => {}
        }
    }
    let extra = found.runs.keys().filter(|run| !promised.contains(run));
    broken.extend(extra.map(|run| format!("nobody was promised the run {run}")));
    broken
}

/// Where the gateway lives.
struct House {
    folder: PathBuf,
    address: SocketAddr,
}

impl House {
    fn make(folder: &Path, model: SocketAddr) -> io::Result<Self> {
        let house = Self { folder: folder.to_owned(), address: free_address()? };
        DirBuilder::new().mode(0o700).create(house.state())?;
        let config = json!({
            "gateway": { "port": house.address.port(), "auth": { "token": API_TOKEN } },
            "models": { "providers": { "script": {
                "baseUrl": format!("http://{model}/v1"), "api": "openai-completions",
            } } },
            "agents": { "defaults": { "model": "script/one" } },
            "cron": { "retention": { "runsPerJob": 1_000_000 } },
            "hooks": {
                "enabled": true, "token": HOOK_TOKEN, "maxConcurrentRuns": 32,
                "limits": { "maxConcurrentRuns": 32, "queueDepth": 1_000_000 },
            },
        });
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(house.config())?;
        write!(file, "{config:#}")?;
        Ok(house)
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn config(&self) -> PathBuf {
        self.state().join("clawhook.json5")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("gateway.log")
    }

    /// Begins a life, which ends itself at a point where one is given.
    fn begin(&self, point: Option<&str>) -> io::Result<Life> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(workspace::clawhook());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CLAWHOOK_") {
                command.env_remove(name);
            }
        }
        if let Some(point) = point {
            command.env("CLAWHOOK_FAILPOINT", point);
        }
        let child = command
            .arg("gateway")
            .env("CLAWHOOK_STATE_DIR", self.state())
            .env("CLAWHOOK_CONFIG_PATH", self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Life(child))
    }

    /// Waits until the gateway answers, or has died at its point before it could.
    fn wait_until_ready(&self, life: &mut Life) -> Result<(), HooksError> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if life.try_wait()?.is_some() || callers::get(self.address, "/readyz", API_TOKEN).is_ok() {
                return Ok(());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Err(HooksError::Silent(self.log()))
    }

    fn get(&self, path: &str) -> Result<Value, HooksError> {
        let (status, body) = callers::get(self.address, path, API_TOKEN)?;
        if status == 200 { Ok(body) } else { Err(HooksError::Answer { status, path: path.to_owned() }) }
    }

    /// Waits until no request is open.
    fn drain(&self) -> Result<(), HooksError> {
        let deadline = Instant::now() + DRAINED_WITHIN;
        while Instant::now() < deadline {
            let open = self.get("/api/v1/hooks/agent/requests?open=true&limit=1")?;
            if open["requests"].as_array().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(HooksError::NotDrained(self.log()))
    }

    /// Reads all requests and all runs.
    fn found(&self) -> Result<Found, HooksError> {
        let (mut requests, mut before) = (0, String::new());
        loop {
            let page = self.get(&format!("/api/v1/hooks/agent/requests?limit={PAGE}{before}"))?;
            requests += page["requests"].as_array().map_or(0, Vec::len);
            match page["nextBefore"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => break,
            }
        }
        let mut runs = BTreeMap::new();
        for page in 0.. {
            let path = format!("/api/v1/jobs/hook-agent/runs?limit={PAGE}&offset={}", page * PAGE);
            let answer = self.get(&path)?;
            let entries = answer["entries"].as_array().cloned().unwrap_or_default();
            for run in &entries {
                let word = |key: &str| run[key].as_str().map(str::to_owned);
                let found = FoundRun {
                    status: word("status").unwrap_or_else(|| "not over".to_owned()),
                    reason: word("errorReason"),
                };
                runs.insert(word("runId").unwrap_or_default(), found);
            }
            if entries.len() < PAGE {
                break;
            }
        }
        Ok(Found { requests, runs })
    }
}

/// A gateway that lives. Dropping it kills it.
struct Life(Child);

impl Life {
    fn try_wait(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        self.0.try_wait()
    }

    fn kill(&mut self) -> io::Result<()> {
        self.0.kill()
    }

    fn wait(&mut self) -> io::Result<()> {
        self.0.wait().map(|_| ())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// An address of this machine that nobody uses at the moment. It stays the same over all lives.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// What callers know in the end.
struct Acknowledged {
    /// The run of each request.
    runs: BTreeMap<usize, String>,
    /// How many requests were sent in all.
    tries: usize,
}

type Shared<T> = Arc<std::sync::Mutex<T>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(runs: &[(&str, &str, Option<&str>)], requests: usize) -> Found {
        let runs = runs.iter().map(|(id, status, reason)| {
            let run = FoundRun { status: (*status).to_owned(), reason: reason.map(str::to_owned) };
            ((*id).to_owned(), run)
        });
        Found { requests, runs: runs.collect() }
    }

    #[test]
    fn what_is_lost_or_done_twice_is_seen() {
        let acknowledged: BTreeMap<usize, String> = [(0, "a".to_owned()), (1, "b".to_owned())].into();
        let all_well = found(&[("a", "ok", None), ("b", "error", Some("interrupted"))], 2);
        assert_eq!(violations(&acknowledged, &all_well, &[(0, 1), (1, 1)].into()), Vec::<String>::new());
        for (found, asked) in [
            (found(&[("a", "ok", None)], 2), [(0, 1), (1, 1)]),
            (found(&[("a", "ok", None), ("b", "ok", None)], 2), [(0, 1), (1, 2)]),
            (found(&[("a", "ok", None), ("b", "ok", None)], 2), [(0, 1), (1, 0)]),
            (found(&[("a", "ok", None), ("b", "ok", None)], 3), [(0, 1), (1, 1)]),
            (found(&[("a", "ok", None), ("b", "ok", None), ("c", "ok", None)], 2), [(0, 1), (1, 1)]),
            (found(&[("a", "ok", None), ("b", "error", Some("interrupted"))], 2), [(0, 1), (1, 2)]),
            (found(&[("a", "ok", None), ("b", "not over", None)], 2), [(0, 1), (1, 0)]),
        ] {
            assert_eq!(violations(&acknowledged, &found, &asked.into()).len(), 1, "{found:?}");
        }
    }
}
