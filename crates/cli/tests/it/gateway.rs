//! The gateway as a process, and its clients.

use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;

use crate::processes::{Home, PATIENCE, Running};

/// A gateway that may call receivers on this machine, and gives up soon.
pub(crate) struct House {
    pub(crate) home: Home,
    gateway: Running,
}

pub(crate) const CONFIG: &str = r#"{
  cron: { webhookSsrfPolicy: { allowedHostnames: ["127.0.0.1"] } },
  delivery: { retrySchedule: ["50ms", "50ms"] },
}"#;

impl House {
    pub(crate) fn open() -> Self {
        Self::with(CONFIG)
    }

    pub(crate) fn with(config: &str) -> Self {
        let home = Home::new();
        home.write(".clawhook/clawhook.json5", config);
        let gateway = home.start(&["gateway", "--port", "0"]);
        Self { home, gateway }
    }

    /// Adds a job that runs a command and sends its output to `url`; gives its id.
    pub(crate) fn add(&self, name: &str, command: &str, url: &str) -> String {
        let args =
            ["cron", "add", "every 1h", "--name", name, "--command", command, "--webhook", url, "--json"];
        self.home.run(&args).json()["id"].as_str().unwrap().to_owned()
    }
}

/// A command that ends when the file `stop` is there, or its directory no more.
fn until_stopped(home: &Home) -> String {
    let stop = home.path("stop");
    let (dir, stop) = (stop.parent().unwrap().display(), stop.display());
    format!("while [ -d '{dir}' ] && [ ! -e '{stop}' ]; do sleep 0.05; done")
}

fn lines_of(value: &str) -> Vec<&str> {
    value.lines().collect()
}

#[test]
fn a_run_that_is_waited_for_is_green_once_its_result_has_arrived_and_verified() {
    let house = House::open();
    let receiver = house.home.start(&["listen", "--port", "0", "--fail-first", "1"]);
    let id = house.add("greeter", "echo hello", &format!("{}/hook?token=s3cret", receiver.url));

    let ended = house.home.run(&["cron", "run", &id, "--wait", "--json"]);
    let answer = ended.json();
    assert_eq!(answer["completionStatus"], "succeeded", "{answer}");
    assert_eq!((&answer["completed"], &answer["status"]), (&true.into(), &"ok".into()));
    assert_eq!(answer["run"]["runId"], answer["runId"]);
    assert_eq!(answer["run"]["deliveries"][0]["state"], "delivered");
    assert!(receiver.next_line().contains("500 failed  greeter: ok"));

    let list = house.home.run(&["cron", "list"]).ok();
    let lines = lines_of(&list);
    assert!(lines[0].starts_with("ID "), "{list}");
    assert!(lines[1].starts_with(&id), "{list}");
    for text in
        ["greeter", "every 1h", "in 1h", "<1m ago", " ok ", "isolated", "webhook:http://127.0.0.1:", "main"]
    {
        assert!(lines[1].contains(text), "no `{text}` in {list}");
    }
    assert!(!list.contains("s3cret"), "{list}");

    let runs = house.home.run(&["cron", "runs", &id]).ok();
    assert!(runs.contains("succeeded") && runs.contains("delivered") && runs.contains("hello"), "{runs}");
    let deliveries = house.home.run(&["deliveries", "list", "--job", &id, "--json"]).json();
    let delivery = deliveries["deliveries"][0]["id"].as_str().unwrap();
    let shown = house.home.run(&["deliveries", "show", delivery]).ok();
    assert!(shown.contains("HTTP 500 server_error") && shown.contains("HTTP 200 delivered"), "{shown}");
    house.home.run(&["deliveries", "retry", delivery]).failed(1, "error: ");
}

