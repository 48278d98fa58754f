//! The embedded engine: SQLite in WAL mode, one writer that commits in groups, readers on connections of their own.
//!
//! A store belongs to one process: a lock beside the file keeps a second gateway out (invariant 2), and makes every
//! lease that a dead process left void at once.

mod alerts;
mod chains;
mod connection;
mod destinations;
mod event_log;
mod finish;
mod hook_calls;
mod hooks;
mod inline;
mod job_pages;
mod jobs;
mod ladders;
mod leases;
mod ledger;
mod lock;
mod notices;
mod outbox;
mod pieces;
mod readers;
mod replays;
mod retention;
mod rows;
mod runs;
mod schema;
mod session_pages;
mod sessions;
mod spending;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use clawhook_model::{
    AgentId, DeliveryId, Destination, DestinationDefinition, DestinationId, DestinationName, EventId,
    GatewayAlerts, HookCall, HookRequestId, Job, JobId, Lane, OwnerId, Replay, ReplayFilter, ReplayId, Route,
    RunId, SessionId, Spent, Standing, Target, TranscriptEntry, UnixMs,
};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use self::connection::{Connect, check, connect, connect_unsynced};
use self::inline::InlineWriter;
use self::lock::take_lock;
use self::readers::Readers;
use self::writer::{Durability, Shared, Writer, WriterThread};
use crate::{
    AcceptHook, Acknowledged, AlertCounts, AlertFilter, AlertPage, AlertRecord, Ask, AskAnswer, Backfill,
    Backfilled, BegunHookCall, Claim, Claimed, Counts, Decider, DeferRun, DeliveryCancelled, DeliveryFilter,
    DeliveryPage, DeliveryReplayed, DeliveryRetried, DeliveryWithAttempts, DestinationFilter,
    DestinationPage, DestinationRemoved, DestinationUpdated, DestinationWithQueue, EndHookCall, EventFilter,
    EventPage, Faults, FinishRun, GatewayNotice, HookAccepted, HookRequest, HookRequestFilter, HookState,
    InterruptedRun, JobEdit, JobFilter, JobPage, JobRemoved, JobUpdated, KeptHook, LaneWake, LateResult,
    LeaseBatch, LeaseRequest, Left, NewDestination, NewHookCall, NewReplay, Occurrence, OccurrenceFilter,
    OpenQueues, OrderHead, Overdue, PieceArrived, PruneCursor, Pruned, PrunedRows, QueueNews, QueuedRun,
    RecentUsage, Reclaimed, RefusedLoop, ReplayAdvanced, ReplayCancelled, ReplayListFilter, ReplayPage,
    ReplayWithOutcomes, Retention, RunFilter, RunFinished, RunPage, RunRecord, RunReplayed, RunStarted,
    RunningReplay, SessionFilter, SessionPage, SessionRecord, SessionRemoved, SettleAttempt, Settled,
    SpokenFilter, SpokenPage, StartRun, Store, StoreError, StoreSize, StoredEvent, SyntheticAlert,
    SystemEvent, Topic, UsageFilter, UsageReport,
};

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    // The order is the order of dropping: the writer ends before the lock is given up.
    writer: Writer,
    readers: Readers,
    shared: Arc<Shared>,
    owner: OwnerId,
    _lock: File,
}

impl SqliteStore {
    /// Opens the store at `path`, making it where there is none, and takes its lock. `holder` is what a second
    /// gateway is told about this one.
    pub fn open(path: &Path, holder: &str, now: UnixMs) -> Result<Self, StoreError> {
        Self::open_within(path, holder, now, None)
    }

    /// As [`SqliteStore::open`], with a bound on the file's size in pages of 4 KiB; beyond it the store is full, as if
    /// the disk were.
    pub fn open_within(
        path: &Path,
        holder: &str,
        now: UnixMs,
        most_pages: Option<u32>,
    ) -> Result<Self, StoreError> {
        let (lock, conn) = Self::prepare(path, holder, now, connect)?;
        if let Some(most) = most_pages {
            conn.pragma_update(None, "max_page_count", most).map_err(fault)?;
        }
        let shared = Arc::new(Shared::default());
        let thread = WriterThread::start(conn, shared.clone())
            .map_err(|error| StoreError::Open { path: path.to_owned(), why: error.to_string() })?;
        Ok(Self {
            writer: Writer::Thread(thread),
            readers: Readers::new(path.to_owned(), connect, None),
            shared,
            owner: OwnerId::new(now),
            _lock: lock,
        })
    }

