//! What happens now.
//!
//! The cast: the [`Engine`] is the task that sleeps until a job is due, claims the occurrence, and sets a run going.
//! Its [`EngineHandle`] lets a door ask for a run by hand. What becomes of an instant is the `schedule` crate's pure
//! decision (`claims`); how a turn runs is the `agent` crate's business; what must last goes to the store (`runner`). The
//! [`Replayer`] is a task of its own: it queues once more what was carried before, and talks to the store alone. The
//! [`Watchdog`] is another: it raises [`Alarms`] where what should happen by the clock does not; and the [`Audit`] mends
//! what jobs wait for. The [`Reaper`] forgets what is over. The [`Asker`] asks again for what nobody has acknowledged, and the [`Drill`] tries
//! the way of alerts. The [`HookRunner`] does what follows runs.
//!
//! Who owns what: the engine alone writes the ledger and ends runs. An instant has its record as soon as it is due; its
//! run is queued in the store where no slot (`cron.maxConcurrentRuns`) is free. A run holds a slot until its result is
//! committed, and not a moment longer: delivery never holds one. A system event needs no slot, because nothing outside
//! the gateway takes part in it.
//!
//! A run that does not end when it is told to, at its time limit or because another takes its place, is given up: it
//! ends as an error, its slot is free, and whatever it still brings is recorded beside it (`late`).
//!
//! The order that makes it safe: the claim is durable before the work begins (so no instant runs twice), and the
//! result is durable before anybody is told (so nothing is lost). While the store cannot be written, a finished run
//! waits with its result in hand and tries again, and nothing new is claimed.
//!
//! Not guaranteed: that a run which was under way when the process was killed is repeated. Nobody can know what it
//! had done, so it ends as an error of class `interrupted`, and its event says so.
//!
//! This crate knows no HTTP, no SQL, and not how a delivery is sent.

mod alarms;
mod asker;
mod audit;
mod chains;
mod claims;
mod control;
mod drill;
mod failpoint;
mod heartbeat;
mod hook_note;
mod hooks;
mod late;
mod live;
mod presence;
mod reaper;
mod replayer;
mod route;
mod runner;
mod sessions;
mod slots;
mod tally;
mod timer;
mod turns;
mod watchdog;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clawhook_agent::Runtime;
use clawhook_clock::Clock;
use clawhook_model::{
    AgentId, Budget, DEFAULT_MAX_HOPS, FailureRules, GlobalHooks, InstanceId, JobDefinition, JobId, Lane,
    Misfire, Overlap, Routes, RunId, RunState, SessionId, UnixMs,
};
use clawhook_store::{Backfill, Backfilled, RunStarted, StartRun, Store, StoreError};
use jiff::tz::TimeZone;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use alarms::{Alarm, AlarmKind, Alarms};
pub use asker::Asker;
pub use audit::{Audit, AuditOptions};
pub use drill::Drill;
pub use heartbeat::{ASK, ActiveHours, HeartbeatOptions};
pub use hooks::{CreationRefused, HookRunner, WebhookAnswer, WebhookCaller, WebhookCalls};
pub use live::Follow;
pub use presence::CatchUpPace;
pub use reaper::{PassReport, Reaper, ReaperHandle, ReaperOptions, ReaperReport};
pub use replayer::Replayer;
pub use tally::Tally;
pub use watchdog::{Watchdog, WatchdogHandle, WatchdogOptions};

use crate::control::UnderWay;
use crate::presence::Presence;
use crate::runner::Begun;
use crate::sessions::TurnLocks;
use crate::slots::Slots;
use crate::tally::Counted;

/// Why a run was cancelled that a person ended.
const BY_HAND: &str = "cron: job run was cancelled by hand";

