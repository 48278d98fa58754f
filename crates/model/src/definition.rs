//! Reading a job's definition: OpenClaw's leniency first (contract §1.7), then the strict reading, then the rules
//! that hold between fields.

use serde_json::{Map, Value, json};

use crate::at::parse_at;
use crate::chain::After;
use crate::definition_error::DefinitionError;
use crate::delivery_settings::{DeliveryMode, DeliverySettings};
use crate::failure_alert::FailureAlert;
use crate::fields::Fields;
use crate::id::AgentId;
use crate::job::{Cleanup, JobDefinition, SessionTarget, WakeMode};
use crate::job_hooks::JobHooks;
use crate::misfire::MisfireSettings;
use crate::money::Budget;
use crate::overlap::Overlap;
use crate::payload::Payload;
use crate::schedule::{DstRule, DstRuleError, Schedule};
use crate::session::{SessionName, SessionNameError};
use crate::time::{MAX_DATE_MS, UnixMs};

/// Fields of OpenClaw's jobs that this version does not act on.
const LATER: &[&str] = &["declarationKey", "owner", "pacing", "trigger"];
/// Fields that a read of a job shows and the gateway writes alone; written back, they change nothing.
const READ_ONLY: &[&str] = &[
    "budgetToday",
    "configRevision",
    "createdAtMs",
    "deliveryPreview",
    "deliverySuppressionReason",
    "effective",
    "effectiveAgentId",
    "forecast",
    "hostTimeZone",
    "id",
    "lastCompletionStatus",
    "lastDelivered",
    "lastDeliveryError",
    "lastDeliveryStatus",
    "lastFailureNotificationDelivered",
    "lastFailureNotificationDeliveryError",
    "lastFailureNotificationDeliveryStatus",
    "lastRunAtMs",
    "lastRunError",
    "lastRunStatus",
    "nextRunAtMs",
    "notes",
    "schedulePreview",
    "scheduledToolPolicy",
    "state",
    "status",
    "upcoming",
    "updatedAtMs",
];
/// Legacy fields at the top that belong into the payload (contract §1.7).
const PAYLOAD_FIELDS: &[&str] =
    &["message", "text", "model", "thinking", "timeoutSeconds", "allowUnsafeExternalContent"];
/// Legacy fields at the top that belong into the delivery.
const DELIVERY_FIELDS: &[(&str, &str)] =
    &[("channel", "channel"), ("provider", "channel"), ("to", "to"), ("bestEffortDeliver", "bestEffort")];
/// The longest name that is taken.
const LONGEST_NAME: usize = 200;

impl Schedule {
    /// Reads a schedule as the definition of a job holds it. `now` is the anchor of an interval that names none.
    pub fn parse(value: Value, now: UnixMs) -> Result<Self, DefinitionError> {
        refuse_event(Some(&value))?;
        parse_schedule(value, now)
    }
}

impl JobDefinition {
    /// Reads the definition of a new job. `now` is the anchor of an interval that names none.
    pub fn parse(value: Value, now: UnixMs) -> Result<Self, DefinitionError> {
        let value = hoist_legacy(unwrap_envelope(value))?;
        refuse_event(value.get("schedule"))?;
        let mut definition = Self::read(value, now)?;
        if definition.is_system_owned() {
            return Err(DefinitionError::system_owned(&definition));
        }
        // There is no conversation to continue (contract §1.7).
        if definition.session_target == SessionTarget::Current && definition.session_key.is_none() {
            definition.session_target = SessionTarget::Isolated;
        }
        Ok(definition)
    }

    /// Whether what is given for a new job says where its results go, in whatever form.
    pub fn names_delivery(given: &Value) -> bool {
        let hoisted = hoist_legacy(unwrap_envelope(given.clone()));
        hoisted.is_ok_and(|value| value.get("delivery").is_some_and(|delivery| !delivery.is_null()))
    }

    /// Reads a definition as the store wrote it.
    pub fn from_stored_json(value: Value) -> Result<Self, DefinitionError> {
        Self::read(value, UnixMs::EPOCH)
    }

