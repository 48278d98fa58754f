//! OpenAI's chat completions, read as leniently as their many implementations need.

use clawhook_model::Usage;
use serde_json::{Value, json};
use url::Host;

use super::{
    ChatMessage, Prompt, Reader, Request, arguments_text, count_at, effort, function_tools, is_strict,
    list_at, put, text_at,
};
use crate::providers::failure::Complaint;
use crate::providers::options::ChatEndpoint;
use crate::providers::reply::{CALLS_LIMIT, FinishKind, RawCall, Reply};

pub(super) fn request(endpoint: &ChatEndpoint, prompt: &Prompt<'_>) -> Request {
    let system = prompt.system.map(|text| json!({ "role": "system", "content": text }));
    let messages: Vec<Value> = system.into_iter().chain(prompt.messages.iter().flat_map(message)).collect();
    let mut body = json!({
        "model": prompt.model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    put(&mut body, "tools", function_tools(prompt.tools));
    put(&mut body, "reasoning_effort", effort(prompt.thinking));
    put(&mut body, max_tokens_field(endpoint), prompt.max_tokens);
    let format = prompt.output_schema.map(|schema| {
        let strict = is_strict(schema);
        json!({ "type": "json_schema", "json_schema": { "name": "result", "schema": schema, "strict": strict } })
    });
    put(&mut body, "response_format", format);
    Request { url: endpoint.under(["chat", "completions"]), body }
}

/// OpenAI itself has given up the field's first name, and its imitators do not all know the second.
fn max_tokens_field(endpoint: &ChatEndpoint) -> &'static str {
    match endpoint.base().host() {
        Some(Host::Domain("api.openai.com")) => "max_completion_tokens",
        _ => "max_tokens",
    }
}

fn message(message: &ChatMessage) -> Vec<Value> {
    match message {
        ChatMessage::User(text) => vec![json!({ "role": "user", "content": text })],
        ChatMessage::Assistant { text, calls, .. } => {
            let mut said = json!({ "role": "assistant", "content": text });
            let call = |call: &super::ToolCall| {
                let arguments = Value::Object(call.arguments.clone()).to_string();
                json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
            };
            put(
                &mut said,
                "tool_calls",
                (!calls.is_empty()).then(|| calls.iter().map(call).collect::<Value>()),
            );
            vec![said]
        }
        ChatMessage::ToolResults(results) => results
            .iter()
            .map(|result| json!({ "role": "tool", "tool_call_id": result.call_id, "content": result.text }))
            .collect(),
    }
}

/// One answer.
#[derive(Debug, Default)]
pub(super) struct Completion {
    /// The index that the server gives each call of the reply.
    indices: Vec<u64>,
}

impl Reader for Completion {
    fn take(&mut self, piece: &Value, reply: &mut Reply) -> Result<(), Complaint> {
        if let Some(error) = piece.get("error").filter(|error| !error.is_null()) {
            return Err(Complaint::of_error(error));
        }
        reply.usage = usage(piece).or(reply.usage);
        reply.name_model(piece.get("model"));
        let Some(choice) = list_at(piece, "/choices").first() else { return Ok(()) };
        for said in [choice.get("delta"), choice.get("message")].into_iter().flatten() {
            self.take_said(said, reply);
        }
        // Some servers write an empty reason until the model has ended.
        match text_at(choice, "/finish_reason") {
            "" => {}
            word @ "length" => reply.end(FinishKind::Length, word),
            word @ ("content_filter" | "refusal") => reply.end(FinishKind::Refused, word),
            word => reply.end(FinishKind::Done, word),
        }
        Ok(())
    }
}

impl Completion {
    fn take_said(&mut self, said: &Value, reply: &mut Reply) {
        for field in ["/reasoning_content", "/reasoning"] {
            reply.think(text_at(said, field));
        }
        reply.say(text_at(said, "/content"));
        for part in list_at(said, "/content") {
            reply.say(text_at(part, "/text"));
        }
        let refusal = text_at(said, "/refusal");
        if !refusal.is_empty() {
            reply.say(refusal);
            reply.end(FinishKind::Refused, "refusal");
        }
        for call in list_at(said, "/tool_calls") {
            self.take_call(call, reply);
        }
    }

    /// A call comes in pieces that name it by its index; servers that send it whole leave the index out.
    fn take_call(&mut self, piece: &Value, reply: &mut Reply) {
        let (id, name) = (text_at(piece, "/id"), text_at(piece, "/function/name"));
        let arguments = arguments_text(piece.pointer("/function/arguments"));
        let known = match count_at(piece, "/index") {
            Some(index) => self.indices.iter().position(|known| *known == index),
            None if id.is_empty() && name.is_empty() => reply.calls.len().checked_sub(1),
            None => None,
        };
        if let Some(call) = known.and_then(|place| reply.calls.get_mut(place)) {
            return add_to(call, id, name, &arguments);
        }
        if reply.calls.len() < CALLS_LIMIT {
            self.indices.push(count_at(piece, "/index").unwrap_or(u64::MAX));
            reply.call(id, name, arguments);
        }
    }
}

fn add_to(call: &mut RawCall, id: &str, name: &str, arguments: &str) {
    if !id.is_empty() {
        id.clone_into(&mut call.id);
    }
    if call.name.is_empty() {
        name.clone_into(&mut call.name);
    }
    call.arguments.push_str(arguments);
}

fn usage(piece: &Value) -> Option<Usage> {
    let count = |name: &str| count_at(piece, &format!("/usage/{name}"));
    let (input, output, total) = (count("prompt_tokens"), count("completion_tokens"), count("total_tokens"));
    if input.is_none() && output.is_none() && total.is_none() {
        return None;
    }
    let used = Usage::new(input.unwrap_or(0), output.unwrap_or(0));
    let cache_read_tokens = count("prompt_tokens_details/cached_tokens").unwrap_or(0);
    Some(Usage { total_tokens: total.unwrap_or(used.total_tokens), cache_read_tokens, ..used })
}
