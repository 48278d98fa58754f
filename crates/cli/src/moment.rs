//! Instants and lengths of time for people.

use clawhook_model::{UnixMs, format_duration};
use std::time::Duration;

/// How far off an instant is, as OpenClaw shows it: `in 5m`, `3h ago`, `<1m ago`.
pub(crate) fn relative(instant: UnixMs, now: UnixMs) -> String {
    if instant > now {
        format!("in {}", rough(instant.since(now)))
    } else {
        format!("{} ago", rough(now.since(instant)))
    }
}

/// An instant both ways: `in 5m (2026-02-18T14:00:00.000Z)`.
pub(crate) fn both(instant: UnixMs, now: UnixMs) -> String {
    format!("{} ({instant})", relative(instant, now))
}

/// A measured length, short: `39ms`, `1.25s`, `2m5s`.
pub(crate) fn length(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => {
            let text = format!("{}.{:03}", millis / 1_000, millis % 1_000);
            format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => format_duration(Duration::from_secs(millis / 1_000)),
    }
}

fn rough(length: Duration) -> String {
    let minutes = (length.as_secs() + 30) / 60;
    let hours = (minutes + 30) / 60;
    match (length.as_secs(), minutes, hours) {
        (0..60, ..) => "<1m".to_owned(),
        (_, 0..60, _) => format!("{minutes}m"),
        (_, _, 0..48) => format!("{hours}h"),
        _ => format!("{}d", (hours + 12) / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_shown_as_far_off_as_they_are() {
        let now = UnixMs::from_millis(1_795_416_840_000);
        for (ms, text) in [
            (-1, "<1m ago"),
            (0, "<1m ago"),
            (59_999, "in <1m"),
            (60_000, "in 1m"),
            (1_322_334, "in 22m"),
            (59 * 60_000 + 59_000, "in 1h"),
            (-3 * 3_600_000, "3h ago"),
            (47 * 3_600_000, "in 47h"),
            (49 * 3_600_000, "in 2d"),
            (39 * 86_400_000, "in 39d"),
        ] {
            assert_eq!(relative(now.plus_millis(ms), now), text, "{ms}");
        }
    }

    #[test]
    fn lengths_are_short() {
        for (ms, text) in [(39, "39ms"), (1_250, "1.25s"), (2_000, "2s"), (125_000, "2m5s")] {
            assert_eq!(length(ms), text);
        }
    }
}