/// How often a run is looked for that is between two states, and how long after each look.
const LOOKS: usize = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How the engine works.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How many runs go on at once; system events do not count.
    pub max_concurrent_runs: usize,
    /// How many runs that inbound hooks asked for go on at once, beside those.
    pub max_concurrent_hook_runs: usize,
    /// Whether due jobs are run. Without it only runs that are asked for by hand happen.
    pub run_jobs_on_schedule: bool,
    /// How long runs may go on after the shutdown began, before they are ended.
    pub shutdown_grace: Duration,
    /// How much longer than its limit, or after it was cancelled, a turn may take before it is given up. The runtime ends
    /// a turn when it should; this is for a runtime that does not.
    pub patience: Duration,
    /// What becomes of instants at which nobody was there, where a job does not say.
    pub misfire: Misfire,
    /// What becomes of instants while a run is not over, where a job does not say.
    pub overlap: Overlap,
    /// How what was missed is caught up.
    pub catch_up: CatchUpPace,
    /// What follows from failures.
    pub failure: FailureRules,
    /// How much all jobs together may spend in a day of the host's zone.
    pub budget: Budget,
    /// How much of a session that is kept its next turn is told: entries, and bytes of text.
    pub history: (usize, usize),
    /// How long a turn of an agent may take where the job does not say; none is no limit. Of an agent that is not here it is
    /// as long as the payload says.
    pub turn_limits: BTreeMap<AgentId, Option<Duration>>,
    /// The agents that look after their main sessions by themselves.
    pub heartbeats: BTreeMap<AgentId, HeartbeatOptions>,
    /// The hooks that the configuration has for many jobs.
    pub hooks: GlobalHooks,
    /// How many hooks that follow runs go on at once.
    pub hooks_at_once: usize,
    /// Who calls the webhooks of gates.
    pub webhooks: WebhookCalls,
    /// How this gateway is called in trails.
    pub instance: InstanceId,
    /// How many hops work may be away from its beginning.
    pub max_hops: u32,
    /// Where can be announced to.
    pub routes: Routes,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            max_concurrent_runs: 8,
            max_concurrent_hook_runs: 4,
            run_jobs_on_schedule: true,
            shutdown_grace: Duration::from_secs(20),
            patience: Duration::from_secs(10),
            misfire: Misfire::default(),
            overlap: Overlap::default(),
            catch_up: CatchUpPace::default(),
            failure: FailureRules::default(),
            budget: Budget::default(),
            history: (200, 128 * 1024),
            turn_limits: BTreeMap::new(),
            heartbeats: BTreeMap::new(),
            hooks: GlobalHooks::default(),
            hooks_at_once: 4,
            webhooks: WebhookCalls::default(),
            instance: InstanceId::default(),
            max_hops: DEFAULT_MAX_HOPS,
            routes: Routes::default(),
        }
    }
}

/// The task that runs what is due. A clone goes on where the one before it fell.
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
}

/// What a door holds of the engine.
#[derive(Clone)]
pub struct EngineHandle {
    core: Arc<Core>,
}

/// What came of asking for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNow {
    /// It is durable, and begins as soon as a slot is free.
    Accepted(RunId),
    /// The job has this run queued or under way.
    AlreadyRunning(RunId),
    /// There is no such job.
    NotFound,
    /// The gateway is shutting down.
    Stopping,
}

/// What came of asking for instants of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackfillNow {
    /// It is durable, or would be.
    Done {
        /// The instants that are queued.
        queued: Vec<UnixMs>,
        /// The instants that were run before, and are not run again.
        already_ran: Vec<UnixMs>,
    },
    /// More runs of the job would wait than may; nothing was done.
    TooMany {
        /// How many are not over already.
        open: u32,
    },
    /// There is no such job.
    NotFound,
    /// The gateway is shutting down.
    Stopping,
}

/// What came of cancelling a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunCancelled {
    /// It is told to end, or ended before it began.
    Done,
    /// It is over already.
    AlreadyOver,
    /// There is no such run.
    NotFound,
}

/// What the engine's parts share.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) host_zone: TimeZone,
    pub(crate) options: EngineOptions,
    pub(crate) slots: Slots,
    pub(crate) failure: Arc<FailureRules>,
    pub(crate) under_way: UnderWay,
    pub(crate) turns: TurnLocks,
    /// Set once nothing more is begun.
    pub(crate) stopping: AtomicBool,
    /// Ends the runs that are still under way when the grace is over.
    pub(crate) end_runs: CancellationToken,
    /// Ends the listening to runs that were given up.
    pub(crate) end_listening: CancellationToken,
    pub(crate) runs: TaskTracker,
    /// What came of runs, for whoever watches.
    pub(crate) counted: Counted,
    /// How many runs fell over a fault of ours.
    pub(crate) fallen: AtomicUsize,
    /// How many results wait for the store to take them.
    pub(crate) unwritten: AtomicUsize,
    /// When the timer looked last, in milliseconds since the epoch.
    pub(crate) last_look: AtomicI64,
    /// Since when somebody has been there, kept for a timer that is begun again.
    pub(crate) presence: Mutex<Option<Presence>>,
    /// Notified when the instants that jobs wait for are to be compared with their schedules.
    pub(crate) schedules_suspect: Notify,
    problem: Mutex<Option<String>>,
}

