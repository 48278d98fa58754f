//! The proof that the gateway can be killed at any point.
//!
//! The cast: a [`Gateway`] lives many short lives on one store. Each ends by `kill -9`, at a random
//! moment or at a point just before or after a commit ([`points`]). While it lives, a [`Worker`] has it
//! do everything that writes, and notes what it promised ([`promises`]). A [`Receiver`] takes the
//! webhooks, misbehaves, and keeps a record. After each death the store is looked at as the death left it
//! ([`store_copy`]); after the last the gateway ends its work, and everything that is known must tell one story
//! ([`evidence`]).
//!
//! Not shown: what a power cut does. A killed process leaves what it wrote with the operating system, so this tells
//! of transactions and not of syncing.

mod api;
mod destinations;
mod evidence;
mod gateway;
mod points;
mod promises;
mod receiver;
mod recovery;
mod replaying;
mod store_copy;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clawhook_clock::{Clock, SystemClock};
use clawhook_model::UnixMs;
use rustix::process::{Resource, Rlimit, setrlimit};
use standardwebhooks::Webhook;

use self::api::Api;
use self::evidence::{Evidence, Tally};
use self::gateway::{Gateway, GatewayError, Place, Started};
use self::points::{Death, Deaths, OPERATIONS, PLACES, Point};
use self::receiver::Receiver;
use self::recovery::{Life, Recoveries};
use self::store_copy::{OpenDelivery, StoreCopy, StoreCopyError};
use self::work::Worker;
use crate::chance::Chance;
use crate::process::{self, ProcessError};
use crate::progress::{Progress, say};
use crate::workspace;

/// How long a life lasts whose point is not reached.
const POINT_WITHIN: Duration = Duration::from_millis(1500);
/// After each so many deaths the gateway stays dead for a while, so that instants are missed.
const ABSENT_EACH: usize = 8;
const ABSENT_FOR: Duration = Duration::from_millis(2300);
/// How long the last life goes on undisturbed before its jobs are switched off.
const CALM: Duration = Duration::from_secs(2);
/// How long everything may take to come to its end.
const DRAINED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How many violations are told.
const TOLD: usize = 20;

/// What is to be killed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// How often the gateway is killed
    #[arg(long, value_name = "N", default_value_t = 70)]
    kills: usize,
    /// Repeats the choices of an earlier test; a new seed is taken where it is left out
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// The longest life that ends at a random moment
    #[arg(long, value_name = "SECONDS", default_value_t = 0.8)]
    seconds_per_life: f64,
}

impl Options {
    /// What the gate asks for.
    pub(crate) fn for_the_gate() -> Self {
        Self { kills: 70, seed: None, seconds_per_life: 0.8 }
    }
}

