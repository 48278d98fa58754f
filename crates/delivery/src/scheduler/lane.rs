//! One destination's lane: what is due for it, what is under way to it, and whether more may go.

use std::time::Duration;

use clawhook_model::UnixMs;
use clawhook_store::QueueClass;

use super::breaker::{Breaker, Switched};
use super::rate::TokenBucket;
use super::{Ended, LaneLimits, Sending};

/// How many requests a destination gets at once before any has succeeded. Each success adds one, up to its limit, and
/// each failure halves the number: a destination that hangs holds few places, long before its circuit opens.
const FIRST_WINDOW: usize = 16;
/// Of how many places of a destination one is kept for first tries.
const KEPT_FOR_FIRST_TRIES: usize = 4;

/// How soon a lane that has both, and no place for its retries, looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where a lane stands in the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: nothing is due, or something must end first.
    Off,
    /// In the round, to be served in turn.
    Round,
    /// Waiting for this instant.
    Alarm(UnixMs),
    /// It has only retries, and all places for retries are taken.
    Crowded,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) place: Place,
    /// What is left of its turn, where a turn was cut short.
    pub(super) turn_left: usize,
    first_at: Option<UnixMs>,
    retry_at: Option<UnixMs>,
    under_way: usize,
    retries_under_way: usize,
    limits: LaneLimits,
    window: usize,
    rate: Option<TokenBucket>,
    breaker: Breaker,
    hold_until: Option<UnixMs>,
    sending: Sending,
}

/// What a lane is given at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) first_tries: usize,
    pub(super) retries: usize,
}

impl Given {
    pub(super) fn total(self) -> usize {
        self.first_tries + self.retries
    }
}

impl Lane {
    pub(super) fn new(limits: LaneLimits, sending: Sending, now: UnixMs) -> Self {
        Self {
            place: Place::Off,
            turn_left: 0,
            first_at: None,
            retry_at: None,
            under_way: 0,
            retries_under_way: 0,
            limits,
            window: FIRST_WINDOW,
            rate: limits.per_second.map(|rate| TokenBucket::new(rate, now)),
            breaker: Breaker::default(),
            hold_until: None,
            sending,
        }
    }

    /// Takes over what the destination's definition and standing say now.
    pub(super) fn configure(&mut self, limits: LaneLimits, sending: Sending, now: UnixMs) {
        if limits.per_second != self.limits.per_second {
            self.rate = limits.per_second.map(|rate| TokenBucket::new(rate, now));
        }
        // Whoever resumes a destination wants to see it tried.
        if sending == Sending::Yes && self.sending != Sending::Yes {
            self.breaker = Breaker::default();
            self.hold_until = None;
        }
        (self.limits, self.sending) = (limits, sending);
    }

    pub(super) fn is_forgettable(&self) -> bool {
        let is_quiet = self.first_at.is_none() && self.retry_at.is_none() && self.under_way == 0;
        is_quiet && self.breaker == Breaker::default() && self.rate.is_none()
    }

    /// Its queue has something that is due then.
    pub(super) fn has_news(&mut self, class: QueueClass, at: UnixMs) {
        let due = self.due(class);
        *due = Some(due.map_or(at, |earlier| earlier.min(at)));
    }

    /// All that its queue has is due then, or it has nothing.
    pub(super) fn has_left(&mut self, class: QueueClass, at: Option<UnixMs>) {
        *self.due(class) = at;
    }

    fn due(&mut self, class: QueueClass) -> &mut Option<UnixMs> {
        match class {
            QueueClass::FirstTry => &mut self.first_at,
            QueueClass::Retry => &mut self.retry_at,
        }
    }

    /// Whether what is given now is a probe of a paused destination.
    pub(super) fn probes(&self) -> bool {
        matches!(self.sending, Sending::Probe { .. })
    }

    /// How much it may be given now, `most` in all and `most_retries` of them retries; that much counts as under way.
    pub(super) fn give(&mut self, now: UnixMs, most: usize, most_retries: usize) -> Given {
        let most = most.min(self.allowance(now));
        let most_retries = most_retries.min(self.retry_places());
        let is_due = |at: Option<UnixMs>| at.is_some_and(|at| at <= now);
        // Where both wait, a quarter goes to retries, so that neither starves.
        let given = match (is_due(self.first_at), is_due(self.retry_at)) {
            (true, true) => {
                let retries = most_retries.min((most / 4).max(usize::from(most > 1)));
                Given { first_tries: most - retries, retries }
            }
            (true, false) => Given { first_tries: most, retries: 0 },
            (false, true) => Given { first_tries: 0, retries: most.min(most_retries) },
            (false, false) => Given::default(),
        };
        let total = given.total();
        if total > 0 {
            self.under_way += total;
            self.retries_under_way += given.retries;
            self.breaker.begin();
            if let Some(rate) = &mut self.rate {
                rate.take(total);
            }
        }
        given
    }

