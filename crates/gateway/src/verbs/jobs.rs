//! Making, editing, listing and running jobs.

use std::time::Duration;

use clawhook_agent::AgentError;
use clawhook_delivery::GuardRefusal;
use clawhook_engine::{CreationRefused, RunNow};
use clawhook_model::{
    CreationStage, DefinitionError, DestinationName, Job, JobDefinition, JobId, JobState, Misfire, Overlap,
    Payload, Route, RouteError, RunId, Schedule, SessionRef, Target, UnixMs, WakeMode,
};
use clawhook_schedule::{
    Passed, ScheduleError, Timetable, check_new, default_stagger_ms, describe_for, passed,
};
use clawhook_store::{
    Claim, JobEdit, JobFilter, JobPage, JobRemoved, JobUpdated, Left, NextRun, OccurrenceFilter,
    OccurrenceOutcome, StoreError,
};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use thiserror::Error;

use super::{BudgetToday, ChannelVerbError, JobSpending, Verbs, shown, store_code};

/// How many of a job's next instants are told.
const UPCOMING: usize = 5;

/// How often an edit is made again on a job that others edit at the same time.
pub(super) const EDIT_ATTEMPTS: usize = 16;

/// A job with its next instants.
#[derive(Debug, Clone)]
pub(crate) struct SavedJob {
    /// The job.
    pub(crate) job: Job,
    /// When it is due next; empty where it is not to be run.
    pub(crate) upcoming: Vec<UnixMs>,
    /// The zone of this machine by its name, where it is known: a cron expression that names none is read in it.
    pub(crate) host_time_zone: Option<String>,
    /// What becomes of instants at which nobody is there, with what the gateway says where the job does not.
    pub(crate) misfire: Misfire,
    /// What becomes of instants while a run is not over, in the same way.
    pub(crate) overlap: Overlap,
    /// Its schedule, with all there is to say of it.
    pub(crate) schedule: SchedulePreview,
    /// What it costs; told where it is read, not where it is saved.
    pub(crate) spending: JobSpending,
    /// Where its results are announced, or why nowhere; none where they are not to be announced.
    pub(crate) route: Option<Result<Route, RouteError>>,
    /// What a person should know about it where it was just saved.
    pub(crate) notes: Vec<String>,
}

/// A page of jobs.
pub(crate) struct ListedJobs {
    /// The page.
    pub(crate) page: JobPage,
    /// What of its budget each of the jobs has spent today, where it has one.
    pub(crate) budgets: Vec<Option<BudgetToday>>,
}

/// A schedule with what is not written in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchedulePreview {
    /// The schedule in a few words.
    pub(crate) text: String,
    /// The zone that the expression is read in.
    pub(crate) time_zone: Option<String>,
    /// The window of the stagger, and this job's place in it, of an expression that has one.
    pub(crate) stagger: Option<(Duration, Duration)>,
}

/// What came of asking for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunRequested {
    /// It is durable, and runs as soon as there is a slot.
    Enqueued(RunId),
    /// The job's last run is not over.
    AlreadyRunning(RunId),
}

