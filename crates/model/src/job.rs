//! A job: what its owner wants (the definition), and what the gateway keeps beside it (the state).
//!
//! The two are apart because the gateway writes only its own state, never a user's field (invariant 13).

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::chain::After;
use crate::completion::{CompletionStatus, DeliveryStatus};
use crate::delivery_settings::{DeliveryMode, DeliverySettings};
use crate::failure::AutoDisabled;
use crate::failure_alert::{AlertState, FailureAlert};
use crate::id::{AgentId, JobId, RunId};
use crate::job_hooks::JobHooks;
use crate::misfire::{MisfirePolicy, MisfireSettings};
use crate::money::Budget;
use crate::outbox::SuppressionReason;
use crate::overlap::{OpenRuns, Overlap};
use crate::payload::{AgentTurn, Lane, Payload};
use crate::run::{ErrorReason, RunStatus};
use crate::schedule::Schedule;
use crate::session::{SessionId, SessionName, SessionRef};
use crate::time::UnixMs;

/// A job as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its identity.
    pub id: JobId,
    /// What its owner wants.
    pub definition: JobDefinition,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last edited, or last ended a run.
    pub updated_at: UnixMs,
    /// What the gateway keeps of it.
    pub state: JobState,
}

/// What the owner of a job wants (contract §1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDefinition {
    /// Its name.
    pub name: String,
    /// A label for people, where the name is not enough.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it is to be run when due.
    pub enabled: bool,
    /// Whether a one-shot goes once it has completed.
    pub delete_after_run: bool,
    /// The agent it runs as; none is the default agent.
    pub agent_id: Option<AgentId>,
    /// When it is due.
    pub schedule: Schedule,
    /// What becomes of instants at which nobody was there.
    pub misfire: MisfireSettings,
    /// What becomes of instants while a run is not over, where it is not the gateway's to say.
    pub overlap: Option<Overlap>,
    /// Which session it runs in.
    pub session_target: SessionTarget,
    /// When the main session is woken.
    pub wake_mode: WakeMode,
    /// What it does.
    pub payload: Payload,
    /// The conversation it belongs to: what `current` continues.
    pub session_key: Option<SessionName>,
    /// What its result must be: a JSON Schema.
    pub output_schema: Option<Value>,
    /// How much its runs may spend in a day.
    pub budget: Budget,
    /// Whether the session of a run goes as soon as its result has arrived.
    pub cleanup: Cleanup,
    /// Where its result goes.
    pub delivery: DeliverySettings,
    /// When somebody is told that it is in trouble, and who.
    pub failure_alert: FailureAlert,
    /// What else happens around its runs.
    pub hooks: JobHooks,
    /// The jobs whose end begins it.
    pub after: Vec<After>,
}

/// What becomes of a run's own session once the run's deliveries are settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cleanup {
    /// It stays for as long as sessions are kept.
    #[default]
    Keep,
    /// It goes, with its transcript.
    Delete,
}

/// Which session a job runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionTarget {
    /// The agent's main session.
    Main,
    /// A fresh session for each run.
    Isolated,
    /// A fresh session for each run, which is shown the end of the conversation `sessionKey` and adds its reply to that.
    Current,
    /// A session that is kept, under this name.
    Named(SessionName),
}

impl SessionTarget {
    /// Whether each run has a session of its own.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Isolated | Self::Current)
    }
}

impl fmt::Display for SessionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => f.write_str("main"),
            Self::Isolated => f.write_str("isolated"),
            Self::Current => f.write_str("current"),
            Self::Named(name) => write!(f, "session:{name}"),
        }
    }
}

/// When a system event wakes the main session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeMode {
    /// At once.
    Now,
    /// With the next heartbeat.
    NextHeartbeat,
}

impl WakeMode {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::NextHeartbeat => "next-heartbeat",
        }
    }
}

/// What the gateway keeps of a job (contract §1.6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobState {
    /// The next due instant; none while disabled, or once a one-shot is used up.
    pub next_run_at: Option<UnixMs>,
    /// The runs that are not over.
    pub open_runs: OpenRuns,
    /// Since when a run is under way.
    pub running_at: Option<UnixMs>,
    /// The last run that ended.
    pub last_run: Option<LastRun>,
    /// Failed runs in a row; only execution counts, never delivery.
    pub consecutive_errors: u32,
    /// Until when what is due is not run, because runs failed.
    pub backoff_until: Option<UnixMs>,
    /// Why the gateway has switched it off, where it has.
    pub auto_disabled: Option<AutoDisabled>,
    /// What was told of its trouble.
    pub alerts: AlertState,
    /// How the last alert fares, where the job was read for people.
    pub last_alert: Option<LastAlert>,
}

