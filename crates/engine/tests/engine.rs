//! The engine through its doors: a store, a clock that is moved by hand, and a runtime that does as it is told.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clawhook_agent::{Runtime, Turn, TurnResult};
use clawhook_clock::{Clock, ManualClock};
use clawhook_engine::{Engine, EngineHandle, EngineOptions, RunNow};
use clawhook_model::{
    ErrorReason, Job, JobDefinition, JobId, JobState, RunId, RunOutcome, RunProgress, RunStatus, Trigger,
    UnixMs,
};
use clawhook_schedule::Timetable;
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{OccurrenceFilter, OccurrenceOutcome, RunFilter, RunRecord, Store, Topic};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);

fn t(ms: i64) -> UnixMs {
    T0.plus_millis(ms)
}

/// What the runtime is told to do with the next turn.
enum Script {
    Answer(&'static str),
    Panic,
    /// Works until it is cancelled.
    Work,
}

/// A runtime that does as it is told, and counts the turns that began.
struct Told {
    scripts: Mutex<VecDeque<Script>>,
    began: Semaphore,
}

#[async_trait]
impl Runtime for Told {
    async fn run_turn(&self, _turn: Turn, cancel: CancellationToken) -> TurnResult {
        self.began.add_permits(1);
        let script = self.scripts.lock().expect("no test panics with it").pop_front();
        let outcome = match script.unwrap_or(Script::Answer("done")) {
            Script::Answer(text) => RunOutcome::ok(text),
            Script::Panic => panic!("as told"),
            Script::Work => {
                cancel.cancelled().await;
                RunOutcome::error(ErrorReason::Interrupted, "the gateway is shutting down")
            }
        };
        TurnResult { outcome, transcript: Vec::new() }
    }
}

impl Told {
    fn next(&self, scripts: impl IntoIterator<Item = Script>) {
        self.scripts.lock().expect("no test panics with it").extend(scripts);
    }

    /// Returns once so many more turns began.
    async fn began(&self, turns: u32) {
        self.began.acquire_many(turns).await.expect("it is never closed").forget();
    }

    fn none_began(&self) -> bool {
        self.began.available_permits() == 0
    }
}

/// One life of a gateway: an engine on a store.
struct Life {
    store: Arc<dyn Store>,
    clock: ManualClock,
    runtime: Arc<Told>,
    handle: EngineHandle,
    shutdown: CancellationToken,
    ended: oneshot::Receiver<()>,
}

fn options() -> EngineOptions {
    EngineOptions {
        max_concurrent_runs: 2,
        shutdown_grace: Duration::from_millis(10),
        ..EngineOptions::default()
    }
}

impl Life {
    fn begin(folder: &Path, now: UnixMs, options: EngineOptions) -> Self {
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.join("s.db"), "test", now).expect("a store"));
        let clock = ManualClock::at(now);
        let runtime = Arc::new(Told { scripts: Mutex::default(), began: Semaphore::new(0) });
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

    /// Ends the life in order.
    async fn stop(self) -> Arc<dyn Store> {
        self.shutdown.cancel();
        self.ended.await.expect("the engine ends");
        self.store
    }

    async fn add(&self, id: &str, change: Value) -> JobId {
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
        let definition = JobDefinition::parse(value, now).expect("a good job");
        let id: JobId = id.parse().expect("a job id");
        let timetable = Timetable::new(&definition.schedule, &id, &TimeZone::UTC).expect("a good schedule");
        let state = JobState { next_run_at: timetable.next_after(now), ..JobState::default() };
        let job = Job { id: id.clone(), definition, created_at: now, updated_at: now, state };
        self.store.insert_job(job).await.expect("the job is stored");
        id
    }

