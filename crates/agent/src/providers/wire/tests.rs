//! What goes over the wire, in the forms that the providers publish.

use serde_json::{Value, json};

use super::*;
use crate::providers::reply::{FinishKind, RawCall};

fn endpoint(api: ChatApi, base: &str) -> ChatEndpoint {
    ChatEndpoint::new(api, Some(base.parse().unwrap()))
}

fn arguments(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn chat() -> Vec<ChatMessage> {
    let call = ToolCall {
        id: "c1".into(),
        name: "clock__now".into(),
        arguments: arguments(&json!({ "zone": "UTC" })),
    };
    let result =
        ToolResult { call_id: "c1".into(), name: "clock__now".into(), text: "noon".into(), is_error: false };
    vec![
        ChatMessage::User("What time is it?".into()),
        ChatMessage::Assistant { text: "I look.".into(), calls: vec![call], native: Vec::new() },
        ChatMessage::ToolResults(vec![result]),
    ]
}

fn tools() -> Vec<ToolSpec> {
    vec![ToolSpec {
        name: "clock__now".into(),
        description: "Tells the time.".into(),
        input_schema: json!({ "type": "object" }),
    }]
}

fn prompt<'a>(model: &'a str, messages: &'a [ChatMessage], tools: &'a [ToolSpec]) -> Prompt<'a> {
    Prompt {
        model,
        system: Some("Be brief."),
        messages,
        tools,
        thinking: None,
        max_tokens: Some(100),
        context_tokens: None,
        output_schema: None,
    }
}

/// Everything that a stream of these pieces says.
fn read(api: ChatApi, pieces: &[Value]) -> Reply {
    let mut reader = api.reader();
    let mut reply = Reply::default();
    for piece in pieces {
        reader.take(piece, &mut reply).unwrap();
    }
    reply
}

fn call(id: &str, name: &str, arguments: &str) -> RawCall {
    RawCall { id: id.into(), name: name.into(), arguments: arguments.into() }
}

fn usage(reply: &Reply) -> (u64, u64, u64, u64, u64) {
    let usage = reply.usage.unwrap();
    (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    )
}

fn finish(reply: &Reply) -> (FinishKind, &str) {
    let finish = reply.finish.as_ref().unwrap();
    (finish.kind, finish.word.as_str())
}

#[test]
fn completions_are_asked_as_openai_has_it() {
    let (messages, tools) = (chat(), tools());
    let endpoint = endpoint(ChatApi::OpenAiCompletions, "http://h/v1");
    let prompt = Prompt { thinking: Some(Thinking::Low), ..prompt("m", &messages, &tools) };
    let request = ChatApi::OpenAiCompletions.request(&endpoint, &prompt);
    assert_eq!(request.url.as_str(), "http://h/v1/chat/completions");
    let function = json!({
        "name": "clock__now",
        "description": "Tells the time.",
        "parameters": { "type": "object" },
    });
    let expected = json!({
        "model": "m",
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "What time is it?" },
            { "role": "assistant", "content": "I look.", "tool_calls": [
                { "id": "c1", "type": "function", "function": {
                    "name": "clock__now",
                    "arguments": "{\"zone\":\"UTC\"}",
                } },
            ] },
            { "role": "tool", "tool_call_id": "c1", "content": "noon" },
        ],
        "stream": true,
        "stream_options": { "include_usage": true },
        "tools": [{ "type": "function", "function": function }],
        "reasoning_effort": "low",
        "max_tokens": 100,
    });
    assert_eq!(request.body, expected);
}

