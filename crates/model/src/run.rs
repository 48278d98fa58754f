//! A run: one execution of a job, and what came of it.

use serde::{Deserialize, Serialize};

use serde_json::Value;

use crate::id::{AgentId, JobId, RunId};
use crate::money::Usd;
use crate::provenance::Provenance;
use crate::session::SessionRef;
use crate::time::UnixMs;

/// What made a run happen. One code path serves them all; this is a recorded fact, not a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// The schedule, on time.
    Schedule,
    /// The schedule, late: one run that stands for all the occurrences that were missed.
    CatchUp,
    /// Another try of an occurrence whose run failed for a reason that may pass.
    Retry,
    /// A person asked for an instant of the past to be run after all.
    Backfill,
    /// A person or a program asked for it; the schedule does not move.
    Manual,
    /// A request to an inbound hook asked for it.
    Hook,
    /// Another job has ended, which this one waits for.
    Chain,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 7] =
        [Self::Schedule, Self::CatchUp, Self::Retry, Self::Backfill, Self::Manual, Self::Hook, Self::Chain];

    /// Whether the schedule or a chain brought the run about: such runs alone make a job back off, are tried again, and
    /// switch it off.
    pub fn is_scheduled(self) -> bool {
        matches!(self, Self::Schedule | Self::CatchUp | Self::Retry | Self::Chain)
    }

    /// Whether its end counts among the failures in a row of its job: what a person asked for does not.
    pub fn counts_for_job(self) -> bool {
        self.is_scheduled() || self == Self::Hook
    }

    /// Whether a bound on lateness holds for such a run. A retry is no first beginning, and what a person asked for is not
    /// late.
    pub fn is_bound_by_lateness(self) -> bool {
        matches!(self, Self::Schedule | Self::CatchUp)
    }

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::CatchUp => "catchUp",
            Self::Retry => "retry",
            Self::Backfill => "backfill",
            Self::Manual => "manual",
            Self::Hook => "hook",
            Self::Chain => "chain",
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunState {
    /// Accepted and durable, waiting for a free slot.
    Queued,
    /// Claimed by a living gateway.
    Running,
    /// Over; the outcome is stored.
    Finished,
}

impl RunState {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
        }
    }
}

/// How the execution ended (contract §2.1). Delivery is another fact (invariant 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// The work was done.
    Ok,
    /// The work failed.
    Error,
    /// The work was not begun, for a stated reason.
    Skipped,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Error, Self::Skipped];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

/// The class of a failed run: OpenClaw's `errorReason` values (contract §1.6), and `interrupted`, which is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorReason {
    /// The provider refused the credentials.
    Auth,
    /// The provider could not read the request.
    Format,
    /// The provider asked to slow down.
    RateLimit,
    /// The provider has no capacity at the moment.
    Overloaded,
    /// The account is out of credit.
    Billing,
    /// The provider failed on its side.
    ServerError,
    /// The run was longer than its limit.
    Timeout,
    /// The input is longer than the model can take.
    ContextOverflow,
    /// There is no such model, or none is configured.
    ModelNotFound,
    /// The model ended its turn without a word.
    EmptyResponse,
    /// The gateway ended while the run was under way; the run is not repeated.
    Interrupted,
    /// The network between the gateway and the provider failed.
    Network,
    /// The gateway itself has no network.
    Offline,
    /// The run was ended because the next one was due, or by hand.
    Cancelled,
    /// A command ended with an exit code other than 0, or by a signal.
    Exit,
    /// A command could not be started.
    Launch,
    /// What the run needs is not there: its model's server does not answer, its agent's program is missing. The run is not
    /// begun, so it is skipped.
    Unavailable,
    /// The day's budget is used up; the run is not begun, so it is skipped.
    Budget,
    /// It is no time for the run: an agent's heartbeat outside its active hours. It is skipped.
    #[serde(rename = "quiet-hours")]
    QuietHours,
    /// The result does not fit the job's `outputSchema`.
    OutputSchema,
    /// The agent took more turns or called more tools than it may.
    TurnLimit,
    /// The model declined to answer.
    Refusal,
    /// A gate said that there is nothing to do; the run is not begun, so it is skipped.
    Gate,
    /// A gate refused the run, or failed itself.
    Hook,
    /// None of the above.
    Unknown,
}

impl ErrorReason {
    /// Every class.
    pub const ALL: [Self; 25] = [
        Self::Auth,
        Self::Format,
        Self::RateLimit,
        Self::Overloaded,
        Self::Billing,
        Self::ServerError,
        Self::Timeout,
        Self::ContextOverflow,
        Self::ModelNotFound,
        Self::EmptyResponse,
        Self::Interrupted,
        Self::Network,
        Self::Offline,
        Self::Cancelled,
        Self::Exit,
        Self::Launch,
        Self::Unavailable,
        Self::Budget,
        Self::QuietHours,
        Self::OutputSchema,
        Self::TurnLimit,
        Self::Refusal,
        Self::Gate,
        Self::Hook,
        Self::Unknown,
    ];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Format => "format",
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::Billing => "billing",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::ContextOverflow => "context_overflow",
            Self::ModelNotFound => "model_not_found",
            Self::EmptyResponse => "empty_response",
            Self::Interrupted => "interrupted",
            Self::Network => "network",
            Self::Offline => "offline",
            Self::Cancelled => "cancelled",
            Self::Exit => "exit",
            Self::Launch => "launch",
            Self::Unavailable => "unavailable",
            Self::Budget => "budget",
            Self::QuietHours => "quiet-hours",
            Self::OutputSchema => "output_schema",
            Self::TurnLimit => "turn_limit",
            Self::Refusal => "refusal",
            Self::Gate => "gate",
            Self::Hook => "hook",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a run did not end well: a class for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The class.
    pub reason: ErrorReason,
    /// What happened, without secrets and without a provider's raw answer.
    pub message: String,
}

