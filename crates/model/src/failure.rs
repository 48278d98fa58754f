//! What follows from a failed run: when the job backs off, when its occurrence is tried again, and when the job is
//! switched off (contract §3.6).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::run::{ErrorReason, RunError};
use crate::time::UnixMs;

/// How long a job that recurs backs off after so many failures in a row; after more, as long as the last says.
pub const BACKOFF: [Duration; 5] = [
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_mins(60),
];

/// What follows from failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRules {
    /// How often an occurrence is tried again after an error that may pass.
    pub most_retries: u32,
    /// How long to wait before each try; the last one holds for all that follow.
    pub retry_after: Vec<Duration>,
    /// The errors that may pass.
    pub retry_on: Vec<TransientClass>,
    /// After how many failures in a row a job that recurs is switched off.
    pub disable_after: u32,
}

impl Default for FailureRules {
    fn default() -> Self {
        Self {
            most_retries: 3,
            retry_after: BACKOFF[..3].to_vec(),
            retry_on: TransientClass::ALL.to_vec(),
            disable_after: 10,
        }
    }
}

/// A class of errors that may pass by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransientClass {
    /// The provider asked to slow down.
    RateLimit,
    /// The provider has no capacity at the moment.
    Overloaded,
    /// The network failed.
    Network,
    /// It took too long.
    Timeout,
    /// The provider failed on its side.
    ServerError,
}

impl TransientClass {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::RateLimit, Self::Overloaded, Self::Network, Self::Timeout, Self::ServerError];

    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::ServerError => "server_error",
        }
    }

    /// The class of an error; none where it will not pass by itself. A structured reason is stronger than the text,
    /// which is looked at only where there is no reason.
    pub fn of(error: &RunError) -> Option<Self> {
        match error.reason {
            ErrorReason::RateLimit => Some(Self::RateLimit),
            ErrorReason::Overloaded => Some(Self::Overloaded),
            ErrorReason::Network | ErrorReason::Offline => Some(Self::Network),
            ErrorReason::Timeout => Some(Self::Timeout),
            ErrorReason::ServerError => Some(Self::ServerError),
            ErrorReason::Unknown => Self::in_text(&error.message),
            _ => None,
        }
    }

    /// OpenClaw's tests of an error's text.
    fn in_text(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        WORDS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word))).map(|(class, _)| *class)
    }
}

/// The words by which an error's text shows its class.
const WORDS: [(TransientClass, &[&str]); 4] = [
    (
        TransientClass::RateLimit,
        &[
            "rate limit",
            "rate_limit",
            "too many requests",
            "429",
            "resource has been exhausted",
            "cloudflare",
            "tokens per day",
        ],
    ),
    (
        TransientClass::Overloaded,
        &["529", "overloaded", "high demand", "temporarily overloaded", "capacity exceeded"],
    ),
    (
        TransientClass::Network,
        &[
            "network",
            "fetch failed",
            "socket",
            "econnreset",
            "econnrefused",
            "eai_again",
            "enetdown",
            "ehostunreach",
            "ehostdown",
            "enetreset",
            "enetunreach",
            "epipe",
        ],
    ),
    (TransientClass::Timeout, &["timeout", "etimedout", "timed out", "stalled before execution start"]),
];

/// Whether a failure counts against its job.
///
/// What the job could not help does not: the gateway's end, a cancellation, and the gateway's own lack of a network.
/// These neither add to the failures in a row nor end them, and they switch nothing off.
pub fn counts_against_job(reason: ErrorReason) -> bool {
    !matches!(reason, ErrorReason::Interrupted | ErrorReason::Cancelled | ErrorReason::Offline)
}

/// A failed run, as far as what follows depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// Why it failed.
    pub error: &'a RunError,
    /// When it ended.
    pub ended_at: UnixMs,
    /// Which try of its occurrence it was, from 1.
    pub attempt: u32,
    /// The failures in a row, with this one where it counts.
    pub in_a_row: u32,
    /// Whether the job is due once.
    pub one_shot: bool,
    /// When the job is due next by its schedule.
    pub next_run_at: Option<UnixMs>,
}

/// What follows from a failed run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// Until when what is due is not run.
    pub backoff_until: Option<UnixMs>,
    /// When the same occurrence is tried again.
    pub retry_at: Option<UnixMs>,
    /// Why the job is switched off.
    pub disabled: Option<AutoDisabled>,
}

/// Why and when a job was switched off by the gateway (contract §1.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoDisabled {
    /// Why.
    pub reason: AutoDisableReason,
    /// When.
    pub at_ms: UnixMs,
    /// The failures in a row that led to it.
    pub consecutive_errors: u32,
    /// What went wrong last, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why a job was switched off by the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutoDisableReason {
    /// Its runs failed too often in a row.
    ConsecutiveFailures,
    /// Its schedule can no longer be read, as where its zone has vanished.
    ScheduleErrors,
}

impl AutoDisableReason {
    /// The wire's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive-failures",
            Self::ScheduleErrors => "schedule-errors",
        }
    }
}

