//! A server on loopback that answers by a script, and agents that ask it.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clawhook_agent::{
    AgentOptions, AgentProfile, Agents, ChatApi, ChatEndpoint, CommandOptions, Environment, LiveOutput,
    McpOptions, Message, ModelInfo, Provider, ProviderApi, Runtime, Turn, TurnResult, Work,
};
use clawhook_clock::ManualClock;
use clawhook_model::{AgentId, ErrorReason, RunStatus, SessionRef, UnixMs};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) const KEY: &str = "sk-do-not-show-this";
pub(crate) const STREAM: &str = "text/event-stream; charset=utf-8";
pub(crate) const NOW: UnixMs = UnixMs::from_millis(1_000);

/// What the server does once it has read a request.
pub(crate) enum Script {
    /// Sends this and closes the connection.
    Send(Vec<u8>),
    /// Sends this and holds the connection until the client lets go of it.
    Hang(Vec<u8>),
}

impl Script {
    pub(crate) fn send(answer: impl Into<Vec<u8>>) -> Self {
        Self::Send(answer.into())
    }
}

/// A server that answers one request after the other, each by the next script, and hands them over.
pub(crate) struct Server {
    pub(crate) address: String,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Server {
    pub(crate) async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = format!("http://{}", listener.local_addr().expect("the port"));
        let (seen, requests) = mpsc::unbounded_channel();
        let mut scripts: Vec<Script> = scripts.into_iter().collect();
        scripts.reverse();
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.expect("a connection");
                // Before it is asked, the gateway looks whether anybody is there, and sends nothing.
                let Some(request) = read_request(&mut connection).await else { continue };
                seen.send(request).ok();
                let script = scripts.pop().expect("a request that the script does not know");
                tokio::spawn(play(script, connection));
            }
        });
        Self { address, requests }
    }

    /// The next request's first line and headers, and its body.
    pub(crate) async fn request(&mut self) -> (String, Value) {
        let request = self.requests.recv().await.expect("a request");
        let (head, body) = request.split_once("\r\n\r\n").expect("a whole request");
        (head.to_owned(), serde_json::from_str(body).expect("JSON"))
    }

    pub(crate) fn was_asked(&mut self) -> bool {
        self.requests.try_recv().is_ok()
    }

    pub(crate) fn provider(&self, api: ChatApi, path: &str) -> Provider {
        provider(api, &format!("{}{path}", self.address))
    }
}

async fn play(script: Script, mut connection: TcpStream) {
    match script {
        Script::Send(bytes) => {
            connection.write_all(&bytes).await.ok();
            connection.shutdown().await.ok();
        }
        Script::Hang(bytes) => {
            connection.write_all(&bytes).await.ok();
        }
    }
    connection.read_to_end(&mut Vec::new()).await.ok();
}

/// A request; none where the connection is closed without one.
async fn read_request(connection: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .lines()
                .find_map(|line| Some(line.strip_prefix("content-length: ")?.parse()));
            let length: usize = length.expect("a content-length").expect("a number");
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
        if connection.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            assert!(bytes.is_empty(), "half a request");
            return None;
        }
    }
}

pub(crate) fn provider(api: ChatApi, base_url: &str) -> Provider {
    let base_url = Some(base_url.parse().expect("a URL"));
    let endpoint = ChatEndpoint { api_key: Some(KEY.into()), ..ChatEndpoint::new(api, base_url) };
    Provider { api: ProviderApi::Chat(endpoint), models: BTreeMap::new() }
}

/// A provider of which one model is known.
pub(crate) fn knowing(provider: Provider, model: &str, info: ModelInfo) -> Provider {
    Provider { models: BTreeMap::from([(model.to_owned(), info)]), ..provider }
}

pub(crate) fn agents(
    profile: AgentProfile,
    providers: impl IntoIterator<Item = (&'static str, Provider)>,
) -> Agents {
    agents_with(profile, McpOptions::default(), providers)
}

pub(crate) fn agents_with(
    profile: AgentProfile,
    tools: McpOptions,
    providers: impl IntoIterator<Item = (&'static str, Provider)>,
) -> Agents {
    let options = AgentOptions {
        agents: BTreeMap::from([(AgentId::main(), profile)]),
        providers: providers.into_iter().map(|(name, provider)| (name.to_owned(), provider)).collect(),
        tools,
        commands: CommandOptions { cwd: "/".into(), environment: Environment::inherited() },
    };
    Agents::new(options, Arc::new(ManualClock::at(NOW)))
}

pub(crate) fn using(model: &str, fallbacks: &[&str]) -> AgentProfile {
    AgentProfile {
        model: Some(model.parse().expect("a model")),
        fallbacks: fallbacks.iter().map(|model| model.parse().expect("a model")).collect(),
        ..AgentProfile::default()
    }
}

pub(crate) fn hello() -> Message {
    Message { text: "hello".into(), ..Message::default() }
}

pub(crate) fn turn(message: Message) -> Turn {
    let agent = AgentId::main();
    Turn {
        session: SessionRef::main(&agent),
        agent,
        work: Work::Message(Box::new(message)),
        timeout: Some(Duration::from_mins(1)),
        live: LiveOutput::default(),
    }
}

/// Runs a turn; nothing of its result holds the key.
pub(crate) async fn run(agents: &Agents, turn: Turn) -> TurnResult {
    let result = agents.run_turn(turn, CancellationToken::new()).await;
    assert!(!format!("{result:?} {agents:?}").contains(KEY), "the key is shown: {result:?}");
    result
}

pub(crate) async fn ask(agents: &Agents) -> TurnResult {
    run(agents, turn(hello())).await
}

pub(crate) fn http(status: u16, content_type: &str, body: &str) -> String {
    http_with(status, content_type, "", body)
}

pub(crate) fn http_with(status: u16, content_type: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn chunked(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>, complete: bool) -> Vec<u8> {
    chunked_as(STREAM, pieces, complete)
}

/// A streamed answer in chunks that end where the given pieces end; without the last chunk it is cut.
pub(crate) fn chunked_as(
    content_type: &str,
    pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
    complete: bool,
) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for piece in pieces {
        let piece = piece.as_ref();
        bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    if complete {
        bytes.extend(b"0\r\n\r\n");
    }
    bytes
}

pub(crate) fn says(text: &str) -> String {
    format!("data: {}\n\n", serde_json::json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }))
}

pub(crate) const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// A whole streamed answer.
pub(crate) fn answer(text: &str) -> Script {
    Script::Send(chunked([says(text).as_str(), STOP, USAGE, DONE], true))
}

pub(crate) fn error_of(result: &TurnResult) -> (ErrorReason, &str) {
    assert_eq!(result.outcome.status, RunStatus::Error, "{:?}", result.outcome);
    let error = result.outcome.error.as_ref().expect("an error");
    (error.reason, &error.message)
}
