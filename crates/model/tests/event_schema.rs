//! The published schema and the events that are really made are held to each other.
#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};

use clawhook_model::{
    Diagnostic, Diagnostics, ErrorReason, EventId, Finished, GateDecision, HookCall, HookCallState,
    HookReport, HookStage, Job, JobDefinition, JobState, Provenance, RUN_FINISHED_SCHEMA,
    RUN_FINISHED_SCHEMA_ID, Route, RouteSource, RunError, RunId, RunOutcome, RunStatus, SCHEMA_VERSION,
    SessionId, Severity, Trigger, UnixMs, Usage, Usd,
};
use serde_json::{Map, Value, json};

const NOW: UnixMs = UnixMs::from_millis(1_771_372_800_000);

fn schema() -> Value {
    serde_json::from_str(RUN_FINISHED_SCHEMA).unwrap()
}

/// Judges events by the schema, with a validator that is not ours.
struct Validator {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Validator {
    fn new() -> Self {
        let mut schemas = boon::Schemas::new();
        let mut compiler = boon::Compiler::new();
        compiler.add_resource("https://schema.test/event.json", schema()).unwrap();
        let index = compiler.compile("https://schema.test/event.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn judge(&self, event: &Value) -> Result<(), String> {
        self.schemas.validate(event, self.index).map_err(|error| format!("{error:#}\n{event:#}"))
    }
}

/// What makes an event what it is.
struct Facts {
    job: Value,
    trigger: Trigger,
    attempt: u32,
    late: bool,
    outcome: RunOutcome,
}

impl Facts {
    fn event(&self) -> Value {
        let job = Job {
            id: "daily".parse().unwrap(),
            definition: JobDefinition::parse(self.job.clone(), NOW).unwrap(),
            created_at: NOW,
            updated_at: NOW,
            state: JobState {
                next_run_at: (self.trigger != Trigger::Manual).then_some(NOW),
                running_at: (self.trigger != Trigger::Manual).then_some(NOW),
                ..JobState::default()
            },
        };
        let route = Route {
            channel: "slack".to_owned(),
            account_id: "default".to_owned(),
            to: "C1".to_owned(),
            thread_id: Some("1.2".to_owned()),
            source: RouteSource::Last,
        };
        let facts = Finished {
            event_id: EventId::new(NOW),
            job: &job,
            run_id: RunId::new(NOW),
            trigger: self.trigger,
            scheduled_at: (self.trigger != Trigger::Manual).then_some(NOW),
            started_at: NOW,
            ended_at: NOW.plus_millis(17),
            session_id: SessionId::random(),
            session_key: "agent:main:cron:daily",
            attempt: self.attempt,
            deferrals: self.attempt - 1,
            late: self.late,
            upstream: (self.trigger == Trigger::Chain).then(|| RunId::new(NOW)),
            gates: &gates(),
            provenance: &Provenance { hops: 1, trail: vec!["a/other".to_owned(), "a/daily".to_owned()] },
            outcome: &self.outcome,
            route: Some(if self.late { Err("no channel is configured") } else { Ok(&route) }),
        };
        serde_json::from_slice(&facts.to_bytes()).unwrap()
    }
}

fn jobs() -> Vec<Value> {
    vec![
        json!({
            "schedule": { "kind": "every", "everyMs": 60000 }, "payload": { "kind": "agentTurn", "message": "hi" },
            "outputSchema": { "type": "object" }, "sessionTarget": "current", "sessionKey": "reports",
        }),
        json!({
            "name": "all", "displayName": "All", "description": "Everything", "agentId": "sales", "enabled": false,
            "schedule": { "kind": "cron", "expr": "0 9 * * *", "tz": "America/New_York", "staggerMs": 5000, "dst": "once" },
            "payload": {
                "kind": "agentTurn", "message": "hi", "model": "local/tiny", "timeoutSeconds": 1.5,
                "fallbacks": ["local/other"], "thinking": "high", "toolsAllow": ["files__*"], "lightContext": true,
                "allowUnsafeExternalContent": true,
            },
            "budget": { "usdPerDay": 0.5, "tokensPerDay": 1000 }, "cleanup": "delete",
            "misfire": { "policy": "each", "max": 5, "maxLatenessSeconds": 1.5 },
            "overlap": { "policy": "bufferAll", "max": 20 },
            "delivery": {
                "mode": "webhook", "to": "https://example.com/?token=s3cret", "bestEffort": true, "lateResults": true,
            },
            "hooks": { "pre": gates_of_all_kinds(), "post": hooks(), "onError": hooks(), "always": hooks(), "inheritGlobal": false },
            "after": [{ "job": "first", "on": "always", "passResult": false }, "second"],
        }),
        json!({
            "schedule": { "kind": "at", "at": "2026-03-01" }, "deleteAfterRun": true,
            "payload": {
                "kind": "command", "argv": ["sh", "-c", "true"], "cwd": "/", "env": { "KEY": "s3cret" }, "input": "x",
                "timeoutSeconds": 0, "noOutputTimeoutSeconds": 10, "outputMaxBytes": 1024,
            },
            "delivery": { "mode": "announce", "channel": "last", "to": "me", "accountId": "a", "threadId": "t" },
        }),
        json!({
            "schedule": { "kind": "cron", "expr": "0 9 * * *" },
            "payload": { "kind": "systemEvent", "text": "wake" },
            "wakeMode": "next-heartbeat",
        }),
        json!({
            "schedule": { "kind": "every", "everyMs": 60000 }, "payload": { "kind": "agentTurn", "message": "hi" },
            "delivery": {
                "mode": "announce",
                "completionDestination": { "mode": "webhook", "to": "https://example.com/done" },
            },
        }),
        json!({
            "schedule": { "kind": "every", "everyMs": 60000 }, "payload": { "kind": "agentTurn", "message": "hi" },
            "delivery": { "mode": "webhook", "destination": "ops" },
        }),
        json!({
            "schedule": { "kind": "every", "everyMs": 60000 }, "payload": { "kind": "agentTurn", "message": "hi" },
            "delivery": { "mode": "webhook", "targets": [{ "to": "https://example.com/" }, { "destination": "ops" }] },
        }),
    ]
}

/// Hooks with every member that one can have.
fn hooks() -> Value {
    json!([
        { "kind": "command", "argv": ["true"], "cwd": "/", "env": { "KEY": "s3cret" }, "priority": 1, "timeoutSeconds": 1.5 },
        { "kind": "webhook", "to": "https://example.com/?token=s3cret" },
        { "kind": "webhook", "destination": "ops" },
        { "kind": "agentTurn", "message": "look", "agentId": "sales", "model": "local/tiny" },
        { "kind": "systemEvent", "text": "done" },
    ])
}

fn gates_of_all_kinds() -> Value {
    let mut gates = hooks();
    gates.as_array_mut().unwrap().pop();
    gates[0]["onFailure"] = json!("skip");
    gates[0]["appendOutput"] = json!(true);
    gates
}

/// Calls of gates with every member that one can have.
fn gates() -> Vec<HookCall> {
    let plain = HookCall {
        stage: HookStage::Pre,
        name: "weather".to_owned(),
        is_global: false,
        kind: "webhook".to_owned(),
        state: HookCallState::Failed,
        started_at: Some(NOW),
        ended_at: Some(NOW.plus_millis(3)),
        delivery: None,
        report: HookReport::failed("no answer"),
    };
    let report = HookReport {
        decision: Some(GateDecision::Proceed),
        reason: Some("it rains".to_owned()),
        exit_code: Some(0),
        status: Some(200),
        output: Some("rain".to_owned()),
        error: Some("why".to_owned()),
        usage: Some(Usage { cache_read_tokens: 1, cache_write_tokens: 1, ..Usage::new(3, 2) }),
    };
    vec![HookCall { is_global: true, report, ..plain.clone() }, plain]
}

fn outcomes() -> Vec<RunOutcome> {
    let entry = Diagnostic {
        ts: NOW,
        source: "exec".to_owned(),
        severity: Severity::Warn,
        message: "noted".to_owned(),
        exit_code: Some(-1),
        truncated: Some(true),
    };
    let plain = Diagnostic { exit_code: None, truncated: None, ..entry.clone() };
    let whole = RunOutcome {
        diagnostics: Some(Diagnostics { summary: Some("a few".to_owned()), entries: vec![entry, plain] }),
        model: Some("tiny".to_owned()),
        provider: Some("local".to_owned()),
        usage: Some(Usage { cache_read_tokens: 1, cache_write_tokens: 1, ..Usage::new(3, 2) }),
        cost: Some(Usd::from_micros(17)),
        ..RunOutcome::ok("grüße \"now\"\n")
    };
    let structured = RunOutcome { output: Some(json!({ "n": 1 })), ..RunOutcome::ok("{\"n\":1}") };
    let silent = RunOutcome { summary: None, ..RunOutcome::ok("") };
    let skipped = RunOutcome { status: RunStatus::Skipped, ..silent.clone() };
    let explained = RunOutcome {
        error: Some(RunError { reason: ErrorReason::Interrupted, message: "why".to_owned() }),
        diagnostics: Some(Diagnostics::default()),
        ..skipped.clone()
    };
    let failed = RunOutcome { summary: Some("part".to_owned()), ..RunOutcome::error(ErrorReason::Exit, "x") };
    vec![whole, structured, silent, skipped, explained, failed]
}

/// An event for every job, trigger and outcome, and one of each job that came late.
fn events() -> Vec<Value> {
    let mut events = Vec::new();
    for job in jobs() {
        for trigger in Trigger::ALL {
            for outcome in outcomes() {
                let attempt = if trigger == Trigger::Retry { 2 } else { 1 };
                events.push(Facts { job: job.clone(), trigger, attempt, late: false, outcome }.event());
            }
        }
        let outcome = RunOutcome::ok("at last");
        events.push(Facts { job, trigger: Trigger::Schedule, attempt: 1, late: true, outcome }.event());
    }
    events
}

/// An event with every part that is optional, and none that excludes another.
fn full_event() -> Value {
    let (job, outcome) = (jobs()[1].clone(), outcomes()[0].clone());
    Facts { job, trigger: Trigger::Retry, attempt: 2, late: true, outcome }.event()
}

#[test]
fn every_event_that_is_made_is_valid() {
    let validator = Validator::new();
    for event in events() {
        validator.judge(&event).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn an_event_that_lacks_a_required_member_is_not_valid() {
    let (validator, event) = (Validator::new(), full_event());
    for name in schema()["required"].as_array().unwrap() {
        let mut lacking = event.clone();
        lacking.as_object_mut().unwrap().remove(name.as_str().unwrap()).unwrap();
        validator.judge(&lacking).expect_err(name.as_str().unwrap());
    }
}

#[test]
fn an_event_with_a_member_of_another_type_is_not_valid() {
    let validator = Validator::new();
    let mut paths = Vec::new();
    leaves(&full_event(), "", &mut paths);
    for path in paths {
        let mut changed = full_event();
        *changed.pointer_mut(&path).unwrap() = json!([[]]);
        validator.judge(&changed).expect_err(&path);
    }
}

#[test]
fn an_event_that_contradicts_itself_is_not_valid() {
    let validator = Validator::new();
    let changes: [(&str, Value); 6] = [
        ("status", json!("error")),
        ("status", json!("fine")),
        ("errorReason", json!("timeout")),
        ("schemaVersion", json!(2)),
        ("eventId", json!("run_0198f0a4c7b27e3d9a51b6c4d2e8f001")),
        ("action", json!("started")),
    ];
    for (name, value) in changes {
        let mut changed = full_event();
        changed[name] = value;
        validator.judge(&changed).expect_err(name);
    }
    for name in ["scheduledAtMs", "delivery"] {
        let mut lacking = full_event();
        lacking["trigger"] = json!("schedule");
        lacking.as_object_mut().unwrap().remove(name).unwrap();
        validator.judge(&lacking).expect_err(name);
    }
}

#[test]
fn additions_leave_an_event_valid() {
    let mut event = full_event();
    event["somethingNew"] = json!({});
    event["job"]["somethingNew"] = json!(1);
    event["errorReason"] = json!("some_new_class");
    event["error"] = json!("why");
    Validator::new().judge(&event).unwrap();
}

/// The members that a schema describes, or that values have, each with its full path.
type Members = BTreeSet<String>;

fn described(schema: &Value, path: &str, found: &mut Members) {
    let members = schema["properties"].as_object().into_iter().flatten();
    for (name, member) in members {
        let path = format!("{path}.{name}");
        described(member, &path, found);
        described(&member["items"], &path, found);
        found.insert(path);
    }
}

fn had(value: &Value, path: &str, found: &mut Members) {
    match value {
        // What a person names is not ours to describe.
        Value::Object(_) if path.ends_with(".env") || [".job.outputSchema", ".output"].contains(&path) => {}
        Value::Object(members) => {
            for (name, member) in members {
                let path = format!("{path}.{name}");
                had(member, &path, found);
                found.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| had(item, path, found)),
        _ => {}
    }
}

fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    let members: &Map<String, Value> = match value {
        Value::Object(members) => members,
        _ => return found.push(path.to_owned()),
    };
    members.iter().for_each(|(name, member)| leaves(member, &format!("{path}/{name}"), found));
}

#[test]
fn the_schema_describes_every_member_that_events_have_and_no_others() {
    let (mut promised, mut made) = (Members::new(), Members::new());
    described(&schema(), "", &mut promised);
    events().iter().for_each(|event| had(event, "", &mut made));
    assert_eq!(promised, made);
}

#[test]
fn the_schema_names_its_version_and_every_word_of_the_code() {
    let schema = schema();
    assert_eq!(schema["$id"], RUN_FINISHED_SCHEMA_ID);
    assert_eq!(schema["properties"]["schemaVersion"]["const"], SCHEMA_VERSION);
    let words = |name: &str, list: &str| schema["properties"][name][list].clone();
    let statuses = [RunStatus::Ok, RunStatus::Error, RunStatus::Skipped];
    assert_eq!(words("status", "enum"), json!(statuses));
    assert_eq!(words("trigger", "enum"), json!(Trigger::ALL));
    let reasons = words("errorReason", "examples");
    for reason in reasons.as_array().unwrap() {
        serde_json::from_value::<ErrorReason>(reason.clone()).unwrap();
    }
    let unknown = serde_json::from_value::<ErrorReason>(json!("no such reason")).unwrap_err().to_string();
    let known: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
    assert_eq!(reasons, json!(known), "every reason of the code is named");
}

/// docs/event.md lists the members of the event; the table is made from the schema.
const DOCUMENT: &str = include_str!("../../../docs/event.md");

fn table(schema: &Value) -> String {
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut table = "| member | type | present | meaning |\n|---|---|---|---|\n".to_owned();
    for (name, member) in schema["properties"].as_object().unwrap() {
        let present = if required.contains(name.as_str()) { "always" } else { "sometimes" };
        let meaning = member["description"].as_str().unwrap();
        table.push_str(&format!("| `{name}` | {} | {present} | {meaning} |\n", type_of(member)));
    }
    table
}

/// The type of a member, in words.
fn type_of(member: &Value) -> String {
    let one_of = |words: &Value| {
        let words: Vec<String> =
            words.as_array().into_iter().flatten().map(|word| format!("`{word}`").replace('"', "")).collect();
        words.join(", ")
    };
    if !member["const"].is_null() {
        return format!("`{}`", member["const"]).replace('"', "");
    }
    if member["enum"].is_array() {
        return one_of(&member["enum"]);
    }
    let words: BTreeMap<&str, &str> = [
        ("string", "text"),
        ("integer", "whole number"),
        ("number", "number"),
        ("boolean", "true or false"),
        ("object", "object"),
        ("array", "list"),
    ]
    .into();
    let given: Vec<&str> = match &member["type"] {
        Value::Null => return "any".to_owned(),
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    };
    given.into_iter().map(|name| words.get(name).copied().unwrap_or(name)).collect::<Vec<_>>().join(" or ")
}

#[test]
fn the_document_lists_the_members_as_the_schema_does() {
    let table = table(&schema());
    assert!(DOCUMENT.contains(&table), "docs/event.md needs this table:\n\n{table}");
}

#[test]
fn the_documents_words_for_why_a_run_failed_are_the_codes() {
    for reason in schema()["properties"]["errorReason"]["examples"].as_array().unwrap() {
        let word = format!("| `{}` |", reason.as_str().unwrap());
        assert!(DOCUMENT.contains(&word), "docs/event.md lacks {word}");
    }
}
