//! `clawhook config check`: what a configuration means. No gateway is asked, and nothing is started.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use clawhook_gateway::config::{AgentConfig, Config};
use clawhook_model::{AgentId, format_duration};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::gateway::configuration;
use crate::state_dir::StateDirArgs;
use crate::table::{Column, NONE};
use crate::{output, table};

/// The arguments of `clawhook config`.
#[derive(Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

/// What can be done with a configuration.
#[derive(Subcommand)]
enum Action {
    /// Read the configuration as a gateway would, and show its agents
    Check(CheckArgs),
}

/// The flags of `clawhook config check`.
#[derive(Args)]
struct CheckArgs {
    /// The configuration file [default: clawhook.json5 in the state directory, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 6] = [
    Column::whole("Agent"),
    Column::cut("Models", 12),
    Column::whole("Runtime"),
    Column::cut("Workspace", 12),
    Column::cut("Tools", 8),
    Column::whole("Heartbeat"),
];

/// Reads the configuration and shows its agents; what is wrong with it is told as the gateway tells it.
pub(crate) fn run(args: ConfigArgs, state_dir: &StateDirArgs) -> Result<ExitCode, Failure> {
    let Action::Check(CheckArgs { config: file, json }) = args.action;
    let (config, file) = configuration(file, &state_dir.resolve()?)?;
    let agents: Vec<Agent> =
        config.agents.entries.iter().map(|(id, agent)| Agent::new(id, agent, &config)).collect();
    if json {
        let agents: Vec<Value> = agents.iter().map(Agent::json).collect();
        output::json(&json!({ "ok": true, "file": file, "agents": agents }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::data(&table::render(&COLUMNS, agents.iter().map(Agent::row).collect()))?;
    match file {
        Some(file) => output::message("note", &format!("{} is well", file.display())),
        None => output::message("note", "there is no configuration file; these are the defaults"),
    }
    for agent in agents.iter().filter(|agent| agent.models.is_empty()) {
        output::message("note", &format!("the agent `{}` has no model: it can run commands alone", agent.id));
    }
    Ok(ExitCode::SUCCESS)
}

/// An agent as it is shown.
struct Agent {
    id: String,
    models: Vec<String>,
    /// What each of its models is asked by, in their order.
    runtimes: Vec<&'static str>,
    workspace: String,
    allow: Vec<String>,
    deny: Vec<String>,
    heartbeat: Option<String>,
}

impl Agent {
    fn new(id: &AgentId, agent: &AgentConfig, config: &Config) -> Self {
        let models: Vec<_> = agent.profile.model.iter().chain(&agent.profile.fallbacks).collect();
        let runtime =
            |provider: &String| config.models.providers.get(provider).map(|found| found.api.as_str());
        Self {
            id: id.to_string(),
            runtimes: models.iter().filter_map(|model| runtime(&model.provider)).collect(),
            models: models.into_iter().map(ToString::to_string).collect(),
            workspace: agent.workspace.display().to_string(),
            allow: agent.profile.tools.allow.clone(),
            deny: agent.profile.tools.deny.clone(),
            heartbeat: agent.heartbeat.as_ref().map(|heartbeat| format_duration(heartbeat.every)),
        }
    }

    fn row(&self) -> Vec<String> {
        let mut runtimes = self.runtimes.clone();
        runtimes.dedup();
        vec![
            self.id.clone(),
            list(&self.models),
            list(&runtimes.into_iter().map(str::to_owned).collect::<Vec<_>>()),
            self.workspace.clone(),
            self.tools(),
            self.heartbeat.clone().unwrap_or_else(|| NONE.to_owned()),
        ]
    }

    fn tools(&self) -> String {
        match (self.allow.as_slice(), self.deny.as_slice()) {
            ([], _) => "none".to_owned(),
            (allow, []) => allow.join(", "),
            (allow, deny) => format!("{}, but not {}", allow.join(", "), deny.join(", ")),
        }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "models": self.models,
            "runtimes": self.runtimes,
            "workspace": self.workspace,
            "tools": { "allow": self.allow, "deny": self.deny },
            "heartbeat": self.heartbeat,
        })
    }
}

fn list(entries: &[String]) -> String {
    if entries.is_empty() { NONE.to_owned() } else { entries.join(", ") }
}
