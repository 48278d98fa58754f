//! The APIs for chats on the wire. Each of them makes a request of a [`Prompt`] and reads the pieces of an answer, leniently,
//! into a [`Reply`]. They know the JSON and nothing of connections, limits or errors' words.

mod anthropic;
mod completions;
mod gemini;
mod ollama;
mod responses;

use clawhook_model::Thinking;
use reqwest::header::{AUTHORIZATION, HeaderName};
use serde_json::{Map, Value, json};
use url::Url;

use super::failure::Complaint;
use super::framing::{Decoder, EventDecoder};
use super::options::{ChatApi, ChatEndpoint};
use super::reply::Reply;
use crate::toolbox::ToolSpec;

/// What a model is asked in one round.
#[derive(Debug)]
pub(crate) struct Prompt<'a> {
    /// The model, as its provider names it.
    pub(crate) model: &'a str,
    /// What it is told before anything else.
    pub(crate) system: Option<&'a str>,
    /// What was said, the oldest first.
    pub(crate) messages: &'a [ChatMessage],
    /// The tools it may ask for.
    pub(crate) tools: &'a [ToolSpec],
    /// How hard to think.
    pub(crate) thinking: Option<Thinking>,
    /// How many tokens it may answer.
    pub(crate) max_tokens: Option<u32>,
    /// How many tokens it is to have room for.
    pub(crate) context_tokens: Option<u64>,
    /// The JSON Schema that its answer is held to.
    pub(crate) output_schema: Option<&'a Value>,
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ChatMessage {
    /// Whoever asks says something.
    User(String),
    /// The model says something, asks for tools, or both.
    Assistant {
        /// What it said.
        text: String,
        /// What it asked for.
        calls: Vec<ToolCall>,
        /// The same in the provider's own form, where it has one that must come back unchanged.
        native: Vec<Value>,
    },
    /// What the tools answered: one result for each call of the message before.
    ToolResults(Vec<ToolResult>),
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ToolCall {
    /// What its result refers to.
    pub(crate) id: String,
    /// The tool.
    pub(crate) name: String,
    /// What it is given.
    pub(crate) arguments: Map<String, Value>,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolResult {
    /// The call.
    pub(crate) call_id: String,
    /// The tool.
    pub(crate) name: String,
    /// The answer.
    pub(crate) text: String,
    /// Whether it failed.
    pub(crate) is_error: bool,
}

/// A request: where it goes and what it says. Whoever sends it adds the key.
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) body: Value,
}

/// Reads one answer of one API.
pub(super) trait Reader: Send {
    /// Takes a piece of a streamed answer, or a whole one, into `reply`. A provider that complains in the middle of its answer
    /// is an error.
    fn take(&mut self, piece: &Value, reply: &mut Reply) -> Result<(), Complaint>;
}

impl ChatApi {
    /// The request that asks `prompt`.
    pub(super) fn request(self, endpoint: &ChatEndpoint, prompt: &Prompt<'_>) -> Request {
        match self {
            Self::OpenAiCompletions => completions::request(endpoint, prompt),
            Self::OpenAiResponses => responses::request(endpoint, prompt),
            Self::AnthropicMessages => anthropic::request(endpoint, prompt),
            Self::GoogleGenerativeAi => gemini::request(endpoint, prompt),
            Self::Ollama => ollama::request(endpoint, prompt),
        }
    }

    /// A reader for one answer.
    pub(super) fn reader(self) -> Box<dyn Reader> {
        match self {
            Self::OpenAiCompletions => Box::<completions::Completion>::default(),
            Self::OpenAiResponses => Box::<responses::Response>::default(),
            Self::AnthropicMessages => Box::<anthropic::Message>::default(),
            Self::GoogleGenerativeAi => Box::<gemini::Content>::default(),
            Self::Ollama => Box::<ollama::Chat>::default(),
        }
    }

    /// How the pieces of a streamed answer are told apart.
    pub(super) fn decoder(self) -> Decoder {
        match self {
            Self::Ollama => Decoder::Lines(Vec::new()),
            _ => Decoder::Events(EventDecoder::default()),
        }
    }

    /// The header that carries the key.
    pub(super) fn key_header(self, key: &str) -> (HeaderName, String) {
        match self {
            Self::AnthropicMessages => (HeaderName::from_static("x-api-key"), key.to_owned()),
            Self::GoogleGenerativeAi => (HeaderName::from_static("x-goog-api-key"), key.to_owned()),
            _ => (AUTHORIZATION, format!("Bearer {key}")),
        }
    }

    /// The headers that every request of the API has.
    pub(super) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::AnthropicMessages => &[("anthropic-version", "2023-06-01")],
            _ => &[],
        }
    }
}

/// Puts a value in where there is one.
fn put(body: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let (Some(map), Some(value)) = (body.as_object_mut(), value) {
        map.insert(key.to_owned(), value.into());
    }
}

/// The text at `pointer`; nothing where there is none.
fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at `pointer`; nothing where there is none.
fn list_at<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The number at `pointer`.
fn count_at(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer)?.as_u64()
}

/// A call's arguments as JSON text, whichever way the provider gives them.
fn arguments_text(arguments: Option<&Value>) -> String {
    match arguments {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The tools in the form that OpenAI's chat completions gave the field.
fn function_tools(tools: &[ToolSpec]) -> Option<Value> {
    let tool = |tool: &ToolSpec| {
        json!({
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.input_schema,
            },
        })
    };
    (!tools.is_empty()).then(|| tools.iter().map(tool).collect())
}

/// How OpenAI names a level of thinking. Models that cannot think refuse the field, so none is sent for `off`.
fn effort(thinking: Option<Thinking>) -> Option<&'static str> {
    match thinking? {
        Thinking::Off => None,
        Thinking::Minimal => Some("minimal"),
        Thinking::Low => Some("low"),
        Thinking::Medium => Some("medium"),
        Thinking::High => Some("high"),
        Thinking::XHigh | Thinking::Max => Some("xhigh"),
    }
}

/// Whether OpenAI can hold a model to the schema to the letter: then every object names all its fields and has no others.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let closed = map.get("additionalProperties") == Some(&Value::Bool(false));
            let fields = map.get("properties").and_then(Value::as_object);
            let required = map.get("required").and_then(Value::as_array);
            let complete = fields.is_none_or(|fields| {
                required.is_some_and(|required| fields.keys().all(|name| required.iter().any(|r| r == name)))
            });
            let is_object = map.get("type").is_some_and(|kind| kind == "object") || fields.is_some();
            (!is_object || (closed && complete)) && map.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

/// The messages with one from the user at the front, for providers that want a chat to begin so: the tail of a longer one may
/// begin with an answer.
fn begun_by_user(messages: &[ChatMessage]) -> impl Iterator<Item = std::borrow::Cow<'_, ChatMessage>> {
    use std::borrow::Cow;
    let earlier = matches!(messages.first(), Some(ChatMessage::Assistant { .. }))
        .then(|| Cow::Owned(ChatMessage::User("(The conversation began earlier.)".to_owned())));
    earlier.into_iter().chain(messages.iter().map(Cow::Borrowed))
}

#[cfg(test)]
mod tests;