#[test]
fn a_streamed_completion_brings_thoughts_text_calls_in_pieces_and_usage() {
    let delta = |delta: Value| json!({ "model": "m-1", "choices": [{ "index": 0, "delta": delta }] });
    let piece = |index: u32, call: Value| {
        let mut call = call;
        call["index"] = json!(index);
        delta(json!({ "tool_calls": [call] }))
    };
    let reply = read(
        ChatApi::OpenAiCompletions,
        &[
            delta(json!({ "role": "assistant", "content": null, "reasoning_content": "Hm." })),
            delta(json!({ "content": "I look." })),
            piece(0, json!({ "id": "a", "function": { "name": "clock__now", "arguments": "" } })),
            piece(1, json!({ "id": "b", "function": { "name": "clock__now", "arguments": "{}" } })),
            piece(0, json!({ "function": { "arguments": "{\"zone\":" } })),
            piece(0, json!({ "function": { "arguments": "\"UTC\"}" } })),
            json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] }),
            json!({ "choices": [], "usage": {
                "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                "prompt_tokens_details": { "cached_tokens": 64 },
            } }),
        ],
    );
    assert_eq!((reply.text.as_str(), reply.thinking.as_str()), ("I look.", "Hm."));
    assert_eq!(reply.calls, [call("a", "clock__now", "{\"zone\":\"UTC\"}"), call("b", "clock__now", "{}")]);
    assert_eq!(usage(&reply), (100, 20, 120, 64, 0));
    assert_eq!(finish(&reply), (FinishKind::Done, "tool_calls"));
    assert_eq!(reply.model.as_deref(), Some("m-1"));
}

#[test]
fn a_completion_with_whole_calls_and_without_indices_is_understood_and_calls_without_end_are_not_kept() {
    let whole = json!({ "choices": [{ "message": { "content": "", "tool_calls": [
        { "id": "", "function": { "name": "a", "arguments": { "x": 1 } } },
        { "function": { "name": "b", "arguments": "{}" } },
    ] }, "finish_reason": "tool_calls" }] });
    let reply = read(ChatApi::OpenAiCompletions, &[whole]);
    assert_eq!(reply.calls, [call("call_1", "a", "{\"x\":1}"), call("call_2", "b", "{}")]);
    let far = json!({ "choices": [{ "delta": { "tool_calls": [
        { "index": u32::MAX, "id": "z", "function": { "name": "a", "arguments": "{}" } },
    ] } }] });
    assert_eq!(read(ChatApi::OpenAiCompletions, &[far]).calls.len(), 1);
    let many = (0..1_000).map(|index| {
        json!({ "choices": [{ "delta": { "tool_calls": [{ "index": index, "function": { "name": "a" } }] } }] })
    });
    assert_eq!(read(ChatApi::OpenAiCompletions, &many.collect::<Vec<_>>()).calls.len(), 128);
}

#[test]
fn responses_are_asked_without_being_stored_and_thoughts_come_back_as_they_were() {
    let (mut messages, tools) = (chat(), tools());
    let thought = json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA" });
    if let ChatMessage::Assistant { native, .. } = &mut messages[1] {
        native.push(thought.clone());
    }
    let endpoint = endpoint(ChatApi::OpenAiResponses, "http://h/v1/");
    let prompt = Prompt { thinking: Some(Thinking::High), ..prompt("m", &messages, &tools) };
    let request = ChatApi::OpenAiResponses.request(&endpoint, &prompt);
    assert_eq!(request.url.as_str(), "http://h/v1/responses");
    let expected = json!({
        "model": "m",
        "input": [
            { "role": "user", "content": "What time is it?" },
            thought,
            { "role": "assistant", "content": "I look." },
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "clock__now",
                "arguments": "{\"zone\":\"UTC\"}",
            },
            { "type": "function_call_output", "call_id": "c1", "output": "noon" },
        ],
        "stream": true,
        "store": false,
        "instructions": "Be brief.",
        "tools": [{
            "type": "function",
            "name": "clock__now",
            "description": "Tells the time.",
            "parameters": { "type": "object" },
            "strict": false,
        }],
        "max_output_tokens": 100,
        "reasoning": { "effort": "high", "summary": "auto" },
        "include": ["reasoning.encrypted_content"],
    });
    assert_eq!(request.body, expected);
}