/// How the last alert of a job fares (contract §1.6, `lastFailureNotification…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAlert {
    /// Whether somebody got it.
    pub status: DeliveryStatus,
    /// Why not, in words.
    pub error: Option<String>,
}

/// What is known of a job's last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// The run.
    pub run_id: RunId,
    /// When it began.
    pub started_at: UnixMs,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// How the execution ended.
    pub status: RunStatus,
    /// Why it failed, in words.
    pub error: Option<String>,
    /// Why it failed, as a class.
    pub error_reason: Option<ErrorReason>,
    /// How the delivery stands.
    pub delivery_status: DeliveryStatus,
    /// Why it is not delivered, in words.
    pub delivery_error: Option<String>,
    /// Why nothing was sent, on purpose.
    pub suppression: Option<SuppressionReason>,
    /// Both facts together.
    pub completion: CompletionStatus,
}

impl JobDefinition {
    /// The heartbeat of an agent: the gateway's own job, which nobody but the configuration makes, changes or removes.
    pub fn heartbeat(agent: &AgentId, every: Duration, anchor: UnixMs) -> Self {
        let every_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            name: format!("heartbeat-{agent}"),
            display_name: None,
            description: Some(format!("Has the agent `{agent}` look after its main session.")),
            enabled: true,
            delete_after_run: false,
            agent_id: Some(agent.clone()),
            schedule: Schedule::Every { every_ms, anchor_ms: anchor },
            misfire: MisfireSettings { policy: Some(MisfirePolicy::Once), max_lateness: None },
            overlap: Some(Overlap::Skip),
            session_target: SessionTarget::Main,
            wake_mode: WakeMode::Now,
            payload: Payload::Heartbeat,
            session_key: None,
            output_schema: None,
            budget: Budget::default(),
            cleanup: Cleanup::Keep,
            delivery: DeliverySettings::default(),
            failure_alert: FailureAlert::default(),
            hooks: JobHooks::default(),
            after: Vec::new(),
        }
    }

    /// The standing job of an inbound hook: what its runs, their history, budget and alerts belong to. Each run brings the
    /// definition that it runs by. The gateway's own; `source` is `hook.` and the hook's id.
    pub fn hook(id: &str, agent: Option<AgentId>) -> Self {
        let message = format!("Each request to the hook `{id}` brings its own message.");
        Self {
            name: format!("hook-{id}"),
            display_name: None,
            description: Some(format!("Stands for the inbound hook `{id}` of the configuration.")),
            enabled: true,
            delete_after_run: false,
            agent_id: agent,
            schedule: Schedule::Event { source: format!("hook.{id}") },
            misfire: MisfireSettings::default(),
            overlap: None,
            session_target: SessionTarget::Isolated,
            wake_mode: WakeMode::Now,
            payload: Payload::AgentTurn(AgentTurn { message, ..AgentTurn::default() }),
            session_key: None,
            output_schema: None,
            budget: Budget::default(),
            cleanup: Cleanup::Keep,
            delivery: DeliverySettings::default(),
            failure_alert: FailureAlert::default(),
            hooks: JobHooks::default(),
            after: Vec::new(),
        }
    }

    /// Whether it is the gateway's own, and not a user's.
    pub fn is_system_owned(&self) -> bool {
        self.payload == Payload::Heartbeat || self.schedule.is_by_requests()
    }

    /// The agent it runs as.
    pub fn agent(&self) -> AgentId {
        self.agent_id.clone().unwrap_or_else(AgentId::main)
    }

    /// The session of a run of this job: the agent's main one, or the fresh one with `id`.
    pub fn session(&self, job: &JobId, id: SessionId) -> SessionRef {
        match &self.session_target {
            SessionTarget::Main => SessionRef::main(&self.agent()),
            SessionTarget::Isolated | SessionTarget::Current => SessionRef::isolated(&self.agent(), job, id),
            SessionTarget::Named(name) => SessionRef::named(&self.agent(), name),
        }
    }

    /// The conversation that a run continues, where it does not begin one of its own.
    pub fn continues(&self) -> Option<SessionRef> {
        match &self.session_target {
            SessionTarget::Main => Some(SessionRef::main(&self.agent())),
            SessionTarget::Named(name) => Some(SessionRef::named(&self.agent(), name)),
            SessionTarget::Current => {
                self.session_key.as_ref().map(|name| SessionRef::named(&self.agent(), name))
            }
            SessionTarget::Isolated => None,
        }
    }

    /// Where an occurrence of it waits. A system event that is only left for the next heartbeat needs no slot.
    pub fn lane(&self) -> Lane {
        match (&self.payload, self.wake_mode) {
            (Payload::SystemEvent { .. }, WakeMode::NextHeartbeat) => Lane::Instant,
            _ if self.schedule.is_by_requests() => Lane::Hook,
            _ => Lane::Slot,
        }
    }

    /// The definition as JSON with every secret in it: for the store alone.
    pub fn to_stored_json(&self) -> Value {
        Value::Object(self.members(false))
    }

    /// The definition as JSON, secrets masked.
    pub fn shown_json(&self) -> Value {
        Value::Object(self.members(true))
    }

    /// A digest of the definition, as OpenClaw's `configRevision`: two reads that agree in it saw the same job.
    pub fn revision(&self) -> String {
        use base64::Engine as _;
        let digest = Sha256::digest(Value::Object(self.members(false)).to_string().as_bytes());
        format!("sha256:{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest))
    }

    fn members(&self, mask: bool) -> Map<String, Value> {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("name", json!(self.name));
        if let Some(display_name) = &self.display_name {
            put("displayName", json!(display_name));
        }
        if let Some(description) = &self.description {
            put("description", json!(description));
        }
        put("enabled", json!(self.enabled));
        if self.delete_after_run {
            put("deleteAfterRun", json!(true));
        } else if self.schedule.is_one_shot() {
            put("deleteAfterRun", json!(false));
        }
        if let Some(agent_id) = &self.agent_id {
            put("agentId", json!(agent_id));
        }
        put("schedule", json!(self.schedule));
        if let Some(misfire) = self.misfire.to_json() {
            put("misfire", misfire);
        }
        if let Some(overlap) = self.overlap {
            put("overlap", overlap.to_json());
        }
        put("sessionTarget", json!(self.session_target.to_string()));
        if let Some(key) = &self.session_key {
            put("sessionKey", json!(key.as_str()));
        }
        put("wakeMode", json!(self.wake_mode.as_str()));
        put("payload", self.payload.to_json(mask));
        if let Some(schema) = &self.output_schema {
            put("outputSchema", schema.clone());
        }
        if let Some(budget) = self.budget.to_json() {
            put("budget", budget);
        }
        if self.cleanup == Cleanup::Delete {
            put("cleanup", json!("delete"));
        }
        put("delivery", self.delivery.to_json(mask));
        if let Some(alert) = self.failure_alert.to_json(mask) {
            put("failureAlert", alert);
        }
        if let Some(hooks) = self.hooks.to_json(mask) {
            put("hooks", hooks);
        }
        if !self.after.is_empty() {
            put("after", self.after.iter().map(After::to_json).collect());
        }
        out
    }
}

