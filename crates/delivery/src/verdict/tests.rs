//! The table, held to its words and its bounds.

use clawhook_model::{PhaseTimings, RetryAfter, RetrySchedule};
use proptest::prelude::*;

use super::*;

const NOW: UnixMs = UnixMs::from_millis(1_700_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const FRESH: History = History { retries_used: 0, refusals: 0, window_from: NOW };

fn failed(class: AttemptClass) -> AttemptReport {
    AttemptReport::failed(class, "it broke", PhaseTimings::default())
}

fn answered(status: u16) -> AttemptReport {
    let error = Some(format!("{ANSWERED} {status}"));
    AttemptReport { status: Some(status), error, ..failed(AttemptClass::of_status(status)) }
}

fn asking(status: u16, hint: RetryAfter) -> AttemptReport {
    AttemptReport { retry_after: Some(hint), ..answered(status) }
}

fn decide(report: &AttemptReport, history: History) -> Judgement {
    judge(report, &RetryRules::default(), history, NOW, 0.0)
}

fn retry_in(wait: Duration, spends: Spends) -> Verdict {
    Verdict::RetryAt { at: NOW.plus(wait), spends }
}

#[test]
fn i10_success_is_a_2xx_and_nothing_else() {
    for status in 100..=999 {
        let judgement = decide(&answered(status), FRESH);
        assert_eq!(judgement.verdict == Verdict::Delivered, (200..300).contains(&status), "{status}");
        assert_eq!(judgement.reason.is_none(), (200..300).contains(&status), "{status}");
    }
}

#[test]
fn a_lost_answer_is_retried_like_any_failure() {
    use AttemptClass::{
        AnswerLost, AnswerTimeout, Blocked, ConnectFailed, ConnectTimeout, DnsNotFound, ProtocolError,
        Redirect, ServerError, TlsFailed,
    };
    for class in [
        AnswerLost,
        AnswerTimeout,
        Blocked,
        ConnectFailed,
        ConnectTimeout,
        DnsNotFound,
        ProtocolError,
        Redirect,
        ServerError,
        TlsFailed,
    ] {
        assert_eq!(decide(&failed(class), FRESH).verdict, retry_in(5 * SECOND, Spends::Retry), "{class:?}");
    }
}

#[test]
fn the_schedule_is_walked_to_its_end_and_then_the_delivery_is_dead() {
    let at_step = |retries_used| decide(&answered(500), History { retries_used, ..FRESH });
    assert_eq!(
        at_step(0).decision,
        "tried again in 5s: step 1 of 9 of the retry schedule, after server_error"
    );
    assert_eq!(at_step(1).verdict, retry_in(5 * MINUTE, Spends::Retry));
    assert_eq!(
        at_step(8).decision,
        "tried again in 1d: step 9 of 9 of the retry schedule, after server_error"
    );
    let end = at_step(9);
    assert_eq!(end.verdict, Verdict::Dead);
    assert_eq!(
        end.decision,
        "given up: all 9 retries are used up, the last after server_error; `retry` starts over"
    );
    assert_eq!(end.reason.as_deref(), Some("Webhook request failed with HTTP 500"));

    let once = judge(&answered(500), &RetryRules::of(RetrySchedule::new(Vec::new())), FRESH, NOW, 0.0);
    assert_eq!(once.decision, "given up: no retry is granted; `retry` starts over");
}

#[test]
fn a_receiver_that_is_gone_pauses_its_destination_and_what_waits_is_kept() {
    for history in [FRESH, History { retries_used: 9, refusals: 2, window_from: UnixMs::EPOCH }] {
        let judgement = decide(&answered(410), history);
        assert_eq!(judgement.verdict, retry_in(HOUR, Spends::Nothing));
        assert_eq!(judgement.pause, Some(HaltReason::Gone));
        assert_eq!(
            judgement.decision,
            "kept until the destination is resumed: the receiver answered 410, it is gone; no retry is used up"
        );
        assert_eq!(
            judgement.reason.as_deref(),
            Some("Webhook request failed with HTTP 410; the destination is paused")
        );
    }
    for status in [301, 400, 404, 429, 500, 503] {
        assert_eq!(decide(&answered(status), FRESH).pause, None, "{status}");
    }
}

#[test]
fn a_refusal_is_tried_as_often_as_the_rules_say() {
    let refused = |refusals| decide(&answered(404), History { retries_used: refusals, refusals, ..FRESH });
    assert_eq!(refused(0).verdict, retry_in(5 * SECOND, Spends::RefusalAndRetry));
    assert_eq!(
        refused(1).decision,
        "tried again in 5m: step 2 of 9 of the retry schedule, after HTTP 404, refusal 2 of 3"
    );
    let end = refused(2);
    assert_eq!(end.verdict, Verdict::Dead);
    assert_eq!(
        end.decision,
        "given up: the receiver refused it with HTTP 404, and all 3 tries that it may refuse are used up; `retry` starts over"
    );
    assert_eq!(end.reason.as_deref(), Some("Webhook request failed with HTTP 404; refused 3 times"));
}

#[test]
fn a_receiver_that_is_busy_or_too_early_has_not_refused() {
    let almost = History { refusals: 2, ..FRESH };
    for status in [408, 425, 429, 500, 502, 503, 504, 301] {
        assert_eq!(
            decide(&answered(status), almost).verdict,
            retry_in(5 * SECOND, Spends::Retry),
            "{status}"
        );
    }
    for status in [400, 401, 403, 404, 409, 413, 422, 499] {
        assert_eq!(decide(&answered(status), almost).verdict, Verdict::Dead, "{status}");
    }
}

#[test]
fn what_the_receiver_asks_for_is_heeded_where_the_schedule_is_shorter() {
    let heeded = |hint, retries_used| decide(&asking(503, hint), History { retries_used, ..FRESH });
    let two_minutes = heeded(RetryAfter::Seconds(120), 0);
    assert_eq!(two_minutes.verdict, retry_in(2 * MINUTE, Spends::Retry));
    assert_eq!(
        two_minutes.decision,
        "tried again in 2m: step 1 of 9 of the retry schedule, after server_error; the receiver asked for 2m"
    );
    assert_eq!(heeded(RetryAfter::At(NOW.plus(2 * MINUTE)), 0), two_minutes);

    let shorter = heeded(RetryAfter::Seconds(120), 1);
    assert_eq!(shorter.verdict, retry_in(5 * MINUTE, Spends::Retry));
    assert_eq!(
        shorter.decision,
        "tried again in 5m: step 2 of 9 of the retry schedule, after server_error; the receiver asked for 2m, and the step is no shorter than what is heeded"
    );

    let longer = heeded(RetryAfter::Seconds(u64::MAX), 0);
    assert_eq!(longer.verdict, retry_in(HOUR, Spends::Retry));
    assert!(longer.decision.ends_with(", and at most 1h is heeded"), "{}", longer.decision);

    let passed = heeded(RetryAfter::At(UnixMs::EPOCH), 0);
    assert_eq!(passed.verdict, retry_in(5 * SECOND, Spends::Retry));
}

#[test]
fn a_fault_of_our_own_side_uses_up_no_retry_and_waits_ever_longer() {
    use AttemptClass::{DnsFailed, Interrupted, ProxyFailed, ResourcesExhausted};
    for class in [DnsFailed, Interrupted, ProxyFailed, ResourcesExhausted] {
        for retries_used in [0, 9, 100] {
            let judgement = decide(&failed(class), History { retries_used, refusals: 100, ..FRESH });
            assert_eq!(judgement.verdict, retry_in(5 * SECOND, Spends::Nothing), "{class:?}");
        }
    }
    let judgement =
        decide(&failed(ResourcesExhausted), History { window_from: NOW.plus_millis(-60_000), ..FRESH });
    assert_eq!(
        judgement.decision,
        "tried again in 30s: the fault is on our side (resources_exhausted), no retry is used up"
    );
    let old = History { window_from: NOW.plus_millis(-80_000_000), ..FRESH };
    assert_eq!(decide(&failed(DnsFailed), old).verdict, retry_in(5 * MINUTE, Spends::Nothing));
}

#[test]
fn beyond_its_window_no_delivery_is_tried() {
    let rules = RetryRules { window: Some(72 * HOUR), ..RetryRules::default() };
    let began =
        |ago: Duration| UnixMs::from_millis(NOW.as_millis() - i64::try_from(ago.as_millis()).unwrap());
    let at_step_7 = |ago| {
        let history = History { retries_used: 6, window_from: began(ago), ..FRESH };
        judge(&answered(500), &rules, history, NOW, 1.0)
    };
    // The last instant of the window is in it, and jitter is made to fit.
    assert_eq!(at_step_7(58 * HOUR).verdict, retry_in(14 * HOUR, Spends::Retry));
    let end = at_step_7(58 * HOUR + SECOND);
    assert_eq!(end.verdict, Verdict::Dead);
    assert_eq!(
        end.decision,
        "given up: the next try, in 14h, would come after the window of 3d that ends at 2023-11-15T12:13:19.000Z; `retry` starts over"
    );
    assert_eq!(end.reason.as_deref(), Some("Webhook request failed with HTTP 500; its window of 3d is over"));

    let ours = History { window_from: began(72 * HOUR), ..FRESH };
    assert_eq!(judge(&failed(AttemptClass::DnsFailed), &rules, ours, NOW, 0.0).verdict, Verdict::Dead);
}

#[test]
fn the_reason_is_openclaws_sentence_where_there_is_a_status() {
    let reason = |report: &AttemptReport| decide(report, FRESH).reason.unwrap();
    assert_eq!(reason(&answered(500)), "Webhook request failed with HTTP 500");
    assert_eq!(reason(&failed(AttemptClass::ConnectFailed)), "it broke");
}

fn reports() -> impl Strategy<Value = AttemptReport> {
    use AttemptClass::{ConnectFailed, DnsFailed, ResourcesExhausted};
    let hint = prop_oneof![
        Just(None),
        (0u64..200_000).prop_map(|seconds| Some(RetryAfter::Seconds(seconds))),
        (-100_000_000i64..100_000_000).prop_map(|ms| Some(RetryAfter::At(NOW.plus_millis(ms)))),
        Just(Some(RetryAfter::Seconds(u64::MAX))),
    ];
    let status = prop_oneof![(100u16..1_000), Just(429), Just(503), Just(404)];
    prop_oneof![
        8 => (status, hint).prop_map(|(status, hint)| AttemptReport { retry_after: hint, ..answered(status) }),
        1 => prop::sample::select(vec![ConnectFailed, DnsFailed, ResourcesExhausted]).prop_map(failed),
    ]
}

proptest! {
    #[test]
    fn the_next_try_is_never_before_the_step_nor_a_heeded_hint_and_never_beyond_cap_and_window(
        report in reports(),
        steps in prop::collection::vec(1u64..100_000_000, 0..10),
        window in prop::option::of(1_000u64..1_000_000_000),
        cap in 0u64..100_000_000,
        tries in 1u32..6,
        retries_used in 0u32..12,
        refusals in 0u32..6,
        age in 0i64..1_000_000_000,
        random in prop::num::f64::ANY,
    ) {
        let rules = RetryRules {
            schedule: RetrySchedule::new(steps.iter().copied().map(Duration::from_millis).collect()),
            window: window.map(Duration::from_millis),
            client_error_tries: NonZeroU32::new(tries).unwrap(),
            max_retry_after: Duration::from_millis(cap),
        };
        let history = History { retries_used, refusals, window_from: NOW.plus_millis(-age) };
        let judgement = judge(&report, &rules, history, NOW, random);
        prop_assert_eq!(judgement.pause.is_some(), report.status == Some(410));
        let Verdict::RetryAt { at, spends } = judgement.verdict else { return Ok(()) };
        prop_assert!(at > NOW);
        if judgement.pause.is_some() {
            return Ok(());
        }
        prop_assert!(at <= history.window_from.plus(rules.effective_window()), "beyond the window");
        prop_assert_eq!(spends == Spends::Nothing, report.class.is_own_fault());
        if spends == Spends::Nothing {
            return Ok(());
        }
        let step = rules.schedule.delay(retries_used).unwrap();
        let heeded = report.retry_after.map_or(Duration::ZERO, |hint| hint.wait(NOW)).min(rules.max_retry_after);
        prop_assert!(at >= NOW.plus(step) && at >= NOW.plus(heeded), "too early");
        prop_assert!(at <= NOW.plus(with_jitter(step.max(heeded), 1.0)), "too late");
        prop_assert!(!spends.a_refusal() || refusals + 1 < tries, "one refusal too many");
    }
}

#[test]
fn what_a_channels_service_says_counts_whatever_its_status() {
    let said = |class, status| AttemptReport {
        status,
        error: Some("Slack refuses the message: channel_not_found".to_owned()),
        ..failed(class)
    };
    // Slack answers 200 to nearly everything.
    for class in [AttemptClass::Refused, AttemptClass::Unauthorized] {
        let refused = said(class, Some(200));
        let first = decide(&refused, FRESH);
        assert!(
            matches!(first.verdict, Verdict::RetryAt { spends: Spends::RefusalAndRetry, .. }),
            "{first:?}"
        );
        let third = decide(&refused, History { retries_used: 2, refusals: 2, ..FRESH });
        assert_eq!(third.verdict, Verdict::Dead);
        assert!(third.reason.is_some_and(|reason| reason.contains("channel_not_found")));
    }
    // A 410 of such a service halts nothing.
    assert_eq!(decide(&said(AttemptClass::Refused, Some(410)), FRESH).pause, None);
    let limited = AttemptReport {
        retry_after: Some(RetryAfter::Seconds(600)),
        ..said(AttemptClass::RateLimited, Some(200))
    };
    assert_eq!(decide(&limited, FRESH).verdict, retry_in(10 * MINUTE, Spends::Retry));
}
