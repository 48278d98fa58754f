//! Anthropic's messages.

use clawhook_model::{Thinking, Usage};
use serde_json::{Value, json};

use super::{
    ChatMessage, Prompt, Reader, Request, arguments_text, begun_by_user, count_at, list_at, put, text_at,
};
use crate::providers::failure::Complaint;
use crate::providers::options::ChatEndpoint;
use crate::providers::reply::{CALLS_LIMIT, FinishKind, RawCall, Reply};
use crate::toolbox::ToolSpec;

/// How many tokens an answer may have where nobody says: the API wants a number, and every model takes this one.
const MAX_TOKENS: u32 = 8192;

pub(super) fn request(endpoint: &ChatEndpoint, prompt: &Prompt<'_>) -> Request {
    let wanted = prompt.max_tokens.unwrap_or(MAX_TOKENS);
    let budget = prompt.thinking.and_then(budget).filter(|_| !thinks_by_effort(prompt.model));
    let mut body = json!({
        "model": prompt.model,
        // What is thought counts among the tokens of the answer.
        "max_tokens": wanted.saturating_add(budget.unwrap_or(0)),
        "messages": begun_by_user(prompt.messages).map(|said| message(&said)).collect::<Vec<_>>(),
        "stream": true,
    });
    put(&mut body, "system", prompt.system);
    put(&mut body, "tools", tools(prompt.tools));
    put(&mut body, "thinking", thinking(prompt, budget));
    put(&mut body, "output_config", output_config(prompt));
    let path: &[&str] =
        if endpoint.last_segment().as_deref() == Some("v1") { &["messages"] } else { &["v1", "messages"] };
    Request { url: endpoint.under(path.iter().copied()), body }
}

/// Whether the model takes a level of effort instead of a budget of tokens, as those since Claude Opus 4.6 and Sonnet 4.6 do.
fn thinks_by_effort(model: &str) -> bool {
    let Some(rest) = model.strip_prefix("claude-") else { return false };
    let mut parts = rest.split(['-', '.']);
    let family = parts.next().unwrap_or_default();
    let mut number = || parts.next()?.parse::<u32>().ok().filter(|number| *number < 100);
    let version = number().map(|major| (major, number().unwrap_or(0)));
    match family {
        "opus" | "sonnet" => version.is_some_and(|version| version >= (4, 6)),
        "haiku" => version.is_some_and(|version| version >= (5, 0)),
        "3" => false,
        _ => version.is_some_and(|version| version >= (5, 0)),
    }
}

fn thinking(prompt: &Prompt<'_>, budget: Option<u32>) -> Option<Value> {
    match prompt.thinking? {
        Thinking::Off => None,
        _ if thinks_by_effort(prompt.model) => Some(json!({ "type": "adaptive", "display": "summarized" })),
        _ => Some(json!({ "type": "enabled", "budget_tokens": budget? })),
    }
}

fn budget(thinking: Thinking) -> Option<u32> {
    match thinking {
        Thinking::Off => None,
        Thinking::Minimal => Some(1024),
        Thinking::Low => Some(2048),
        Thinking::Medium => Some(8192),
        Thinking::High => Some(16_384),
        Thinking::XHigh | Thinking::Max => Some(32_768),
    }
}

fn output_config(prompt: &Prompt<'_>) -> Option<Value> {
    let mut config = json!({});
    let effort = prompt.thinking.filter(|_| thinks_by_effort(prompt.model)).and_then(|level| match level {
        Thinking::Off => None,
        Thinking::Minimal | Thinking::Low => Some("low"),
        Thinking::Medium => Some("medium"),
        Thinking::High | Thinking::XHigh => Some("high"),
        Thinking::Max => Some("max"),
    });
    put(&mut config, "effort", effort);
    let format = prompt.output_schema.map(|schema| json!({ "type": "json_schema", "schema": schema }));
    put(&mut config, "format", format.filter(|_| takes_a_schema(prompt)));
    Some(config).filter(|config| config != &json!({}))
}

/// Models before Claude 4.5 refuse a request with a schema, and one that does not name all its fields is refused by all; these
/// are only told of it.
fn takes_a_schema(prompt: &Prompt<'_>) -> bool {
    let newer = ["-4-5", "-4-6", "-4-7", "-4-8", "-4-9"].iter().any(|mark| prompt.model.contains(mark));
    (newer || thinks_by_effort(prompt.model)) && prompt.output_schema.is_some_and(super::is_strict)
}

fn tools(tools: &[ToolSpec]) -> Option<Value> {
    let tool = |tool: &ToolSpec| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.input_schema });
    (!tools.is_empty()).then(|| tools.iter().map(tool).collect())
}

fn message(message: &ChatMessage) -> Value {
    match message {
        ChatMessage::User(text) => json!({ "role": "user", "content": text }),
        ChatMessage::Assistant { native, .. } if !native.is_empty() => {
            json!({ "role": "assistant", "content": native })
        }
        ChatMessage::Assistant { text, calls, .. } => {
            let said = (!text.trim().is_empty()).then(|| json!({ "type": "text", "text": text }));
            let calls = calls.iter().map(|call| {
                json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments })
            });
            json!({ "role": "assistant", "content": said.into_iter().chain(calls).collect::<Vec<_>>() })
        }
        ChatMessage::ToolResults(results) => {
            let results = results.iter().map(|result| {
                let mut block = json!({
                    "type": "tool_result",
                    "tool_use_id": result.call_id,
                    "content": result.text,
                });
                put(&mut block, "is_error", result.is_error.then_some(true));
                block
            });
            json!({ "role": "user", "content": results.collect::<Vec<_>>() })
        }
    }
}

