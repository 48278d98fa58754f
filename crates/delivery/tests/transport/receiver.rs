//! A receiver on raw TCP that behaves as badly as a test wants it to.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clawhook_model::WebhookUrl;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
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

/// How much of what a counting receiver says waits in its own socket.
const SEND_BUFFER: u32 = 16 * 1024;

/// A listening receiver; it ends with its value.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: mpsc::UnboundedReceiver<Received>,
    said: Arc<AtomicUsize>,
    under_way: watch::Receiver<usize>,
    listening: JoinHandle<()>,
}

/// One connection, from the receiver's side.
pub(crate) struct Conversation<S = TcpStream> {
    pub(crate) stream: S,
    number: usize,
    received: mpsc::UnboundedSender<Received>,
    said: Arc<AtomicUsize>,
}

impl Receiver {
    /// Listens on loopback and has `behave` run on every connection.
    pub(crate) async fn start<F, Fut>(behave: F) -> Self
    where
        F: Fn(Conversation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::start_on(TcpSocket::new_v4().unwrap(), behave)
    }

    /// The same, and what it could say is soon what was read: little of it waits in its own socket.
    pub(crate) fn start_counting<F, Fut>(behave: F) -> Self
    where
        F: Fn(Conversation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(SEND_BUFFER).unwrap();
        Self::start_on(socket, behave)
    }

    fn start_on<F, Fut>(socket: TcpSocket, behave: F) -> Self
    where
        F: Fn(Conversation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(1_024).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = mpsc::unbounded_channel();
        let (count, under_way) = watch::channel(0);
        let said = Arc::new(AtomicUsize::new(0));
        let behave = Arc::new(behave);
        let listening = tokio::spawn({
            let said = said.clone();
            async move {
                let mut conversations = JoinSet::new();
                for number in 0.. {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (received, said) = (sender.clone(), said.clone());
                    let behaviour = behave(Conversation { stream, number, received, said });
                    let count = count.clone();
                    count.send_modify(|count| *count += 1);
                    conversations.spawn(async move {
                        behaviour.await;
                        count.send_modify(|count| *count -= 1);
                    });
                }
            }
        });
        Self { address, received, said, under_way, listening }
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

    /// How many bytes it could say so far, on all its connections.
    pub(crate) fn said(&self) -> usize {
        self.said.load(Ordering::Relaxed)
    }

    /// Waits until no connection is left.
    pub(crate) async fn all_hung_up(&mut self) {
        self.under_way.wait_for(|count| *count == 0).await.unwrap();
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

    /// Which of its receiver's connections this is, from 0.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Takes the stream out, to be wrapped.
    pub(crate) fn split(self) -> (TcpStream, Conversation<()>) {
        let (number, received, said) = (self.number, self.received, self.said);
        (self.stream, Conversation { stream: (), number, received, said })
    }
}

impl Conversation<()> {
    /// Goes on over a wrapped stream.
    pub(crate) fn over<S>(self, stream: S) -> Conversation<S> {
        Conversation { stream, number: self.number, received: self.received, said: self.said }
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
        let bytes = bytes.as_ref();
        let taken = self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok();
        if taken {
            self.said.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        taken
    }

    /// Says nothing and keeps the connection until the other side closes it.
    pub(crate) async fn stall(&mut self) {
        let mut ignored = [0; 1024];
        while self.stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
    }
}