impl Engine {
    /// An engine and its handle. Nothing happens before [`Engine::run`], except runs that are asked for by hand.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        runtime: Arc<dyn Runtime>,
        host_zone: TimeZone,
        options: EngineOptions,
    ) -> (Self, EngineHandle) {
        let clock_now = clock.now();
        let core = Arc::new(Core {
            slots: Slots::new(options.max_concurrent_runs, options.max_concurrent_hook_runs),
            failure: Arc::new(options.failure.clone()),
            under_way: UnderWay::default(),
            turns: TurnLocks::default(),
            store,
            clock,
            runtime,
            host_zone,
            options,
            stopping: AtomicBool::new(false),
            end_runs: CancellationToken::new(),
            end_listening: CancellationToken::new(),
            runs: TaskTracker::new(),
            counted: Counted::default(),
            fallen: AtomicUsize::new(0),
            unwritten: AtomicUsize::new(0),
            last_look: AtomicI64::new(clock_now.as_millis()),
            presence: Mutex::new(None),
            schedules_suspect: Notify::new(),
            problem: Mutex::new(None),
        });
        (Self { core: core.clone() }, EngineHandle { core })
    }

    /// Takes over what a dead process left, then runs what is due until `shutdown`; then lets runs finish within the
    /// grace, ends the rest, and returns once every result is committed.
    pub async fn run(self, shutdown: CancellationToken) {
        timer::run(&self.core, &shutdown).await;
    }
}

impl EngineHandle {
    /// Runs a job now, whatever its schedule says; the schedule does not move.
    pub async fn run_now(&self, job: &JobId) -> Result<RunNow, StoreError> {
        let core = &self.core;
        if core.stopping.load(Ordering::SeqCst) {
            return Ok(RunNow::Stopping);
        }
        let held = core.slots.try_hold_each();
        let now = core.clock.now();
        let run_id = RunId::new(now);
        let start = StartRun {
            job_id: job.clone(),
            run_id,
            session_id: SessionId::random(),
            held: held.iter().map(|slot| slot.lane).collect(),
            overlap: core.options.overlap,
        };
        match core.store.start_run(start, now).await? {
            RunStarted::Begun(run, job) => {
                let slot = held.into_iter().find(|slot| slot.lane == run.lane);
                runner::begin(core, Begun::at_once(*run, *job, now), slot);
                Ok(RunNow::Accepted(run_id))
            }
            RunStarted::Queued(lane) => {
                core.slots.note_queue(lane, true);
                core.slots.nudge();
                Ok(RunNow::Accepted(run_id))
            }
            RunStarted::AlreadyRunning(active) => Ok(RunNow::AlreadyRunning(active)),
            RunStarted::NotFound => Ok(RunNow::NotFound),
        }
    }

    /// Runs instants of the past after all, but for those that were run; with `dry_run` it is only told what would be
    /// done. They wait their turn by the job's overlap policy.
    pub async fn backfill(
        &self,
        job: &JobId,
        instants: &[UnixMs],
        dry_run: bool,
    ) -> Result<BackfillNow, StoreError> {
        let core = &self.core;
        if core.stopping.load(Ordering::SeqCst) {
            return Ok(BackfillNow::Stopping);
        }
        let now = core.clock.now();
        let with_ids = |instant: &UnixMs| (*instant, RunId::new(now), SessionId::random());
        let backfill = Backfill {
            job_id: job.clone(),
            instants: instants.iter().map(with_ids).collect(),
            overlap: core.options.overlap,
            dry_run,
        };
        Ok(match core.store.backfill(backfill, now).await? {
            Backfilled::Done { queued, already_ran } => {
                if !dry_run && !queued.is_empty() {
                    Lane::ALL.into_iter().for_each(|lane| core.slots.note_queue(lane, true));
                    core.slots.nudge();
                }
                BackfillNow::Done { queued, already_ran }
            }
            Backfilled::TooMany { open } => BackfillNow::TooMany { open },
            Backfilled::NotFound => BackfillNow::NotFound,
        })
    }

