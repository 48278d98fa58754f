//! What an answer is worth.

use std::time::Duration;

use clawhook_model::{AttemptClass, AttemptReport};
use serde::Serialize;

/// What a receiver that answers more slowly than this should do about it. The gateway waits for three times as long.
pub(super) const SLOW: Duration = Duration::from_secs(5);

/// How a case ended; the worst of them is the endpoint's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Nothing could be found out, because no good event was accepted.
    Skipped,
    /// As it should be.
    Pass,
    /// It works, and could be better.
    Warn,
    /// Events will be lost, repeated or forged.
    Fail,
}

impl Verdict {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// A verdict, and what to do about it where it is not a plain pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) advice: Option<String>,
}

impl Judgement {
    pub(super) fn pass() -> Self {
        Self { verdict: Verdict::Pass, advice: None }
    }

    pub(super) fn warn(advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, advice: Some(advice.into()) }
    }

    pub(super) fn fail(advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, advice: Some(advice.into()) }
    }

    /// The worse of two.
    pub(super) fn and(self, other: Self) -> Self {
        if other.verdict > self.verdict { other } else { self }
    }
}

/// What should become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expectation {
    /// 2xx, in time.
    Accepted,
    /// 401 or 403.
    Refused,
    /// 2xx or 4xx, but no fault of the server.
    Answered,
}

impl Expectation {
    /// In words.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "2xx",
            Self::Refused => "401 or 403",
            Self::Answered => "2xx or 4xx",
        }
    }

    /// Judges what came; `advice` is for an answer that means the opposite of what was expected.
    pub(super) fn judge(self, came: &AttemptReport, advice: &str) -> Judgement {
        match (self, came.class, came.status) {
            (Self::Accepted | Self::Answered, AttemptClass::Delivered, _) => accepted(came),
            (Self::Refused, AttemptClass::ClientError, Some(401 | 403))
            | (Self::Answered, AttemptClass::ClientError, _) => Judgement::pass(),
            (_, _, Some(429 | 503)) => Judgement::warn(BUSY),
            (Self::Refused, AttemptClass::ClientError, _) => Judgement::warn(UNCLEAR_REFUSAL),
            (_, AttemptClass::Redirect, _) => Judgement::fail(redirect(came)),
            (_, AttemptClass::AnswerTimeout, _) => Judgement::fail(HANGS),
            (Self::Refused, AttemptClass::ServerError, _) => Judgement::fail(BROKEN_REFUSAL),
            _ => Judgement::fail(advice),
        }
    }
}

const BUSY: &str =
    "The endpoint says that it is busy, so this could not be judged. The gateway would try again later.";
const UNCLEAR_REFUSAL: &str = "It is refused, which is what counts; 401 would say why.";
const BROKEN_REFUSAL: &str = "A request that cannot be verified ends in a fault of the server. Catch whatever the \
                              verification throws and answer 401: anybody can send such a request, and after a 5xx a \
                              sender tries again for days.";
const HANGS: &str = "No answer came in time, so the gateway would count the attempt as failed and send the event again. \
                     Put the event into a queue, answer, and work afterwards.";
const SLOW_ANSWER: &str = "The answer took long. Put the event into a queue, answer, and work afterwards.";
const LOST_ANSWER: &str =
    "The status counts, but the rest of the answer was lost. A receiver's answer needs no body at all.";

fn accepted(came: &AttemptReport) -> Judgement {
    if came.error.is_some() {
        Judgement::warn(LOST_ANSWER)
    } else if Duration::from_micros(came.timings.total_us) > SLOW {
        Judgement::warn(SLOW_ANSWER)
    } else {
        Judgement::pass()
    }
}

fn redirect(came: &AttemptReport) -> String {
    let to = came.location.as_ref().map(|location| format!(" (it points to {location})")).unwrap_or_default();
    format!(
        "Redirects are never followed{to}. Give the address that answers by itself; a missing or surplus slash at the \
         end, http in place of https, or a page to log in are the usual reasons."
    )
}

#[cfg(test)]
mod tests {
    use clawhook_model::PhaseTimings;

    use super::*;

    fn came(status: u16) -> AttemptReport {
        let mut report = AttemptReport::failed(AttemptClass::of_status(status), "", PhaseTimings::default());
        report.error = None;
        report.status = Some(status);
        report
    }

    #[test]
    fn each_status_is_worth_what_the_gateway_would_make_of_it() {
        use Expectation::{Accepted, Answered, Refused};
        use Verdict::{Fail, Pass, Warn};
        for (status, accepted, refused, answered) in [
            (200, Pass, Fail, Pass),
            (202, Pass, Fail, Pass),
            (204, Pass, Fail, Pass),
            (302, Fail, Fail, Fail),
            (400, Fail, Warn, Pass),
            (401, Fail, Pass, Pass),
            (403, Fail, Pass, Pass),
            (413, Fail, Warn, Pass),
            (429, Warn, Warn, Pass),
            (500, Fail, Fail, Fail),
            (503, Warn, Warn, Warn),
        ] {
            let verdicts = [Accepted, Refused, Answered]
                .map(|expectation| expectation.judge(&came(status), "do better").verdict);
            assert_eq!(verdicts, [accepted, refused, answered], "{status}");
        }
    }

    #[test]
    fn whatever_is_not_a_pass_comes_with_advice() {
        for expectation in [Expectation::Accepted, Expectation::Refused, Expectation::Answered] {
            for status in (200..600).step_by(3) {
                let Judgement { verdict, advice } = expectation.judge(&came(status), "do better");
                assert_eq!(advice.is_some(), verdict > Verdict::Pass, "{expectation:?} {status}");
            }
        }
    }

    #[test]
    fn a_slow_success_and_one_whose_answer_broke_are_warned_about() {
        let mut slow = came(200);
        slow.timings.total_us = 5_000_001;
        assert_eq!(Expectation::Accepted.judge(&slow, "").verdict, Verdict::Warn);
        let mut lost = came(200);
        lost.error = Some("the rest was lost".to_owned());
        assert_eq!(Expectation::Accepted.judge(&lost, "").verdict, Verdict::Warn);
    }

    #[test]
    fn a_redirect_is_told_with_its_target() {
        let mut moved = came(308);
        moved.location = Some("https://example.com/hook/".to_owned());
        let advice = Expectation::Accepted.judge(&moved, "").advice.unwrap();
        assert!(advice.contains("https://example.com/hook/"), "{advice}");
    }
}
