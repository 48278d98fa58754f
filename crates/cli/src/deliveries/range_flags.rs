//! The flags that say which deliveries are meant.

use std::time::Duration;

use clap::Args;
use clawhook_model::{UnixMs, parse_at, parse_duration};

/// Which deliveries; what is not named does not matter.
#[derive(Args)]
pub(super) struct RangeArgs {
    /// Only to this destination: its name, its `dst_…`, or the URL that jobs name
    #[arg(long, value_name = "DESTINATION")]
    pub(super) destination: Option<String>,
    /// Only of this job
    #[arg(long, value_name = "ID")]
    pub(super) job: Option<String>,
    /// Only in these states, parted by commas
    #[arg(long, value_name = "STATES")]
    pub(super) state: Option<String>,
    /// Only dead ones with a cause on these sides, parted by commas: receiver, configuration, gateway
    #[arg(long, value_name = "CAUSES")]
    pub(super) cause: Option<String>,
    /// Only those accepted since then: a time, or how long ago, such as `2h`
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(super) since: Option<Moment>,
    /// Only those accepted before then
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(super) until: Option<Moment>,
}

impl RangeArgs {
    /// Whether anything is said.
    pub(super) fn says_anything(&self) -> bool {
        let Self { destination, job, state, cause, since, until } = self;
        let texts = [destination, job, state, cause];
        texts.iter().any(|text| text.is_some()) || since.is_some() || until.is_some()
    }
}

/// An instant that lies at a time, or so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// At this instant.
    At(UnixMs),
    /// So long before now.
    Ago(Duration),
}

impl Moment {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ago) = parse_duration(text.trim().trim_end_matches("ago")) {
            return Ok(Self::Ago(ago));
        }
        parse_at(text).map(Self::At).map_err(|_| {
            format!("`{text}` is neither a time, such as 2026-02-18T14:00:00Z, nor how long ago, such as 2h")
        })
    }

    /// The instant.
    pub(super) fn instant(self, now: UnixMs) -> UnixMs {
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
