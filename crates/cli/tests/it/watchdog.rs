//! A timer that fails as only a fault of ours could: who notices, and what goes on.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::processes::{Home, PATIENCE, Running};

/// Somebody who is pinged.
struct Pinged {
    url: String,
    requests: mpsc::Receiver<String>,
}

impl Pinged {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ping/s3cret", listener.local_addr().unwrap());
        let (tell, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).unwrap_or_default();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let told = tell.send(String::from_utf8_lossy(&head[..read]).into_owned());
                if stream.write_all(answer).is_err() || told.is_err() {
                    return;
                }
            }
        });
        Self { url, requests }
    }
}

/// A gateway whose timer fails so; it may reach this machine.
fn gateway(home: &Home, failpoint: &str, watchdog: &str) -> Running {
    let config = format!(
        "{{ cron: {{ watchdog: {{ {watchdog} }}, webhookSsrfPolicy: {{ allowedHostnames: ['127.0.0.1'] }} }} }}"
    );
    home.write(".clawhook/clawhook.json5", &config);
    Running::start(home.command(&["gateway", "--port", "0"]).env("CLAWHOOK_FAILPOINT", failpoint))
}

fn readiness(url: &str) -> (u16, String) {
    let authority = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn status(home: &Home) -> Value {
    serde_json::from_str(&home.run(&["status", "--json"]).stdout).unwrap()
}

#[test]
fn a_timer_that_hangs_turns_the_gateway_red_and_stops_the_ping() {
    let (home, pinged) = (Home::new(), Pinged::listen());
    let watchdog = format!("grace: '1s', pingUrl: '{}', pingEvery: '1s'", pinged.url);
    let gateway = gateway(&home, "timer.freeze@2", &watchdog);
    let ping = pinged.requests.recv_timeout(PATIENCE).unwrap();
    assert!(ping.starts_with("POST /ping/s3cret HTTP/1.1\r\n"), "{ping}");
    assert_eq!(readiness(&gateway.url).0, 200);

    home.run(&["cron", "add", "every 1s", "--name", "tick", "--command", "true"]).ok();
    let added = Instant::now();
    let problem = loop {
        let (code, problem) = readiness(&gateway.url);
        if code == 503 {
            break problem;
        }
        assert!(added.elapsed() < PATIENCE, "nobody noticed");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(problem.contains("was due at") && problem.contains("there is no record of it yet"), "{problem}");
    let status = status(&home);
    assert_eq!((&status["healthy"], &status["alarms"][0]["alarm"]), (&false.into(), &"overdue".into()));
    let shown = home.run(&["status"]);
    assert_eq!(shown.code, 1, "{shown:?}");
    assert!(
        shown.stdout.contains("alarm: overdue, since ") && shown.stderr.contains("problem: the job"),
        "{shown:?}"
    );
    assert!(!shown.stdout.contains("s3cret") && !shown.stderr.contains("s3cret"), "{shown:?}");

    // One may have been on its way when the alarm was raised.
    pinged.requests.try_iter().count();
    assert!(
        pinged.requests.recv_timeout(Duration::from_secs(3)).is_err(),
        "a gateway that is red is no sign of life"
    );
}

#[test]
fn a_timer_that_panics_is_begun_again_and_the_job_runs_exactly_once() {
    let home = Home::new();
    let _gateway = gateway(&home, "timer.panic@2", "grace: '10s'");
    let out = home.path("out");
    let command = format!("echo ran >> '{}'", out.display());
    home.run(&["cron", "add", "in 1s", "--name", "once", "--command", &command, "--json"]).ok();
    let added = Instant::now();
    while !out.exists() {
        assert!(added.elapsed() < PATIENCE, "the job did not run");
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = status(&home);
    assert_eq!((&status["healthy"], &status["alarms"][0]["alarm"]), (&false.into(), &"task-panicked".into()));
    let detail = status["alarms"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("the engine panicked and was begun again"), "{detail}");
    // A second job runs after it; had the first been due twice, it would have run again by now.
    let last = home.path("last");
    let command = format!("touch '{}'", last.display());
    home.run(&["cron", "add", "in 1s", "--name", "after", "--command", &command]).ok();
    while !last.exists() {
        assert!(added.elapsed() < PATIENCE, "the other job did not run");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "ran\n");
}

#[test]
fn a_ping_that_nobody_takes_is_a_warning_that_names_the_host_alone() {
    let home = Home::new();
    let gateway = gateway(&home, "", "pingUrl: 'http://127.0.0.1:1/ping/s3cret', pingEvery: '1s'");
    let message = loop {
        let message = gateway.next_message();
        if message.contains("a ping to") {
            break message;
        }
    };
    assert!(message.contains("a ping to `127.0.0.1` failed") && !message.contains("s3cret"), "{message}");
    let begun = Instant::now();
    let status = loop {
        let status = status(&home);
        if status["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()) {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "no warning");
    };
    assert_eq!(status["healthy"], true, "{status}");
    assert!(status["warnings"][0].as_str().unwrap().starts_with("a ping to `127.0.0.1` failed"), "{status}");
    assert!(!status.to_string().contains("s3cret"), "{status}");
}