/// Why a verb on jobs was not done.
#[derive(Debug, Error)]
pub(crate) enum JobVerbError {
    /// There is no such job.
    #[error("Automation not found: {0}.")]
    NotFound(String),
    /// It is no job.
    #[error(transparent)]
    Job(#[from] DefinitionError),
    /// It is never due, or cannot be told when.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The instant lies among those that have their record in the ledger.
    #[error("the job was due at {last} already, so that {at} is over")]
    UsedUp {
        /// The instant.
        at: UnixMs,
        /// The last instant that has a record.
        last: UnixMs,
    },
    /// Its webhook lies where no webhook may go.
    #[error(transparent)]
    Webhook(#[from] GuardRefusal),
    /// It names a destination that is not defined.
    #[error("there is no destination `{0}`")]
    NoDestination(DestinationName),
    /// Another way that its events may take cannot be taken.
    #[error("`{field}`: {refused}")]
    Route {
        /// The field that names it.
        field: &'static str,
        /// Why not.
        refused: Box<JobVerbError>,
    },
    /// Its results could not be announced.
    #[error(transparent)]
    Announce(#[from] ChannelVerbError),
    /// Nobody could do its work.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// It waits for a job that is not there.
    #[error("there is no job `{0}` that it could wait for")]
    NoUpstream(String),
    /// It waits for a job by a name that several have.
    #[error("{count} jobs are called `{name}`")]
    ManyUpstreams {
        /// The name.
        name: String,
        /// How many have it.
        count: usize,
    },
    /// It would wait for itself.
    #[error("the job would wait for itself: {}", .0.join(" -> "))]
    Circle(Vec<String>),
    /// Other jobs wait for it.
    #[error("`{job}` cannot go while others wait for its end: {}", waiting.join(", "))]
    Awaited {
        /// The job.
        job: JobId,
        /// Those that wait.
        waiting: Vec<String>,
    },
    /// A hook does not let it be.
    #[error(transparent)]
    Creation(#[from] CreationRefused),
    /// The job is not what the caller has read.
    #[error("the job was changed in the meantime: its configRevision is `{actual}`, not `{expected}`")]
    Changed {
        /// The revision that the caller has read.
        expected: String,
        /// The revision it has.
        actual: String,
    },
    /// The job is the gateway's own.
    #[error("`{0}` is the gateway's own: it can be run, enabled and disabled, and nothing else")]
    SystemOwned(JobId),
    /// The job stands for a hook.
    #[error(
        "`{0}` stands for an inbound hook: each of its runs brings its own work, so that there is nothing to run by hand"
    )]
    OfHook(JobId),
    /// Others edit the job too fast.
    #[error("others are editing `{0}` at this moment, and the edit found no gap")]
    Contended(JobId),
    /// The gateway takes no more work.
    #[error("the gateway is stopping and begins no run")]
    Stopping,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl JobVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Job(DefinitionError::UnknownField { .. }) => "unknown_field",
            Self::Job(DefinitionError::NotServed { .. }) => "not_served",
            Self::Job(_) => "invalid_job",
            Self::Schedule(_) | Self::UsedUp { .. } => "invalid_schedule",
            Self::Webhook(_) => "webhook_refused",
            Self::NoDestination(_) => "unknown_destination",
            Self::Route { refused, .. } => refused.code(),
            Self::Announce(error) => error.code(),
            Self::Agent(AgentError::Unknown { .. }) => "unknown_agent",
            Self::Agent(_) => "cannot_run",
            Self::NoUpstream(_) | Self::ManyUpstreams { .. } => "unknown_upstream",
            Self::Circle(_) => "circle",
            Self::Awaited { .. } => "awaited",
            Self::Creation(_) => "refused_by_hook",
            Self::Changed { .. } => "job_changed",
            Self::SystemOwned(_) | Self::OfHook(_) => "system_owned",
            Self::Contended(_) => "busy",
            Self::Stopping => "stopping",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Job(error) => error.hint(),
            Self::Schedule(ScheduleError::InThePast { .. }) | Self::UsedUp { .. } => {
                Some("give `schedule.at` an instant that is to come".to_owned())
            }
            Self::Schedule(error) => error.hint(),
            Self::Webhook(refusal) => Some(refusal.hint()),
            Self::NoDestination(_) => {
                Some("add it first (`clawhook destinations add`), or see those there are (`clawhook destinations list`)".to_owned())
            }
            Self::Route { refused, .. } => refused.hint(),
            Self::Announce(error) => error.hint(),
            Self::Agent(error) => Some(error.hint()),
            Self::NotFound(_) => Some("list the jobs, disabled ones too, to see their ids".to_owned()),
            Self::NoUpstream(_) => Some("list the jobs, disabled ones too, to see their ids".to_owned()),
            Self::ManyUpstreams { .. } => Some("name the one that is meant by its id".to_owned()),
            Self::Circle(_) => Some("take one of these jobs out of another's `after`".to_owned()),
            Self::Awaited { .. } => Some("take it out of their `after` first".to_owned()),
            Self::Creation(_) => {
                Some("the hook is one of `cron.hooks.preCreate` in the gateway's configuration".to_owned())
            }
            Self::Changed { .. } => {
                Some("read the job again and repeat the edit on what it is now".to_owned())
            }
            Self::SystemOwned(_) => Some(
                "heartbeats come from `agents.defaults.heartbeat` and `agents.entries.<id>.heartbeat` of the configuration, \
                 hooks from `hooks`"
                    .to_owned(),
            ),
            Self::OfHook(_) => {
                Some("post to the hook, or have a request done once more with `clawhook hooks replay`".to_owned())
            }
            Self::Contended(_) => Some("try again".to_owned()),
            Self::Stopping => Some("try again when the gateway is back".to_owned()),
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }

    /// The field of the job that it is about.
    pub(crate) fn field(&self) -> Option<String> {
        match self {
            Self::Job(error) => definition_error_field(error),
            Self::Schedule(error) => Some(schedule_error_field(error)),
            Self::UsedUp { .. } => Some("schedule.at".to_owned()),
            Self::Webhook(_) => Some("delivery.to".to_owned()),
            Self::NoDestination(_) => Some("delivery.destination".to_owned()),
            Self::Route { field, .. } => Some((*field).to_owned()),
            Self::NoUpstream(_) | Self::ManyUpstreams { .. } | Self::Circle(_) => Some("after".to_owned()),
            Self::Announce(error) => error.field().map(str::to_owned),
            Self::Agent(error) => Some(error.field().to_owned()),
            _ => None,
        }
    }
}

pub(super) fn definition_error_field(error: &DefinitionError) -> Option<String> {
    let field = match error {
        DefinitionError::UnknownField { field, .. }
        | DefinitionError::NotServed { field }
        | DefinitionError::Missing { field }
        | DefinitionError::Type { field, .. }
        | DefinitionError::Invalid { field, .. }
        | DefinitionError::Url { field, .. } => field,
        DefinitionError::Pairing { .. } => return Some("sessionTarget".to_owned()),
    };
    (!field.is_empty()).then(|| field.clone())
}

fn schedule_error_field(error: &ScheduleError) -> String {
    let key = match error {
        ScheduleError::UnknownZone(_) => "tz",
        ScheduleError::Expression { .. } => "expr",
        ScheduleError::ZeroInterval => "everyMs",
        ScheduleError::TooLong { field, .. } => field,
        ScheduleError::AnchorOutOfRange(_) => "anchorMs",
        ScheduleError::InThePast { .. } | ScheduleError::TooFarAhead { .. } => "at",
        ScheduleError::NeverDue(_) => return "schedule".to_owned(),
    };
    format!("schedule.{key}")
}

impl Verbs {
    /// Reads, checks and stores a new job.
    pub(crate) async fn create_job(&self, given: Value) -> Result<SavedJob, JobVerbError> {
        let now = self.with.clock.now();
        let id = JobId::random();
        let names_delivery = JobDefinition::names_delivery(&given);
        let mut definition = JobDefinition::parse(given, now)?;
        self.resolve_upstreams(&mut definition).await?;
        if !names_delivery {
            self.announce_by_default(&mut definition).await?;
        }
        let timetable = check_new(&definition.schedule, &id, &self.with.host_zone, now)?;
        self.check_receivers(&definition).await?;
        self.with.agents.check(&definition.agent(), &definition)?;
        self.check_hooks(&definition).await?;
        let next_run_at =
            if definition.enabled { first_due(&definition.schedule, &timetable, now) } else { None };
        let state = JobState { next_run_at, ..JobState::default() };
        let job = Job { id, definition, created_at: now, updated_at: now, state };
        self.with.engine.ask_creation_gates(&job, None, CreationStage::Add).await?;
        let tells = self.with.engine.creation_tells(&job);
        self.with.store.insert_job_telling(job.clone(), tells).await?;
        self.with_upcoming(job).await
    }

