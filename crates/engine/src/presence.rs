//! Since when somebody has been there to run what is due, and how what was missed is caught up without a stampede.

use std::time::Duration;

use clawhook_model::UnixMs;

/// How long the timer sleeps at most: whoever looks so often notices when it was not there.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How long it may be silent before nobody was there: the machine slept, or its clock was set forward.
const ABSENCE: Duration = Duration::from_secs(75);
/// By how much the clock may lie before the last look without having been set back.
const JITTER: Duration = Duration::from_secs(1);

/// How catch-up runs are paced after an absence (contract §3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUpPace {
    /// How many begin at once.
    pub at_once: u32,
    /// How long after one another the others begin.
    pub every: Duration,
}

impl Default for CatchUpPace {
    fn default() -> Self {
        Self { at_once: 5, every: Duration::from_secs(5) }
    }
}

/// What the clock did since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockMove {
    /// It went on.
    On,
    /// It leapt forward, and nobody was there in between.
    Forward,
    /// It was set back.
    Back,
}

/// Since when somebody has been there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presence {
    since: UnixMs,
    last_look: UnixMs,
    caught_up: u32,
}

impl Presence {
    pub(crate) fn beginning(now: UnixMs) -> Self {
        Self { since: now, last_look: now, caught_up: 0 }
    }

    /// Since when somebody has been there without a break.
    pub(crate) fn since(&self) -> UnixMs {
        self.since
    }

    /// Notes that somebody looks.
    pub(crate) fn look(&mut self, now: UnixMs) -> ClockMove {
        let moved = if self.last_look.since(now) > JITTER {
            ClockMove::Back
        } else if now.since(self.last_look) > ABSENCE {
            ClockMove::Forward
        } else {
            ClockMove::On
        };
        if moved != ClockMove::On {
            *self = Self::beginning(now);
        }
        self.last_look = now;
        moved
    }

    /// When the next catch-up run may begin.
    pub(crate) fn next_catch_up(&mut self, pace: CatchUpPace) -> UnixMs {
        let place = self.caught_up;
        self.caught_up = self.caught_up.saturating_add(1);
        self.since.plus(pace.every.saturating_mul(place.saturating_add(1).saturating_sub(pace.at_once)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(seconds: i64) -> UnixMs {
        UnixMs::from_millis(seconds * 1000)
    }

    #[test]
    fn the_first_five_begin_at_once_and_then_one_every_five_seconds() {
        let mut presence = Presence::beginning(t(100));
        let starts: Vec<UnixMs> = (0..8).map(|_| presence.next_catch_up(CatchUpPace::default())).collect();
        assert_eq!(starts, [t(100), t(100), t(100), t(100), t(100), t(105), t(110), t(115)]);
    }

    #[test]
    fn a_leap_of_the_clock_is_an_absence_and_a_step_back_is_noticed() {
        let mut presence = Presence::beginning(t(0));
        assert_eq!((presence.look(t(30)), presence.since()), (ClockMove::On, t(0)));
        assert_eq!((presence.look(t(3600)), presence.since()), (ClockMove::Forward, t(3600)));
        assert_eq!((presence.look(t(3599)), presence.since()), (ClockMove::On, t(3600)));
        assert_eq!((presence.look(t(60)), presence.since()), (ClockMove::Back, t(60)));
    }
}