/// Tokens that a turn used, in OpenClaw's spelling (contract §2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Both together, as the provider counts.
    pub total_tokens: u64,
    /// Of the tokens read, those that came from the provider's cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Of the tokens read, those that were put into the provider's cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Usage {
    /// So many tokens read and written, without a cache.
    pub fn new(input_tokens: u64, output_tokens: u64) -> Self {
        let total_tokens = input_tokens.saturating_add(output_tokens);
        Self { input_tokens, output_tokens, total_tokens, cache_read_tokens: 0, cache_write_tokens: 0 }
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let Self { input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_write_tokens } = other;
        self.input_tokens = self.input_tokens.saturating_add(input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(output_tokens);
        self.total_tokens = self.total_tokens.saturating_add(total_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(cache_write_tokens);
    }
}

/// What a run noted on its way (contract §1.6).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// The notes in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The notes one by one.
    pub entries: Vec<Diagnostic>,
}

/// One note of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// When it was taken.
    pub ts: UnixMs,
    /// Which part of the run took it, for example `agent-run` or `exec`.
    pub source: String,
    /// `info`, `warn` or `error`.
    pub severity: Severity,
    /// The note.
    pub message: String,
    /// The exit code of a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether the output was cut at its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
}

/// How grave a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth a look.
    Warn,
    /// What went wrong.
    Error,
}

/// What came of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunOutcome {
    /// How it ended.
    pub status: RunStatus,
    /// Why it did not end well; present exactly where the status is `error`, and on some skips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// The output, whole: of a failed run too, as far as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What was noted on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Diagnostics>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The provider of that model, by its name in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Tokens used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What they cost, where the price of the model is known.
    #[serde(default, rename = "costUsd", skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
    /// The result as the value that the job's `outputSchema` describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Whether the agent said, as a fact and not in words, that there is nothing to report.
    #[serde(default, skip_serializing_if = "is_false")]
    pub silent: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl RunOutcome {
    /// A good end with this output.
    pub fn ok(summary: impl Into<String>) -> Self {
        Self { summary: Some(summary.into()), ..Self::empty(RunStatus::Ok) }
    }

    /// A bad end.
    pub fn error(reason: ErrorReason, message: impl Into<String>) -> Self {
        let error = RunError { reason, message: message.into() };
        Self { error: Some(error), ..Self::empty(RunStatus::Error) }
    }

    /// A run that was not begun, and why.
    pub fn skipped(reason: ErrorReason, message: impl Into<String>) -> Self {
        let error = RunError { reason, message: message.into() };
        Self { error: Some(error), ..Self::empty(RunStatus::Skipped) }
    }

    fn empty(status: RunStatus) -> Self {
        Self {
            status,
            error: None,
            summary: None,
            diagnostics: None,
            model: None,
            provider: None,
            usage: None,
            cost: None,
            output: None,
            silent: false,
        }
    }
}

/// One execution of a job, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run's identity.
    pub id: RunId,
    /// The job it executes.
    pub job_id: JobId,
    /// The job's name at that time.
    pub job_name: String,
    /// The agent it runs as.
    pub agent_id: AgentId,
    /// What made it happen.
    pub trigger: Trigger,
    /// The due instant it stands for; none for a manual run.
    pub scheduled_at: Option<UnixMs>,
    /// When it was accepted.
    pub queued_at: UnixMs,
    /// Which try of its occurrence it is, from 1.
    pub attempt: u32,
    /// How often it was put back, because it was asked to wait.
    pub deferrals: u32,
    /// What led to it.
    pub provenance: Provenance,
    /// The run of another job whose end began it.
    pub upstream: Option<RunId>,
    /// The session it runs in.
    pub session: SessionRef,
    /// Where it stands.
    pub progress: RunProgress,
}

/// Where a run stands, with what is known at that point and not before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunProgress {
    /// Waiting for its turn.
    Queued(Wait),
    /// Under way.
    Running {
        /// When the slot was taken.
        started_at: UnixMs,
    },
    /// Over.
    Finished {
        /// When the slot was taken; a run that was skipped has none.
        started_at: UnixMs,
        /// When it ended.
        ended_at: UnixMs,
        /// What came of it.
        outcome: Box<RunOutcome>,
    },
}

/// What a queued run waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wait {
    /// From when on it may begin, as soon as a slot is free; none while it waits for a run of its job to end.
    pub ready_at: Option<UnixMs>,
    /// Why it was put back, where it had begun before.
    pub why: Option<String>,
}

impl RunProgress {
    /// The state without its facts.
    pub fn state(&self) -> RunState {
        match self {
            Self::Queued(_) => RunState::Queued,
            Self::Running { .. } => RunState::Running,
            Self::Finished { .. } => RunState::Finished,
        }
    }
}
