//! Runs that hang are cancelled and followed, and hold up nothing else.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::processes::{Home, PATIENCE, Running};

/// Two slots, both of which are to be hung up.
const CONFIG: &str = "{ cron: { maxConcurrentRuns: 2 } }";
/// Beyond this no person takes a command to have answered at once; it is far above what it takes.
const AT_ONCE: Duration = Duration::from_secs(5);

fn gateway(home: &Home, config: &str) -> Running {
    home.write(".clawhook/clawhook.json5", config);
    home.start(&["gateway", "--port", "0"])
}

fn add(home: &Home, name: &str, command: &str) -> String {
    let args =
        ["cron", "add", "--every", "24h", "--name", name, "--command", command, "--no-deliver", "--json"];
    home.run(&args).json()["id"].as_str().unwrap().to_owned()
}

fn begin(home: &Home, job: &str) -> String {
    home.run(&["cron", "run", job, "--json"]).json()["runId"].as_str().unwrap().to_owned()
}

/// Returns once a run is in this state.
fn wait_for(home: &Home, run: &str, state: &str) {
    let begun = Instant::now();
    loop {
        let page = home.run(&["cron", "runs", "--json"]).json();
        let entries: Vec<Value> = page["entries"].as_array().unwrap().clone();
        if entries.iter().any(|entry| entry["runId"] == run && entry["state"] == state) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{page}");
    }
}

#[test]
fn with_every_slot_hung_what_is_asked_of_the_gateway_is_answered() {
    let home = Home::new();
    // A model that takes every question and answers none.
    let model = TcpListener::bind("127.0.0.1:0").unwrap();
    let provider = format!("hung: {{ baseUrl: 'http://{}/v1' }}", model.local_addr().unwrap());
    let running = gateway(
        &home,
        &format!(
            "{{ cron: {{ maxConcurrentRuns: 2 }}, models: {{ providers: {{ {provider} }} }}, \
             agents: {{ defaults: {{ model: 'hung/x' }} }} }}"
        ),
    );
    let asks = ["cron", "add", "--every", "24h", "--message", "hi", "--no-deliver", "--json"];
    let asks = home.run(&asks).json()["id"].as_str().unwrap().to_owned();
    let hung = [begin(&home, &add(&home, "sleeps", "sleep 1000")), begin(&home, &asks)];
    hung.iter().for_each(|run| wait_for(&home, run, "running"));
    let job = add(&home, "idle", "true");
    for (what, args) in [
        ("status", vec!["status"]),
        ("list", vec!["cron", "list"]),
        ("get", vec!["cron", "get", &job]),
        ("disable", vec!["cron", "disable", &job]),
        ("enable", vec!["cron", "enable", &job]),
        ("run", vec!["cron", "run", &job]),
    ] {
        let mut took: Vec<Duration> = (0..20)
            .map(|_| {
                let begun = Instant::now();
                home.run(&args);
                begun.elapsed()
            })
            .collect();
        took.sort();
        println!("{what}: {:?} in the middle of 20", took[10]);
        assert!(took[10] < AT_ONCE, "{what}: {took:?}");
    }
    for run in &hung {
        home.run(&["cron", "cancel", run, "--wait"]).ok();
        wait_for(&home, run, "finished");
    }
    running.stop();
}

#[test]
fn a_run_is_followed_to_its_end_and_its_exit_code_tells_how_it_went() {
    let home = Home::new();
    let running = gateway(&home, CONFIG);
    let well = add(&home, "well", "echo one; sleep 0.2; echo two");
    let ended = home.run(&["cron", "run", &well, "--follow"]);
    let shown = ended.ok();
    assert!(shown.contains("one\ntwo\n"), "{shown}");
    assert!(shown.contains("completion: succeeded"), "{shown}");
    let badly = add(&home, "badly", "echo half; sleep 0.2; exit 3");
    let ended = home.run(&["cron", "run", &badly, "--follow"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("half\n") && ended.stderr.contains("the run failed (exit)"), "{ended:?}");
    running.stop();
}

#[test]
fn a_run_that_is_cancelled_says_so_and_one_that_is_over_is_not_cancelled() {
    let home = Home::new();
    let running = gateway(&home, CONFIG);
    let run = begin(&home, &add(&home, "endless", "echo up; sleep 1000"));
    wait_for(&home, &run, "running");
    let follower =
        home.command(&["cron", "follow", &run]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    assert_eq!(home.run(&["cron", "cancel", &run, "--wait"]).ok(), format!("cancelled: {run}\n"));
    let followed = follower.wait_with_output().unwrap();
    assert_eq!(followed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&followed.stdout).contains("cancelled by hand"), "{followed:?}");
    let again = home.run(&["cron", "cancel", &run]);
    again.failed(1, "is over already: it ended as error (cancelled)");
    running.stop();
}
