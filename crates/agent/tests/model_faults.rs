//! What every API's provider can do wrong, in its own words: nothing of it is taken for an answer, and each has its class.

mod scripted;

use std::time::Duration;

use clawhook_agent::{Agents, ChatApi, TurnLimits, TurnResult};
use clawhook_model::{ErrorReason, RunStatus};
use serde_json::{Value, json};

use self::scripted::hello;
use self::scripted::{
    KEY, NOW, STREAM, Script, Server, agents, ask, chunked_as, error_of, http, http_with, run, turn, using,
};

const JSON: &str = "application/json";

fn agents_of(server: &Server, api: ChatApi) -> Agents {
    let mut profile = using("fake/m", &[]);
    profile.limits = TurnLimits { model_timeout: Duration::from_secs(20), ..TurnLimits::default() };
    agents(profile, [("fake", server.provider(api, ""))])
}

async fn answered(api: ChatApi, answer: impl Into<Vec<u8>>) -> TurnResult {
    let server = Server::start([Script::send(answer)]).await;
    ask(&agents_of(&server, api)).await
}

/// The type of a streamed answer.
fn stream_type(api: ChatApi) -> &'static str {
    if api == ChatApi::Ollama { "application/x-ndjson" } else { STREAM }
}

/// One piece of a streamed answer.
fn piece(api: ChatApi, json: &Value) -> String {
    match api {
        ChatApi::Ollama => format!("{json}\n"),
        ChatApi::AnthropicMessages | ChatApi::OpenAiResponses => {
            format!("event: {}\ndata: {json}\n\n", json["type"].as_str().unwrap_or("x"))
        }
        _ => format!("data: {json}\n\n"),
    }
}

/// The piece by which a model of the API says something.
fn says(api: ChatApi, text: &str) -> String {
    let json = match api {
        ChatApi::OpenAiCompletions => json!({ "choices": [{ "delta": { "content": text } }] }),
        ChatApi::OpenAiResponses => json!({ "type": "response.output_text.delta", "delta": text }),
        ChatApi::AnthropicMessages => {
            json!({ "type": "content_block_delta", "delta": { "type": "text_delta", "text": text } })
        }
        ChatApi::GoogleGenerativeAi => {
            json!({ "candidates": [{ "content": { "parts": [{ "text": text }] } }] })
        }
        ChatApi::Ollama => json!({ "message": { "content": text }, "done": false }),
    };
    piece(api, &json)
}

/// The piece by which it ends.
fn ends(api: ChatApi) -> String {
    let json = match api {
        ChatApi::OpenAiCompletions => json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }),
        ChatApi::OpenAiResponses => {
            json!({ "type": "response.completed", "response": { "status": "completed" } })
        }
        ChatApi::AnthropicMessages => {
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" } })
        }
        ChatApi::GoogleGenerativeAi => json!({ "candidates": [{ "finishReason": "STOP" }] }),
        ChatApi::Ollama => json!({ "message": { "content": "" }, "done": true, "done_reason": "stop" }),
    };
    piece(api, &json)
}

/// How the API's provider words a refusal.
fn refusal(api: ChatApi, message: &str) -> String {
    match api {
        ChatApi::OpenAiCompletions | ChatApi::OpenAiResponses => {
            json!({ "error": { "message": message, "type": "x", "code": null } })
        }
        ChatApi::AnthropicMessages => {
            json!({ "type": "error", "error": { "type": "api_error", "message": message }, "request_id": "r" })
        }
        ChatApi::GoogleGenerativeAi => json!({ "error": { "code": 1, "message": message, "status": "X" } }),
        ChatApi::Ollama => json!({ "error": message }),
    }
    .to_string()
}

#[tokio::test]
async fn a_good_answer_of_each_api_is_a_result() {
    for api in ChatApi::ALL {
        let stream = [says(api, "你"), says(api, "好"), ends(api)].concat();
        for size in [1, 5, 4096] {
            let outcome = answered(api, chunked_as(stream_type(api), stream.as_bytes().chunks(size), true))
                .await
                .outcome;
            assert_eq!((outcome.status, outcome.summary.as_deref()), (RunStatus::Ok, Some("你好")), "{api}");
        }
    }
}

#[tokio::test]
async fn each_api_carries_the_key_in_its_own_header() {
    for api in ChatApi::ALL {
        let mut server = Server::start([Script::send(http(500, JSON, ""))]).await;
        ask(&agents_of(&server, api)).await;
        let (head, _) = server.request().await;
        let header = match api {
            ChatApi::AnthropicMessages => format!("x-api-key: {KEY}"),
            ChatApi::GoogleGenerativeAi => format!("x-goog-api-key: {KEY}"),
            _ => format!("authorization: Bearer {KEY}"),
        };
        assert!(head.contains(&header), "{api}: {head}");
        assert_eq!(head.contains("anthropic-version: 2023-06-01"), api == ChatApi::AnthropicMessages);
    }
}

