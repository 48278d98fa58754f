//! Reading a model's answer, streamed or whole, as far as it comes.

use clawhook_model::Usage;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use super::chat::{Complaint, Reply};
use super::failure::CallError;
use super::sse::EventDecoder;

/// How much text of an answer is kept.
const TEXT_LIMIT: usize = 4 * 1024 * 1024;

/// The longest answer that is read where it is not streamed: the text, escaped, and what stands around it.
const WHOLE_LIMIT: usize = 2 * TEXT_LIMIT;

/// What is read of a refusal.
const REFUSAL_LIMIT: usize = 64 * 1024;

const CUT_MARKER: &str = "\n[the answer was cut here: it is longer than 4 MiB]";

/// What a model has said so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) usage: Option<Usage>,
    pub(super) finish_reason: Option<String>,
    pub(super) cut: bool,
}

impl Answer {
    /// Reads `response` into this answer. Where that fails, what came before stays.
    pub(super) async fn read(&mut self, response: Response) -> Result<(), CallError> {
        let status = response.status();
        if !status.is_success() {
            let (body, _) = start_of_body(response, REFUSAL_LIMIT).await;
            let complaint = Complaint::of_body(&body);
            return Err(CallError::Refused { status: Some(status.as_u16()), complaint });
        }
        match Form::of(&response) {
            Form::Stream => self.read_stream(response).await?,
            Form::Whole => self.read_whole(response).await?,
            Form::Other(content_type) => return Err(CallError::WrongForm { content_type }),
        }
        if self.text.trim().is_empty() {
            return Err(CallError::Empty { finish_reason: self.finish_reason.take() });
        }
        Ok(())
    }

    async fn read_stream(&mut self, mut response: Response) -> Result<(), CallError> {
        let mut decoder = EventDecoder::default();
        loop {
            let bytes = match response.chunk().await {
                Ok(Some(bytes)) => bytes,
                // Some servers leave the last event out; the finish reason says that nothing is missing.
                Ok(None) | Err(_) if self.finish_reason.is_some() => return Ok(()),
                Ok(None) | Err(_) => return Err(CallError::Broken),
            };
            for event in decoder.feed(&bytes).map_err(|error| CallError::Malformed(error.to_string()))? {
                if event == b"[DONE]" {
                    return Ok(());
                }
                self.add(&event)?;
                if self.cut {
                    return Ok(());
                }
            }
        }
    }

    async fn read_whole(&mut self, response: Response) -> Result<(), CallError> {
        match start_of_body(response, WHOLE_LIMIT).await {
            (body, BodyEnd::Whole) => self.add(&body),
            (_, BodyEnd::Broken) => Err(CallError::Broken),
            (_, BodyEnd::Longer) => {
                Err(CallError::Malformed(format!("the answer is longer than {WHOLE_LIMIT} bytes")))
            }
        }
    }

    fn add(&mut self, json: &[u8]) -> Result<(), CallError> {
        let reply: Reply = serde_json::from_slice(json).map_err(|error| CallError::not_a_reply(&error))?;
        if let Some(complaint) = reply.complaint() {
            return Err(CallError::Refused { status: None, complaint });
        }
        self.usage = reply.usage().or(self.usage);
        if let Some(reason) = reply.finish_reason() {
            self.finish_reason = Some(reason.to_owned());
        }
        self.add_text(&reply.text());
        Ok(())
    }

    fn add_text(&mut self, text: &str) {
        let room = TEXT_LIMIT - self.text.len();
        if text.len() <= room {
            self.text.push_str(text);
        } else {
            self.text.push_str(&text[..text.floor_char_boundary(room)]);
            self.text.push_str(CUT_MARKER);
            self.cut = true;
        }
    }
}

/// How an answer comes.
enum Form {
    Stream,
    Whole,
    Other(String),
}

impl Form {
    fn of(response: &Response) -> Self {
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.map_or("", |value| value.to_str().unwrap_or("an unreadable type"));
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            // A stream was asked for, so one without a label is taken for one.
            "text/event-stream" | "text/plain" | "application/octet-stream" | "" => Self::Stream,
            "application/json" => Self::Whole,
            _ => Self::Other(kind),
        }
    }
}

/// How the reading of a body ended.
enum BodyEnd {
    Whole,
    Longer,
    Broken,
}

async fn start_of_body(mut response: Response, limit: usize) -> (Vec<u8>, BodyEnd) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) if body.len() + bytes.len() > limit => return (body, BodyEnd::Longer),
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Ok(None) => return (body, BodyEnd::Whole),
            Err(_) => return (body, BodyEnd::Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_beyond_the_limit_is_cut_between_characters_and_says_so() {
        let mut answer = Answer::default();
        answer.add_text("a");
        answer.add_text(&"字".repeat(TEXT_LIMIT / 3 + 1));
        assert!(answer.cut);
        assert!(answer.text.ends_with(&format!("字{CUT_MARKER}")));
        assert!(answer.text.len() <= TEXT_LIMIT + CUT_MARKER.len());
    }
}
