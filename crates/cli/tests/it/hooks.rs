//! Gates, what follows runs, and chains, through real processes.

use std::time::Instant;

use serde_json::{Value, json};

use crate::processes::{Home, PATIENCE, Running};

fn gateway(home: &Home, config: &str) -> Running {
    home.write(".clawhook/clawhook.json5", config);
    home.start(&["gateway", "--port", "0"])
}

fn add(home: &Home, flags: &[&str]) -> String {
    let job = [&["cron", "add", "--no-deliver", "--json"], flags].concat();
    home.run(&job).json()["id"].as_str().unwrap().to_owned()
}

/// Runs a job now, and gives the run once it is over.
fn run(home: &Home, job: &str) -> Value {
    let run = home.run(&["cron", "run", job, "--json"]).json()["runId"].as_str().unwrap().to_owned();
    run_once(home, |entry| entry["runId"] == run.as_str() && entry["state"] == "finished")
}

/// The newest run of which something is true, once there is one.
fn run_once(home: &Home, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let page = home.run(&["cron", "runs", "--json"]).json();
        if let Some(found) = page["entries"].as_array().unwrap().iter().find(|entry| holds(entry)) {
            return found.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{page:#}");
    }
}

/// The calls of hooks around a run, once all of them are over.
fn hooks_once_over(home: &Home, run: &str) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let calls: Vec<Value> =
            home.run(&["cron", "hooks", run, "--json"]).json().as_array().unwrap().clone();
        if calls.iter().all(|call| call["state"] != "pending" && call["state"] != "running") {
            return calls;
        }
        assert!(begun.elapsed() < PATIENCE, "{calls:?}");
    }
}

#[test]
fn a_gate_that_exits_with_0_10_or_1_lets_a_run_go_on_skips_it_or_has_it_fail() {
    let home = Home::new();
    let _gateway = gateway(&home, "{}");
    for (code, status, class) in [(0, "ok", None), (10, "skipped", Some("gate")), (1, "error", Some("hook"))]
    {
        let told = home.path(&format!("told-{code}"));
        let gate = format!("cat > {}; echo no umbrella; exit {code}", told.display());
        let flags = ["--every", "24h", "--command", "echo ran", "--hook-pre-command", &gate];
        let run = run(&home, &add(&home, &flags));
        assert_eq!((&run["status"], run["errorReason"].as_str()), (&json!(status), class), "{run:#}");
        assert_eq!(run["summary"].as_str().map(str::trim), (code == 0).then_some("ran"));
        let call = &run["hooks"][0];
        assert_eq!((&call["stage"], &call["exitCode"]), (&json!("pre"), &json!(code)));
        let context: Value = serde_json::from_slice(&std::fs::read(&told).unwrap()).unwrap();
        assert_eq!((&context["stage"], &context["run"]["trigger"]), (&json!("pre"), &json!("manual")));
        let shown = home.run(&["cron", "hooks", run["runId"].as_str().unwrap()]).ok();
        assert!(shown.contains("pre-1"), "{shown}");
    }
}

