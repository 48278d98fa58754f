//! Instants and lengths of time for people.

use std::time::Duration;

use clawhook_model::{UnixMs, format_duration, parse_at, parse_duration};

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

/// An instant that lies at a time, or so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At this instant.
    At(UnixMs),
    /// So long before now.
    Ago(Duration),
}

impl Moment {
    /// Reads what was typed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ago) = parse_duration(text.trim().trim_end_matches("ago")) {
            return Ok(Self::Ago(ago));
        }
        parse_at(text).map(Self::At).map_err(|_| {
            format!("`{text}` is neither a time, such as 2026-02-18T14:00:00Z, nor how long ago, such as 2h")
        })
    }

    /// The instant.
    pub(crate) fn instant(self, now: UnixMs) -> UnixMs {
        match self {
            Self::At(instant) => instant,
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                now.plus_millis(ago.saturating_neg()).max(UnixMs::EPOCH)
            }
        }
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

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now = UnixMs::from_millis(10_000_000);
        for (text, ms) in [
            ("2h", 2_800_000),
            ("1h30m ago", 4_600_000),
            ("1d", 0),
            ("1970-01-01T00:00:01Z", 1_000),
            ("9000", 9_000),
        ] {
            assert_eq!(
                Moment::parse(text).map(|moment| moment.instant(now)),
                Ok(UnixMs::from_millis(ms)),
                "{text}"
            );
        }
        assert!(Moment::parse("yesterday").unwrap_err().contains("`yesterday` is neither"));
    }
}