    /// As [`SqliteStore::open`], with neither threads nor syncs: whoever calls an operation does its work, and `faults`
    /// says what befalls it. It is for simulations, which must come out the same each time; nothing in it survives
    /// a power cut.
    pub fn open_inline(
        path: &Path,
        holder: &str,
        now: UnixMs,
        faults: Arc<dyn Faults>,
    ) -> Result<Self, StoreError> {
        let (lock, conn) = Self::prepare(path, holder, now, connect_unsynced)?;
        let shared = Arc::new(Shared::default());
        Ok(Self {
            writer: Writer::Inline(InlineWriter::new(conn, shared.clone(), faults.clone())),
            readers: Readers::new(path.to_owned(), connect_unsynced, Some(faults)),
            shared,
            owner: OwnerId::new(now),
            _lock: lock,
        })
    }

    /// Takes the lock, brings the file to the newest schema and takes back what a dead process held.
    fn prepare(
        path: &Path,
        holder: &str,
        now: UnixMs,
        connect: Connect,
    ) -> Result<(File, Connection), StoreError> {
        let lock = take_lock(path, holder)?;
        let mut conn = connect(path).map_err(|error| opening(path, error))?;
        check(&conn, path)?;
        // It holds for a file that is made now: space that rows leave can be given back to the disk.
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(|error| opening(path, error))?;
        conn.pragma_update(None, "journal_mode", "WAL").map_err(|error| opening(path, error))?;
        // The log is folded back in larger steps than by default, because each fold syncs the whole file.
        conn.pragma_update(None, "wal_autocheckpoint", 4000).map_err(fault)?;
        conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024).map_err(fault)?;
        schema::migrate(&mut conn, path)?;
        // Whoever held a lease is dead, or the lock would not be ours; this comes before anybody can take a new one.
        let tx = conn.unchecked_transaction().map_err(fault)?;
        leases::void_all(&tx, now)?;
        tx.commit().map_err(fault)?;
        Ok((lock, conn))
    }

    async fn write<T, F>(&self, name: &'static str, apply: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection, &mut writer::Raised) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.write(name, Durability::Synced, apply).await
    }

    /// Whether everything that is done must come out the same each time.
    fn is_simulated(&self) -> bool {
        matches!(self.writer, Writer::Inline(_))
    }
}

