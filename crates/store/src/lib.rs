//! What is durably so.
//!
//! The cast: the [`Store`] is the one place where jobs, the ledger of occurrences, runs, events, deliveries and
//! attempts are kept. Its verbs are the domain's, and each is one transaction: claiming an occurrence writes its
//! record, starts its run and moves the job's next instant together; finishing a run writes the run, its event and
//! all its deliveries together. A verb that returns has been committed and synced, except where it says otherwise.
//!
//! Who owns what: the engine writes the ledger and runs; the delivery service writes deliveries and attempts; the
//! doors write jobs. What one of them must tell another flows through here: a commit that gives others something to
//! do raises a [`Topic`], and whoever [subscribed](Store::subscribe) looks for work.
//!
//! Every transition is a compare-and-set. A caller whose claim or lease is gone learns so from the result
//! ([`Claimed::Lost`], [`RunFinished::Fenced`], [`Settled::LeaseLost`]) and changes nothing.
//!
//! Not guaranteed: that a lease survives its owner. On the embedded store a lease is void as soon as its owner's
//! process is gone, and taking one is not synced to the disk: after a power cut the delivery is simply free again.
//!
//! This crate knows no HTTP, no agents and no schedules' maths.

mod alerts;
mod destinations;
mod error;
mod event_log;
mod failpoint;
mod faults;
mod gateway_notice;
mod hooks;
mod job_hooks;
mod jobs;
mod ledger;
mod outbox;
mod replays;
mod retention;
mod runs;
mod sessions;
mod spending;
pub mod sqlite;

use async_trait::async_trait;
use bytes::Bytes;
use clawhook_model::{
    AgentId, DeliveryId, Destination, DestinationDefinition, DestinationId, DestinationName, EventId,
    GatewayAlerts, HookCall, HookRequestId, Job, JobId, Lane, Replay, ReplayFilter, ReplayId, Route, RunId,
    SessionId, Spent, Standing, Target, TranscriptEntry, UnixMs,
};
use tokio::sync::watch;

pub use alerts::{
    Acknowledged, AlertCounts, AlertFilter, AlertPage, AlertRecord, Ask, AskAnswer, SyntheticAlert,
};
pub use destinations::{
    Decider, DestinationFilter, DestinationPage, DestinationRemoved, DestinationUpdated,
    DestinationWithQueue, NewDestination, OrderHead, QueueState,
};
pub use error::StoreError;
pub use event_log::{EventFilter, EventGap, EventPage, EventStart, LoggedEvent};
pub use faults::{Fate, Faults};
pub use gateway_notice::{GatewayNotice, RefusedLoop};
pub use hooks::{
    AcceptHook, HookAccepted, HookAsk, HookEvent, HookKey, HookOutcome, HookRequest, HookRequestFilter,
    HookRun, HookState, HookWake, KEY_LIFE, KeptHook, NewHookRequest,
};
pub use job_hooks::{BegunHookCall, ChainRules, EndHookCall, HookSpending, NewHookCall};
pub use jobs::{
    JobCursor, JobEdit, JobFilter, JobOrder, JobPage, JobRemoved, JobSort, JobTotal, JobUpdated, Left,
    NextRun, NoJobCursor, PageStart,
};
pub use ledger::{
    Backfill, Backfilled, Claim, Claimed, LaneWake, Occurrence, OccurrenceFilter, OccurrenceOutcome, Overdue,
    PlannedRun, RunStart,
};
pub use outbox::{
    Counts, DeliveryCancelled, DeliveryFilter, DeliveryPage, DeliveryRetried, DeliveryWithAttempts,
    LeaseBatch, LeaseRequest, LeaseShare, LeasedDelivery, OpenQueues, PieceArrived, QueueClass, QueueNews,
    SettleAttempt, Settled, Spends, Verdict,
};
pub use replays::{
    DeadCounts, DeliveryReplayed, NewReplay, NotSentAgain, ReplayAdvanced, ReplayCancelled, ReplayListFilter,
    ReplayOutcomes, ReplayPage, ReplayWithOutcomes, RunReplayed, RunningReplay, SentAgain,
};
pub use retention::{HeldSpace, PruneCursor, PruneNext, Pruned, PrunedRows, Reclaimed, Retention, StoreSize};
pub use runs::{
    AfterRun, DeferRun, FinishRun, InterruptedRun, LateEvent, LateResult, LeftWithSessions, NewDelivery,
    NewRun, QueuedRun, RunFilter, RunFinished, RunPage, RunRecord, RunStarted, StartRun, StoredEvent,
    SystemEvent,
};
pub use sessions::{
    NoSessionCursor, SessionCursor, SessionFilter, SessionPage, SessionRecord, SessionRemoved, Spoken,
    SpokenFilter, SpokenPage,
};
pub use spending::{RecentUsage, UsageBy, UsageFilter, UsageKey, UsageReport, Used};

