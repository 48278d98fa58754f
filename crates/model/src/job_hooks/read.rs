//! Reading hooks, strictly.

use serde_json::Value;

use super::{GateDecision, HookKind, HookStage, JobHook, JobHooks, MOST_HOOKS};
use crate::definition_error::DefinitionError;
use crate::delivery_settings::{named_target, url_target};
use crate::fields::{Fields, kind_of};
use crate::id::AgentId;
use crate::payload::environment;
use crate::secret::keep_masked_members;

/// The longest name of a hook.
const LONGEST_NAME: usize = 100;
/// The longest message or text.
const LONGEST_TEXT: usize = 64 * 1024;

impl JobHooks {
    /// Reads the hooks of a job.
    pub(crate) fn parse(value: Value) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("hooks", value)?;
        let hooks = Self {
            pre: list(fields.value("pre"), HookStage::Pre)?,
            post: list(fields.value("post"), HookStage::Post)?,
            on_error: list(fields.value("onError"), HookStage::OnError)?,
            always: list(fields.value("always"), HookStage::Always)?,
            inherit_global: fields.flag("inheritGlobal")?.unwrap_or(true),
        };
        fields.close(&[])?;
        Ok(hooks)
    }
}

fn list(value: Option<Value>, stage: HookStage) -> Result<Vec<JobHook>, DefinitionError> {
    let entries = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            let field = path(stage).to_owned();
            return Err(DefinitionError::Type { field, expected: "a list", got: kind_of(&other) });
        }
    };
    if entries.len() > MOST_HOOKS {
        let why = format!("has {} hooks, at most {MOST_HOOKS} are allowed", entries.len());
        return Err(DefinitionError::invalid(path(stage), why));
    }
    let mut hooks: Vec<JobHook> = Vec::with_capacity(entries.len());
    for (place, entry) in entries.into_iter().enumerate() {
        let hook = JobHook::parse(entry, stage, place)?;
        if hooks.iter().any(|before| before.name == hook.name) {
            return Err(DefinitionError::invalid(
                path(stage),
                format!("two hooks are called `{}`", hook.name),
            ));
        }
        hooks.push(hook);
    }
    Ok(hooks)
}

/// Where the hooks of a stage stand, for messages.
fn path(stage: HookStage) -> &'static str {
    match stage {
        HookStage::Pre => "hooks.pre",
        HookStage::Post => "hooks.post",
        HookStage::OnError => "hooks.onError",
        HookStage::Always => "hooks.always",
        HookStage::PreCreate => "hooks.preCreate",
        HookStage::PostCreate => "hooks.postCreate",
    }
}

impl JobHook {
    /// Reads a hook as the store wrote it.
    pub fn from_stored_json(value: Value, stage: HookStage) -> Result<Self, DefinitionError> {
        Self::parse(value, stage, 0)
    }

    /// Reads the hook that is written at `place` in the list of its stage.
    pub(crate) fn parse(value: Value, stage: HookStage, place: usize) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open(path(stage), value)?;
        let hook = Self::read(&mut fields, stage, place)?;
        fields.close(&[])?;
        Ok(hook)
    }

    pub(super) fn read(fields: &mut Fields, stage: HookStage, place: usize) -> Result<Self, DefinitionError> {
        let name = fields
            .text("name")?
            .map_or_else(|| format!("{stage}-{}", place + 1), |name| name.trim().to_owned());
        if name.chars().count() > LONGEST_NAME {
            let why = format!("a name has at most {LONGEST_NAME} characters");
            return Err(DefinitionError::invalid(fields.name("name"), why));
        }
        let kind = kind(fields, stage)?;
        let timeout_ms = fields.seconds("timeoutSeconds")?;
        let (_, most) = stage.limits();
        if let Some(ms) = timeout_ms.filter(|ms| !(1..=most).contains(ms)) {
            let why =
                format!("{} s is no limit: expected more than 0 and at most {} s", ms / 1000, most / 1000);
            return Err(DefinitionError::invalid(fields.name("timeoutSeconds"), why));
        }
        let priority = priority(fields)?;
        let (on_failure, append_output) = (fields.text("onFailure")?, fields.flag("appendOutput")?);
        let gate_alone = |field: &str| {
            let why = format!("only a gate has this field, and a `{stage}` hook is none");
            DefinitionError::invalid(fields.name(field), why)
        };
        if !stage.is_gate() && on_failure.is_some() {
            return Err(gate_alone("onFailure"));
        }
        if stage != HookStage::Pre && append_output.is_some() {
            return Err(gate_alone("appendOutput"));
        }
        let on_failure = match on_failure.as_deref().map(str::trim) {
            None => GateDecision::Error,
            Some("skip") if stage == HookStage::PreCreate => {
                let why = "a job is added or not: `error` or `proceed`";
                return Err(DefinitionError::invalid(fields.name("onFailure"), why));
            }
            Some(word) => GateDecision::named(word).ok_or_else(|| {
                let why = format!("`{word}` is not error, skip or proceed");
                DefinitionError::invalid(fields.name("onFailure"), why)
            })?,
        };
        Ok(Self {
            name,
            kind,
            priority,
            timeout_ms,
            on_failure,
            append_output: append_output.unwrap_or(false),
        })
    }
}