    pub(crate) fn read(value: Value, now: UnixMs) -> Result<Self, DefinitionError> {
        let mut fields = Fields::open("", value)?;
        let schedule_value =
            fields.value("schedule").ok_or(DefinitionError::Missing { field: "schedule".to_owned() })?;
        let schedule = parse_schedule(schedule_value, now)?;
        let payload_value =
            fields.value("payload").ok_or(DefinitionError::Missing { field: "payload".to_owned() })?;
        let payload = Payload::parse(payload_value)?;
        let name = match fields.text("name")? {
            Some(name) => name.trim().to_owned(),
            None => infer_name(&payload, &schedule),
        };
        let session_target = parse_target(fields.text("sessionTarget")?.as_deref(), &payload)?;
        let delivery = fields.value("delivery").map(DeliverySettings::parse).transpose()?.unwrap_or_default();
        let definition = Self {
            name,
            display_name: fields.text("displayName")?.map(|text| text.trim().to_owned()),
            description: fields.text("description")?.map(|text| text.trim().to_owned()),
            enabled: fields.flag("enabled")?.unwrap_or(true),
            delete_after_run: fields.flag("deleteAfterRun")?.unwrap_or(schedule.is_one_shot()),
            agent_id: fields.text("agentId")?.map(|text| AgentId::normalise(&text)),
            wake_mode: parse_wake_mode(fields.text("wakeMode")?.as_deref())?,
            schedule,
            misfire: fields.value("misfire").map(MisfireSettings::parse).transpose()?.unwrap_or_default(),
            overlap: fields.value("overlap").map(Overlap::parse).transpose()?,
            session_target,
            session_key: session_name("sessionKey", fields.text("sessionKey")?)?,
            output_schema: parse_output_schema(fields.value("outputSchema"))?,
            budget: fields.value("budget").map(Budget::parse).transpose()?.unwrap_or_default(),
            cleanup: parse_cleanup(fields.text("cleanup")?.as_deref())?,
            failure_alert: fields
                .value("failureAlert")
                .map(FailureAlert::parse)
                .transpose()?
                .unwrap_or_default(),
            payload,
            delivery,
            hooks: fields.value("hooks").map(JobHooks::parse).transpose()?.unwrap_or_default(),
            after: fields.value("after").map(After::parse_list).transpose()?.unwrap_or_default(),
        };
        fields.close(LATER)?;
        definition.check()?;
        Ok(definition)
    }

    /// The rules between fields (contract §1.3, §1.4).
    fn check(&self) -> Result<(), DefinitionError> {
        if self.name.chars().count() > LONGEST_NAME {
            let why = format!(
                "a name has at most {LONGEST_NAME} characters, this one has {}",
                self.name.chars().count()
            );
            return Err(DefinitionError::invalid("name", why));
        }
        match (&self.session_target, &self.payload) {
            (SessionTarget::Main, Payload::SystemEvent { .. } | Payload::Heartbeat) => {}
            (SessionTarget::Main, payload) => {
                return Err(pairing("main", payload, "main cron jobs require payload.kind=\"systemEvent\""));
            }
            (_, Payload::AgentTurn(_) | Payload::Command(_)) => {}
            (target, payload) => {
                let rule =
                    "isolated/current/session cron jobs require payload.kind=\"agentTurn\" or \"command\"";
                return Err(pairing(&target.to_string(), payload, rule));
            }
        }
        self.check_session_agent()?;
        self.check_hooks()?;
        if self.output_schema.is_some() && self.payload.is_for_main() {
            let why = "a system event has no result of its own that could fit a schema";
            return Err(DefinitionError::invalid("outputSchema", why));
        }
        if self.session_target == SessionTarget::Main && !self.is_system_owned() {
            if self.delivery.failure_destination.is_some()
                && !matches!(self.delivery.mode, DeliveryMode::Webhook(_))
            {
                let why = "a main job has a failure destination only where delivery.mode is `webhook`";
                return Err(DefinitionError::invalid("delivery.failureDestination", why));
            }
            if matches!(self.delivery.mode, DeliveryMode::Announce(_)) {
                let why = "cron channel delivery config is only supported for sessionTarget=\"isolated\"";
                return Err(DefinitionError::invalid("delivery.mode", why));
            }
            if self.agent_id.as_ref().is_some_and(|agent| *agent != AgentId::main()) {
                let why = "a main job runs in the default agent's session; use sessionTarget `isolated` for another agent";
                return Err(DefinitionError::invalid("agentId", why));
            }
        }
        Ok(())
    }

