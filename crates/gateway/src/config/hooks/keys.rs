//! The keys of hooks.

use std::time::Duration;

use clawhook_delivery::signature::generic::{HmacAlgorithm, HmacEncoding, SignedMessage};
use clawhook_inbound::{
    DEFAULT_TOLERANCE, HookId, JqProgram, Limits, Lookup, Preset, SessionMode, Template, TextTemplate,
};
use clawhook_model::{SecretSource, SessionName, WakeMode};

use super::setting::{
    ActionName, AllowedAgent, HeaderText, HookPath, Pattern, Receiver, SchemeName, SubPath, TokenAgent,
};
use crate::config::agents::setting::ToolPattern;
use crate::config::keys::{Absent, DAY, Default, Documented, Key, Row};
use crate::config::setting::{Bounds, ListOf, TextForm};

const WORD: TextForm = TextForm { most: 256 };
/// How many of a token's hooks and agents, and of a filter's texts, are listed at most.
const NAMES: usize = 256;

macro_rules! keys {
    ($($name:ident: $kind:ty = $path:literal, $form:expr, $default:expr, $meaning:literal;)*) => {$(
        pub(super) static $name: keys!(@type $kind) =
            Key { path: $path, form: $form, default: $default, meaning: $meaning };
    )*};
    (@type $kind:ty) => { Key<$kind, Absent> };
}

macro_rules! defaults {
    ($($name:ident: $kind:ty = $path:literal, $form:expr, $default:expr, $meaning:literal;)*) => {$(
        pub(in crate::config) static $name: Key<$kind, Default<$kind>> =
            Key { path: $path, form: $form, default: $default, meaning: $meaning };
    )*};
}

defaults! {
    ENABLED: bool = "hooks.enabled", (), || false,
        "Whether requests from outside are taken; `hooks.token` is then required, or each mapping has a `signature`.";
    PATH: HookPath = "hooks.path", (), || HookPath("/hooks".to_owned()),
        "The path below which hooks lie.";
    SLOTS: usize = "hooks.maxConcurrentRuns", 1..=1024, || 4,
        "How many runs of all hooks together go on at a time, beside those of `cron.maxConcurrentRuns`.";
    MAX_BODY_BYTES: usize = "hooks.maxBodyBytes", 1..=256 * 1024, || 256 * 1024,
        "The largest body of a request that is taken.";
    ALLOW_REQUEST_SESSION_KEY: bool = "hooks.allowRequestSessionKey", (), || false,
        "Whether what comes from outside may choose its session.";
    PREFIXES: Vec<String> = "hooks.allowedSessionKeyPrefixes", ListOf { least: 0, most: 64, each: WORD }, Vec::new,
        "What the key of a session must begin with; an empty list is no rule.";
    PRESETS: Vec<Preset> = "hooks.presets", ListOf { least: 0, most: 8, each: () }, Vec::new,
        "Hooks of the house, which come after all mappings: `gmail` makes a run of each new message.";
    MAX_CONCURRENT: u32 = "hooks.limits.maxConcurrentRuns", 1..=256, || Limits::default().max_concurrent_runs,
        "How many runs of one hook go on at a time. A mapping's own `limits` win, key by key.";
    QUEUE_DEPTH: u32 = "hooks.limits.queueDepth", 0..=1_000_000, || Limits::default().queue_depth,
        "How many runs of one hook may wait; beyond that its requests are refused.";
    PAUSED: bool = "hooks.limits.paused", (), || false,
        "Whether the work of hooks is accepted and waits.";
    RETURN_OUTPUT: bool = "hooks.returnOutput", (), || false,
        "Whether a caller of the hook `agent` who waits is given what the agent said.";
    TOKEN_UNSAFE: bool = "hooks.tokens.*.allowUnsafeExternalContent", (), || false,
        "Whether what its holder sends to `agent` and `wake` is told to the agent as it is, without a fence and with the agent's tools.";
    ACTION: ActionName = "hooks.mappings[].action", (), || ActionName::Agent,
        "What a request is made into: a turn of an agent, or a system event.";
    DELIVER_ONLY: bool = "hooks.mappings[].deliverOnly", (), || false,
        "Whether the request is only sent on as an event, without an agent.";
    WAKE_MODE: WakeMode = "hooks.mappings[].wakeMode", (), || WakeMode::Now,
        "When the event, or the note of a run's end, wakes the agent.";
    SESSION_MODE: SessionMode = "hooks.mappings[].sessionMode", (), || SessionMode::Isolated,
        "Whether each run starts clean, or the session is kept from run to run.";
    DELIVER: bool = "hooks.mappings[].deliver", (), || true,
        "Whether the result is sent to where the mapping says.";
    UNSAFE: bool = "hooks.mappings[].allowUnsafeExternalContent", (), || false,
        "Whether what the templates find is told to the agent as it is, without a fence and with the agent's tools.";
    TOLERANCE: Duration = "hooks.mappings[].signature.tolerance",
        Bounds { least: Duration::from_secs(1), most: DAY }, || DEFAULT_TOLERANCE,
        "How old a signed request may be, where the scheme has a time.";
    ALGORITHM: HmacAlgorithm = "hooks.mappings[].signature.algorithm", (), || HmacAlgorithm::Sha256,
        "The hash, with `hmac`.";
    ENCODING: HmacEncoding = "hooks.mappings[].signature.encoding", (), || HmacEncoding::Hex,
        "How the hash is written, with `hmac`.";
}

