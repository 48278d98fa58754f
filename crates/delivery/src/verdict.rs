//! What follows from an attempt: one table, pure.

use std::num::NonZeroU32;
use std::time::Duration;

use clawhook_model::{AttemptClass, AttemptReport, HaltReason, RetryRules, UnixMs, format_duration};
use clawhook_store::{Spends, Verdict};

use crate::backoff::{after_own_fault, with_jitter};
use crate::transport::ANSWERED;

const GONE: u16 = 410;
/// The statuses of 4xx that speak of the moment and not of the event: the same event may be taken later.
const PASSING: [u16; 3] = [408, 425, 429];
/// When a delivery to a paused destination is looked at again, should nobody resume it before.
const PAUSED_WAIT: Duration = Duration::from_secs(60 * 60);

/// What a delivery has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    /// How many steps of the retry schedule are used up.
    pub(crate) retries_used: u32,
    /// How many tries the receiver has refused.
    pub(crate) refusals: u32,
    /// When its window began.
    pub(crate) window_from: UnixMs,
}

/// What was decided, and why, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// Why the destination is to be halted, if it is, with all that waits for it.
    pub(crate) pause: Option<HaltReason>,
    /// For the attempt's record.
    pub(crate) decision: String,
    /// For lists: why it is not delivered.
    pub(crate) reason: Option<String>,
}

/// A try that is planned, before the window and chance have had their say.
struct Plan {
    wait: Duration,
    spends: Spends,
    why: String,
}

/// Why there is no further try.
enum End {
    Refused { by: String, tries: NonZeroU32 },
    ScheduleUsedUp { retries: u32 },
    WindowOver { wait: Duration, window: Duration, ends: UnixMs },
}

/// Decides what follows from `report`. `random` lies in `0..1`.
pub(crate) fn judge(
    report: &AttemptReport,
    rules: &RetryRules,
    history: History,
    now: UnixMs,
    random: f64,
) -> Judgement {
    if report.class.is_delivered() {
        let decision = "delivered".to_owned();
        return Judgement { verdict: Verdict::Delivered, pause: None, decision, reason: None };
    }
    if report.class == AttemptClass::RenderFailed {
        return unrenderable(report);
    }
    if report.status == Some(GONE) && report.class == AttemptClass::ClientError {
        return gone(report, now);
    }
    let planned = next_try(report, rules, history, now);
    match planned.and_then(|plan| Ok((within_window(&plan, rules, history, now, random)?, plan))) {
        Ok((at, Plan { spends, why, .. })) => Judgement {
            verdict: Verdict::RetryAt { at, spends },
            pause: None,
            decision: format!("tried again in {}: {why}", shown(at.since(now))),
            reason: Some(what_failed(report)),
        },
        Err(end) => given_up(report, &end),
    }
}

/// The body cannot be made of this event, and would not be another time: only its destination's owner can mend that,
/// and then has it sent again.
fn unrenderable(report: &AttemptReport) -> Judgement {
    Judgement {
        verdict: Verdict::Dead,
        pause: None,
        decision: "given up: trying again would not help; mend the destination's `format`, then `retry`"
            .to_owned(),
        reason: Some(what_failed(report)),
    }
}

/// The receiver wants no more events, this one or any other. What waits is the operator's to settle, so nothing is
/// given up.
fn gone(report: &AttemptReport, now: UnixMs) -> Judgement {
    Judgement {
        verdict: Verdict::RetryAt { at: now.plus(PAUSED_WAIT), spends: Spends::Nothing },
        pause: Some(HaltReason::Gone),
        decision: "kept until the destination is resumed: the receiver answered 410, it is gone; no retry is used up"
            .to_owned(),
        reason: Some(format!("{}; the destination is paused", what_failed(report))),
    }
}

