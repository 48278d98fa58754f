//! Who sends next: deficit round robin over destinations.
//!
//! The cast: each destination with something to send has a [`Lane`], which knows what is due for it, how many requests
//! are under way to it, its rate limit and its circuit [`Breaker`](breaker::Breaker). The [`Scheduler`] serves the lanes
//! that can go now in turn, a few deliveries each, and keeps those that can go later by their instant. It holds no
//! deliveries: what waits stays in the store, and a lane that may not go costs nothing.
//!
//! It is a value and not a task: the service tells it what happened, and asks what to lease.
//!
//! Not guaranteed: that its view of a queue is exact. It may ask a queue that has nothing, and is then told so; it never
//! overlooks one, because the store tells of everything that a queue gets.

mod breaker;
mod lane;
mod rate;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use clawhook_model::{DestinationId, UnixMs};
use clawhook_store::{QueueClass, QueueNews};

pub(crate) use breaker::Switched;
pub(crate) use lane::PROBE_PAUSED_EVERY;
use lane::{Given, Lane, Place};

/// How many deliveries a lane gets in its turn.
const QUANTUM: usize = 4;
/// Of how many places in all one is kept for first tries, so that a storm of retries leaves room.
const KEPT_FOR_FIRST_TRIES: usize = 4;
/// From how many lanes on those that have nothing to say are forgotten.
const MANY_LANES: usize = 4_096;

/// How much may be sent to one destination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LaneLimits {
    /// Requests under way at once, at least 1.
    pub(crate) max_concurrent: usize,
    /// Requests a second.
    pub(crate) per_second: Option<f64>,
}

/// Whether a destination is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    Yes,
    No,
    /// One delivery from time to time, to find out whether it is well again.
    Probe {
        every: Duration,
        next_at: UnixMs,
    },
}

/// How an attempt ended, as far as the next ones to its destination are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It arrived.
    Well,
    /// The destination refused this event, and would take others.
    Answered,
    /// The destination wants no event any more, and has been halted for it.
    Gone,
    /// The destination is there and wants less, perhaps nothing for a while.
    Throttled { hold_until: Option<UnixMs> },
    /// The destination failed, and perhaps asked to be left alone for a while.
    Badly { hold_until: Option<UnixMs> },
    /// The fault is ours; it says nothing of the destination.
    OwnFault,
}

impl Ended {
    /// Whether the destination is there: such an end closes its circuit.
    pub(crate) fn shows_life(self) -> bool {
        matches!(self, Self::Well | Self::Answered | Self::Gone | Self::Throttled { .. })
    }
}

/// What is to be leased from one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) destination: DestinationId,
    pub(crate) class: QueueClass,
    pub(crate) most: usize,
    pub(crate) probe: bool,
}

#[derive(Debug)]
pub(crate) struct Scheduler {
    max_concurrent: usize,
    lanes: HashMap<DestinationId, Lane>,
    round: VecDeque<DestinationId>,
    alarms: BTreeSet<(UnixMs, DestinationId)>,
    crowded: Vec<DestinationId>,
    under_way: usize,
    retries_under_way: usize,
}

impl Scheduler {
    pub(crate) fn new(max_concurrent: usize) -> Self {
        Self {
            max_concurrent,
            lanes: HashMap::new(),
            round: VecDeque::new(),
            alarms: BTreeSet::new(),
            crowded: Vec::new(),
            under_way: 0,
            retries_under_way: 0,
        }
    }

    /// Whether the destination has a lane.
    pub(crate) fn knows(&self, destination: DestinationId) -> bool {
        self.lanes.contains_key(&destination)
    }

    /// Gives the destination a lane, or takes over what has changed about it.
    pub(crate) fn configure(
        &mut self,
        destination: DestinationId,
        limits: LaneLimits,
        sending: Sending,
        now: UnixMs,
    ) {
        match self.lanes.get_mut(&destination) {
            Some(lane) => lane.configure(limits, sending, now),
            None => {
                self.forget_the_quiet();
                self.lanes.insert(destination, Lane::new(limits, sending, now));
            }
        }
        self.settle(destination, now);
    }

    fn forget_the_quiet(&mut self) {
        if self.lanes.len() >= MANY_LANES {
            self.lanes.retain(|_, lane| lane.place != Place::Off || !lane.is_forgettable());
        }
    }

    /// A queue has got something.
    pub(crate) fn has_news(&mut self, news: QueueNews, now: UnixMs) {
        if let Some(lane) = self.lanes.get_mut(&news.destination) {
            lane.has_news(news.class, news.at);
            self.settle(news.destination, now);
        }
    }

