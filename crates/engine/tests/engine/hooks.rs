//! Gates before runs, and what follows them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clawhook_engine::{EngineOptions, RunNow, WebhookAnswer, WebhookCaller, WebhookCalls};
use clawhook_model::{
    Budget, ErrorReason, GlobalHook, GlobalHooks, HookCallState, HookStage, JobId, RunId, RunStatus, Usd,
    WebhookTarget,
};
use serde_json::{Value, json};

use crate::world::{Life, Script, T0, options, outcome, remains, t};

const DONE: HookCallState = HookCallState::Done;

fn gate(name: &str) -> Value {
    json!({ "name": name, "kind": "command", "argv": ["check"] })
}

async fn run_now(life: &Life, job: &JobId) -> RunId {
    let RunNow::Accepted(run) = life.handle.run_now(job).await.expect("the store answers") else {
        panic!("it is accepted")
    };
    run
}

/// A webhook that answers so, and keeps what it was told.
struct Webhook {
    answer: Result<WebhookAnswer, String>,
    told: Mutex<Vec<Value>>,
}

#[async_trait]
impl WebhookCaller for Webhook {
    async fn call(&self, _: &WebhookTarget, body: Bytes, _: Duration) -> Result<WebhookAnswer, String> {
        let told = serde_json::from_slice(&body).expect("a context is JSON");
        self.told.lock().expect("nobody fell").push(told);
        self.answer.clone()
    }
}

fn answering(status: u16, body: &str) -> Arc<Webhook> {
    let answer = Ok(WebhookAnswer { status, body: body.to_owned() });
    Arc::new(Webhook { answer, told: Mutex::default() })
}

#[tokio::test]
async fn a_gate_lets_a_run_go_on_skips_it_or_has_it_fail_by_its_exit_code_whatever_began_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("gated", json!({ "hooks": { "pre": [gate("weather")] } })).await;
    life.runtime.next([Script::Exit(0, "sun"), Script::Answer("done")]);
    life.clock.set(t(1000));
    assert_eq!(outcome(&life.finished(&job, 1).await[0]).0, RunStatus::Ok);
    life.runtime.next([Script::Exit(10, "no rain today")]);
    run_now(&life, &job).await;
    let skipped = &life.finished(&job, 2).await[1];
    assert_eq!(outcome(skipped), (RunStatus::Skipped, Some(ErrorReason::Gate), None));
    life.runtime.next([Script::Exit(3, "cannot tell")]);
    life.clock.set(t(2000));
    let failed = &life.finished(&job, 3).await[2];
    assert_eq!(outcome(failed), (RunStatus::Error, Some(ErrorReason::Hook), None));
    let event: Value =
        serde_json::from_slice(&life.store.run_event(failed.run.id).await.unwrap().unwrap().body).unwrap();
    let told = "the hook `weather` failed (exit code 3): command exited with code 3: cannot tell";
    assert_eq!(event["error"], told);
    let shown = (&event["hooks"][0]["name"], &event["hooks"][0]["exitCode"], &event["hooks"][0]["state"]);
    assert_eq!(shown, (&json!("weather"), &json!(3), &json!("failed")));
    assert_eq!(life.state(&job).await.consecutive_errors, 1);
    assert_eq!(life.hook_calls(failed.run.id).await, [("pre", "weather".to_owned(), HookCallState::Failed)]);
    assert_eq!(life.runtime.turns().len(), 1, "only the first run took a turn");
}

#[tokio::test]
async fn a_skip_by_a_gate_ends_the_failures_in_a_row_and_leaves_the_instants_record() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let job = life.add("gated", json!({ "hooks": { "pre": [gate("weather")] } })).await;
    life.runtime.next([Script::Exit(1, ""), Script::Exit(10, "dry")]);
    life.clock.set(t(1000));
    life.finished(&job, 1).await;
    assert_eq!(life.state(&job).await.consecutive_errors, 1);
    life.clock.set(t(40_000));
    life.finished(&job, 2).await;
    assert_eq!(life.state(&job).await.consecutive_errors, 0);
    let reasons = life.reasons(&job).await;
    let told = "the hook `weather` says that there is nothing to do: dry".to_owned();
    assert!(reasons.contains(&told), "{reasons:?}");
}