/// One answer.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Tokens read, written to the cache, and read from it.
    read: Option<(u64, u64, u64)>,
    /// The block that is coming in, where it is not text alone.
    open: Option<Value>,
    /// The arguments of a call that is coming in.
    arguments: String,
}

impl Reader for Message {
    fn take(&mut self, piece: &Value, reply: &mut Reply) -> Result<(), Complaint> {
        match text_at(piece, "/type") {
            "message" => self.take_whole(piece, reply),
            "message_start" => {
                reply.name_model(piece.pointer("/message/model"));
                self.take_usage(piece.pointer("/message/usage"), reply);
            }
            "content_block_start" => {
                self.close(reply);
                self.open_block(piece.get("content_block"), reply);
            }
            "content_block_delta" => self.take_delta(piece, reply),
            "content_block_stop" => self.close(reply),
            "message_delta" => {
                self.take_usage(piece.get("usage"), reply);
                take_end(text_at(piece, "/delta/stop_reason"), reply);
            }
            "error" => return Err(Complaint::of_error(piece.get("error").unwrap_or(piece))),
            _ => {}
        }
        Ok(())
    }
}

impl Message {
    fn take_whole(&mut self, message: &Value, reply: &mut Reply) {
        reply.name_model(message.get("model"));
        self.take_usage(message.get("usage"), reply);
        for block in list_at(message, "/content") {
            self.open_block(Some(block), reply);
            self.close(reply);
        }
        take_end(text_at(message, "/stop_reason"), reply);
    }

    fn open_block(&mut self, block: Option<&Value>, reply: &mut Reply) {
        let Some(block) = block else { return };
        reply.say(text_at(block, "/text"));
        reply.think(text_at(block, "/thinking"));
        self.arguments.clear();
        self.open = Some(block.clone());
    }

    fn take_delta(&mut self, piece: &Value, reply: &mut Reply) {
        let delta = piece.get("delta").unwrap_or(&Value::Null);
        for field in ["text", "thinking", "signature"] {
            let Some(more) = delta.get(field).and_then(Value::as_str) else { continue };
            match field {
                "text" => reply.say(more),
                "thinking" => reply.think(more),
                _ => {}
            }
            if let Some(block) = self.open.as_mut().and_then(Value::as_object_mut)
                && let Value::String(so_far) =
                    block.entry(field).or_insert_with(|| Value::String(String::new()))
            {
                so_far.push_str(more);
            }
        }
        self.arguments.push_str(text_at(delta, "/partial_json"));
    }

    /// Ends the block that was coming in.
    fn close(&mut self, reply: &mut Reply) {
        let Some(mut block) = self.open.take() else { return };
        match text_at(&block, "/type") {
            "tool_use" if reply.calls.len() < CALLS_LIMIT => {
                let whole = block.get("input").filter(|input| **input != json!({}));
                let arguments = match whole {
                    Some(input) if self.arguments.is_empty() => arguments_text(Some(input)),
                    _ => std::mem::take(&mut self.arguments),
                };
                let input = serde_json::from_str(&arguments).ok().filter(Value::is_object);
                let (id, name) = (text_at(&block, "/id").to_owned(), text_at(&block, "/name").to_owned());
                put(&mut block, "input", Some(input.unwrap_or_else(|| json!({}))));
                reply.calls.push(RawCall { id, name, arguments });
                reply.native.push(block);
            }
            // An empty text is refused when it comes back.
            "text" if text_at(&block, "/text").trim().is_empty() => {}
            "text" => reply.native.push(json!({ "type": "text", "text": text_at(&block, "/text") })),
            "thinking" | "redacted_thinking" => reply.native.push(block),
            _ => {}
        }
    }

    /// Takes in the counts: those of what was read come first, and those at the end hold them again or not.
    fn take_usage(&mut self, usage: Option<&Value>, reply: &mut Reply) {
        let Some(usage) = usage else { return };
        let count = |name: &str| count_at(usage, &format!("/{name}"));
        if let Some(input) = count("input_tokens") {
            let written = count("cache_creation_input_tokens").unwrap_or(0);
            let cached = count("cache_read_input_tokens").unwrap_or(0);
            self.read = Some((input, written, cached));
        }
        let Some((input, cache_write_tokens, cache_read_tokens)) = self.read else { return };
        let read = input.saturating_add(cache_write_tokens).saturating_add(cache_read_tokens);
        let output = count("output_tokens").unwrap_or(0);
        reply.usage = Some(Usage { cache_read_tokens, cache_write_tokens, ..Usage::new(read, output) });
    }
}

fn take_end(word: &str, reply: &mut Reply) {
    match word {
        "" => {}
        "max_tokens" | "model_context_window_exceeded" => reply.end(FinishKind::Length, word),
        "refusal" => reply.end(FinishKind::Refused, word),
        _ => reply.end(FinishKind::Done, word),
    }
}