    /// Edits a job. Where the caller says which revision it has read, a job of another revision stays as it is. One of the
    /// gateway's own can only be switched on and off.
    pub(crate) async fn edit_job(
        &self,
        id: &str,
        patch: Value,
        expected_revision: Option<&str>,
    ) -> Result<SavedJob, JobVerbError> {
        if !is_only_a_switch(&patch) {
            refuse_system_owned(&self.find_job(id).await?)?;
        }
        self.edit_any_job(id, patch, expected_revision).await
    }

    /// Edits a job, whosever it is.
    pub(super) async fn edit_any_job(
        &self,
        id: &str,
        patch: Value,
        expected_revision: Option<&str>,
    ) -> Result<SavedJob, JobVerbError> {
        for _ in 0..EDIT_ATTEMPTS {
            let job = self.find_job(id).await?;
            check_revision(&job, expected_revision)?;
            if let Some(job) = self.try_edit(job, patch.clone()).await? {
                return self.with_upcoming(job).await;
            }
        }
        Err(JobVerbError::Contended(job_id(id)?))
    }

    /// Has a job run when it is due, or no more.
    pub(crate) async fn set_enabled(&self, id: &str, enabled: bool) -> Result<SavedJob, JobVerbError> {
        self.edit_job(id, json!({ "enabled": enabled }), None).await
    }