    /// What a gate puts out is for a prompt, and only an agent's turn has one.
    fn check_hooks(&self) -> Result<(), DefinitionError> {
        let has_prompt = match self.payload {
            Payload::AgentTurn(_) => true,
            Payload::SystemEvent { .. } => self.wake_mode == WakeMode::Now,
            Payload::Command(_) | Payload::Heartbeat => false,
        };
        match self.hooks.pre.iter().find(|hook| hook.append_output && !has_prompt) {
            None => Ok(()),
            Some(hook) => {
                let why =
                    format!("the job has no prompt that the output of `{}` could be added to", hook.name);
                Err(DefinitionError::invalid("hooks.pre.appendOutput", why))
            }
        }
    }

    /// A session belongs to one agent; a job cannot run in another's.
    fn check_session_agent(&self) -> Result<(), DefinitionError> {
        let named = match &self.session_target {
            SessionTarget::Named(name) => Some(("sessionTarget", name)),
            _ => None,
        };
        let keyed = self.session_key.as_ref().map(|name| ("sessionKey", name));
        for (field, name) in named.into_iter().chain(keyed) {
            if let Some(owner) = name.agent().filter(|owner| *owner != self.agent()) {
                let why = format!(
                    "`{name}` is a session of the agent `{owner}`, the job runs as `{}`",
                    self.agent()
                );
                return Err(DefinitionError::invalid(field, why));
            }
        }
        Ok(())
    }
}

/// Jobs that something other than the clock or another job begins are the gateway's own.
pub(crate) fn refuse_event(schedule: Option<&Value>) -> Result<(), DefinitionError> {
    let kind = schedule.and_then(|schedule| schedule.get("kind")).and_then(Value::as_str);
    match kind.map(|kind| kind.trim().to_lowercase()) {
        Some(kind) if kind == "event" => {
            let source = schedule.and_then(|schedule| schedule.get("source")).and_then(Value::as_str);
            if source.is_some_and(|source| source.trim() == Schedule::BY_JOBS) {
                return Ok(());
            }
            Err(DefinitionError::kind_not_run(&kind))
        }
        _ => Ok(()),
    }
}

/// A session by its name, of `field`.
fn session_name(field: &'static str, given: Option<String>) -> Result<Option<SessionName>, DefinitionError> {
    let Some(text) = given.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let name =
        text.parse().map_err(|error: SessionNameError| DefinitionError::invalid(field, error.to_string()));
    name.map(Some)
}

/// The most that a schema may take, as JSON.
const LARGEST_SCHEMA: usize = 64 * 1024;

/// Whether it is a schema that can be used is for the agent crate to say, which checks results by it.
fn parse_output_schema(value: Option<Value>) -> Result<Option<Value>, DefinitionError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(schema @ Value::Object(_)) => {
            let size = schema.to_string().len();
            if size > LARGEST_SCHEMA {
                let why = format!("the schema has {size} bytes, at most {LARGEST_SCHEMA} are allowed");
                return Err(DefinitionError::invalid("outputSchema", why));
            }
            Ok(Some(schema))
        }
        Some(_) => {
            Err(DefinitionError::invalid("outputSchema", "expected a JSON Schema, which is an object"))
        }
    }
}

fn parse_cleanup(given: Option<&str>) -> Result<Cleanup, DefinitionError> {
    match given.map(str::trim) {
        None | Some("keep") => Ok(Cleanup::Keep),
        Some("delete") => Ok(Cleanup::Delete),
        Some(other) => Err(DefinitionError::invalid("cleanup", format!("`{other}` is not keep or delete"))),
    }
}

fn pairing(target: &str, payload: &Payload, rule: &'static str) -> DefinitionError {
    DefinitionError::Pairing { target: target.to_owned(), payload: payload.kind(), rule }
}