#[tokio::test]
async fn what_a_gate_puts_out_follows_the_prompt_as_data_and_only_where_the_hook_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    let mut told = gate("weather");
    told["appendOutput"] = json!(true);
    let job = life.add("told", json!({ "hooks": { "pre": [told, gate("quiet")] } })).await;
    life.runtime.next([Script::Exit(0, "stdout:\n80% rain\n\nstderr:\nslow"), Script::Exit(0, "hush")]);
    life.clock.set(t(1000));
    life.finished(&job, 1).await;
    let text = &life.runtime.turns()[0].1.text;
    assert!(text.starts_with("go\n\nThe hook `weather` put out:\n<<<external "), "{text}");
    assert!(text.contains("\n80% rain\n") && !text.contains("slow") && !text.contains("hush"), "{text}");
}

#[tokio::test]
async fn gates_are_asked_by_priority_the_first_refusal_has_the_last_word_and_always_hooks_follow_it() {
    let folder = tempfile::tempdir().unwrap();
    let global = GlobalHook::parse(
        json!({ "name": "policy", "kind": "command", "argv": ["p"], "jobs": ["ga*"] }),
        HookStage::Pre,
        0,
    );
    let hooks = GlobalHooks::new(vec![(HookStage::Pre, global.unwrap())]);
    let life = Life::begin(folder.path(), T0, EngineOptions { hooks, ..options() });
    life.do_hooks();
    let mut first = gate("first");
    first["priority"] = json!(5);
    let own = json!({ "pre": [gate("last"), first], "post": [gate("after")], "always": [gate("clean")] });
    let job = life.add("gated", json!({ "hooks": own })).await;
    life.runtime.next([Script::Exit(0, ""), Script::Exit(10, "")]);
    life.clock.set(t(1000));
    let run = life.finished(&job, 1).await[0].run.id;
    let calls = life.hook_calls(run).await;
    let names: Vec<(&str, &str)> = calls.iter().map(|(stage, name, _)| (*stage, name.as_str())).collect();
    assert_eq!(names, [("pre", "first"), ("pre", "policy"), ("always", "clean")]);
    let free = json!({ "hooks": { "inheritGlobal": false } });
    let other = life.add("gate-free", free).await;
    let run = run_now(&life, &other).await;
    life.finished(&other, 1).await;
    assert_eq!(life.hook_calls(run).await, []);
}

#[tokio::test]
async fn a_gate_that_fails_means_what_its_job_says() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    for (word, status) in [("skip", RunStatus::Skipped), ("proceed", RunStatus::Ok)] {
        let mut lenient = gate("weather");
        lenient["onFailure"] = json!(word);
        let job = life.add(word, json!({ "hooks": { "pre": [lenient] } })).await;
        life.runtime.next([Script::Exit(7, "")]);
        run_now(&life, &job).await;
        assert_eq!(outcome(&life.finished(&job, 1).await[0]).0, status, "{word}");
    }
}

