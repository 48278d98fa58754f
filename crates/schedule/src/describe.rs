//! A schedule in a few words.

use std::time::Duration;

use clawhook_model::{JobId, Schedule, UnixMs, format_duration};
use jiff::Timestamp;

use crate::stagger;

/// The schedule as OpenClaw's list shows it, whose text clients read: `at 2026-02-18 14:00Z`, `every 30m`,
/// `cron 0 9 * * * @ Europe/Berlin (exact)`.
///
/// What is shown of a stagger is its window, and that is the same for every job; [`describe_for`] says what `_job`
/// makes of it.
pub fn describe(schedule: &Schedule, _job: &JobId) -> String {
    match schedule {
        Schedule::Cron { expr, tz, stagger_ms, .. } => {
            cron(expr, zone_name(tz.as_deref()), &spread(stagger::window_ms(expr, *stagger_ms)))
        }
        other => without_stagger(other),
    }
}

/// The schedule with all there is to say of it: the zone that counts, `host_zone` where the schedule names none; the
/// offset that `job`'s stagger gives it; and the rule for changes of clocks where it is not the usual one.
pub fn describe_for(schedule: &Schedule, job: Option<&JobId>, host_zone: Option<&str>) -> String {
    let (expr, tz, stagger_ms, dst) = match schedule {
        Schedule::Cron { expr, tz, stagger_ms, dst } => (expr, tz, stagger_ms, dst),
        Schedule::At { at } => return format!("at {at}"),
        Schedule::Every { .. } | Schedule::Event { .. } => return without_stagger(schedule),
    };
    let window = stagger::window_ms(expr, *stagger_ms);
    let mut remarks = vec![spread(window)];
    if let Some(job) = job.filter(|_| window > 1) {
        remarks.push(format!("this job +{}", offset(stagger::offset_ms(job, window))));
    }
    if !dst.is_default() {
        remarks.push(format!("dst {dst}"));
    }
    cron(expr, zone_name(tz.as_deref()).or(host_zone), &remarks.join(", "))
}

fn without_stagger(schedule: &Schedule) -> String {
    match schedule {
        Schedule::At { at } => format!("at {}", to_the_minute(*at)),
        Schedule::Every { every_ms, .. } => {
            format!("every {}", format_duration(Duration::from_millis(*every_ms)))
        }
        Schedule::Cron { expr, .. } => format!("cron {expr}"),
        Schedule::Event { source } => format!("event {source}"),
    }
}

fn cron(expr: &str, zone: Option<&str>, remarks: &str) -> String {
    let zone = zone.map(|name| format!(" @ {name}")).unwrap_or_default();
    format!("cron {expr}{zone} ({remarks})")
}

fn zone_name(tz: Option<&str>) -> Option<&str> {
    tz.map(str::trim).filter(|name| !name.is_empty())
}

fn spread(window_ms: u64) -> String {
    match window_ms {
        0 | 1 => "exact".to_owned(),
        window => format!("stagger {}", format_duration(Duration::from_millis(window))),
    }
}

/// An offset to the second: the instants beside it have the milliseconds.
fn offset(offset_ms: i64) -> String {
    let exact = Duration::from_millis(offset_ms.unsigned_abs());
    format_duration(if exact.as_secs() == 0 { exact } else { Duration::from_secs(exact.as_secs()) })
}

fn to_the_minute(at: UnixMs) -> String {
    match Timestamp::from_millisecond(at.as_millis()) {
        Ok(instant) => instant.strftime("%Y-%m-%d %H:%MZ").to_string(),
        Err(_) => at.to_string(),
    }
}