    /// Removes a job. Its history stays, and what waits in the outbox is still delivered.
    pub(crate) async fn remove_job(&self, id: &str) -> Result<(), JobVerbError> {
        let job = self.find_job(id).await?;
        refuse_system_owned(&job)?;
        self.refuse_awaited(&job).await?;
        self.remove_any_job(id).await
    }

    /// Removes a job, whosever it is.
    pub(super) async fn remove_any_job(&self, id: &str) -> Result<(), JobVerbError> {
        for _ in 0..EDIT_ATTEMPTS {
            let now = self.with.clock.now();
            let job = self.find_job(id).await?;
            let Some(left) = self.leave(&job, "the job was removed before it was run", now).await? else {
                continue;
            };
            match self.with.store.remove_job(&job.id, left, now).await? {
                JobRemoved::Done => return Ok(()),
                JobRemoved::Changed => {}
                JobRemoved::NotFound => return Err(not_found(id)),
            }
        }
        Err(JobVerbError::Contended(job_id(id)?))
    }

    /// One job.
    pub(crate) async fn job(&self, id: &str) -> Result<SavedJob, JobVerbError> {
        let job = self.find_job(id).await?;
        let spending = self.job_spending(&job, self.timetable(&job).as_ref()).await?;
        Ok(SavedJob { spending, ..self.with_upcoming(job).await? })
    }

    /// A page of jobs, and with each that has a budget what of it is spent today.
    pub(crate) async fn list_jobs(&self, filter: JobFilter) -> Result<ListedJobs, JobVerbError> {
        let page = self.with.store.jobs(filter).await?;
        let mut budgets = Vec::with_capacity(page.jobs.len());
        for job in &page.jobs {
            budgets.push(self.budget_today(job).await?);
        }
        Ok(ListedJobs { page, budgets })
    }

    /// Runs a job now, enabled or not. Its schedule does not move.
    pub(crate) async fn run_job(&self, id: &str) -> Result<RunRequested, JobVerbError> {
        let job = self.find_job(id).await?;
        if matches!(job.definition.schedule, Schedule::Event { .. }) {
            return Err(JobVerbError::OfHook(job.id));
        }
        match self.with.engine.run_now(&job.id).await? {
            RunNow::Accepted(run) => Ok(RunRequested::Enqueued(run)),
            RunNow::AlreadyRunning(run) => Ok(RunRequested::AlreadyRunning(run)),
            RunNow::NotFound => Err(not_found(id)),
            RunNow::Stopping => Err(JobVerbError::Stopping),
        }
    }

    pub(super) async fn find_job(&self, id: &str) -> Result<Job, JobVerbError> {
        self.with.store.job(&job_id(id)?).await?.ok_or_else(|| not_found(id))
    }

