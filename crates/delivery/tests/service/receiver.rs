//! A receiver on a real socket: it answers as it was told, and hands on what it got.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A request as the receiver got it.
pub(crate) struct Received {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What a request is answered with; a status of 0 never answers.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    status: u16,
    retry_after: Option<u32>,
}

impl Answer {
    /// An answer that asks to be left alone for so many seconds.
    pub(crate) fn later(status: u16, seconds: u32) -> Self {
        Self { status, retry_after: Some(seconds) }
    }
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        Self { status, retry_after: None }
    }
}

/// The answers in their order, and the one that stands for all that follow.
struct Script {
    first: VecDeque<Answer>,
    then: Answer,
    /// The body of every answer.
    body: &'static str,
}

/// Answers with what it was given, and then with 200.
pub(crate) struct Receiver {
    pub(crate) url: String,
    told: mpsc::UnboundedReceiver<Received>,
    script: Arc<Mutex<Script>>,
}

impl Receiver {
    pub(crate) async fn start<A: Into<Answer>>(first: impl IntoIterator<Item = A>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (tell, told) = mpsc::unbounded_channel();
        let first = first.into_iter().map(Into::into).collect();
        let script = Arc::new(Mutex::new(Script { first, then: 200.into(), body: "ok" }));
        let shared = script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone(), tell.clone()));
            }
        });
        Self { url, told, script }
    }

    /// One that answers well.
    pub(crate) async fn well() -> Self {
        Self::start::<u16>([]).await
    }

    /// One that answers with this until it is told otherwise.
    pub(crate) async fn always(status: u16) -> Self {
        let receiver = Self::well().await;
        receiver.answers(status);
        receiver
    }

    /// Answers with this from now on.
    pub(crate) fn answers(&self, status: u16) {
        self.script.lock().expect("no test panics with it").then = status.into();
    }

    /// Says this with every answer from now on.
    pub(crate) fn says(&self, body: &'static str) {
        self.script.lock().expect("no test panics with it").body = body;
    }

    /// The next request, which is waited for.
    pub(crate) async fn next(&mut self) -> Received {
        self.told.recv().await.expect("the receiver runs on")
    }

    /// So many requests, which are waited for.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Received> {
        let mut taken = Vec::with_capacity(count);
        for _ in 0..count {
            taken.push(self.next().await);
        }
        taken
    }

    /// How many requests have come that nobody has asked for.
    pub(crate) fn unasked(&mut self) -> usize {
        std::iter::from_fn(|| self.told.try_recv().ok()).count()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>, tell: mpsc::UnboundedSender<Received>) {
    while let Some(received) = read(&mut stream).await {
        let (answer, body) = {
            let mut script = script.lock().expect("no test panics with it");
            (script.first.pop_front().unwrap_or(script.then), script.body)
        };
        tell.send(received).ok();
        if answer.status == 0 {
            std::future::pending::<()>().await;
        }
        let Answer { status, retry_after } = answer;
        let wish = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} As Told\r\n{wish}content-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.ok();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII");
    let headers: HashMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().expect("a length");
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        stream.read_buf(&mut body).await.ok()?;
    }
    Some(Received { headers, body })
}
