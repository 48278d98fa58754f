//! Models behind a scripted server that speaks, or garbles, OpenAI's chat completions on loopback.

mod scripted;

use std::time::Duration;

use clawhook_agent::{
    AgentProfile, Agents, ChatApi, LiveOutput, LivePiece, Message, Runtime, Turn, TurnResult,
};
use clawhook_model::{ErrorReason, Role, RunStatus, Severity, UnixMs, Usage};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::scripted::{
    DONE, KEY, STOP, STREAM, Script, Server, USAGE, agents, ask, chunked, error_of, hello, http, provider,
    run, says, turn, using,
};

fn runtime(base_url: &str) -> Agents {
    agents(using("fake/fake-1", &[]), [("fake", provider(ChatApi::OpenAiCompletions, base_url))])
}

fn runtime_of(server: &Server) -> Agents {
    runtime(&format!("{}/v1", server.address))
}

/// The result of a turn that the server answers with `answer`; no part of it holds the key.
async fn answered(answer: impl Into<Vec<u8>>) -> TurnResult {
    let server = Server::start([Script::send(answer)]).await;
    ask(&runtime_of(&server)).await
}

async fn refusal(status: u16, body: &str) -> (ErrorReason, String) {
    let result = answered(http(status, "application/json", body)).await;
    let (reason, message) = error_of(&result);
    let note = &result.outcome.diagnostics.as_ref().expect("diagnostics").entries[0];
    assert_eq!(
        (note.source.as_str(), note.severity, note.message.as_str()),
        ("agent-run", Severity::Error, message)
    );
    (reason, message.to_owned())
}

#[tokio::test]
async fn a_streamed_answer_is_put_together_even_where_a_character_is_cut_in_two() {
    let stream = [&says("你好"), &says("，世界"), STOP, USAGE, DONE].concat();
    for size in [1, 2, 7] {
        let result = answered(chunked(stream.as_bytes().chunks(size), true)).await;
        let outcome = result.outcome;
        assert_eq!((outcome.status, outcome.summary.as_deref()), (RunStatus::Ok, Some("你好，世界")));
        assert_eq!(outcome.usage, Some(Usage::new(11, 7)));
        assert_eq!((outcome.provider.as_deref(), outcome.model.as_deref()), (Some("fake"), Some("fake-1")));
        assert_eq!(outcome.diagnostics, None);
        let said: Vec<_> = result.transcript.iter().map(|entry| (entry.role, entry.text.as_str())).collect();
        assert_eq!(said, [(Role::User, "hello"), (Role::Assistant, "你好，世界")]);
        assert!(result.transcript.iter().all(|entry| entry.at == UnixMs::from_millis(1_000)));
    }
}

#[tokio::test]
async fn the_request_holds_the_message_the_model_and_the_key() {
    let mut server = Server::start([Script::send(http(200, STREAM, DONE))]).await;
    run(&runtime_of(&server), turn(Message { model: Some("fake/org/model".into()), ..hello() })).await;
    let (head, body) = server.request().await;
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("authorization: Bearer {KEY}")), "{head}");
    assert_eq!(body["model"], "org/model");
    assert_eq!(body["stream"], true);
    assert_eq!(body["stream_options"], serde_json::json!({ "include_usage": true }));
    assert_eq!(body["messages"][0]["role"], "system");
    assert_eq!(body["messages"][1], serde_json::json!({ "role": "user", "content": "hello" }));
    assert_eq!(body["messages"].as_array().unwrap().len(), 2);
    assert_eq!(body["tools"][0]["function"]["name"], "nothing_to_report");
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["model", "messages", "stream", "stream_options", "tools"]);
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let body = r#"{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"length"}],
        "usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let outcome = answered(http(200, "application/json", body)).await.outcome;
    assert_eq!((outcome.status, outcome.summary.as_deref()), (RunStatus::Ok, Some("hi")));
    assert_eq!(outcome.usage, Some(Usage::new(1, 2)));
    let note = &outcome.diagnostics.unwrap().entries[0];
    assert_eq!(note.severity, Severity::Warn);
    assert!(note.message.contains("limit of tokens"), "{}", note.message);
}

#[tokio::test]
async fn an_answer_without_usage_is_an_answer() {
    let outcome = answered(chunked([says("hi"), STOP.into(), DONE.into()], true)).await.outcome;
    assert_eq!((outcome.summary.as_deref(), outcome.usage), (Some("hi"), None));
}