/// `{data: {…}}` and `{job: {…}}` are taken for what is in them.
fn unwrap_envelope(value: Value) -> Value {
    match value {
        Value::Object(mut outer) if outer.len() == 1 => match (outer.remove("data"), outer.remove("job")) {
            (Some(inner @ Value::Object(_)), None) | (None, Some(inner @ Value::Object(_))) => inner,
            (Some(other), None) => json!({ "data": other }),
            (None, Some(other)) => json!({ "job": other }),
            _ => Value::Object(outer),
        },
        other => other,
    }
}

/// Moves what older clients write at the top into the payload and the delivery, and drops what a read added.
fn hoist_legacy(value: Value) -> Result<Value, DefinitionError> {
    let Value::Object(mut top) = value else { return Ok(value) };
    for key in READ_ONLY {
        top.remove(*key);
    }
    top.remove("isolation");
    move_into(&mut top, "payload", PAYLOAD_FIELDS.iter().map(|key| (*key, *key)))?;
    if let Some(deliver) = top.remove("deliver") {
        let mode = if deliver == Value::Bool(true) { "announce" } else { "none" };
        top.entry("delivery").or_insert_with(|| json!({ "mode": mode }));
    }
    let given = DELIVERY_FIELDS.iter().any(|(key, _)| top.contains_key(*key));
    move_into(&mut top, "delivery", DELIVERY_FIELDS.iter().copied())?;
    if let (true, Some(Value::Object(delivery))) = (given, top.get_mut("delivery")) {
        delivery.entry("mode").or_insert_with(|| json!("announce"));
    }
    Ok(Value::Object(top))
}

fn move_into<'a>(
    top: &mut Map<String, Value>,
    into: &'static str,
    keys: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), DefinitionError> {
    for (from, to) in keys {
        let Some(value) = top.remove(from) else { continue };
        match top.entry(into).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(inner) => {
                inner.entry(to).or_insert(value);
            }
            other => {
                let other = other.take();
                return Fields::open(into, other).map(|_| ());
            }
        }
    }
    Ok(())
}

/// Reads a schedule, with the leniency of contract §1.2.
pub(crate) fn parse_schedule(value: Value, now: UnixMs) -> Result<Schedule, DefinitionError> {
    let mut fields = Fields::open("schedule", value)?;
    let kind = fields.text("kind")?.map(|kind| kind.trim().to_lowercase());
    let at = fields.value("at").or(fields.value("atMs"));
    let every_ms = fields.count("everyMs")?;
    let expr = fields.text("expr")?.or(fields.text("cron")?);
    let kind = match kind.as_deref() {
        Some(kind) => kind,
        None if at.is_some() => "at",
        None if every_ms.is_some() => "every",
        None if expr.is_some() => "cron",
        None => return Err(DefinitionError::Missing { field: "schedule.kind".to_owned() }),
    };
    let schedule = match kind {
        "at" => Schedule::At { at: parse_instant(&fields, at)? },
        "every" => {
            let every_ms =
                every_ms.ok_or(DefinitionError::Missing { field: "schedule.everyMs".to_owned() })?;
            let anchor_ms = fields.count("anchorMs")?;
            parse_every(every_ms, anchor_ms, now)?
        }
        "cron" => Schedule::Cron {
            expr: expr
                .ok_or(DefinitionError::Missing { field: "schedule.expr".to_owned() })?
                .trim()
                .to_owned(),
            tz: fields.text("tz")?.map(|tz| tz.trim().to_owned()),
            stagger_ms: parse_stagger(fields.value("staggerMs").as_ref())?,
            dst: parse_dst(fields.text("dst")?.as_deref())?,
        },
        "event" => Schedule::Event {
            source: fields
                .text("source")?
                .ok_or(DefinitionError::Missing { field: "schedule.source".to_owned() })?
                .trim()
                .to_owned(),
        },
        "on-exit" | "stream" => return Err(DefinitionError::kind_not_run(kind)),
        other => {
            return Err(DefinitionError::invalid(
                "schedule.kind",
                format!("`{other}` is not at, every or cron"),
            ));
        }
    };
    fields.close(&[])?;
    Ok(schedule)
}

fn parse_instant(fields: &Fields, at: Option<Value>) -> Result<UnixMs, DefinitionError> {
    match at {
        None => Err(DefinitionError::Missing { field: "schedule.at".to_owned() }),
        Some(Value::String(text)) => parse_at(&text),
        Some(Value::Number(number)) => parse_at(&number.to_string()),
        Some(other) => Err(fields.wrong_type("at", "an ISO-8601 timestamp", &other)),
    }
}