    /// What to lease now, `room` deliveries at most. That much counts as under way until [`Scheduler::leased`] tells
    /// how much there was.
    pub(crate) fn plan(&mut self, now: UnixMs, room: usize) -> Vec<Grant> {
        self.ring(now);
        let mut room = room.min(self.max_concurrent.saturating_sub(self.under_way));
        let mut grants: Vec<Grant> = Vec::new();
        while room > 0 {
            let Some(destination) = self.round.pop_front() else { break };
            let retry_room = self.retry_room();
            let Some(lane) = self.lanes.get_mut(&destination) else { continue };
            lane.place = Place::Off;
            let turn = if lane.turn_left > 0 { lane.turn_left } else { QUANTUM };
            let given = lane.give(now, turn.min(room), retry_room);
            let total = given.total();
            // A turn that the room cut short goes on first thing next time.
            lane.turn_left = if turn > room { turn - total } else { 0 };
            let probe = lane.probes();
            self.under_way += total;
            self.retries_under_way += given.retries;
            room -= total;
            note(&mut grants, destination, QueueClass::FirstTry, given.first_tries, probe);
            note(&mut grants, destination, QueueClass::Retry, given.retries, probe);
            self.settle(destination, now);
            self.keep_turn(destination);
        }
        grants
    }

    /// Puts a lane whose turn was cut short before the others.
    fn keep_turn(&mut self, destination: DestinationId) {
        let cut_short =
            self.lanes.get(&destination).is_some_and(|lane| lane.turn_left > 0 && lane.place == Place::Round);
        if cut_short && self.round.back() == Some(&destination) {
            self.round.rotate_right(1);
        }
    }

    /// How much of a grant there was, and when the next of its queue is due.
    pub(crate) fn leased(&mut self, grant: Grant, count: usize, next_at: Option<UnixMs>, now: UnixMs) {
        let Some(lane) = self.lanes.get_mut(&grant.destination) else { return };
        let unused = grant.most - count;
        let unused = match grant.class {
            QueueClass::FirstTry => Given { first_tries: unused, retries: 0 },
            QueueClass::Retry => Given { first_tries: 0, retries: unused },
        };
        lane.give_back(now, unused);
        lane.has_left(grant.class, next_at);
        self.under_way -= unused.total();
        self.retries_under_way -= unused.retries;
        self.settle(grant.destination, now);
        self.uncrowd(now);
    }

    /// An attempt has ended, and its place is free.
    pub(crate) fn ended(
        &mut self,
        destination: DestinationId,
        class: QueueClass,
        ended: Ended,
        now: UnixMs,
    ) -> Option<Switched> {
        self.under_way -= 1;
        self.retries_under_way -= usize::from(class == QueueClass::Retry);
        let switched = self.lanes.get_mut(&destination)?.ended(class, ended, now);
        self.settle(destination, now);
        self.uncrowd(now);
        switched
    }

    /// Gives nothing to a destination before an instant.
    pub(crate) fn hold(&mut self, destination: DestinationId, until: UnixMs, now: UnixMs) {
        if let Some(lane) = self.lanes.get_mut(&destination) {
            lane.hold(until);
            self.settle(destination, now);
        }
    }

    /// When a lane can go that cannot go now.
    pub(crate) fn next_alarm(&self) -> Option<UnixMs> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Moves the lanes whose time has come into the round.
    fn ring(&mut self, now: UnixMs) {
        while let Some((at, destination)) = self.alarms.first().copied()
            && at <= now
        {
            self.alarms.pop_first();
            if let Some(lane) = self.lanes.get_mut(&destination) {
                lane.place = Place::Off;
                self.settle(destination, now);
            }
        }
    }

    /// Puts a lane where it belongs.
    fn settle(&mut self, destination: DestinationId, now: UnixMs) {
        let crowded = self.retry_room() == 0;
        let Some(lane) = self.lanes.get_mut(&destination) else { return };
        let belongs = lane.belongs(now, crowded);
        let was = std::mem::replace(&mut lane.place, belongs);
        if was == belongs {
            return;
        }
        match was {
            Place::Alarm(at) => {
                self.alarms.remove(&(at, destination));
            }
            Place::Round => self.round.retain(|waiting| *waiting != destination),
            Place::Crowded => self.crowded.retain(|waiting| *waiting != destination),
            Place::Off => {}
        }
        match belongs {
            Place::Round => self.round.push_back(destination),
            Place::Alarm(at) => {
                self.alarms.insert((at, destination));
            }
            Place::Crowded => self.crowded.push(destination),
            Place::Off => {}
        }
    }

    /// Lets the lanes go on that waited for a place for retries.
    fn uncrowd(&mut self, now: UnixMs) {
        if self.crowded.is_empty() || self.retry_room() == 0 {
            return;
        }
        for destination in std::mem::take(&mut self.crowded) {
            if let Some(lane) = self.lanes.get_mut(&destination) {
                lane.place = Place::Off;
                self.settle(destination, now);
            }
        }
    }

    fn retry_room(&self) -> usize {
        let places = self.max_concurrent - self.max_concurrent / KEPT_FOR_FIRST_TRIES;
        places.saturating_sub(self.retries_under_way)
    }
}

/// Adds to the grant of a queue, so that each is asked once.
fn note(grants: &mut Vec<Grant>, destination: DestinationId, class: QueueClass, more: usize, probe: bool) {
    if more == 0 {
        return;
    }
    match grants.iter_mut().find(|grant| grant.destination == destination && grant.class == class) {
        Some(grant) => grant.most += more,
        None => grants.push(Grant { destination, class, most: more, probe }),
    }
}
