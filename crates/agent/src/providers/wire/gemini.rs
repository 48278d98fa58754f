//! Google's generative language API.

use clawhook_model::{Thinking, Usage};
use serde_json::{Value, json};

use super::{
    ChatMessage, Prompt, Reader, Request, arguments_text, begun_by_user, count_at, list_at, put, text_at,
};
use crate::providers::failure::Complaint;
use crate::providers::options::ChatEndpoint;
use crate::providers::reply::{CALLS_LIMIT, FinishKind, Reply};
use crate::toolbox::ToolSpec;

pub(super) fn request(endpoint: &ChatEndpoint, prompt: &Prompt<'_>) -> Request {
    let contents: Vec<Value> = begun_by_user(prompt.messages).map(|said| content(&said)).collect();
    let mut body = json!({ "contents": contents });
    put(&mut body, "systemInstruction", prompt.system.map(|text| json!({ "parts": [{ "text": text }] })));
    put(&mut body, "tools", tools(prompt.tools));
    let mut config = json!({});
    put(&mut config, "maxOutputTokens", prompt.max_tokens);
    put(&mut config, "thinkingConfig", thinking(prompt));
    if let Some(schema) = prompt.output_schema {
        put(&mut config, "responseMimeType", Some("application/json"));
        put(&mut config, "responseJsonSchema", Some(schema.clone()));
    }
    put(&mut body, "generationConfig", Some(config).filter(|config| config != &json!({})));
    let model = prompt.model.strip_prefix("models/").unwrap_or(prompt.model);
    let mut url = endpoint.under(["models", &format!("{model}:streamGenerateContent")]);
    url.query_pairs_mut().append_pair("alt", "sse");
    Request { url, body }
}

/// Models before Gemini 3 have a budget of tokens to think with, later ones a level.
fn thinking(prompt: &Prompt<'_>) -> Option<Value> {
    let level = prompt.thinking?;
    let by_budget = ["gemini-2", "gemini-1"].iter().any(|mark| prompt.model.contains(mark));
    let (words, tokens) = match level {
        // What thinks by level cannot be told not to.
        Thinking::Off if !by_budget => return None,
        // The large models of that family think at least so much.
        Thinking::Off if prompt.model.contains("pro") => ("", 128),
        Thinking::Off => return Some(json!({ "thinkingBudget": 0 })),
        Thinking::Minimal | Thinking::Low => ("low", 1024),
        Thinking::Medium => ("medium", 8192),
        Thinking::High | Thinking::XHigh | Thinking::Max => ("high", 24_576),
    };
    let mut config = json!({ "includeThoughts": true });
    if by_budget {
        put(&mut config, "thinkingBudget", Some(tokens));
    } else {
        put(&mut config, "thinkingLevel", Some(words));
    }
    Some(config)
}

fn tools(tools: &[ToolSpec]) -> Option<Value> {
    let tool = |tool: &ToolSpec| {
        json!({
            "name": tool.name,
            "description": tool.description,
            "parametersJsonSchema": tool.input_schema,
        })
    };
    (!tools.is_empty())
        .then(|| json!([{ "functionDeclarations": tools.iter().map(tool).collect::<Value>() }]))
}

fn content(message: &ChatMessage) -> Value {
    match message {
        ChatMessage::User(text) => json!({ "role": "user", "parts": [{ "text": text }] }),
        ChatMessage::Assistant { native, .. } if !native.is_empty() => {
            json!({ "role": "model", "parts": native })
        }
        ChatMessage::Assistant { text, calls, .. } => {
            let said = (!text.is_empty()).then(|| json!({ "text": text }));
            let calls = calls
                .iter()
                .map(|call| json!({ "functionCall": { "name": call.name, "args": call.arguments } }));
            json!({ "role": "model", "parts": said.into_iter().chain(calls).collect::<Vec<_>>() })
        }
        ChatMessage::ToolResults(results) => {
            let results = results.iter().map(|result| {
                let field = if result.is_error { "error" } else { "output" };
                json!({ "functionResponse": { "name": result.name, "response": { field: result.text } } })
            });
            json!({ "role": "user", "parts": results.collect::<Vec<_>>() })
        }
    }
}

/// One answer.
#[derive(Debug, Default)]
pub(super) struct Content;

impl Reader for Content {
    fn take(&mut self, piece: &Value, reply: &mut Reply) -> Result<(), Complaint> {
        // A server that does not stream sends its pieces as one list.
        if let Value::Array(pieces) = piece {
            return pieces.iter().try_for_each(|piece| self.take(piece, reply));
        }
        if let Some(error) = piece.get("error").filter(|error| !error.is_null()) {
            return Err(Complaint::of_error(error));
        }
        reply.usage = usage(piece).or(reply.usage);
        reply.name_model(piece.get("modelVersion"));
        let blocked = text_at(piece, "/promptFeedback/blockReason");
        if !blocked.is_empty() {
            reply.end(FinishKind::Refused, blocked);
        }
        let Some(candidate) = list_at(piece, "/candidates").first() else { return Ok(()) };
        for part in list_at(candidate, "/content/parts") {
            take_part(part, reply);
        }
        match text_at(candidate, "/finishReason") {
            "" => {}
            word @ "MAX_TOKENS" => reply.end(FinishKind::Length, word),
            word @ ("SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE") => {
                reply.end(FinishKind::Refused, word);
            }
            word => reply.end(FinishKind::Done, word),
        }
        Ok(())
    }
}

fn take_part(part: &Value, reply: &mut Reply) {
    let is_thought = part.get("thought").and_then(Value::as_bool).unwrap_or(false);
    if is_thought {
        reply.think(text_at(part, "/text"));
    } else {
        reply.say(text_at(part, "/text"));
    }
    if let Some(call) = part.get("functionCall") {
        if reply.calls.len() >= CALLS_LIMIT {
            return;
        }
        reply.call(text_at(call, "/id"), text_at(call, "/name"), arguments_text(call.get("args")));
    }
    // The signatures in its parts must come back with the results of the tools; what it thought need not.
    if !is_thought || part.get("thoughtSignature").is_some() {
        reply.native.push(part.clone());
    }
}

fn usage(piece: &Value) -> Option<Usage> {
    let count = |name: &str| count_at(piece, &format!("/usageMetadata/{name}"));
    let input = count("promptTokenCount")?;
    let thought = count("thoughtsTokenCount").unwrap_or(0);
    let used = Usage::new(input, count("candidatesTokenCount").unwrap_or(0).saturating_add(thought));
    let cache_read_tokens = count("cachedContentTokenCount").unwrap_or(0);
    Some(Usage {
        total_tokens: count("totalTokenCount").unwrap_or(used.total_tokens),
        cache_read_tokens,
        ..used
    })
}