keys! {
    TOKEN: SecretSource = "hooks.token", (), Absent("none"),
        "The token that callers present. It is not that of the gateway.";
    TOKENS_TOKEN: SecretSource = "hooks.tokens.*.token", (), Absent("required"),
        "One more token, called `*`.";
    TOKENS_HOOKS: Vec<HookId> = "hooks.tokens.*.hooks", ListOf { least: 0, most: NAMES, each: () }, Absent("all"),
        "The hooks that its holder may use, by their ids: `agent`, `wake`, those of mappings and presets.";
    TOKENS_AGENTS: Vec<TokenAgent> = "hooks.tokens.*.agentIds", ListOf { least: 0, most: NAMES, each: () }, Absent("all"),
        "The agents that its holder may reach, the default agent too.";
    ALLOWED_AGENT_IDS: Vec<AllowedAgent> = "hooks.allowedAgentIds", ListOf { least: 0, most: NAMES, each: () }, Absent("all"),
        "The agents that hooks may reach, the default agent too; `\"*\"` is all, and an empty list none.";
    DEFAULT_SESSION_KEY: SessionName = "hooks.defaultSessionKey", (), Absent("a new session for each request"),
        "The session of requests that name none.";
    RATE: u32 = "hooks.limits.ratePerMinute", 1..=1_000_000, Absent("none"),
        "How many requests a minute one hook takes.";
    CALLBACK: Receiver = "hooks.callback", (), Absent("none"),
        "Where the result of each run of the hook `agent` is sent, signed, beside where its caller wants it.";
    ID: HookId = "hooks.mappings[].id", (), Absent("`mapping-<n>`, counted from 1"),
        "What the hook is known by: in the history, for tokens, and on the command line.";
    MATCH_PATH: SubPath = "hooks.mappings[].match.path", (), Absent("every path"),
        "Its path below `hooks.path`. The first mapping that matches takes the request.";
    MATCH_SOURCE: String = "hooks.mappings[].match.source", WORD, Absent("every source"),
        "What the text `source` of the payload must be.";
    NAME: Template = "hooks.mappings[].name", (), Absent("`Hook`"),
        "What its runs are called.";
    AGENT_ID: Template = "hooks.mappings[].agentId", (), Absent("the default agent"),
        "The agent. A template can choose it by the payload, among those that hooks may reach.";
    SESSION_KEY: Template = "hooks.mappings[].sessionKey", (), Absent("`hooks.defaultSessionKey`"),
        "The session. A template needs `hooks.allowRequestSessionKey` and `hooks.allowedSessionKeyPrefixes`.";
    MESSAGE_TEMPLATE: Template = "hooks.mappings[].messageTemplate", (), Absent("none"),
        "What the agent is told.";
    TEXT_TEMPLATE: Template = "hooks.mappings[].textTemplate", (), Absent("none"),
        "The text of the system event, or of the event that is sent on.";
    CHANNEL: String = "hooks.mappings[].channel", WORD, Absent("none"),
        "The chat channel that the result is sent to, or `last`.";
    TO: Template = "hooks.mappings[].to", (), Absent("none"),
        "The recipient in that channel.";
    ACCOUNT_ID: String = "hooks.mappings[].accountId", WORD, Absent("none"),
        "The account that sends.";
    DESTINATIONS: Vec<Receiver> = "hooks.mappings[].destinations", ListOf { least: 1, most: 16, each: () }, Absent("none"),
        "The destinations that the result is sent to, by name or by URL.";
    MODEL: Template = "hooks.mappings[].model", (), Absent("the agent's"),
        "The model, `provider/model`.";
    THINKING: Template = "hooks.mappings[].thinking", (), Absent("the agent's"),
        "How hard the model is to think.";
    TIMEOUT_SECONDS: u32 = "hooks.mappings[].timeoutSeconds", 1..=31_536_000, Absent("the agent's"),
        "How long a run may take.";
    TOOLS_ALLOW: Vec<ToolPattern> = "hooks.mappings[].toolsAllow", ListOf { least: 0, most: NAMES, each: () },
        Absent("none, or with `allowUnsafeExternalContent` all of the agent's"),
        "Which of the agent's tools a run may use.";
    FOR_EACH: String = "hooks.mappings[].forEach", WORD, Absent("none"),
        "The list at the top of the payload of which each element is a request of its own, at most 200.";
    TEMPLATE: TextTemplate = "hooks.mappings[].transform.template", (), Absent("none"),
        "A Jinja template that makes the text; where it makes nothing, the request is ignored.";
    JQ: JqProgram = "hooks.mappings[].transform.jq", (), Absent("none"),
        "A program in a part of jq that makes another payload of the request, which filters have passed and templates then see; where it makes nothing, the request is ignored.";
    SCHEME: SchemeName = "hooks.mappings[].signature.scheme", (), Absent("required with `signature`"),
        "How its requests are [signed](hooks.md#signatures). A hook with a signature takes no token.";
    SECRET: SecretSource = "hooks.mappings[].signature.secret", (), Absent("this or `secrets` is required"),
        "The secret that signs; with `standard` a public key (`whpk_…`) does as well.";
    SECRETS: Vec<SecretSource> = "hooks.mappings[].signature.secrets", ListOf { least: 1, most: 8, each: () }, Absent("none"),
        "Several that are live at once, while one is being changed.";
    HEADER: HeaderText = "hooks.mappings[].signature.header", (), Absent("required with `hmac`"),
        "The header that holds the signature, with `hmac`.";
    PREFIX: String = "hooks.mappings[].signature.prefix", TextForm { most: 64 }, Absent("none"),
        "What stands before the hash, such as `sha256=`, with `hmac`.";
    TIMESTAMP_HEADER: HeaderText = "hooks.mappings[].signature.timestampHeader", (), Absent("none"),
        "The header that holds the time of the request, with `hmac`; the request must then be fresh.";
    SIGNED_CONTENT: SignedMessage = "hooks.mappings[].signature.signedContent", (),
        Absent("`{{body}}`, with a time `{{timestamp}}.{{body}}`"),
        "What is signed, with `hmac`.";
    FILTER_VALUE: Lookup = "hooks.mappings[].filters[].value", (), Absent("required"),
        "Where the value stands that a filter is about; a hook wants what passes all of its filters.";
    FILTER_IS: Vec<String> = "hooks.mappings[].filters[].is", ListOf { least: 1, most: NAMES, each: WORD }, Absent("none"),
        "It must be one of these.";
    FILTER_IS_NOT: Vec<String> = "hooks.mappings[].filters[].isNot", ListOf { least: 1, most: NAMES, each: WORD }, Absent("none"),
        "It must be none of these.";
    FILTER_MATCHES: Pattern = "hooks.mappings[].filters[].matches", (), Absent("none"),
        "The regular expression must be found in it.";
    MAPPING_CALLBACK: Receiver = "hooks.mappings[].callback", (), Absent("none"),
        "Where the result of each run is sent, signed, beside where the mapping says.";
    MAPPING_RETURN_OUTPUT: bool = "hooks.mappings[].returnOutput", (), Absent("`hooks.returnOutput`"),
        "Whether a caller who waits is given what the agent said.";
}