/// What a commit can give others to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A job's next instant may have changed, or a run was queued.
    Schedule,
    /// A delivery is to be sent, or a destination has changed.
    Outbox,
    /// A run ended or a delivery was settled.
    Settled,
    /// A replay was begun or ended.
    Replays,
    /// An event was written.
    Log,
    /// Somebody is to be asked again at some time, or no more.
    Asks,
    /// A call of a hook is to be done.
    Hooks,
}

/// The durable state of one gateway, or of several that share it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// A counter that moves whenever a commit raises `topic`.
    fn subscribe(&self, topic: Topic) -> watch::Receiver<u64>;

    /// The fault of the last write, if it failed; `None` while all is well.
    fn fault(&self) -> Option<StoreError>;

    // Jobs.

    /// Adds a job.
    async fn insert_job(&self, job: Job) -> Result<(), StoreError> {
        self.insert_job_telling(job, Vec::new()).await
    }

    /// Adds a job, and writes which hooks are told of it.
    async fn insert_job_telling(&self, job: Job, tells: Vec<NewHookCall>) -> Result<(), StoreError>;

    /// Replaces a job's definition. Where it is disabled by that, its runs that wait are ended, but for those that were
    /// asked for by hand. Instants that an edit passes over get their records in the same transaction.
    async fn update_job(&self, id: &JobId, edit: JobEdit, now: UnixMs) -> Result<JobUpdated, StoreError>;

    /// Removes a job; its history, what waits in the outbox, and a run that is under way stay. Instants that are passed
    /// over get their records in the same transaction.
    async fn remove_job(&self, id: &JobId, left: Left, now: UnixMs) -> Result<JobRemoved, StoreError>;

    /// One job.
    async fn job(&self, id: &JobId) -> Result<Option<Job>, StoreError>;

    /// The ids of jobs that begin with `prefix`, in order.
    async fn job_ids(&self, prefix: &str, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// A page of jobs.
    async fn jobs(&self, filter: JobFilter) -> Result<JobPage, StoreError>;

    // The ledger.

    /// The enabled jobs of `lane` that are due at `now`, the longest waiting first.
    async fn due_jobs(&self, lane: Lane, now: UnixMs, limit: usize) -> Result<Vec<Job>, StoreError>;

    /// When something of `lane` is to be done next.
    async fn next_wake(&self, lane: Lane) -> Result<LaneWake, StoreError>;

    /// Writes what was decided for due occurrences, each if its job still waits for the very instant.
    async fn claim(&self, claims: Vec<Claim>, now: UnixMs) -> Result<Vec<Claimed>, StoreError>;

    /// A job's occurrences, the newest first.
    async fn occurrences(&self, filter: OccurrenceFilter) -> Result<Vec<Occurrence>, StoreError>;

    /// Queues runs for instants of the past that were not run.
    async fn backfill(&self, backfill: Backfill, now: UnixMs) -> Result<Backfilled, StoreError>;

    /// What has waited since before `since`: an instant for its record, a run for a slot.
    async fn overdue(&self, since: UnixMs) -> Result<Overdue, StoreError>;

    /// Jobs that should be due at some time, in an order of the store's own, after the job at `cursor`; with each its
    /// cursor.
    async fn scheduled_jobs(&self, cursor: u64, limit: usize) -> Result<Vec<(u64, Job)>, StoreError>;

    /// Has a job wait for another instant, if it still waits for `from`: its schedule says otherwise since the zone data
    /// or the clock was mended. False where it waits for another.
    async fn correct_next_run(
        &self,
        job: &JobId,
        from: Option<UnixMs>,
        to: Option<UnixMs>,
    ) -> Result<bool, StoreError>;

    /// Tells those who subscribed what is wrong with the gateway itself, or is so no more.
    async fn tell_of_gateway(&self, notice: GatewayNotice, now: UnixMs) -> Result<(), StoreError>;

    /// Counts that work of a job, or for one, was refused because it was too many hops away from its beginning, and tells
    /// those who subscribed.
    async fn tell_of_loop(&self, refused: RefusedLoop, now: UnixMs) -> Result<(), StoreError>;

    // What happens around runs.

    /// Writes that a gate of a run is asked; gives the call.
    async fn begin_gate(
        &self,
        run: RunId,
        job: &JobId,
        call: NewHookCall,
        now: UnixMs,
    ) -> Result<u64, StoreError>;

    /// Begins calls of hooks that wait, the oldest first.
    async fn claim_hook_calls(&self, limit: usize, now: UnixMs) -> Result<Vec<BegunHookCall>, StoreError>;

    /// Ends a call of a hook that this process began. False where it is not its own, or over already.
    async fn end_hook_call(&self, end: EndHookCall) -> Result<bool, StoreError>;

    /// The calls of hooks around a run, in their order.
    async fn hook_calls(&self, run: RunId) -> Result<Vec<HookCall>, StoreError>;

    /// The calls of hooks that were told when a job was made, the last first.
    async fn creation_calls(&self, job: &JobId, limit: usize) -> Result<Vec<HookCall>, StoreError>;

    /// Whether calls of hooks wait.
    async fn has_hook_calls(&self) -> Result<bool, StoreError>;

    /// The jobs that begin when a job has ended.
    async fn followers(&self, job: &JobId) -> Result<Vec<JobId>, StoreError>;

    // Runs.

    /// Adds a run that was asked for by hand: begun at once where the caller holds a slot, else queued.
    async fn start_run(&self, start: StartRun, now: UnixMs) -> Result<RunStarted, StoreError>;

    /// Begins queued runs of `lane` that are ready, the longest waiting first.
    async fn claim_queued(&self, lane: Lane, limit: usize, now: UnixMs)
    -> Result<Vec<QueuedRun>, StoreError>;

    /// Ends a run: its outcome, its event, its deliveries, its transcript, and what follows for its job (backoff, another
    /// try, the run that waits for it) become durable together.
    async fn finish_run(&self, finish: FinishRun) -> Result<RunFinished, StoreError>;

    /// Puts a run that is under way back into the queue, with its identity and its place in the ledger: it was asked to
    /// wait, and has done nothing yet.
    async fn defer_run(&self, defer: DeferRun, now: UnixMs) -> Result<RunFinished, StoreError>;

    /// Begins a queued run, whatever it waits for, in order to end it. None where it is not queued.
    async fn take_queued(&self, run: RunId, now: UnixMs) -> Result<Option<QueuedRun>, StoreError>;

    /// Records a result with the run that had been given up before it came. False where it has one.
    async fn record_late(&self, late: LateResult) -> Result<bool, StoreError>;

    /// Makes this process the owner of the runs that dead ones had begun, and returns them, to be finished.
    async fn recover(&self) -> Result<Vec<InterruptedRun>, StoreError>;

    /// One run.
    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError>;

    /// A page of runs, the newest first.
    async fn runs(&self, filter: RunFilter) -> Result<RunPage, StoreError>;

    /// The event of a run that has finished.
    async fn run_event(&self, run: RunId) -> Result<Option<StoredEvent>, StoreError>;

    /// What was said in a run.
    async fn transcript(&self, run: RunId) -> Result<Vec<TranscriptEntry>, StoreError>;

    // Inbound hooks.

    /// Keeps a hook as the configuration has it: its job is added where there is none, else it gets the new definition, and
    /// stays switched off where a person did that.
    async fn keep_hook(&self, hook: KeptHook, now: UnixMs) -> Result<(), StoreError>;

    /// How the hooks stand, in the order of their jobs.
    async fn hooks(&self) -> Result<Vec<HookState>, StoreError>;

    /// Has nothing more of what a hook accepts begin, or lets it begin again. False where there is no such hook.
    async fn pause_hook(&self, job: &JobId, paused: bool, now: UnixMs) -> Result<bool, StoreError>;

    /// Accepts a request to a hook: the request, its key and all that it asks for become durable together. One that was
    /// made before is answered as it was then.
    async fn accept_hook(&self, accept: AcceptHook, now: UnixMs) -> Result<HookAccepted, StoreError>;

    /// A page of requests.
    async fn hook_requests(&self, filter: HookRequestFilter) -> Result<Vec<HookRequest>, StoreError>;

    /// One request, and its bytes.
    async fn hook_request(&self, id: HookRequestId) -> Result<Option<(HookRequest, Bytes)>, StoreError>;

    /// The request that asked for a run.
    async fn hook_request_of(&self, run: RunId) -> Result<Option<HookRequest>, StoreError>;

    /// A stretch of the log of events: what fits the filter, in the order in which it was written.
    async fn event_page(&self, filter: EventFilter) -> Result<EventPage, StoreError>;

    // Sessions and money.

    /// What the next turn of a session that is kept is told: the end of what was said in it, the oldest first, in so many
    /// entries and bytes of text at most. A run's part is told whole or not at all; where the last one alone is more than
    /// that, what was spoken in it without tools, as far as it goes. What was only thought is left out.
    async fn history(
        &self,
        session: SessionId,
        entries: usize,
        bytes: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError>;

    /// The texts that wait for a turn of a session, the oldest first.
    async fn system_events(&self, session: SessionId, limit: usize) -> Result<Vec<SystemEvent>, StoreError>;

    /// A page of sessions, the newest first.
    async fn sessions(&self, filter: SessionFilter) -> Result<SessionPage, StoreError>;

    /// One session.
    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError>;

    /// A part of what was said in a session; empty where there is none.
    async fn session_transcript(&self, filter: SpokenFilter) -> Result<SpokenPage, StoreError>;

    /// Removes a session in which no run is under way, with what was said and what waits in it. One that is kept begins
    /// anew with its next run.
    async fn remove_session(&self, id: SessionId) -> Result<SessionRemoved, StoreError>;

    /// What was spent on a day: by one job, or in all.
    async fn spent(&self, day: i32, job: Option<&JobId>) -> Result<Spent, StoreError>;

    /// What was used in a stretch of days, and by whom. It outlives the runs and their jobs.
    async fn usage(&self, filter: UsageFilter) -> Result<UsageReport, StoreError>;

    /// What the last runs of a job used that used tokens, `most` of them.
    async fn recent_usage(&self, job: &JobId, most: usize) -> Result<RecentUsage, StoreError>;

    // Retention.

    /// Takes one step of a pass through the store: forgets a bounded part of what the rules do not keep, in one
    /// transaction that is committed and not synced. What is not over is kept, whatever the rules say: runs that have not
    /// ended, what belongs to a delivery that is not settled or died lately, what a replay still has to look at, and the
    /// last run and the last record of a job. No instant whose record is forgotten is ever claimed again.
    async fn prune(&self, rules: &Retention, cursor: PruneCursor, now: UnixMs) -> Result<Pruned, StoreError>;

    /// The room that the store takes.
    async fn size(&self) -> Result<StoreSize, StoreError>;

    /// Cuts free room off the store's end, about `bytes` of it at most. The disk has it back once the log is folded.
    async fn reclaim(&self, bytes: u64) -> Result<Reclaimed, StoreError>;

    /// Folds the log of changes into the store's file, as far as nobody still reads what was there before.
    async fn fold_log(&self) -> Result<(), StoreError>;

    // The outbox.

    /// Voids the leases that have ended, and tells what waits.
    async fn open_queues(&self, now: UnixMs) -> Result<OpenQueues, StoreError>;

    /// Takes what commits have told of queues since this was last called: each that got something, with its earliest.
    fn take_queue_news(&self) -> Vec<QueueNews>;

    /// Takes the destinations that commits have changed since this was last called: defined, edited, halted, resumed.
    fn take_changed_destinations(&self) -> Vec<DestinationId>;

    /// Leases what is due in the queues that are asked, the longest waiting first. The leases are committed, but not
    /// synced. A destination that is halted gives nothing, except to a probe.
    async fn lease_deliveries(&self, request: LeaseRequest) -> Result<LeaseBatch, StoreError>;

    /// Records an attempt and what follows from it, if the lease still holds.
    async fn settle_attempt(&self, settle: SettleAttempt) -> Result<Settled, StoreError>;

    /// Notes that a part of a message has arrived, if the lease still holds, so that no attempt sends it again.
    async fn note_piece(&self, arrived: PieceArrived) -> Result<Settled, StoreError>;

    /// Where something was last announced for an agent.
    async fn last_route(&self, agent: &AgentId) -> Result<Option<Route>, StoreError>;

    /// Makes a delivery that is not delivered due, with its whole retry schedule before it: at once where it waits, and
    /// in its place where its destination keeps an order and it was settled.
    async fn retry_delivery(&self, id: DeliveryId, now: UnixMs) -> Result<DeliveryRetried, StoreError>;

    /// Ends a delivery that waits.
    async fn cancel_delivery(&self, id: DeliveryId, now: UnixMs) -> Result<DeliveryCancelled, StoreError>;

    /// One delivery with its attempts.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryWithAttempts>, StoreError>;

    /// A page of deliveries, the newest first.
    async fn deliveries(&self, filter: DeliveryFilter) -> Result<DeliveryPage, StoreError>;

    // Alerts and acknowledgements.

    /// Takes what the gateway says of alerts; until then it says nothing. Whether trouble is told is decided by it in the
    /// transactions that write the trouble.
    fn set_alerts(&self, alerts: GatewayAlerts);

    /// A page of alerts, the newest first.
    async fn alerts(&self, filter: AlertFilter) -> Result<AlertPage, StoreError>;

    /// One alert.
    async fn alert(&self, event: EventId) -> Result<Option<AlertRecord>, StoreError>;

    /// How the alerts that are kept have fared, or those of them since an instant.
    async fn alert_counts(&self, since: Option<UnixMs>) -> Result<AlertCounts, StoreError>;

    /// Sends an alert that tells of nothing: each target of a test gets it, a drill goes up its ladder. It counts for no
    /// job.
    async fn raise_synthetic(&self, alert: SyntheticAlert, now: UnixMs) -> Result<EventId, StoreError>;

    /// The drill that was begun last.
    async fn last_drill(&self) -> Result<Option<AlertRecord>, StoreError>;

    /// Somebody acknowledges the event of a delivery; whoever was asked for it is asked no more.
    async fn acknowledge(&self, id: DeliveryId, by: String, now: UnixMs) -> Result<Acknowledged, StoreError>;

    /// When somebody is to be asked again next.
    async fn next_ask(&self) -> Result<Option<UnixMs>, StoreError>;

    /// What is to be asked again by now, the longest waiting first.
    async fn due_asks(&self, now: UnixMs, limit: usize) -> Result<Vec<Ask>, StoreError>;

    /// Sends again what was not acknowledged, to the same rung or to the next, or has it wait. False where it was
    /// acknowledged in the meantime.
    async fn answer_ask(&self, ask: Ask, answer: AskAnswer, now: UnixMs) -> Result<bool, StoreError>;

    // Replays.

    /// Has the event of a delivery sent once more: to its own destination, or to another. A delivery that is dead or
    /// cancelled is itself due again; one that has arrived stays so, and another one is made beside it.
    async fn replay_delivery(
        &self,
        id: DeliveryId,
        to: Option<Target>,
        now: UnixMs,
    ) -> Result<DeliveryReplayed, StoreError>;

    /// Has the event of a run sent once more: to all destinations that its job asked for, or to another alone. The run
    /// itself is not repeated (invariant 8).
    async fn replay_run(
        &self,
        run: RunId,
        to: Option<Target>,
        now: UnixMs,
    ) -> Result<RunReplayed, StoreError>;

    /// How many deliveries a replay that were begun now would find.
    async fn count_replayable(&self, filter: ReplayFilter, now: UnixMs) -> Result<u64, StoreError>;

    /// Begins a replay of what matches now; what comes about later is no part of it. None where it is to go to a
    /// destination that there is not.
    async fn start_replay(&self, new: NewReplay) -> Result<Option<Replay>, StoreError>;

    /// Queues the next deliveries of a replay, `most` at most, and moves its cursor past them, in one transaction: after
    /// a crash it goes on with the very next one. It looks at a bounded stretch of the outbox, so it may queue fewer.
    async fn advance_replay(
        &self,
        id: ReplayId,
        most: usize,
        now: UnixMs,
    ) -> Result<ReplayAdvanced, StoreError>;

    /// Ends a replay; what it has queued is still sent.
    async fn cancel_replay(&self, id: ReplayId, now: UnixMs) -> Result<ReplayCancelled, StoreError>;

    /// The replays that go on, the oldest first.
    async fn running_replays(&self) -> Result<Vec<RunningReplay>, StoreError>;

    /// One replay.
    async fn replay(&self, id: ReplayId) -> Result<Option<ReplayWithOutcomes>, StoreError>;

    /// A page of replays, the newest first.
    async fn replays(&self, filter: ReplayListFilter) -> Result<ReplayPage, StoreError>;

    // Destinations.

    /// Adds a named destination, if the name is free.
    async fn insert_destination(&self, new: NewDestination) -> Result<Option<Destination>, StoreError>;

    /// Replaces a named destination's definition and where it is declared, if it still has `revision`.
    async fn update_destination(
        &self,
        id: DestinationId,
        revision: u64,
        definition: DestinationDefinition,
        declared_in: Option<String>,
        now: UnixMs,
    ) -> Result<DestinationUpdated, StoreError>;

    /// Removes a named destination for which nothing waits and that no job names; its history stays.
    async fn remove_destination(
        &self,
        id: DestinationId,
        now: UnixMs,
    ) -> Result<DestinationRemoved, StoreError>;

    /// Halts a destination or resumes it, unless that is not the decider's to do; what waits for it is kept. Gives the
    /// destination as it is then.
    async fn set_standing(
        &self,
        id: DestinationId,
        standing: Standing,
        decider: Decider,
        now: UnixMs,
    ) -> Result<Option<Destination>, StoreError>;

    /// Notes since when no attempt at a destination has succeeded, or that one has.
    async fn note_failing(&self, id: DestinationId, since: Option<UnixMs>) -> Result<(), StoreError>;

    /// One destination.
    async fn destination(&self, id: DestinationId) -> Result<Option<DestinationWithQueue>, StoreError>;

    /// The named destination of this name.
    async fn destination_named(
        &self,
        name: &DestinationName,
    ) -> Result<Option<DestinationWithQueue>, StoreError>;

    /// The jobs that name this destination, enabled or not, by their ids.
    async fn jobs_naming(&self, name: &DestinationName, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// The deliveries of a destination that others of their order wait for, the longest waiting first.
    async fn order_heads(&self, id: DestinationId, limit: usize) -> Result<Vec<OrderHead>, StoreError>;

    /// The destination that this target is, or was before it was removed.
    async fn destination_id(&self, target: &Target) -> Result<Option<DestinationId>, StoreError>;

    /// A page of destinations, the named ones first.
    async fn destinations(&self, filter: DestinationFilter) -> Result<DestinationPage, StoreError>;

    /// How much of what there is.
    async fn counts(&self, now: UnixMs) -> Result<Counts, StoreError>;
}
