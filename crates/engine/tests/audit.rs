//! The audit through its door: jobs that wait for what their schedules do not say.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_agent::{Runtime, Turn, TurnResult};
use clawhook_clock::{Clock, ManualClock};
use clawhook_engine::{Audit, AuditOptions, Engine, EngineOptions};
use clawhook_model::{Job, JobDefinition, JobId, JobState, OpenRuns, RunOutcome, UnixMs};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{Claim, OccurrenceOutcome, Store};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// 2026-02-18, midnight in UTC.
const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);
const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;

fn t(ms: i64) -> UnixMs {
    T0.plus_millis(ms)
}

struct Never;

#[async_trait]
impl Runtime for Never {
    async fn run_turn(&self, _turn: Turn, _cancel: CancellationToken) -> TurnResult {
        TurnResult::of(RunOutcome::ok("done"))
    }
}

struct World {
    store: Arc<dyn Store>,
    clock: ManualClock,
    audit: Audit,
}

impl World {
    fn new(folder: &Path) -> Self {
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.join("s.db"), "test", T0).expect("a store"));
        let clock = ManualClock::at(T0);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let options = EngineOptions::default();
        let (_, handle) = Engine::new(store.clone(), shared, Arc::new(Never), TimeZone::UTC, options);
        Self { store, clock, audit: Audit::new(&handle, AuditOptions::default()) }
    }

    /// Adds a job that waits for `next`.
    async fn add(&self, id: &str, schedule: Value, next: Option<UnixMs>) -> JobId {
        let definition = json!({
            "name": id,
            "schedule": schedule,
            "payload": { "kind": "systemEvent", "text": "hello" },
            "wakeMode": "next-heartbeat",
            "delivery": { "mode": "none" },
        });
        let definition = JobDefinition::parse(definition, T0).expect("a good job");
        let id: JobId = id.parse().expect("a job id");
        let state = JobState { next_run_at: next, ..JobState::default() };
        let job = Job { id: id.clone(), definition, created_at: T0, updated_at: T0, state };
        self.store.insert_job(job).await.expect("the job is stored");
        id
    }

    /// Records that the instant a job waited for was missed, and has it wait for another.
    async fn record(&self, job: &JobId, due_at: UnixMs, next: UnixMs) {
        let claim = Claim {
            job_id: job.clone(),
            due_at,
            open: OpenRuns::default(),
            passed: vec![(due_at, OccurrenceOutcome::Missed("as told".to_owned()))],
            runs: Vec::new(),
            next_run_at: Some(next),
            disables: None,
        };
        self.store.claim(vec![claim], due_at).await.expect("the claim is answered");
    }

    async fn next(&self, job: &JobId) -> Option<UnixMs> {
        self.store.job(job).await.expect("the store answers").expect("the job is there").state.next_run_at
    }

    /// Has the audit walk through all jobs, once.
    async fn walk(&self) {
        let shutdown = CancellationToken::new();
        let walking = tokio::spawn(self.audit.clone().run(shutdown.clone()));
        // It rests after a page, and longer once there is none left.
        while self.clock.next_wake().is_none_or(|wake| wake.since(self.clock.now()) < Duration::from_secs(60))
        {
            tokio::task::yield_now().await;
            if self
                .clock
                .next_wake()
                .is_some_and(|wake| wake.since(self.clock.now()) <= Duration::from_secs(5))
            {
                self.clock.advance(Duration::from_secs(5));
            }
        }
        shutdown.cancel();
        walking.await.expect("the audit ends");
    }
}

fn daily_at_nine() -> Value {
    json!({ "kind": "cron", "expr": "0 9 * * *", "tz": "UTC" })
}

#[tokio::test]
async fn a_job_that_waits_for_another_instant_than_its_schedule_says_is_mended_and_no_other_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let nine = t(9 * HOUR);
    let hourly = json!({ "kind": "every", "everyMs": HOUR, "anchorMs": t(5 * HOUR) });
    let good = world.add("good", daily_at_nine(), Some(nine)).await;
    let ahead = world.add("anchor-ahead", hourly, Some(t(5 * HOUR))).await;
    let due =
        world.add("due", json!({ "kind": "every", "everyMs": HOUR, "anchorMs": T0 }), Some(t(-HOUR))).await;
    let used_up = world.add("used-up", json!({ "kind": "at", "at": t(HOUR).to_rfc3339() }), None).await;
    let years = world.add("years-ahead", daily_at_nine(), Some(t(9 * HOUR + 10 * YEAR))).await;
    let none = world.add("waits-for-nothing", daily_at_nine(), None).await;
    // As after an update of the zone data: nine o'clock is an hour earlier than was thought.
    let shifted = world.add("shifted", daily_at_nine(), Some(t(10 * HOUR))).await;
    world.walk().await;
    for (job, expected) in [
        (&good, Some(nine)),
        (&ahead, Some(t(5 * HOUR))),
        (&due, Some(t(-HOUR))),
        (&used_up, None),
        (&years, Some(nine)),
        (&none, Some(nine)),
        (&shifted, Some(nine)),
    ] {
        assert_eq!(world.next(job).await, expected, "{job}");
    }
    assert_eq!(world.audit.corrected(), 3);
    world.walk().await;
    assert_eq!(world.audit.corrected(), 3, "what was mended stays so");
}

#[tokio::test]
async fn a_disabled_job_waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let definition = json!({
        "name": "off",
        "enabled": false,
        "schedule": daily_at_nine(),
        "payload": { "kind": "systemEvent", "text": "hello" },
        "wakeMode": "next-heartbeat",
        "delivery": { "mode": "none" },
    });
    let definition = JobDefinition::parse(definition, T0).unwrap();
    let id: JobId = "off".parse().unwrap();
    let state = JobState::default();
    let job = Job { id: id.clone(), definition, created_at: T0, updated_at: T0, state };
    world.store.insert_job(job).await.unwrap();
    world.walk().await;
    assert_eq!((world.next(&id).await, world.audit.corrected()), (None, 0));
}

#[tokio::test]
async fn instants_that_have_their_record_are_not_waited_for_again_unless_the_record_is_unbelievable() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let hourly = || json!({ "kind": "every", "everyMs": HOUR, "anchorMs": T0 });
    // The clock was set back by two hours.
    let back = world.add("back", hourly(), Some(t(2 * HOUR))).await;
    world.record(&back, t(2 * HOUR), t(3 * HOUR)).await;
    // The clock had been ten years ahead.
    let years = world.add("years", hourly(), Some(t(10 * YEAR))).await;
    world.record(&years, t(10 * YEAR), t(10 * YEAR + HOUR)).await;
    world.walk().await;
    assert_eq!(world.next(&back).await, Some(t(3 * HOUR)));
    assert_eq!(world.next(&years).await, Some(t(HOUR)));
    assert_eq!(world.audit.corrected(), 1);
}
