//! The proof that real coding agents work for us by the Agent Client Protocol: they answer, do what they are permitted to, leave
//! what they are not, and leave nothing behind. The model behind them is a scripted one on this machine.

mod model;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawhook_agent::{
    AcpOptions, AcpPermissions, AcpRule, AcpToolKind, AgentOptions, AgentProfile, Agents, CommandOptions,
    Environment, LiveOutput, McpOptions, Message, Provider, ProviderApi, Runtime as _, Turn, TurnResult,
    Work,
};
use clawhook_clock::SystemClock;
use clawhook_model::{AgentId, EntryDetail, RunStatus, SessionRef};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::model::{GREETING, MODEL, REPORT, RUN, WRITE};
use crate::process::{self, ProcessError};
use crate::progress::{Progress, seconds};
use crate::workspace;

/// The agents, each in exactly one version.
const PACKAGES: &str = include_str!("../../coding-agents/package.json");

/// How long one turn may take.
const TURN_TIME: Duration = Duration::from_mins(2);

/// How long what an agent started may take to be gone once its turn is over.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Why the agents could not be tried, or do not work as they should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodingAgentError {
    #[error("{path} can't be used", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the agents could not be installed")]
    Install(#[source] ProcessError),
    #[error("the scripted model or the runtime could not be started")]
    Start(#[source] std::io::Error),
    #[error("{agent}, {case}: {problem}; the turn: {turn}")]
    Wrong { agent: &'static str, case: &'static str, problem: &'static str, turn: String },
}

/// An agent as it is installed and set up here.
struct CodingAgent {
    name: &'static str,
    argv: &'static [&'static str],
    /// Its variables beside those that all have, with the model at this address and its files in this folder.
    env: fn(SocketAddr, &Path) -> Vec<(&'static str, String)>,
}

const AGENTS: [CodingAgent; 2] = [
    CodingAgent { name: "Qwen Code", argv: &["qwen", "--acp", "--auth-type", "openai"], env: qwen },
    CodingAgent { name: "OpenCode", argv: &["opencode", "acp"], env: opencode },
];

/// Tries every agent.
pub(crate) fn check(progress: Progress) -> Result<(), CodingAgentError> {
    let bin = install(progress)?;
    let model = model::serve().map_err(CodingAgentError::Start)?;
    let runtime = tokio::runtime::Runtime::new().map_err(CodingAgentError::Start)?;
    for agent in &AGENTS {
        let started = Instant::now();
        runtime.block_on(Trial::of(agent, &bin, model)?.run())?;
        progress.note(format_args!("{}: every case holds ({})", agent.name, seconds(started.elapsed())));
    }
    Ok(())
}

/// Installs the agents, and the Node.js that they need, below the target folder, unless exactly those are there already.
fn install(progress: Progress) -> Result<PathBuf, CodingAgentError> {
    let folder = workspace::target().join("coding-agents");
    std::fs::create_dir_all(&folder).map_err(on_file(&folder))?;
    let (bin, marker) = (folder.join("node_modules/.bin"), folder.join("installed-from"));
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == PACKAGES) {
        progress.note("already installed");
        return Ok(bin);
    }
    let packages = folder.join("package.json");
    std::fs::write(&packages, PACKAGES).map_err(on_file(&packages))?;
    // No lock: the agents name packages for systems that not every registry has.
    let mut npm = Command::new("npm");
    npm.current_dir(&folder).args([
        "install",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]);
    process::run(&mut npm).map_err(CodingAgentError::Install)?;
    std::fs::write(&marker, PACKAGES).map_err(on_file(&marker))?;
    Ok(bin)
}

fn qwen(model: SocketAddr, _: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("OPENAI_BASE_URL", format!("http://{model}/v1")),
        ("OPENAI_API_KEY", "none-is-needed".to_owned()),
        ("OPENAI_MODEL", MODEL.to_owned()),
    ]
}