#[test]
fn a_hook_that_a_kill_ended_is_told_of_and_not_repeated_and_those_that_waited_are_done() {
    let home = Home::new();
    let config = "{ cron: { hooks: { maxConcurrent: 1 } } }";
    let killed = gateway(&home, config);
    let (begun, done) = (home.path("begun"), home.path("done"));
    let hangs = format!("echo x >> {}; sleep 1000", begun.display());
    let waits = format!("cat > {}", done.display());
    let flags = [
        "--every",
        "24h",
        "--command",
        "echo ran",
        "--hook-post-command",
        &hangs,
        "--hook-always-command",
        &waits,
    ];
    let run = run(&home, &add(&home, &flags));
    let since = Instant::now();
    while !begun.exists() {
        assert!(since.elapsed() < PATIENCE);
    }
    drop(killed);
    let _gateway = gateway(&home, config);
    let calls = hooks_once_over(&home, run["runId"].as_str().unwrap());
    let states: Vec<&str> = calls.iter().map(|call| call["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["interrupted", "done"], "{calls:?}");
    assert_eq!(std::fs::read_to_string(&begun).unwrap(), "x\n");
    let told: Value = serde_json::from_slice(&std::fs::read(&done).unwrap()).unwrap();
    assert_eq!((&told["stage"], &told["event"]["runId"]), (&json!("always"), &run["runId"]));
    assert_eq!((&run["status"], &run["completionStatus"]), (&json!("ok"), &json!("succeeded")));
}

#[test]
fn a_chain_of_three_goes_on_by_itself_and_a_circle_and_a_lost_link_are_refused() {
    let home = Home::new();
    let _gateway = gateway(&home, "{}");
    let first = add(&home, &["--name", "collect", "--every", "24h", "--command", "echo facts"]);
    let second = add(&home, &["--name", "draft", "--after", "collect", "--command", "cat"]);
    let third =
        add(&home, &["--name", "send", "--after", "draft:always", "--no-result", "--command", "echo sent"]);
    let began = run(&home, &first);
    let last = run_once(&home, |entry| entry["jobId"] == third.as_str() && entry["state"] == "finished");
    let middle = run_once(&home, |entry| entry["jobId"] == second.as_str());
    assert_eq!((&last["trigger"], &last["upstreamRunId"]), (&json!("chain"), &middle["runId"]));
    assert_eq!((&last["provenance"]["hops"], &middle["provenance"]["hops"]), (&json!(2), &json!(1)));
    let told: Value = serde_json::from_str(middle["summary"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&told["upstream"]["jobName"], &told["upstream"]["runId"]),
        (&json!("collect"), &began["runId"])
    );
    let shown = home.run(&["cron", "show", &second]).ok();
    assert!(shown.contains(&format!("{first} (success)")), "{shown}");
    let way = format!("{first} -> {second} -> {third} -> {first}");
    let refused = home.run(&["cron", "edit", &first, "--after", "send"]);
    assert!(refused.stderr.contains("would wait for itself"), "{refused:?}");
    assert!(way.split(" -> ").all(|job| refused.stderr.contains(job)), "{refused:?}");
    let refused = home.run(&["cron", "add", "--after", "nobody", "--command", "true"]);
    assert!(refused.stderr.contains("there is no job `nobody`"), "{refused:?}");
    let refused = home.run(&["cron", "rm", &first]);
    assert!(refused.stderr.contains(&second), "{refused:?}");
    home.run(&["cron", "edit", &second, "--clear-after"]).ok();
    home.run(&["cron", "rm", &first]).ok();
}

#[test]
fn a_creation_gate_refuses_a_job_by_name_and_reason_and_what_follows_is_recorded() {
    let home = Home::new();
    let _gateway = gateway(
        &home,
        "{ cron: { hooks: { \
         preCreate: [{ name: 'standards', kind: 'command', \
         argv: ['sh', '-c', 'if grep -q \\'\"name\":\"bad\\'; then echo names begin with ok; exit 1; fi'] }], \
         postCreate: [{ name: 'register', kind: 'command', argv: ['cat'] }] } } }",
    );
    let refused =
        home.run(&["cron", "add", "--every", "24h", "--name", "bad", "--command", "true", "--no-deliver"]);
    assert!(
        refused.stderr.contains("`standards`") && refused.stderr.contains("names begin with ok"),
        "{refused:?}"
    );
    let job = add(&home, &["--every", "24h", "--name", "ok-1", "--command", "true"]);
    let calls = hooks_once_over(&home, &job);
    assert_eq!((&calls[0]["name"], &calls[0]["state"]), (&json!("register"), &json!("done")), "{calls:?}");
    let refused = home.run(&["cron", "edit", &job, "--name", "bad"]);
    assert!(refused.stderr.contains("names begin with ok"), "{refused:?}");
    home.run(&["cron", "disable", &job]).ok();
}