#[test]
fn a_streamed_response_brings_thoughts_text_calls_and_usage() {
    let reasoning = json!({ "type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA" });
    let function =
        json!({ "type": "function_call", "call_id": "c1", "name": "clock__now", "arguments": "{}" });
    let used = json!({
        "input_tokens": 100,
        "input_tokens_details": { "cached_tokens": 64 },
        "output_tokens": 20,
        "total_tokens": 120,
    });
    let reply = read(
        ChatApi::OpenAiResponses,
        &[
            json!({ "type": "response.created", "response": { "status": "in_progress", "error": null } }),
            json!({ "type": "response.reasoning_summary_text.delta", "delta": "Hm." }),
            json!({ "type": "response.output_item.done", "item": reasoning }),
            json!({ "type": "response.output_text.delta", "delta": "I " }),
            json!({ "type": "response.output_text.delta", "delta": "look." }),
            json!({ "type": "response.output_item.done", "item": { "type": "message", "content": [] } }),
            json!({ "type": "response.output_item.done", "item": function }),
            json!({
                "type": "response.completed",
                "response": { "status": "completed", "model": "m-1", "usage": used, "error": null },
            }),
        ],
    );
    assert_eq!((reply.text.as_str(), reply.thinking.as_str()), ("I look.", "Hm."));
    assert_eq!(reply.calls, [call("c1", "clock__now", "{}")]);
    assert_eq!(reply.native, [reasoning]);
    assert_eq!(usage(&reply), (100, 20, 120, 64, 0));
    assert_eq!(finish(&reply), (FinishKind::Done, "completed"));
}

#[test]
fn a_whole_response_a_short_one_and_a_failed_one_are_understood() {
    let whole = json!({
        "object": "response", "status": "completed", "error": null,
        "output": [{ "type": "message", "content": [{ "type": "output_text", "text": "Noon." }] }],
    });
    assert_eq!(read(ChatApi::OpenAiResponses, &[whole]).text, "Noon.");
    let short = json!({ "type": "response.incomplete", "response": {
        "status": "incomplete", "incomplete_details": { "reason": "max_output_tokens" },
    } });
    assert_eq!(finish(&read(ChatApi::OpenAiResponses, &[short])), (FinishKind::Length, "max_output_tokens"));
    let failed = json!({ "type": "response.failed", "response": {
        "status": "failed", "error": { "code": "rate_limit_exceeded", "message": "slow down" },
    } });
    let complaint = ChatApi::OpenAiResponses.reader().take(&failed, &mut Reply::default()).unwrap_err();
    assert_eq!(complaint.code.as_deref(), Some("rate_limit_exceeded"));
}

#[test]
fn anthropics_messages_are_asked_as_they_are_published() {
    let (messages, tools) = (chat(), tools());
    for (base, url) in
        [("http://h", "http://h/v1/messages"), ("http://h/proxy/v1/", "http://h/proxy/v1/messages")]
    {
        let endpoint = endpoint(ChatApi::AnthropicMessages, base);
        let request =
            ChatApi::AnthropicMessages.request(&endpoint, &prompt("claude-haiku-4-5", &messages, &tools));
        assert_eq!(request.url.as_str(), url);
        let expected = json!({
            "model": "claude-haiku-4-5",
            "max_tokens": 100,
            "messages": [
                { "role": "user", "content": "What time is it?" },
                { "role": "assistant", "content": [
                    { "type": "text", "text": "I look." },
                    { "type": "tool_use", "id": "c1", "name": "clock__now", "input": { "zone": "UTC" } },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "c1", "content": "noon" },
                ] },
            ],
            "stream": true,
            "system": "Be brief.",
            "tools": [{
                "name": "clock__now",
                "description": "Tells the time.",
                "input_schema": { "type": "object" },
            }],
        });
        assert_eq!(request.body, expected);
    }
}

