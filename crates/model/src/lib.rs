//! The nouns of clawhook and their rules: what a job, a schedule, an occurrence, a run, an event, a delivery and an
//! attempt are, which of them are well formed, and how they look as JSON.
//!
//! This crate knows no clock, no async, no SQL and no HTTP. Instants come in as arguments; what leaves is values.

mod alert_notice;
mod announce;
mod at;
mod attempt;
mod backfill;
mod chain;
mod completion;
mod dead_cause;
mod definition;
mod definition_error;
mod delivery_settings;
mod destination;
mod destination_ref;
mod duration;
mod event;
mod event_kind;
mod event_schema;
mod failure;
mod failure_alert;
mod fence;
mod fields;
mod id;
mod job;
mod job_hooks;
mod ladder;
mod misfire;
mod money;
mod notice;
mod outbox;
mod overlap;
mod patch;
mod payload;
mod provenance;
mod recorded_headers;
mod replay;
mod run;
mod schedule;
mod secret;
mod session;
mod target;
mod thinking;
mod time;
mod webhook_url;

pub use alert_notice::{AlertAbout, AlertNotice, AlertPurpose};
pub use announce::{ChannelRoutes, DefaultPlace, Route, RouteError, RouteSource, Routes};
pub use at::{parse_at, parse_at_in};
pub use attempt::{
    Announced, Attempt, AttemptClass, AttemptReport, PhaseTimings, RetryAfter, TlsVersion, micros,
};
pub use backfill::BackfillRequest;
pub use chain::{After, ChainOn};
pub use completion::{CompletionStatus, DeliveryStatus};
pub use dead_cause::DeadCause;
pub use definition_error::DefinitionError;
pub use delivery_settings::{AnnounceTarget, DeliveryMode, DeliverySettings, WebhookTarget};
pub use destination::{
    BodyFormat, ClientCertificate, ContentType, Destination, DestinationDefinition, DestinationName,
    DestinationNameError, Halt, HaltReason, Limits, MAX_TEMPLATE_BYTES, NetworkSettings, Order, Preset,
    RetiringKeys, RetryRules, RetrySchedule, RetrySettings, SchemesError, SignatureScheme, SignatureSchemes,
    SigningSettings, Standing, Subscription, TemplateHeader, TemplateSpec,
};
pub use destination_ref::{DestinationRef, DestinationRefError};
pub use duration::{DurationError, format_duration, parse_duration};
pub use event::{Finished, SCHEMA_VERSION};
pub use event_kind::EventKind;
pub use event_schema::{RUN_FINISHED, RUN_FINISHED_SCHEMA, RUN_FINISHED_SCHEMA_ID};
pub use failure::{
    Aftermath, AutoDisableReason, AutoDisabled, BACKOFF, Failure, FailureRules, TransientClass,
    counts_against_job,
};
pub use failure_alert::{
    AlertDrill, AlertDue, AlertMode, AlertRoute, AlertRules, AlertScope, AlertSettings, AlertState,
    FailureAlert, GatewayAlerts, Told, Trouble, excerpt,
};
pub use fence::{FENCE_RULE, Fence, fence};
pub use id::{
    AgentId, DeliveryId, DestinationId, EventId, HookRequestId, IdError, JobId, LeaseId, OwnerId, ReplayId,
    RunId, seed_ids,
};
pub use job::{Cleanup, Job, JobDefinition, JobState, LastAlert, LastRun, SessionTarget, WakeMode};
pub use job_hooks::{
    CreationStage, GateDecision, GateVerdict, GlobalHook, GlobalHooks, HookCall, HookCallState, HookFilter,
    HookKind, HookReport, HookStage, JobHook, JobHooks, NamePattern, NoGateVerdict,
};
pub use ladder::{AckState, Acknowledge, Acknowledgement, AskRules, LadderPlan, QuietHours};
pub use misfire::{Misfire, MisfirePolicy, MisfireSettings};
pub use money::{Budget, Price, Spent, Usd};
pub use notice::{Begun, Notice};
pub use outbox::{
    Delivery, DeliveryBegin, DeliveryPlan, DeliveryState, SuppressionReason, Target, plan_deliveries,
};
pub use overlap::{OpenRuns, Overlap};
pub use payload::{AgentTurn, CommandSpec, Lane, Payload};
pub use provenance::{
    DEFAULT_MAX_HOPS, HOPS_HEADER, InstanceId, LoopBroken, NoInstanceId, Provenance, TRAIL_HEADER,
};
pub use recorded_headers::RecordedHeaders;
pub use replay::{Replay, ReplayFilter, ReplayRequest, ReplayState, Replayable};
pub use run::{
    Diagnostic, Diagnostics, ErrorReason, Run, RunError, RunOutcome, RunProgress, RunState, RunStatus,
    Severity, Trigger, Usage, Wait,
};
pub use schedule::{DstRule, DstRuleError, Schedule};
pub use secret::{MAX_SECRET_BYTES, SecretSource, SecretSourceError, SecretText};
pub use session::{
    EntryDetail, Role, SessionId, SessionIdError, SessionName, SessionNameError, SessionRef, TranscriptEntry,
};
pub use thinking::{Thinking, ThinkingError};
pub use time::{MAX_DATE_MS, UnixMs};
pub use webhook_url::{MASK, WebhookUrl, WebhookUrlError};
