//! What a job does when it is due (contract §1.3).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::definition_error::DefinitionError;
use crate::fields::Fields;
use crate::thinking::{Thinking, ThinkingError};
use crate::webhook_url::MASK;

/// How long an agent's turn may take where the job does not say (contract §3.8).
const TURN_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How long a command may take where the job does not say (contract §3.8).
const COMMAND_LIMIT: Duration = Duration::from_secs(10 * 60);

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// One turn of an agent.
    AgentTurn(AgentTurn),
    /// A text for the agent's main session.
    SystemEvent {
        /// The text.
        text: String,
    },
    /// A command, without a model.
    Command(CommandSpec),
    /// One turn of an agent in its main session, to look after what has come there. The gateway's own; clients cannot make
    /// one (contract §1.3).
    Heartbeat,
}

/// One turn of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentTurn {
    /// What the agent is told.
    pub message: String,
    /// `provider/model`, where it is not the agent's own.
    pub model: Option<String>,
    /// The models to ask where it fails, instead of the agent's own; an empty list is none.
    pub fallbacks: Option<Vec<String>>,
    /// How hard the model is to think, where it is not the agent's own.
    pub thinking: Option<Thinking>,
    /// The time limit in milliseconds; 0 is none.
    pub timeout_ms: Option<u64>,
    /// Which of the agent's tools it may use: names, with `*` for any part of one. An empty list is none at all.
    pub tools_allow: Option<Vec<String>>,
    /// Whether the files of the agent's workspace stay out of its prompt.
    pub light_context: bool,
    /// Whether what comes from outside is given to the model as it is, without a fence.
    pub allow_unsafe_external_content: bool,
}

/// A command to run.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// Variables; their values are write-only.
    pub env: BTreeMap<String, String>,
    /// Standard input.
    pub input: Option<String>,
    /// The time limit in milliseconds; 0 is none.
    pub timeout_ms: Option<u64>,
    /// The limit of silence in milliseconds; 0 is none.
    pub no_output_timeout_ms: Option<u64>,
    /// How much of each output stream is kept.
    pub output_max_bytes: Option<u64>,
}

impl std::fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandSpec")
            .field("argv", &self.argv)
            .field("cwd", &self.cwd)
            .field("env", &self.env.keys())
            .finish_non_exhaustive()
    }
}

/// Where an occurrence waits for its turn: an instant one needs no run slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Done in the moment it is claimed; nothing outside the gateway takes part.
    Instant,
    /// Takes one of the run slots (`cron.maxConcurrentRuns`).
    Slot,
    /// Takes one of the slots of inbound hooks (`hooks.maxConcurrentRuns`), so that a burst of requests delays nothing else.
    Hook,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 3] = [Self::Instant, Self::Slot, Self::Hook];
}

impl Payload {
    /// The wire's name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AgentTurn(_) => "agentTurn",
            Self::SystemEvent { .. } => "systemEvent",
            Self::Command(_) => "command",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// Whether it is something for the agent's main session, and for no other.
    pub(crate) fn is_for_main(&self) -> bool {
        matches!(self, Self::SystemEvent { .. } | Self::Heartbeat)
    }

    /// Whether what comes from outside is given to the agent without a fence.
    pub fn is_unfenced(&self) -> bool {
        matches!(self, Self::AgentTurn(turn) if turn.allow_unsafe_external_content)
    }

    /// How long a run may take; `None` is no limit.
    pub fn time_limit(&self) -> Option<Duration> {
        let (given, default) = match self {
            Self::AgentTurn(turn) => (turn.timeout_ms, TURN_LIMIT),
            Self::Command(command) => (command.timeout_ms, COMMAND_LIMIT),
            Self::SystemEvent { .. } | Self::Heartbeat => (None, COMMAND_LIMIT),
        };
        match given {
            Some(0) => None,
            Some(ms) => Some(Duration::from_millis(ms)),
            None => Some(default),
        }
    }

