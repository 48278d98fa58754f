//! The keys of OpenClaw's configuration that clawhook knows by name and does not act on.
//!
//! They are refused like every unknown key, so that nobody believes in a setting without effect, but the message tells
//! a key that is not served from a slip of the pen.

/// Full names; `*` stands for a name that the user chose.
const KEYS: &[&str] = &[
    "$schema",
    "acp",
    "approvals",
    "audio",
    "auth",
    "bindings",
    "broadcast",
    "browser",
    "canvasHost",
    "cli",
    "commands",
    "cron.runLog.maxBytes",
    "cron.store",
    "cron.triggers",
    "cron.webhook",
    "cron.webhookSsrfPolicy.allowIpv6UniqueLocalRange",
    "cron.webhookSsrfPolicy.allowRfc2544BenchmarkRange",
    "cron.webhookSsrfPolicy.blockedHostnames",
    "cron.webhookSsrfPolicy.dangerouslyAllowPrivateNetwork",
    "diagnostics",
    "discovery",
    "env",
    "gateway.allowRealIpFallback",
    "gateway.auth.allowTailscale",
    "gateway.auth.password",
    "gateway.auth.rateLimit",
    "gateway.auth.trustedProxy",
    "gateway.channelHealthCheckMinutes",
    "gateway.controlUi",
    "gateway.customBindHost",
    "gateway.http",
    "gateway.mode",
    "gateway.nodes",
    "gateway.push",
    "gateway.reload",
    "gateway.remote",
    "gateway.tailscale",
    "gateway.tls",
    "gateway.tools",
    "gateway.trustedProxies",
    "gateway.webchat",
    "hooks.gmail",
    "hooks.internal",
    "hooks.transformsDir",
    "logging",
    "media",
    "memory",
    "messages",
    "meta",
    "models.mode",
    "models.providers.*.auth",
    "models.providers.*.authHeader",
    "models.providers.*.injectNumCtxForOpenAICompat",
    "models.providers.*.request",
    "nodeHost",
    "plugins",
    "secrets",
    "session",
    "skills",
    "talk",
    "tools",
    "ui",
    "update",
    "web",
    "wizard",
];

/// Keys of an agent, in `agents.defaults`, in an entry and in the list alike.
const AGENT_KEYS: &[&str] = &[
    "agentDir",
    "blockStreamingDefault",
    "bootstrapMaxChars",
    "bootstrapTotalMaxChars",
    "cliBackends",
    "compaction",
    "contextPruning",
    "contextTokens",
    "default",
    "elevatedDefault",
    "embeddedPi",
    "envelopeTimezone",
    "groupChat",
    "heartbeat.accountId",
    "heartbeat.ackMaxChars",
    "heartbeat.directPolicy",
    "heartbeat.includeReasoning",
    "heartbeat.isolatedSession",
    "heartbeat.lightContext",
    "heartbeat.session",
    "heartbeat.suppressToolErrorWarnings",
    "heartbeat.target",
    "heartbeat.timeoutSeconds",
    "heartbeat.to",
    "humanDelay",
    "identity",
    "imageMaxDimensionPx",
    "imageModel",
    "maxConcurrent",
    "mediaMaxMb",
    "memorySearch",
    "models",
    "name",
    "params",
    "pdfModel",
    "runtime",
    "sandbox",
    "skills",
    "skipBootstrap",
    "subagents",
    "timeFormat",
    "tools.alsoAllow",
    "tools.byProvider",
    "tools.elevated",
    "tools.exec",
    "tools.fs",
    "tools.loopDetection",
    "tools.message",
    "tools.profile",
    "tools.sandbox",
    "typingMode",
    "verboseDefault",
];

/// Keys that have a counterpart here under another name.
const INSTEAD: &[(&str, &str)] = &[
    (
        "hooks.transformsDir",
        "take it out: there are no modules of JavaScript here; write `transform.jq` or `transform.template` in the mapping",
    ),
    ("cron.runLog.maxBytes", "set `cron.retention.maxBytes`, which bounds the whole store"),
    (
        "agents.defaults.contextTokens",
        "set `agents.defaults.history`, which bounds what a kept session's turn is told",
    ),
    ("agents.defaults.maxConcurrent", "set `cron.maxConcurrentRuns`"),
];

/// What to do about a key of OpenClaw that is not acted on.
pub(super) fn hint(path: &str) -> String {
    let instead = INSTEAD.iter().find(|(key, _)| *key == path);
    instead.map_or("take it out, so that nobody relies on it", |(_, hint)| hint).to_owned()
}

/// Whether OpenClaw has the key with this full name.
pub(super) fn has_key(path: &str) -> bool {
    if agent_key(path).is_some_and(|key| AGENT_KEYS.contains(&key)) {
        return true;
    }
    KEYS.iter().any(|key| match key.split_once(".*.") {
        None => *key == path,
        Some((block, name)) => {
            let entry = path.strip_prefix(block).and_then(|rest| rest.strip_prefix('.'));
            entry.and_then(|rest| rest.strip_suffix(name)).is_some_and(|rest| rest.ends_with('.'))
        }
    })
}

/// The part of a full name that is an agent's key: what follows `agents.defaults`, `agents.entries.<id>` or
/// `agents.list[<n>]`.
fn agent_key(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("agents.")?;
    if let Some(key) = rest.strip_prefix("defaults.") {
        return Some(key);
    }
    if let Some(listed) = rest.strip_prefix("list[") {
        return listed.split_once("].").map(|(_, key)| key);
    }
    let entry = rest.strip_prefix("entries.")?;
    // An id may hold dots, so that the last names decide.
    AGENT_KEYS.iter().find(|key| entry.strip_suffix(*key).is_some_and(|id| id.ends_with('.'))).copied()
}