#[tokio::test]
async fn a_stream_that_ends_after_its_finish_reason_is_complete() {
    let outcome = answered(chunked([says("hi"), STOP.into()], false)).await.outcome;
    assert_eq!((outcome.status, outcome.summary.as_deref()), (RunStatus::Ok, Some("hi")));
}

#[tokio::test]
async fn a_refused_key_is_an_auth_error_that_says_where_the_key_is_and_never_what_it_is() {
    let body =
        format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}.\nSee docs.","code":"x"}}}}"#);
    let (reason, message) = refusal(401, &body).await;
    assert_eq!(reason, ErrorReason::Auth);
    assert_eq!(
        message,
        "fake/fake-1 refused the credentials (HTTP 401). Check models.providers.fake.apiKey. The provider says: \
         \"Incorrect API key provided: ***. See docs\"."
    );
}

#[tokio::test]
async fn refusals_are_told_apart_by_status() {
    for (status, expected) in [
        (402, ErrorReason::Billing),
        (403, ErrorReason::Auth),
        (404, ErrorReason::ModelNotFound),
        (429, ErrorReason::RateLimit),
        (500, ErrorReason::ServerError),
        (503, ErrorReason::Overloaded),
        (529, ErrorReason::Overloaded),
    ] {
        let (reason, message) = refusal(status, r#"{"error":{"message":"no"}}"#).await;
        assert_eq!(reason, expected, "HTTP {status}");
        assert!(
            message.starts_with("fake/fake-1 ") && message.contains(&format!("HTTP {status}")),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_for_the_model_is_told_from_a_malformed_request() {
    let (reason, _) = refusal(400, r#"{"error":{"message":"bad field"}}"#).await;
    assert_eq!(reason, ErrorReason::Format);
    let body = r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#;
    assert_eq!(refusal(400, body).await.0, ErrorReason::ContextOverflow);
}

#[tokio::test]
async fn of_a_refusal_nothing_but_its_error_message_is_quoted() {
    let (_, message) = refusal(500, "<html>stack trace</html>").await;
    assert!(!message.contains("stack"), "{message}");
    let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "m".repeat(5_000));
    assert!(refusal(500, &long).await.1.len() < 500);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let answer = "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let result = answered(answer).await;
    let (reason, message) = error_of(&result);
    assert_eq!(reason, ErrorReason::Unknown);
    assert!(message.contains("HTTP 307") && message.contains("models.providers.fake.baseUrl"), "{message}");
}

#[tokio::test]
async fn a_stream_that_is_cut_is_a_network_error_and_keeps_what_came() {
    let result = answered(chunked([says("half a "), says("sentence")], false)).await;
    assert_eq!(error_of(&result).0, ErrorReason::Network);
    assert_eq!(result.outcome.summary.as_deref(), Some("half a sentence"));
    assert_eq!(result.transcript[1].text, "half a sentence");
}

#[tokio::test]
async fn an_error_inside_the_stream_is_an_error_and_keeps_what_came() {
    let error = r#"data: {"error":{"code":429,"message":"slow down"}}"#;
    let result = answered(chunked([says("half"), format!("{error}\n\n")], true)).await;
    assert_eq!(error_of(&result).0, ErrorReason::RateLimit);
    assert_eq!(result.outcome.summary.as_deref(), Some("half"));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_not_asked_and_its_address_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let result = ask(&runtime(&format!("http://user:{KEY}@{address}/v1?key={KEY}"))).await;
    assert_eq!(result.outcome.status, RunStatus::Skipped);
    let error = result.outcome.error.as_ref().unwrap();
    assert_eq!(error.reason, ErrorReason::Unavailable);
    let message = &error.message;
    assert!(message.contains(&format!("could not be reached at {address}: Connection refused")), "{message}");
    assert!(result.transcript.is_empty());
    assert!(!format!("{result:?}").contains(KEY));
}

#[tokio::test]
async fn a_connection_that_is_closed_without_an_answer_is_a_network_error() {
    assert_eq!(error_of(&answered("").await).0, ErrorReason::Network);
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_with_the_timeout() {
    let server = Server::start([Script::Hang(Vec::new())]).await;
    let mut turn = turn(hello());
    turn.timeout = Some(Duration::from_millis(100));
    let result = run(&runtime_of(&server), turn).await;
    let (reason, message) = error_of(&result);
    assert_eq!(reason, ErrorReason::Timeout);
    assert_eq!(message, "cron: job execution timed out after 100ms, while fake/fake-1 was answering");
}

#[tokio::test]
async fn a_cancelled_turn_ends_at_once() {
    let mut server = Server::start([Script::Hang(Vec::new())]).await;
    let runtime = runtime_of(&server);
    let cancel = CancellationToken::new();
    let running = tokio::spawn({
        let cancel = cancel.clone();
        async move { runtime.run_turn(turn(hello()), cancel).await }
    });
    server.request().await;
    cancel.cancel();
    assert_eq!(error_of(&running.await.unwrap()).0, ErrorReason::Interrupted);
}

#[tokio::test]
async fn a_turn_that_is_broken_off_keeps_what_the_model_had_said_and_used() {
    let used = r#"{"choices":[{"delta":{"content":"a sentence"}}],"usage":{"prompt_tokens":11,"completion_tokens":2}}"#;
    let pieces = [says("half "), format!("data: {used}\n\n")];
    let server = Server::start([Script::Hang(chunked(pieces, false))]).await;
    let runtime = runtime_of(&server);
    let cancel = CancellationToken::new();
    let heard = cancel.clone();
    let live = LiveOutput::to(move |piece| {
        if matches!(piece, LivePiece::Text { text } if text.ends_with("sentence")) {
            heard.cancel();
        }
    });
    let result = runtime.run_turn(Turn { live, ..turn(hello()) }, cancel).await;
    assert_eq!(error_of(&result).0, ErrorReason::Interrupted);
    assert_eq!(result.outcome.summary.as_deref(), Some("half a sentence"));
    assert_eq!(result.transcript[1].text, "half a sentence");
    assert_eq!(result.outcome.usage.map(|usage| usage.input_tokens), Some(11));
}

#[tokio::test]
async fn answers_that_cannot_be_read_are_server_errors_that_do_not_quote_them() {
    let html = answered(http(200, "text/html", "<html>welcome</html>")).await;
    let broken_stream = answered(http(200, STREAM, "data: {\"choices\": welcome\n\n")).await;
    let broken_json = answered(http(200, "application/json", r#"{"choices":"welcome"}"#)).await;
    let not_utf8 =
        answered(chunked([b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n"], true)).await;
    for result in [html, broken_stream, broken_json, not_utf8] {
        let (reason, message) = error_of(&result);
        assert_eq!(reason, ErrorReason::ServerError);
        assert!(!message.contains("welcome"), "{message}");
    }
}

#[tokio::test]
async fn an_answer_without_text_is_an_empty_response() {
    let result = answered(chunked([STOP, DONE], true)).await;
    let (reason, message) = error_of(&result);
    assert_eq!(reason, ErrorReason::EmptyResponse);
    assert_eq!(message, "fake/fake-1 ended its turn without a word (finish reason: stop).");
    assert_eq!(result.outcome.summary, None);
}

#[tokio::test]
async fn an_answer_of_many_megabytes_is_cut_and_says_so() {
    let megabyte = says(&"x".repeat(1024 * 1024));
    let pieces = std::iter::repeat_n(megabyte, 6).chain([STOP.into(), DONE.into()]);
    let outcome = answered(chunked(pieces, true)).await.outcome;
    assert_eq!(outcome.status, RunStatus::Ok);
    let text = outcome.summary.unwrap();
    assert!(text.ends_with("[the answer was cut here: it is longer than 4 MiB]"));
    assert!(text.len() < 5 * 1024 * 1024);
    assert_eq!(outcome.diagnostics.unwrap().entries[0].truncated, Some(true));
}

#[tokio::test]
async fn without_a_model_or_a_provider_the_error_says_what_to_configure() {
    let runtime = agents(AgentProfile::default(), []);
    let result = ask(&runtime).await;
    let expected = "no model is configured: set agents.defaults.model and models.providers in the configuration, \
                    or give the job a model";
    assert_eq!(error_of(&result), (ErrorReason::ModelNotFound, expected));
    let result = run(&runtime, turn(Message { model: Some("openai/gpt".into()), ..hello() })).await;
    let (reason, message) = error_of(&result);
    assert_eq!(reason, ErrorReason::ModelNotFound);
    assert!(message.contains("no provider `openai`"), "{message}");
}
