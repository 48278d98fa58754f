//! Ollama's own API: lines of JSON.

use clawhook_model::{Thinking, Usage};
use serde_json::{Value, json};

use super::{
    ChatMessage, Prompt, Reader, Request, arguments_text, count_at, function_tools, list_at, put, text_at,
};
use crate::providers::failure::Complaint;
use crate::providers::options::ChatEndpoint;
use crate::providers::reply::{CALLS_LIMIT, FinishKind, Reply};

pub(super) fn request(endpoint: &ChatEndpoint, prompt: &Prompt<'_>) -> Request {
    let system = prompt.system.map(|text| json!({ "role": "system", "content": text }));
    let messages: Vec<Value> = system.into_iter().chain(prompt.messages.iter().flat_map(message)).collect();
    let mut body = json!({ "model": prompt.model, "messages": messages, "stream": true });
    put(&mut body, "tools", function_tools(prompt.tools));
    put(&mut body, "think", prompt.thinking.map(|level| think(level, prompt.model)));
    put(&mut body, "format", prompt.output_schema.cloned());
    let mut options = json!({});
    put(&mut options, "num_predict", prompt.max_tokens);
    put(&mut options, "num_ctx", prompt.context_tokens);
    put(&mut body, "options", Some(options).filter(|options| options != &json!({})));
    let mut url = endpoint.base();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty();
        // The address of its imitation of OpenAI's API is often the one at hand.
        if endpoint.last_segment().as_deref() == Some("v1") {
            path.pop();
        }
        path.extend(["api", "chat"]);
    }
    Request { url, body }
}

/// Its models think or do not, but for one family that has levels.
fn think(level: Thinking, model: &str) -> Value {
    let by_level = model.contains("gpt-oss");
    match level {
        Thinking::Off => json!(false),
        Thinking::Minimal | Thinking::Low if by_level => json!("low"),
        Thinking::Medium if by_level => json!("medium"),
        _ if by_level => json!("high"),
        _ => json!(true),
    }
}

fn message(message: &ChatMessage) -> Vec<Value> {
    match message {
        ChatMessage::User(text) => vec![json!({ "role": "user", "content": text })],
        ChatMessage::Assistant { text, calls, .. } => {
            let mut said = json!({ "role": "assistant", "content": text });
            let call = |call: &super::ToolCall| json!({ "function": { "name": call.name, "arguments": call.arguments } });
            put(
                &mut said,
                "tool_calls",
                (!calls.is_empty()).then(|| calls.iter().map(call).collect::<Value>()),
            );
            vec![said]
        }
        ChatMessage::ToolResults(results) => results
            .iter()
            .map(|result| json!({ "role": "tool", "tool_name": result.name, "content": result.text }))
            .collect(),
    }
}

/// One answer.
#[derive(Debug, Default)]
pub(super) struct Chat;

impl Reader for Chat {
    fn take(&mut self, piece: &Value, reply: &mut Reply) -> Result<(), Complaint> {
        if let Some(error) = piece.get("error").filter(|error| !error.is_null()) {
            return Err(Complaint::of_error(error));
        }
        reply.name_model(piece.get("model"));
        reply.think(text_at(piece, "/message/thinking"));
        reply.say(text_at(piece, "/message/content"));
        for call in list_at(piece, "/message/tool_calls").iter().take(CALLS_LIMIT) {
            if reply.calls.len() < CALLS_LIMIT {
                let arguments = arguments_text(call.pointer("/function/arguments"));
                reply.call(text_at(call, "/id"), text_at(call, "/function/name"), arguments);
            }
        }
        if piece.get("done").and_then(Value::as_bool) == Some(true) {
            reply.usage = usage(piece).or(reply.usage);
            match text_at(piece, "/done_reason") {
                word @ "length" => reply.end(FinishKind::Length, word),
                "" => reply.end(FinishKind::Done, "done"),
                word => reply.end(FinishKind::Done, word),
            }
        }
        Ok(())
    }
}

fn usage(piece: &Value) -> Option<Usage> {
    let (input, output) = (count_at(piece, "/prompt_eval_count"), count_at(piece, "/eval_count"));
    (input.is_some() || output.is_some()).then(|| Usage::new(input.unwrap_or(0), output.unwrap_or(0)))
}
