//! Agents that answer, fail, panic and hang, and a record of the turns that were begun.

use std::collections::HashMap;
use std::panic::panic_any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clawhook_agent::{Runtime, Turn, TurnResult, Work};
use clawhook_clock::Clock;
use clawhook_model::{ErrorReason, RunOutcome, SessionId};
use tokio_util::sync::CancellationToken;

use super::climate::Climate;
use super::clock::SimClock;
use super::trace::Trace;
use crate::chance::Chance;

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
    begun: HashMap<SessionId, u64>,
}

/// What an agent does with a turn.
enum Deed {
    Answers(Duration, &'static str),
    Fails(Duration, ErrorReason),
    Panics,
    /// Works until it is told to end.
    Hangs,
    /// Works on whatever it is told.
    Ignores,
}

impl Agents {
    pub(super) fn new(clock: Arc<SimClock>, trace: Arc<Trace>, chance: Chance, climate: Climate) -> Self {
        Self { clock, trace, state: Mutex::new(State { chance, climate, begun: HashMap::new() }) }
    }

    /// From now on things go wrong as in `climate`.
    pub(super) fn enter(&self, climate: Climate) {
        self.with(|state| state.climate = climate);
    }

    /// How often a turn was begun in each session.
    pub(super) fn begun(&self) -> HashMap<SessionId, u64> {
        self.with(|state| state.begun.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, job: &str, event: &str) {
        self.trace.note(self.clock.now(), format!("{job}: the agent {event}"));
    }
}

impl State {
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
            2 => Deed::Ignores,
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
        let job = match &turn.work {
            Work::Message { text, .. } => text.as_str(),
            Work::Command(_) => "a command",
        };
        self.note(job, "begins");
        let deed = self.with(|state| {
            *state.begun.entry(turn.session.id).or_default() += 1;
            state.deed()
        });
        let interrupted = || RunOutcome::error(ErrorReason::Interrupted, "the turn was cancelled");
        let outcome = match deed {
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
            Deed::Ignores => {
                tokio::time::sleep(Duration::from_hours(24 * 20)).await;
                RunOutcome::ok("at last")
            }
        };
        self.note(job, "ends");
        TurnResult { outcome, transcript: Vec::new() }
    }
}