    /// Edits the job as it was read; `None` where somebody else edited it since, or it was claimed.
    async fn try_edit(&self, job: Job, patch: Value) -> Result<Option<Job>, JobVerbError> {
        let now = self.with.clock.now();
        let switches_on = asks_to_switch_on(&patch) && !job.is_enabled();
        let switches_off = patch == json!({ "enabled": false });
        let mut after = job.definition.patched(patch, now)?;
        if after.after != job.definition.after {
            self.resolve_upstreams(&mut after).await?;
        }
        self.check_edit(&job.definition, &after, switches_on).await?;
        let next_run = self.next_after_edit(&job, &after, switches_on, now).await?;
        let edited = Job { definition: after.clone(), ..job.clone() };
        // To switch a job off must always be possible.
        let is_told = !after.is_system_owned() && !switches_off;
        if is_told {
            let before = Some(&job.definition);
            self.with.engine.ask_creation_gates(&edited, before, CreationStage::Edit).await?;
        }
        let tells = if is_told { self.with.engine.creation_tells(&edited) } else { Vec::new() };
        // To switch a job on again is to forgive it the failures that it was switched off for (contract §1.8).
        let left = match next_run {
            NextRun::Keep => Left::default(),
            NextRun::Set(_) => match self.leave(&job, why_left(&job, &after), now).await? {
                Some(left) => left,
                None => return Ok(None),
            },
        };
        let edit = JobEdit { before: job.definition, after, next_run, left, forgives: switches_on, tells };
        match self.with.store.update_job(&job.id, edit, now).await? {
            JobUpdated::Done(job) => Ok(Some(*job)),
            JobUpdated::Circle(way) => Err(JobVerbError::Circle(way)),
            JobUpdated::Changed => Ok(None),
            JobUpdated::NotFound => Err(not_found(job.id.as_str())),
        }
    }

    /// What becomes of the instant that a job waits for where its owner moves it: instants that had come and were not
    /// claimed are skipped. After a long standstill there may be more than one transaction should take; then some get
    /// their records here, as if they had been claimed, and there is none: the job is to be read again.
    async fn leave(&self, job: &Job, why: &str, now: UnixMs) -> Result<Option<Left>, JobVerbError> {
        let waited_for = job.state.next_run_at;
        let Passed { instants, next } = passed(self.timetable(job).as_ref(), waited_for, now);
        let skipped = |due_at| (due_at, OccurrenceOutcome::Skipped(why.to_owned()));
        let passed = instants.into_iter().map(skipped).collect();
        let (Some(due_at), Some(next)) = (waited_for, next) else {
            return Ok(Some(Left { waited_for, passed }));
        };
        let claim = Claim {
            job_id: job.id.clone(),
            due_at,
            open: job.state.open_runs,
            passed,
            runs: Vec::new(),
            next_run_at: Some(next),
            disables: None,
        };
        self.with.store.claim(vec![claim], now).await?;
        Ok(None)
    }

    /// Checks what an edit changes, and all of it where the edit switches the job on. A job that has become unfit
    /// through a change of the configuration can still be renamed and switched off.
    async fn check_edit(
        &self,
        before: &JobDefinition,
        after: &JobDefinition,
        switched_on: bool,
    ) -> Result<(), JobVerbError> {
        if switched_on || after.delivery != before.delivery || after.failure_alert != before.failure_alert {
            self.check_receivers(after).await?;
        }
        let asks_the_same = after.agent_id == before.agent_id
            && after.payload == before.payload
            && after.output_schema == before.output_schema
            && after.wake_mode == before.wake_mode;
        if switched_on || !asks_the_same {
            self.with.agents.check(&after.agent(), after)?;
        }
        if switched_on || after.hooks != before.hooks || after.agent_id != before.agent_id {
            self.check_hooks(after).await?;
        }
        Ok(())
    }

