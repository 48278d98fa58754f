//! One request to a provider, and the reading of its answer within bounds.

use std::time::Duration;

use clawhook_clock::Clock;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::timeout;

use super::client::SharedClient;
use super::failure::{CallError, Complaint};
use super::options::ChatEndpoint;
use super::reply::{Reply, TEXT_LIMIT};
use super::retry_at::retry_at;
use super::wire::{Prompt, Reader, Request};

/// The longest answer that is read where it is not streamed: the text, escaped, and what stands around it.
const WHOLE_LIMIT: usize = 2 * TEXT_LIMIT;

/// The most that is read of one streamed answer, whatever it holds.
const STREAM_LIMIT: usize = 256 * 1024 * 1024;

/// What is read of a refusal.
const REFUSAL_LIMIT: usize = 64 * 1024;

/// How long words are waited for that come after the end, such as the count of tokens.
const AFTERWORDS: Duration = Duration::from_secs(5);

/// Asks a provider.
pub(super) struct Call<'a> {
    pub(super) client: &'a SharedClient,
    pub(super) endpoint: &'a ChatEndpoint,
    pub(super) clock: &'a dyn Clock,
    /// How long nothing may come.
    pub(super) silence: Duration,
}

impl Call<'_> {
    /// Asks `prompt` and reads the answer into `reply`. Where that fails, what came before stays there.
    pub(super) async fn ask(&self, prompt: &Prompt<'_>, reply: &mut Reply) -> Result<(), CallError> {
        let response = self.send(prompt).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let mut reader = self.endpoint.api.reader();
        match Form::of(&response) {
            Form::Stream => self.read_stream(response, reader.as_mut(), reply).await,
            Form::Whole => self.read_whole(response, reader.as_mut(), reply).await,
            Form::Other(content_type) => Err(CallError::WrongForm { content_type }),
        }
    }

    async fn send(&self, prompt: &Prompt<'_>) -> Result<Response, CallError> {
        let headers = self.headers()?;
        let Request { url, body } = self.endpoint.api.request(self.endpoint, prompt);
        let request = self.client.get().await?.post(url).json(&body).headers(headers);
        match timeout(self.silence, request.send()).await {
            Ok(response) => response.map_err(|error| CallError::unreachable(&error)),
            Err(_) => Err(CallError::Silent(self.silence)),
        }
    }

    fn headers(&self) -> Result<HeaderMap, CallError> {
        let api = self.endpoint.api;
        let mut headers = HeaderMap::new();
        for (name, value) in api.headers() {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Some(key) = self.endpoint.key() {
            let (name, value) = api.key_header(key);
            headers.insert(name, secret_value(&value).ok_or(CallError::UnsendableKey)?);
        }
        for (name, value) in &self.endpoint.headers {
            let unsendable = || CallError::UnsendableHeader(name.clone());
            let value = secret_value(value.expose_secret()).ok_or_else(unsendable)?;
            headers.insert(HeaderName::try_from(name).map_err(|_| unsendable())?, value);
        }
        Ok(headers)
    }

    async fn refused(&self, response: Response) -> CallError {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // What was read of it until it broke or fell silent is enough.
        let body = self.start_of_body(response, REFUSAL_LIMIT).await.unwrap_or_default();
        let complaint = Complaint::of_body(&body.bytes);
        let retry_at = retry_at(&headers, &complaint, self.clock.now());
        CallError::Refused { status: Some(status), complaint, retry_at }
    }

    async fn read_stream(
        &self,
        mut response: Response,
        reader: &mut dyn Reader,
        reply: &mut Reply,
    ) -> Result<(), CallError> {
        let mut decoder = self.endpoint.api.decoder();
        let mut read = 0_usize;
        loop {
            let patience = if reply.finish.is_some() { self.silence.min(AFTERWORDS) } else { self.silence };
            let bytes = match timeout(patience, response.chunk()).await {
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None)) => {
                    if let Some(piece) = decoder.finish() {
                        take(&piece, reader, reply)?;
                    }
                    return whole(reply);
                }
                Ok(Err(_)) => return whole(reply),
                Err(_) if reply.finish.is_some() => return Ok(()),
                Err(_) => return Err(CallError::Silent(self.silence)),
            };
            read += bytes.len();
            if read > STREAM_LIMIT {
                return Err(CallError::Malformed(format!("it is longer than {STREAM_LIMIT} bytes")));
            }
            for piece in decoder.feed(&bytes).map_err(|error| CallError::Malformed(error.to_string()))? {
                if piece.trim_ascii() == b"[DONE]" {
                    return Ok(());
                }
                take(&piece, reader, reply)?;
                if reply.cut {
                    return Ok(());
                }
            }
        }
    }

    async fn read_whole(
        &self,
        response: Response,
        reader: &mut dyn Reader,
        reply: &mut Reply,
    ) -> Result<(), CallError> {
        let body = self.start_of_body(response, WHOLE_LIMIT).await?;
        match body.end {
            BodyEnd::Whole => {}
            BodyEnd::Broken => return Err(CallError::Broken),
            BodyEnd::Longer => {
                return Err(CallError::Malformed(format!("the answer is longer than {WHOLE_LIMIT} bytes")));
            }
        }
        // Some servers label a stream of lines as one text of JSON.
        let mut pieces = serde_json::Deserializer::from_slice(&body.bytes).into_iter::<Value>().peekable();
        if pieces.peek().is_none() {
            return Err(CallError::Malformed("it is empty".to_owned()));
        }
        for piece in pieces {
            let piece = piece.map_err(|error| CallError::not_a_reply(&error))?;
            check_form(&piece)?;
            reader.take(&piece, reply).map_err(inside)?;
        }
        Ok(())
    }

    async fn start_of_body(&self, mut response: Response, limit: usize) -> Result<Body, CallError> {
        let mut body = Body { bytes: Vec::new(), end: BodyEnd::Whole };
        loop {
            match timeout(self.silence, response.chunk()).await {
                Ok(Ok(Some(bytes))) if body.bytes.len() + bytes.len() > limit => {
                    body.bytes.extend_from_slice(&bytes[..limit - body.bytes.len()]);
                    return Ok(Body { end: BodyEnd::Longer, ..body });
                }
                Ok(Ok(Some(bytes))) => body.bytes.extend_from_slice(&bytes),
                Ok(Ok(None)) => return Ok(body),
                Ok(Err(_)) => return Ok(Body { end: BodyEnd::Broken, ..body }),
                Err(_) => return Err(CallError::Silent(self.silence)),
            }
        }
    }
}

