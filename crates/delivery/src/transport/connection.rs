//! One HTTP/1.1 connection, driven by whoever waits for its answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::attempt::Reached;
use super::metered::{Allowance, Metered};
use super::{Answer, Message};

/// The bytes' way: plain, or through TLS.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

type Driver = Connection<TokioIo<Metered<Stream>>, Full<Bytes>>;

/// The most that an answer's head may take, and with it what a connection keeps in memory.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most that is read before an answer's head is there, interim answers included; the head's last read may bring a
/// piece of the body with it.
const MAX_BYTES_BEFORE_BODY: usize = 4 * MAX_HEAD_BYTES;

/// A connection on which at most one request is under way.
#[derive(Debug)]
pub(super) struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once the connection has ended.
    driver: Option<Box<Driver>>,
    allowance: Allowance,
    reached: Reached,
}

/// Why no answer came on a connection.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Not a byte of the request was written; it may go elsewhere.
    Unsent(Box<Message>, hyper::Error),
    /// The request was written, wholly or in part.
    Broken(hyper::Error),
}

/// How the reading of a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// With the body.
    Complete,
    /// At the limit, with more to come.
    Cut,
}

impl HttpConnection {
    pub(super) async fn open(stream: Stream, reached: Reached) -> hyper::Result<Self> {
        let allowance = Allowance::default();
        allowance.set(MAX_BYTES_BEFORE_BODY);
        let stream = TokioIo::new(Metered::new(stream, allowance.clone()));
        let (sender, driver) = Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(stream).await?;
        Ok(Self { sender, driver: Some(Box::new(driver)), allowance, reached })
    }

    /// Whom it reached.
    pub(super) fn reached(&self) -> Reached {
        self.reached
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(&mut self, message: Message) -> Result<Answer, Unanswered> {
        self.allowance.set(MAX_BYTES_BEFORE_BODY);
        let mut answer = pin!(self.sender.try_send_request(message));
        let driver = &mut self.driver;
        let answer = poll_fn(|cx| {
            drive(driver, cx);
            answer.as_mut().poll(cx)
        });
        let answer = answer.await;
        // From here on it is the body's reader who sees to it that it ends.
        self.allowance.set(usize::MAX);
        answer.map_err(|mut error| match error.take_message() {
            Some(unsent) => Unanswered::Unsent(Box::new(unsent), error.into_error()),
            None => Unanswered::Broken(error.into_error()),
        })
    }

    /// Reads a body into `kept` until its end or until `limit` bytes are there. What was read before a failure stays.
    pub(super) async fn read_body(
        &mut self,
        body: &mut Incoming,
        limit: usize,
        kept: &mut Vec<u8>,
    ) -> hyper::Result<BodyEnd> {
        while !body.is_end_stream() {
            let frame = poll_fn(|cx| {
                drive(&mut self.driver, cx);
                Pin::new(&mut *body).poll_frame(cx)
            });
            let Some(frame) = frame.await else { break };
            let Ok(data) = frame?.into_data() else { continue };
            let room = limit - kept.len();
            kept.extend_from_slice(&data.chunk()[..room.min(data.remaining())]);
            if data.remaining() > room {
                return Ok(BodyEnd::Cut);
            }
        }
        Ok(BodyEnd::Complete)
    }

    /// Whether another request can follow, once the answer has been read to its end.
    pub(super) async fn is_reusable(&mut self) -> bool {
        if !self.sender.is_ready() {
            poll_fn(|cx| {
                drive(&mut self.driver, cx);
                Poll::Ready(())
            })
            .await;
        }
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Whether an idle connection is still open, as far as is known by now.
    pub(super) fn is_open(&mut self) -> bool {
        drive(&mut self.driver, &mut Context::from_waker(Waker::noop()));
        self.driver.is_some()
    }
}

/// Lets the connection read and write what it can.
///
/// Its end is no news of its own: the answer and the body tell their part of it, and dropping the driver makes them
/// tell it now.
fn drive(driver: &mut Option<Box<Driver>>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && Pin::new(running).poll(cx).is_ready()
    {
        *driver = None;
    }
}
