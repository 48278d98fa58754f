//! Agents as they were written.

use std::path::PathBuf;
use std::time::Duration;

use clawhook_agent::ModelRef;
use clawhook_model::Thinking;

use super::keys;
use super::setting::{ActiveHoursGiven, HeartbeatEvery, InnerPath, ModelChoice, ToolPattern, ZoneName};
use crate::config::block::{Block, Written};
use crate::config::problem::Findings;

/// `agents`.
#[derive(Default)]
pub(in crate::config) struct RawAgents {
    pub(super) defaults: RawAgent,
    pub(super) entries: Vec<(Written<String>, RawAgent)>,
    pub(super) history_entries: Option<Written<usize>>,
    pub(super) history_bytes: Option<Written<usize>>,
}

/// `agents.defaults`, or one of `agents.entries`.
#[derive(Default)]
pub(in crate::config) struct RawAgent {
    pub(super) model: Option<Written<ModelChoice>>,
    pub(super) fallbacks: Option<Written<Vec<ModelRef>>>,
    pub(super) system_prompt: Option<Written<String>>,
    pub(super) system_prompt_file: Option<Written<InnerPath>>,
    pub(super) workspace: Option<Written<PathBuf>>,
    pub(super) tools_allow: Option<Written<Vec<ToolPattern>>>,
    pub(super) tools_deny: Option<Written<Vec<ToolPattern>>>,
    pub(super) thinking: Option<Written<Thinking>>,
    pub(super) time_zone: Option<Written<ZoneName>>,
    pub(super) timeout_seconds: Option<Written<u32>>,
    pub(super) rounds: Option<Written<u32>>,
    pub(super) tool_calls: Option<Written<u32>>,
    pub(super) tool_timeout: Option<Written<Duration>>,
    pub(super) model_timeout: Option<Written<Duration>>,
    pub(super) max_tokens: Option<Written<u32>>,
    pub(super) heartbeat_every: Option<Written<HeartbeatEvery>>,
    pub(super) heartbeat_hours: Option<Written<ActiveHoursGiven>>,
    pub(super) heartbeat_prompt: Option<Written<String>>,
    pub(super) heartbeat_model: Option<Written<ModelRef>>,
}

impl RawAgents {
    /// Reads the block.
    pub(in crate::config) fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let mut defaults = block.block("defaults", findings);
        let mut history = defaults.block("history", findings);
        let history_entries = history.key(&keys::HISTORY_ENTRIES, findings);
        let history_bytes = history.key(&keys::HISTORY_BYTES, findings);
        history.finish(findings);
        let defaults = RawAgent::read(defaults, findings);
        let mut entries = Vec::new();
        for (name, entry) in block.entries("entries", findings) {
            entries.push((name, RawAgent::read(entry, findings)));
        }
        for mut entry in block.list("list", keys::LIST_EXPECTED, findings) {
            let id = entry.required(&keys::LIST_ID, findings);
            let agent = RawAgent::read(entry, findings);
            entries.extend(id.map(|id| (id, agent)));
        }
        block.finish(findings);
        Self { defaults, entries, history_entries, history_bytes }
    }
}

impl RawAgent {
    fn read(mut block: Block<'_>, findings: &mut Findings) -> Self {
        let mut tools = block.block("tools", findings);
        let mut limits = block.block("limits", findings);
        let mut heartbeat = block.block("heartbeat", findings);
        let raw = Self {
            model: block.key(&keys::MODEL, findings),
            fallbacks: block.key(&keys::FALLBACKS, findings),
            system_prompt: block.key(&keys::SYSTEM_PROMPT, findings),
            system_prompt_file: block.key(&keys::SYSTEM_PROMPT_FILE, findings),
            workspace: block.key(&keys::WORKSPACE, findings),
            tools_allow: tools.key(&keys::TOOLS_ALLOW, findings),
            tools_deny: tools.key(&keys::TOOLS_DENY, findings),
            thinking: block.key(&keys::THINKING_DEFAULT, findings),
            time_zone: block.key(&keys::USER_TIMEZONE, findings),
            timeout_seconds: block.key(&keys::TIMEOUT_SECONDS, findings),
            rounds: limits.key(&keys::LIMITS_ROUNDS, findings),
            tool_calls: limits.key(&keys::LIMITS_TOOL_CALLS, findings),
            tool_timeout: limits.key(&keys::LIMITS_TOOL_TIMEOUT, findings),
            model_timeout: limits.key(&keys::LIMITS_MODEL_TIMEOUT, findings),
            max_tokens: limits.key(&keys::LIMITS_MAX_TOKENS, findings),
            heartbeat_every: heartbeat.key(&keys::HEARTBEAT_EVERY, findings),
            heartbeat_hours: heartbeat.key(&keys::HEARTBEAT_ACTIVE_HOURS, findings),
            heartbeat_prompt: heartbeat.key(&keys::HEARTBEAT_PROMPT, findings),
            heartbeat_model: heartbeat.key(&keys::HEARTBEAT_MODEL, findings),
        };
        tools.finish(findings);
        limits.finish(findings);
        heartbeat.finish(findings);
        block.finish(findings);
        raw
    }
}