    /// The text that names the job where it has no name.
    pub(crate) fn naming_text(&self) -> Option<&str> {
        match self {
            Self::AgentTurn(turn) => Some(&turn.message),
            Self::SystemEvent { text } => Some(text),
            Self::Command(_) | Self::Heartbeat => None,
        }
    }

    /// The payload as JSON; with `mask`, the values of a command's variables are hidden.
    pub(crate) fn to_json(&self, mask: bool) -> Value {
        let mut out = Map::new();
        out.insert("kind".to_owned(), json!(self.kind()));
        match self {
            Self::Heartbeat => {}
            Self::SystemEvent { text } => {
                out.insert("text".to_owned(), json!(text));
            }
            Self::AgentTurn(turn) => {
                out.insert("message".to_owned(), json!(turn.message));
                put(&mut out, "model", turn.model.as_deref());
                put(&mut out, "fallbacks", turn.fallbacks.clone());
                put(&mut out, "thinking", turn.thinking.map(Thinking::as_str));
                put(&mut out, "timeoutSeconds", turn.timeout_ms.map(seconds_json));
                put(&mut out, "toolsAllow", turn.tools_allow.clone());
                put(&mut out, "lightContext", turn.light_context.then_some(true));
                let unfenced = turn.allow_unsafe_external_content.then_some(true);
                put(&mut out, "allowUnsafeExternalContent", unfenced);
            }
            Self::Command(command) => {
                out.insert("argv".to_owned(), json!(command.argv));
                put(&mut out, "cwd", command.cwd.as_deref());
                if !command.env.is_empty() {
                    let shown = |value: &String| if mask { json!(MASK) } else { json!(value) };
                    let env: Map<String, Value> =
                        command.env.iter().map(|(name, value)| (name.clone(), shown(value))).collect();
                    out.insert("env".to_owned(), Value::Object(env));
                }
                put(&mut out, "input", command.input.as_deref());
                put(&mut out, "timeoutSeconds", command.timeout_ms.map(seconds_json));
                put(&mut out, "noOutputTimeoutSeconds", command.no_output_timeout_ms.map(seconds_json));
                put(&mut out, "outputMaxBytes", command.output_max_bytes);
            }
        }
        Value::Object(out)
    }

    /// Reads a payload; a missing kind is inferred (contract §1.7).
    pub(crate) fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("payload", value)?;
        let given = fields.text("kind")?;
        let (message, text) = (fields.text("message")?, fields.text("text")?);
        let kind = match given.as_deref().map(str::trim) {
            Some(kind) => kind.to_lowercase(),
            None if message.is_some() => "agentturn".to_owned(),
            None if text.is_some() => "systemevent".to_owned(),
            None => return Err(DefinitionError::Missing { field: "payload.kind".to_owned() }),
        };
        match kind.as_str() {
            "agentturn" => agent_turn(fields, message, text.as_ref()),
            "systemevent" => system_event(fields, message.as_ref(), text),
            "command" => command(fields, message.as_ref(), text.as_ref()),
            "heartbeat" => {
                fields.close(&[])?;
                Ok(Self::Heartbeat)
            }
            "script" => Err(DefinitionError::invalid(
                "payload.kind",
                format!("`{kind}` is a kind of OpenClaw that this version of clawhook does not run"),
            )),
            _ => Err(DefinitionError::invalid(
                "payload.kind",
                format!("`{}` is not agentTurn, systemEvent or command", given.unwrap_or_default()),
            )),
        }
    }
}

fn agent_turn(
    mut fields: Fields,
    message: Option<String>,
    text: Option<&String>,
) -> Result<Payload, DefinitionError> {
    foreign(text, "payload.text", "agentTurn", "payload.message")?;
    let message = message.ok_or_else(|| DefinitionError::Missing { field: "payload.message".to_owned() })?;
    let thinking = fields.text("thinking")?.map(|text| text.parse()).transpose();
    let turn = AgentTurn {
        message,
        model: fields.text("model")?,
        fallbacks: fields.texts("fallbacks")?,
        thinking: thinking.map_err(|error: ThinkingError| {
            DefinitionError::invalid("payload.thinking", error.to_string())
        })?,
        timeout_ms: fields.seconds("timeoutSeconds")?,
        tools_allow: fields.texts("toolsAllow")?,
        light_context: fields.flag("lightContext")?.unwrap_or(false),
        allow_unsafe_external_content: fields.flag("allowUnsafeExternalContent")?.unwrap_or(false),
    };
    // A mark that a server of OpenClaw sets and reads alone.
    fields.flag("toolsAllowIsDefault")?;
    fields.close(&[])?;
    Ok(Payload::AgentTurn(turn))
}

