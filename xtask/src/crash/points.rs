//! How each life ends: at a random moment, or at a point just before or after a commit.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::chance::Chance;

/// Every writing operation of the store, by the name its failpoints have.
pub(super) const OPERATIONS: [&str; 23] = [
    "insert_job",
    "update_job",
    "remove_job",
    "claim",
    "start_run",
    "claim_queued",
    "finish_run",
    "recover",
    "open_queues",
    "lease_deliveries",
    "settle_attempt",
    "retry_delivery",
    "cancel_delivery",
    "replay_delivery",
    "replay_run",
    "start_replay",
    "advance_replay",
    "cancel_replay",
    "insert_destination",
    "update_destination",
    "remove_destination",
    "set_standing",
    "note_failing",
];
pub(super) const PLACES: [&str; 2] = ["before_commit", "after_commit"];

/// How often a point that was not reached is tried again.
const TRIES: u32 = 3;
/// The shortest random life.
const SHORTEST_MS: u64 = 50;
/// Each so many random lives one is long enough to show that what was in flight goes on.
const LONG_EACH: u32 = 5;

/// A point that is armed for one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) operation: &'static str,
    pub(super) place: &'static str,
    /// The process dies when it passes for this time.
    count: u64,
    tries: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}@{}", self.operation, self.place, self.count)
    }
}

/// What ends a life.
#[derive(Debug, Clone, Copy)]
pub(super) enum Death {
    /// `kill -9` after this time.
    Kill(Duration),
    /// The process ends itself at the point.
    At(Point),
}

/// The deaths of all lives.
#[derive(Debug)]
pub(super) struct Deaths {
    chance: Chance,
    points: VecDeque<Point>,
    longest: Duration,
    long: Duration,
    kills_by_time: u32,
}

impl Deaths {
    /// Random lives last up to `longest`; now and then one lasts for `long`.
    pub(super) fn new(mut chance: Chance, longest: Duration, long: Duration) -> Self {
        let mut points: Vec<Point> = OPERATIONS
            .into_iter()
            .flat_map(|operation| PLACES.map(|place| (operation, place)))
            .map(|(operation, place)| {
                let count = chance.within(times(operation));
                Point { operation, place, count, tries: 0 }
            })
            .collect();
        chance.shuffle(&mut points);
        Self { chance, points: points.into(), longest, long, kills_by_time: 0 }
    }

    /// The death of the next life, of which `left` are to come, this one included. Points and random moments take
    /// turns, unless only points can still be met.
    pub(super) fn next(&mut self, left: usize) -> Death {
        let is_turn_of_a_point = left.is_multiple_of(2) || left <= self.points.len();
        if is_turn_of_a_point && let Some(point) = self.points.pop_front() {
            return Death::At(point);
        }
        self.kills_by_time += 1;
        if self.kills_by_time.is_multiple_of(LONG_EACH) {
            return Death::Kill(self.long);
        }
        let longest = u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX).max(SHORTEST_MS);
        Death::Kill(Duration::from_millis(self.chance.within(SHORTEST_MS..=longest)))
    }

    /// A point was not reached: it gets another life, sooner in its run.
    pub(super) fn try_again(&mut self, point: Point) {
        let tries = point.tries + 1;
        if tries < TRIES {
            self.points.push_back(Point { count: *times(point.operation).start(), tries, ..point });
        }
    }
}

/// How often an operation may pass before the process dies.
fn times(operation: &str) -> std::ops::RangeInclusive<u64> {
    match operation {
        // There is one of them in a life, or hardly more.
        "recover" | "open_queues" | "note_failing" => 1..=1,
        // The first two, one for each lane, come with the start; later ones begin runs that had to wait.
        "claim_queued" => 3..=4,
        "claim" | "finish_run" | "lease_deliveries" | "settle_attempt" | "advance_replay" => 1..=5,
        _ => 1..=2,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn sixty_lives_meet_each_point_and_leave_lives_for_random_moments() {
        let mut deaths = Deaths::new(Chance::new(1), Duration::from_millis(800), Duration::from_secs(2));
        let all: Vec<Death> = (1..=60).rev().map(|left| deaths.next(left)).collect();
        let points: HashSet<(&str, &str)> = all
            .iter()
            .filter_map(|death| match death {
                Death::At(point) => Some((point.operation, point.place)),
                Death::Kill(_) => None,
            })
            .collect();
        assert_eq!((points.len(), all.len()), (OPERATIONS.len() * PLACES.len(), 60));
        let kills = all.iter().filter(|death| matches!(death, Death::Kill(_))).count();
        assert_eq!(kills, 60 - points.len());
    }
}
