//! The proof by many simulated days: engine, store and delivery live through whatever a seed has in store for them, on
//! a clock, a disk, a network and agents that are simulated.
//!
//! The cast: a [`World`] is one simulated machine and what surrounds it: its [`SimClock`], its [`Disk`], the [`Network`]
//! and the [`Agents`]. The gateway in it is the real one, and lives many lives ([`life`]) on one store; each ends at a
//! commit, at any moment, or in order. [`People`] use it, and note what is to be expected of each job ([`jobs`]). When
//! the days are over nothing goes wrong any more, all comes to its end, and everything that is known is held against the
//! promises ([`promises`]).
//!
//! Time is the runtime's own, which jumps to the next timer whenever nothing is left to do. All chance comes from one
//! seed, and nothing runs on a second thread, so a seed always tells the same story: that is what makes a failure worth
//! having. The [`Trace`] shows it.
//!
//! Not shown: what threads, group commits and power cuts do to the store, and what a real network does. `crash` and the
//! store's own tests are for that.

mod agents;
mod archive;
mod climate;
mod clock;
mod disk;
mod failures;
mod jobs;
mod life;
mod network;
mod people;
mod promises;
mod told;
mod trace;

use std::io;
use std::ops::RangeInclusive;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use clawhook_clock::{Clock, SystemClock};
use clawhook_model::{UnixMs, seed_ids};
use jiff::tz::TimeZone;

use self::agents::{Agents, SimulatedPanic};
use self::climate::Climate;
use self::clock::SimClock;
use self::disk::{Death, Disk};
use self::life::{End, LifeError, Plan};
use self::network::Network;
use self::people::People;
use self::promises::Tally;
use self::trace::Trace;
use crate::chance::Chance;
use crate::progress::Progress;

/// Instants at which simulations begin, in seconds: a quiet one, and some shortly before clocks are changed.
const BEGINNINGS: [i64; 5] = [1_771_372_800, 1_772_841_600, 1_774_483_200, 1_792_713_600, 1_793_318_400];
/// How many violations are told.
const TOLD: usize = 20;
/// Seeds that the gate always looks at.
const FIXED_SEEDS: RangeInclusive<u64> = 1..=4;
/// How many days the gate simulates with each seed, and for how long.
const GATE_DAYS: u64 = 20;
const GATE_SECONDS: u64 = 12;

/// What is to be simulated.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// The first seed; a new one is taken where it is left out. Given without `--seconds`, it is the only one
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// How many days are simulated with each seed
    #[arg(long, value_name = "N", default_value_t = GATE_DAYS)]
    days: u64,
    /// For how long seed after seed is tried; a minute where neither this nor a seed is given
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Tells every event as it happens; for one seed
    #[arg(long, requires = "seed", conflicts_with = "seconds")]
    trace: bool,
}

/// Why it is not proven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimError {
    #[error("{what} can't be used")]
    System { what: &'static str, source: io::Error },
    #[error(
        "a life of seed {seed} could not be lived; `cargo xtask sim --seed {seed} --days {days}` repeats it\n{tail}"
    )]
    Life { seed: u64, days: u64, tail: String, source: LifeError },
    #[error(
        "{count} promises are broken; `cargo xtask sim --seed {seed} --days {days}` repeats it\n{told}\nthe last events:\n{tail}"
    )]
    Broken { count: usize, seed: u64, days: u64, told: String, tail: String },
}

/// What a seed brought that broke no promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Story {
    digest: u64,
    events: u64,
    lives: u64,
    tally: Tally,
}

/// Whether every event is told as it happens.
#[derive(Debug, Clone, Copy)]
struct Aloud(bool);

/// One simulated machine and what surrounds it.
pub(crate) struct World {
    clock: Arc<SimClock>,
    trace: Arc<Trace>,
    disk: Arc<Disk>,
    network: Network,
    agents: Arc<Agents>,
    host_zone: TimeZone,
    /// The store's file.
    store: PathBuf,
    climate: Climate,
    /// When a gateway came back.
    comebacks: Mutex<Vec<UnixMs>>,
}

