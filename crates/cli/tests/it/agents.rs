//! Agents whose models fail in every way, and a gateway that is killed while they are asked.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::processes::{Home, PATIENCE, Running};

/// What a scripted model does when it is asked.
#[derive(Clone, Copy)]
enum Answer {
    Says(&'static str),
    /// A status with headers and a body.
    Refuses(&'static str, &'static str, &'static str),
    /// The stream ends in the middle of a sentence.
    Cut,
    Malformed,
    Silent,
}

/// A model that answers as its script says, and as its last line says from then on.
struct Model {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Model {
    fn with(script: &'static [Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let requests = Arc::clone(&requests);
                std::thread::spawn(move || serve(stream, script, &requests));
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, script: &[Answer], requests: &Mutex<Vec<String>>) {
    // A look at whether anybody is there asks nothing.
    let Some(request) = read_request(&stream) else { return };
    let turn = {
        let mut requests = requests.lock().unwrap();
        requests.push(request);
        (requests.len() - 1).min(script.len() - 1)
    };
    let (status, headers, body) = match script[turn] {
        Answer::Says(text) => ("200 OK", "content-type: text/event-stream\r\n", streamed(text, true)),
        Answer::Cut => ("200 OK", "content-type: text/event-stream\r\n", streamed("Half an ans", false)),
        Answer::Malformed => {
            ("200 OK", "content-type: text/event-stream\r\n", "data: {\"choi\n\n".to_owned())
        }
        Answer::Refuses(status, headers, body) => (status, headers, body.to_owned()),
        Answer::Silent => {
            // Until the other side hangs up.
            stream.read_to_end(&mut Vec::new()).ok();
            return;
        }
    };
    write!(stream, "HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}").ok();
}

fn read_request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

fn streamed(text: &str, whole: bool) -> String {
    let chunk = |choices: Value, usage: Value| {
        format!("data: {}\n\n", json!({ "id": "c", "model": "m", "choices": choices, "usage": usage }))
    };
    let said =
        chunk(json!([{ "index": 0, "delta": { "content": text }, "finish_reason": null }]), Value::Null);
    if !whole {
        return said;
    }
    let end = chunk(json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]), Value::Null);
    let bill = json!({ "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 });
    format!("{said}{end}{}data: [DONE]\n\n", chunk(json!([]), bill))
}

/// A gateway with these providers, whose agent asks the first of them.
fn gateway(home: &Home, providers: &[(&str, &Model)], defaults: &Value) -> Running {
    let entries =
        providers.iter().map(|(name, model)| ((*name).to_owned(), json!({ "baseUrl": model.url() })));
    let config = json!({
        "gateway": { "port": 0 },
        "cron": { "webhookSsrfPolicy": { "allowedHostnames": ["127.0.0.1"] } },
        "delivery": { "signingSecret": { "file": "signing-secret" } },
        "models": { "providers": entries.collect::<serde_json::Map<_, _>>() },
        "agents": { "defaults": defaults },
    });
    home.write(".clawhook/clawhook.json5", &config.to_string());
    write_secret(home);
    home.start(&["gateway"])
}

fn write_secret(home: &Home) {
    let secret = home.write(".clawhook/signing-secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    std::fs::set_permissions(secret, Permissions::from_mode(0o600)).unwrap();
}

fn add(home: &Home, words: &[&str]) -> String {
    let mut args = vec!["cron", "add", "--every", "24h", "--json"];
    args.extend(words);
    home.run(&args).json()["id"].as_str().unwrap().to_owned()
}

/// Runs the job to its end, however it ends.
#[track_caller]
fn run(home: &Home, job: &str) -> Value {
    let ended = home.run(&["cron", "run", job, "--wait", "--json"]);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    answer["run"].clone()
}

fn begin(home: &Home, job: &str) -> String {
    home.run(&["cron", "run", job, "--json"]).json()["runId"].as_str().unwrap().to_owned()
}

#[track_caller]
fn wait_until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_rate_limit_that_says_for_how_long_puts_the_run_off_and_it_stays_the_same_run() {
    let busy =
        Answer::Refuses("429 Too Many Requests", "retry-after: 1\r\n", r#"{"error":{"message":"slow"}}"#);
    let script: &'static [Answer] = Box::leak(Box::new([busy, Answer::Says("Done after all.")]));
    let (home, model) = (Home::new(), Model::with(script));
    let running = gateway(&home, &[("busy", &model)], &json!({ "model": "busy/m" }));
    let job = add(&home, &["--message", "hi", "--no-deliver"]);
    let ended = run(&home, &job);
    assert_eq!((&ended["status"], &ended["summary"]), (&json!("ok"), &json!("Done after all.")), "{ended}");
    assert_eq!(ended["deferrals"], 1, "{ended}");
    assert_eq!(ended["attempt"], 1, "{ended}");
    let all = home.run(&["cron", "runs", &job, "--json"]).json();
    assert_eq!(all["entries"].as_array().map(Vec::len), Some(1), "{all}");
    assert_eq!(all["entries"][0]["runId"], ended["runId"]);
    assert_eq!(model.asked().len(), 2);
    running.stop();
}

#[test]
fn a_model_that_never_answers_is_given_up_and_the_next_one_is_asked() {
    let home = Home::new();
    let (silent, other) = (Model::with(&[Answer::Silent]), Model::with(&[Answer::Says("I am here.")]));
    let defaults =
        json!({ "model": "silent/m", "fallbacks": ["other/m"], "limits": { "modelTimeout": "1s" } });
    let running = gateway(&home, &[("silent", &silent), ("other", &other)], &defaults);
    let ended = run(&home, &add(&home, &["--message", "hi", "--no-deliver"]));
    assert_eq!((&ended["status"], &ended["summary"]), (&json!("ok"), &json!("I am here.")), "{ended}");
    assert_eq!(ended["provider"], "other");
    assert!(ended["diagnostics"].to_string().contains("silent/m"), "{ended}");
    assert_eq!(silent.asked().len(), 1);
    running.stop();
}

#[test]
fn each_failure_of_a_model_ends_the_run_with_its_class() {
    const BODY: &str = r#"{"error":{"message":"no"}}"#;
    let (auth, broken, full, cut, malformed) = (
        Model::with(&[Answer::Refuses("401 Unauthorized", "", BODY)]),
        Model::with(&[Answer::Refuses("500 Internal Server Error", "", BODY)]),
        Model::with(&[Answer::Refuses("529 Overloaded", "", BODY)]),
        Model::with(&[Answer::Cut]),
        Model::with(&[Answer::Malformed]),
    );
    let home = Home::new();
    let providers =
        [("auth", &auth), ("broken", &broken), ("full", &full), ("cut", &cut), ("malformed", &malformed)];
    let running = gateway(&home, &providers, &json!({ "model": "auth/m" }));
    for (provider, class) in [
        ("auth", "auth"),
        ("broken", "server_error"),
        ("full", "overloaded"),
        ("cut", "network"),
        ("malformed", "server_error"),
    ] {
        let model = format!("{provider}/m");
        let ended = run(&home, &add(&home, &["--message", "hi", "--no-deliver", "--model", &model]));
        assert_eq!((&ended["status"], &ended["errorReason"]), (&json!("error"), &json!(class)), "{ended}");
        assert!(ended["error"].to_string().contains(&model), "{ended}");
    }
    running.stop();
}

#[test]
fn a_gateway_that_is_killed_in_the_middle_of_a_turn_tells_of_it_when_it_is_back() {
    let (home, model) = (Home::new(), Model::with(&[Answer::Silent]));
    write_secret(&home);
    let receiver = Running::start_quietly(&mut home.command(&["listen", "--port", "0", "--json"]));
    let killed = gateway(&home, &[("silent", &model)], &json!({ "model": "silent/m" }));
    let job = add(&home, &["--message", "hi", "--webhook", &receiver.url]);
    let id = begin(&home, &job);
    wait_until("the model is asked", || !model.asked().is_empty());
    // Dropping it is a SIGKILL.
    drop(killed);
    let running = home.start(&["gateway"]);
    let request: Value = serde_json::from_str(&receiver.next_line()).unwrap();
    let event = &request["event"];
    assert_eq!(request["signature"], "valid", "{request}");
    assert_eq!((&event["runId"], &event["status"]), (&json!(id), &json!("error")), "{event}");
    assert_eq!(event["errorReason"], "interrupted", "{event}");
    assert_eq!(model.asked().len(), 1, "it was not asked again by itself");
    running.stop();
}

#[test]
fn a_system_event_that_nobody_was_told_of_waits_through_a_kill() {
    let (home, model) = (Home::new(), Model::with(&[Answer::Says("I have read it.")]));
    let killed = gateway(&home, &[("local", &model)], &json!({ "model": "local/m" }));
    let leave = ["--system-event", "The disk is full.", "--wake", "next-heartbeat", "--no-deliver"];
    assert_eq!(run(&home, &add(&home, &leave))["status"], "ok");
    assert!(model.asked().is_empty(), "no model is asked");
    drop(killed);
    let running = home.start(&["gateway"]);
    let wake = ["--system-event", "The day begins.", "--wake", "now", "--no-deliver"];
    assert_eq!(run(&home, &add(&home, &wake))["summary"], "I have read it.");
    let asked = model.asked().concat();
    assert!(asked.contains("The disk is full.") && asked.contains("The day begins."), "{asked}");
    running.stop();
}

#[test]
fn a_missing_key_is_told_by_its_reference() {
    let (home, model) = (Home::new(), Model::with(&[Answer::Says("hi")]));
    let config = json!({
        "gateway": { "port": 0 },
        "models": { "providers": {
            "keyed": { "baseUrl": model.url(), "apiKey": { "env": "KEY_THAT_NOBODY_SET" } },
        } },
        "agents": { "defaults": { "model": "keyed/m" } },
    });
    home.write(".clawhook/clawhook.json5", &config.to_string());
    let checked = home.run(&["config", "check"]);
    assert!(checked.stderr.contains("KEY_THAT_NOBODY_SET"), "{checked:?}");
}
