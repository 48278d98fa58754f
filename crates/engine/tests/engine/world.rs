//! What the stories need: lives of a gateway on one store, and a runtime that does as it is told.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clawhook_agent::{LivePiece, Message, Runtime, Turn, TurnResult, Work};
use clawhook_clock::{Clock, ManualClock};
use clawhook_engine::{Engine, EngineHandle, EngineOptions, HookRunner};
use clawhook_model::{
    Diagnostic, Diagnostics, EntryDetail, ErrorReason, HookCallState, Job, JobDefinition, JobId, JobState,
    Role, RunId, RunOutcome, RunProgress, RunStatus, SessionRef, Severity, TranscriptEntry, UnixMs, Usage,
    Usd,
};
use clawhook_schedule::Timetable;
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{OccurrenceFilter, OccurrenceOutcome, RunFilter, RunRecord, Store, Topic};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);

pub(crate) fn t(ms: i64) -> UnixMs {
    T0.plus_millis(ms)
}

/// What the runtime is told to do with the next turn.
pub(crate) enum Script {
    Answer(&'static str),
    /// Calls a tool so many times, then answers.
    Use(usize, &'static str),
    Panic,
    /// Fails for this reason.
    Fail(ErrorReason),
    /// Fails, and asks to be left alone until then.
    AskAgain(UnixMs),
    /// Is not begun, for this reason.
    Skip(ErrorReason),
    /// Is a command that prints this and ends with this exit code.
    Exit(i32, &'static str),
    /// Answers, and used so many tokens at such a price.
    Spend(u64, Usd),
    /// The same, once it is let go.
    SpendLater(Arc<Semaphore>, u64, Usd),
    /// Says this, and works until it is cancelled.
    Say(&'static str),
    /// Works until it is cancelled.
    Work,
    /// Works until it is let go, whatever it is told.
    Deaf(Arc<Semaphore>),
}

/// A runtime that does as it is told, and counts the turns that began.
pub(crate) struct Told {
    scripts: Mutex<VecDeque<Script>>,
    turns: Mutex<Vec<(SessionRef, Message)>>,
    limits: Mutex<Vec<Option<Duration>>>,
    began: Semaphore,
    working: AtomicU64,
}

#[async_trait]
impl Runtime for Told {
    async fn run_turn(&self, turn: Turn, cancel: CancellationToken) -> TurnResult {
        let _working = Working::begin(&self.working);
        let mut transcript = Vec::new();
        self.limits.lock().expect("no test panics with it").push(turn.timeout);
        if let Work::Message(message) = turn.work {
            transcript.push(TranscriptEntry::said(T0, Role::User, message.text.clone()));
            self.turns.lock().expect("no test panics with it").push((turn.session, *message));
        }
        self.began.add_permits(1);
        let script = self.scripts.lock().expect("no test panics with it").pop_front();
        let outcome = match script.unwrap_or(Script::Answer("done")) {
            Script::Answer(text) => RunOutcome::ok(text),
            Script::Use(calls, text) => {
                transcript.extend((0..calls).flat_map(tool_use));
                RunOutcome::ok(text)
            }
            Script::Panic => panic!("as told"),
            Script::Fail(reason) => RunOutcome::error(reason, "as told"),
            Script::Deaf(release) => {
                release.acquire().await.expect("it is never closed").forget();
                RunOutcome::ok("at last")
            }
            Script::AskAgain(at) => {
                let outcome = RunOutcome::error(ErrorReason::RateLimit, "slow down");
                return TurnResult { ask_again_at: Some(at), ..TurnResult::of(outcome) };
            }
            Script::Skip(reason) => RunOutcome::skipped(reason, "as told"),
            Script::Spend(tokens, cost) => spent(tokens, cost),
            Script::SpendLater(release, tokens, cost) => {
                release.acquire().await.expect("it is never closed").forget();
                spent(tokens, cost)
            }
            Script::Exit(code, printed) => exited(code, printed),
            Script::Say(text) => {
                turn.live.tell(|| LivePiece::Text { text: text.to_owned() });
                cancel.cancelled().await;
                RunOutcome::error(ErrorReason::Interrupted, "the gateway is shutting down")
            }
            Script::Work => {
                cancel.cancelled().await;
                RunOutcome::error(ErrorReason::Interrupted, "the gateway is shutting down")
            }
        };
        if let (RunStatus::Ok, Some(text)) = (outcome.status, &outcome.summary) {
            transcript.push(TranscriptEntry::said(T0, Role::Assistant, text.clone()));
        }
        TurnResult { transcript, ..TurnResult::of(outcome) }
    }
}

fn spent(tokens: u64, cost: Usd) -> RunOutcome {
    RunOutcome { usage: Some(Usage::new(tokens, 0)), cost: Some(cost), ..RunOutcome::ok("done") }
}

/// What a command brings that printed something and ended with an exit code.
fn exited(code: i32, printed: &str) -> RunOutcome {
    let outcome = match code {
        0 => RunOutcome::ok(printed),
        code => RunOutcome::error(ErrorReason::Exit, format!("command exited with code {code}")),
    };
    let entry = Diagnostic {
        ts: T0,
        source: "exec".to_owned(),
        severity: Severity::Info,
        message: "as told".to_owned(),
        exit_code: Some(code),
        truncated: None,
    };
    let diagnostics = Some(Diagnostics { summary: None, entries: vec![entry] });
    RunOutcome { diagnostics, summary: Some(printed.to_owned()), ..outcome }
}

/// A call of a tool, and its result.
fn tool_use(number: usize) -> [TranscriptEntry; 2] {
    let (call_id, name) = (format!("call-{number}"), "look".to_owned());
    let call = EntryDetail::ToolCall { call_id: call_id.clone(), name: name.clone(), arguments: json!({}) };
    let result = EntryDetail::ToolResult { call_id, name, is_error: false };
    [
        TranscriptEntry::with(T0, Role::Assistant, "", call),
        TranscriptEntry::with(T0, Role::Tool, "seen", result),
    ]
}

/// Counts a turn for as long as it goes on.
struct Working<'a>(&'a AtomicU64);

impl<'a> Working<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Told {
    pub(crate) fn next(&self, scripts: impl IntoIterator<Item = Script>) {
        self.scripts.lock().expect("no test panics with it").extend(scripts);
    }

    /// Returns once so many more turns began.
    pub(crate) async fn began(&self, turns: u32) {
        self.began.acquire_many(turns).await.expect("it is never closed").forget();
    }

    /// The sessions and the messages of the turns so far.
    pub(crate) fn turns(&self) -> Vec<(SessionRef, Message)> {
        self.turns.lock().expect("no test panics with it").clone()
    }

    /// How long each of the turns so far was allowed to take.
    pub(crate) fn limits(&self) -> Vec<Option<Duration>> {
        self.limits.lock().expect("no test panics with it").clone()
    }

    pub(crate) fn none_began(&self) -> bool {
        self.began.available_permits() == 0
    }
}

/// When a job is due.
pub(crate) fn timetable(definition: &JobDefinition, id: &JobId) -> Timetable {
    Timetable::new(&definition.schedule, id, &TimeZone::UTC).expect("a good schedule")
}

/// One life of a gateway: an engine on a store.
pub(crate) struct Life {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) runtime: Arc<Told>,
    pub(crate) handle: EngineHandle,
    shutdown: CancellationToken,
    ended: oneshot::Receiver<()>,
}

pub(crate) fn options() -> EngineOptions {
    EngineOptions {
        max_concurrent_runs: 2,
        shutdown_grace: Duration::from_millis(10),
        ..EngineOptions::default()
    }
}

impl Life {
    pub(crate) fn begin(folder: &Path, now: UnixMs, options: EngineOptions) -> Self {
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.join("s.db"), "test", now).expect("a store"));
        let clock = ManualClock::at(now);
        let runtime = Arc::new(Told {
            scripts: Mutex::default(),
            turns: Mutex::default(),
            limits: Mutex::default(),
            began: Semaphore::new(0),
            working: AtomicU64::new(0),
        });
        let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let (engine, handle) =
            Engine::new(store.clone(), shared_clock, runtime.clone(), TimeZone::UTC, options);
        let shutdown = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        let token = shutdown.clone();
        tokio::spawn(async move {
            engine.run(token).await;
            end.send(()).ok();
        });
        Self { store, clock, runtime, handle, shutdown, ended }
    }

    /// Has what follows runs done, until the life ends.
    pub(crate) fn do_hooks(&self) {
        tokio::spawn(HookRunner::new(&self.handle).run(self.shutdown.clone()));
    }

    /// The calls of hooks around a run, as stage, name and state, once none of them is open.
    pub(crate) async fn hook_calls(&self, run: RunId) -> Vec<(&'static str, String, HookCallState)> {
        loop {
            let calls = self.store.hook_calls(run).await.expect("the store answers");
            let open = |state| matches!(state, HookCallState::Pending | HookCallState::Running);
            if calls.iter().all(|call| !open(call.state)) {
                return calls.into_iter().map(|call| (call.stage.as_str(), call.name, call.state)).collect();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends the life in order.
    pub(crate) async fn stop(self) -> Arc<dyn Store> {
        self.shutdown.cancel();
        self.ended.await.expect("the engine ends");
        self.store
    }

    pub(crate) async fn add(&self, id: &str, change: Value) -> JobId {
        let mut value = json!({
            "name": id,
            "schedule": { "kind": "every", "everyMs": 1000, "anchorMs": T0 },
            "payload": { "kind": "agentTurn", "message": "go" },
            "delivery": { "mode": "webhook", "to": "https://example.com/" }
        });
        for (key, change) in change.as_object().cloned().unwrap_or_default() {
            value[key] = change;
        }
        let now = self.clock.now();
        self.insert(id, JobDefinition::parse(value, now).expect("a good job")).await
    }

    /// Adds a job by its definition.
    pub(crate) async fn insert(&self, id: &str, definition: JobDefinition) -> JobId {
        let now = self.clock.now();
        let id: JobId = id.parse().expect("a job id");
        let next_run_at = timetable(&definition, &id).next_after(now);
        let state = JobState { next_run_at, ..JobState::default() };
        let job = Job { id: id.clone(), definition, created_at: now, updated_at: now, state };
        self.store.insert_job(job).await.expect("the job is stored");
        id
    }

    /// Moves the clock on to `until` as time goes by: whoever sleeps is woken at its instant.
    pub(crate) async fn go_on(&self, until: UnixMs) {
        self.asleep().await;
        while self.clock.now() < until {
            let now = self.clock.now();
            let soon = now.plus(Duration::from_secs(20)).min(until);
            self.clock.set(self.clock.next_wake().map_or(soon, |wake| wake.clamp(now, soon)));
            self.asleep().await;
        }
    }

    /// Returns once the timer sleeps and the result of every turn that ended is stored.
    pub(crate) async fn asleep(&self) {
        loop {
            let now = self.clock.now();
            let running = self.store.counts(now).await.expect("the store answers").runs_running;
            // A commit wakes the timer before it is answered; here it gets its turn.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            let sleeps = self.clock.next_wake().is_some_and(|wake| wake > now);
            if sleeps && running <= self.runtime.working.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Returns what came of a run after it was given up, once it is recorded.
    pub(crate) async fn late(&self, run: RunId) -> RunRecord {
        loop {
            let record = self.store.run(run).await.expect("the store answers").expect("the run");
            if record.late.is_some() {
                return record;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What is kept of the job.
    pub(crate) async fn state(&self, job: &JobId) -> JobState {
        self.store.job(job).await.expect("the store answers").expect("the job").state
    }

    /// Returns the job's runs, the oldest first, once so many are over.
    pub(crate) async fn finished(&self, job: &JobId, runs: usize) -> Vec<RunRecord> {
        let mut settled = self.store.subscribe(Topic::Settled);
        loop {
            settled.mark_unchanged();
            let filter = RunFilter {
                job_id: Some(job.clone()),
                finished_only: true,
                limit: 100,
                ..RunFilter::default()
            };
            let mut page = self.store.runs(filter).await.expect("the store answers");
            if page.runs.len() >= runs {
                page.runs.reverse();
                return page.runs;
            }
            settled.changed().await.expect("the store lives");
        }
    }

    pub(crate) async fn ledger(&self, job: &JobId) -> Vec<(i64, &'static str)> {
        let mut ledger =
            self.store.occurrences(OccurrenceFilter::newest(job, 1000)).await.expect("the ledger");
        ledger.reverse();
        let word = |outcome: &OccurrenceOutcome| match outcome {
            OccurrenceOutcome::Ran(_) => "ran",
            OccurrenceOutcome::Skipped(_) => "skipped",
            OccurrenceOutcome::Missed(_) => "missed",
        };
        ledger.iter().map(|one| (one.due_at.as_millis() - T0.as_millis(), word(&one.outcome))).collect()
    }

    /// Why the instants that passed without a run did so.
    pub(crate) async fn reasons(&self, job: &JobId) -> Vec<String> {
        let mut ledger =
            self.store.occurrences(OccurrenceFilter::newest(job, 1000)).await.expect("the ledger");
        ledger.reverse();
        let reason = |outcome| match outcome {
            OccurrenceOutcome::Ran(_) => None,
            OccurrenceOutcome::Skipped(reason) | OccurrenceOutcome::Missed(reason) => Some(reason),
        };
        ledger.into_iter().filter_map(|one| reason(one.outcome)).collect()
    }

    /// Returns once the ledger holds so many records.
    pub(crate) async fn recorded(&self, job: &JobId, records: usize) -> Vec<(i64, &'static str)> {
        loop {
            let ledger = self.ledger(job).await;
            if ledger.len() >= records {
                return ledger;
            }
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn outcome(record: &RunRecord) -> (RunStatus, Option<ErrorReason>, Option<&str>) {
    let RunProgress::Finished { outcome, .. } = &record.run.progress else { panic!("it is over") };
    (outcome.status, outcome.error.as_ref().map(|error| error.reason), outcome.summary.as_deref())
}

/// What lies on the disk at this moment, as a kill would leave it.
pub(crate) fn remains(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for name in ["s.db", "s.db-wal"] {
        std::fs::copy(folder.join(name), copy.path().join(name)).expect("a copy");
    }
    copy
}
