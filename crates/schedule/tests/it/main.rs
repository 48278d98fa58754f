//! What the crate promises, asked from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod clocks;
mod decisions;
mod document;
mod properties;
mod refusals;
mod simulations;

use clawhook_model::{DstRule, JobId, Schedule, UnixMs};
use clawhook_schedule::{ScheduleError, Timetable};
use jiff::tz::TimeZone;

fn job() -> JobId {
    "job-1".parse().unwrap()
}

fn ms(instant: &str) -> UnixMs {
    UnixMs::from_millis(instant.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// An exact cron schedule, without a spread.
fn cron(expr: &str, zone: &str) -> Schedule {
    Schedule::Cron {
        expr: expr.to_owned(),
        tz: Some(zone.to_owned()),
        stagger_ms: Some(0),
        dst: DstRule::OpenClaw,
    }
}

fn timetable(schedule: &Schedule) -> Result<Timetable, ScheduleError> {
    Timetable::new(schedule, &job(), &TimeZone::UTC)
}