/// Whether a stream that is over is an answer. Some servers leave the last event out; the finish reason says that nothing is
/// missing.
fn whole(reply: &Reply) -> Result<(), CallError> {
    if reply.finish.is_some() { Ok(()) } else { Err(CallError::Broken) }
}

fn take(piece: &[u8], reader: &mut dyn Reader, reply: &mut Reply) -> Result<(), CallError> {
    let piece: Value = serde_json::from_slice(piece).map_err(|error| CallError::not_a_reply(&error))?;
    check_form(&piece)?;
    reader.take(&piece, reply).map_err(inside)
}

/// A text or a number is JSON and no piece of any answer.
fn check_form(piece: &Value) -> Result<(), CallError> {
    match piece {
        Value::Array(_) => Ok(()),
        Value::Object(fields)
            if fields.get("choices").is_none_or(|choices| choices.is_array() || choices.is_null()) =>
        {
            Ok(())
        }
        _ => Err(CallError::Malformed("it is not the JSON of an answer".to_owned())),
    }
}

fn inside(complaint: Complaint) -> CallError {
    CallError::Refused { status: None, complaint, retry_at: None }
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
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
            "text/event-stream"
            | "application/x-ndjson"
            | "application/jsonl"
            | "text/plain"
            | "application/octet-stream"
            | "" => Self::Stream,
            "application/json" => Self::Whole,
            _ => Self::Other(kind),
        }
    }
}

/// The start of a body.
struct Body {
    bytes: Vec<u8>,
    end: BodyEnd,
}

impl Default for Body {
    fn default() -> Self {
        Self { bytes: Vec::new(), end: BodyEnd::Broken }
    }
}

/// How the reading of a body ended.
enum BodyEnd {
    Whole,
    Longer,
    Broken,
}