impl World {
    /// Notes that a gateway is there again.
    fn returned(&self, at: UnixMs) {
        self.comebacks.lock().unwrap_or_else(PoisonError::into_inner).push(at);
    }

    /// Whether a gateway came back after an instant, and by another.
    fn was_away_between(&self, after: UnixMs, by: UnixMs) -> bool {
        let comebacks = self.comebacks.lock().unwrap_or_else(PoisonError::into_inner);
        comebacks.iter().any(|at| after < *at && *at <= by)
    }
}

/// Simulates until the time is over, or a promise is broken.
pub(crate) fn run(options: Options) -> Result<(), SimError> {
    let progress = Progress::start();
    let only = options.seed.filter(|_| options.seconds.is_none());
    if let Some(seed) = only {
        progress.step(format_args!("Simulating {} days with seed {seed}", options.days));
        let story = simulate(seed, options.days, Aloud(options.trace))?;
        tell(progress, &[story], options.days);
        return Ok(());
    }
    let first = options.seed.unwrap_or_else(fresh_seed);
    let lasting = Duration::from_secs(options.seconds.unwrap_or(60));
    progress.step(format_args!(
        "Simulating {} days with each seed from {first} on, for {lasting:?}",
        options.days
    ));
    let stories = simulate_each(first..=u64::MAX, options.days, lasting)?;
    tell(progress, &stories, options.days);
    Ok(())
}

/// What the gate asks for: a few seeds that are always the same, and new ones for as long as there is time.
pub(crate) fn run_for_the_gate() -> Result<(), SimError> {
    let progress = Progress::start();
    progress.step(format_args!("Simulating {GATE_DAYS} days with each of the seeds {FIXED_SEEDS:?}"));
    let fixed = simulate_each(FIXED_SEEDS, GATE_DAYS, Duration::MAX)?;
    tell(progress, &fixed, GATE_DAYS);
    run(Options { seed: None, days: GATE_DAYS, seconds: Some(GATE_SECONDS), trace: false })
}

fn fresh_seed() -> u64 {
    Chance::new(SystemClock.now().as_millis().unsigned_abs()).within(1..=999_999_999)
}

fn tell(progress: Progress, stories: &[Story], days: u64) {
    let sum = |of: fn(&Story) -> u64| stories.iter().map(of).sum::<u64>();
    let count = |of: fn(&Tally) -> usize| stories.iter().map(|story| of(&story.tally)).sum::<usize>();
    progress.note(format_args!(
        "{} seeds, {} days, {} lives, {} instants, {} runs, {} deliveries in {} requests, {} events",
        stories.len(),
        days * u64::try_from(stories.len()).unwrap_or(0),
        sum(|story| story.lives),
        count(|tally| tally.occurrences),
        count(|tally| tally.runs),
        count(|tally| tally.deliveries),
        sum(|story| story.tally.requests),
        sum(|story| story.events),
    ));
    if let [story] = stories {
        progress.note(format_args!("the digest of its events is {:016x}", story.digest));
    }
}