#[tokio::test]
async fn a_webhook_gates_verdict_decides_and_an_answer_without_one_lets_the_run_go_on() {
    for (status, body, expected) in [
        (200, r#"{"decision":"skip","reason":"dry"}"#, (RunStatus::Skipped, Some(ErrorReason::Gate))),
        (200, r#"{"decision":"error"}"#, (RunStatus::Error, Some(ErrorReason::Hook))),
        (200, r#"{"decision":"perhaps"}"#, (RunStatus::Error, Some(ErrorReason::Hook))),
        (204, "", (RunStatus::Ok, None)),
        (200, "<html>", (RunStatus::Ok, None)),
        (500, r#"{"decision":"proceed"}"#, (RunStatus::Error, Some(ErrorReason::Hook))),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let webhook = answering(status, body);
        let webhooks = WebhookCalls::by(webhook.clone());
        let life = Life::begin(folder.path(), T0, EngineOptions { webhooks, ..options() });
        let asked = json!([{ "name": "policy", "kind": "webhook", "to": "https://example.com/" }]);
        let job = life.add("gated", json!({ "hooks": { "pre": asked } })).await;
        run_now(&life, &job).await;
        let (status, reason, _) = outcome(&life.finished(&job, 1).await[0]);
        assert_eq!((status, reason), expected, "{body}");
        let told = webhook.told.lock().unwrap()[0].clone();
        assert_eq!((&told["stage"], &told["hook"]), (&json!("pre"), &json!("policy")));
        assert_eq!(told["provenance"], json!({ "hops": 0, "trail": ["gateway/gated"] }));
        assert_eq!(told["run"]["trigger"], "manual");
    }
}

#[tokio::test]
async fn an_agents_verdict_is_a_schema_and_what_it_costs_is_counted_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let budget = Budget { usd_per_day: None, tokens_per_day: Some(100) };
    let life = Life::begin(folder.path(), T0, EngineOptions { budget, ..options() });
    let judge = json!([{ "name": "judge", "kind": "agentTurn", "message": "Is it worth it?" }]);
    let job = life.add("judged", json!({ "hooks": { "pre": judge } })).await;
    life.runtime.next([Script::Spend(100, Usd::ZERO)]);
    run_now(&life, &job).await;
    let refused = outcome(&life.finished(&job, 1).await[0]).1;
    assert_eq!(refused, Some(ErrorReason::Hook), "`done` is no verdict");
    let asked = life.runtime.turns()[0].1.clone();
    assert!(asked.text.starts_with("Is it worth it?") && asked.output_schema.is_some(), "{asked:?}");
    run_now(&life, &job).await;
    assert_eq!(outcome(&life.finished(&job, 2).await[1]).1, Some(ErrorReason::Budget));
    assert_eq!(life.runtime.turns().len(), 1, "nobody is asked once the budget is used up");
}

#[tokio::test]
async fn what_follows_a_run_is_done_by_how_it_ended_and_a_hook_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(folder.path(), T0, options());
    life.do_hooks();
    let hooks = json!({
        "post": [gate("told")], "onError": [gate("page")],
        "always": [gate("clean"), { "name": "note", "kind": "systemEvent", "text": "It ran." }],
    });
    let job = life.add("followed", json!({ "hooks": hooks })).await;
    life.runtime.next([Script::Answer("done"), Script::Exit(1, "broken"), Script::Panic]);
    let run = run_now(&life, &job).await;
    let record = life.finished(&job, 1).await.remove(0);
    let names = life.hook_calls(run).await;
    let failed = HookCallState::Failed;
    let expected = [
        ("post", "told".to_owned(), failed),
        ("always", "clean".to_owned(), failed),
        ("always", "note".to_owned(), DONE),
    ];
    assert_eq!(names, expected);
    assert_eq!(outcome(&record), (RunStatus::Ok, None, Some("done")));
    life.runtime.next([Script::Fail(ErrorReason::Auth), Script::Exit(0, "paged"), Script::Exit(0, "")]);
    let run = run_now(&life, &job).await;
    life.finished(&job, 2).await;
    let names = life.hook_calls(run).await;
    let expected = [
        ("onError", "page".to_owned(), DONE),
        ("always", "clean".to_owned(), DONE),
        ("always", "note".to_owned(), DONE),
    ];
    assert_eq!(names, expected);
    let main = clawhook_model::SessionRef::main(&clawhook_model::AgentId::main());
    assert_eq!(life.store.system_events(main.id, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_hook_that_a_kill_interrupted_is_recorded_and_not_repeated_and_one_that_waited_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let one_at_once = || EngineOptions { hooks_at_once: 1, ..options() };
    let killed = Life::begin(folder.path(), T0, one_at_once());
    killed.do_hooks();
    let hooks = json!({ "post": [gate("first"), gate("second")] });
    let job = killed.add("followed", json!({ "hooks": hooks })).await;
    killed.runtime.next([Script::Answer("done"), Script::Work]);
    let run = run_now(&killed, &job).await;
    killed.runtime.began(2).await;
    let remains = remains(folder.path());
    let life = Life::begin(remains.path(), t(500), one_at_once());
    life.do_hooks();
    let expected =
        [("post", "first".to_owned(), HookCallState::Interrupted), ("post", "second".to_owned(), DONE)];
    assert_eq!(life.hook_calls(run).await, expected);
    assert_eq!(life.runtime.turns().len(), 0, "the first hook is not begun again");
}