/// Why it is not proven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrashError {
    #[error("clawhook could not be built")]
    Build(#[from] ProcessError),
    #[error("{what} can't be used")]
    System { what: &'static str, source: std::io::Error },
    #[error("`{0}` is no number of seconds to live")]
    Seconds(f64),
    #[error("the gateway did not live as it should")]
    Gateway(#[from] GatewayError),
    #[error("the store of the dead gateway can't be looked at")]
    Store(#[from] StoreCopyError),
    #[error(
        "{count} promises are broken; `cargo xtask crash --kills {kills} --seed {seed}` repeats the choices\n{told}"
    )]
    Broken { count: usize, kills: usize, seed: u64, told: String },
}

/// Kills the gateway as often as asked, and accounts for everything. What it wrote is kept only when it fails.
pub(crate) fn run(options: Options) -> Result<(), CrashError> {
    let progress = Progress::start();
    progress.step("Building clawhook with its failpoints");
    process::run(workspace::cargo().args(["build", "--package", "clawhook-cli"]))?;
    // A process that ends at a point leaves no core file behind: there are many, and they are large.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
    let folder = tempfile::Builder::new()
        .prefix("clawhook-crash-")
        .tempdir()
        .map_err(on("the folder for temporary files"))?;
    let outcome = Trial::set_up(options, progress, folder.path()).and_then(Trial::hold);
    if outcome.is_err() {
        progress
            .step(format_args!("Not proven. The store and the log are kept in {}", folder.keep().display()));
    }
    outcome
}

/// One test under way.
struct Trial {
    options: Options,
    seed: u64,
    progress: Progress,
    place: Place,
    receiver: Receiver,
    worker: Worker,
    deaths: Deaths,
    /// What was open when the gateway last died.
    open: Vec<OpenDelivery>,
    recoveries: Recoveries,
    reached: BTreeMap<(&'static str, &'static str), u32>,
    not_reached: BTreeSet<String>,
    random_kills: u32,
    /// When each life began.
    lives: Vec<UnixMs>,
}

impl Trial {
    fn set_up(options: Options, progress: Progress, folder: &Path) -> Result<Self, CrashError> {
        let seed = options.seed.unwrap_or_else(|| SystemClock.now().as_millis().unsigned_abs() % 1_000_000);
        progress.step(format_args!("Killing the gateway {} times, seed {seed}", options.kills));
        let longest = Duration::try_from_secs_f64(options.seconds_per_life)
            .map_err(|_| CrashError::Seconds(options.seconds_per_life))?;
        let place = Place::make(folder).map_err(on("the folder for temporary files"))?;
        let mut chance = Chance::new(seed);
        let verifier = Webhook::new(place.signing_secret).map_err(|error| CrashError::System {
            what: "the secret",
            source: std::io::Error::other(error),
        })?;
        let receiver = Receiver::start(seed, verifier).map_err(on("a port of this machine"))?;
        let markers = place.markers().display().to_string();
        let worker = Worker::new(chance.fork(), receiver.url(), markers);
        let deaths = Deaths::new(chance.fork(), longest, recovery::BOUND + Duration::from_millis(400));
        Ok(Self {
            options,
            seed,
            progress,
            place,
            receiver,
            worker,
            deaths,
            open: Vec::new(),
            recoveries: Recoveries::default(),
            reached: BTreeMap::new(),
            not_reached: BTreeSet::new(),
            random_kills: 0,
            lives: Vec::new(),
        })
    }

    fn hold(mut self) -> Result<(), CrashError> {
        self.first_life()?;
        for number in 1..=self.options.kills {
            let death = self.deaths.next(self.options.kills - number + 1);
            let what = self.live(&death)?;
            self.progress.note(format_args!("life {number:>3} of {}: {what}", self.options.kills));
            self.look_at_what_is_left()?;
            if number.is_multiple_of(ABSENT_EACH) {
                std::thread::sleep(ABSENT_FOR);
            }
        }
        self.last_life()?;
        self.account()
    }

    /// The life in which the jobs are made; it is killed like all others, and counts as none of them.
    fn first_life(&mut self) -> Result<(), CrashError> {
        let (mut gateway, _) = self.begin_life(None)?;
        if let Started::Listening(_, api) = gateway.wait_until_listening(false)? {
            self.worker.make_the_lasting_jobs(&api).map_err(on("the gateway's API"))?;
        }
        gateway.kill().map_err(on("the gateway's process"))?;
        self.look_at_what_is_left()
    }

    fn begin_life(&mut self, point: Option<&Point>) -> Result<(Gateway, UnixMs), CrashError> {
        let begun_at = SystemClock.now();
        self.lives.push(begun_at);
        self.worker.promises.destinations.begin_life();
        Ok((Gateway::start(&self.place, point)?, begun_at))
    }

    /// One life and its death. Says how it went.
    fn live(&mut self, death: &Death) -> Result<String, CrashError> {
        let point = match death {
            Death::At(point) => Some(point),
            Death::Kill(_) => None,
        };
        let requests_before = self.receiver.count();
        let (mut gateway, started_at) = self.begin_life(point)?;
        let (listening_since, api) = match gateway.wait_until_listening(point.is_some())? {
            Started::Listening(since, api) => (since, api),
            Started::DiedAtPoint => return Ok(self.note_point(point, true)),
        };
        let lifetime = match death {
            Death::Kill(time) => *time,
            Death::At(_) => POINT_WITHIN,
        };
        let ended = self.work_until_death(&mut gateway, &api, lifetime, point);
        let ended_at = SystemClock.now();
        let life = Life { started_at, listening_since, ended_at };
        self.measure(life, requests_before);
        match (ended, point) {
            (Some(status), Some(_)) if gateway::is_abort(status) => Ok(self.note_point(point, true)),
            (Some(status), _) => {
                let told =
                    format!("the gateway ended by itself, with {status}; see {}", self.place.log().display());
                self.worker.promises.broken.push(told);
                Ok("ended by itself".to_owned())
            }
            (None, _) => {
                gateway.kill().map_err(on("the gateway's process"))?;
                self.random_kills += 1;
                if point.is_some() {
                    return Ok(self.note_point(point, false));
                }
                Ok(format!("killed after {lifetime:?}"))
            }
        }
    }

    /// Measures how soon in a life that goes on which was open at the last death, but for what was cancelled meanwhile or
    /// goes to where nobody answers well, or to the steady destination in a life in which that was paused.
    fn measure(&mut self, life: Life, requests_before: usize) {
        let cancelled = &self.worker.promises.cancelled_events;
        let restless = self.worker.promises.destinations.restless;
        self.open.retain(|delivery| {
            let is_cancelled = cancelled.contains(&delivery.event_id);
            let is_refused = delivery.path.contains(receiver::DOWN);
            let may_be_paused = restless && delivery.path.ends_with(destinations::STEADY);
            !is_cancelled && !is_refused && !may_be_paused
        });
        self.recoveries.measure(life, &self.open, &self.receiver.requests_from(requests_before));
    }

    /// Has the worker work until the gateway died by itself, or has lived long enough.
    fn work_until_death(
        &mut self,
        gateway: &mut Gateway,
        api: &Api,
        lifetime: Duration,
        point: Option<&Point>,
    ) -> Option<std::process::ExitStatus> {
        let stop = AtomicBool::new(false);
        let worker = &mut self.worker;
        let (ended, died_at, work) = std::thread::scope(|scope| {
            let working = scope.spawn(|| worker.work(api, point.map(|point| point.operation), &stop));
            let ended = gateway.wait(lifetime);
            let died_at = Instant::now();
            if ended.is_none() {
                // It dies while the worker is still asking.
                gateway.kill_without_waiting();
            }
            stop.store(true, Ordering::SeqCst);
            (ended, died_at, working.join().unwrap_or(Ok(())))
        });
        match work {
            Err((gone_at, error)) if ended.is_none() && gone_at < died_at => {
                let told = format!("the gateway lived and did not answer: {error}");
                self.worker.promises.broken.push(told);
            }
            _ => {}
        }
        ended
    }

    fn note_point(&mut self, point: Option<&Point>, was_reached: bool) -> String {
        let Some(point) = point else { return String::new() };
        if was_reached {
            *self.reached.entry((point.operation, point.place)).or_default() += 1;
            return format!("died at {point}");
        }
        self.not_reached.insert(point.to_string());
        self.deaths.try_again(*point);
        format!("did not reach {point}, and was killed")
    }

    /// Looks at the store as the death left it, and gives up at the first promise that is broken.
    fn look_at_what_is_left(&mut self) -> Result<(), CrashError> {
        let store = StoreCopy::take(&self.place)?;
        self.open = store.open_deliveries()?;
        let mut broken = std::mem::take(&mut self.worker.promises.broken);
        broken.extend(store.broken_promises()?);
        self.fail_if(&broken)
    }

    /// Restarts for good: everything comes to its end, and the gateway ends when it is asked to.
    fn last_life(&mut self) -> Result<(), CrashError> {
        self.progress.step("Restarting for good, until everything has come to its end");
        let requests_before = self.receiver.count();
        let (mut gateway, started_at) = self.begin_life(None)?;
        let Started::Listening(listening_since, api) = gateway.wait_until_listening(false)? else {
            return Ok(());
        };
        let on_api = || on("the gateway's API");
        self.worker.look_around(&api).map_err(on_api())?;
        self.worker.resume_the_steady_destination(&api).map_err(on_api())?;
        std::thread::sleep(CALM);
        self.worker.end_the_jobs(&api).map_err(on_api())?;
        let life = Life { started_at, listening_since, ended_at: SystemClock.now() };
        self.measure(life, requests_before);
        // What was cancelled is no loss: a replay brings all of it back.
        self.worker.replay_what_was_cancelled(&api).map_err(on_api())?;
        self.wait_until_drained(&api).map_err(on_api())?;
        self.ask_for_accepted_runs(&api).map_err(on_api())?;
        self.ask_for_accepted_replays(&api).map_err(on_api())?;
        gateway.stop()?;
        Ok(())
    }

    fn wait_until_drained(&mut self, api: &Api) -> std::io::Result<()> {
        let started = Instant::now();
        let mut told = Instant::now();
        loop {
            let status = api.get("/api/v1/status")?.body;
            let left = [
                status["jobs"]["nextRunAtMs"].as_i64().map_or(0, |_| 1),
                status["runs"]["queued"].as_i64().unwrap_or(-1),
                status["runs"]["running"].as_i64().unwrap_or(-1),
                status["deliveries"]["open"].as_i64().unwrap_or(-1),
                status["replays"]["running"].as_i64().unwrap_or(-1),
            ];
            if left == [0; 5] {
                if status["healthy"] != true {
                    self.worker
                        .promises
                        .broken
                        .push(format!("at the end the gateway is not healthy: {status}"));
                }
                return Ok(());
            }
            if started.elapsed() > DRAINED_WITHIN {
                let told = format!("it did not come to its end within {DRAINED_WITHIN:?}: {status}");
                self.worker.promises.broken.push(told);
                return Ok(());
            }
            if told.elapsed() > Duration::from_secs(5) {
                self.progress.note(format_args!(
                    "{} runs and {} deliveries to go",
                    left[1] + left[2],
                    left[3]
                ));
                told = Instant::now();
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// What was accepted is shown as finished and delivered by the API, too.
    fn ask_for_accepted_runs(&mut self, api: &Api) -> std::io::Result<()> {
        for accepted in &self.worker.promises.accepted_runs {
            let run = api.get(&format!("/api/v1/runs/{}", accepted.run_id))?;
            let is_right =
                run.status == 200 && run.body["state"] == "finished" && run.body["delivered"] == true;
            if !is_right {
                self.worker.promises.broken.push(format!(
                    "the run {} of `{}` was accepted, and the API shows {} {}",
                    accepted.run_id, accepted.job, run.status, run.body
                ));
            }
        }
        Ok(())
    }

    /// Each replay that was accepted has ended as it should, and all that it queued has arrived.
    fn ask_for_accepted_replays(&mut self, api: &Api) -> std::io::Result<()> {
        let promises = &mut self.worker.promises;
        for accepted in &promises.accepted_replays {
            let shown = api.get(&format!("/api/v1/replays/{}", accepted.id))?;
            promises.broken.extend(accepted.compare(shown.status, &shown.body));
        }
        Ok(())
    }

    fn account(mut self) -> Result<(), CrashError> {
        self.progress.step("Accounting for everything");
        let store = StoreCopy::take(&self.place)?;
        let requests = self.receiver.requests_from(0);
        let mut broken = std::mem::take(&mut self.worker.promises.broken);
        broken.extend(store.broken_promises()?);
        let evidence =
            Evidence::gather(&store, &self.place.markers(), &self.worker.promises, &requests, &self.lives)?;
        broken.extend(evidence.examine());
        broken.append(&mut self.recoveries.late);
        let tally = evidence.tally();
        self.show(tally);
        self.fail_if(&broken)
    }

    fn show(&mut self, tally: Tally) {
        let points = OPERATIONS.len() * PLACES.len();
        let at_points: u32 = self.reached.values().sum();
        say("");
        let row = |name: &str, value: std::fmt::Arguments<'_>| say(format_args!("  {name:<22} {value}"));
        row(
            "kills",
            format_args!(
                "{}: {at_points} at a point, {} at a moment",
                at_points + self.random_kills,
                self.random_kills
            ),
        );
        row("points reached", format_args!("{} of {points}", self.reached.len()));
        for operation in OPERATIONS {
            let [before, after] =
                PLACES.map(|place| self.reached.get(&(operation, place)).copied().unwrap_or(0));
            row("", format_args!("{operation:<18} {before} before and {after} after the commit"));
        }
        row(
            "due instants",
            format_args!("{} ran, {} skipped, {} missed", tally.ran, tally.skipped, tally.missed),
        );
        row("runs", format_args!("{}, {} of them asked for by hand", tally.runs, tally.manual_runs));
        row("interrupted runs", format_args!("{}", tally.interrupted_runs));
        row("commands executed", format_args!("{}", tally.executions));
        row("events", format_args!("{}, all delivered by {} requests", tally.events, tally.requests));
        row("sent once more", format_args!("{} deliveries that replays made", tally.sent_again));
        row("interrupted attempts", format_args!("{}", tally.interrupted_attempts));
        row(
            "duplicates",
            format_args!("{}, {} of them after a 2xx", tally.duplicates, tally.duplicates_after_2xx),
        );
        let median = self.recoveries.median();
        let (longest, event) = self.recoveries.longest();
        let (seen, unseen) = (self.recoveries.count(), self.recoveries.cut_short);
        row(
            "going on after a kill",
            format_args!(
                "median {median:?}, at most {longest:?} ({event}), in {seen} cases; {unseen} died again first"
            ),
        );
        for point in &self.not_reached {
            row("not reached", format_args!("{point}"));
        }
        say("");
    }

    fn fail_if(&self, broken: &[String]) -> Result<(), CrashError> {
        if broken.is_empty() {
            return Ok(());
        }
        let mut told: Vec<String> = broken.iter().take(TOLD).map(|why| format!("  - {why}")).collect();
        if broken.len() > TOLD {
            told.push(format!("  - and {} more", broken.len() - TOLD));
        }
        let Options { kills, .. } = self.options;
        Err(CrashError::Broken { count: broken.len(), kills, seed: self.seed, told: told.join("\n") })
    }
}

fn on(what: &'static str) -> impl FnOnce(std::io::Error) -> CrashError {
    move |source| CrashError::System { what, source }
}