impl Job {
    /// The job as events carry it: the definition and the part of the state that OpenClaw sends.
    pub fn snapshot_json(&self) -> Value {
        let mut out = self.shown_members();
        let mut state = Map::new();
        put_instant(&mut state, "nextRunAtMs", self.state.next_start());
        put_instant(&mut state, "runningAtMs", self.state.running_at);
        out.insert("state".to_owned(), Value::Object(state));
        Value::Object(out)
    }

    /// The job as lists and answers show it: secrets masked, the state's facts repeated beside it as
    /// OpenClaw's newer clients read them (contract §1.1), `status` as a person reads it.
    pub fn to_json(&self) -> Value {
        let mut out = self.shown_members();
        out.insert("state".to_owned(), Value::Object(self.state.members()));
        out.insert("configRevision".to_owned(), json!(self.definition.revision()));
        out.insert("effectiveAgentId".to_owned(), json!(self.definition.agent()));
        out.insert("status".to_owned(), json!(self.headline()));
        put_instant(&mut out, "nextRunAtMs", self.state.next_start());
        if let Some(last) = &self.state.last_run {
            out.insert("lastRunAtMs".to_owned(), json!(last.started_at));
            out.insert("lastRunStatus".to_owned(), json!(last.status));
            out.insert("lastCompletionStatus".to_owned(), json!(last.completion));
            last.delivery_members(&mut out);
            if let Some(error) = &last.error {
                out.insert("lastRunError".to_owned(), json!(error));
            }
        }
        self.state.alert_members(&mut out);
        let (label, detail) = self.definition.delivery.preview();
        out.insert("deliveryPreview".to_owned(), json!({ "label": label, "detail": detail }));
        Value::Object(out)
    }