    /// The next instant after an edit: a new one where the schedule or the switch changed, else the one there is.
    async fn next_after_edit(
        &self,
        job: &Job,
        after: &JobDefinition,
        switched_on: bool,
        now: UnixMs,
    ) -> Result<NextRun, JobVerbError> {
        let before = &job.definition;
        let rescheduled = after.schedule != before.schedule;
        let stays_off = !after.enabled || (job.state.auto_disabled.is_some() && !switched_on);
        if stays_off && !rescheduled {
            return Ok(NextRun::Set(None));
        }
        if !switched_on && !rescheduled {
            let lacks_one = job.state.next_run_at.is_none();
            let following = if lacks_one { self.following(job, now) } else { None };
            return Ok(following.map_or(NextRun::Keep, |next| NextRun::Set(Some(next))));
        }
        let timetable = check_new(&after.schedule, &job.id, &self.with.host_zone, now)?;
        if stays_off {
            return Ok(NextRun::Set(None));
        }
        Ok(NextRun::Set(self.first_unrecorded(&job.id, &after.schedule, &timetable, now).await?))
    }

    /// The first instant of a new schedule that the job's ledger does not know yet. Instants up to the last record are
    /// over, even where the clock was set back since: the ledger would never let one of them run again.
    async fn first_unrecorded(
        &self,
        id: &JobId,
        schedule: &Schedule,
        timetable: &Timetable,
        now: UnixMs,
    ) -> Result<Option<UnixMs>, JobVerbError> {
        let last = self
            .with
            .store
            .occurrences(OccurrenceFilter::newest(id, 1))
            .await?
            .first()
            .map(|occurrence| occurrence.due_at);
        match (schedule, last) {
            (Schedule::At { at }, Some(last)) if *at <= last => Err(JobVerbError::UsedUp { at: *at, last }),
            (_, last) => Ok(first_due(schedule, timetable, last.map_or(now, |last| last.max(now)))),
        }
    }

    /// Refuses a receiver that nothing could be sent to, while somebody is looking (criterion: a route is resolved when
    /// the job is saved).
    async fn check_receivers(&self, definition: &JobDefinition) -> Result<(), JobVerbError> {
        self.check_announced(definition).await?;
        if let Some(url) = &definition.delivery.completion {
            self.with.guard.check_url(url)?;
        }
        for (field, target) in definition.named_targets() {
            let refused = match target {
                Target::Announce(place) => self.check_named_place(&place).err().map(JobVerbError::Announce),
                Target::Webhook(url) => self.with.guard.check_url(&url).err().map(JobVerbError::Webhook),
                Target::Destination(name) => match self.with.store.destination_named(&name).await? {
                    Some(_) => None,
                    None => Some(JobVerbError::NoDestination(name)),
                },
            };
            match refused {
                None => {}
                Some(refused) if field == "delivery" => return Err(refused),
                Some(refused) => return Err(JobVerbError::Route { field, refused: Box::new(refused) }),
            }
        }
        let quiet = definition.delivery.acknowledge.as_ref().and_then(|asked| asked.ask.quiet_hours.as_ref());
        if let Some(zone) = quiet.and_then(|quiet| quiet.zone.as_ref())
            && TimeZone::get(zone).is_err()
        {
            let why = format!("`{zone}` is not a time zone that this machine knows");
            let field = "delivery.acknowledge.quietHours.timezone";
            return Err(JobVerbError::Job(DefinitionError::invalid(field, why)));
        }
        Ok(())
    }

    async fn with_upcoming(&self, job: Job) -> Result<SavedJob, JobVerbError> {
        let route = self.route_of(&job.definition).await?;
        let timetable = self.timetable(&job);
        let following = |due: &UnixMs| timetable.as_ref()?.next_after(*due);
        let upcoming = std::iter::successors(job.state.next_run_at, following).take(UPCOMING).collect();
        Ok(SavedJob {
            route,
            host_time_zone: self.with.host_zone.iana_name().map(str::to_owned),
            upcoming,
            misfire: self.with.engine.misfire_of(&job.definition),
            overlap: self.with.engine.overlap_of(&job.definition),
            schedule: self.schedule_preview(&job, timetable.as_ref()),
            spending: JobSpending::default(),
            notes: self.notes(&job),
            job,
        })
    }

