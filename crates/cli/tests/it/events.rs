//! The log of events is followed across the death of the gateway.

use std::process::Stdio;

use serde_json::Value;

use crate::processes::{Home, Lines, Running};

fn gateway(home: &Home, port: &str) -> Running {
    home.start(&["gateway", "--port", port])
}

fn add(home: &Home, name: &str) -> String {
    let args =
        ["cron", "add", "--every", "24h", "--name", name, "--command", "echo done", "--no-deliver", "--json"];
    home.run(&args).json()["id"].as_str().unwrap().to_owned()
}

fn run(home: &Home, job: &str) {
    home.run(&["cron", "run", job, "--wait"]).ok();
}

/// The numbers and kinds of events until one of this kind came of a job of this name.
fn until(lines: &Lines, kind: &str, name: &str) -> Vec<(u64, String)> {
    let mut told = Vec::new();
    loop {
        let line: Value = serde_json::from_str(&lines.next()).unwrap();
        told.push((line["seq"].as_u64().unwrap(), line["type"].as_str().unwrap().to_owned()));
        if line["type"] == kind && line["event"]["jobName"] == name {
            return told;
        }
    }
}

#[test]
fn whoever_follows_misses_nothing_and_sees_nothing_twice_though_the_gateway_is_killed() {
    let home = Home::new();
    let first = gateway(&home, "0");
    let port = first.url.rsplit(':').next().unwrap().to_owned();
    run(&home, &add(&home, "before"));
    let mut follower = home
        .command(&["events", "--follow", "--after", "0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = Lines::of(follower.stdout.take().unwrap());
    let mut told = until(&lines, "run.finished", "before");
    first.kill();
    let second = gateway(&home, &port);
    run(&home, &add(&home, "after"));
    told.extend(until(&lines, "run.finished", "after"));
    follower.kill().unwrap();
    follower.wait().unwrap();
    let numbers: Vec<u64> = told.iter().map(|(seq, _)| *seq).collect();
    let whole: Vec<u64> = (1..=u64::try_from(told.len()).unwrap()).collect();
    assert_eq!(numbers, whole, "{told:?}");
    let page = home.run(&["events", "--after", "0", "--limit", "1000", "--json"]).json();
    let kept: Vec<u64> =
        page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(kept.starts_with(&numbers), "{kept:?}");
    second.stop();
}

#[test]
fn what_happened_is_shown_in_lines() {
    let home = Home::new();
    let running = gateway(&home, "0");
    let job = add(&home, "shown");
    run(&home, &job);
    let shown = home.run(&["events", "--type", "run.*", "--job", &job]).ok();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(
        lines[0].contains("run.started") && lines[0].contains("shown") && lines[0].contains("manual"),
        "{shown}"
    );
    assert!(lines[1].contains("run.finished") && lines[1].contains("ok: done"), "{shown}");
    home.run(&["events", "--type", "run.exploded"]).failed(1, "no kind of event is `run.exploded`");
    home.run(&["events", "--after", "999"]).failed(1, "the log of events ends at");
    running.stop();
    home.run(&["events", "--follow"]).failed(1, "no gateway is running");
}