fn system_event(
    fields: Fields,
    message: Option<&String>,
    text: Option<String>,
) -> Result<Payload, DefinitionError> {
    foreign(message, "payload.message", "systemEvent", "payload.text")?;
    let text = text.ok_or_else(|| DefinitionError::Missing { field: "payload.text".to_owned() })?;
    fields.close(&["toolsAllow", "toolsAllowIsDefault"])?;
    Ok(Payload::SystemEvent { text })
}

fn command(
    mut fields: Fields,
    message: Option<&String>,
    text: Option<&String>,
) -> Result<Payload, DefinitionError> {
    foreign(message, "payload.message", "command", "payload.argv")?;
    foreign(text, "payload.text", "command", "payload.argv")?;
    let argv =
        fields.texts("argv")?.ok_or_else(|| DefinitionError::Missing { field: "payload.argv".to_owned() })?;
    if argv.first().is_none_or(String::is_empty) {
        return Err(DefinitionError::invalid("payload.argv", "the list must begin with a program"));
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        return Err(DefinitionError::invalid(
            "payload.argv",
            "an argument holds a NUL character, which no program can be given",
        ));
    }
    let output_max_bytes = fields.count("outputMaxBytes")?;
    if output_max_bytes == Some(0) {
        return Err(DefinitionError::invalid(
            "payload.outputMaxBytes",
            "0 would keep nothing; the least is 1",
        ));
    }
    let command = CommandSpec {
        argv,
        cwd: fields.text("cwd")?,
        env: environment(&mut fields)?,
        input: fields.text("input")?,
        timeout_ms: fields.seconds("timeoutSeconds")?,
        no_output_timeout_ms: fields.seconds("noOutputTimeoutSeconds")?,
        output_max_bytes,
    };
    fields.close(&["toolsAllow", "toolsAllowIsDefault"])?;
    Ok(Payload::Command(command))
}

pub(crate) fn environment(fields: &mut Fields) -> Result<BTreeMap<String, String>, DefinitionError> {
    let Some(value) = fields.value("env") else { return Ok(BTreeMap::new()) };
    let Value::Object(entries) = value else {
        return Err(fields.wrong_type("env", "an object of texts", &value));
    };
    entries
        .into_iter()
        .map(|(name, value)| match value {
            _ if name.is_empty() || name.contains(['=', '\0']) => Err(DefinitionError::invalid(
                fields.name("env"),
                format!("`{name}` cannot be the name of a variable"),
            )),
            Value::String(text) if text.contains('\0') => Err(DefinitionError::invalid(
                format!("{}.{name}", fields.name("env")),
                "the value holds a NUL character",
            )),
            Value::String(text) => Ok((name, text)),
            other => Err(DefinitionError::Type {
                field: format!("{}.{name}", fields.name("env")),
                expected: "a text",
                got: if other.is_number() { "a number".to_owned() } else { "something else".to_owned() },
            }),
        })
        .collect()
}

fn foreign(given: Option<&String>, field: &str, kind: &str, instead: &str) -> Result<(), DefinitionError> {
    match given {
        None => Ok(()),
        Some(_) => Err(DefinitionError::invalid(
            field,
            format!("payload.kind `{kind}` has no such field; use `{instead}`"),
        )),
    }
}

fn put(out: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        out.insert(key.to_owned(), value.into());
    }
}

#[expect(clippy::cast_precision_loss, reason = "a limit has far fewer digits than a double holds")]
fn seconds_json(ms: u64) -> Value {
    if ms.is_multiple_of(1000) { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}
