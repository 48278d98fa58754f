//! The reaper through its door: a store, and a clock that is moved by hand. There is no timer: it needs none.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clawhook_clock::{Clock, ManualClock};
use clawhook_engine::{Reaper, ReaperHandle, ReaperOptions};
use clawhook_model::{
    EventId, Job, JobDefinition, JobState, OpenRuns, RunId, RunOutcome, SessionId, Trigger, UnixMs,
};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{
    AfterRun, ChainRules, Claim, FinishRun, LeftWithSessions, NewRun, PlannedRun, Retention, RunFilter,
    RunStart, Store,
};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);

fn t(seconds: i64) -> UnixMs {
    T0.plus_millis(seconds * 1000)
}

/// A gateway of which there is only the reaper.
struct Life {
    store: Arc<dyn Store>,
    clock: ManualClock,
    reaper: ReaperHandle,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Life {
    fn begin(folder: &Path, retention: Retention) -> Self {
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.join("s.db"), "test", T0).expect("a store"));
        let clock = ManualClock::at(T0);
        let shutdown = CancellationToken::new();
        let options = ReaperOptions { retention, ..ReaperOptions::default() };
        let (reaper, handle) = Reaper::new(store.clone(), Arc::new(clock.clone()), options);
        let task = tokio::spawn(reaper.run(shutdown.clone()));
        Self { store, clock, reaper: handle, shutdown, task }
    }

    /// Runs so many instants of a job, whose results go nowhere.
    async fn history(&self, id: &str, runs: i64, event_bytes: usize) {
        let definition = json!({
            "name": id,
            "schedule": { "kind": "every", "everyMs": 1, "anchorMs": T0 },
            "payload": { "kind": "systemEvent", "text": "hello" },
            "delivery": { "mode": "none" }
        });
        let definition = JobDefinition::parse(definition, T0).expect("a good job");
        let state = JobState { next_run_at: Some(T0), ..JobState::default() };
        let id = id.parse().expect("a job id");
        let job = Job { id, definition, created_at: T0, updated_at: T0, state };
        self.store.insert_job(job.clone()).await.expect("the job is stored");
        for ms in 0..runs {
            let (now, next) = (T0.plus_millis(ms), T0.plus_millis(ms + 1));
            let run = NewRun::of(&job, RunId::new(now), Trigger::Schedule, Some(now), SessionId::random());
            let claim = Claim {
                job_id: job.id.clone(),
                due_at: now,
                open: OpenRuns::default(),
                passed: Vec::new(),
                runs: vec![PlannedRun { run: run.clone(), start: RunStart::Now }],
                next_run_at: Some(next),
                disables: None,
            };
            self.store.claim(vec![claim], now).await.expect("the claim is answered");
            let finish = FinishRun {
                hooks: Vec::new(),
                chain: ChainRules::default(),
                run_id: run.id,
                job_id: job.id.clone(),
                session: run.session.clone(),
                agent_id: run.agent_id.clone(),
                ended_at: now,
                outcome: RunOutcome::ok("done"),
                event_id: EventId::new(now),
                event: Bytes::from(vec![b'x'; event_bytes]),
                deliveries: Vec::new(),
                transcript: Vec::new(),
                after: AfterRun::Keep,
                trigger: run.trigger,
                passed: None,
                failure: Arc::default(),
                retry: (RunId::new(now), SessionId::random()),
                day: 0,
                left: LeftWithSessions::default(),
            };
            self.store.finish_run(finish).await.expect("the run is stored");
        }
    }

    async fn runs(&self) -> usize {
        let filter = RunFilter { limit: 1, ..RunFilter::default() };
        self.store.runs(filter).await.expect("the store answers").total
    }

    /// Waits until the reaper sleeps, and says until when.
    async fn asleep(&self) -> UnixMs {
        loop {
            match self.clock.next_wake() {
                Some(wake) if wake > self.clock.now() => return wake,
                _ => tokio::task::yield_now().await,
            }
        }
    }

    /// Moves on from rest to rest, until a pass has come to its end; gives how long it rested within.
    async fn pass(&self) -> Duration {
        let before = self.reaper.report().last_pass;
        let (mut rested, mut wake) = (Duration::ZERO, self.asleep().await);
        self.clock.set(wake);
        loop {
            wake = self.asleep().await;
            if self.reaper.report().last_pass != before {
                return rested;
            }
            rested += wake.since(self.clock.now());
            self.clock.set(wake);
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("the reaper ends");
    }
}

fn newest(runs: u32) -> Retention {
    Retention { runs_per_job: Some(runs), ..Retention::KEEP_ALL }
}

#[tokio::test]
async fn it_comes_after_ten_seconds_and_then_each_minute_while_there_is_something_to_forget() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), newest(10));
    life.history("busy", 30, 10).await;
    assert_eq!(life.asleep().await, t(10));
    assert_eq!(life.runs().await, 30);
    life.pass().await;
    assert_eq!(life.runs().await, 10);
    let report = life.reaper.report();
    let pass = report.last_pass.expect("a pass came to its end");
    assert_eq!((pass.rows.runs, pass.rows.occurrences, pass.began_at), (20, 20, t(10)));
    assert_eq!(report.since_start, pass.rows);
    assert_eq!(life.asleep().await.since(life.clock.now()), Duration::from_mins(1));
    life.pass().await;
    assert_eq!(life.asleep().await.since(life.clock.now()), Duration::from_mins(5), "there is nothing more");
    life.stop().await;
}

#[tokio::test]
async fn it_rests_nine_times_as_long_as_each_of_its_steps_took() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), newest(1));
    life.history("busy", 260, 10).await;
    let begun = std::time::Instant::now();
    let rested = life.pass().await;
    let worked = begun.elapsed();
    assert_eq!(life.runs().await, 1);
    assert!(rested > Duration::ZERO && rested < worked * 10, "{rested:?} of {worked:?}");
    life.stop().await;
}

#[tokio::test]
async fn a_store_that_was_large_gives_its_room_back_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), newest(1));
    life.history("large", 40, 1_000_000).await;
    life.pass().await;
    let report = life.reaper.report();
    let pass = report.last_pass.expect("a pass came to its end");
    assert!(pass.reclaimed > 25_000_000, "{report:?}");
    assert!(report.size.free <= 9 * 1024 * 1024, "{report:?}");
    let file = std::fs::metadata(folder.path().join("s.db")).unwrap().len();
    assert_eq!(file, report.size.bytes);
    life.stop().await;
}

#[tokio::test]
async fn it_tells_what_holds_a_store_that_takes_more_room_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let too_small = Retention { max_bytes: Some(1), ..Retention::KEEP_ALL };
    let life = Life::begin(folder.path(), too_small);
    assert!(life.reaper.warnings().is_empty());
    life.history("any", 1, 10).await;
    life.pass().await;
    let warnings = life.reaper.warnings();
    assert!(warnings[0].contains("more than `cron.retention.maxBytes`"), "{warnings:?}");
    life.stop().await;
}