fn opencode(model: SocketAddr, _: &Path) -> Vec<(&'static str, String)> {
    let options = json!({ "baseURL": format!("http://{model}/v1"), "apiKey": "none-is-needed" });
    let provider = json!({
        "npm": "@ai-sdk/openai-compatible", "name": "Scripted", "options": options,
        "models": { MODEL: { "name": MODEL } },
    });
    let own = format!("scripted/{MODEL}");
    let config = json!({
        "autoupdate": false, "share": "disabled", "model": own, "small_model": own,
        "provider": { "scripted": provider },
        // It asks only where it is told to.
        "permission": { "edit": "ask", "bash": "ask" },
    });
    vec![
        ("OPENCODE_CONFIG_CONTENT", config.to_string()),
        ("OPENCODE_DISABLE_AUTOUPDATE", "1".to_owned()),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1".to_owned()),
    ]
}

/// One agent with folders of its own.
struct Trial {
    agent: &'static CodingAgent,
    env: BTreeMap<String, String>,
    workspace: PathBuf,
    _folder: tempfile::TempDir,
}

impl Trial {
    fn of(agent: &'static CodingAgent, bin: &Path, model: SocketAddr) -> Result<Self, CodingAgentError> {
        let folder = tempfile::tempdir()
            .map_err(|source| CodingAgentError::File { path: std::env::temp_dir(), source })?;
        let (home, work) = (folder.path().join("home"), folder.path().join("work"));
        for made in [&home.join(".qwen"), &work] {
            std::fs::create_dir_all(made).map_err(on_file(made))?;
        }
        // Nothing is to leave this machine.
        let settings = home.join(".qwen/settings.json");
        let quiet = json!({
            "privacy": { "usageStatisticsEnabled": false }, "general": { "enableAutoUpdate": false },
        });
        std::fs::write(&settings, quiet.to_string()).map_err(on_file(&settings))?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut env = BTreeMap::from([
            ("HOME".to_owned(), home.display().to_string()),
            ("PATH".to_owned(), format!("{}:{path}", bin.display())),
        ]);
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"] {
            env.insert(name.to_owned(), home.join(name).display().to_string());
        }
        env.extend((agent.env)(model, &home).into_iter().map(|(name, value)| (name.to_owned(), value)));
        Ok(Self { agent, env, workspace: work, _folder: folder })
    }

    async fn run(&self) -> Result<(), CodingAgentError> {
        self.answers().await?;
        self.leaves_what_it_may_not_do().await?;
        self.does_what_it_may().await?;
        self.ends_with_all_that_it_started().await
    }

    async fn answers(&self) -> Result<(), CodingAgentError> {
        let result = self.turn("Hello.", AcpPermissions::default()).await;
        self.hold("it answers", "the answer is not the model's", &result, summary(&result) == GREETING)?;
        let tokens = result.outcome.usage.map_or(0, |usage| usage.total_tokens);
        self.hold("it answers", "it does not tell what it used", &result, tokens >= 107)
    }

    async fn leaves_what_it_may_not_do(&self) -> Result<(), CodingAgentError> {
        let case = "it leaves what it may not do";
        let file = self.workspace.join("refused.txt");
        let result = self.turn(&format!("{WRITE}{}", file.display()), AcpPermissions::default()).await;
        self.hold(case, "the file was written", &result, !file.exists())?;
        self.hold(case, "the refusal is not recorded", &result, permission(&result) == Some(false))
    }

    async fn does_what_it_may(&self) -> Result<(), CodingAgentError> {
        let case = "it does what it may";
        let edits = AcpPermissions { allow: vec![AcpToolKind::Edit], ..AcpPermissions::default() };
        let file = self.workspace.join("permitted.txt");
        let result = self.turn(&format!("{WRITE}{}", file.display()), edits).await;
        self.hold(case, "the file was not written", &result, file.exists())?;
        self.hold(case, "the leave is not recorded", &result, permission(&result) == Some(true))?;
        self.hold(case, "the run is no success", &result, result.outcome.status == RunStatus::Ok)?;

        let everything = AcpPermissions { rule: AcpRule::AllowAll, ..AcpPermissions::default() };
        let result = self.turn(&format!("{RUN}printf 4; printf 2"), everything).await;
        let ran = summary(&result).starts_with(REPORT) && summary(&result).contains("42");
        self.hold(case, "the command's output is not in the answer", &result, ran)?;
        let is_call = |entry: &clawhook_model::TranscriptEntry| {
            matches!(&entry.detail, Some(EntryDetail::ToolResult { is_error: false, .. }))
        };
        self.hold(case, "the tool's answer is not recorded", &result, result.transcript.iter().any(is_call))
    }

    /// The turn is cancelled while a command is under way, of which soon nothing is left.
    async fn ends_with_all_that_it_started(&self) -> Result<(), CodingAgentError> {
        let case = "it ends with all that it started";
        // It waits for ever, and no other process has this command line.
        let waiter = format!("tail -F {}", self.workspace.join("never-written.txt").display());
        let everything = AcpPermissions { rule: AcpRule::AllowAll, ..AcpPermissions::default() };
        let stop = CancellationToken::new();
        let watching = tokio::spawn(cancel_once_there(waiter.clone(), stop.clone()));
        let result = self.turn_until(&format!("{RUN}{waiter}"), everything, &stop).await;
        stop.cancel();
        let was_there = watching.await.unwrap_or_default();
        self.hold(case, "the command was never run", &result, was_there)?;
        let deadline = Instant::now() + GONE_WITHIN;
        while is_running(&waiter) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.hold(case, "the command lives on", &result, !is_running(&waiter))
    }

    async fn turn(&self, text: &str, permissions: AcpPermissions) -> TurnResult {
        self.turn_until(text, permissions, &CancellationToken::new()).await
    }

    async fn turn_until(
        &self,
        text: &str,
        permissions: AcpPermissions,
        stop: &CancellationToken,
    ) -> TurnResult {
        let env = self.env.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let argv = self.agent.argv.iter().map(ToString::to_string).collect();
        let acp = AcpOptions { argv, env, permissions, ..AcpOptions::default() };
        let provider = Provider { api: ProviderApi::Acp(acp), models: BTreeMap::new() };
        let profile = AgentProfile {
            model: "coder/default".parse().ok(),
            workspace: Some(self.workspace.clone()),
            ..AgentProfile::default()
        };
        let agent = AgentId::main();
        let options = AgentOptions {
            agents: BTreeMap::from([(agent.clone(), profile)]),
            providers: BTreeMap::from([("coder".to_owned(), provider)]),
            tools: McpOptions::default(),
            commands: CommandOptions { cwd: self.workspace.clone(), environment: Environment::inherited() },
        };
        let turn = Turn {
            session: SessionRef::main(&agent),
            agent,
            work: Work::Message(Box::new(Message { text: text.to_owned(), ..Message::default() })),
            timeout: Some(TURN_TIME),
            live: LiveOutput::default(),
        };
        Agents::new(options, Arc::new(SystemClock)).run_turn(turn, stop.clone()).await
    }

    fn hold(
        &self,
        case: &'static str,
        problem: &'static str,
        result: &TurnResult,
        holds: bool,
    ) -> Result<(), CodingAgentError> {
        if holds {
            return Ok(());
        }
        let turn = format!("{result:?}").chars().take(4000).collect();
        Err(CodingAgentError::Wrong { agent: self.agent.name, case, problem, turn })
    }
}

fn summary(result: &TurnResult) -> &str {
    result.outcome.summary.as_deref().unwrap_or_default()
}

/// How the agent was answered when it asked for leave; none if it did not.
fn permission(result: &TurnResult) -> Option<bool> {
    result.transcript.iter().find_map(|entry| match entry.detail {
        Some(EntryDetail::Permission { granted }) => Some(granted),
        _ => None,
    })
}

/// Cancels once `command` runs; whether it ever did before that.
async fn cancel_once_there(command: String, stop: CancellationToken) -> bool {
    while !stop.is_cancelled() {
        if is_running(&command) {
            stop.cancel();
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// Whether a process of this machine has exactly this command line.
fn is_running(command: &str) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let command_line = command.replace(' ', "\0") + "\0";
    processes.flatten().any(|process| {
        std::fs::read(process.path().join("cmdline")).is_ok_and(|line| line == command_line.as_bytes())
    })
}

fn on_file(path: &Path) -> impl FnOnce(std::io::Error) -> CodingAgentError + use<> {
    let path = path.to_owned();
    |source| CodingAgentError::File { path, source }
}
