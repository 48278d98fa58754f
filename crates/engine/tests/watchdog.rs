//! The watchdog through its door: a timer that oversleeps, and what is told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use clawhook_agent::{Runtime, Turn, TurnResult};
use clawhook_clock::{Clock, ManualClock};
use clawhook_engine::{
    AlarmKind, Alarms, Engine, EngineHandle, EngineOptions, RunNow, Watchdog, WatchdogHandle, WatchdogOptions,
};
use clawhook_model::{
    DestinationDefinition, Job, JobDefinition, JobId, JobState, OpenRuns, RunOutcome, RunProgress, UnixMs,
};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{LeaseRequest, LeaseShare, NewDestination, QueueNews, Store};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);
const GRACE: Duration = Duration::from_secs(8);
const SLOT_GRACE: Duration = Duration::from_secs(20);
/// A quarter of the grace.
const INTERVAL: Duration = Duration::from_secs(2);

fn t(seconds: i64) -> UnixMs {
    T0.plus_millis(seconds * 1000)
}

/// A clock by which the timer never wakes while it is to oversleep: whoever sleeps for another time than the watchdog.
struct Oversleeping {
    clock: ManualClock,
    is_on: AtomicBool,
    /// How often the timer went to sleep so.
    slept: AtomicU32,
    over: Notify,
    /// Whether the next one who asks what time it is falls.
    trips: AtomicBool,
}

#[async_trait]
impl Clock for Oversleeping {
    fn now(&self) -> UnixMs {
        assert!(!self.trips.swap(false, Ordering::SeqCst), "as told");
        self.clock.now()
    }

    async fn sleep_until(&self, instant: UnixMs) {
        if instant.since(self.now()) != INTERVAL && self.is_on.load(Ordering::SeqCst) {
            self.slept.fetch_add(1, Ordering::SeqCst);
            self.over.notified().await;
            return;
        }
        self.clock.sleep_until(instant).await;
    }
}

/// A runtime whose turns end when they are told to; or at once, and whoever asked for them falls.
struct Busy {
    clock: Arc<Oversleeping>,
    is_trap: AtomicBool,
}

#[async_trait]
impl Runtime for Busy {
    async fn run_turn(&self, _turn: Turn, cancel: CancellationToken) -> TurnResult {
        if self.is_trap.load(Ordering::SeqCst) {
            self.clock.trips.store(true, Ordering::SeqCst);
        } else {
            cancel.cancelled().await;
        }
        TurnResult::of(RunOutcome::ok("told to end"))
    }
}

struct World {
    _folder: TempDir,
    store: Arc<dyn Store>,
    clock: Arc<Oversleeping>,
    engine: EngineHandle,
    runtime: Arc<Busy>,
    watchdog: WatchdogHandle,
}

impl World {
    fn new() -> Self {
        Self::with(EngineOptions { max_concurrent_runs: 1, ..EngineOptions::default() })
    }

