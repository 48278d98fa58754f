//! A receiver on raw TCP that behaves as badly as a test wants it to.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use clawhook_model::WebhookUrl;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// What a receiver was sent.
#[derive(Debug)]
pub(crate) struct Received {
    /// The request line and the headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// On which of its connections, from 0.
    pub(crate) connection: usize,
}

/// A listening receiver; it ends with its value.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: mpsc::UnboundedReceiver<Received>,
    listening: JoinHandle<()>,
}

/// One connection, from the receiver's side.
pub(crate) struct Conversation<S = TcpStream> {
    pub(crate) stream: S,
    number: usize,
    received: mpsc::UnboundedSender<Received>,
}

impl Receiver {
    /// Listens on loopback and has `behave` run on every connection.
    pub(crate) async fn start<F, Fut>(behave: F) -> Self
    where
        F: Fn(Conversation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = mpsc::unbounded_channel();
        let behave = Arc::new(behave);
        let listening = tokio::spawn(async move {
            let mut conversations = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                conversations.spawn(behave(Conversation { stream, number, received: sender.clone() }));
            }
        });
        Self { address, received, listening }
    }

    /// Answers every request on every connection with the same bytes.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut conversation| async move {
            while conversation.hear().await {
                conversation.say(answer).await;
            }
        })
        .await
    }

    pub(crate) fn url(&self) -> WebhookUrl {
        format!("http://{}/hooks/cron?token=s3cret", self.address).parse().unwrap()
    }

    pub(crate) fn url_on(&self, scheme: &str, host: &str) -> WebhookUrl {
        format!("{scheme}://{host}:{}/hooks/cron", self.address.port()).parse().unwrap()
    }

    /// The next request that has come in whole.
    pub(crate) async fn received(&mut self) -> Received {
        self.received.recv().await.unwrap()
    }

    /// How many requests came that no one has asked about.
    pub(crate) fn unseen(&mut self) -> usize {
        std::iter::from_fn(|| self.received.try_recv().ok()).count()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Conversation {
    /// Closes the connection so that the other side sees a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Takes the stream out, to be wrapped.
    pub(crate) fn split(self) -> (TcpStream, Conversation<()>) {
        (self.stream, Conversation { stream: (), number: self.number, received: self.received })
    }
}

impl Conversation<()> {
    /// Goes on over a wrapped stream.
    pub(crate) fn over<S>(self, stream: S) -> Conversation<S> {
        Conversation { stream, number: self.number, received: self.received }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// Reads one request; `false` when the other side has closed.
    pub(crate) async fn hear(&mut self) -> bool {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if self.stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return false;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |value| value.parse().unwrap());
        let mut body = bytes.split_off(end);
        while body.len() < length {
            if self.stream.read_buf(&mut body).await.unwrap_or(0) == 0 {
                return false;
            }
        }
        self.received.send(Received { head, body, connection: self.number }).ok();
        true
    }

    /// Writes; that the other side may have gone is no concern of the receiver's.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Says nothing and keeps the connection until the other side closes it.
    pub(crate) async fn stall(&mut self) {
        let mut ignored = [0; 1024];
        while self.stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
    }
}
