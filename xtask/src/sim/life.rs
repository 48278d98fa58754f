//! One life of a gateway: engine and delivery on one runtime, from its start to its death.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_delivery::{
    AckLinks, DeliveryOptions, DeliveryService, KeyError, NoRandomness, RetrySchedule, SecretError,
    SigningKeyPair, SigningSecret, UnsendableToken,
};
use clawhook_engine::{
    Alarms, Audit, AuditOptions, Engine, EngineHandle, EngineOptions, Reaper, ReaperOptions, Watchdog,
    WatchdogOptions,
};
use clawhook_model::RetryRules;
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{Retention, Store, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::World;
use super::archive;
use super::climate::Climate;
use super::disk::Death;
use super::people::{self, Doors, People};
use super::promises::{self, Tally};

/// How long a gateway may take to stop in order.
const STOPS_WITHIN: Duration = Duration::from_mins(10);
/// How long what is late may take to be made up for.
const CATCHES_UP_WITHIN: Duration = Duration::from_hours(4);
/// How long nothing goes wrong before everything is looked at, and how often it is looked whether all has ended.
const CALM: Duration = Duration::from_hours(26);
const LOOK_AGAIN: Duration = Duration::from_secs(433);
/// How long everything may take to come to its end.
const SETTLES_WITHIN: Duration = Duration::from_hours(24 * 5);
/// What the watchdog and the audit are told: they look more seldom than in earnest, because every look costs time.
const WATCHED: WatchdogOptions =
    WatchdogOptions { grace: Duration::from_mins(30), slot_grace: Duration::from_mins(30) };
const AUDITED: AuditOptions =
    AuditOptions { page_rest: Duration::from_mins(1), walk_rest: Duration::from_mins(60) };
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Why a life could not be lived.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LifeError {
    #[error("no runtime can be made")]
    Runtime(#[from] io::Error),
    #[error("the store failed, and nothing was to go wrong with it")]
    Store(#[from] StoreError),
    #[error("what goes from the store cannot be put aside")]
    Archive(#[from] rusqlite::Error),
    #[error("the gateway's secret cannot be used")]
    Secret(#[from] SecretError),
    #[error("the gateway's key cannot be used")]
    Key(#[from] KeyError),
    #[error("the gateway's key cannot be made")]
    NoKey(#[from] NoRandomness),
    #[error("the gateway's token cannot be used")]
    Token(#[from] UnsendableToken),
}

/// How a life is to end.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// By `kill -9`.
    Killed,
    /// As its operator asks it to.
    Stopped,
}

/// A life that is to be lived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) lasts: Duration,
    pub(super) end: End,
    /// The commit at which it ends before its time, where there is one.
    pub(super) dies: Option<Death>,
}

/// A gateway at work.
struct Gateway {
    store: Arc<dyn Store>,
    engine: EngineHandle,
    shutdown: CancellationToken,
    alarms: Alarms,
    reaper: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Gateway {
    fn start(world: &World, climate: Climate, store: Arc<dyn Store>) -> Result<Self, LifeError> {
        let options = EngineOptions {
            max_concurrent_runs: usize::try_from(climate.longest_life_hours % 4).unwrap_or(0) + 1,
            run_jobs_on_schedule: true,
            shutdown_grace: Duration::from_secs(10),
            ..EngineOptions::default()
        };
        let (engine, handle) = Engine::new(
            store.clone(),
            world.clock.clone(),
            world.agents.clone(),
            world.host_zone.clone(),
            options,
        );
        let service = DeliveryService::new(
            store.clone(),
            world.clock.clone(),
            world.network.clone(),
            Arc::new(super::network::NoSecrets),
            delivery_options()?,
        )?;
        let shutdown = CancellationToken::new();
        let alarms = Alarms::default();
        let (watchdog, _) = Watchdog::new(&handle, alarms.clone(), WATCHED);
        let (reaper, _) = Reaper::new(store.clone(), world.clock.clone(), reaped(climate));
        let reaper = tokio::spawn(reaper.run(shutdown.clone()));
        let tasks = vec![
            tokio::spawn(engine.run(shutdown.clone())),
            tokio::spawn(service.run(shutdown.clone())),
            tokio::spawn(Audit::new(&handle, AUDITED).run(shutdown.clone())),
            tokio::spawn(watchdog.run(shutdown.clone())),
            tokio::spawn(alarms.clone().tell(store.clone(), world.clock.clone(), shutdown.clone())),
        ];
        Ok(Self { store, engine: handle, shutdown, alarms, reaper, tasks })
    }

    /// Stops in order; false where it does not.
    async fn stop(self) -> bool {
        self.shutdown.cancel();
        let all = async {
            for task in self.tasks.into_iter().chain([self.reaper]) {
                // A task that panicked has ended as well, and its work is missed at the end.
                task.await.ok();
            }
        };
        tokio::time::timeout(STOPS_WITHIN, all).await.is_ok()
    }
}

fn open_store(world: &World) -> Result<Arc<dyn Store>, LifeError> {
    let now = world.clock.now();
    let store = SqliteStore::open_inline(&world.store, "a simulation", now, world.disk.clone())?;
    archive::begin(&world.store)?;
    Ok(Arc::new(store))
}

/// What the reaper is told: it comes more seldom than in earnest. How little it keeps goes with how often people come.
fn reaped(climate: Climate) -> ReaperOptions {
    let hours = |hours| Some(Duration::from_hours(hours));
    let retention = match climate.people_rest_hours {
        // What was forgotten under a clock that is days ahead comes again once that is set right; so it keeps its ledger here,
        // and the promise is held without the exception.
        _ if climate.clock_steps_minutes > 24 * 60 => {
            Retention { session_max_age: hours(6), ..Retention::KEEP_ALL }
        }
        ..12 => Retention {
            session_max_age: hours(1),
            history_max_age: hours(6),
            runs_per_job: Some(2),
            max_bytes: Some(1),
        },
        12..48 => Retention {
            session_max_age: hours(6),
            history_max_age: hours(36),
            runs_per_job: Some(20),
            max_bytes: None,
        },
        _ => Retention::default(),
    };
    ReaperOptions {
        retention,
        first_after: Duration::from_mins(7),
        busy_rest: Duration::from_hours(1),
        idle_rest: Duration::from_hours(5),
    }
}

fn delivery_options() -> Result<DeliveryOptions, LifeError> {
    let retry = [5, 300, 1_800, 7_200].map(Duration::from_secs);
    Ok(DeliveryOptions {
        retry: RetryRules::of(RetrySchedule::new(retry.to_vec())),
        signing_secret: SigningSecret::parse(SECRET)?,
        signing_key: SigningKeyPair::generate()?,
        bearer_token: None,
        max_concurrent: 8,
        max_concurrent_per_destination: 4,
        pause_after: Duration::from_hours(24),
        disable_after: Duration::from_hours(24 * 5),
        ack_links: AckLinks::new("https://gateway.example".to_owned(), b"the key of a simulation"),
    })
}

/// Lives one life. What it tells is what it should not have done.
pub(super) fn live(
    world: &World,
    people: &mut People,
    climate: Climate,
    plan: Plan,
) -> Result<Option<String>, LifeError> {
    on_runtime(world, async {
        world.disk.begin(climate.disk_is_slow, None);
        let store = open_store(world)?;
        let miscounted = promises::counters(store.as_ref(), people.anybody()).await?;
        if miscounted.is_some() {
            return Ok(miscounted);
        }
        let gateway = Gateway::start(world, climate, store)?;
        people.return_to(&gateway.store).await?;
        world.returned(world.clock.now());
        world.disk.begin(climate.disk_is_slow, plan.dies);
        let doors = Doors { world, store: &gateway.store, engine: &gateway.engine };
        tokio::select! {
            biased;
            () = world.disk.death() => return Ok(None),
            () = people.act(&doors, climate) => {}
            () = tokio::time::sleep(plan.lasts) => {}
        }
        world.trace.note(world.clock.now(), format!("{:?}", plan.end));
        if gateway.tasks.iter().chain([&gateway.reaper]).any(JoinHandle::is_finished) {
            return Ok(Some("a task of the gateway ended by itself".to_owned()));
        }
        if matches!(plan.end, End::Killed) {
            return Ok(None);
        }
        tokio::select! {
            biased;
            () = world.disk.death() => Ok(None),
            stopped = gateway.stop() => Ok((!stopped).then(|| {
                format!("a gateway that was asked to stop had not stopped after {STOPS_WITHIN:?}")
            })),
        }
    })
}

/// The last life: after a last `storm` nothing goes wrong any more, all comes to its end, and the promises are looked at.
/// The process that went through the storm has to get well by itself.
pub(super) fn rest(
    world: &World,
    people: &mut People,
    climate: Climate,
    storm: Duration,
) -> Result<(Vec<String>, Tally), LifeError> {
    on_runtime(world, async {
        world.disk.begin(0, None);
        let gateway = Gateway::start(world, climate, open_store(world)?)?;
        people.return_to(&gateway.store).await?;
        world.returned(world.clock.now());
        world.disk.begin(climate.disk_is_slow, None);
        let doors = Doors { world, store: &gateway.store, engine: &gateway.engine };
        tokio::time::timeout(storm, people.act(&doors, climate)).await.ok();
        if climate.disk_fills {
            people.fill_disk(&doors).await?;
        }
        world.trace.note(world.clock.now(), "from now on nothing goes wrong");
        world.disk.calm();
        // The clock is right again: it never showed more than this.
        world.clock.set(world.clock.latest());
        world.agents.enter(climate.calm());
        world.network.enter(climate.calm());
        people.return_to(&gateway.store).await?;
        tokio::time::sleep(CATCHES_UP_WITHIN).await;
        let calm_since = world.clock.now();
        tokio::time::sleep(CALM).await;
        settle(&doors).await?;
        // The watchdog has to see that all is well; what began in the meantime has to end before all is looked at.
        tokio::time::sleep(LOOK_AGAIN).await;
        settle(&doors).await?;
        // What comes to light now is not to be forgotten again.
        gateway.reaper.abort();
        let mut broken = archive::put_back(&world.store)?;
        if !broken.is_empty() {
            return Ok((broken, Tally::default()));
        }
        let forgotten_after = reaped(climate).retention.history_max_age;
        let store = gateway.store.as_ref();
        let (found, tally) = promises::check(world, store, &people.jobs, calm_since, forgotten_after).await?;
        broken.extend(found);
        broken.extend(gateway.alarms.raised().into_iter().map(|alarm| format!("an alarm: {}", alarm.detail)));
        gateway.stop().await;
        Ok((broken, tally))
    })
}

/// Returns at an instant at which nothing is open, unless that does not come.
async fn settle(doors: &Doors<'_>) -> Result<(), LifeError> {
    let began = tokio::time::Instant::now();
    loop {
        people::resume_all(doors).await?;
        let counts = doors.store.counts(doors.now()).await?;
        let open = counts.runs_queued + counts.runs_running + counts.deliveries_open;
        if open == 0 || began.elapsed() > SETTLES_WITHIN {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Has the clock go with a runtime of its own, whose end nothing survives but the file and the world.
fn on_runtime<T>(world: &World, life: impl Future<Output = Result<T, LifeError>>) -> Result<T, LifeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        world.clock.start();
        let lived = life.await;
        world.clock.stop();
        lived
    })
}
