//! What an agent is: everything that the configuration says of it, with the defaults filled in.

use std::path::PathBuf;
use std::time::Duration;

use clawhook_model::Thinking;

use crate::ModelRef;

/// An agent.
#[derive(Debug, Clone, Default)]
pub struct AgentProfile {
    /// The model it uses where a job names none.
    pub model: Option<ModelRef>,
    /// The models that are asked, one after the other, where that one fails.
    pub fallbacks: Vec<ModelRef>,
    /// What it is told before anything else.
    pub system_prompt: Option<String>,
    /// A file of its workspace that is read at each turn and told after the system prompt.
    pub system_prompt_file: Option<PathBuf>,
    /// Its folder: where its commands, its ACP agent and its tool servers start.
    pub workspace: Option<PathBuf>,
    /// Whether its commands must start in that folder; a folder that nobody chose is no fence.
    pub is_confined: bool,
    /// Which tools it may use.
    pub tools: ToolPolicy,
    /// How hard it thinks where a job does not say.
    pub thinking: Option<Thinking>,
    /// The IANA name of the zone in which it is told the time; none where it is not told.
    pub time_zone: Option<String>,
    /// How much one turn may take.
    pub limits: TurnLimits,
}

/// Which tools an agent may use: what is allowed and not denied. Names are `server__tool`; `*` stands for any part of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolPolicy {
    /// What is allowed.
    pub allow: Vec<String>,
    /// What is denied, whatever is allowed.
    pub deny: Vec<String>,
}

/// How much one turn of an agent may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnLimits {
    /// How often the model is asked in one turn: once, and once more after each round of tools.
    pub rounds: u32,
    /// How many tools it may call.
    pub tool_calls: u32,
    /// How long one tool may take.
    pub tool_timeout: Duration,
    /// How long one model may be silent, before its answer and within it, until the next one is asked.
    pub model_timeout: Duration,
    /// How many tokens one answer may have; none is the provider's own limit.
    pub max_tokens: Option<u32>,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            rounds: 16,
            tool_calls: 50,
            tool_timeout: Duration::from_mins(2),
            model_timeout: Duration::from_mins(5),
            max_tokens: None,
        }
    }
}
