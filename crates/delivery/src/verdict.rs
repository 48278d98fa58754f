//! What follows from an attempt: one table, pure.

use std::time::Duration;

use clawhook_model::{AttemptClass, AttemptReport, UnixMs, format_duration};
use clawhook_store::Verdict;

use crate::backoff::RetrySchedule;

/// How long a delivery waits after a fault of our own side, which uses up no retry.
const OWN_FAULT_WAIT: Duration = Duration::from_secs(30);

/// What was decided, and why, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// For the attempt's record.
    pub(crate) decision: String,
    /// For lists: why it is not delivered.
    pub(crate) reason: Option<String>,
}

/// Decides what follows from `report`, once `retries_used` steps of the schedule are used up. `random` lies in `0..1`.
pub(crate) fn judge(
    report: &AttemptReport,
    schedule: &RetrySchedule,
    retries_used: u32,
    now: UnixMs,
    random: f64,
) -> Judgement {
    if report.class.is_delivered() {
        return Judgement { verdict: Verdict::Delivered, decision: "delivered".to_owned(), reason: None };
    }
    let reason = Some(what_failed(report));
    if report.class.is_own_fault() {
        let verdict = Verdict::RetryAt { at: now.plus(OWN_FAULT_WAIT), uses_retry: false };
        let decision = format!(
            "tried again in {}: the fault is on our side, no retry is used up",
            format_duration(OWN_FAULT_WAIT)
        );
        return Judgement { verdict, decision, reason };
    }
    match schedule.delay(retries_used, random) {
        Some(wait) => {
            let verdict = Verdict::RetryAt { at: now.plus(wait), uses_retry: true };
            let shown =
                format_duration(Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
            let step = retries_used + 1;
            let decision = format!(
                "tried again in {shown}: step {step} of {} of the retry schedule, after {}",
                schedule.retries(),
                report.class.as_str(),
            );
            Judgement { verdict, decision, reason }
        }
        None => Judgement {
            verdict: Verdict::Dead,
            decision: format!(
                "given up: all {} retries are used up; `retry` starts over",
                schedule.retries()
            ),
            reason,
        },
    }
}

fn what_failed(report: &AttemptReport) -> String {
    match (report.status, &report.error) {
        (Some(status), _) if !AttemptClass::of_status(status).is_delivered() => {
            format!("Webhook request failed with HTTP {status}")
        }
        (_, Some(error)) => error.clone(),
        _ => format!("Webhook request failed: {}", report.class.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use clawhook_model::PhaseTimings;

    use super::*;

    const NOW: UnixMs = UnixMs::from_millis(1_000_000);

    fn report(class: AttemptClass) -> AttemptReport {
        AttemptReport::failed(class, "it broke", PhaseTimings::default())
    }

    fn decide(class: AttemptClass, retries_used: u32) -> Verdict {
        judge(&report(class), &RetrySchedule::default(), retries_used, NOW, 0.0).verdict
    }

    #[test]
    fn a_lost_answer_is_retried_like_any_failure() {
        use AttemptClass::{
            AnswerLost, AnswerTimeout, ClientError, ConnectFailed, Redirect, ServerError, TlsFailed,
        };
        for class in [AnswerLost, AnswerTimeout, ClientError, ConnectFailed, Redirect, ServerError, TlsFailed]
        {
            let expected = Verdict::RetryAt { at: NOW.plus(Duration::from_secs(5)), uses_retry: true };
            assert_eq!(decide(class, 0), expected, "{class:?}");
        }
    }

    #[test]
    fn the_schedule_is_walked_to_its_end_and_then_the_delivery_is_dead() {
        let second = Verdict::RetryAt { at: NOW.plus(Duration::from_secs(300)), uses_retry: true };
        assert_eq!(decide(AttemptClass::ServerError, 1), second);
        assert_eq!(decide(AttemptClass::ServerError, 9), Verdict::Dead);
    }

    #[test]
    fn a_fault_of_our_own_side_uses_up_no_retry() {
        for retries_used in [0, 9, 100] {
            let expected = Verdict::RetryAt { at: NOW.plus(OWN_FAULT_WAIT), uses_retry: false };
            assert_eq!(decide(AttemptClass::DnsFailed, retries_used), expected);
        }
    }

    #[test]
    fn the_reason_is_openclaws_sentence_where_there_is_a_status() {
        let mut report = report(AttemptClass::ServerError);
        report.status = Some(500);
        let judgement = judge(&report, &RetrySchedule::default(), 0, NOW, 0.0);
        assert_eq!(judgement.reason.as_deref(), Some("Webhook request failed with HTTP 500"));
    }
}