#[test]
fn anthropics_models_think_by_a_budget_or_by_effort() {
    let messages = [ChatMessage::User("hi".into())];
    let endpoint = endpoint(ChatApi::AnthropicMessages, "http://h");
    let body = |model, level| {
        let prompt = Prompt { thinking: Some(level), ..prompt(model, &messages, &[]) };
        ChatApi::AnthropicMessages.request(&endpoint, &prompt).body
    };
    let by_budget = body("claude-sonnet-4-5-20250929", Thinking::Medium);
    assert_eq!(by_budget["thinking"], json!({ "type": "enabled", "budget_tokens": 8192 }));
    assert_eq!(by_budget["max_tokens"], 8292);
    for model in ["claude-opus-4-6", "claude-sonnet-4.6", "claude-opus-5", "claude-fable-5"] {
        let by_effort = body(model, Thinking::Max);
        assert_eq!(by_effort["thinking"]["type"], "adaptive", "{model}");
        assert_eq!(by_effort["output_config"], json!({ "effort": "max" }), "{model}");
        assert_eq!(by_effort["max_tokens"], 100);
    }
    for model in ["claude-opus-4-20250514", "claude-3-7-sonnet-latest", "claude-haiku-4-5"] {
        assert_eq!(body(model, Thinking::Low)["thinking"]["type"], "enabled", "{model}");
    }
    assert_eq!(body("claude-opus-4-6", Thinking::Off).get("thinking"), None);
}

#[test]
fn a_streamed_message_of_anthropic_brings_thoughts_text_calls_usage_and_its_blocks_unchanged() {
    let start = |index: u32, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
    let delta =
        |index: u32, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
    let stop = |index: u32| json!({ "type": "content_block_stop", "index": index });
    let reply = read(
        ChatApi::AnthropicMessages,
        &[
            json!({ "type": "message_start", "message": { "model": "claude-x-1", "usage": {
                "input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 60, "output_tokens": 1,
            } } }),
            start(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
            json!({ "type": "ping" }),
            delta(0, json!({ "type": "thinking_delta", "thinking": "Hm." })),
            delta(0, json!({ "type": "signature_delta", "signature": "EqQB" })),
            stop(0),
            start(1, json!({ "type": "redacted_thinking", "data": "zzz" })),
            stop(1),
            start(2, json!({ "type": "text", "text": "" })),
            delta(2, json!({ "type": "text_delta", "text": "I " })),
            delta(2, json!({ "type": "text_delta", "text": "look." })),
            delta(2, json!({ "type": "citations_delta", "citation": {} })),
            stop(2),
            start(3, json!({ "type": "tool_use", "id": "toolu_1", "name": "clock__now", "input": {} })),
            delta(3, json!({ "type": "input_json_delta", "partial_json": "" })),
            delta(3, json!({ "type": "input_json_delta", "partial_json": "{\"zone\":" })),
            delta(3, json!({ "type": "input_json_delta", "partial_json": "\"UTC\"}" })),
            stop(3),
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 20 } }),
            json!({ "type": "message_stop" }),
        ],
    );
    assert_eq!((reply.text.as_str(), reply.thinking.as_str()), ("I look.", "Hm."));
    assert_eq!(reply.calls, [call("toolu_1", "clock__now", "{\"zone\":\"UTC\"}")]);
    assert_eq!(usage(&reply), (100, 20, 120, 60, 30));
    assert_eq!(finish(&reply), (FinishKind::Done, "tool_use"));
    assert_eq!(
        reply.native,
        [
            json!({ "type": "thinking", "thinking": "Hm.", "signature": "EqQB" }),
            json!({ "type": "redacted_thinking", "data": "zzz" }),
            json!({ "type": "text", "text": "I look." }),
            json!({ "type": "tool_use", "id": "toolu_1", "name": "clock__now", "input": { "zone": "UTC" } }),
        ]
    );
}

#[test]
fn a_message_of_anthropic_that_is_whole_refused_or_broken_off_by_its_provider_is_understood() {
    let whole = json!({
        "type": "message", "model": "m", "stop_reason": "end_turn",
        "content": [{ "type": "text", "text": "Noon." }],
        "usage": { "input_tokens": 3, "output_tokens": 2 },
    });
    let reply = read(ChatApi::AnthropicMessages, &[whole]);
    assert_eq!((reply.text.as_str(), usage(&reply)), ("Noon.", (3, 2, 5, 0, 0)));
    let refused = json!({ "type": "message_delta", "delta": { "stop_reason": "refusal" } });
    assert_eq!(finish(&read(ChatApi::AnthropicMessages, &[refused])), (FinishKind::Refused, "refusal"));
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    let complaint = ChatApi::AnthropicMessages.reader().take(&error, &mut Reply::default()).unwrap_err();
    assert_eq!(complaint.code.as_deref(), Some("overloaded_error"));
}