    fn with(options: EngineOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.path().join("s.db"), "test", T0).expect("a store"));
        let clock = Oversleeping {
            clock: ManualClock::at(T0),
            is_on: AtomicBool::new(false),
            slept: AtomicU32::new(0),
            over: Notify::new(),
            trips: AtomicBool::new(false),
        };
        let clock = Arc::new(clock);
        let runtime = Arc::new(Busy { clock: clock.clone(), is_trap: AtomicBool::new(false) });
        let shared: Arc<dyn Clock> = clock.clone();
        let (engine, handle) =
            Engine::new(store.clone(), shared.clone(), runtime.clone(), TimeZone::UTC, options);
        let alarms = Alarms::default();
        let watchdog_options = WatchdogOptions { grace: GRACE, slot_grace: SLOT_GRACE };
        let (watchdog, watched) = Watchdog::new(&handle, alarms.clone(), watchdog_options);
        let forever = CancellationToken::new();
        tokio::spawn(engine.run(forever.clone()));
        tokio::spawn(watchdog.run(forever.clone()));
        tokio::spawn(alarms.tell(store.clone(), shared, forever));
        Self { _folder: folder, store, clock, engine: handle, runtime, watchdog: watched }
    }

    /// A world whose timer has gone to sleep, and oversleeps.
    async fn asleep() -> Self {
        let world = Self::new();
        world.clock.is_on.store(true, Ordering::SeqCst);
        world.slept_since(0).await;
        world
    }

    /// Returns once the timer, where it oversleeps, has gone to sleep again.
    async fn slept_since(&self, slept: u32) {
        while self.clock.is_on.load(Ordering::SeqCst) && self.clock.slept.load(Ordering::SeqCst) == slept {
            tokio::task::yield_now().await;
        }
    }

    /// Wakes the timer.
    fn wake(&self) {
        self.clock.is_on.store(false, Ordering::SeqCst);
        self.clock.over.notify_one();
    }

    /// Lets so much time pass, and the watchdog look each time it wants to; gives the alarms that are raised then.
    async fn pass(&self, seconds: u64) -> Vec<(AlarmKind, UnixMs)> {
        for _ in 0..seconds / INTERVAL.as_secs() {
            self.looked().await;
            self.clock.clock.advance(INTERVAL);
        }
        self.looked().await;
        self.watchdog.alarms().iter().map(|alarm| (alarm.kind, alarm.since)).collect()
    }

    /// Returns once the watchdog waits for its next look.
    async fn looked(&self) {
        let next = self.clock.now().plus(INTERVAL);
        while self.clock.clock.next_wake() != Some(next) {
            tokio::task::yield_now().await;
        }
    }

    /// Adds a job that is due every minute from the first second on.
    async fn add(&self, id: &str) -> JobId {
        let definition = json!({
            "name": id,
            "schedule": { "kind": "every", "everyMs": 60_000, "anchorMs": t(1) },
            "payload": { "kind": "agentTurn", "message": "go" },
            "delivery": { "mode": "none" },
        });
        let definition = JobDefinition::parse(definition, T0).expect("a good job");
        let id: JobId = id.parse().expect("a job id");
        let state = JobState { next_run_at: Some(t(1)), ..JobState::default() };
        let job = Job { id: id.clone(), definition, created_at: T0, updated_at: T0, state };
        let slept = self.clock.slept.load(Ordering::SeqCst);
        self.store.insert_job(job).await.expect("the job is stored");
        self.slept_since(slept).await;
        id
    }

    async fn subscribe(&self) {
        let definition = json!({
            "url": "https://example.com/",
            "subscriptions": [{ "events": ["gateway.alarm", "gateway.alarm_cleared"] }],
        });
        let definition = DestinationDefinition::parse_stored(definition).expect("a good definition");
        let name = "pager".parse().expect("a name");
        let new = NewDestination { name, definition, declared_in: None, now: T0 };
        self.store.insert_destination(new).await.expect("it is stored").expect("the name is free");
    }

    /// The events that wait for the subscriber, once there are so many.
    async fn told(&self, count: usize) -> Vec<Value> {
        let mut told = Vec::new();
        while told.len() < count {
            tokio::task::yield_now().await;
            let now = self.clock.now();
            let open = self.store.open_queues(now).await.expect("the queues are told");
            let share = |queue: QueueNews| LeaseShare {
                destination: queue.destination,
                class: queue.class,
                most: 100,
                until: now.plus(Duration::from_secs(60)),
                probe: false,
            };
            let shares = open.queues.into_iter().map(share).collect();
            let batch = self.store.lease_deliveries(LeaseRequest { now, shares }).await.expect("a lease");
            for delivery in batch.leased {
                told.push(serde_json::from_slice(&delivery.body).expect("events are JSON"));
            }
        }
        told
    }
}