    /// Returns the job's runs, the oldest first, once so many are over.
    async fn finished(&self, job: &JobId, runs: usize) -> Vec<RunRecord> {
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

    async fn ledger(&self, job: &JobId) -> Vec<(i64, &'static str)> {
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

    /// Returns once the ledger holds so many records.
    async fn recorded(&self, job: &JobId, records: usize) -> Vec<(i64, &'static str)> {
        loop {
            let ledger = self.ledger(job).await;
            if ledger.len() >= records {
                return ledger;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn outcome(record: &RunRecord) -> (RunStatus, Option<ErrorReason>, Option<&str>) {
    let RunProgress::Finished { outcome, .. } = &record.run.progress else { panic!("it is over") };
    (outcome.status, outcome.error.as_ref().map(|error| error.reason), outcome.summary.as_deref())
}

#[tokio::test]
async fn a_job_runs_when_its_time_has_come_and_its_result_is_in_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("tick", json!({})).await;
    life.clock.set(t(999));
    assert!(life.runtime.none_began());
    life.clock.set(t(1000));
    let runs = life.finished(&job, 1).await;
    assert_eq!(outcome(&runs[0]), (RunStatus::Ok, None, Some("done")));
    assert_eq!((runs[0].run.trigger, runs[0].run.scheduled_at), (Trigger::Schedule, Some(t(1000))));
    assert_eq!(runs[0].deliveries.len(), 1);
    assert_eq!(life.ledger(&job).await, [(1000, "ran")]);
}

#[tokio::test]
async fn i01_after_a_downtime_each_missed_instant_has_its_record_and_one_run_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let killed = Life::begin(folder.path(), T0, options());
    let job = killed.add("late", json!({})).await;
    let remains = remains(folder.path());
    let life = Life::begin(remains.path(), t(3500), options());
    let runs = life.finished(&job, 1).await;
    assert_eq!((runs.len(), runs[0].run.trigger), (1, Trigger::CatchUp));
    assert_eq!(life.ledger(&job).await, [(1000, "missed"), (2000, "missed"), (3000, "ran")]);
}

/// What lies on the disk at this moment, as a kill would leave it.
fn remains(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for name in ["s.db", "s.db-wal"] {
        std::fs::copy(folder.join(name), copy.path().join(name)).expect("a copy");
    }
    copy
}

#[tokio::test]
async fn i02_a_run_that_a_kill_interrupted_is_recorded_told_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let killed = Life::begin(folder.path(), T0, options());
    let at = json!({ "schedule": { "kind": "at", "at": t(1000).to_rfc3339() } });
    let job = killed.add("killed", at).await;
    killed.runtime.next([Script::Work]);
    killed.clock.set(t(1000));
    killed.runtime.began(1).await;
    let remains = remains(folder.path());
    let life = Life::begin(remains.path(), t(2000), options());
    let runs = life.finished(&job, 1).await;
    assert_eq!(outcome(&runs[0]), (RunStatus::Error, Some(ErrorReason::Interrupted), None));
    assert_eq!(runs[0].deliveries.len(), 1, "a failure is told too");
    assert_eq!(life.ledger(&job).await, [(1000, "ran")]);
    assert!(life.runtime.none_began(), "nothing is run again");
}

#[tokio::test]
async fn no_more_runs_than_slots_and_a_free_slot_goes_to_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let far =
        json!({ "schedule": { "kind": "at", "at": t(3_600_000).to_rfc3339() }, "deleteAfterRun": false });
    let mut jobs = Vec::new();
    for name in ["one", "two", "three"] {
        jobs.push(life.add(name, far.clone()).await);
    }
    life.runtime.next([Script::Work, Script::Work, Script::Answer("third")]);
    let mut runs: Vec<RunId> = Vec::new();
    for job in &jobs {
        let RunNow::Accepted(run) = life.handle.run_now(job).await.unwrap() else { panic!("it is accepted") };
        runs.push(run);
    }
    life.runtime.began(2).await;
    assert_eq!(life.handle.run_now(&jobs[2]).await.unwrap(), RunNow::AlreadyRunning(runs[2]));
    assert!(life.runtime.none_began());
    assert_eq!(life.store.counts(T0).await.unwrap().runs_queued, 1);
    // The shutdown ends the two that work; their slots are free, but nothing new begins.
    let third = jobs[2].clone();
    drop(life.stop().await);
    let life = Life::begin(folder.path(), t(10), options());
    let after = life.finished(&third, 1).await;
    assert_eq!(after[0].run.id, runs[2], "what was accepted is run by the next life");
}

#[tokio::test]
async fn i01_what_is_due_while_the_job_still_runs_is_skipped_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("slow", json!({})).await;
    life.runtime.next([Script::Work]);
    life.clock.set(t(1000));
    life.runtime.began(1).await;
    life.clock.set(t(2000));
    assert_eq!(life.recorded(&job, 2).await, [(1000, "ran"), (2000, "skipped")]);
}

#[tokio::test]
async fn a_runtime_that_panics_ends_its_run_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("panics", json!({})).await;
    life.runtime.next([Script::Panic]);
    life.clock.set(t(1000));
    life.finished(&job, 1).await;
    // The job backs off for half a minute.
    life.clock.set(t(31_000));
    let runs = life.finished(&job, 2).await;
    assert_eq!(outcome(&runs[0]).0, RunStatus::Error);
    assert_eq!(outcome(&runs[1]), (RunStatus::Ok, None, Some("done")));
}

#[tokio::test]
async fn a_shutdown_ends_what_still_runs_after_the_grace_and_keeps_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("stopped", json!({})).await;
    life.runtime.next([Script::Work]);
    life.clock.set(t(1000));
    life.runtime.began(1).await;
    let handle = life.handle.clone();
    let store = life.stop().await;
    assert_eq!(handle.run_now(&job).await.unwrap(), RunNow::Stopping);
    let filter = RunFilter { job_id: Some(job), limit: 10, ..RunFilter::default() };
    let runs = store.runs(filter).await.unwrap().runs;
    assert_eq!(outcome(&runs[0]).1, Some(ErrorReason::Interrupted));
}

#[tokio::test]
async fn a_system_event_goes_into_the_main_session_without_a_slot() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let payload = json!({ "kind": "systemEvent", "text": "the backup is done" });
    let job = life.add("event", json!({ "payload": payload })).await;
    life.clock.set(t(1000));
    let runs = life.finished(&job, 1).await;
    assert_eq!(outcome(&runs[0]).2, Some("the backup is done"));
    assert_eq!(runs[0].run.session.key, "agent:main:main");
    let said = life.store.transcript(runs[0].run.id).await.unwrap();
    assert_eq!(said[0].text, "the backup is done");
    assert!(life.runtime.none_began());
}

#[tokio::test]
async fn a_one_shot_without_delivery_goes_after_its_run_and_not_after_a_run_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let once =
        json!({ "schedule": { "kind": "at", "at": t(1000).to_rfc3339() }, "delivery": { "mode": "none" } });
    let job = life.add("once", once).await;
    life.handle.run_now(&job).await.unwrap();
    life.finished(&job, 1).await;
    assert!(life.store.job(&job).await.unwrap().is_some());
    life.clock.set(t(1000));
    life.finished(&job, 2).await;
    assert!(life.store.job(&job).await.unwrap().is_none());
}

#[tokio::test]
async fn with_the_schedule_off_only_runs_by_hand_happen() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, EngineOptions { run_jobs_on_schedule: false, ..options() });
    let job = life.add("off", json!({})).await;
    life.clock.set(t(5000));
    life.handle.run_now(&job).await.unwrap();
    let runs = life.finished(&job, 1).await;
    assert_eq!(runs[0].run.trigger, Trigger::Manual);
    assert!(life.ledger(&job).await.is_empty());
}
