//! Starting, finishing and reading runs.

use std::sync::Arc;

use bytes::Bytes;
use clawhook_model::{
    AgentId, Begun, Cleanup, CompletionStatus, Delivery, DeliveryId, DeliveryPlan, DeliveryStatus, EventId,
    EventKind, FailureRules, HookCall, Job, JobId, Lane, Overlap, Provenance, Run, RunId, RunOutcome,
    RunStatus, SessionId, SessionRef, SuppressionReason, TranscriptEntry, Trigger, UnixMs,
};

use crate::hooks::HookWake;
use crate::job_hooks::{ChainRules, NewHookCall};
use crate::ledger::OccurrenceOutcome;

/// A run that is to be.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its identity.
    pub id: RunId,
    /// Its job.
    pub job_id: JobId,
    /// The job's name.
    pub job_name: String,
    /// The agent it runs as.
    pub agent_id: AgentId,
    /// What makes it happen.
    pub trigger: Trigger,
    /// The due instant it stands for.
    pub scheduled_at: Option<UnixMs>,
    /// Which try of its occurrence it is, from 1.
    pub attempt: u32,
    /// Its session.
    pub session: SessionRef,
    /// Where it waits.
    pub lane: Lane,
    /// Whether its delivery may fail without the run counting as failed.
    pub best_effort: bool,
    /// What led to it; its own job is not part of that.
    pub provenance: Provenance,
    /// The run of another job whose end began it.
    pub upstream: Option<RunId>,
}

impl NewRun {
    /// A run of `job` as it is now, at the beginning of its way.
    pub fn of(
        job: &Job,
        id: RunId,
        trigger: Trigger,
        scheduled_at: Option<UnixMs>,
        session: SessionId,
    ) -> Self {
        let definition = &job.definition;
        Self {
            id,
            job_id: job.id.clone(),
            job_name: definition.name.clone(),
            agent_id: definition.agent(),
            trigger,
            scheduled_at,
            attempt: 1,
            session: definition.session(&job.id, session),
            lane: definition.lane(),
            best_effort: definition.delivery.best_effort,
            provenance: Provenance::default(),
            upstream: None,
        }
    }

    /// What is told of it where it begins at once.
    pub(crate) fn begun(&self) -> Begun<'_> {
        Begun {
            run_id: self.id,
            job_id: &self.job_id,
            job_name: &self.job_name,
            agent_id: &self.agent_id,
            trigger: self.trigger,
            scheduled_at: self.scheduled_at,
            attempt: self.attempt,
            deferrals: 0,
            session: &self.session,
            provenance: &self.provenance,
        }
    }
}

/// The event of a run, as it is kept.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its identity.
    pub id: EventId,
    /// What it tells of.
    pub kind: EventKind,
    /// When it came about.
    pub occurred_at: UnixMs,
    /// Its bytes.
    pub body: Bytes,
}

/// A run that was asked for by hand.
#[derive(Debug, Clone)]
pub struct StartRun {
    /// The job.
    pub job_id: JobId,
    /// The run's identity.
    pub run_id: RunId,
    /// The session it gets, where it gets a fresh one.
    pub session_id: SessionId,
    /// Lanes in which the caller holds a slot: there the run begins at once, elsewhere it is queued.
    pub held: Vec<Lane>,
    /// What holds where the job has no overlap policy of its own.
    pub overlap: Overlap,
}

/// What came of asking for a run.
#[derive(Debug, Clone)]
pub enum RunStarted {
    /// It is durable and begun. With it comes the job as it is now.
    Begun(Box<NewRun>, Box<Job>),
    /// It is durable and waits for a slot of this lane.
    Queued(Lane),
    /// The job has a run that is queued or under way.
    AlreadyRunning(RunId),
    /// There is no such job.
    NotFound,
}

/// A run that was queued and is now begun.
#[derive(Debug, Clone)]
pub struct QueuedRun {
    /// The run.
    pub run: Run,
    /// Its job as it is now.
    pub job: Job,
    /// Whether the job was removed in the meantime; its row stays until its run is over.
    pub job_removed: bool,
    /// Why it is not to be executed, where that was decided when it was queued.
    pub refused: Option<String>,
}

/// A run that a dead process had begun.
#[derive(Debug, Clone)]
pub struct InterruptedRun {
    /// The run.
    pub run: Run,
    /// Its job as it is now.
    pub job: Job,
}

/// Everything that is committed when a run ends.
#[derive(Debug, Clone)]
pub struct FinishRun {
    /// The run.
    pub run_id: RunId,
    /// Its job.
    pub job_id: JobId,
    /// Its session.
    pub session: SessionRef,
    /// The agent it ran as.
    pub agent_id: AgentId,
    /// When it ended.
    pub ended_at: UnixMs,
    /// What came of it.
    pub outcome: RunOutcome,
    /// The event's identity.
    pub event_id: EventId,
    /// The event's bytes.
    pub event: Bytes,
    /// What is to be carried where.
    pub deliveries: Vec<NewDelivery>,
    /// What was said.
    pub transcript: Vec<TranscriptEntry>,
    /// What becomes of the job.
    pub after: AfterRun,
    /// What made the run happen.
    pub trigger: Trigger,
    /// What its instant's record is to say instead, where the run was never executed.
    pub passed: Option<OccurrenceOutcome>,
    /// What follows from a failure.
    pub failure: Arc<FailureRules>,
    /// The run and the session of another try, should there be one.
    pub retry: (RunId, SessionId),
    /// The day in the gateway's zone that what it used is counted to, in days since 1970-01-01.
    pub day: i32,
    /// What it leaves with sessions that are kept.
    pub left: LeftWithSessions,
    /// The hooks whose turn comes now.
    pub hooks: Vec<NewHookCall>,
    /// What holds for the runs of other jobs that its end begins.
    pub chain: ChainRules,
}

