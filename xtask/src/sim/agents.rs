//! Agents that answer, fail, panic and hang, and a record of the turns that were begun.

use std::collections::{BTreeSet, HashMap};
use std::panic::panic_any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clawhook_agent::{Runtime, Turn, TurnResult, Work};
use clawhook_clock::Clock;
use clawhook_model::{ErrorReason, RunOutcome, RunStatus, SessionId};
use tokio_util::sync::CancellationToken;

use super::climate::Climate;
use super::clock::SimClock;
use super::trace::Trace;
use crate::chance::Chance;

/// How the key of an agent's main session ends; its turns are many, of many runs.
pub(super) const MAIN_SESSION: &str = ":main";

/// What a simulated agent panics with, so that nobody reports it as a fault of the simulation.
#[derive(Debug)]
pub(super) struct SimulatedPanic;

/// The agents of one simulation.
#[derive(Debug)]
pub(super) struct Agents {
    clock: Arc<SimClock>,
    trace: Arc<Trace>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chance: Chance,
    climate: Climate,
    begun: HashMap<SessionId, Begun>,
    /// How many turns were begun in all.
    turns: u64,
    under_way: Vec<UnderWay>,
    beside: BTreeSet<String>,
    /// The texts that each turn of a main session was told of, by its reply.
    told: HashMap<String, Vec<String>>,
}

/// What is known of the turns of one session.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Begun {
    /// How many there were.
    pub(super) turns: u64,
    /// The place of the last among all turns.
    pub(super) place: u64,
}

/// A turn that goes on.
#[derive(Debug)]
struct UnderWay {
    job: String,
    number: u64,
    cancel: CancellationToken,
}

/// Notes the end of a turn, however it ends.
struct Leaving<'a> {
    agents: &'a Agents,
    number: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.agents.with(|state| state.under_way.retain(|turn| turn.number != self.number));
    }
}

/// What an agent does with a turn.
enum Deed {
    Answers(Duration, &'static str),
    Fails(Duration, ErrorReason),
    Panics,
    /// Works until it is told to end.
    Hangs,
    /// Works on for so long, whatever it is told.
    Ignores(Duration),
}

impl Agents {
    pub(super) fn new(clock: Arc<SimClock>, trace: Arc<Trace>, chance: Chance, climate: Climate) -> Self {
        let state = State {
            chance,
            climate,
            begun: HashMap::new(),
            turns: 0,
            under_way: Vec::new(),
            beside: BTreeSet::new(),
            told: HashMap::new(),
        };
        Self { clock, trace, state: Mutex::new(state) }
    }

    /// From now on things go wrong as in `climate`.
    pub(super) fn enter(&self, climate: Climate) {
        self.with(|state| state.climate = climate);
    }

    /// The turns that were begun in each session.
    pub(super) fn begun(&self) -> HashMap<SessionId, Begun> {
        self.with(|state| state.begun.clone())
    }

    /// The jobs of which a turn was begun while another went on that nobody had told to end.
    pub(super) fn beside(&self) -> BTreeSet<String> {
        self.with(|state| state.beside.clone())
    }

    /// The texts that each turn of a main session was told of, by its reply, which no other turn has.
    pub(super) fn told(&self) -> HashMap<String, Vec<String>> {
        self.with(|state| state.told.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, job: &str, event: &str) {
        self.trace.note(self.clock.now(), format!("{job}: the agent {event}"));
    }
}

impl State {
    /// Begins a turn, in a session of its own or in one that is kept. Gives its number, and what is done.
    fn begin(&mut self, job: &str, own: Option<SessionId>, cancel: CancellationToken) -> (u64, Deed) {
        self.turns += 1;
        if let Some(session) = own {
            let begun = self.begun.entry(session).or_default();
            *begun = Begun { turns: begun.turns + 1, place: self.turns };
        }
        if self.under_way.iter().any(|turn| turn.job == job && !turn.cancel.is_cancelled()) {
            self.beside.insert(job.to_owned());
        }
        self.under_way.push(UnderWay { job: job.to_owned(), number: self.turns, cancel });
        (self.turns, self.deed())
    }

    fn deed(&mut self) -> Deed {
        let seconds = self.chance.within(0..=self.climate.longest_turn_minutes * 60);
        let lasts = Duration::from_millis(seconds * 1000 + self.chance.within(0..=999));
        if self.chance.within(0..=99) >= self.climate.turns_fail {
            let words = ["done", "done", "done", "all is well", "NO_REPLY", ""];
            return Deed::Answers(lasts, self.chance.pick(&words).copied().unwrap_or("done"));
        }
        match self.chance.within(0..=9) {
            0 => Deed::Panics,
            1 => Deed::Hangs,
            2 => Deed::Ignores(Duration::from_mins(self.chance.within(1..=12) * self.chance.within(1..=120))),
            3..=5 => Deed::Fails(lasts, ErrorReason::RateLimit),
            6 => Deed::Fails(lasts, ErrorReason::Network),
            7 => Deed::Fails(lasts, ErrorReason::Auth),
            _ => Deed::Fails(lasts, ErrorReason::ServerError),
        }
    }
}

#[async_trait]
impl Runtime for Agents {
    async fn run_turn(&self, turn: Turn, cancel: CancellationToken) -> TurnResult {
        let text = match &turn.work {
            Work::Message(message) => message.text.as_str(),
            Work::Command(_) => "a command",
        };
        // A turn of a main session is asked last what its job says, behind the texts that wait there.
        let job = text.lines().last().unwrap_or_default();
        self.note(job, "begins");
        let is_main = turn.session.key.ends_with(MAIN_SESSION);
        let (own, token) = ((!is_main).then_some(turn.session.id), cancel.clone());
        let (number, deed) = self.with(|state| state.begin(job, own, token));
        let _leaving = Leaving { agents: self, number };
        let reply = is_main.then(|| format!("turn-{number}"));
        if let Some(reply) = &reply {
            let told = text.lines().filter_map(|line| Some(line.strip_prefix("- ")?.split_once("] ")?.0));
            let told = told.map(|label| format!("{label}]")).collect();
            self.with(|state| state.told.insert(reply.clone(), told));
        }
        let interrupted = || RunOutcome::error(ErrorReason::Interrupted, "the turn was cancelled");
        let mut outcome = match deed {
            Deed::Answers(after, text) => tokio::select! {
                biased;
                () = cancel.cancelled() => interrupted(),
                () = tokio::time::sleep(after) => RunOutcome::ok(text),
            },
            Deed::Fails(after, reason) => tokio::select! {
                biased;
                () = cancel.cancelled() => interrupted(),
                () = tokio::time::sleep(after) => RunOutcome::error(reason, "as simulated"),
            },
            Deed::Panics => panic_any(SimulatedPanic),
            Deed::Hangs => {
                cancel.cancelled().await;
                interrupted()
            }
            Deed::Ignores(after) => {
                tokio::time::sleep(after).await;
                RunOutcome::ok("at last")
            }
        };
        if let (RunStatus::Ok, Some(reply)) = (outcome.status, reply) {
            outcome.summary = Some(reply);
        }
        self.note(job, "ends");
        TurnResult::of(outcome)
    }
}
