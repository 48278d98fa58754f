//! What becomes of instants that cannot simply be run when they are due, as the command line shows it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::gateway::House;
use crate::processes::PATIENCE;

/// The job, once `holds` is true of it.
fn job_once(house: &House, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let job = house.home.run(&["cron", "get", id]).json();
        if holds(&job) {
            return job;
        }
        assert!(since.elapsed() < PATIENCE, "{job}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn add(house: &House, flags: &[&str]) -> Value {
    house.home.run(&[&["cron", "add", "--json"], flags].concat()).json()
}

fn id(job: &Value) -> &str {
    job["id"].as_str().unwrap()
}

#[test]
fn a_job_that_fails_is_shown_as_held_back_then_as_switched_off_with_the_way_to_go_on() {
    let house = House::open();
    let job = add(&house, &["--name", "breaks", "--every", "200ms", "--command", "echo oops >&2; exit 3"]);
    let job_id = id(&job);
    job_once(&house, job_id, |job| job["state"].get("backoffUntilMs").is_some());
    let list = house.home.run(&["cron", "list"]).ok();
    assert!(list.contains("error, backs off"), "{list}");
    let shown = house.home.run(&["cron", "show", job_id]).ok();
    assert!(shown.contains("\nbacks off until: in "), "{shown}");
    assert!(shown.contains("\nfailures in a row: "), "{shown}");
    let ledger = house.home.run(&["cron", "ledger", job_id, "--outcome", "ran"]).ok();
    assert!(ledger.lines().nth(1).unwrap().contains("  ran: error"), "{ledger}");

    let doomed = House::with("{ cron: { failures: { disableAfter: 1 } } }");
    let job = add(&doomed, &["--name", "breaks", "--every", "200ms", "--command", "exit 3"]);
    let job_id = id(&job);
    job_once(&doomed, job_id, |job| job["state"].get("autoDisabled").is_some());
    let list = doomed.home.run(&["cron", "list"]);
    assert!(list.stdout.contains("  auto-disabled"), "{list:?}");
    assert!(list.stderr.contains("warning: breaks is auto-disabled: its run failed; the last: "), "{list:?}");
    let way_on = format!("`clawhook cron enable {job_id}`");
    assert!(list.stderr.contains(&way_on), "{list:?}");
    let shown = doomed.home.run(&["cron", "show", job_id]);
    assert!(shown.stdout.contains("\nauto-disabled: "), "{shown:?}");
    assert!(shown.stderr.contains(&way_on), "{shown:?}");

    // It fails again soon: what is looked at is the answer of the very command.
    let enabled = doomed.home.run(&["cron", "enable", job_id, "--json"]).json();
    assert_eq!((&enabled["enabled"], enabled["state"].get("autoDisabled")), (&true.into(), None));
    assert_eq!(enabled["state"]["consecutiveErrors"], 0);
}

#[test]
fn the_ledger_says_why_an_instant_was_skipped_and_a_backfill_runs_it_after_all() {
    let house = House::open();
    let stop = house.home.path("stop");
    let (dir, stop) = (stop.parent().unwrap().display(), stop.display());
    let command = format!("while [ -d '{dir}' ] && [ ! -e '{stop}' ]; do sleep 0.05; done");
    let job = add(&house, &["--name", "long", "--every", "300ms", "--command", &command]);
    let job_id = id(&job);
    let since = Instant::now();
    let skipped = loop {
        let answer = house.home.run(&["cron", "ledger", job_id, "--outcome", "skipped", "--json"]).json();
        if let Some(first) = answer["occurrences"].get(0) {
            break first["dueAt"].as_str().unwrap().to_owned();
        }
        assert!(since.elapsed() < PATIENCE, "{answer}");
    };
    // Nothing more is due from now on.
    house.home.run(&["cron", "disable", job_id]).ok();
    let ledger = house.home.run(&["cron", "ledger", job_id]).ok();
    let row = ledger.lines().find(|line| line.starts_with(&skipped)).unwrap();
    assert!(row.contains("  skipped") && row.contains("the job's previous run was still under way"), "{row}");
    assert!(ledger.contains("  ran: running"), "{ledger}");

    let range = ["--from", &skipped, "--to", &skipped];
    let backfill =
        |more: &[&str]| house.home.run(&[&["cron", "backfill", job_id], &range[..], more].concat());
    assert!(backfill(&["--dry-run"]).ok().contains(&format!("{skipped}  would be run")));
    assert!(backfill(&[]).ok().contains(&format!("{skipped}  queued")));
    assert_eq!(backfill(&["--json"]).json()["alreadyRan"], serde_json::json!([skipped]));
    house.home.write("stop", "");
    job_once(&house, job_id, |job| job["state"].get("runsRunning").is_none());
    let ledger = house.home.run(&["cron", "ledger", job_id]).ok();
    let row = ledger.lines().find(|line| line.starts_with(&skipped)).unwrap();
    assert!(row.contains("  ran: ok"), "{row}");
    assert!(row.contains("backfill; before that: the job's previous run was still under way"), "{row}");

    let future = house.home.run(&["cron", "backfill", job_id, "--from", "1h", "--to", "2999-01-01"]);
    future.failed(1, "2999-01-01T00:00:00.000Z is to come");
    future.failed(1, "hint: a backfill runs what has passed");
    let none = house.home.run(&["cron", "backfill", job_id, "--from", "1970-01-01", "--to", "1970-01-02"]);
    assert!(none.stderr.contains("note: the job was not due from 1970-01-01"), "{none:?}");
}

#[test]
fn policies_are_given_changed_shown_and_taken_away() {
    let house = House::with("{ cron: { enabled: false } }");
    let job = add(
        &house,
        &[
            "every 1h",
            "--command",
            "ls",
            "--misfire",
            "each",
            "--misfire-max",
            "24",
            "--max-lateness",
            "6h",
            "--overlap",
            "buffer-all",
            "--overlap-max",
            "3",
        ],
    );
    let misfire = serde_json::json!({ "policy": "each", "max": 24, "maxLatenessSeconds": 21_600 });
    assert_eq!((&job["misfire"], &job["overlap"]["policy"]), (&misfire, &"bufferAll".into()));
    let shown = house.home.run(&["cron", "show", id(&job)]).ok();
    assert!(
        shown.contains("\nmisfire: each, max 24, no later than 6h\noverlap: bufferAll, max 3\n"),
        "{shown}"
    );

    let edit = |flags: &[&str]| house.home.run(&[&["cron", "edit", id(&job), "--json"], flags].concat());
    let edited = edit(&["--misfire", "skip", "--overlap", "allow-all"]).json();
    assert_eq!(edited["misfire"], serde_json::json!({ "policy": "skip", "maxLatenessSeconds": 21_600 }));
    assert_eq!(edited["overlap"], serde_json::json!({ "policy": "allowAll" }));
    edit(&["--misfire-max", "3"]).failed(1, "only the policy `each` has a maximum");
    edit(&["--late-results"]).failed(1, "delivery.lateResults");
    let cleared = edit(&["--clear-misfire", "--clear-overlap"]).json();
    assert_eq!((cleared.get("misfire"), cleared.get("overlap")), (None, None));
    let sent = edit(&["--webhook", "https://example.com/", "--late-results"]).json();
    assert_eq!(sent["delivery"]["lateResults"], true);
    assert_eq!(edit(&["--no-late-results"]).json()["delivery"].get("lateResults"), None);
}