    /// So much of what was given was not there.
    pub(super) fn give_back(&mut self, now: UnixMs, unused: Given) {
        let total = unused.total();
        self.under_way -= total;
        self.retries_under_way -= unused.retries;
        if let Some(rate) = &mut self.rate {
            rate.give_back(total);
        }
        if total > 0 && self.under_way == 0 {
            self.breaker.withdraw(now);
        }
    }

    /// Gives nothing before an instant.
    pub(super) fn hold(&mut self, until: UnixMs) {
        self.hold_until = self.hold_until.max(Some(until));
    }

    pub(super) fn ended(&mut self, class: QueueClass, ended: Ended, now: UnixMs) -> Option<Switched> {
        self.under_way -= 1;
        self.retries_under_way -= usize::from(class == QueueClass::Retry);
        // Whatever a probe has found out, the next one is made in its time, unless the destination is resumed before.
        if ended != Ended::OwnFault
            && let Sending::Probe { every, next_at } = &mut self.sending
        {
            *next_at = now.plus(*every);
        }
        match ended {
            Ended::Well => {
                // It ends no hold: what succeeds during one was under way before it was asked for.
                self.window = (self.window + 1).min(self.limits.max_concurrent);
                self.breaker.succeeded()
            }
            Ended::Badly { hold_until } => {
                self.window = (self.window / 2).max(1);
                self.hold_until = self.hold_until.max(hold_until);
                self.breaker.failed(now)
            }
            Ended::Throttled { hold_until } => {
                self.window = (self.window / 2).max(1);
                self.hold_until = self.hold_until.max(hold_until);
                self.breaker.succeeded()
            }
            Ended::Answered | Ended::Gone => {
                // The receiver is there and refused this very event: that says nothing against the next one. Where it
                // is gone, the destination's standing holds them back.
                self.breaker.succeeded()
            }
            Ended::OwnFault => {
                self.breaker.withdraw(now);
                None
            }
        }
    }

    /// Where it belongs now.
    pub(super) fn belongs(&mut self, now: UnixMs, retries_are_crowded: bool) -> Place {
        let retry_at = self.retry_at.filter(|_| self.retry_places() > 0);
        let crowded_out = retries_are_crowded && retry_at.is_some_and(|at| at <= now);
        let due_at = match (self.first_at, retry_at) {
            (None, None) => return Place::Off,
            (None, Some(_)) if crowded_out => return Place::Crowded,
            // What waits for a place among the retries looks again soon, lest it waits for the first tries' time.
            (Some(first_at), Some(_)) if crowded_out => first_at.min(now.plus(LOOK_AGAIN)),
            (first_at, retry_at) => first_at.into_iter().chain(retry_at).min().unwrap_or(now),
        };
        if self.places() == 0 {
            return Place::Off;
        }
        let Some(breaker_at) = self.breaker.next_at() else { return Place::Off };
        let sending_at = match self.sending {
            Sending::Yes => None,
            Sending::No => return Place::Off,
            Sending::Probe { next_at, .. } if self.under_way == 0 => Some(next_at),
            Sending::Probe { .. } => return Place::Off,
        };
        let rate_at = self.rate.as_mut().and_then(|rate| (rate.available(now) == 0).then(|| rate.next_at()));
        let at = [Some(due_at), Some(breaker_at), sending_at, rate_at, self.hold_until];
        let at = at.into_iter().flatten().max().unwrap_or(due_at);
        if at <= now { Place::Round } else { Place::Alarm(at) }
    }

    fn allowance(&mut self, now: UnixMs) -> usize {
        let held = self.hold_until.is_some_and(|until| until > now);
        let sending = match self.sending {
            _ if held => 0,
            Sending::Yes => usize::MAX,
            Sending::Probe { next_at, .. } => usize::from(next_at <= now && self.under_way == 0),
            Sending::No => 0,
        };
        let rate = self.rate.as_mut().map_or(usize::MAX, |rate| rate.available(now));
        self.places().min(sending).min(rate).min(self.breaker.allowance(now))
    }

    /// How many more may be under way.
    fn places(&self) -> usize {
        self.limits.max_concurrent.min(self.window).saturating_sub(self.under_way)
    }

    /// How many more retries may be: a part of the places is kept for first tries.
    fn retry_places(&self) -> usize {
        let all = self.limits.max_concurrent.min(self.window);
        (all - all / KEPT_FOR_FIRST_TRIES).saturating_sub(self.retries_under_way)
    }
}

/// The time between probes of a destination that was paused because it kept failing.
pub(crate) const PROBE_PAUSED_EVERY: Duration = Duration::from_hours(1);