/// `transform.module` and `transform.export`, which OpenClaw has and this house does not run.
pub(super) static MODULE: Key<String, Absent> = Key {
    path: "hooks.mappings[].transform.module",
    form: TextForm { most: 4096 },
    default: Absent(""),
    meaning: "",
};
pub(super) static EXPORT: Key<String, Absent> = Key {
    path: "hooks.mappings[].transform.export",
    form: TextForm { most: 4096 },
    default: Absent(""),
    meaning: "",
};

/// The limits of one mapping.
pub(super) static OWN_MAX_CONCURRENT: Key<u32, Absent> = Key {
    path: "hooks.mappings[].limits.maxConcurrentRuns",
    form: 1..=256,
    default: Absent(""),
    meaning: "",
};
pub(super) static OWN_QUEUE_DEPTH: Key<u32, Absent> =
    Key { path: "hooks.mappings[].limits.queueDepth", form: 0..=1_000_000, default: Absent(""), meaning: "" };
pub(super) static OWN_RATE: Key<u32, Absent> = Key {
    path: "hooks.mappings[].limits.ratePerMinute",
    form: 1..=1_000_000,
    default: Absent(""),
    meaning: "",
};
pub(super) static OWN_PAUSED: Key<bool, Absent> =
    Key { path: "hooks.mappings[].limits.paused", form: (), default: Absent(""), meaning: "" };

