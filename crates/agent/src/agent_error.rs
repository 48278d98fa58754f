//! Why a job's work could never be done as the gateway is configured.

use std::path::PathBuf;

use clawhook_model::AgentId;
use thiserror::Error;

use crate::{NoSuchModel, SchemaError};

/// Why a job's work could never be done as the gateway is configured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AgentError {
    /// The configuration has no such agent.
    #[error("there is no agent `{agent}`")]
    Unknown {
        /// The agent that was asked for.
        agent: AgentId,
        /// The agents there are.
        known: Vec<AgentId>,
    },
    /// A message has no model to go to.
    #[error("{error}")]
    Model {
        /// The field that names it.
        field: &'static str,
        /// Why not.
        error: NoSuchModel,
    },
    /// The command names no program.
    #[error("the command is empty: argv must begin with a program")]
    NoProgram,
    /// The command would start outside its agent's folder.
    #[error("the working directory {} is outside the agent's workspace {}", .cwd.display(), .workspace.display())]
    OutsideWorkspace {
        /// Where the command would start.
        cwd: PathBuf,
        /// The agent's folder.
        workspace: PathBuf,
    },
    /// A pattern fits no tool of any server.
    #[error("no tool can fit `{pattern}`")]
    UnknownTool {
        /// The pattern.
        pattern: String,
        /// The tool servers there are.
        servers: Vec<String>,
    },
    /// The result could fit no schema.
    #[error("the output schema cannot be used: {0}")]
    Schema(#[from] SchemaError),
}

impl AgentError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { agent, known } => {
                let known: Vec<&str> = known.iter().map(AgentId::as_str).collect();
                format!("use one of {}, or add `agents.entries.{agent}` to the configuration", known.join(", "))
            }
            Self::Model { error: NoSuchModel::Malformed(_), .. } => {
                "name models as `provider/model`; the providers stand under `models.providers`".to_owned()
            }
            Self::Model { error: NoSuchModel::UnknownModel { model, .. }, .. } => {
                format!("use one of those, or add it to `models.providers.{}.models`", model.provider)
            }
            Self::Model { .. } => {
                "set `agents.defaults.model` (as `provider/model`) and that provider under `models.providers`, \
                 and start the gateway again"
                    .to_owned()
            }
            Self::NoProgram => "begin `payload.argv` with a program".to_owned(),
            Self::OutsideWorkspace { workspace, .. } => {
                format!("leave `cwd` out to start in {}, or name a folder in it", workspace.display())
            }
            Self::UnknownTool { servers, .. } if servers.is_empty() => {
                "set up tool servers under `mcp.servers` in the configuration, or leave `toolsAllow` out".to_owned()
            }
            Self::UnknownTool { servers, .. } => format!(
                "name tools as `server__tool`, with `*` for any part; the servers are {}",
                servers.join(", ")
            ),
            Self::Schema(_) => "give a JSON Schema that needs nothing from outside".to_owned(),
        }
    }

    /// The field of the job that it is about.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "agentId",
            Self::Model { field, .. } => field,
            Self::NoProgram => "payload.argv",
            Self::OutsideWorkspace { .. } => "payload.cwd",
            Self::UnknownTool { .. } => "payload.toolsAllow",
            Self::Schema(_) => "outputSchema",
        }
    }
}
