//! `clawhook cron simulate`: what jobs would do, without a gateway.

use serde_json::{Value, json};

use crate::processes::{Ended, Home};

const FROM: &str = "2026-03-28T00:00:00Z";

/// Writes a file of jobs and simulates it with these flags.
fn simulate(jobs: &Value, flags: &[&str]) -> Ended {
    let home = Home::new();
    let file = home.write("jobs.json", &jobs.to_string());
    let file = file.to_str().unwrap();
    home.run(&[&["cron", "simulate", file, "--from", FROM], flags].concat())
}

fn hourly() -> Value {
    json!({
        "id": "hourly", "name": "hourly", "createdAtMs": 0, "state": {},
        "schedule": { "kind": "every", "everyMs": 3_600_000, "anchorMs": 0 },
        "payload": { "kind": "command", "argv": ["true"] }
    })
}

/// What happens, as `dueAt event`.
fn events(answer: &Value) -> Vec<String> {
    let told = |event: &Value| {
        format!("{} {}", event["dueAt"].as_str().unwrap_or("-"), event["event"].as_str().unwrap())
    };
    answer["jobs"][0]["events"].as_array().unwrap().iter().map(told).collect()
}

#[test]
fn an_outage_shows_what_is_missed_and_what_is_caught_up() {
    let down = "2026-03-28T00:30:00Z..2026-03-28T03:30:00Z";
    let flags = ["--to", "2026-03-28T04:00:00Z", "--down", down, "--json"];
    let answer = simulate(&json!([hourly()]), &flags).json();
    assert_eq!(
        events(&answer),
        [
            "2026-03-28T01:00:00.000Z missed",
            "2026-03-28T02:00:00.000Z missed",
            "2026-03-28T03:00:00.000Z catch-up",
            "2026-03-28T04:00:00.000Z begins",
        ]
    );
    let reason = answer["jobs"][0]["events"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("caught up by the run for 2026-03-28T03:00:00.000Z"), "{reason}");
}

#[test]
fn a_change_of_clocks_is_told_with_what_the_job_does_about_it() {
    let mut job = hourly();
    job["schedule"] = json!({ "kind": "cron", "expr": "30 2 * * *", "tz": "Europe/Berlin" });
    let text = simulate(&json!({ "version": 1, "jobs": [job] }), &["--to", "2026-03-30T00:00:00Z"]).ok();
    assert!(text.contains("02:30 does not exist on 2026-03-29"), "{text}");
    assert!(text.contains("2026-03-29 03:00:00 +02:00"), "{text}");
}

#[test]
fn what_is_denied_fails_and_says_which_job_and_instant() {
    let mut slow = hourly();
    slow["overlap"] = json!("skip");
    let flags = ["--to", "2026-03-28T03:00:00Z", "--takes", "90m"];
    simulate(&slow, &flags).ok();
    let denied = simulate(&slow, &[&flags[..], &["--deny", "skipped,missed"]].concat());
    assert_eq!(denied.code, 1);
    assert!(denied.stderr.contains("hourly: skipped of 2026-03-28T02:00:00.000Z"), "{denied:?}");
}

#[test]
fn a_job_that_would_be_refused_is_named_with_the_reason_and_what_to_do() {
    let mut never = hourly();
    never["schedule"] = json!({ "kind": "cron", "expr": "0 0 30 2 *" });
    let refused = simulate(&json!([hourly(), never]), &[]);
    refused.failed(1, "the job `hourly` of");
    refused.failed(1, "never comes due");
    refused.failed(1, "hint: no coming date has both this day and this month");
    let mut unknown = hourly();
    unknown["overlap"] = json!("replace");
    simulate(&unknown, &[]).failed(1, "`replace` is not skip");
    Home::new().run(&["cron", "simulate", "nosuch.json"]).failed(1, "`nosuch.json` cannot be read");
    simulate(&hourly(), &["--down", "now"]).failed(2, "`now` is no outage");
}

#[test]
fn failures_show_retries_backoff_and_the_end() {
    let flags = ["--to", "2026-03-29T12:00:00Z", "--fails", "exit", "--json"];
    let answer = simulate(&hourly(), &flags).json();
    let told = events(&answer);
    assert_eq!(told.iter().filter(|line| line.ends_with("failed")).count(), 10, "{told:#?}");
    assert!(told.last().unwrap().ends_with("disabled"), "{told:#?}");
    let passing = simulate(&hourly(), &["--to", "2026-03-28T01:10:00Z", "--fails", "network", "--json"]);
    assert!(events(&passing.json()).iter().any(|line| line.ends_with("retry")));
}

#[test]
fn the_document_shows_what_the_binary_prints() {
    let document = include_str!("../../../../docs/simulate.md");
    let block = |kind: &str| {
        let (_, rest) = document.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("\n```").unwrap().0
    };
    let home = Home::new();
    home.write("jobs.json", block("json"));
    let (command, expected) = block("console").split_once('\n').unwrap();
    let args: Vec<&str> = command.strip_prefix("$ clawhook ").unwrap().split(' ').collect();
    let printed = Home::end(home.command(&args).current_dir(home.path(""))).ok();
    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    assert_eq!(lines, expected.lines().collect::<Vec<_>>(), "{printed}");
}