fn parse_every(every_ms: u64, anchor_ms: Option<u64>, now: UnixMs) -> Result<Schedule, DefinitionError> {
    let bound = MAX_DATE_MS.unsigned_abs();
    if !(1..=bound).contains(&every_ms) {
        let why = format!("`{every_ms}` is not an interval: expected 1 to {bound} milliseconds");
        return Err(DefinitionError::invalid("schedule.everyMs", why));
    }
    let anchor_ms = match anchor_ms.map(i64::try_from) {
        None => now,
        Some(Ok(ms)) if ms <= MAX_DATE_MS => UnixMs::from_millis(ms),
        Some(_) => {
            return Err(DefinitionError::invalid(
                "schedule.anchorMs",
                "the anchor lies beyond what a date can hold",
            ));
        }
    };
    Ok(Schedule::Every { every_ms, anchor_ms })
}

/// A number or a numeric text, rounded down; a negative one is 0 (contract §1.2).
fn parse_stagger(value: Option<&Value>) -> Result<Option<u64>, DefinitionError> {
    let number = match value {
        None => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above and below")]
    match number.map(f64::floor) {
        Some(ms) if ms < 0.0 => Ok(Some(0)),
        Some(ms) if ms <= 8.64e15 => Ok(Some(ms as u64)),
        _ => Err(DefinitionError::invalid(
            "schedule.staggerMs",
            "expected a number of milliseconds of at least 0",
        )),
    }
}

fn parse_dst(given: Option<&str>) -> Result<DstRule, DefinitionError> {
    match given.map(str::parse) {
        None => Ok(DstRule::default()),
        Some(Ok(rule)) => Ok(rule),
        Some(Err(error)) => Err(DefinitionError::invalid("schedule.dst", DstRuleError::to_string(&error))),
    }
}

fn parse_target(given: Option<&str>, payload: &Payload) -> Result<SessionTarget, DefinitionError> {
    match given.map(str::trim) {
        None => Ok(match payload {
            payload if payload.is_for_main() => SessionTarget::Main,
            _ => SessionTarget::Isolated,
        }),
        Some("main") => Ok(SessionTarget::Main),
        Some("isolated") => Ok(SessionTarget::Isolated),
        Some("current") => Ok(SessionTarget::Current),
        Some(other) => match other.strip_prefix("session:").map(str::parse) {
            Some(Ok(name)) => Ok(SessionTarget::Named(name)),
            Some(Err(error)) => {
                Err(DefinitionError::invalid("sessionTarget", SessionNameError::to_string(&error)))
            }
            None => {
                let why = format!("`{other}` is not main, isolated, current or session:<name>");
                Err(DefinitionError::invalid("sessionTarget", why))
            }
        },
    }
}

fn parse_wake_mode(given: Option<&str>) -> Result<WakeMode, DefinitionError> {
    match given {
        None | Some("now") => Ok(WakeMode::Now),
        Some("next-heartbeat") => Ok(WakeMode::NextHeartbeat),
        Some(other) => {
            Err(DefinitionError::invalid("wakeMode", format!("`{other}` is not now or next-heartbeat")))
        }
    }
}

/// The name of a job that was given none (contract §1.7).
fn infer_name(payload: &Payload, schedule: &Schedule) -> String {
    let first_line =
        payload.naming_text().and_then(|text| text.lines().map(str::trim).find(|line| !line.is_empty()));
    match (first_line, schedule) {
        (Some(line), _) if line.chars().count() > 60 => {
            let cut: String = line.chars().take(59).collect();
            format!("{}…", cut.trim_end())
        }
        (Some(line), _) => line.to_owned(),
        (None, Schedule::Cron { expr, .. }) => format!("Cron: {expr}"),
        (None, Schedule::Every { every_ms, .. }) => format!("Every: {every_ms}ms"),
        (None, Schedule::At { .. }) => "One-shot".to_owned(),
        (None, Schedule::Event { source }) => format!("Event: {source}"),
    }
}