#[tokio::test]
async fn refusals_are_told_apart_and_quoted_in_one_line_without_the_key() {
    for api in ChatApi::ALL {
        for (status, expected) in [
            (401, ErrorReason::Auth),
            (404, ErrorReason::ModelNotFound),
            (429, ErrorReason::RateLimit),
            (500, ErrorReason::ServerError),
            (529, ErrorReason::Overloaded),
        ] {
            let body = refusal(api, &format!("no,\n\u{1b}[31m not with {KEY}"));
            let result = answered(api, http(status, JSON, &body)).await;
            let (reason, message) = error_of(&result);
            assert_eq!(reason, expected, "{api}: HTTP {status}");
            assert!(message.contains(&format!("HTTP {status}")), "{message}");
            assert!(message.contains("The provider says: \"no, [31m not with ***\""), "{api}: {message}");
            assert_eq!(result.ask_again_at, None);
        }
    }
}

#[tokio::test]
async fn a_rate_limit_that_says_for_how_long_puts_the_run_off() {
    for api in ChatApi::ALL {
        for (header, wait) in
            [("Retry-After: 7\r\n", 7), ("Retry-After: Thu, 01 Jan 1970 00:01:01 GMT\r\n", 60)]
        {
            let result = answered(api, http_with(429, JSON, header, &refusal(api, "slow down"))).await;
            assert_eq!(error_of(&result).0, ErrorReason::RateLimit);
            assert_eq!(result.ask_again_at, Some(NOW.plus(Duration::from_secs(wait))), "{api}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_is_no_answer_and_what_came_is_kept() {
    for api in ChatApi::ALL {
        for complete in [false, true] {
            let stream =
                chunked_as(stream_type(api), [says(api, "half a "), says(api, "sentence")], complete);
            let result = answered(api, stream).await;
            assert_eq!(error_of(&result).0, ErrorReason::Network, "{api}");
            assert_eq!(result.outcome.summary.as_deref(), Some("half a sentence"), "{api}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_server_error_that_does_not_quote_it() {
    for api in ChatApi::ALL {
        let malformed = match api {
            ChatApi::Ollama => "{\"message\": welcome}\n".to_owned(),
            _ => "data: {\"choices\": welcome}\n\n".to_owned(),
        };
        let mut not_utf8 = says(api, "x?x").into_bytes();
        let place = not_utf8.iter().position(|byte| *byte == b'?').unwrap();
        not_utf8[place] = 0xff;
        let answers = [
            chunked_as(stream_type(api), [malformed], true),
            chunked_as(stream_type(api), [not_utf8], true),
            http(200, "text/html", "<html>welcome</html>").into(),
            http(200, JSON, "welcome").into(),
            http(200, JSON, "").into(),
        ];
        for answer in answers {
            let result = answered(api, answer).await;
            let (reason, message) = error_of(&result);
            assert_eq!(reason, ErrorReason::ServerError, "{api}: {message}");
            assert!(!message.contains("welcome"), "{message}");
        }
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_is_cut_and_one_without_end_is_not_read_to_it() {
    for api in ChatApi::ALL {
        let megabyte = says(api, &"x".repeat(1024 * 1024));
        let pieces = std::iter::repeat_n(megabyte, 6).chain([ends(api)]);
        let outcome = answered(api, chunked_as(stream_type(api), pieces, true)).await.outcome;
        assert_eq!(outcome.status, RunStatus::Ok, "{api}");
        let text = outcome.summary.unwrap();
        assert!(text.ends_with("[the answer was cut here: it is longer than 4 MiB]"), "{api}");
        assert!(text.len() < 4 * 1024 * 1024 + 100);
        assert_eq!(outcome.diagnostics.unwrap().entries[0].truncated, Some(true));

        let endless = std::iter::repeat_n("x".repeat(1024 * 1024), 9);
        let result = answered(api, chunked_as(stream_type(api), endless, true)).await;
        assert_eq!(error_of(&result).0, ErrorReason::ServerError, "{api}");
    }
}

#[tokio::test]
async fn a_provider_that_never_answers_ends_with_the_turns_time() {
    for api in ChatApi::ALL {
        let server = Server::start([Script::Hang(Vec::new())]).await;
        let mut turn = turn(hello());
        turn.timeout = Some(Duration::from_millis(50));
        let result = run(&agents_of(&server, api), turn).await;
        let (reason, message) = error_of(&result);
        assert_eq!(reason, ErrorReason::Timeout);
        assert_eq!(message, "cron: job execution timed out after 50ms, while fake/m was answering");
    }
}

#[tokio::test]
async fn a_provider_that_keeps_the_connection_after_the_end_does_not_keep_the_run() {
    let api = ChatApi::AnthropicMessages;
    let stream = chunked_as(stream_type(api), [says(api, "fine"), ends(api)], false);
    let server = Server::start([Script::Hang(stream)]).await;
    let outcome = ask(&agents_of(&server, api)).await.outcome;
    assert_eq!((outcome.status, outcome.summary.as_deref()), (RunStatus::Ok, Some("fine")));
}