static OWN_LIMITS: Row = Row {
    path: "hooks.mappings[].limits",
    value: "an object with the keys of `hooks.limits`",
    default: "`hooks.limits`",
    meaning: "How much this hook may take on.",
};

/// What `hooks.mappings` must be.
pub(super) const MAPPINGS_EXPECTED: &str =
    "a list of mappings, `[{ match: { path: \"…\" }, messageTemplate: \"…\" }]`";
/// What `filters` must be.
pub(super) const FILTERS_EXPECTED: &str =
    "a list of filters, `[{ value: \"headers.x-event\", is: [\"push\"] }]`";

/// All of them, in the order of the documentation. `[]` is each entry of a list.
pub(in crate::config) static ALL: &[&dyn Documented] = &[
    &ENABLED,
    &TOKEN,
    &TOKENS_TOKEN,
    &TOKENS_HOOKS,
    &TOKENS_AGENTS,
    &TOKEN_UNSAFE,
    &PATH,
    &SLOTS,
    &MAX_BODY_BYTES,
    &ALLOWED_AGENT_IDS,
    &DEFAULT_SESSION_KEY,
    &ALLOW_REQUEST_SESSION_KEY,
    &PREFIXES,
    &PRESETS,
    &MAX_CONCURRENT,
    &QUEUE_DEPTH,
    &RATE,
    &PAUSED,
    &CALLBACK,
    &RETURN_OUTPUT,
    &ID,
    &MATCH_PATH,
    &MATCH_SOURCE,
    &ACTION,
    &DELIVER_ONLY,
    &WAKE_MODE,
    &NAME,
    &AGENT_ID,
    &SESSION_KEY,
    &SESSION_MODE,
    &MESSAGE_TEMPLATE,
    &TEXT_TEMPLATE,
    &DELIVER,
    &CHANNEL,
    &TO,
    &ACCOUNT_ID,
    &DESTINATIONS,
    &UNSAFE,
    &TOOLS_ALLOW,
    &MODEL,
    &THINKING,
    &TIMEOUT_SECONDS,
    &FOR_EACH,
    &TEMPLATE,
    &JQ,
    &SCHEME,
    &SECRET,
    &SECRETS,
    &TOLERANCE,
    &HEADER,
    &ALGORITHM,
    &ENCODING,
    &PREFIX,
    &TIMESTAMP_HEADER,
    &SIGNED_CONTENT,
    &FILTER_VALUE,
    &FILTER_IS,
    &FILTER_IS_NOT,
    &FILTER_MATCHES,
    &OWN_LIMITS,
    &MAPPING_CALLBACK,
    &MAPPING_RETURN_OUTPUT,
];
