//! The replayer through its door: a store, and a clock that is moved by hand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clawhook_clock::{Clock, ManualClock};
use clawhook_engine::Replayer;
use clawhook_model::{
    DeliveryId, EventId, Job, JobDefinition, JobState, OpenRuns, Replay, ReplayFilter, ReplayId, ReplayState,
    Replayable, RunId, RunOutcome, SessionId, Trigger, UnixMs, plan_deliveries,
};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{
    AfterRun, ChainRules, Claim, FinishRun, NewDelivery, NewReplay, NewRun, PlannedRun, RunStart, Store,
};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);

fn t(ms: i64) -> UnixMs {
    T0.plus_millis(ms)
}

/// One life of a gateway, of which there is only the replayer.
struct Life {
    store: Arc<dyn Store>,
    clock: ManualClock,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Life {
    fn begin(folder: &Path, now: UnixMs) -> Self {
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.join("s.db"), "test", now).expect("a store"));
        let clock = ManualClock::at(now);
        let shutdown = CancellationToken::new();
        let replayer = Replayer::new(store.clone(), Arc::new(clock.clone()));
        let task = tokio::spawn(replayer.run(shutdown.clone()));
        Self { store, clock, shutdown, task }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("the replayer ends");
    }

    /// Writes so many deliveries that a person has cancelled.
    async fn cancelled_deliveries(&self, count: i64) {
        let definition = json!({
            "name": "any",
            "schedule": { "kind": "every", "everyMs": 1, "anchorMs": T0 },
            "payload": { "kind": "systemEvent", "text": "hello" },
            "wakeMode": "next-heartbeat",
            "delivery": { "mode": "webhook", "to": "https://example.com/" }
        });
        let definition = JobDefinition::parse(definition, T0).expect("a good job");
        let state = JobState { next_run_at: Some(T0), ..JobState::default() };
        let id = "any".parse().expect("a job id");
        let job = Job { id, definition, created_at: T0, updated_at: T0, state };
        self.store.insert_job(job.clone()).await.expect("the job is stored");
        for ms in 0..count {
            let run =
                NewRun::of(&job, RunId::new(t(ms)), Trigger::Schedule, Some(t(ms)), SessionId::random());
            let claim = Claim {
                job_id: job.id.clone(),
                due_at: t(ms),
                open: OpenRuns::default(),
                passed: Vec::new(),
                runs: vec![PlannedRun { run: run.clone(), start: RunStart::Now }],
                next_run_at: Some(t(ms + 1)),
                disables: None,
            };
            self.store.claim(vec![claim], t(ms)).await.expect("the claim is answered");
            let outcome = RunOutcome::ok("done");
            let plan = plan_deliveries(&job.definition.delivery, &outcome).remove(0);
            let id = DeliveryId::new(t(ms));
            let finish = FinishRun {
                hooks: Vec::new(),
                chain: ChainRules::default(),
                run_id: run.id,
                job_id: job.id.clone(),
                session: run.session.clone(),
                agent_id: run.agent_id.clone(),
                ended_at: t(ms),
                outcome,
                event_id: EventId::new(t(ms)),
                event: Bytes::from_static(b"{}"),
                deliveries: vec![NewDelivery { id, plan }],
                transcript: Vec::new(),
                after: AfterRun::Keep,
                trigger: run.trigger,
                passed: None,
                failure: Arc::default(),
                retry: (RunId::new(t(ms)), SessionId::random()),
                day: 0,
                left: clawhook_store::LeftWithSessions::default(),
            };
            self.store.finish_run(finish).await.expect("the run is stored");
            self.store.cancel_delivery(id, t(ms)).await.expect("the delivery is cancelled");
        }
    }

    async fn start(&self, per_second: Option<f64>) -> ReplayId {
        let now = self.clock.now();
        let filter = ReplayFilter {
            destination: None,
            job_id: None,
            run_id: None,
            states: vec![Replayable::Cancelled],
            causes: Vec::new(),
            since: None,
            until: None,
        };
        let new = NewReplay { id: ReplayId::new(now), filter, to: None, per_second, now };
        self.store.start_replay(new).await.expect("the store answers").expect("it begins").id
    }

    async fn replay(&self, id: ReplayId) -> Replay {
        self.store.replay(id).await.expect("the store answers").expect("the replay").replay
    }

    /// Waits until the replayer sleeps until `instant`.
    async fn asleep_until(&self, instant: UnixMs) {
        while self.clock.next_wake() != Some(instant) {
            tokio::task::yield_now().await;
        }
    }

    async fn over(&self, id: ReplayId) -> Replay {
        loop {
            let replay = self.replay(id).await;
            if replay.state != ReplayState::Running {
                return replay;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_replay_goes_through_all_that_it_found_and_the_replayer_sleeps_when_nothing_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), t(60_000));
    life.cancelled_deliveries(30).await;
    let id = life.start(None).await;
    let ended = life.over(id).await;
    assert_eq!((ended.matched, ended.done, ended.skipped), (30, 30, 0));
    life.asleep_until(UnixMs::from_millis(i64::MAX)).await;
    life.stop().await;
}

#[tokio::test]
async fn a_replay_keeps_to_its_rate() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), t(60_000));
    life.cancelled_deliveries(5).await;
    let id = life.start(Some(2.0)).await;
    for done in 1..5 {
        let next = life.clock.now().plus(Duration::from_millis(500));
        life.asleep_until(next).await;
        assert_eq!(life.replay(id).await.done, done);
        life.clock.set(next);
    }
    assert_eq!(life.over(id).await.done, 5);
    life.stop().await;
}

#[tokio::test]
async fn i03_a_replay_goes_on_in_the_next_life_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), t(60_000));
    life.cancelled_deliveries(3).await;
    let id = life.start(Some(0.001)).await;
    life.asleep_until(t(1_060_000)).await;
    assert_eq!(life.replay(id).await.done, 1);
    life.stop().await;

    let life = Life::begin(folder.path(), t(70_000));
    life.asleep_until(t(1_070_000)).await;
    assert_eq!(life.replay(id).await.done, 2);
    life.store.cancel_replay(id, t(70_000)).await.unwrap();
    life.asleep_until(UnixMs::from_millis(i64::MAX)).await;
    assert_eq!(life.replay(id).await.done, 2);
    life.stop().await;
}