/// What was done, and how long that took; no time at all in a simulation.
fn measured<T>(
    is_simulated: bool,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<(T, Duration), StoreError> {
    let begun = Instant::now();
    let done = work()?;
    Ok((done, if is_simulated { Duration::ZERO } else { begun.elapsed() }))
}

#[async_trait]
impl Store for SqliteStore {
    fn subscribe(&self, topic: Topic) -> watch::Receiver<u64> {
        self.shared.topics.subscribe(topic)
    }

    fn fault(&self) -> Option<StoreError> {
        self.shared.fault()
    }

    async fn insert_job_telling(&self, job: Job, tells: Vec<NewHookCall>) -> Result<(), StoreError> {
        self.write("insert_job", move |conn, raised| jobs::insert(conn, raised, &job, &tells)).await
    }

    async fn update_job(&self, id: &JobId, edit: JobEdit, now: UnixMs) -> Result<JobUpdated, StoreError> {
        let id = id.clone();
        self.write("update_job", move |conn, raised| jobs::update(conn, raised, &id, &edit, now)).await
    }

    async fn remove_job(&self, id: &JobId, left: Left, now: UnixMs) -> Result<JobRemoved, StoreError> {
        let id = id.clone();
        self.write("remove_job", move |conn, raised| jobs::remove(conn, raised, &id, &left, now)).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let id = id.clone();
        self.readers.read(move |conn| jobs::get(conn, &id)).await
    }

    async fn job_ids(&self, prefix: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let prefix = prefix.to_owned();
        self.readers.read(move |conn| jobs::ids(conn, &prefix, limit)).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<JobPage, StoreError> {
        if job_pages::is_quick(&filter) {
            self.readers.read(move |conn| job_pages::page(conn, &filter)).await
        } else {
            self.readers.search(move |conn| job_pages::page(conn, &filter)).await
        }
    }

    async fn due_jobs(&self, lane: Lane, now: UnixMs, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.readers.read(move |conn| jobs::due(conn, lane, now, limit)).await
    }

    async fn next_wake(&self, lane: Lane) -> Result<LaneWake, StoreError> {
        self.readers.read(move |conn| jobs::next_wake(conn, lane)).await
    }

    async fn claim(&self, claims: Vec<Claim>, now: UnixMs) -> Result<Vec<Claimed>, StoreError> {
        let owner = self.owner;
        self.write("claim", move |conn, raised| ledger::claim(conn, raised, owner, &claims, now)).await
    }

    async fn occurrences(&self, filter: OccurrenceFilter) -> Result<Vec<Occurrence>, StoreError> {
        self.readers.read(move |conn| ledger::occurrences(conn, &filter)).await
    }

    async fn backfill(&self, backfill: Backfill, now: UnixMs) -> Result<Backfilled, StoreError> {
        self.write("backfill", move |conn, raised| ledger::backfill(conn, raised, &backfill, now)).await
    }

    async fn overdue(&self, since: UnixMs) -> Result<Overdue, StoreError> {
        self.readers.read(move |conn| ledger::overdue(conn, since)).await
    }

    async fn scheduled_jobs(&self, cursor: u64, limit: usize) -> Result<Vec<(u64, Job)>, StoreError> {
        self.readers.read(move |conn| jobs::scheduled(conn, cursor, limit)).await
    }

    async fn correct_next_run(
        &self,
        job: &JobId,
        from: Option<UnixMs>,
        to: Option<UnixMs>,
    ) -> Result<bool, StoreError> {
        let job = job.clone();
        self.write("correct_next_run", move |conn, raised| {
            jobs::correct_next_run(conn, raised, &job, from, to)
        })
        .await
    }

    async fn tell_of_gateway(&self, notice: GatewayNotice, now: UnixMs) -> Result<(), StoreError> {
        self.write("tell_of_gateway", move |conn, raised| {
            notices::publish_of_gateway(conn, raised, &notice, now)
        })
        .await
    }

    async fn tell_of_loop(&self, refused: RefusedLoop, now: UnixMs) -> Result<(), StoreError> {
        self.write("tell_of_loop", move |conn, raised| {
            let RefusedLoop { job_id, job_name, agent_id, broken } = &refused;
            notices::publish_loop(conn, raised, notices::About { job_id, job_name, agent_id }, broken, now)
        })
        .await
    }

    async fn begin_gate(
        &self,
        run: RunId,
        job: &JobId,
        call: NewHookCall,
        now: UnixMs,
    ) -> Result<u64, StoreError> {
        let (owner, job) = (self.owner, job.clone());
        self.write("begin_gate", move |conn, _| hook_calls::begin_gate(conn, owner, (run, &job), &call, now))
            .await
    }

    async fn claim_hook_calls(&self, limit: usize, now: UnixMs) -> Result<Vec<BegunHookCall>, StoreError> {
        let owner = self.owner;
        self.write("claim_hook_calls", move |conn, _| hook_calls::claim(conn, owner, limit, now)).await
    }

    async fn end_hook_call(&self, end: EndHookCall) -> Result<bool, StoreError> {
        let owner = self.owner;
        self.write("end_hook_call", move |conn, raised| {
            raised.raise(Topic::Settled);
            hook_calls::end(conn, owner, &end)
        })
        .await
    }

    async fn hook_calls(&self, run: RunId) -> Result<Vec<HookCall>, StoreError> {
        self.readers.read(move |conn| hook_calls::of_run(conn, run)).await
    }

    async fn creation_calls(&self, job: &JobId, limit: usize) -> Result<Vec<HookCall>, StoreError> {
        let job = job.clone();
        self.readers.read(move |conn| hook_calls::of_creation(conn, &job, limit)).await
    }

    async fn has_hook_calls(&self) -> Result<bool, StoreError> {
        self.readers.read(hook_calls::any_pending).await
    }

    async fn followers(&self, job: &JobId) -> Result<Vec<JobId>, StoreError> {
        let job = job.clone();
        self.readers.read(move |conn| chains::followers(conn, &job)).await
    }

    async fn start_run(&self, start: StartRun, now: UnixMs) -> Result<RunStarted, StoreError> {
        let owner = self.owner;
        self.write("start_run", move |conn, raised| runs::start(conn, raised, owner, &start, now)).await
    }

    async fn claim_queued(
        &self,
        lane: Lane,
        limit: usize,
        now: UnixMs,
    ) -> Result<Vec<QueuedRun>, StoreError> {
        let owner = self.owner;
        self.write("claim_queued", move |conn, raised| {
            runs::claim_queued(conn, raised, owner, lane, limit, now)
        })
        .await
    }

    async fn finish_run(&self, finish: FinishRun) -> Result<RunFinished, StoreError> {
        let owner = self.owner;
        self.write("finish_run", move |conn, raised| finish::finish(conn, raised, owner, &finish)).await
    }

    async fn defer_run(&self, defer: DeferRun, now: UnixMs) -> Result<RunFinished, StoreError> {
        let owner = self.owner;
        self.write("defer_run", move |conn, raised| runs::defer(conn, raised, owner, &defer, now)).await
    }

    async fn take_queued(&self, run: RunId, now: UnixMs) -> Result<Option<QueuedRun>, StoreError> {
        let owner = self.owner;
        self.write("take_queued", move |conn, _| runs::take(conn, owner, run, now)).await
    }

    async fn record_late(&self, late: LateResult) -> Result<bool, StoreError> {
        self.write("record_late", move |conn, raised| finish::record_late(conn, raised, &late)).await
    }

    async fn recover(&self) -> Result<Vec<InterruptedRun>, StoreError> {
        let owner = self.owner;
        self.write("recover", move |conn, _| {
            hook_calls::interrupt(conn, owner)?;
            runs::adopt(conn, owner)
        })
        .await
    }

    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        self.readers.read(move |conn| runs::get(conn, id)).await
    }

    async fn runs(&self, filter: RunFilter) -> Result<RunPage, StoreError> {
        self.readers.read(move |conn| runs::page(conn, &filter)).await
    }

    async fn run_event(&self, run: RunId) -> Result<Option<StoredEvent>, StoreError> {
        self.readers.read(move |conn| runs::event(conn, run)).await
    }

    async fn event_page(&self, filter: EventFilter) -> Result<EventPage, StoreError> {
        self.readers.read(move |conn| event_log::page(conn, &filter)).await
    }

    async fn transcript(&self, run: RunId) -> Result<Vec<TranscriptEntry>, StoreError> {
        self.readers.read(move |conn| sessions::transcript(conn, run)).await
    }

    async fn keep_hook(&self, hook: KeptHook, now: UnixMs) -> Result<(), StoreError> {
        self.write("keep_hook", move |conn, raised| hooks::keep(conn, raised, &hook, now)).await
    }

    async fn hooks(&self) -> Result<Vec<HookState>, StoreError> {
        self.readers.read(hooks::states).await
    }

    async fn pause_hook(&self, job: &JobId, paused: bool, now: UnixMs) -> Result<bool, StoreError> {
        let job = job.clone();
        self.write("pause_hook", move |conn, raised| hooks::pause(conn, raised, &job, paused, now)).await
    }

    async fn accept_hook(&self, accept: AcceptHook, now: UnixMs) -> Result<HookAccepted, StoreError> {
        self.write("accept_hook", move |conn, raised| hooks::accept(conn, raised, &accept, now)).await
    }

    async fn hook_requests(&self, filter: HookRequestFilter) -> Result<Vec<HookRequest>, StoreError> {
        self.readers.read(move |conn| hooks::requests::page(conn, &filter)).await
    }

    async fn hook_request(&self, id: HookRequestId) -> Result<Option<(HookRequest, Bytes)>, StoreError> {
        self.readers.read(move |conn| hooks::requests::get(conn, id)).await
    }

    async fn hook_request_of(&self, run: RunId) -> Result<Option<HookRequest>, StoreError> {
        self.readers.read(move |conn| hooks::requests::of_run(conn, run)).await
    }

    async fn history(
        &self,
        session: SessionId,
        entries: usize,
        bytes: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        self.readers.read(move |conn| sessions::history(conn, session, entries, bytes)).await
    }

    async fn system_events(&self, session: SessionId, limit: usize) -> Result<Vec<SystemEvent>, StoreError> {
        self.readers.read(move |conn| sessions::waiting(conn, session, limit)).await
    }

    async fn sessions(&self, filter: SessionFilter) -> Result<SessionPage, StoreError> {
        self.readers.search(move |conn| session_pages::page(conn, &filter)).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.readers.read(move |conn| session_pages::get(conn, id)).await
    }

    async fn session_transcript(&self, filter: SpokenFilter) -> Result<SpokenPage, StoreError> {
        self.readers.read(move |conn| session_pages::spoken(conn, &filter)).await
    }

    async fn remove_session(&self, id: SessionId) -> Result<SessionRemoved, StoreError> {
        self.write("remove_session", move |conn, _| sessions::remove(conn, id)).await
    }

    async fn spent(&self, day: i32, job: Option<&JobId>) -> Result<Spent, StoreError> {
        let job = job.cloned();
        self.readers.read(move |conn| spending::spent(conn, day, job.as_ref())).await
    }

    async fn usage(&self, filter: UsageFilter) -> Result<UsageReport, StoreError> {
        self.readers.read(move |conn| spending::usage(conn, &filter)).await
    }

    async fn recent_usage(&self, job: &JobId, most: usize) -> Result<RecentUsage, StoreError> {
        let job = job.clone();
        self.readers.read(move |conn| spending::recent(conn, &job, most)).await
    }

    async fn prune(&self, rules: &Retention, cursor: PruneCursor, now: UnixMs) -> Result<Pruned, StoreError> {
        let (looked_by, is_simulated) = (rules.clone(), self.is_simulated());
        let look = move |conn: &Connection| {
            measured(is_simulated, || retention::find(conn, &looked_by, cursor, now))
        };
        let (found, looked_for) = self.readers.search(look).await?;
        let retention::Found { work, then, held } = found;
        let Some(work) = work else {
            return Ok(Pruned { rows: PrunedRows::default(), then, took: looked_for, held });
        };
        let rules = rules.clone();
        let forget = move |conn: &Connection, _: &mut writer::Raised| {
            measured(is_simulated, || retention::remove(conn, &work, &rules, now))
        };
        let (rows, took) = self.writer.write("prune", Durability::Committed, forget).await?;
        Ok(Pruned { rows, then, took: looked_for + took, held })
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        self.readers.read(retention::size).await
    }

    async fn reclaim(&self, bytes: u64) -> Result<Reclaimed, StoreError> {
        let is_simulated = self.is_simulated();
        let reclaim = move |conn: &Connection, _: &mut writer::Raised| {
            let before = retention::size(conn)?;
            measured(is_simulated, || Ok((before, retention::reclaim(conn, bytes)?)))
        };
        let ((before, after), took) = self.writer.write("reclaim", Durability::Committed, reclaim).await?;
        Ok(Reclaimed { bytes: before.bytes.saturating_sub(after.bytes), free: after.free, took })
    }

    async fn fold_log(&self) -> Result<(), StoreError> {
        self.readers.fold_log().await
    }

    async fn open_queues(&self, now: UnixMs) -> Result<OpenQueues, StoreError> {
        self.write("open_queues", move |conn, _| leases::open_queues(conn, now)).await
    }

    fn take_queue_news(&self) -> Vec<QueueNews> {
        self.shared.take_queue_news()
    }

    fn take_changed_destinations(&self) -> Vec<DestinationId> {
        self.shared.take_changed()
    }

    async fn lease_deliveries(&self, request: LeaseRequest) -> Result<LeaseBatch, StoreError> {
        let lease = move |conn: &Connection, _: &mut writer::Raised| leases::lease(conn, &request);
        self.writer.write("lease_deliveries", Durability::Committed, lease).await
    }

    async fn settle_attempt(&self, settle: SettleAttempt) -> Result<Settled, StoreError> {
        self.write("settle_attempt", move |conn, raised| outbox::settle(conn, raised, &settle)).await
    }

    async fn note_piece(&self, arrived: PieceArrived) -> Result<Settled, StoreError> {
        self.write("note_piece", move |conn, _| pieces::note(conn, arrived)).await
    }

    async fn last_route(&self, agent: &AgentId) -> Result<Option<Route>, StoreError> {
        let agent = agent.clone();
        self.readers.read(move |conn| pieces::last_route(conn, &agent)).await
    }

    async fn retry_delivery(&self, id: DeliveryId, now: UnixMs) -> Result<DeliveryRetried, StoreError> {
        self.write("retry_delivery", move |conn, raised| outbox::retry(conn, raised, id, now)).await
    }

    async fn cancel_delivery(&self, id: DeliveryId, now: UnixMs) -> Result<DeliveryCancelled, StoreError> {
        self.write("cancel_delivery", move |conn, raised| outbox::cancel(conn, raised, id, now)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryWithAttempts>, StoreError> {
        self.readers.read(move |conn| outbox::get(conn, id)).await
    }

    async fn deliveries(&self, filter: DeliveryFilter) -> Result<DeliveryPage, StoreError> {
        self.readers.read(move |conn| outbox::page(conn, &filter)).await
    }

    fn set_alerts(&self, alerts: GatewayAlerts) {
        self.shared.set_alerts(alerts);
    }

    async fn alerts(&self, filter: AlertFilter) -> Result<AlertPage, StoreError> {
        self.readers.search(move |conn| alerts::page(conn, &filter)).await
    }

    async fn alert(&self, event: EventId) -> Result<Option<AlertRecord>, StoreError> {
        self.readers.read(move |conn| alerts::get(conn, event)).await
    }

    async fn alert_counts(&self, since: Option<UnixMs>) -> Result<AlertCounts, StoreError> {
        self.readers.read(move |conn| alerts::counts(conn, since)).await
    }

    async fn raise_synthetic(&self, alert: SyntheticAlert, now: UnixMs) -> Result<EventId, StoreError> {
        self.write("raise_synthetic", move |conn, raised| alerts::synthetic(conn, raised, &alert, now)).await
    }

    async fn last_drill(&self) -> Result<Option<AlertRecord>, StoreError> {
        self.readers.read(alerts::last_drill).await
    }

    async fn acknowledge(&self, id: DeliveryId, by: String, now: UnixMs) -> Result<Acknowledged, StoreError> {
        self.write("acknowledge", move |conn, raised| ladders::acknowledge(conn, raised, id, &by, now)).await
    }

    async fn next_ask(&self) -> Result<Option<UnixMs>, StoreError> {
        self.readers.read(ladders::next_ask).await
    }

    async fn due_asks(&self, now: UnixMs, limit: usize) -> Result<Vec<Ask>, StoreError> {
        self.readers.read(move |conn| ladders::due_asks(conn, now, limit)).await
    }

    async fn answer_ask(&self, ask: Ask, answer: AskAnswer, now: UnixMs) -> Result<bool, StoreError> {
        self.write("answer_ask", move |conn, raised| ladders::answer_ask(conn, raised, &ask, answer, now))
            .await
    }

    async fn replay_delivery(
        &self,
        id: DeliveryId,
        to: Option<Target>,
        now: UnixMs,
    ) -> Result<DeliveryReplayed, StoreError> {
        self.write("replay_delivery", move |conn, raised| {
            replays::replay_delivery(conn, raised, id, to.as_ref(), now)
        })
        .await
    }

    async fn replay_run(
        &self,
        run: RunId,
        to: Option<Target>,
        now: UnixMs,
    ) -> Result<RunReplayed, StoreError> {
        // Finding it may take a while, and the writer has better things to do.
        let event = self.readers.read(move |conn| replays::event_of(conn, run)).await?;
        self.write("replay_run", move |conn, raised| {
            replays::replay_run(conn, raised, run, event, to.as_ref(), now)
        })
        .await
    }

    async fn count_replayable(&self, filter: ReplayFilter, now: UnixMs) -> Result<u64, StoreError> {
        self.readers.read(move |conn| Ok(replays::find(conn, &filter, now)?.matched)).await
    }

    async fn start_replay(&self, new: NewReplay) -> Result<Option<Replay>, StoreError> {
        // So may counting.
        let (filter, now) = (new.filter.clone(), new.now);
        let found = self.readers.read(move |conn| replays::find(conn, &filter, now)).await?;
        self.write("start_replay", move |conn, raised| replays::start(conn, raised, &new, found)).await
    }

    async fn advance_replay(
        &self,
        id: ReplayId,
        most: usize,
        now: UnixMs,
    ) -> Result<ReplayAdvanced, StoreError> {
        self.write("advance_replay", move |conn, raised| replays::advance(conn, raised, id, most, now)).await
    }

    async fn cancel_replay(&self, id: ReplayId, now: UnixMs) -> Result<ReplayCancelled, StoreError> {
        self.write("cancel_replay", move |conn, raised| replays::cancel(conn, raised, id, now)).await
    }

    async fn running_replays(&self) -> Result<Vec<RunningReplay>, StoreError> {
        self.readers.read(replays::running).await
    }

    async fn replay(&self, id: ReplayId) -> Result<Option<ReplayWithOutcomes>, StoreError> {
        self.readers.read(move |conn| replays::get_with_outcomes(conn, id)).await
    }

    async fn replays(&self, filter: ReplayListFilter) -> Result<ReplayPage, StoreError> {
        self.readers.read(move |conn| replays::page(conn, &filter)).await
    }

    async fn insert_destination(&self, new: NewDestination) -> Result<Option<Destination>, StoreError> {
        self.write("insert_destination", move |conn, raised| destinations::insert(conn, raised, &new)).await
    }

    async fn update_destination(
        &self,
        id: DestinationId,
        revision: u64,
        definition: DestinationDefinition,
        declared_in: Option<String>,
        now: UnixMs,
    ) -> Result<DestinationUpdated, StoreError> {
        self.write("update_destination", move |conn, raised| {
            destinations::update(conn, raised, id, revision, &definition, declared_in.as_deref(), now)
        })
        .await
    }

    async fn remove_destination(
        &self,
        id: DestinationId,
        now: UnixMs,
    ) -> Result<DestinationRemoved, StoreError> {
        self.write("remove_destination", move |conn, raised| destinations::remove(conn, raised, id, now))
            .await
    }

    async fn set_standing(
        &self,
        id: DestinationId,
        standing: Standing,
        decider: Decider,
        now: UnixMs,
    ) -> Result<Option<Destination>, StoreError> {
        self.write("set_standing", move |conn, raised| {
            destinations::set_standing(conn, raised, id, &standing, decider, now)
        })
        .await
    }

    async fn note_failing(&self, id: DestinationId, since: Option<UnixMs>) -> Result<(), StoreError> {
        self.write("note_failing", move |conn, _| destinations::note_failing(conn, id, since)).await
    }

    async fn destination(&self, id: DestinationId) -> Result<Option<DestinationWithQueue>, StoreError> {
        self.readers.read(move |conn| destinations::get(conn, id)).await
    }

    async fn destination_named(
        &self,
        name: &DestinationName,
    ) -> Result<Option<DestinationWithQueue>, StoreError> {
        let name = name.clone();
        self.readers.read(move |conn| destinations::named(conn, &name)).await
    }

    async fn jobs_naming(&self, name: &DestinationName, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let name = name.clone();
        self.readers.read(move |conn| jobs::naming(conn, &name, limit)).await
    }

    async fn order_heads(&self, id: DestinationId, limit: usize) -> Result<Vec<OrderHead>, StoreError> {
        self.readers.read(move |conn| destinations::order_heads(conn, id, limit)).await
    }

    async fn destination_id(&self, target: &Target) -> Result<Option<DestinationId>, StoreError> {
        let target = target.clone();
        self.readers.read(move |conn| destinations::id_of(conn, &target)).await
    }

    async fn destinations(&self, filter: DestinationFilter) -> Result<DestinationPage, StoreError> {
        self.readers.read(move |conn| destinations::page(conn, &filter)).await
    }

    async fn counts(&self, now: UnixMs) -> Result<Counts, StoreError> {
        self.readers.read(move |conn| outbox::counts(conn, now)).await
    }
}

fn opening(path: &Path, error: rusqlite::Error) -> StoreError {
    match fault(error) {
        StoreError::Engine(why) => StoreError::Open { path: path.to_owned(), why },
        other => other,
    }
}

/// Sorts what SQLite reports into what an operator can act on.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`, which hands the error over")]
fn fault(error: rusqlite::Error) -> StoreError {
    match &error {
        rusqlite::Error::SqliteFailure(code, _) => match code.code {
            ErrorCode::DiskFull => StoreError::Full(error.to_string()),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StoreError::ReadOnly(error.to_string()),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Engine(error.to_string()),
        },
        _ => StoreError::Engine(error.to_string()),
    }
}
