//! The disk under the store: slow, full, and the place where a process dies.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clawhook_clock::Clock;
use clawhook_store::{Fate, Faults, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::clock::SimClock;
use super::trace::Trace;
use crate::chance::Chance;

/// The disk of one simulated machine.
#[derive(Debug)]
pub(super) struct Disk {
    clock: Arc<SimClock>,
    trace: Arc<Trace>,
    state: Mutex<State>,
    dead: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    chance: Chance,
    slow: u64,
    full_until: Option<Instant>,
    dies: Option<Death>,
}

/// The commit at which a process dies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Death {
    /// How many commits pass before.
    pub(super) commits_left: u64,
    /// Whether the last one still counts.
    pub(super) after_commit: bool,
}

impl Disk {
    pub(super) fn new(clock: Arc<SimClock>, trace: Arc<Trace>, chance: Chance) -> Self {
        let state = State { chance, slow: 0, full_until: None, dies: None };
        Self { clock, trace, state: Mutex::new(state), dead: watch::Sender::new(false) }
    }

    /// A process begins. An operation of its store takes a while in `slow` of a hundred cases.
    pub(super) fn begin(&self, slow: u64, dies: Option<Death>) {
        self.with(|state| {
            state.slow = slow;
            state.dies = dies;
            state.full_until = None;
        });
        self.dead.send_replace(false);
    }

    /// Nothing goes wrong any more, once there is room again.
    pub(super) fn calm(&self) {
        self.with(|state| {
            state.slow = 0;
            state.dies = None;
        });
    }

    /// Takes nothing more for a while.
    pub(super) fn fill(&self, lasting: Duration) {
        self.with(|state| state.full_until = Some(Instant::now() + lasting));
    }

    /// Returns when the process has died at a commit.
    pub(super) async fn death(&self) {
        // The sender is ours.
        self.dead.subscribe().wait_for(|dead| *dead).await.ok();
    }

    fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn die(&self, operation: &str, place: &str) {
        self.trace.note(self.clock.now(), format!("the process dies {place} the commit of {operation}"));
        self.dead.send_replace(true);
    }
}

#[async_trait]
impl Faults for Disk {
    async fn wait(&self) {
        let pause = self.with(|state| {
            let slow = state.slow;
            let draw = state.chance.within(0..=99);
            match draw {
                _ if draw >= slow => Duration::ZERO,
                0 => Duration::from_millis(state.chance.within(100..=8_000)),
                _ => Duration::from_millis(state.chance.within(0..=20)),
            }
        });
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    fn read(&self) -> Fate {
        if self.is_dead() { Fate::Dead } else { Fate::Done }
    }

    fn before_commit(&self, operation: &'static str) -> Fate {
        if self.is_dead() {
            return Fate::Dead;
        }
        let is_full = self.with(|state| state.full_until.is_some_and(|until| Instant::now() < until));
        if is_full {
            self.trace.note(self.clock.now(), format!("{operation} fails: the disk is full"));
            return Fate::Failed(StoreError::Full("as simulated".to_owned()));
        }
        let dies_now = self.with(|state| {
            let Some(death) = &mut state.dies else { return false };
            let is_last = death.commits_left == 0;
            death.commits_left = death.commits_left.saturating_sub(1);
            is_last && !death.after_commit
        });
        if dies_now {
            self.die(operation, "before");
            return Fate::Dead;
        }
        self.trace.note(self.clock.now(), operation);
        Fate::Done
    }

    fn survives_commit(&self, operation: &'static str) -> bool {
        let dies_now =
            self.with(|state| state.dies.is_some_and(|death| death.commits_left == 0 && death.after_commit));
        if dies_now {
            self.die(operation, "after");
        }
        !dies_now
    }
}