#[tokio::test]
async fn an_instant_without_a_record_is_an_alarm_within_the_grace_and_is_over_when_the_timer_goes_on() {
    let world = World::asleep().await;
    world.subscribe().await;
    let job = world.add("frozen").await;
    assert_eq!(world.pass(8).await, []);
    assert_eq!(world.pass(2).await, [(AlarmKind::Overdue, t(10))]);
    let sentence = format!("the job `{job}` was due at {}, and there is no record of it yet", t(1));
    assert_eq!(world.watchdog.problems(), std::slice::from_ref(&sentence));
    let told = world.told(1).await;
    assert_eq!(
        (&told[0]["type"], &told[0]["alarm"], &told[0]["detail"]),
        (&json!("gateway.alarm"), &json!("overdue"), &json!(sentence))
    );
    assert_eq!(world.pass(10).await, [(AlarmKind::Overdue, t(10))], "it is one alarm");

    world.wake();
    while world.store.overdue(world.clock.now()).await.unwrap().job.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.pass(2).await, []);
    let told = world.told(1).await;
    assert_eq!(
        (&told[0]["type"], &told[0]["alarm"], &told[0]["sinceMs"]),
        (&json!("gateway.alarm_cleared"), &json!("overdue"), &json!(t(10)))
    );
}

#[tokio::test]
async fn a_timer_that_does_not_look_is_an_alarm_although_nothing_is_due() {
    let world = World::asleep().await;
    assert_eq!(world.pass(38).await, []);
    assert_eq!(world.pass(2).await, [(AlarmKind::TimerSilent, t(40))]);
    world.wake();
    // It may look just before or just after the watchdog does.
    world.pass(2).await;
    assert_eq!(world.pass(2).await, []);
}

#[tokio::test]
async fn a_leap_of_the_clock_is_no_alarm_while_the_timer_has_its_time_to_notice() {
    let world = World::asleep().await;
    world.add("slept").await;
    world.looked().await;
    world.clock.clock.advance(Duration::from_secs(3600));
    assert_eq!(world.pass(36).await, []);
    let kinds: Vec<AlarmKind> = world.pass(4).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [AlarmKind::Overdue, AlarmKind::TimerSilent]);
}

#[tokio::test]
async fn jobs_that_are_not_to_run_are_not_late() {
    let world = World::with(EngineOptions { run_jobs_on_schedule: false, ..EngineOptions::default() });
    world.add("at-rest").await;
    assert_eq!(world.pass(20).await, []);
}

#[tokio::test]
async fn a_run_that_waits_too_long_for_a_slot_is_an_alarm_of_its_own() {
    let by_hand =
        EngineOptions { run_jobs_on_schedule: false, max_concurrent_runs: 1, ..EngineOptions::default() };
    let world = World::with(by_hand);
    for id in ["long", "waiting"] {
        let job = world.add(id).await;
        assert!(matches!(world.engine.run_now(&job).await.unwrap(), RunNow::Accepted(_)));
    }
    assert_eq!(world.pass(20).await, []);
    assert_eq!(world.pass(2).await, [(AlarmKind::Slots, t(22))]);
    let problem = world.watchdog.problems().remove(0);
    let began = format!("could have begun at {T0} and has no slot yet");
    assert!(problem.contains(&began) && problem.ends_with("may hold all 1 of them"), "{problem}");
}

#[tokio::test]
async fn a_run_that_falls_over_a_fault_of_ours_is_ended_and_raises_an_alarm_for_a_while() {
    let by_hand = EngineOptions { run_jobs_on_schedule: false, ..EngineOptions::default() };
    let world = World::with(by_hand);
    let job = world.add("falls").await;
    world.looked().await;
    world.runtime.is_trap.store(true, Ordering::SeqCst);
    let RunNow::Accepted(run) = world.engine.run_now(&job).await.unwrap() else { panic!("it is accepted") };
    let ended = loop {
        let record = world.store.run(run).await.unwrap().unwrap();
        if let RunProgress::Finished { outcome, .. } = record.run.progress {
            break outcome;
        }
        tokio::task::yield_now().await;
    };
    let error = ended.error.unwrap();
    assert!(error.message.contains("the gateway failed unexpectedly during the run"), "{}", error.message);
    assert_eq!(world.store.job(&job).await.unwrap().unwrap().state.open_runs, OpenRuns::default());
    assert_eq!(world.pass(2).await, [(AlarmKind::TaskPanicked("run"), t(2))]);
    assert_eq!(world.pass(304).await, []);
}