/// What a run leaves with sessions that are kept, beside its own transcript.
#[derive(Debug, Clone, Default)]
pub struct LeftWithSessions {
    /// Whether the run's own session is one that is kept.
    pub is_kept: bool,
    /// What becomes of it where it is not.
    pub cleanup: Cleanup,
    /// Whether later turns of a session that is kept are told nothing of this one.
    pub forgotten: bool,
    /// The conversation that its reply is added to, and the reply.
    pub reply: Option<(SessionRef, TranscriptEntry)>,
    /// The system events that its turn was told of; they wait no more.
    pub told: Vec<u64>,
    /// A text that is left for the next turn of the run's own session.
    pub event: Option<String>,
    /// Texts that are left for the next turn of other sessions that are kept.
    pub elsewhere: Vec<(SessionRef, String)>,
    /// What another session that is kept is told of the run's end.
    pub note: Option<Box<HookWake>>,
}

/// A text that waits for a turn of a session that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemEvent {
    /// Its place in the order of all.
    pub seq: u64,
    /// The job that left it.
    pub job_id: JobId,
    /// When it was left.
    pub at: UnixMs,
    /// The text.
    pub text: String,
}

/// A run that is put back.
#[derive(Debug, Clone)]
pub struct DeferRun {
    /// The run.
    pub run_id: RunId,
    /// Its job.
    pub job_id: JobId,
    /// When it may begin again.
    pub until: UnixMs,
    /// Why, in words.
    pub why: String,
}

/// A result that came after its run had been given up.
#[derive(Debug, Clone)]
pub struct LateResult {
    /// The run.
    pub run_id: RunId,
    /// Its job.
    pub job_id: JobId,
    /// The agent it ran as.
    pub agent_id: AgentId,
    /// When it came.
    pub at: UnixMs,
    /// What came of it.
    pub outcome: RunOutcome,
    /// The event that tells of it and where it is carried, where the job asks for that.
    pub event: Option<LateEvent>,
    /// The day in the gateway's zone that what it used is counted to, in days since 1970-01-01.
    pub day: i32,
}

/// The event of a late result.
#[derive(Debug, Clone)]
pub struct LateEvent {
    /// Its identity.
    pub id: EventId,
    /// Its bytes.
    pub body: Bytes,
    /// What is to be carried where.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery that is to be.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Its identity.
    pub id: DeliveryId,
    /// Where to, and how it begins.
    pub plan: DeliveryPlan,
}

/// What becomes of a job after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRun {
    /// It stays.
    Keep,
    /// It goes as soon as the run has completed: when it ended well and every required delivery arrived.
    RemoveWhenComplete,
}

/// What came of ending a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunFinished {
    /// It is durable.
    Done,
    /// The run is not this process's, or is over already; nothing was changed.
    Fenced,
}

/// A run with the facts about its delivery.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// The run.
    pub run: Run,
    /// Its deliveries, those of replays too.
    pub deliveries: Vec<Delivery>,
    /// Whether its delivery may fail without the run counting as failed.
    pub best_effort: bool,
    /// A result that came after the run had been given up, and when it came.
    pub late: Option<(UnixMs, Box<RunOutcome>)>,
    /// The calls of hooks around it.
    pub hooks: Vec<HookCall>,
}

impl RunRecord {
    /// The deliveries that the job asked for; others were subscribed to or asked for by hand, and the run's completion
    /// is not theirs to say.
    fn required(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter().filter(|delivery| delivery.required)
    }

    /// How the delivery stands: the worst of all targets.
    pub fn delivery_status(&self) -> DeliveryStatus {
        let statuses = || self.required().map(|delivery| DeliveryStatus::of(Some(delivery.state)));
        [DeliveryStatus::NotDelivered, DeliveryStatus::Unknown, DeliveryStatus::Delivered]
            .into_iter()
            .find(|worst| statuses().any(|status| status == *worst))
            .unwrap_or(DeliveryStatus::NotRequested)
    }

    /// Why nothing was sent, on purpose.
    pub fn suppression(&self) -> Option<SuppressionReason> {
        let suppressed = |delivery: &&Delivery| delivery.state == clawhook_model::DeliveryState::Suppressed;
        let reason = self.required().find(suppressed)?.reason.as_deref();
        match reason {
            Some("silent") => Some(SuppressionReason::Silent),
            _ => Some(SuppressionReason::Empty),
        }
    }

    /// Execution and delivery together; `None` while the run is not over.
    pub fn completion(&self) -> Option<CompletionStatus> {
        match &self.run.progress {
            clawhook_model::RunProgress::Finished { outcome, .. } => Some(CompletionStatus::of(
                outcome.status,
                self.best_effort,
                self.delivery_status(),
                self.suppression(),
            )),
            _ => None,
        }
    }

    /// Why it is not delivered, in words.
    pub fn delivery_error(&self) -> Option<&str> {
        let failed = |delivery: &&Delivery| {
            use clawhook_model::DeliveryState::{Cancelled, Dead, Waiting};
            matches!(delivery.state, Dead | Cancelled | Waiting)
        };
        self.required().find(failed)?.reason.as_deref()
    }
}

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only runs of this job.
    pub job_id: Option<JobId>,
    /// Only runs that ended so.
    pub status: Option<RunStatus>,
    /// Only runs that are over.
    pub finished_only: bool,
    /// How many are passed over.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// A page of runs.
#[derive(Debug, Clone)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunRecord>,
    /// How many match in all.
    pub total: usize,
}
