//! The flags that say what a job does.

use clap::Args;
use serde_json::{Map, Number, Value, json};

use super::Misuse;

/// What a job does, as it is typed.
#[derive(Args)]
#[group(multiple = true)]
#[command(next_help_heading = "What")]
pub(super) struct PayloadFlags {
    /// Have an agent take a turn with this message
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["system_event", "command", "command_argv"])]
    message: Option<String>,
    /// Put this text into the agent's main session
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["command", "command_argv"])]
    system_event: Option<String>,
    /// Run this line in a shell, without a model
    #[arg(long, value_name = "LINE", conflicts_with = "command_argv")]
    command: Option<String>,
    /// Run this program with these arguments: a JSON array of texts
    #[arg(long, value_name = "JSON", value_parser = argv)]
    command_argv: Option<Argv>,
    /// The command's working directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["message", "system_event"])]
    command_cwd: Option<String>,
    /// A variable of the command; may be given several times, and all of them together replace the old ones
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable, conflicts_with_all = ["message", "system_event"])]
    command_env: Vec<(String, String)>,
    /// The command's standard input
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["message", "system_event"])]
    command_input: Option<String>,
    /// End a command that writes nothing for so long; 0 is no limit
    #[arg(long, value_name = "N", value_parser = seconds, conflicts_with_all = ["message", "system_event"])]
    no_output_timeout_seconds: Option<Number>,
    /// How much of each of the command's outputs is kept
    #[arg(long, value_name = "N", conflicts_with_all = ["message", "system_event"])]
    output_max_bytes: Option<u64>,
    /// How long a run may take; 0 is no limit
    #[arg(long, value_name = "N", value_parser = seconds, conflicts_with = "system_event")]
    timeout_seconds: Option<Number>,
}

/// A program and its arguments.
#[derive(Clone)]
struct Argv(Vec<String>);

/// Whether the session is the main one, as a payload wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A text for the main session.
    SystemEvent,
    /// A turn or a command, in a session of its own.
    OwnSession,
}

impl PayloadFlags {
    /// What kind of work the flags, and the message that was typed without one, name.
    pub(super) fn work(&self, positional: Option<&str>) -> Option<Work> {
        if self.system_event.is_some() {
            return Some(Work::SystemEvent);
        }
        let own = positional.is_some()
            || self.message.is_some()
            || self.command.is_some()
            || self.command_argv.is_some();
        own.then_some(Work::OwnSession)
    }

    /// The payload as the API's JSON, or the part of it that is given; empty where the flags say nothing.
    pub(super) fn read(&self, positional: Option<&str>) -> Result<Map<String, Value>, Misuse> {
        let mut payload = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                payload.insert(key.to_owned(), value);
            }
        };
        let is_command = self.command.is_some() || self.command_argv.is_some();
        if let Some(text) = positional
            && (is_command || self.message.is_some() || self.system_event.is_some())
        {
            let why = format!("what to do is given twice: as the message `{text}` and by a flag");
            return Err(Misuse::new(why));
        }
        if let Some(message) = self.message.as_deref().or(positional) {
            put("kind", Some(json!("agentTurn")));
            put("message", Some(json!(message)));
        } else if let Some(text) = &self.system_event {
            put("kind", Some(json!("systemEvent")));
            put("text", Some(json!(text)));
        } else if is_command {
            put("kind", Some(json!("command")));
        }
        let shell = self.command.as_ref().map(|line| json!(["sh", "-lc", line]));
        put("argv", shell.or_else(|| self.command_argv.as_ref().map(|argv| json!(argv.0))));
        put("cwd", self.command_cwd.as_ref().map(|cwd| json!(cwd)));
        if !self.command_env.is_empty() {
            let variables = self.command_env.iter().map(|(name, value)| (name.clone(), json!(value)));
            put("env", Some(Value::Object(variables.collect())));
        }
        put("input", self.command_input.as_ref().map(|input| json!(input)));
        put("noOutputTimeoutSeconds", self.no_output_timeout_seconds.as_ref().map(|n| json!(n)));
        put("outputMaxBytes", self.output_max_bytes.map(|n| json!(n)));
        put("timeoutSeconds", self.timeout_seconds.as_ref().map(|n| json!(n)));
        Ok(payload)
    }
}

fn argv(text: &str) -> Result<Argv, String> {
    let argv: Vec<String> =
        serde_json::from_str(text).map_err(|error| format!("it is not a JSON array of texts: {error}"))?;
    if argv.is_empty() { Err("the array must begin with a program".to_owned()) } else { Ok(Argv(argv)) }
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE"),
    }
}

fn seconds(text: &str) -> Result<Number, &'static str> {
    const EXPECTED: &str = "expected a number of seconds of at least 0";
    if let Ok(whole) = text.parse::<u64>() {
        return Ok(whole.into());
    }
    let seconds: f64 = text.parse().map_err(|_| EXPECTED)?;
    Number::from_f64(seconds).filter(|_| seconds >= 0.0).ok_or(EXPECTED)
}