#[test]
fn a_chat_that_begins_with_an_answer_begins_with_the_user_where_that_must_be() {
    let messages = [
        ChatMessage::Assistant { text: "News.".into(), calls: Vec::new(), native: Vec::new() },
        ChatMessage::User("More?".into()),
    ];
    let anthropic = endpoint(ChatApi::AnthropicMessages, "http://h");
    let body = ChatApi::AnthropicMessages.request(&anthropic, &prompt("m", &messages, &[])).body;
    let roles: Vec<&str> = list_at(&body, "/messages").iter().map(|said| text_at(said, "/role")).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    let gemini = endpoint(ChatApi::GoogleGenerativeAi, "http://h");
    let body = ChatApi::GoogleGenerativeAi.request(&gemini, &prompt("m", &messages, &[])).body;
    assert_eq!(list_at(&body, "/contents").len(), 3);
}

#[test]
fn gemini_is_asked_as_it_is_published() {
    let (messages, tools) = (chat(), tools());
    let endpoint = endpoint(ChatApi::GoogleGenerativeAi, "http://h/v1beta");
    let prompt =
        Prompt { thinking: Some(Thinking::Medium), ..prompt("models/gemini-2.5-flash", &messages, &tools) };
    let request = ChatApi::GoogleGenerativeAi.request(&endpoint, &prompt);
    assert_eq!(request.url.as_str(), "http://h/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
    let expected = json!({
        "contents": [
            { "role": "user", "parts": [{ "text": "What time is it?" }] },
            { "role": "model", "parts": [
                { "text": "I look." },
                { "functionCall": { "name": "clock__now", "args": { "zone": "UTC" } } },
            ] },
            { "role": "user", "parts": [
                { "functionResponse": { "name": "clock__now", "response": { "output": "noon" } } },
            ] },
        ],
        "systemInstruction": { "parts": [{ "text": "Be brief." }] },
        "tools": [{ "functionDeclarations": [{
            "name": "clock__now",
            "description": "Tells the time.",
            "parametersJsonSchema": { "type": "object" },
        }] }],
        "generationConfig": {
            "maxOutputTokens": 100,
            "thinkingConfig": { "includeThoughts": true, "thinkingBudget": 8192 },
        },
    });
    assert_eq!(request.body, expected);
    let later = Prompt { model: "gemini-3-pro-preview", ..prompt };
    let body = ChatApi::GoogleGenerativeAi.request(&endpoint, &later).body;
    assert_eq!(
        body["generationConfig"]["thinkingConfig"],
        json!({ "includeThoughts": true, "thinkingLevel": "medium" })
    );
}

#[test]
fn a_streamed_answer_of_gemini_brings_thoughts_text_calls_usage_and_its_signatures() {
    let parts = |parts: Value| json!({ "candidates": [{ "content": { "role": "model", "parts": parts } }] });
    let signed = json!({
        "functionCall": { "name": "clock__now", "args": { "zone": "UTC" } },
        "thoughtSignature": "CtwF",
    });
    let mut last = parts(json!([signed]));
    last["candidates"][0]["finishReason"] = json!("STOP");
    last["modelVersion"] = json!("gemini-x-001");
    last["usageMetadata"] = json!({
        "promptTokenCount": 100, "candidatesTokenCount": 15, "thoughtsTokenCount": 5, "totalTokenCount": 120,
        "cachedContentTokenCount": 64,
    });
    let pieces =
        [parts(json!([{ "text": "Hm.", "thought": true }])), parts(json!([{ "text": "I look." }])), last];
    for pieces in [pieces.to_vec(), vec![Value::Array(pieces.to_vec())]] {
        let reply = read(ChatApi::GoogleGenerativeAi, &pieces);
        assert_eq!((reply.text.as_str(), reply.thinking.as_str()), ("I look.", "Hm."));
        assert_eq!(reply.calls, [call("call_1", "clock__now", "{\"zone\":\"UTC\"}")]);
        assert_eq!(usage(&reply), (100, 20, 120, 64, 0));
        assert_eq!(finish(&reply), (FinishKind::Done, "STOP"));
        assert_eq!(reply.native, [json!({ "text": "I look." }), signed.clone()]);
    }
}

#[test]
fn what_gemini_will_not_say_is_a_refusal() {
    let blocked = json!({ "promptFeedback": { "blockReason": "SAFETY" } });
    assert_eq!(finish(&read(ChatApi::GoogleGenerativeAi, &[blocked])), (FinishKind::Refused, "SAFETY"));
    let stopped = json!({ "candidates": [{ "finishReason": "RECITATION" }] });
    assert_eq!(finish(&read(ChatApi::GoogleGenerativeAi, &[stopped])), (FinishKind::Refused, "RECITATION"));
}

#[test]
fn ollama_is_asked_for_the_room_and_the_schema_that_are_wanted() {
    let messages = chat();
    for base in ["http://h:11434", "http://h:11434/v1/"] {
        let endpoint = endpoint(ChatApi::Ollama, base);
        let schema = json!({ "type": "object" });
        let prompt = Prompt {
            thinking: Some(Thinking::Off),
            context_tokens: Some(32_768),
            output_schema: Some(&schema),
            ..prompt("qwen3", &messages, &[])
        };
        let request = ChatApi::Ollama.request(&endpoint, &prompt);
        assert_eq!(request.url.as_str(), "http://h:11434/api/chat");
        let expected = json!({
            "model": "qwen3",
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "What time is it?" },
                { "role": "assistant", "content": "I look.", "tool_calls": [
                    { "function": { "name": "clock__now", "arguments": { "zone": "UTC" } } },
                ] },
                { "role": "tool", "tool_name": "clock__now", "content": "noon" },
            ],
            "stream": true,
            "think": false,
            "format": { "type": "object" },
            "options": { "num_predict": 100, "num_ctx": 32_768 },
        });
        assert_eq!(request.body, expected);
    }
}

