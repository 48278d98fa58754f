//! The spread of cron jobs that would all be due at the same moment (contract §3.3).

use clawhook_model::JobId;
use sha2::{Digest, Sha256};

/// The window of an expression that is due at the top of recurring hours.
const TOP_OF_THE_HOUR_MS: u64 = 300_000;

/// The window, in milliseconds, of an expression whose job sets none: five minutes at the top of recurring hours,
/// where everybody's jobs meet, and 0, that is exact, otherwise.
///
/// It goes by the text alone, as OpenClaw does: the minute has to be written `0`, and a nickname has no window.
pub fn default_stagger_ms(expr: &str) -> u64 {
    let fields: Vec<&str> = expr.split_whitespace().collect();
    let recurs_on_the_hour = match *fields {
        ["0", hour, _, _, _] | ["0", "0", hour, _, _, _] => hour.contains('*'),
        _ => false,
    };
    if recurs_on_the_hour { TOP_OF_THE_HOUR_MS } else { 0 }
}

/// The window of a cron schedule.
pub(crate) fn window_ms(expr: &str, set: Option<u64>) -> u64 {
    set.unwrap_or_else(|| default_stagger_ms(expr))
}

/// The job's own place in a window, in milliseconds: the same for ever, and spread evenly over many jobs.
pub(crate) fn offset_ms(job: &JobId, window_ms: u64) -> i64 {
    let digest: [u8; 32] = Sha256::digest(job.as_str()).into();
    let [a, b, c, d, ..] = digest;
    let place = u64::from(u32::from_be_bytes([a, b, c, d])).checked_rem(window_ms).unwrap_or(0);
    // It is below 2^32, whatever the window.
    i64::try_from(place).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_follow_from_the_jobs_id_as_in_openclaw() {
        for (job, whole, wide, narrow) in [
            ("job-1", 40_547_897, 47_897, 17_897),
            ("00000000-0000-4000-8000-000000000000", 3_682_620_896, 120_896, 896),
            ("daily-report", 3_910_922_429, 122_429, 2_429),
        ] {
            let job: JobId = job.parse().unwrap();
            for (window, expected) in [(u64::MAX, whole), (300_000, wide), (30_000, narrow), (1, 0), (0, 0)] {
                assert_eq!(offset_ms(&job, window), expected, "{job} in {window}");
            }
        }
    }

    #[test]
    fn only_the_top_of_recurring_hours_is_spread_by_itself() {
        for (expr, window) in [
            ("0 * * * *", 300_000),
            ("0 */2 * * *", 300_000),
            ("0 0 * * * *", 300_000),
            ("0 0 */3 * * *", 300_000),
            ("0 9 * * *", 0),
            ("*/5 * * * *", 0),
            ("00 * * * *", 0),
            ("30 0 * * * *", 0),
            ("@hourly", 0),
            ("", 0),
        ] {
            assert_eq!(default_stagger_ms(expr), window, "`{expr}`");
        }
    }
}