/// The next try by the schedule, the receiver's wish and the kind of failure.
fn next_try(report: &AttemptReport, rules: &RetryRules, history: History, now: UnixMs) -> Result<Plan, End> {
    let class = report.class.as_str();
    if report.class.is_own_fault() {
        return Ok(Plan {
            wait: after_own_fault(now.since(history.window_from)),
            spends: Spends::Nothing,
            why: format!("the fault is on our side ({class}), no retry is used up"),
        });
    }
    let refusal = refusal(report);
    let tries = rules.client_error_tries;
    let refusals = history.refusals.saturating_add(1);
    if let Some(by) = &refusal
        && refusals >= tries.get()
    {
        return Err(End::Refused { by: by.clone(), tries });
    }
    let schedule = &rules.schedule;
    let retries = schedule.retries();
    let Some(step) = schedule.delay(history.retries_used) else {
        return Err(End::ScheduleUsedUp { retries });
    };
    let (wait, asked) = heed(report, rules, step, now);
    let after = match &refusal {
        Some(by) => format!("{by}, refusal {refusals} of {tries}"),
        None => class.to_owned(),
    };
    let spends = if refusal.is_some() { Spends::RefusalAndRetry } else { Spends::Retry };
    let number = history.retries_used + 1;
    let why = format!("step {number} of {retries} of the retry schedule, after {after}{asked}");
    Ok(Plan { wait, spends, why })
}

/// The schedule's `step`, lengthened to what the receiver asks for as far as that is heeded, and the words for it.
fn heed(report: &AttemptReport, rules: &RetryRules, step: Duration, now: UnixMs) -> (Duration, String) {
    let Some(asked) = report.retry_after.map(|hint| hint.wait(now)) else { return (step, String::new()) };
    let most = rules.max_retry_after;
    let heeded = asked.min(most);
    let (asked_shown, most) = (shown(asked), shown(most));
    let words = if heeded <= step {
        format!("; the receiver asked for {asked_shown}, and the step is no shorter than what is heeded")
    } else if asked > heeded {
        format!("; the receiver asked for {asked_shown}, and at most {most} is heeded")
    } else {
        format!("; the receiver asked for {asked_shown}")
    };
    (step.max(heeded), words)
}

/// The instant of a planned try, with jitter, never beyond the window.
///
/// Chance does not end a delivery: where the wait itself fits into the window, its jitter is made to fit.
fn within_window(
    plan: &Plan,
    rules: &RetryRules,
    history: History,
    now: UnixMs,
    random: f64,
) -> Result<UnixMs, End> {
    let window = rules.effective_window();
    let ends = history.window_from.plus(window);
    if now.plus(plan.wait) > ends {
        return Err(End::WindowOver { wait: plan.wait, window, ends });
    }
    Ok(now.plus(with_jitter(plan.wait, random)).min(ends))
}

fn given_up(report: &AttemptReport, end: &End) -> Judgement {
    let failed = what_failed(report);
    let (why, reason) = match end {
        End::Refused { by, tries } => (
            format!(
                "the receiver refused it with {by}, and all {tries} tries that it may refuse are used up"
            ),
            format!("{failed}; refused {tries} times"),
        ),
        End::ScheduleUsedUp { retries: 0 } => ("no retry is granted".to_owned(), failed),
        End::ScheduleUsedUp { retries } => {
            (format!("all {retries} retries are used up, the last after {}", report.class.as_str()), failed)
        }
        End::WindowOver { wait, window, ends } => (
            format!(
                "the next try, in {}, would come after the window of {} that ends at {ends}",
                shown(*wait),
                shown(*window)
            ),
            format!("{failed}; its window of {} is over", shown(*window)),
        ),
    };
    let decision = format!("given up: {why}; `retry` starts over");
    Judgement { verdict: Verdict::Dead, pause: None, decision, reason: Some(reason) }
}

/// What says, if anything does, that this event will not be taken, however often it is sent.
fn refusal(report: &AttemptReport) -> Option<String> {
    match report.class {
        AttemptClass::Refused | AttemptClass::Unauthorized => Some(format!("`{}`", report.class.as_str())),
        AttemptClass::ClientError => {
            let status = report.status.filter(|status| !PASSING.contains(status))?;
            Some(format!("HTTP {status}"))
        }
        _ => None,
    }
}

fn what_failed(report: &AttemptReport) -> String {
    match (report.status, &report.error) {
        // What a chat channel's service says is better than its status.
        (_, Some(error)) if report.status.is_some() && !error.starts_with(ANSWERED) => error.clone(),
        (Some(status), _) if !AttemptClass::of_status(status).is_delivered() => {
            format!("Webhook request failed with HTTP {status}")
        }
        (_, Some(error)) => error.clone(),
        _ => format!("Webhook request failed: {}", report.class.as_str()),
    }
}

/// A wait for people: milliseconds matter only where there are no minutes.
fn shown(wait: Duration) -> String {
    let whole = Duration::from_secs(wait.as_secs());
    format_duration(if wait < Duration::from_secs(60) { wait } else { whole })
}

#[cfg(test)]
mod tests;