    /// What a person should know about a job that was just saved.
    fn notes(&self, job: &Job) -> Vec<String> {
        let mut notes = job.notes();
        notes.extend(job.definition.alert_note(&self.with.alerts.alerts));
        let agent = job.definition.agent();
        let is_left = matches!(job.definition.payload, Payload::SystemEvent { .. })
            && job.definition.wake_mode == WakeMode::NextHeartbeat;
        if is_left && self.with.engine.heartbeat_of(&agent).is_none() {
            let session = SessionRef::main(&agent).key;
            notes.push(format!(
                "the text waits for the next turn of {session}; no heartbeat is configured for the agent `{agent}`"
            ));
        }
        notes
    }

    fn schedule_preview(&self, job: &Job, timetable: Option<&Timetable>) -> SchedulePreview {
        let schedule = &job.definition.schedule;
        let host_zone = self.with.host_zone.iana_name();
        let zone_name = |zone: &TimeZone| zone.iana_name().map(str::to_owned);
        let window = match schedule {
            Schedule::Cron { expr, stagger_ms, .. } => {
                Duration::from_millis(stagger_ms.unwrap_or_else(|| default_stagger_ms(expr)))
            }
            Schedule::At { .. } | Schedule::Every { .. } | Schedule::Event { .. } => Duration::ZERO,
        };
        let stagger = timetable.filter(|_| !window.is_zero());
        SchedulePreview {
            text: describe_for(schedule, Some(&job.id), host_zone),
            time_zone: timetable.and_then(|timetable| zone_name(timetable.zone()?)),
            stagger: stagger.map(|timetable| (window, timetable.stagger_offset())),
        }
    }

    /// The next instant after `now` of a job that should have one and has none; a one-shot is used up.
    fn following(&self, job: &Job, now: UnixMs) -> Option<UnixMs> {
        let recurs = !job.definition.schedule.is_one_shot();
        self.timetable(job).filter(|_| recurs)?.next_after(now)
    }

    /// The due times of a stored job; none where its zone has vanished from the machine since it was saved.
    fn timetable(&self, job: &Job) -> Option<Timetable> {
        Timetable::new(&job.definition.schedule, &job.id, &self.with.host_zone).ok()
    }
}

/// The gateway's own jobs are the configuration's to change.
fn refuse_system_owned(job: &Job) -> Result<(), JobVerbError> {
    if job.definition.is_system_owned() { Err(JobVerbError::SystemOwned(job.id.clone())) } else { Ok(()) }
}

fn is_only_a_switch(patch: &Value) -> bool {
    patch.as_object().is_some_and(|patch| patch.keys().all(|key| key == "enabled"))
}

/// Whether a patch asks for the job to be run when due.
fn asks_to_switch_on(patch: &Value) -> bool {
    matches!(patch.get("enabled"), Some(Value::Bool(true))) || patch["enabled"] == "true"
}

/// Why instants are not run that had come before an edit.
fn why_left(job: &Job, after: &JobDefinition) -> &'static str {
    if job.is_enabled() && !after.enabled {
        "the job was disabled before it was run"
    } else {
        "the job was edited before it was run"
    }
}

/// The instant a job waits for first. A one-shot's may be over by a moment: it is due at once.
pub(super) fn first_due(schedule: &Schedule, timetable: &Timetable, after: UnixMs) -> Option<UnixMs> {
    match schedule {
        Schedule::At { at } => Some(*at),
        Schedule::Every { .. } | Schedule::Cron { .. } | Schedule::Event { .. } => {
            timetable.next_after(after)
        }
    }
}

fn check_revision(job: &Job, expected: Option<&str>) -> Result<(), JobVerbError> {
    let Some(expected) = expected else { return Ok(()) };
    let actual = job.definition.revision();
    if actual == expected {
        return Ok(());
    }
    Err(JobVerbError::Changed { expected: expected.to_owned(), actual })
}

/// The id, or that there is no job of such an id: what cannot be an id names no job.
pub(super) fn job_id(text: &str) -> Result<JobId, JobVerbError> {
    text.parse().map_err(|_| not_found(text))
}

fn not_found(id: &str) -> JobVerbError {
    JobVerbError::NotFound(shown(id))
}