    /// Ends a run: one that is under way is told to, and given up where it does not; one that waits never begins.
    pub async fn cancel_run(&self, run: RunId) -> Result<RunCancelled, StoreError> {
        let core = &self.core;
        let mut begins = self.begins();
        for _ in 0..LOOKS {
            begins.mark_unchanged();
            if core.under_way.cancel_run(run, BY_HAND) {
                return Ok(RunCancelled::Done);
            }
            if let Some(queued) = core.store.take_queued(run, core.clock.now()).await? {
                runner::end_cancelled(core, timer::begun(queued.run, queued.job), BY_HAND);
                return Ok(RunCancelled::Done);
            }
            match core.store.run(run).await? {
                None => return Ok(RunCancelled::NotFound),
                Some(record) if record.run.progress.state() == RunState::Finished => {
                    return Ok(RunCancelled::AlreadyOver);
                }
                // Its claim is written, and its task begins; or its turn is over, and what came of it is being written.
                Some(_) => drop(tokio::time::timeout(BETWEEN_LOOKS, begins.changed()).await),
            }
        }
        Ok(RunCancelled::Done)
    }

    /// The day that `at` belongs to in the gateway's zone, in days since 1970-01-01: what budgets and sums go by.
    pub fn day(&self, at: UnixMs) -> i32 {
        turns::day(&self.core, at)
    }

    /// How much all jobs together may spend in a day.
    pub fn budget(&self) -> Budget {
        self.core.options.budget
    }

    /// What came of runs since the process began.
    pub fn tally(&self) -> Tally {
        self.core.counted.now()
    }

    /// How many slots are free at the moment.
    pub fn free_slots(&self) -> usize {
        self.core.slots.free(Lane::Slot)
    }

    /// Joins those who watch a run; none where no turn of it goes on.
    pub fn follow(&self, run: RunId) -> Option<Follow> {
        self.core.under_way.follow(run)
    }

    /// Tells whenever a run begins, so that whoever wants to follow one that waits can look again.
    pub fn begins(&self) -> watch::Receiver<()> {
        self.core.under_way.begins()
    }

    /// The heartbeat of an agent; none where it looks after its main session only when it is told to.
    pub fn heartbeat_of(&self, agent: &AgentId) -> Option<&HeartbeatOptions> {
        self.core.options.heartbeats.get(agent)
    }

    /// What becomes of a job's instants at which nobody was there: what it says, over what the gateway says.
    pub fn misfire_of(&self, job: &JobDefinition) -> Misfire {
        job.misfire.over(self.core.options.misfire)
    }

    /// What becomes of a job's instants while a run of it is not over: what it says, or else the gateway.
    pub fn overlap_of(&self, job: &JobDefinition) -> Overlap {
        job.overlap.unwrap_or(self.core.options.overlap)
    }

    /// How many hops work may be away from its beginning.
    pub fn max_hops(&self) -> u32 {
        self.core.options.max_hops
    }

    /// This gateway, as trails name it.
    pub fn instance(&self) -> &InstanceId {
        &self.core.options.instance
    }

    /// How many slots there are for runs.
    pub fn run_slots(&self) -> usize {
        self.core.options.max_concurrent_runs
    }

    /// What keeps the engine from its work at the moment, in words; empty while all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> =
            self.core.problem.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        let unwritten = self.core.unwritten.load(Ordering::SeqCst);
        if unwritten > 0 {
            problems.push(format!("{unwritten} finished runs wait for the store to take their results"));
        }
        problems
    }
}

impl Core {
    /// Notes that the timer looked.
    pub(crate) fn looked(&self, now: UnixMs) {
        self.last_look.store(now.as_millis(), Ordering::SeqCst);
    }

    /// When the timer looked last.
    pub(crate) fn last_look(&self) -> UnixMs {
        UnixMs::from_millis(self.last_look.load(Ordering::SeqCst))
    }

    /// Since when somebody has been there: since before a timer fell, where this one takes its place.
    pub(crate) fn presence(&self) -> Presence {
        let kept = *self.presence.lock().unwrap_or_else(PoisonError::into_inner);
        kept.unwrap_or_else(|| Presence::beginning(self.clock.now()))
    }

    /// Keeps since when somebody has been there.
    pub(crate) fn keep_presence(&self, presence: Presence) {
        *self.presence.lock().unwrap_or_else(PoisonError::into_inner) = Some(presence);
    }

    /// Notes what keeps the engine from its work, or that nothing does.
    pub(crate) fn note_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}