impl FailureRules {
    /// What follows from a failed run that the schedule had brought about.
    ///
    /// An occurrence is tried again where the error may pass and that is sooner than the next one is due. A job that
    /// recurs backs off otherwise, longer with each failure in a row, and is switched off after too many; refused
    /// credentials switch nothing off, because they are the operator's to mend (contract §3.6).
    pub fn aftermath(&self, failure: Failure<'_>) -> Aftermath {
        let Failure { error, ended_at, in_a_row, one_shot, next_run_at, .. } = failure;
        let counted = counts_against_job(error.reason);
        let is_too_much = counted && !one_shot && in_a_row >= self.disable_after;
        if is_too_much && error.reason != ErrorReason::Auth {
            let disabled = AutoDisabled {
                reason: AutoDisableReason::ConsecutiveFailures,
                at_ms: ended_at,
                consecutive_errors: in_a_row,
                detail: Some(error.message.clone()),
            };
            return Aftermath { disabled: Some(disabled), ..Aftermath::default() };
        }
        let retry_at = self.retry_at(failure).filter(|at| next_run_at.is_none_or(|next| *at < next));
        if retry_at.is_some() {
            return Aftermath { retry_at, ..Aftermath::default() };
        }
        let backoff_until = (counted && !one_shot).then(|| ended_at.plus(nth(&BACKOFF, in_a_row)));
        Aftermath { backoff_until, ..Aftermath::default() }
    }

    fn retry_at(&self, failure: Failure<'_>) -> Option<UnixMs> {
        let class = TransientClass::of(failure.error)?;
        let tries = failure.attempt.max(failure.in_a_row);
        let again = self.retry_on.contains(&class) && tries <= self.most_retries;
        again.then(|| failure.ended_at.plus(nth(&self.retry_after, tries)))
    }
}

/// The entry for the `n`th time, from 1; the last holds for all that follow.
fn nth(table: &[Duration], n: u32) -> Duration {
    let place = usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
    table.get(place).or(table.last()).copied().unwrap_or(BACKOFF[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: UnixMs = UnixMs::from_millis(1_000_000);

    fn error(reason: ErrorReason) -> RunError {
        RunError { reason, message: "it broke".to_owned() }
    }

    fn failure(error: &RunError, in_a_row: u32) -> Failure<'_> {
        let next_run_at = Some(END.plus(Duration::from_hours(24)));
        Failure { error, ended_at: END, attempt: 1, in_a_row, one_shot: false, next_run_at }
    }

    fn after(seconds: u64) -> Option<UnixMs> {
        Some(END.plus(Duration::from_secs(seconds)))
    }

    #[test]
    fn a_job_that_recurs_backs_off_by_openclaws_table() {
        let lasting = error(ErrorReason::Exit);
        let rules = FailureRules::default();
        for (in_a_row, seconds) in [(1, 30), (2, 60), (3, 300), (4, 900), (5, 3600), (6, 3600), (7, 3600)] {
            let expected = Aftermath { backoff_until: after(seconds), ..Aftermath::default() };
            assert_eq!(rules.aftermath(failure(&lasting, in_a_row)), expected);
        }
    }

    #[test]
    fn an_error_that_may_pass_is_tried_again_where_that_is_sooner_than_the_next_instant() {
        let passing = error(ErrorReason::RateLimit);
        let rules = FailureRules::default();
        for (in_a_row, seconds) in [(1, 30), (2, 60), (3, 300)] {
            let follows = rules.aftermath(failure(&passing, in_a_row));
            assert_eq!(follows, Aftermath { retry_at: after(seconds), ..Aftermath::default() });
        }
        assert_eq!(rules.aftermath(failure(&passing, 4)).retry_at, None);
        let soon = Failure { next_run_at: after(20), ..failure(&passing, 1) };
        let follows = Aftermath { backoff_until: after(30), ..Aftermath::default() };
        assert_eq!(rules.aftermath(soon), follows);
    }

    #[test]
    fn ten_failures_in_a_row_switch_a_job_off_unless_its_credentials_were_refused() {
        let rules = FailureRules::default();
        let broken = error(ErrorReason::Exit);
        assert_eq!(rules.aftermath(failure(&broken, 9)).disabled, None);
        let disabled = rules.aftermath(failure(&broken, 10)).disabled.unwrap();
        assert_eq!(
            (disabled.reason, disabled.consecutive_errors),
            (AutoDisableReason::ConsecutiveFailures, 10)
        );
        assert_eq!(rules.aftermath(failure(&error(ErrorReason::Auth), 12)).disabled, None);
        let once = Failure { one_shot: true, ..failure(&broken, 10) };
        assert_eq!(rules.aftermath(once), Aftermath::default());
    }

    #[test]
    fn what_a_job_could_not_help_does_not_count_and_a_lack_of_network_is_tried_again() {
        let rules = FailureRules::default();
        for reason in [ErrorReason::Interrupted, ErrorReason::Cancelled] {
            assert!(!counts_against_job(reason));
            assert_eq!(rules.aftermath(failure(&error(reason), 10)), Aftermath::default());
        }
        let offline = error(ErrorReason::Offline);
        assert_eq!(rules.aftermath(failure(&offline, 0)).retry_at, after(30));
        let last = Failure { attempt: 4, ..failure(&offline, 0) };
        assert_eq!(rules.aftermath(last), Aftermath::default());
    }

    #[test]
    fn the_text_of_an_error_tells_its_class_only_where_there_is_no_reason() {
        let class = |text: &str| {
            TransientClass::of(&RunError { reason: ErrorReason::Unknown, message: text.to_owned() })
        };
        assert_eq!(class("HTTP 429 Too Many Requests"), Some(TransientClass::RateLimit));
        assert_eq!(class("The model is overloaded"), Some(TransientClass::Overloaded));
        assert_eq!(class("TypeError: fetch failed"), Some(TransientClass::Network));
        assert_eq!(class("the request timed out"), Some(TransientClass::Timeout));
        assert_eq!(class("no such file"), None);
        let structured = RunError { reason: ErrorReason::Billing, message: "429".to_owned() };
        assert_eq!(TransientClass::of(&structured), None);
    }
}
