//! What may go wrong in one simulation. Each seed leaves some of it out, so that what is rare beside everything else
//! has seeds of its own.

use crate::chance::Chance;

/// How likely things are to go wrong, in percent of the occasions where they could.
#[derive(Debug, Clone, Copy)]
pub(super) struct Climate {
    /// A life ends at a commit, rather than at any moment.
    pub(super) dies_at_commits: u64,
    /// A life ends in order.
    pub(super) stops_in_order: u64,
    /// The longest life, in hours.
    pub(super) longest_life_hours: u64,
    /// The longest time between two lives, in minutes.
    pub(super) longest_downtime_minutes: u64,
    /// Whether the clock is set wrong now and then, by up to so many minutes.
    pub(super) clock_steps_minutes: u64,
    /// Whether the disk is full now and then.
    pub(super) disk_fills: bool,
    /// An operation of the store takes a while.
    pub(super) disk_is_slow: u64,
    /// A request fails.
    pub(super) requests_fail: u64,
    /// A turn fails, panics or hangs.
    pub(super) turns_fail: u64,
    /// The longest turn that ends well, in minutes.
    pub(super) longest_turn_minutes: u64,
    /// Whether people edit, disable and remove jobs.
    pub(super) people_edit: bool,
    /// How many hours people leave the gateway alone at most.
    pub(super) people_rest_hours: u64,
}

impl Climate {
    /// What a seed has in store.
    pub(super) fn of(chance: &mut Chance) -> Self {
        Self {
            dies_at_commits: either(chance, &[0, 30, 60, 90]),
            stops_in_order: either(chance, &[0, 20, 100]),
            longest_life_hours: either(chance, &[2, 24, 24 * 5, 24 * 20]),
            longest_downtime_minutes: either(chance, &[1, 60, 60 * 24, 60 * 24 * 4]),
            clock_steps_minutes: either(chance, &[0, 0, 1, 90, 60 * 24 * 3]),
            disk_fills: chance.within(0..=1) == 1,
            disk_is_slow: either(chance, &[0, 5, 40]),
            requests_fail: either(chance, &[0, 10, 40, 90]),
            turns_fail: either(chance, &[0, 10, 50]),
            longest_turn_minutes: either(chance, &[1, 30, 300]),
            people_edit: chance.within(0..=3) > 0,
            people_rest_hours: either(chance, &[3, 12, 48]),
        }
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(self) -> Self {
        Self {
            clock_steps_minutes: 0,
            disk_fills: false,
            disk_is_slow: 0,
            requests_fail: 0,
            turns_fail: 0,
            longest_turn_minutes: 1,
            people_edit: false,
            ..self
        }
    }
}

fn either(chance: &mut Chance, among: &[u64]) -> u64 {
    chance.pick(among).copied().unwrap_or_default()
}
