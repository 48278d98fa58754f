//! The keys of an agent. They are defined under `agents.defaults`; each entry has them too.

use std::path::PathBuf;
use std::time::Duration;

use clawhook_agent::{ModelRef, TurnLimits};
use clawhook_engine::EngineOptions;
use clawhook_model::Thinking;

use super::setting::{ActiveHoursGiven, HeartbeatEvery, InnerPath, ModelChoice, ToolPattern, ZoneName};
use crate::config::keys::{Absent, DAY, Default, Documented, HOUR, Key, Row};
use crate::config::setting::{Bounds, ListOf, TextForm};

/// How long a prompt may be.
const PROMPT: TextForm = TextForm { most: 64 * 1024 };
const SECOND: Duration = Duration::from_secs(1);

pub(super) static MODEL: Key<ModelChoice, Absent> = Key {
    path: "agents.defaults.model",
    form: (),
    default: Absent("none"),
    meaning: "The model of every agent that names none; its provider is one of `models.providers`.",
};

pub(super) static FALLBACKS: Key<Vec<ModelRef>, Absent> = Key {
    path: "agents.defaults.fallbacks",
    form: ListOf { least: 0, most: 16, each: () },
    default: Absent("none"),
    meaning: "The models that are asked, one after the other, where that one fails. OpenClaw's `model.fallbacks` is the \
              same.",
};

pub(super) static SYSTEM_PROMPT: Key<String, Absent> = Key {
    path: "agents.defaults.systemPrompt",
    form: PROMPT,
    default: Absent("none"),
    meaning: "What the agent is told before anything else.",
};

pub(super) static SYSTEM_PROMPT_FILE: Key<InnerPath, Absent> = Key {
    path: "agents.defaults.systemPromptFile",
    form: (),
    default: Absent("none"),
    meaning: "A file of the agent's workspace that is read at each turn and told after the system prompt.",
};

pub(super) static WORKSPACE: Key<PathBuf, Absent> = Key {
    path: "agents.defaults.workspace",
    form: (),
    default: Absent("`workspace` in the state directory, `workspace-<id>` for an agent other than `main`"),
    meaning: "The agent's folder. One that is named must be there, must not hold the state directory, and is where the \
              agent's commands have to stay; the default is made.",
};

pub(super) static TOOLS_ALLOW: Key<Vec<ToolPattern>, Default<Vec<ToolPattern>>> = Key {
    path: "agents.defaults.tools.allow",
    form: ListOf { least: 0, most: 256, each: () },
    default: Vec::new,
    meaning: "The tools that the agent may use: `server__tool`, a server's name for all of its tools, and `*` for any \
              part of a name. Nothing is allowed that is not named.",
};

pub(super) static TOOLS_DENY: Key<Vec<ToolPattern>, Default<Vec<ToolPattern>>> = Key {
    path: "agents.defaults.tools.deny",
    form: ListOf { least: 0, most: 256, each: () },
    default: Vec::new,
    meaning: "The tools that it may not use, whatever is allowed.",
};

pub(super) static THINKING_DEFAULT: Key<Thinking, Absent> = Key {
    path: "agents.defaults.thinkingDefault",
    form: (),
    default: Absent("the model's own"),
    meaning: "How hard the agent thinks where a job does not say.",
};

pub(super) static USER_TIMEZONE: Key<ZoneName, Absent> = Key {
    path: "agents.defaults.userTimezone",
    form: (),
    default: Absent("none"),
    meaning: "The zone in which the agent is told the time. Without it the agent is told no time.",
};

pub(super) static TIMEOUT_SECONDS: Key<u32, Default<u32>> = Key {
    path: "agents.defaults.timeoutSeconds",
    form: 0..=604_800,
    default: || 3_600,
    meaning: "How long one turn may take where the job does not say; `0` is no limit.",
};

pub(super) static LIMITS_ROUNDS: Key<u32, Default<u32>> = Key {
    path: "agents.defaults.limits.rounds",
    form: 1..=1_000,
    default: || TurnLimits::default().rounds,
    meaning: "How often the model is asked in one turn: once, and once more after each round of tools.",
};

pub(super) static LIMITS_TOOL_CALLS: Key<u32, Default<u32>> = Key {
    path: "agents.defaults.limits.toolCalls",
    form: 0..=10_000,
    default: || TurnLimits::default().tool_calls,
    meaning: "How many tools it may call in one turn.",
};

pub(super) static LIMITS_TOOL_TIMEOUT: Key<Duration, Default<Duration>> = Key {
    path: "agents.defaults.limits.toolTimeout",
    form: Bounds { least: SECOND, most: HOUR },
    default: || TurnLimits::default().tool_timeout,
    meaning: "How long one tool may take.",
};

