//! What is refused when a schedule is saved (contract §1.2).

use clawhook_model::{JobId, Schedule, UnixMs};
use jiff::tz::TimeZone;

use crate::describe::describe;
use crate::error::ScheduleError;
use crate::timetable::{LAST_INSTANT, Timetable};

/// How far in the past a new `at` may lie: what a request's way and two clocks that differ may cost.
const PAST_TOLERANCE_MS: i64 = 60_000;

/// How far ahead a new `at` may lie: ten years of 365.25 days. Beyond it, a slip is likelier than a plan.
const FURTHEST_AHEAD_MS: i64 = 315_576_000_000;

/// Reads a schedule that is about to be saved, and refuses, beyond what [`Timetable::new`] refuses, what could
/// never run or was hardly meant.
pub fn check_new(
    schedule: &Schedule,
    job: &JobId,
    host_zone: &TimeZone,
    now: UnixMs,
) -> Result<Timetable, ScheduleError> {
    let timetable = Timetable::new(schedule, job, host_zone)?;
    match schedule {
        Schedule::At { at } => check_at(*at, now)?,
        Schedule::Every { every_ms, anchor_ms } => {
            check_length("everyMs", *every_ms)?;
            if !(UnixMs::EPOCH..=LAST_INSTANT).contains(anchor_ms) {
                return Err(ScheduleError::AnchorOutOfRange(*anchor_ms));
            }
        }
        Schedule::Cron { stagger_ms, .. } => check_length("staggerMs", stagger_ms.unwrap_or(0))?,
        Schedule::Event { .. } => return Ok(timetable),
    }
    if !schedule.is_one_shot() && timetable.next_after(now).is_none() {
        return Err(ScheduleError::NeverDue(describe(schedule, job)));
    }
    Ok(timetable)
}

fn check_at(at: UnixMs, now: UnixMs) -> Result<(), ScheduleError> {
    if at < now.plus_millis(-PAST_TOLERANCE_MS) {
        return Err(ScheduleError::InThePast { at, minutes_ago: now.since(at).as_secs() / 60, now });
    }
    if at > now.plus_millis(FURTHEST_AHEAD_MS) {
        return Err(ScheduleError::TooFarAhead { at, now });
    }
    Ok(())
}

fn check_length(field: &'static str, value: u64) -> Result<(), ScheduleError> {
    if value <= LAST_INSTANT.as_millis().unsigned_abs() {
        Ok(())
    } else {
        Err(ScheduleError::TooLong { field, value })
    }
}
