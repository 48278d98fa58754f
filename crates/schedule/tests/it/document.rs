//! docs/schedules.md says what the code does: its examples are worked out here.

use clawhook_model::{DstRule, Schedule};
use clawhook_schedule::check_new;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::{cron, job, ms, timetable};

const DOCUMENT: &str = include_str!("../../../../docs/schedules.md");

/// The cells of the rows of the first table that follows the line which begins so.
#[track_caller]
fn table_after(line: &str) -> Vec<Vec<&'static str>> {
    let mut lines = DOCUMENT.lines().skip_while(|candidate| !candidate.starts_with(line));
    assert!(lines.next().is_some(), "docs/schedules.md has no line `{line}…`");
    let rows: Vec<Vec<&str>> = lines
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "no table follows `{line}…`");
    rows
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn the_examples_of_expressions_are_first_due_when_the_document_says() {
    for row in table_after("The first time after 2026-01-01T00:00:00Z") {
        let timetable = timetable(&cron(code(row[0]), "UTC")).unwrap();
        let first = timetable.next_after(ms("2026-01-01T00:00:00Z"));
        assert_eq!(first, Some(ms(row[1])), "{}", row[0]);
    }
}

#[test]
fn the_examples_of_days_on_which_clocks_change_are_due_when_the_document_says() {
    for (line, after, until) in [
        ("Europe/Berlin, 29 March 2026", "2026-03-29T00:29:59Z", "2026-03-29T01:30:00Z"),
        ("Europe/Berlin, 25 October 2026", "2026-10-24T23:29:59Z", "2026-10-25T02:30:00Z"),
    ] {
        for row in table_after(line) {
            let shown: Vec<String> =
                DstRule::ALL.iter().map(|dst| due(code(row[0]), *dst, after, until)).collect();
            assert_eq!(row[1..], shown, "{}", row[0]);
        }
    }
}

fn due(expr: &str, dst: DstRule, after: &str, until: &str) -> String {
    let schedule = Schedule::Cron {
        expr: expr.to_owned(),
        tz: Some("Europe/Berlin".to_owned()),
        stagger_ms: Some(0),
        dst,
    };
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let times: Vec<String> = timetable(&schedule)
        .unwrap()
        .due_between(ms(after), ms(until))
        .map(|at| Timestamp::from_millisecond(at.as_millis()).unwrap())
        .map(|at| at.to_zoned_datetime(berlin.clone()).strftime("%H:%M%:z").to_string())
        .collect();
    if times.is_empty() { "—".to_owned() } else { times.join(", ") }
}

#[test]
fn what_the_document_says_is_refused_is_refused_in_its_words() {
    let now = ms("2026-02-18T14:00:00Z");
    for row in table_after("## What is refused") {
        let given: Value = serde_json::from_str(code(row[0])).unwrap();
        let (reason, hint) = match Schedule::parse(given, now) {
            Err(error) => (error.to_string(), error.hint()),
            Ok(schedule) => {
                let error = check_new(&schedule, &job(), &TimeZone::UTC, now).unwrap_err();
                (error.to_string(), error.hint())
            }
        };
        let shown = format!("| {} | {reason} | {} |", row[0], hint.unwrap_or_default());
        assert!(DOCUMENT.contains(&shown), "docs/schedules.md needs this row:\n{shown}");
    }
}