#[test]
fn i07_a_run_whose_delivery_failed_is_not_green() {
    let house = House::open();
    let id = house.add("lost", "echo hello", "http://127.0.0.1:1/hook");
    let ended = house.home.run(&["cron", "run", &id, "--wait"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("status: ok\ncompletion: failed"), "{ended:?}");
    assert!(ended.stderr.contains("error: the run is ok, but its delivery dlv_"), "{ended:?}");
    assert!(house.home.run(&["cron", "list"]).ok().contains("ok (not delivered)"));

    let dead = house.home.run(&["deliveries", "list", "--state", "dead", "--json"]).json();
    let delivery = dead["deliveries"][0]["id"].as_str().unwrap();
    assert!(house.home.run(&["deliveries", "retry", delivery]).ok().contains("will be tried now"));
}

#[test]
fn a_run_that_failed_is_told_with_its_reason() {
    let house = House::open();
    let receiver = house.home.start(&["listen", "--port", "0"]);
    let id = house.add("breaks", "echo oops >&2; exit 3", &receiver.url);
    let ended = house.home.run(&["cron", "run", &id, "--wait"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("error: the run failed (exit):"), "{ended:?}");
}

#[test]
fn a_job_that_is_running_is_not_run_again() {
    let house = House::open();
    let id = house.add("long", &until_stopped(&house.home), "http://127.0.0.1:1/hook");
    let queued = house.home.run(&["cron", "run", &id]).ok();
    let run = queued.trim().strip_prefix("queued: ").unwrap();
    for flags in [&[][..], &["--wait"]] {
        let ended = house.home.run(&[&["cron", "run", &id], flags].concat());
        ended.failed(1, &format!("the job is already running, as {run}; it was not run again"));
    }
    house.home.write("stop", "");
}

#[test]
fn a_delivery_that_takes_longer_than_the_wait_is_told_as_it_stands() {
    let house = House::with(&CONFIG.replace(r#"["50ms", "50ms"]"#, r#"["1h"]"#));
    let id = house.add("slow", "echo hello", "http://127.0.0.1:1/hook");
    let ended = house.home.run(&["cron", "run", &id, "--wait", "--wait-timeout", "2s"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("after 2s it is not over: the run is ok, and its delivery is waiting"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("it goes on without this command"), "{ended:?}");
}

#[test]
fn a_job_is_added_as_the_document_that_it_is() {
    // Nothing is to be sent to the address in it, whatever the hour.
    let house = House::with("{ cron: { enabled: false } }");
    let document = r#"{
      "name": "daily-summary",
      "schedule": { "kind": "cron", "expr": "0 9 * * *", "tz": "America/New_York" },
      "payload": { "kind": "command", "argv": ["echo", "整理今日重點與待辦"], "timeoutSeconds": 120 },
      "delivery": { "mode": "webhook", "to": "https://example.com/openclaw/webhook" },
      "sessionTarget": "isolated",
      "enabled": true
    }"#;
    let path = house.home.write("job.json", document);
    let job = house.home.run(&["cron", "add", "--file", path.to_str().unwrap(), "--json"]).json();
    let written: Value = serde_json::from_str(document).unwrap();
    for member in ["name", "schedule", "payload", "delivery", "sessionTarget", "enabled"] {
        assert_eq!(job[member], written[member], "{member}");
    }
    let mut command = house.home.command(&["cron", "create", "--file", "-"]);
    let from_stdin = Home::end(command.stdin(Stdio::from(std::fs::File::open(&path).unwrap()))).ok();
    assert!(from_stdin.starts_with("added: daily-summary\nid: "), "{from_stdin}");
    assert!(from_stdin.contains("schedule: cron 0 9 * * * @ America/New_York (exact)"), "{from_stdin}");

    let bad = house.home.write("bad.json", "{");
    house.home.run(&["cron", "add", "--file", bad.to_str().unwrap()]).failed(1, "is not JSON");
    let unknown = house.home.write("unknown.json", &document.replace("sessionTarget", "sesionTarget"));
    let ended = house.home.run(&["cron", "add", "--file", unknown.to_str().unwrap()]);
    ended.failed(1, "error: unknown field `sesionTarget`");
    ended.failed(1, "hint: did you mean `sessionTarget`?");
}

#[test]
fn a_job_is_changed_in_what_is_named_and_in_nothing_else() {
    let house = House::open();
    let added = house.home.run(&[
        "cron",
        "add",
        "0 9 * * *",
        "--tz",
        "Asia/Taipei",
        "--name",
        "n",
        "--description",
        "d",
        "--command",
        "ls",
        "--command-env",
        "KEY=s3cret",
        "--json",
    ]);
    assert!(added.stderr.contains("note: delivery.mode is none"), "{added:?}");
    let job = added.json();
    let id = job["id"].as_str().unwrap();
    let edit = |flags: &[&str]| house.home.run(&[&["cron", "edit", id, "--json"], flags].concat());

    let edited = edit(&["--stagger", "30s", "--clear-description", "--timeout-seconds", "1.5"]).json();
    assert_eq!(
        edited["schedule"],
        serde_json::json!({"kind": "cron", "expr": "0 9 * * *", "tz": "Asia/Taipei", "staggerMs": 30_000})
    );
    assert_eq!(edited.get("description"), None);
    assert_eq!(edited["payload"]["timeoutSeconds"], 1.5);
    assert_eq!(edited["payload"]["env"]["KEY"], "***");
    assert_eq!(edited["name"], "n");

    assert_eq!(edit(&["--every", "2h"]).json()["schedule"]["everyMs"], 7_200_000);
    edit(&["--tz", "UTC"]).failed(1, "this is `every 2h`");
    edit(&["--webhook", "ftp://example.com"]).failed(1, "ftp");

    assert_eq!(edit(&["--disable"]).json()["enabled"], false);
    assert!(house.home.run(&["cron", "list"]).stderr.contains("no enabled jobs"));
    assert!(house.home.run(&["cron", "list", "--all"]).ok().contains("disabled"));
    assert!(house.home.run(&["cron", "enable", id]).ok().starts_with("enabled: n\n"));
    assert_eq!(house.home.run(&["cron", "disable", id, "--json"]).json()["enabled"], false);
    assert_eq!(house.home.run(&["cron", "get", id]).json()["id"], id);
    let shown = house.home.run(&["cron", "show", id]).ok();
    assert!(
        shown.starts_with(&format!("id: {id}\nname: n\n")) && shown.contains("last delivery: -"),
        "{shown}"
    );
    house.home.run(&["cron", "ledger", id]).ok();
    house.home.run(&["cron", "status"]).ok();

    let removed = house.home.run(&["cron", "rm", id, "--json"]).json();
    assert_eq!(removed, serde_json::json!({ "ok": true, "removed": true }));
}

#[test]
fn an_unknown_id_is_told_with_where_to_look() {
    let house = House::open();
    for command in ["get", "show", "enable", "disable", "rm", "run", "runs", "ledger"] {
        let ended = house.home.run(&["cron", command, "no/pe"]);
        ended.failed(1, "error: Automation not found: no/pe\n");
        ended.failed(1, "hint: `clawhook cron list --all` shows the ids");
    }
    house.home.run(&["cron", "edit", "nope", "--disable"]).failed(1, "error: Automation not found: nope\n");
}

#[test]
fn a_gateway_says_where_it_is_tells_its_clients_and_ends_well_when_told_to() {
    let House { home, gateway } = House::open();
    assert!(gateway.url.starts_with("http://127.0.0.1:"), "{}", gateway.url);
    let status = home.run(&["status", "--json"]).json();
    assert_eq!((&status["url"], &status["healthy"]), (&gateway.url.clone().into(), &true.into()));
    assert!(home.run(&["status"]).ok().contains("healthy: yes"));

    Home::end(home.command(&["status"]).env("CLAWHOOK_TOKEN", "wrong"))
        .failed(1, "does not accept the token");
    home.run(&["gateway", "--port", "0"]).failed(1, "hint: ");

    let (code, rest) = gateway.stop();
    assert_eq!((code, rest), (0, Vec::new()));
    home.run(&["status"]).failed(1, "no gateway is running");
}

#[test]
fn a_second_signal_ends_a_gateway_at_once_whatever_still_runs() {
    let House { home, gateway } = House::with("{ cron: { shutdownGrace: '1m' } }");
    let begun = home.path("begun");
    let command = format!("touch '{}'; {}", begun.display(), until_stopped(&home));
    let args = ["cron", "add", "every 1h", "--command", &command, "--json"];
    let id = home.run(&args).json()["id"].as_str().unwrap().to_owned();
    home.run(&["cron", "run", &id]).ok();
    let waiting = Instant::now();
    while !begun.exists() {
        assert!(waiting.elapsed() < PATIENCE, "the command did not begin");
        std::thread::yield_now();
    }
    gateway.signal();
    while !gateway.next_message().contains("the gateway is stopping") {}
    gateway.signal();
    assert_eq!(gateway.wait().0, 130, "it did not wait for the run, which does not end by itself");
}

#[test]
fn the_gateway_of_a_named_state_directory_keeps_its_things_there() {
    let home = Home::new();
    let state = home.path("elsewhere");
    let gateway = home.start(&["gateway", "--port", "0", "--state-dir", state.to_str().unwrap()]);
    let status = Home::end(home.command(&["status", "--json"]).env("CLAWHOOK_STATE_DIR", &state)).json();
    assert_eq!(status["stateDir"], state.to_str().unwrap());
    assert_eq!(status["url"], gateway.url);
    assert!(!home.path(".clawhook").exists());
}

#[test]
fn a_gateway_that_cannot_start_says_why_and_what_to_do() {
    let home = Home::new();
    let bad = home.write("bad.json5", "{ gateway: { prot: 1 } }");
    let ended = home.run(&["gateway", "--port", "0", "--config", bad.to_str().unwrap()]);
    ended.failed(1, "prot");
    ended.failed(1, "hint: the gateway starts once");
    let missing = home.path("missing.json5");
    home.run(&["gateway", "--config", missing.to_str().unwrap()]).failed(1, "missing.json5");
    home.run(&["gateway", "--port", "0", "--bind", "0.0.0.0"]).failed(1, "hint: ");
    Home::end(home.command(&["gateway"]).env("CLAWHOOK_LOG", "a=b=c")).failed(1, "CLAWHOOK_LOG is `a=b=c`");
}

#[test]
fn whoever_saves_a_job_while_schedules_are_off_is_warned() {
    let house = House::with("{ cron: { enabled: false } }");
    let ended = house.home.run(&["cron", "add", "every 1h", "--command", "ls"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("warning: schedules are off"), "{ended:?}");
}