pub(super) static LIMITS_MODEL_TIMEOUT: Key<Duration, Default<Duration>> = Key {
    path: "agents.defaults.limits.modelTimeout",
    form: Bounds { least: SECOND, most: HOUR },
    default: || TurnLimits::default().model_timeout,
    meaning: "How long a model may be silent, before its answer and within it, until the next one is asked.",
};

pub(super) static LIMITS_MAX_TOKENS: Key<u32, Absent> = Key {
    path: "agents.defaults.limits.maxTokens",
    form: 1..=10_000_000,
    default: Absent("the model's `maxTokens`, else the provider's own"),
    meaning: "How many tokens one answer may have.",
};

pub(super) static HEARTBEAT_EVERY: Key<HeartbeatEvery, Default<HeartbeatEvery>> = Key {
    path: "agents.defaults.heartbeat.every",
    form: Bounds { least: SECOND.saturating_mul(60), most: DAY.saturating_mul(30) },
    default: || HeartbeatEvery(None),
    meaning: "How often the agent looks after its main session by itself; `false` or `\"0m\"` is never.",
};

pub(super) static HEARTBEAT_ACTIVE_HOURS: Key<ActiveHoursGiven, Absent> = Key {
    path: "agents.defaults.heartbeat.activeHours",
    form: (),
    default: Absent("the whole day"),
    meaning: "The hours in which it does. Hours that end before they begin go over midnight. Without `timezone`, or with \
              `\"user\"`, they are those of `userTimezone`, else of the gateway's host, as with `\"local\"`.",
};

pub(super) static HEARTBEAT_PROMPT: Key<String, Absent> = Key {
    path: "agents.defaults.heartbeat.prompt",
    form: PROMPT,
    default: Absent("a word to look after what has come"),
    meaning: "What the agent is asked then. Where it is written the agent is asked at each heartbeat, else only where \
              something has come.",
};

pub(super) static HEARTBEAT_MODEL: Key<ModelRef, Absent> = Key {
    path: "agents.defaults.heartbeat.model",
    form: (),
    default: Absent("the agent's own"),
    meaning: "The model that is asked then.",
};

pub(super) static HISTORY_ENTRIES: Key<usize, Default<usize>> = Key {
    path: "agents.defaults.history.entries",
    form: 0..=10_000,
    default: || EngineOptions::default().history.0,
    meaning: "How many of the last entries of a session that is kept its next turn is told. It holds for all agents.",
};

pub(super) static HISTORY_BYTES: Key<usize, Default<usize>> = Key {
    path: "agents.defaults.history.bytes",
    form: 0..=16 * 1024 * 1024,
    default: || EngineOptions::default().history.1,
    meaning: "How many bytes of text that is at most. It holds for all agents.",
};

/// `id` of an entry of `agents.list`.
pub(super) static LIST_ID: Key<String, Absent> =
    Key { path: "agents.list.id", form: TextForm { most: 200 }, default: Absent("required"), meaning: "" };

/// What `agents.list` must be.
pub(super) const LIST_EXPECTED: &str = "a list of agents, `[{ id: \"…\", … }]`";

static ENTRIES: Row = Row {
    path: "agents.entries.*",
    value: "an object",
    default: "none",
    meaning: "The agent `*`. It has the keys of `agents.defaults` but for `history`, and each of them that is written \
              wins. Each entry makes an agent known; `main` always is.",
};

static LIST: Row = Row {
    path: "agents.list",
    value: LIST_EXPECTED,
    default: "none",
    meaning: "OpenClaw's older way to write `agents.entries`.",
};

/// All of them, in the order of the documentation.
pub(in crate::config) static ALL: &[&dyn Documented] = &[
    &MODEL,
    &FALLBACKS,
    &SYSTEM_PROMPT,
    &SYSTEM_PROMPT_FILE,
    &WORKSPACE,
    &TOOLS_ALLOW,
    &TOOLS_DENY,
    &THINKING_DEFAULT,
    &USER_TIMEZONE,
    &TIMEOUT_SECONDS,
    &LIMITS_ROUNDS,
    &LIMITS_TOOL_CALLS,
    &LIMITS_TOOL_TIMEOUT,
    &LIMITS_MODEL_TIMEOUT,
    &LIMITS_MAX_TOKENS,
    &HEARTBEAT_EVERY,
    &HEARTBEAT_ACTIVE_HOURS,
    &HEARTBEAT_PROMPT,
    &HEARTBEAT_MODEL,
    &HISTORY_ENTRIES,
    &HISTORY_BYTES,
    &ENTRIES,
    &LIST,
];
