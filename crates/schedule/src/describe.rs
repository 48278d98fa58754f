//! A schedule in a few words, as OpenClaw's list shows it.

use std::time::Duration;

use clawhook_model::{JobId, Schedule, UnixMs, format_duration};
use jiff::Timestamp;

use crate::stagger;

/// The schedule for people: `at 2026-02-18 14:00Z`, `every 30m`, `cron 0 9 * * * @ Europe/Berlin (exact)`.
///
/// What is shown of a stagger is its window, as in OpenClaw, and that is the same for every job; what `_job` makes
/// of it is [`stagger_offset`](crate::Timetable::stagger_offset).
pub fn describe(schedule: &Schedule, _job: &JobId) -> String {
    match schedule {
        Schedule::At { at } => format!("at {}", to_the_minute(*at)),
        Schedule::Every { every_ms, .. } => {
            format!("every {}", format_duration(Duration::from_millis(*every_ms)))
        }
        Schedule::Cron { expr, tz, stagger_ms } => {
            let zone = match tz.as_deref().map(str::trim) {
                None | Some("") => String::new(),
                Some(name) => format!(" @ {name}"),
            };
            let spread = match stagger::window_ms(expr, *stagger_ms) {
                0 | 1 => "exact".to_owned(),
                window => format!("stagger {}", format_duration(Duration::from_millis(window))),
            };
            format!("cron {expr}{zone} ({spread})")
        }
    }
}

fn to_the_minute(at: UnixMs) -> String {
    match Timestamp::from_millisecond(at.as_millis()) {
        Ok(instant) => instant.strftime("%Y-%m-%d %H:%MZ").to_string(),
        Err(_) => at.to_string(),
    }
}
