//! An expression's civil times, set against the offset changes of a zone.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase, db};
use jiff::{SignedDuration, Timestamp};

use crate::dst::{Conduct, InFold, InGap};
use crate::error::ScheduleError;
use crate::expression::Expression;

/// Files of the zone database whose content is the host's choice or nobody's, so that a job that names one would
/// mean something else on every machine.
const NOT_PLACES: [&str; 3] = ["Factory", "localtime", "posixrules"];

/// How much of a name that no zone has an error repeats.
const EXCERPT_CHARS: usize = 100;

const ONE_SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The zone of that IANA name, written exactly so: every database answers to a name in another case, but a job
/// would carry that spelling to clients that do not.
pub fn zone_named(name: &str) -> Result<TimeZone, ScheduleError> {
    named_in(db(), name)
}

fn named_in(zones: &TimeZoneDatabase, name: &str) -> Result<TimeZone, ScheduleError> {
    zones
        .get(name)
        .ok()
        .filter(|zone| zone.iana_name() == Some(name) && !NOT_PLACES.contains(&name))
        .ok_or_else(|| ScheduleError::UnknownZone(name.chars().take(EXCERPT_CHARS).collect()))
}

/// The name of a zone that was probably meant by `name`.
pub(crate) fn near(name: &str) -> Option<String> {
    const LONGEST_NAME: usize = 64;
    const LARGEST_DISTANCE: usize = 2;
    if name.len() > LONGEST_NAME {
        return None;
    }
    let wanted = name.replace(' ', "_").to_ascii_lowercase();
    let distance = |zone: &str| {
        let zone = zone.to_ascii_lowercase();
        // A city alone is as good as its zone.
        let city = zone.rsplit('/').next().unwrap_or(&zone);
        strsim::osa_distance(&wanted, &zone).min(strsim::osa_distance(&wanted, city))
    };
    db().available()
        .filter(|zone| !NOT_PLACES.contains(&zone.as_str()))
        .map(|zone| (distance(zone.as_str()), zone))
        .filter(|(distance, _)| *distance <= LARGEST_DISTANCE)
        // Of equally near ones the shorter name is the more usual.
        .min_by_key(|(distance, zone)| (*distance, zone.as_str().len()))
        .map(|(_, zone)| zone.to_string())
}

/// The first instant strictly after the whole second `after` at which `expression` is due in `zone`.
pub(crate) fn next_after(
    expression: &Expression,
    conduct: Conduct,
    zone: &TimeZone,
    after: Timestamp,
) -> Option<Timestamp> {
    let offset = zone.to_offset(after);
    let mut civil = offset.to_datetime(after);
    if conduct.fold == InFold::BothPasses
        && let Some(second_pass) = coming_second_pass(zone, civil, offset, after)
    {
        let in_first_pass = expression.next_after(civil).and_then(|next| offset.to_timestamp(next).ok());
        if let Some(next) = in_first_pass.filter(|next| *next < second_pass.begins) {
            return Some(next);
        }
        civil = second_pass.last_civil_before()?;
    }
    loop {
        let wanted = expression.next_after(civil)?;
        match zone.to_ambiguous_timestamp(wanted).offset() {
            AmbiguousOffset::Unambiguous { offset } => return offset.to_timestamp(wanted).ok(),
            AmbiguousOffset::Fold { before, after: later } => {
                let first = before.to_timestamp(wanted).ok()?;
                if first > after {
                    return Some(first);
                }
                if conduct.fold == InFold::BothPasses {
                    return later.to_timestamp(wanted).ok();
                }
                // `after` lies in the second pass, and everything in it was due in the first.
                let second_pass = Change::into(zone, later, first)?;
                civil = before.to_datetime(second_pass.begins).checked_sub(ONE_SECOND).ok()?;
            }
            AmbiguousOffset::Gap { after: later, .. } => {
                let end = Change::into(zone, later, later.to_timestamp(wanted).ok()?)?;
                let is_due = match conduct.gap {
                    InGap::NotDue => false,
                    InGap::AtItsEnd => true,
                    InGap::AtItsEndOnTheSameDay => end.civil().date() == wanted.date(),
                };
                if is_due && end.begins > after {
                    return Some(end.begins);
                }
                // A time of day that this day's end does not make up for may still come later in a very long gap.
                let asks_each_day = conduct.gap == InGap::AtItsEndOnTheSameDay;
                civil = if asks_each_day { wanted } else { end.last_civil_before()? };
            }
        }
    }
}

/// Where `civil` is in the first pass of a stretch that the clocks will go through twice: the second pass.
fn coming_second_pass(zone: &TimeZone, civil: DateTime, offset: Offset, at: Timestamp) -> Option<Change> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Fold { before, after } if before == offset => Change::into(zone, after, at),
        _ => None,
    }
}

/// The instant from which an offset holds.
struct Change {
    begins: Timestamp,
    offset: Offset,
}

impl Change {
    /// The first change after `at` to the offset `offset`.
    fn into(zone: &TimeZone, offset: Offset, at: Timestamp) -> Option<Self> {
        let change = zone.following(at).find(|change| change.offset() == offset)?;
        Some(Self { begins: change.timestamp(), offset })
    }

    /// The first civil time under the offset.
    fn civil(&self) -> DateTime {
        self.offset.to_datetime(self.begins)
    }

    /// What a search for the civil times under the offset starts from.
    fn last_civil_before(&self) -> Option<DateTime> {
        self.civil().checked_sub(ONE_SECOND).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_this_machine_knows_is_found_by_its_own_name() {
        for zone in db().available().filter(|zone| !NOT_PLACES.contains(&zone.as_str())) {
            assert!(zone_named(zone.as_str()).is_ok(), "{}", zone.as_str());
        }
    }

    #[test]
    fn a_name_in_the_wrong_case_or_with_a_slip_leads_to_the_right_one() {
        for (given, meant) in [
            ("europe/berlin", "Europe/Berlin"),
            ("Europe/Berln", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("America/New York", "America/New_York"),
            ("utc", "UTC"),
        ] {
            for zones in [db(), &TimeZoneDatabase::bundled()] {
                assert_eq!(named_in(zones, given), Err(ScheduleError::UnknownZone(given.to_owned())));
                assert!(named_in(zones, meant).is_ok(), "{meant}");
            }
            assert_eq!(near(given).as_deref(), Some(meant), "{given}");
        }
        assert_eq!(near("Mars/Olympus"), None);
        assert_eq!(near(&"x".repeat(1_000_000)), None);
    }

    #[test]
    fn what_is_no_zone_is_not_one_even_where_it_looks_like_an_offset_or_a_path() {
        for name in [
            "+02:00",
            "GMT+2",
            "Z",
            "localtime",
            "Factory",
            "Etc/Unknown",
            "../../etc/passwd",
            "/etc/localtime",
            "EST5EDT4",
        ] {
            assert_eq!(zone_named(name), Err(ScheduleError::UnknownZone(name.to_owned())));
        }
    }
}
