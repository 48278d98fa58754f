//! Sending once more with the real binary, through a kill too.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::processes::{Home, PATIENCE, Running};

const CONFIG: &str = r#"{
  cron: { webhookSsrfPolicy: { allowedHostnames: ["127.0.0.1"] } },
  delivery: { retrySchedule: [], maxConcurrentPerDestination: 8 },
}"#;

/// A receiver that counts how often it answered 2xx to each `webhook-id` at each path.
struct Counter {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    status: AtomicU16,
    asked: AtomicUsize,
    accepted: Mutex<HashMap<(String, String), u32>>,
    changed: Condvar,
}

impl Counter {
    fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            status: AtomicU16::new(status),
            asked: AtomicUsize::new(0),
            accepted: Mutex::default(),
            changed: Condvar::new(),
        });
        let served = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = served.clone();
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { url, shared }
    }

    fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// What was accepted, once it is at least so much.
    fn accepted(&self, least: u32) -> HashMap<(String, String), u32> {
        let accepted = self.shared.accepted.lock().unwrap();
        let too_few = |accepted: &mut HashMap<_, u32>| accepted.values().sum::<u32>() < least;
        let (accepted, waited) = self.shared.changed.wait_timeout_while(accepted, PATIENCE, too_few).unwrap();
        assert!(!waited.timed_out(), "only {} requests were accepted", accepted.values().sum::<u32>());
        accepted.clone()
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut webhook_id, mut length) = (String::new(), 0);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("webhook-id", id) => webhook_id = id.to_owned(),
                ("content-length", bytes) => length = bytes.parse().ok()?,
                _ => {}
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        shared.asked.fetch_add(1, Ordering::SeqCst);
        let status = shared.status.load(Ordering::SeqCst);
        if status == 200 {
            *shared.accepted.lock().unwrap().entry((webhook_id, path)).or_default() += 1;
            shared.changed.notify_all();
        }
        write!({ stream }, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

/// A home with a gateway.
fn open() -> (Home, Running) {
    let home = Home::new();
    home.write(".clawhook/clawhook.json5", CONFIG);
    let gateway = home.start(&["gateway", "--port", "0"]);
    (home, gateway)
}

/// Adds a job that says something to so many paths of a receiver, and gives its id.
fn add(home: &Home, receiver: &Counter, paths: usize) -> String {
    let targets: Vec<Value> =
        (0..paths).map(|path| json!({ "to": format!("{}/{path}", receiver.url) })).collect();
    let job = json!({
        "name": "many",
        "schedule": { "kind": "every", "everyMs": 86_400_000 },
        "payload": { "kind": "systemEvent", "text": "hello" },
        "wakeMode": "next-heartbeat",
        "delivery": { "mode": "webhook", "targets": targets },
    });
    let file = home.write("job.json", &job.to_string());
    home.run(&["cron", "add", "--file", file.to_str().unwrap(), "--json"]).json()["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Runs a job until each of its deliveries is dead.
fn run_until_dead(home: &Home, job: &str, deliveries: usize) -> String {
    let ended = home.run(&["cron", "run", job, "--wait", "--json"]);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
    let run = answer["runId"].as_str().unwrap();
    // The run has failed as soon as the first of them is dead.
    while home.run(&["deliveries", "list", "--run", run, "--state", "dead", "--json"]).json()["total"]
        != deliveries
    {}
    run.to_owned()
}

#[test]
fn dead_letters_are_listed_counted_and_replayed_and_the_exit_code_says_whether_they_arrived() {
    let (home, _gateway) = open();
    let receiver = Counter::answering(404);
    let job = add(&home, &receiver, 3);
    let run = run_until_dead(&home, &job, 3);
    let range =
        ["deliveries", "replay", "--state", "dead", "--cause", "receiver", "--job", &job, "--since", "2h"];
    let with = |flags: &[&str]| home.run(&[&range[..], flags].concat());
    assert_eq!(with(&["--dry-run"]).ok(), "3 deliveries match; nothing was sent\n");
    assert_eq!(receiver.shared.asked.load(Ordering::SeqCst), 3);
    assert!(home.run(&["status"]).ok().contains("deliveries: 0 open, 3 dead (3 by the receiver)"));

    let failed = with(&["--wait"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stdout.contains("outcomes: 0 delivered, 0 open, 3 dead, 0 cancelled"), "{failed:?}");
    assert!(failed.stderr.contains("error: 3 of 3 did not arrive"), "{failed:?}");

    receiver.answer(200);
    let arrived = with(&["--wait", "--per-second", "100"]).ok();
    assert!(arrived.contains("state: done\nprogress: 3 matched, 3 queued, 0 passed over"), "{arrived}");
    home.run(&["deliveries", "list", "--state", "dead"]).ok();
    assert_eq!(home.run(&["deliveries", "list", "--until", "1h", "--json"]).json()["total"], 0);
    let list = home.run(&["replays", "list"]).ok();
    assert_eq!(list.matches("3 of 3").count(), 2, "{list}");

    let again = home.run(&["deliveries", "replay", "--run", &run, "--to", &format!("{}/late", receiver.url)]);
    assert!(again.ok().contains("/late, with the event of dlv_"));
    let accepted = receiver.accepted(4);
    assert_eq!(accepted.len(), 4);
    assert_eq!(accepted.keys().map(|(id, _)| id).collect::<std::collections::HashSet<_>>().len(), 1);
}

#[test]
fn one_delivery_is_cancelled_replayed_and_shown_with_its_replays() {
    let (home, _gateway) = open();
    let receiver = Counter::answering(200);
    let job = add(&home, &receiver, 1);
    let run = home.run(&["cron", "run", &job, "--wait", "--json"]).json();
    let first = run["run"]["deliveries"][0]["id"].as_str().unwrap();
    home.run(&["deliveries", "cancel", first]).failed(1, "is delivered already");
    let again = home.run(&["deliveries", "replay", first, "--json"]).json();
    let extra = again["id"].as_str().unwrap();
    receiver.accepted(2);
    let shown = home.run(&["deliveries", "show", first]).ok();
    assert!(shown.contains(&format!("replayed as: {extra}")), "{shown}");
    let shown = home.run(&["deliveries", "show", extra]).ok();
    assert!(shown.contains(&format!("replay of: {first}")), "{shown}");
    let handle = again["destinationId"].as_str().unwrap();
    assert_eq!(home.run(&["deliveries", "list", "--destination", handle, "--json"]).json()["total"], 2);
    home.run(&["deliveries", "list", "--destination", "nobody"])
        .failed(1, "there is no destination `nobody`");
    home.run(&["replays", "show", "rpl_0"]).failed(1, "Replay not found");
}

#[test]
fn a_replay_is_cancelled_and_says_how_far_it_came() {
    let (home, _gateway) = open();
    let receiver = Counter::answering(404);
    let job = add(&home, &receiver, 2);
    run_until_dead(&home, &job, 2);
    receiver.answer(200);
    let begun =
        home.run(&["deliveries", "replay", "--state", "dead", "--per-second", "0.01", "--json"]).json();
    let id = begun["id"].as_str().unwrap();
    receiver.accepted(1);
    let cancelled = home.run(&["replays", "cancel", id]).ok();
    assert_eq!(cancelled, format!("{id} is cancelled: 2 matched, 1 queued, 0 passed over\n"));
    assert!(home.run(&["replays", "show", id]).ok().contains("reason: cancelled by hand"));
    home.run(&["replays", "cancel", id]).failed(1, "is cancelled already");
}

/// Some hundreds of deliveries are replayed, the gateway is killed in the middle, and the next one goes on: what a
/// receiver gets is what it should, but for attempts that the kill cut off.
#[test]
fn i03_a_kill_in_the_middle_of_a_replay_loses_nothing_and_queues_nothing_twice() {
    const PATHS: usize = 16;
    const RUNS: usize = 20;
    const ALL: u32 = 320;
    let (home, gateway) = open();
    let receiver = Counter::answering(404);
    let job = add(&home, &receiver, PATHS);
    for _ in 0..RUNS {
        run_until_dead(&home, &job, PATHS);
    }
    receiver.answer(200);
    // First the dead ones are due again themselves; then each of them, delivered, gets another one beside it.
    let gateway = replay_through_a_kill(&home, gateway, &receiver, "dead", ALL / 8);
    let _gateway = replay_through_a_kill(&home, gateway, &receiver, "delivered", ALL + ALL / 8);

    let accepted = receiver.accepted(2 * ALL);
    assert_eq!(accepted.len(), PATHS * RUNS, "each event at each of its receivers");
    assert!(accepted.values().all(|times| *times >= 2), "once for each replay: {accepted:?}");
    let repeats: u32 = accepted.values().map(|times| times - 2).sum();
    let interrupted = interrupted_attempts(&home, 2 * ALL);
    assert!(repeats <= interrupted, "{repeats} repeats, and the kills cut {interrupted} attempts off");
}

/// Replays what is in `state`, kills the gateway once `so_much` was accepted in all, and waits until the next one is
/// through with it.
fn replay_through_a_kill(
    home: &Home,
    gateway: Running,
    receiver: &Counter,
    state: &str,
    so_much: u32,
) -> Running {
    let begun = home.run(&["deliveries", "replay", "--state", state, "--per-second", "200", "--json"]).json();
    receiver.accepted(so_much);
    // Dropping it is a kill that it cannot catch.
    drop(gateway);
    let gateway = home.start(&["gateway", "--port", "0"]);
    let shown = loop {
        let shown = home.run(&["replays", "show", begun["id"].as_str().unwrap(), "--json"]).json();
        if shown["state"] != "running" && shown["outcomes"]["open"] == 0 {
            break shown;
        }
    };
    assert_eq!((&shown["state"], &shown["skipped"]), (&json!("done"), &json!(0)), "{shown}");
    assert_eq!((&shown["done"], &shown["outcomes"]["delivered"]), (&begun["matched"], &begun["matched"]));
    gateway
}

/// How many attempts the kills cut off: those beyond the refused one and the accepted one.
fn interrupted_attempts(home: &Home, deliveries: u32) -> u32 {
    let (mut interrupted, mut seen) = (0, 0);
    while seen < deliveries {
        let offset = seen.to_string();
        let list = home.run(&["deliveries", "list", "--limit", "200", "--offset", &offset, "--json"]).json();
        assert_eq!(list["total"], deliveries, "nothing was made twice");
        for delivery in list["deliveries"].as_array().unwrap() {
            assert_eq!(delivery["state"], "delivered", "{delivery}");
            let expected = if delivery["required"] == true { 2 } else { 1 };
            interrupted += u32::try_from(delivery["attempts"].as_u64().unwrap()).unwrap() - expected;
            seen += 1;
        }
    }
    interrupted
}
