//! What the configuration promises of how long things are kept, and of money.

use std::time::Duration;

use clawhook_model::Usd;
use clawhook_store::Retention;

use super::{only_problem, parse};

fn cron(text: &str) -> crate::config::CronConfig {
    parse(&format!("{{ cron: {{ {text} }} }}")).cron
}

#[test]
fn sessions_are_kept_for_a_length_a_number_of_hours_or_without_end() {
    for (text, hours) in [("'90m'", 1.5), ("'1h30m'", 1.5), ("'7d'", 168.0), ("36", 36.0), ("'36'", 36.0)] {
        let kept = cron(&format!("sessionRetention: {text}")).retention.sessions.unwrap();
        assert!((kept.as_secs_f64() / 3600.0 - hours).abs() < 1e-9, "{text}");
    }
    for text in ["false", "0", "'0s'"] {
        assert_eq!(cron(&format!("sessionRetention: {text}")).retention.sessions, None, "{text}");
    }
}

#[test]
fn history_is_bounded_by_age_by_number_and_by_size() {
    let retention = cron("retention: { maxAge: '30d', runsPerJob: 100, maxBytes: 10000000 }").retention;
    assert_eq!(retention.max_age, Some(Duration::from_hours(720)));
    assert_eq!((retention.runs_per_job, retention.max_bytes), (Some(100), Some(10_000_000)));
    let unbounded = cron("retention: { maxAge: false, runsPerJob: false, maxBytes: false }").retention;
    assert_eq!((unbounded.max_age, unbounded.runs_per_job, unbounded.max_bytes), (None, None, None));
}

#[test]
fn a_configuration_that_says_nothing_keeps_what_the_store_keeps_by_itself() {
    assert_eq!(Retention::from(cron("").retention), Retention::default());
}

#[test]
fn each_example_of_the_document_is_read_as_it_says() {
    let document = include_str!("../../../../../docs/retention.md");
    let examples = document.split("```json5\n").skip(1).filter_map(|rest| rest.split("```").next());
    let read: Vec<Retention> = examples.map(|text| parse(text).cron.retention.into()).collect();
    let small = Retention {
        session_max_age: Some(Duration::from_hours(1)),
        history_max_age: Some(Duration::from_hours(48)),
        runs_per_job: Some(200),
        max_bytes: Some(256 * 1024 * 1024),
    };
    assert_eq!(read, [small, Retention::KEEP_ALL]);
}

#[test]
fn openclaws_number_of_lines_is_the_number_of_runs() {
    assert_eq!(cron("runLog: { keepLines: 50 }").retention.runs_per_job, Some(50));
    assert_eq!(
        cron("runLog: { keepLines: 50 }, retention: { runsPerJob: 50 }").retention.runs_per_job,
        Some(50)
    );
    let (_, message, _) =
        only_problem("{ cron: { runLog: { keepLines: 50 }, retention: { runsPerJob: 60 } } }");
    assert!(message.contains("say different things"), "{message}");
}

#[test]
fn a_budget_is_money_or_tokens_or_both() {
    let budget = cron("budget: { usdPerDay: 2.5, tokensPerDay: 1000 }").budget;
    assert_eq!(budget.usd_per_day, Usd::from_dollars(2.5));
    assert_eq!(budget.tokens_per_day, Some(1000));
    assert_eq!(cron("budget: { usdPerDay: 0 }").budget.usd_per_day, Some(Usd::ZERO));
}

#[test]
fn what_is_wrong_with_them_is_told_with_what_to_do() {
    for (text, told, to_do) in [
        ("sessionRetention: '-1h'", "must be a duration up to 3650d, a number of hours, or false", ""),
        ("sessionRetention: true", "must be a duration up to", ""),
        ("sessionRetention: -5", "must be a duration up to", ""),
        ("retention: { maxAge: '4000d' }", "`cron.retention.maxAge` must be a duration up to", ""),
        ("retention: { runsPerJob: 0 }", "a whole number from 1 to 1000000, or false, not `0`", ""),
        ("retention: { maxBytes: 5 }", "a whole number from 1048576", ""),
        ("runLog: { maxBytes: 2000000 }", "does not act on", "set `cron.retention.maxBytes`"),
        ("budget: { usdPerDay: '5' }", "must be an amount of US dollars", ""),
        ("budget: { usdPerDay: -1 }", "must be an amount of US dollars", ""),
        ("budget: { tokensPerDay: 1.5 }", "a whole number from 1 to", ""),
    ] {
        let (_, message, hint) = only_problem(&format!("{{ cron: {{ {text} }} }}"));
        assert!(message.contains(told), "{text}: {message}");
        assert!(hint.unwrap_or_default().contains(to_do), "{text}");
    }
}
