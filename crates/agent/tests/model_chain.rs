//! Chains of models behind scripted servers: who is asked, for how long, and what is told when nobody answers.

mod scripted;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clawhook_agent::{
    ChatApi, LiveOutput, LivePiece, McpOptions, McpTransport, Message, ModelInfo, TurnLimits,
};
use clawhook_model::{
    EntryDetail, ErrorReason, Price, Role, RunStatus, Severity, TranscriptEntry, UnixMs, Usage, Usd,
};
use serde_json::json;
use tokio::net::TcpListener;

use self::scripted::{
    DONE, NOW, STOP, Script, Server, agents, agents_with, answer, ask, chunked, error_of, hello, http,
    http_with, knowing, provider, run, says, turn, using,
};

const API: ChatApi = ChatApi::OpenAiCompletions;
const JSON: &str = "application/json";

fn refusal(status: u16, headers: &str, message: &str) -> Script {
    Script::send(http_with(status, JSON, headers, &json!({ "error": { "message": message } }).to_string()))
}

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    format!("http://{}", listener.local_addr().expect("the port"))
}

#[tokio::test]
async fn the_next_model_answers_where_one_fails_and_the_failure_is_kept_as_a_note() {
    let one = Server::start([refusal(500, "", "oops")]).await;
    let two = Server::start([answer("fine")]).await;
    let agents =
        agents(using("one/a", &["two/b"]), [("one", one.provider(API, "")), ("two", two.provider(API, ""))]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut turn = turn(hello());
    turn.live = LiveOutput::to({
        let told = Arc::clone(&told);
        move |piece| told.lock().unwrap().push(piece)
    });
    let result = run(&agents, turn).await;
    let outcome = result.outcome;
    assert_eq!((outcome.status, outcome.summary.as_deref()), (RunStatus::Ok, Some("fine")));
    assert_eq!((outcome.provider.as_deref(), outcome.model.as_deref()), (Some("two"), Some("b")));
    let notes = outcome.diagnostics.unwrap().entries;
    assert_eq!((notes.len(), notes[0].severity, notes[0].source.as_str()), (1, Severity::Warn, "agent-run"));
    assert!(
        notes[0].message.starts_with("one/a failed on the provider's side (HTTP 500)"),
        "{}",
        notes[0].message
    );
    let told = told.lock().unwrap();
    let asked =
        |provider: &str, model: &str| LivePiece::Asked { provider: provider.into(), model: model.into() };
    assert_eq!(told[0], asked("one", "a"));
    assert!(matches!(&told[1], LivePiece::Note { text } if text.contains("HTTP 500")));
    assert_eq!(told[2..], [asked("two", "b"), LivePiece::Text { text: "fine".into() }]);
}

#[tokio::test]
async fn a_chain_that_fails_ends_with_one_error_that_names_each_try() {
    let one = Server::start([refusal(401, "", "bad key")]).await;
    let two = Server::start([Script::Send(chunked([says("half")], false))]).await;
    let three = Server::start([refusal(529, "", "")]).await;
    let agents = agents(
        using("one/a", &["two/b", "three/c"]),
        [("one", one.provider(API, "")), ("two", two.provider(API, "")), ("three", three.provider(API, ""))],
    );
    let result = ask(&agents).await;
    let (reason, message) = error_of(&result);
    assert_eq!(reason, ErrorReason::Auth);
    let starts = [
        "no model answered: one/a refused the credentials",
        "; two/b did not finish",
        "; three/c has no capacity",
    ];
    assert!(starts.iter().all(|start| message.contains(start)), "{message}");
    let notes = &result.outcome.diagnostics.as_ref().unwrap().entries;
    assert_eq!(notes.len(), 3);
    assert!(notes.iter().all(|note| note.severity == Severity::Error));
    assert_eq!(result.outcome.summary.as_deref(), Some("half"));
    assert_eq!(result.ask_again_at, None);
    let said: Vec<(Role, &str)> =
        result.transcript.iter().map(|entry| (entry.role, entry.text.as_str())).collect();
    assert_eq!(said[0], (Role::User, "hello"));
    assert!(said.contains(&(Role::Assistant, "half")));
}

#[tokio::test]
async fn the_job_s_own_fallbacks_stand_instead_of_the_agents_and_an_empty_list_is_none() {
    for (fallbacks, answers) in [(vec![], None), (vec!["three/c".to_owned()], Some("three"))] {
        let one = Server::start([refusal(500, "", "")]).await;
        let two = Server::start([answer("two")]).await;
        let three = Server::start([answer("three")]).await;
        let agents = agents(
            using("one/a", &["two/b"]),
            [
                ("one", one.provider(API, "")),
                ("two", two.provider(API, "")),
                ("three", three.provider(API, "")),
            ],
        );
        let result = run(&agents, turn(Message { fallbacks: Some(fallbacks), ..hello() })).await;
        assert_eq!(result.outcome.summary.as_deref(), answers);
    }
}

#[tokio::test]
async fn a_model_that_is_silent_is_given_up_within_its_limit_and_the_next_one_asked() {
    for begun in [Vec::new(), chunked([says("I was say")], false)] {
        let one = Server::start([Script::Hang(begun)]).await;
        let two = Server::start([answer("fine")]).await;
        let mut profile = using("one/a", &["two/b"]);
        profile.limits = TurnLimits { model_timeout: Duration::from_secs(1), ..TurnLimits::default() };
        let agents = agents(profile, [("one", one.provider(API, "")), ("two", two.provider(API, ""))]);
        let outcome = ask(&agents).await.outcome;
        assert_eq!(outcome.summary.as_deref(), Some("fine"));
        let note = &outcome.diagnostics.unwrap().entries[0].message;
        assert!(note.starts_with("one/a said nothing for 1s"), "{note}");
    }
}

#[tokio::test]
async fn a_model_gets_no_more_than_its_share_of_the_time_while_others_wait_and_the_last_gets_the_rest() {
    let hang = || Script::Hang(chunked([says("I was say")], false));
    let one = Server::start([hang()]).await;
    let two = Server::start([hang()]).await;
    let agents =
        agents(using("one/a", &["two/b"]), [("one", one.provider(API, "")), ("two", two.provider(API, ""))]);
    let mut turn = turn(hello());
    turn.timeout = Some(Duration::from_millis(400));
    let begun_at = std::time::Instant::now();
    let result = run(&agents, turn).await;
    assert!(begun_at.elapsed() >= Duration::from_millis(400));
    let (reason, message) = error_of(&result);
    assert_eq!(reason, ErrorReason::Timeout);
    assert!(
        message.starts_with("cron: job execution timed out after 400ms, while two/b was answering"),
        "{message}"
    );
    assert!(message.contains("Before that: one/a had not answered after 2"), "{message}");
}

#[tokio::test]
async fn a_provider_that_says_when_to_ask_again_puts_the_run_off_until_the_earliest_of_them() {
    let one = Server::start([refusal(429, "Retry-After: 60\r\n", "slow down")]).await;
    let two = Server::start([refusal(503, "retry-after-ms: 30000\r\n", "busy")]).await;
    let agents =
        agents(using("one/a", &["two/b"]), [("one", one.provider(API, "")), ("two", two.provider(API, ""))]);
    let result = ask(&agents).await;
    assert_eq!(error_of(&result).0, ErrorReason::RateLimit);
    assert_eq!(result.ask_again_at, Some(NOW.plus(Duration::from_secs(30))));
}

#[tokio::test]
async fn a_run_is_not_put_off_by_a_refusal_that_another_model_made_good_or_that_says_no_time() {
    let one = Server::start([refusal(429, "Retry-After: 60\r\n", ""), refusal(429, "", "")]).await;
    let two = Server::start([answer("fine"), refusal(500, "Retry-After: 5\r\n", "")]).await;
    let agents =
        agents(using("one/a", &["two/b"]), [("one", one.provider(API, "")), ("two", two.provider(API, ""))]);
    let good = ask(&agents).await;
    assert_eq!((good.outcome.status, good.ask_again_at), (RunStatus::Ok, None));
    assert_eq!(ask(&agents).await.ask_again_at, None);
}

#[tokio::test]
async fn who_is_not_there_is_passed_over() {
    let two = Server::start([answer("fine")]).await;
    let providers = [("one", provider(API, &nobody().await)), ("two", two.provider(API, ""))];
    let result = ask(&agents(using("one/a", &["two/b"]), providers)).await;
    assert_eq!(result.outcome.summary.as_deref(), Some("fine"));
    let note = &result.outcome.diagnostics.unwrap().entries[0].message;
    assert!(note.starts_with("one/a could not be reached"), "{note}");
}

#[tokio::test]
async fn where_nobody_is_there_the_run_is_skipped_with_each_reason_and_nothing_is_begun() {
    let providers = [("one", provider(API, &nobody().await)), ("two", provider(API, &nobody().await))];
    let result = ask(&agents(using("one/a", &["two/b"]), providers)).await;
    assert_eq!(result.outcome.status, RunStatus::Skipped);
    let error = result.outcome.error.unwrap();
    assert_eq!(error.reason, ErrorReason::Unavailable);
    assert!(
        error.message.contains("one/a could not be reached") && error.message.contains("two/b could not"),
        "{error:?}"
    );
    assert!(result.transcript.is_empty());
}

#[tokio::test]
async fn a_key_that_is_refused_is_told_by_its_reference_and_never_shown() {
    let body = r#"{"error":{"message":"no such key"}}"#;
    let server = Server::start([Script::Send(http(401, "application/json", body).into())]).await;
    let mut provider = server.provider(API, "");
    let clawhook_agent::ProviderApi::Chat(endpoint) = &mut provider.api else { panic!("{provider:?}") };
    endpoint.key_reference = Some("the environment variable OPENAI_API_KEY".into());
    let result = ask(&agents(using("one/a", &[]), [("one", provider)])).await;
    let (reason, message) = error_of(&result);
    assert_eq!(reason, ErrorReason::Auth);
    assert!(
        message.contains("Check models.providers.one.apiKey (the environment variable OPENAI_API_KEY)"),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_used_is_summed_over_all_tries_and_paid_by_each_models_price() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000000,\"completion_tokens\":0}}\n\n";
    let one = Server::start([Script::Send(chunked([says("half").as_str(), usage], false))]).await;
    let two = Server::start([Script::Send(chunked([says("fine").as_str(), STOP, usage, DONE], true))]).await;
    let priced = |dollars| ModelInfo {
        price: Some(Price { input: dollars, ..Price::default() }),
        ..ModelInfo::default()
    };
    let providers = [
        ("one", knowing(one.provider(API, ""), "a", priced(2.0))),
        ("two", knowing(two.provider(API, ""), "b", priced(0.5))),
    ];
    let outcome = ask(&agents(using("one/a", &["two/b"]), providers)).await.outcome;
    assert_eq!(outcome.usage, Some(Usage::new(2_000_000, 0)));
    assert_eq!(outcome.cost, Usd::from_dollars(2.5));
}

#[tokio::test]
async fn a_result_that_fits_its_schema_is_a_value_beside_the_text_and_the_model_is_held_to_the_schema() {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
    let mut server = Server::start([answer("```json\n{\"n\": 3}\n```")]).await;
    let agents = agents(using("one/a", &[]), [("one", server.provider(API, ""))]);
    let message = Message { output_schema: Some(schema.clone()), ..hello() };
    let outcome = run(&agents, turn(message)).await.outcome;
    assert_eq!((outcome.status, outcome.output), (RunStatus::Ok, Some(json!({ "n": 3 }))));
    assert_eq!(outcome.summary.as_deref(), Some("```json\n{\"n\": 3}\n```"));
    let (_, body) = server.request().await;
    assert_eq!(body["response_format"]["json_schema"]["schema"], schema);
    assert_eq!(body.get("tools"), None);
    assert!(body["messages"][0]["content"].as_str().unwrap().contains(r#""required":["n"]"#));
}

#[tokio::test]
async fn a_result_that_does_not_fit_is_asked_for_once_more_and_then_it_is_an_error_of_its_own() {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
    let message = || Message { output_schema: Some(schema.clone()), ..hello() };
    let mut server = Server::start([
        answer("three"),
        answer("{\"n\": 3}"),
        answer("{\"n\": \"3\"}"),
        answer("{\"n\": null}"),
    ])
    .await;
    let agents = agents(using("one/a", &["one/b"]), [("one", server.provider(API, ""))]);
    let mended = run(&agents, turn(message())).await;
    assert_eq!(mended.outcome.output, Some(json!({ "n": 3 })));
    assert_eq!(mended.outcome.summary.as_deref(), Some("{\"n\": 3}"));
    assert_eq!(mended.outcome.usage, Some(Usage::new(22, 14)));
    assert!(mended.transcript.iter().any(|entry| entry.detail == Some(EntryDetail::Gateway)));
    server.request().await;
    let (_, again) = server.request().await;
    let roles: Vec<&str> =
        again["messages"].as_array().unwrap().iter().map(|said| said["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert!(again["messages"][3]["content"].as_str().unwrap().contains("it is not JSON (line 1, column 2)"));

    let failed = run(&agents, turn(message())).await;
    let (reason, text) = error_of(&failed);
    assert_eq!(reason, ErrorReason::OutputSchema);
    assert!(text.contains("at `/n`: want integer, but got null"), "{text}");
    assert_eq!((failed.outcome.summary.as_deref(), failed.outcome.output), (Some("{\"n\": null}"), None));
}

fn calls(name: &str, arguments: &str) -> String {
    let call = json!({ "index": 0, "id": "c1", "function": { "name": name, "arguments": arguments } });
    format!(
        "data: {}\n\n",
        json!({ "choices": [{ "delta": { "tool_calls": [call] }, "finish_reason": "tool_calls" }] })
    )
}

#[tokio::test]
async fn an_agent_says_by_a_tool_that_there_is_nothing_to_report() {
    for (arguments, text) in [("{\"reason\":\"all is well\"}", "all is well"), ("", "NO_REPLY")] {
        let stream = chunked([calls("nothing_to_report", arguments).as_str(), USAGE_AND_DONE], true);
        let server = Server::start([Script::Send(stream)]).await;
        let result = ask(&agents(using("one/a", &[]), [("one", server.provider(API, ""))])).await;
        assert_eq!((result.outcome.status, result.outcome.silent), (RunStatus::Ok, true));
        assert_eq!(result.outcome.summary.as_deref(), Some(text));
        let last = result.transcript.last().unwrap();
        assert!(
            matches!(&last.detail, Some(EntryDetail::ToolCall { name, .. }) if name == "nothing_to_report")
        );
    }
}

const USAGE_AND_DONE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn an_agent_that_may_use_no_tools_at_all_is_offered_none() {
    let mut server = Server::start([answer("fine")]).await;
    let agents = agents(using("one/a", &[]), [("one", server.provider(API, ""))]);
    run(&agents, turn(Message { tools_allow: Some(Vec::new()), ..hello() })).await;
    assert_eq!(server.request().await.1.get("tools"), None);
}

#[tokio::test]
async fn a_model_that_takes_no_tools_is_asked_again_without_ours() {
    let mut server = Server::start([refusal(400, "", "a does not support tools"), answer("fine")]).await;
    let agents = agents(using("one/a", &[]), [("one", server.provider(API, ""))]);
    let outcome = ask(&agents).await.outcome;
    assert_eq!(outcome.summary.as_deref(), Some("fine"));
    assert!(outcome.diagnostics.unwrap().entries[0].message.contains("one/a takes no tools"));
    assert!(server.request().await.1.get("tools").is_some());
    assert!(server.request().await.1.get("tools").is_none());
}

#[tokio::test]
async fn a_model_that_calls_tools_without_end_meets_its_limit_which_is_named() {
    let stream = || Script::Send(chunked([calls("files__read", "{}").as_str(), DONE], true));
    let limited = |rounds, tool_calls| TurnLimits { rounds, tool_calls, ..TurnLimits::default() };
    for (limits, which) in [(limited(2, 50), "limits.rounds"), (limited(9, 1), "limits.toolCalls")] {
        let server = Server::start([stream(), stream(), stream()]).await;
        let mut profile = using("one/a", &["one/b"]);
        profile.limits = limits;
        let result = ask(&agents(profile, [("one", server.provider(API, ""))])).await;
        let (reason, message) = error_of(&result);
        assert_eq!(reason, ErrorReason::TurnLimit);
        assert!(message.contains(which), "{message}");
    }
}

#[tokio::test]
async fn a_model_is_told_what_was_said_before() {
    let said = |role, text: &str| TranscriptEntry::said(UnixMs::EPOCH, role, text);
    let history = vec![said(Role::User, "one"), said(Role::Assistant, "two")];
    let mut server = Server::start([answer("fine")]).await;
    let agents = agents(using("one/a", &[]), [("one", server.provider(API, ""))]);
    run(&agents, turn(Message { history, ..hello() })).await;
    let (_, body) = server.request().await;
    let texts: Vec<&str> = body["messages"].as_array().unwrap()[1..]
        .iter()
        .map(|said| said["content"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["one", "two", "hello"]);
}

#[tokio::test]
async fn a_refusal_to_answer_is_a_class_of_its_own_and_another_model_may_answer() {
    let refused =
        "data: {\"choices\":[{\"delta\":{\"content\":\"No.\"},\"finish_reason\":\"content_filter\"}]}\n\n";
    let one = Server::start([Script::Send(chunked([refused, DONE], true))]).await;
    let two = Server::start([Script::send(http(500, JSON, ""))]).await;
    let agents =
        agents(using("one/a", &["two/b"]), [("one", one.provider(API, "")), ("two", two.provider(API, ""))]);
    let result = ask(&agents).await;
    let (reason, message) = error_of(&result);
    assert_eq!(reason, ErrorReason::Refusal);
    assert!(message.contains("one/a declined to answer (finish reason: content_filter)"), "{message}");
}

#[tokio::test]
async fn a_tool_server_that_does_not_come_up_leaves_the_run_unbegun() {
    let mut server = Server::start([]).await;
    let mut profile = using("one/a", &[]);
    profile.tools.allow = vec!["files".into()];
    let program =
        McpTransport::Program { argv: vec!["/no/such/program".into()], cwd: None, env: BTreeMap::new() };
    let tools = McpOptions {
        servers: BTreeMap::from([("files".to_owned(), program.into())]),
        ..McpOptions::default()
    };
    let agents = agents_with(profile, tools, [("one", server.provider(API, ""))]);
    let result = ask(&agents).await;
    assert_eq!(result.outcome.status, RunStatus::Skipped);
    let error = result.outcome.error.expect("why");
    assert_eq!(error.reason, ErrorReason::Unavailable);
    assert!(error.message.contains("the tool server `files` could not be started"), "{}", error.message);
    assert!(error.message.contains("mcp.servers.files"), "{}", error.message);
    assert!(result.transcript.is_empty() && !server.was_asked());
    // A job that wants none of its agent's tools does not need the server.
    let other = Server::start([answer("fine")]).await;
    let mut profile = using("one/a", &[]);
    profile.tools.allow = vec!["files".into()];
    let agents = agents_with(profile, McpOptions::default(), [("one", other.provider(API, ""))]);
    let result = run(&agents, turn(Message { tools_allow: Some(Vec::new()), ..hello() })).await;
    assert_eq!(result.outcome.summary.as_deref(), Some("fine"));
}
