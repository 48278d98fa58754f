//! OpenAI's responses. Nothing is stored there: what the model thought comes back encrypted, and is sent again with the results
//! of its tools.

use clawhook_model::Usage;
use serde_json::{Value, json};

use super::{ChatMessage, Prompt, Reader, Request, count_at, effort, is_strict, list_at, put, text_at};
use crate::providers::failure::Complaint;
use crate::providers::options::ChatEndpoint;
use crate::providers::reply::{CALLS_LIMIT, FinishKind, Reply};
use crate::toolbox::ToolSpec;

pub(super) fn request(endpoint: &ChatEndpoint, prompt: &Prompt<'_>) -> Request {
    let mut body = json!({
        "model": prompt.model,
        "input": prompt.messages.iter().flat_map(items).collect::<Vec<_>>(),
        "stream": true,
        "store": false,
    });
    put(&mut body, "instructions", prompt.system);
    put(&mut body, "tools", tools(prompt.tools));
    put(&mut body, "max_output_tokens", prompt.max_tokens);
    if let Some(effort) = effort(prompt.thinking) {
        put(&mut body, "reasoning", Some(json!({ "effort": effort, "summary": "auto" })));
        put(&mut body, "include", Some(json!(["reasoning.encrypted_content"])));
    }
    let format = prompt.output_schema.map(|schema| {
        let strict = is_strict(schema);
        json!({ "format": { "type": "json_schema", "name": "result", "schema": schema, "strict": strict } })
    });
    put(&mut body, "text", format);
    Request { url: endpoint.under(["responses"]), body }
}

fn tools(tools: &[ToolSpec]) -> Option<Value> {
    let tool = |tool: &ToolSpec| {
        json!({
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.input_schema,
            "strict": false,
        })
    };
    (!tools.is_empty()).then(|| tools.iter().map(tool).collect())
}

fn items(message: &ChatMessage) -> Vec<Value> {
    match message {
        ChatMessage::User(text) => vec![json!({ "role": "user", "content": text })],
        ChatMessage::Assistant { text, calls, native } => {
            let mut items = native.clone();
            if !text.is_empty() {
                items.push(json!({ "role": "assistant", "content": text }));
            }
            items.extend(calls.iter().map(|call| {
                let arguments = Value::Object(call.arguments.clone()).to_string();
                json!({ "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments })
            }));
            items
        }
        ChatMessage::ToolResults(results) => results
            .iter()
            .map(|result| {
                json!({ "type": "function_call_output", "call_id": result.call_id, "output": result.text })
            })
            .collect(),
    }
}

/// One answer.
#[derive(Debug, Default)]
pub(super) struct Response {
    refused: bool,
}

impl Reader for Response {
    fn take(&mut self, piece: &Value, reply: &mut Reply) -> Result<(), Complaint> {
        if text_at(piece, "/object") == "response" {
            for item in list_at(piece, "/output") {
                self.take_whole_item(item, reply);
            }
            return self.finish(piece, reply);
        }
        match text_at(piece, "/type") {
            "response.output_text.delta" => reply.say(text_at(piece, "/delta")),
            "response.refusal.delta" => {
                self.refused = true;
                reply.say(text_at(piece, "/delta"));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                reply.think(text_at(piece, "/delta"));
            }
            "response.output_item.done" => {
                if let Some(item) = piece.get("item") {
                    take_item(item, reply);
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                if let Some(response) = piece.get("response") {
                    return self.finish(response, reply);
                }
            }
            "error" => return Err(Complaint::of_error(piece.get("error").unwrap_or(piece))),
            _ => {
                if let Some(error) = piece.get("error").filter(|error| !error.is_null()) {
                    return Err(Complaint::of_error(error));
                }
            }
        }
        Ok(())
    }
}

impl Response {
    fn finish(&self, response: &Value, reply: &mut Reply) -> Result<(), Complaint> {
        reply.usage = usage(response).or(reply.usage);
        reply.name_model(response.get("model"));
        match text_at(response, "/status") {
            "failed" => return Err(Complaint::of_error(&response["error"])),
            "incomplete" => match text_at(response, "/incomplete_details/reason") {
                word @ "content_filter" => reply.end(FinishKind::Refused, word),
                "" => reply.end(FinishKind::Length, "incomplete"),
                word => reply.end(FinishKind::Length, word),
            },
            _ if self.refused => reply.end(FinishKind::Refused, "refusal"),
            "" => reply.end(FinishKind::Done, "completed"),
            word => reply.end(FinishKind::Done, word),
        }
        Ok(())
    }

    /// An item of an answer that was not streamed.
    fn take_whole_item(&mut self, item: &Value, reply: &mut Reply) {
        for part in list_at(item, "/content") {
            self.refused |= text_at(part, "/type") == "refusal";
            reply.say(text_at(part, "/text"));
            reply.say(text_at(part, "/refusal"));
        }
        for part in list_at(item, "/summary") {
            reply.think(text_at(part, "/text"));
        }
        take_item(item, reply);
    }
}

/// What comes whole in a streamed answer too: calls, and thoughts that only the provider can read.
fn take_item(item: &Value, reply: &mut Reply) {
    match text_at(item, "/type") {
        "function_call" if reply.calls.len() < CALLS_LIMIT => {
            let arguments = text_at(item, "/arguments").to_owned();
            reply.call(text_at(item, "/call_id"), text_at(item, "/name"), arguments);
        }
        "reasoning" if !text_at(item, "/encrypted_content").is_empty() => reply.native.push(item.clone()),
        _ => {}
    }
}

fn usage(response: &Value) -> Option<Usage> {
    let count = |name: &str| count_at(response, &format!("/usage/{name}"));
    let used = Usage::new(count("input_tokens")?, count("output_tokens").unwrap_or(0));
    let cache_read_tokens = count("input_tokens_details/cached_tokens").unwrap_or(0);
    Some(Usage {
        total_tokens: count("total_tokens").unwrap_or(used.total_tokens),
        cache_read_tokens,
        ..used
    })
}