    /// One word for people. It is `ok` only where the last run completed: a required delivery that has not arrived
    /// shows as `ok (not delivered)` or `ok (delivering)`, never as plain `ok` (invariant 7).
    pub fn headline(&self) -> &'static str {
        if self.state.running_at.is_some() {
            return "running";
        }
        if !self.definition.enabled {
            return "disabled";
        }
        if self.state.auto_disabled.is_some() {
            return "auto-disabled";
        }
        match &self.state.last_run {
            None => "idle",
            Some(last) => last.headline(),
        }
    }

    /// What a person should know about a job that was just saved.
    pub fn notes(&self) -> Vec<String> {
        match &self.definition.delivery.mode {
            DeliveryMode::None => {
                vec!["delivery.mode is none: results stay in the run history and are sent nowhere".to_owned()]
            }
            DeliveryMode::Announce(_) | DeliveryMode::Webhook(_) => Vec::new(),
        }
    }

    /// Whether it is run when due: its owner wants it, and the gateway has not switched it off.
    pub fn is_enabled(&self) -> bool {
        self.definition.enabled && self.state.auto_disabled.is_none()
    }

    fn shown_members(&self) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("id".to_owned(), json!(self.id));
        out.append(&mut self.definition.members(true));
        // A job that the gateway has switched off is not run: clients must see so, and writing `true` switches it on.
        out.insert("enabled".to_owned(), json!(self.is_enabled()));
        out.insert("createdAtMs".to_owned(), json!(self.created_at));
        out.insert("updatedAtMs".to_owned(), json!(self.updated_at));
        out
    }
}

impl JobState {
    /// When the next run begins at the earliest: an instant that comes while the job backs off is held until that is over.
    pub fn next_start(&self) -> Option<UnixMs> {
        self.next_run_at.map(|next| self.backoff_until.map_or(next, |until| next.max(until)))
    }

    fn members(&self) -> Map<String, Value> {
        let mut out = Map::new();
        put_instant(&mut out, "nextRunAtMs", self.next_start());
        put_instant(&mut out, "runningAtMs", self.running_at);
        if self.open_runs.any() {
            out.insert("runsRunning".to_owned(), json!(self.open_runs.running));
            out.insert("runsWaiting".to_owned(), json!(self.open_runs.waiting));
        }
        put_instant(&mut out, "backoffUntilMs", self.backoff_until);
        if let Some(disabled) = &self.auto_disabled {
            out.insert("autoDisabled".to_owned(), json!(disabled));
        }
        if let Some(last) = &self.last_run {
            out.insert("lastRunAtMs".to_owned(), json!(last.started_at));
            out.insert("lastRunId".to_owned(), json!(last.run_id));
            out.insert("lastRunStatus".to_owned(), json!(last.status));
            out.insert("lastStatus".to_owned(), json!(last.status));
            out.insert("lastDurationMs".to_owned(), json!(last.duration_ms));
            if let Some(error) = &last.error {
                out.insert("lastError".to_owned(), json!(error));
            }
            if let Some(reason) = last.error_reason {
                out.insert("lastErrorReason".to_owned(), json!(reason));
            }
            last.delivery_members(&mut out);
            out.insert("consecutiveErrors".to_owned(), json!(self.consecutive_errors));
        }
        if self.alerts.skips > 0 {
            out.insert("consecutiveSkipped".to_owned(), json!(self.alerts.skips));
        }
        put_instant(&mut out, "lastFailureAlertAtMs", self.alerts.last_alert_at());
        self.alert_members(&mut out);
        out
    }
}

impl JobState {
    fn alert_members(&self, out: &mut Map<String, Value>) {
        let Some(alert) = &self.last_alert else { return };
        if let Some(delivered) = alert.status.delivered() {
            out.insert("lastFailureNotificationDelivered".to_owned(), json!(delivered));
        }
        out.insert("lastFailureNotificationDeliveryStatus".to_owned(), json!(alert.status));
        if let Some(error) = &alert.error {
            out.insert("lastFailureNotificationDeliveryError".to_owned(), json!(error));
        }
    }
}

impl LastRun {
    fn headline(&self) -> &'static str {
        match (self.status, self.completion) {
            (RunStatus::Ok, CompletionStatus::Succeeded) => "ok",
            (RunStatus::Ok, CompletionStatus::Failed) => "ok (not delivered)",
            (RunStatus::Ok, CompletionStatus::Unknown) => "ok (delivering)",
            (RunStatus::Error, _) => "error",
            (RunStatus::Skipped, _) => "skipped",
        }
    }

    fn delivery_members(&self, out: &mut Map<String, Value>) {
        if let Some(delivered) = self.delivery_status.delivered() {
            out.insert("lastDelivered".to_owned(), json!(delivered));
        }
        out.insert("lastDeliveryStatus".to_owned(), json!(self.delivery_status));
        if let Some(error) = &self.delivery_error {
            out.insert("lastDeliveryError".to_owned(), json!(error));
        }
        if let Some(reason) = self.suppression {
            out.insert("deliverySuppressionReason".to_owned(), json!(reason));
        }
    }
}

fn put_instant(out: &mut Map<String, Value>, key: &str, instant: Option<UnixMs>) {
    if let Some(instant) = instant {
        out.insert(key.to_owned(), json!(instant));
    }
}