#[test]
fn the_lines_of_ollama_bring_thoughts_text_calls_and_usage() {
    let line = |message: Value| json!({ "model": "qwen3:8b", "message": message, "done": false });
    let called = json!([{ "function": { "name": "clock__now", "arguments": { "zone": "UTC" } } }]);
    let reply = read(
        ChatApi::Ollama,
        &[
            line(json!({ "role": "assistant", "content": "", "thinking": "Hm." })),
            line(json!({ "role": "assistant", "content": "I look." })),
            line(json!({ "role": "assistant", "content": "", "tool_calls": called })),
            json!({
                "message": { "role": "assistant", "content": "" }, "done": true, "done_reason": "stop",
                "prompt_eval_count": 100, "eval_count": 20,
            }),
        ],
    );
    assert_eq!((reply.text.as_str(), reply.thinking.as_str()), ("I look.", "Hm."));
    assert_eq!(reply.calls, [call("call_1", "clock__now", "{\"zone\":\"UTC\"}")]);
    assert_eq!(usage(&reply), (100, 20, 120, 0, 0));
    assert_eq!(finish(&reply), (FinishKind::Done, "stop"));
}

#[test]
fn a_schema_is_strict_only_where_every_object_is_closed_and_complete() {
    let closed = json!({
        "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"], "additionalProperties": false,
    });
    assert!(is_strict(&closed));
    let mut open = closed.clone();
    open.as_object_mut().unwrap().remove("additionalProperties");
    assert!(!is_strict(&open));
    let mut optional = closed.clone();
    optional["required"] = json!([]);
    assert!(!is_strict(&optional));
    assert!(!is_strict(&json!({ "type": "array", "items": open })));
    assert!(is_strict(&json!({ "type": "array", "items": closed })));
}
