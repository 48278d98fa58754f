//! `clawhook cron next`, and what is shown of a schedule.

use serde_json::{Value, json};

use crate::processes::{Home, Running};

const DOCUMENT: &str = include_str!("../../../../docs/schedules.md");

/// The commands of the document's consoles, each with what it prints.
fn consoles() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut examples: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut in_console = false;
    for line in DOCUMENT.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
        } else if in_console {
            match (line.strip_prefix("$ clawhook "), examples.last_mut()) {
                (Some(command), _) => examples.push((command, Vec::new())),
                (None, Some((_, printed))) => printed.push(line),
                (None, None) => panic!("`{line}` stands before any command"),
            }
        }
    }
    examples
}

/// A line of the answer as the document shows it: without how far off the instant is.
fn as_shown(line: &str) -> &str {
    line.split_once("Z  ").map_or(line, |(instant, _)| &line[..instant.len() + 1])
}

#[test]
fn the_documents_consoles_show_what_the_binary_prints() {
    let examples = consoles();
    assert!(examples.len() >= 3);
    for (command, expected) in examples {
        let parts: Vec<&str> = command.split('"').collect();
        let args: Vec<&str> = parts
            .iter()
            .enumerate()
            .flat_map(|(place, part)| match place % 2 {
                0 => part.split_whitespace().collect(),
                _ => vec![*part],
            })
            .collect();
        let printed = Home::new().run(&args).ok();
        assert_eq!(printed.lines().map(as_shown).collect::<Vec<_>>(), expected, "`{command}`");
    }
}

#[test]
fn the_json_is_an_array_of_instants_and_nothing_else() {
    let home = Home::new();
    let next =
        |args: &str| home.run(&[&["cron", "next"], &args.split(' ').collect::<Vec<_>>()[..]].concat()).json();
    assert_eq!(
        next("--every 1h --from 2026-01-01T00:00:00Z --anchor 2026-01-01T00:07:00.5Z -n 2 --json"),
        json!(["2026-01-01T00:07:00.500Z", "2026-01-01T01:07:00.500Z"])
    );
    assert_eq!(
        next("--cron @yearly --tz UTC --from 2026-06-01 --count 1 --json"),
        json!(["2027-01-01T00:00:00Z"])
    );
    // What has no offset is read in the zone that was named: noon in Taipei is 04:00 in UTC.
    assert_eq!(
        next("--cron @daily --tz Asia/Taipei --from 2026-06-01T12:00 -n 1 --json"),
        json!(["2026-06-01T16:00:00Z"])
    );
}

#[test]
fn an_end_of_the_due_times_is_an_answer_with_a_note() {
    let ended = Home::new().run(&["cron", "next", "--cron", "0 0 9 1 1 * 2090", "--tz", "UTC", "--json"]);
    assert!(ended.stderr.contains("note: it is not due any more after that"), "{ended:?}");
    assert_eq!(ended.json(), json!(["2090-01-01T09:00:00Z"]));
}

#[test]
fn without_a_job_a_stagger_is_noted_and_the_base_times_are_shown() {
    let args =
        ["cron", "next", "--cron", "0 * * * *", "--tz", "UTC", "--from", "2026-01-01T00:30:00Z", "-n", "1"];
    let ended = Home::new().run(&args);
    assert!(
        ended.stdout.starts_with("cron 0 * * * * @ UTC (stagger 5m)\n2026-01-01 01:00:00 +00:00 UTC"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("each job's own offset, less than 5m"), "{ended:?}");
}

#[test]
fn a_schedule_that_cannot_be_ends_with_the_reason_and_a_hint() {
    let home = Home::new();
    for (args, reason, hint) in [
        (vec!["--cron", "0 0 30 2 *"], "never comes due", "no coming date"),
        (vec!["--cron", "0 9 * *"], "it has 4 fields", "the fields are"),
        (vec!["--cron", "0 9 * * *", "--tz", "europe/berlin"], "`europe/berlin` is not", "`Europe/Berlin`"),
        (vec!["--cron", "0 9 * * *", "--tz", "+02:00"], "`+02:00` is not", "continent and city"),
        (vec!["--every", "0s"], "`0` is not an interval", "at least 1"),
        (vec!["--every", "5000000d"], "the year 9999", "milliseconds"),
        (vec!["--at", "2020-01-01"], "in the past", "to come"),
        (vec!["--at", "4102444800"], "in the past", "4102444800000"),
        (vec!["--at", "9000-01-01"], "more than 10 years ahead", "ten years"),
    ] {
        let ended = home.run(&[&["cron", "next"], &args[..]].concat());
        ended.failed(1, reason);
        assert!(ended.stderr.contains("hint: ") && ended.stderr.contains(hint), "{ended:?}");
    }
}

#[test]
fn a_jobs_next_times_are_the_gateways_and_its_zone_and_offset_are_shown_with_them() {
    let home = Home::new();
    let mut command = home.command(&["gateway", "--port", "0"]);
    let _gateway = Running::start(command.env("TZ", "Asia/Kolkata"));
    let added = home.run(&["cron", "add", "0 * * * *", "--command", "true", "--name", "n", "--json"]).json();
    let id = added["id"].as_str().unwrap();
    assert_eq!(added["hostTimeZone"], "Asia/Kolkata");

    let shown = home.run(&["cron", "show", id]).ok();
    assert!(shown.contains("schedule: cron 0 * * * * @ Asia/Kolkata (stagger 5m, this job +"), "{shown}");
    let list = home.run(&["cron", "list"]).ok();
    assert!(list.contains("cron 0 * * * * (stagger 5m)"), "{list}");

    let next = |more: &[&str]| home.run(&[&["cron", "next", id], more].concat());
    let job = home.run(&["cron", "get", id]).json();
    let first = job["upcoming"][0].as_str().unwrap();
    let instants = next(&["--json"]).json();
    let in_full = |instants: &Value| -> Vec<jiff::Timestamp> {
        instants
            .as_array()
            .unwrap()
            .iter()
            .map(|instant| instant.as_str().unwrap().parse().unwrap())
            .collect()
    };
    // The gateway's answer may be of the hour before, if one has just begun.
    let (ours, theirs) = (in_full(&instants), in_full(&job["upcoming"]));
    assert!(ours == theirs || ours[..4] == theirs[1..], "{ours:?} and {theirs:?}");
    let from_there = next(&["--from", first, "-n", "4", "--json"]).json();
    assert_eq!(in_full(&from_there), theirs[1..]);

    let text = next(&[]).ok();
    assert!(text.contains("@ Asia/Kolkata (stagger 5m, this job +") && text.contains("+05:30 IST"), "{text}");
    home.run(&["cron", "edit", id, "--dst", "once", "--exact"]).ok();
    assert_eq!(home.run(&["cron", "get", id]).json()["schedule"]["dst"], "once");
    assert!(home.run(&["cron", "disable", id]).ok().contains("@ Asia/Kolkata (exact, dst once)"));
    assert!(next(&[]).stderr.contains("note: the job is disabled"));
    next(&["--every", "1h"]).failed(2, "cannot be used with");
}
