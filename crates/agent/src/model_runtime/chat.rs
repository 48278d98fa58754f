//! OpenAI's chat completions on the wire, read as leniently as their many implementations need.

use clawhook_model::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of a request.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Request<'a> {
    /// Asks `model` one question. A system prompt would be a message before the user's.
    pub(super) fn question(model: &'a str, text: &'a str) -> Self {
        Self {
            model,
            messages: vec![Message { role: "user", content: text }],
            stream: true,
            stream_options: StreamOptions { include_usage: true },
        }
    }
}

/// A whole answer, or one piece of a streamed one.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    /// Of a streamed answer.
    delta: Option<Said>,
    /// Of a whole one.
    message: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Said {
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

impl Reply {
    /// The text that this piece adds.
    pub(super) fn text(&self) -> String {
        let said = self.first_choice().and_then(|choice| choice.delta.as_ref().or(choice.message.as_ref()));
        match said.and_then(|said| said.content.as_ref()) {
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => parts.iter().map(|part| part.text.as_str()).collect(),
            None => String::new(),
        }
    }

    /// Why the model ended its turn, once it has; some servers write an empty reason until then.
    pub(super) fn finish_reason(&self) -> Option<&str> {
        self.first_choice()?.finish_reason.as_deref().filter(|reason| !reason.is_empty())
    }

    /// The tokens used, where the provider counts them.
    pub(super) fn usage(&self) -> Option<Usage> {
        let count = |name| self.usage.as_ref()?.get(name)?.as_u64();
        let (input, output) = (count("prompt_tokens"), count("completion_tokens"));
        let total = count("total_tokens");
        if input.is_none() && output.is_none() && total.is_none() {
            return None;
        }
        let (input_tokens, output_tokens) = (input.unwrap_or(0), output.unwrap_or(0));
        let total_tokens = total.unwrap_or_else(|| input_tokens.saturating_add(output_tokens));
        Some(Usage { total_tokens, ..Usage::new(input_tokens, output_tokens) })
    }

    /// What the provider complains of instead of answering.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        self.error.as_ref().map(Complaint::of_error)
    }

    fn first_choice(&self) -> Option<&Choice> {
        self.choices.as_ref()?.first()
    }
}

/// What a provider says went wrong; nothing of it may be shown before it has been cleaned.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// A word or a number for programs.
    pub(super) code: Option<String>,
    /// A sentence for people.
    pub(super) message: Option<String>,
}

impl Complaint {
    /// Reads the body of a refused request; one that is not JSON says nothing.
    pub(super) fn of_body(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        // Some providers wrap the object in a list, others leave the `error` out.
        let body = body.get(0).unwrap_or(&body);
        Self::of_error(body.get("error").unwrap_or(body))
    }

    fn of_error(error: &Value) -> Self {
        let text = |name| match error.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let message = error.as_str().map(str::to_owned).or_else(|| text("message"));
        Self { code: text("code").or_else(|| text("type")), message }
    }
}