fn priority(fields: &mut Fields) -> Result<i32, DefinitionError> {
    let Some(value) = fields.value("priority") else { return Ok(0) };
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number
        .filter(|number| (-1000..=1000).contains(number))
        .ok_or_else(|| fields.wrong_type("priority", "a whole number from -1000 to 1000", &value))
}

/// What only hooks of one kind have.
const MEMBERS: [(&str, &[&str]); 4] = [
    ("command", &["argv", "cwd", "env"]),
    ("webhook", &["to", "destination"]),
    ("agentTurn", &["message", "agentId", "model"]),
    ("systemEvent", &["text"]),
];

fn kind(fields: &mut Fields, stage: HookStage) -> Result<HookKind, DefinitionError> {
    let given =
        fields.text("kind")?.ok_or_else(|| DefinitionError::Missing { field: fields.name("kind") })?;
    let given = given.trim();
    let Some((kind, _)) = MEMBERS.iter().find(|(kind, _)| kind.eq_ignore_ascii_case(given)) else {
        let why = format!("`{given}` is not command, webhook, agentTurn or systemEvent");
        return Err(DefinitionError::invalid(fields.name("kind"), why));
    };
    let missing = |fields: &Fields, key: &str| DefinitionError::Missing { field: fields.name(key) };
    Ok(match *kind {
        "command" => {
            let argv = fields.texts("argv")?.ok_or_else(|| missing(fields, "argv"))?;
            if argv.first().is_none_or(String::is_empty)
                || argv.iter().any(|argument| argument.contains('\0'))
            {
                let why = "the list must begin with a program and hold no NUL character";
                return Err(DefinitionError::invalid(fields.name("argv"), why));
            }
            HookKind::Command { argv, cwd: fields.text("cwd")?, env: environment(fields)? }
        }
        "webhook" => match (fields.text("to")?, fields.text("destination")?) {
            (Some(to), None) => HookKind::Webhook(url_target(&fields.name("to"), &to)?),
            (None, Some(name)) => HookKind::Webhook(named_target(&fields.name("destination"), &name)?),
            _ => {
                let why = "a webhook has either `to` or `destination`";
                return Err(DefinitionError::invalid(fields.name("to"), why));
            }
        },
        "agentTurn" => HookKind::AgentTurn {
            message: bounded(fields, "message")?,
            agent: fields.text("agentId")?.map(|text| AgentId::normalise(&text)),
            model: fields.text("model")?,
        },
        _ if stage.is_gate() => {
            let why = "a system event gives no answer, and a gate must";
            return Err(DefinitionError::invalid(fields.name("kind"), why));
        }
        _ => HookKind::SystemEvent { text: bounded(fields, "text")? },
    })
}

fn bounded(fields: &mut Fields, key: &'static str) -> Result<String, DefinitionError> {
    let text = fields.text(key)?.ok_or_else(|| DefinitionError::Missing { field: fields.name(key) })?;
    if text.len() > LONGEST_TEXT {
        let why = format!("the text has {} bytes, at most {LONGEST_TEXT} are allowed", text.len());
        return Err(DefinitionError::invalid(fields.name(key), why));
    }
    Ok(text)
}

/// An edit of hooks: a stage that is given takes the place of the one before. What is written back masked keeps its stored
/// value, by the name of the hook.
pub(crate) fn merge(old: Option<Value>, stored: &JobHooks, new: Value) -> Value {
    let Value::Object(mut new) = new else { return new };
    for stage in HookStage::OF_RUNS {
        let entries = new.get_mut(stage.as_str()).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            let before = stored.of(stage).iter().find(|hook| entry["name"] == hook.name.as_str());
            if let Some(before) = before {
                keep_secrets(entry, before);
            }
        }
    }
    let Some(Value::Object(mut merged)) = old else { return Value::Object(new) };
    merged.append(&mut new);
    Value::Object(merged)
}

fn keep_secrets(entry: &mut Value, before: &JobHook) {
    let (masked, stored) = (before.to_json(true), before.to_json(false));
    let Some(entry) = entry.as_object_mut() else { return };
    if let (Some(Value::Object(env)), Some(Value::Object(stored))) = (entry.get_mut("env"), stored.get("env"))
    {
        keep_masked_members(env, stored);
    }
    if let Some(to) = entry.get_mut("to").filter(|to| masked.get("to") == Some(to)) {
        *to = stored["to"].clone();
    }
}
