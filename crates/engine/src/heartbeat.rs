//! When an agent looks after its main session by itself.

use std::time::Duration;

use clawhook_model::UnixMs;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

/// The reply by which an agent says that there was nothing to do (OpenClaw's word).
pub(crate) const NOTHING_TO_DO: &str = "HEARTBEAT_OK";

/// How much else a reply may say that says so, in characters (OpenClaw's rule).
const ASIDE: usize = 300;

/// Whether a reply says that there was nothing to do: it begins or ends with the word, and says little else.
pub(crate) fn is_nothing_to_do(reply: &str) -> bool {
    let reply = reply.trim();
    let bounded = |rest: &str, next: Option<char>| {
        let stands_alone = next.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        stands_alone && rest.trim().chars().count() <= ASIDE
    };
    let begins = reply.strip_prefix(NOTHING_TO_DO).is_some_and(|rest| bounded(rest, rest.chars().next()));
    let ends = reply.strip_suffix(NOTHING_TO_DO).is_some_and(|rest| bounded(rest, rest.chars().next_back()));
    begins || ends
}

/// What an agent is asked where its configuration does not say.
pub const ASK: &str =
    "Look after what has come since your last turn. If nothing needs attention, reply HEARTBEAT_OK.";

/// The heartbeat of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatOptions {
    /// How often.
    pub every: Duration,
    /// The hours of the day in which it beats; none is all of them.
    pub active: Option<ActiveHours>,
    /// What the agent is asked, whether or not anything has come. Without it a heartbeat at which nothing waits asks
    /// nobody.
    pub prompt: Option<String>,
    /// `provider/model`, where it is not the agent's own.
    pub model: Option<String>,
}

/// A part of the day; one that ends before it begins goes over midnight.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveHours {
    /// When it begins.
    pub start: civil::Time,
    /// When it ends; that instant is no part of it.
    pub end: civil::Time,
    /// Where.
    pub zone: TimeZone,
}

impl ActiveHours {
    /// Whether `now` lies within.
    pub fn contains(&self, now: UnixMs) -> bool {
        let Ok(instant) = Timestamp::from_millisecond(now.as_millis()) else { return true };
        let time = self.zone.to_datetime(instant).time();
        if self.start <= self.end {
            (self.start..self.end).contains(&time)
        } else {
            time >= self.start || time < self.end
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_says_that_there_was_nothing_to_do_where_it_says_little_else() {
        let (little, much) = ("x".repeat(300), "x".repeat(301));
        for reply in [
            "HEARTBEAT_OK".to_owned(),
            " HEARTBEAT_OK.\n".to_owned(),
            format!("HEARTBEAT_OK {little}"),
            format!("{little}\nHEARTBEAT_OK"),
        ] {
            assert!(is_nothing_to_do(&reply), "{reply}");
        }
        for reply in [
            String::new(),
            "HEARTBEAT_OKAY".to_owned(),
            "Not HEARTBEAT_OK at all".to_owned(),
            format!("HEARTBEAT_OK {much}"),
            format!("{much} HEARTBEAT_OK"),
        ] {
            assert!(!is_nothing_to_do(&reply), "{reply}");
        }
    }

    #[test]
    fn active_hours_may_go_over_midnight_and_leave_their_end_out() {
        let hours = |start, end| ActiveHours { start, end, zone: TimeZone::UTC };
        let at = |hour: i64| UnixMs::from_millis(hour * 3_600_000);
        let (morning, night) = (civil::time(8, 0, 0, 0), civil::time(22, 0, 0, 0));
        let inside =
            |hours: &ActiveHours| (0..24).filter(|hour| hours.contains(at(*hour))).collect::<Vec<_>>();
        assert_eq!(inside(&hours(morning, night)), (8..22).collect::<Vec<_>>());
        assert_eq!(inside(&hours(night, morning)), (0..8).chain(22..24).collect::<Vec<_>>());
    }
}