/// Tries seed after seed on every processor, until the time or the seeds are used up.
fn simulate_each(seeds: RangeInclusive<u64>, days: u64, lasting: Duration) -> Result<Vec<Story>, SimError> {
    let began = Instant::now();
    let (next, stop) = (AtomicU64::new(*seeds.start()), AtomicBool::new(false));
    let stories = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let failed = std::thread::scope(|scope| {
        let work = || -> Result<(), SimError> {
            while began.elapsed() < lasting && !stop.load(Ordering::SeqCst) {
                let seed = next.fetch_add(1, Ordering::SeqCst);
                if !seeds.contains(&seed) {
                    break;
                }
                let story = simulate(seed, days, Aloud(false));
                if story.is_err() {
                    stop.store(true, Ordering::SeqCst);
                }
                stories.lock().unwrap_or_else(PoisonError::into_inner).push(story?);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let ends =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ends.collect::<Vec<_>>().into_iter().find_map(Result::err)
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(stories.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Simulates so many days, all of whose chance comes from `seed`.
fn simulate(seed: u64, days: u64, aloud: Aloud) -> Result<Story, SimError> {
    keep_quiet_about_simulated_panics();
    let folder = tempfile::Builder::new()
        .prefix("clawhook-sim-")
        .tempdir()
        .map_err(|source| SimError::System { what: "a folder for the store", source })?;
    let mut chance = Chance::new(seed);
    seed_ids(Some(chance.draw()));
    let climate = Climate::of(&mut chance);
    let beginning = chance.pick(&BEGINNINGS).copied().unwrap_or_default();
    let clock = Arc::new(SimClock::at(UnixMs::from_millis(beginning * 1000)));
    let trace = Arc::new(Trace::new(aloud.0));
    let world = World {
        disk: Arc::new(Disk::new(clock.clone(), trace.clone(), chance.fork())),
        network: Network::new(clock.clone(), trace.clone(), chance.fork(), climate),
        agents: Arc::new(Agents::new(clock.clone(), trace.clone(), chance.fork(), climate)),
        host_zone: TimeZone::UTC,
        store: folder.path().join("sim.db"),
        climate,
        comebacks: Mutex::default(),
        clock,
        trace,
    };
    let story = live_through(&world, &mut chance, climate, days);
    seed_ids(None);
    let (broken, lives, tally) =
        story.map_err(|source| SimError::Life { seed, days, tail: world.trace.tail(), source })?;
    if broken.is_empty() {
        let (digest, events) = (world.trace.digest(), world.trace.events());
        return Ok(Story { digest, events, lives, tally });
    }
    let told: Vec<&str> = broken.iter().map(String::as_str).take(TOLD).collect();
    let told = told.join("\n");
    Err(SimError::Broken { count: broken.len(), seed, days, told, tail: world.trace.tail() })
}

/// Life after life until the days are over, and then a quiet one.
fn live_through(
    world: &World,
    chance: &mut Chance,
    climate: Climate,
    days: u64,
) -> Result<(Vec<String>, u64, Tally), LifeError> {
    let mut people = People::new(chance.fork());
    let mut left = Duration::from_hours(24 * days);
    let (mut lives, mut broken) = (1, Vec::new());
    while !left.is_zero() {
        let plan = plan(chance, climate, left);
        let before = world.clock.now();
        world.trace.note(before, "a gateway starts");
        broken.extend(life::live(world, &mut people, climate, plan)?);
        let downtime = Duration::from_secs(chance.within(0..=climate.longest_downtime_minutes * 60));
        world.clock.set(world.clock.now().plus(downtime));
        left = left.saturating_sub(plan.lasts + downtime);
        lives += 1;
    }
    let storm = Duration::from_hours(chance.within(0..=1) * chance.within(1..=48));
    let (found, tally) = life::rest(world, &mut people, climate, storm)?;
    broken.extend(found);
    Ok((broken, lives, tally))
}

fn plan(chance: &mut Chance, climate: Climate, left: Duration) -> Plan {
    let lasts = Duration::from_millis(chance.within(1..=climate.longest_life_hours * 3_600_000)).min(left);
    let dies = (chance.within(0..=99) < climate.dies_at_commits).then(|| {
        let commits = climate.longest_life_hours * 8;
        Death { commits_left: chance.within(0..=commits), after_commit: chance.within(0..=1) == 1 }
    });
    let end = if chance.within(0..=99) < climate.stops_in_order { End::Stopped } else { End::Killed };
    Plan { lasts, end, dies }
}

/// The panics of simulated agents belong to the story. All others are reported as ever.
fn keep_quiet_about_simulated_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.payload().is::<SimulatedPanic>() {
                report(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_the_same_story_each_time_and_another_seed_another() {
        let story = |seed| simulate(seed, 4, Aloud(false)).expect("no promise is broken");
        assert_eq!(story(11), story(11));
        assert_ne!(story(11).digest, story(12).digest);
    }
}
