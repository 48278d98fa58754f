//! The nouns of clawhook and their rules: what a job, a schedule, an occurrence, a run, an event, a delivery and an
//! attempt are, which of them are well formed, and how they look as JSON.
//!
//! This crate knows no clock, no async, no SQL and no HTTP. Instants come in as arguments; what leaves is values.

mod attempt;
mod duration;
mod id;
mod run;
mod schedule;
mod session;
mod time;
mod webhook_url;

pub use attempt::{Attempt, AttemptClass, AttemptReport, PhaseTimings, micros};
pub use duration::{DurationError, format_duration, parse_duration};
pub use id::{AgentId, DeliveryId, EventId, IdError, JobId, LeaseId, OwnerId, RunId};
pub use run::{
    Diagnostic, Diagnostics, ErrorReason, Run, RunError, RunOutcome, RunProgress, RunState, RunStatus,
    Severity, Trigger, Usage,
};
pub use schedule::Schedule;
pub use session::{Role, SessionId, SessionRef, TranscriptEntry};
pub use time::{MAX_DATE_MS, UnixMs};
pub use webhook_url::{MASK, WebhookUrl, WebhookUrlError};
