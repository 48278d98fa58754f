//! The instants that pass when a job's owner moves the one that it waits for.

use clawhook_model::UnixMs;

use crate::decision::MOST_AT_ONCE;
use crate::timetable::Timetable;

/// Instants that had come and were not claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The first of them, in order, as many as one transaction takes.
    pub instants: Vec<UnixMs>,
    /// The first that is left for another transaction.
    pub next: Option<UnixMs>,
}

/// The instants from the one that a job waits for up to now. Without a timetable, because the schedule can no longer be
/// read, it is the one that it waits for.
pub fn passed(timetable: Option<&Timetable>, waits_for: Option<UnixMs>, now: UnixMs) -> Passed {
    let due = waits_for.filter(|due| *due <= now);
    let following = due.zip(timetable).map(|(due, timetable)| timetable.due_between(due, now));
    let mut all = due.into_iter().chain(following.into_iter().flatten());
    Passed { instants: all.by_ref().take(MOST_AT_ONCE).collect(), next: all.next() }
}

#[cfg(test)]
mod tests {
    use clawhook_model::Schedule;
    use jiff::tz::TimeZone;

    use super::*;

    fn t(seconds: i64) -> UnixMs {
        UnixMs::from_millis(seconds * 1000)
    }

    fn every_second() -> Timetable {
        let schedule = Schedule::Every { every_ms: 1000, anchor_ms: t(0) };
        Timetable::new(&schedule, &"ticks".parse().unwrap(), &TimeZone::UTC).unwrap()
    }

    #[test]
    fn what_has_come_passes_and_what_is_to_come_does_not() {
        let passed = |waits_for, now| super::passed(Some(&every_second()), waits_for, now).instants;
        assert_eq!(passed(Some(t(5)), t(7)), [t(5), t(6), t(7)]);
        assert!(passed(Some(t(8)), t(7)).is_empty());
        assert!(passed(None, t(7)).is_empty());
        assert_eq!(super::passed(None, Some(t(5)), t(7)), Passed { instants: vec![t(5)], next: None });
    }

    #[test]
    fn a_long_past_is_worked_off_in_pieces() {
        let long = super::passed(Some(&every_second()), Some(t(1)), t(1500));
        assert_eq!((long.instants.len(), long.next), (1000, Some(t(1001))));
        let rest = super::passed(Some(&every_second()), long.next, t(1500));
        assert_eq!((rest.instants.len(), rest.next), (500, None));
    }
}
