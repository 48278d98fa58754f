//! Mail over a connection that the guard has vetted.
//!
//! The conversation is lettre's; the connection and TLS are ours. A server that is reached with `smtp://` must offer
//! STARTTLS, or be on this machine: nothing is sent in the open over a network. How much a server says before it comes
//! to the point is bounded, and so is the time for all of it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clawhook_model::{AttemptClass, AttemptReport, PhaseTimings, micros};
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::either::Either;

use super::attempt::Reached;
use super::connection::Stream;
use super::failure::{Failure, with_causes};
use super::profile::ConnectionProfile;
use super::proxy::Speaks;
use super::{Inner, Transport};
use crate::channels::MailServer;

/// The most that a server says before STARTTLS.
const MAX_PREAMBLE_BYTES: usize = 8 * 1024;
/// The most of a server's words that is repeated.
const MAX_WORDS: usize = 300;
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// One message for a mail server. `Debug` shows neither the credentials nor the message.
pub struct MailRequest {
    /// The server.
    pub server: MailServer,
    /// The name and the password to sign in with.
    pub credentials: Option<(String, SecretString)>,
    /// The name that the client gives itself.
    pub hello: String,
    /// Whom it is from and whom it is for.
    pub envelope: Envelope,
    /// The `Message-ID` that it carries.
    pub message_id: String,
    /// The message, with its headers.
    pub message: Bytes,
}

impl fmt::Debug for MailRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailRequest")
            .field("server", &self.server)
            .field("message_id", &self.message_id)
            .field("message_bytes", &self.message.len())
            .finish_non_exhaustive()
    }
}

/// Why a message was not taken.
#[derive(Debug)]
enum Unsent {
    /// There is no way to the server.
    Failed(Failure),
    /// The server, or the conversation with it, says no.
    Said { class: AttemptClass, why: String },
}

impl From<Failure> for Unsent {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Unsent {
    fn said(class: AttemptClass, why: impl Into<String>) -> Self {
        Self::Said { class, why: why.into() }
    }

    /// What an error of the conversation amounts to. Without the right credentials nothing is taken, whatever the code.
    fn of(error: &lettre::transport::smtp::Error, signing_in: bool) -> Self {
        let code = error.status().map(u16::from);
        let class = match code {
            Some(530 | 534 | 535 | 538) => AttemptClass::Unauthorized,
            Some(_) if signing_in && error.is_permanent() => AttemptClass::Unauthorized,
            Some(_) if error.is_permanent() => AttemptClass::Refused,
            Some(_) => AttemptClass::ServerError,
            None if error.is_client() && signing_in => AttemptClass::Unauthorized,
            None if error.is_client() => AttemptClass::Refused,
            None if error.is_response() => AttemptClass::ProtocolError,
            None => AttemptClass::AnswerLost,
        };
        let why: String = with_causes(error).chars().take(MAX_WORDS).collect();
        Self::said(class, format!("the mail server does not take the message: {why}"))
    }
}

impl Transport {
    /// Hands one message to a mail server and tells what came of it.
    pub async fn send_mail(&self, request: &MailRequest, profile: &ConnectionProfile) -> AttemptReport {
        let began_at = Instant::now();
        let total = self.timeout_for(profile);
        let deadline = began_at + total;
        let mut timings = PhaseTimings::default();
        let mut reached = Reached::default();
        let handed = self.inner.hand_in(request, profile, deadline, (&mut timings, &mut reached));
        let outcome = tokio::time::timeout_at(deadline.into(), handed).await;
        let outcome = outcome.unwrap_or(Err(Unsent::Failed(Failure::AnswerTimeout(total))));
        timings.total_us = micros(began_at.elapsed());
        let report = match outcome {
            Ok(said) => {
                let delivered = AttemptReport::failed(AttemptClass::Delivered, "", timings);
                AttemptReport { error: None, response_body: Some(said), ..delivered }
            }
            Err(Unsent::Failed(failure)) => {
                AttemptReport::failed(failure.class(), failure.to_string(), timings)
            }
            Err(Unsent::Said { class, why }) => AttemptReport::failed(class, why, timings),
        };
        AttemptReport { peer: reached.peer, tls_version: reached.tls_version, ..report }
    }
}

impl Inner {
    /// What the server says when it has taken the message.
    async fn hand_in(
        &self,
        request: &MailRequest,
        profile: &ConnectionProfile,
        deadline: Instant,
        (timings, reached): (&mut PhaseTimings, &mut Reached),
    ) -> Result<String, Unsent> {
        let server = &request.server;
        let guard = self.connector.guard(profile);
        guard.check_mail_server(&server.host(), server.port()).map_err(Failure::from)?;
        let speaks = if server.implicit_tls() { Speaks::Second } else { Speaks::First };
        let goal = self.connector.goal(server.url(), profile, speaks, deadline);
        let tcp = self.connector.open(goal, (timings, reached)).await?;
        let (stream, greeting) = if server.implicit_tls() {
            let tls = self.connector.secure_for_mail(goal, tcp, (timings, reached)).await?;
            (Either::Right(Box::new(tls)), "")
        } else {
            // The greeting is heard here, so it is said again to whoever goes on.
            let stream = match preamble(tcp, &request.hello).await? {
                Preamble::StartTls(tcp) => {
                    let tls = self.connector.secure_for_mail(goal, tcp, (timings, reached)).await?;
                    Either::Right(Box::new(tls))
                }
                Preamble::Plain(tcp) if reached.peer.is_some_and(|peer| peer.ip().is_loopback()) => {
                    Either::Left(tcp)
                }
                Preamble::Plain(_) => {
                    let why = "the mail server offers no STARTTLS, and nothing is sent in the open; use smtps:// if it \
                               begins with TLS";
                    return Err(Unsent::said(AttemptClass::TlsFailed, why));
                }
            };
            (stream, "220 \r\n")
        };
        converse(Greeted { greeting: greeting.as_bytes(), stream, peer: reached.peer }, request).await
    }
}

/// The conversation, from the greeting to the message's acceptance.
async fn converse(stream: Greeted, request: &MailRequest) -> Result<String, Unsent> {
    let hello = client_id(&request.hello);
    let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await;
    let mut connection = connected.map_err(|error| Unsent::of(&error, false))?;
    if let Some((user, password)) = &request.credentials {
        let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
        let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
        signed_in.map_err(|error| Unsent::of(&error, true))?;
    }
    let taken = connection.send(&request.envelope, &request.message).await;
    let said = words(&taken.map_err(|error| Unsent::of(&error, false))?);
    // The message is taken, whatever comes of the goodbye.
    tokio::time::timeout(GOODBYE, connection.quit()).await.ok();
    Ok(said)
}

fn client_id(hello: &str) -> ClientId {
    ClientId::Domain(hello.to_owned())
}

fn words(response: &Response) -> String {
    let lines = response.message().collect::<Vec<_>>().join(" ");
    format!("{} {lines}", response.code()).chars().take(MAX_WORDS).collect()
}

/// How a server that begins without TLS goes on.
enum Preamble {
    /// It is ready for TLS.
    StartTls(TcpStream),
    /// It offers none.
    Plain(TcpStream),
}

/// Hears the greeting and asks for TLS.
async fn preamble(mut tcp: TcpStream, hello: &str) -> Result<Preamble, Unsent> {
    expect(&reply(&mut tcp).await?, "220")?;
    say(&mut tcp, &format!("EHLO {}\r\n", client_id(hello))).await?;
    let offers = reply(&mut tcp).await?;
    expect(&offers, "250")?;
    let offers_tls = offers
        .lines()
        .filter_map(|line| line.get(4..))
        .any(|word| word.trim().eq_ignore_ascii_case("STARTTLS"));
    if !offers_tls {
        return Ok(Preamble::Plain(tcp));
    }
    say(&mut tcp, "STARTTLS\r\n").await?;
    expect(&reply(&mut tcp).await?, "220")?;
    Ok(Preamble::StartTls(tcp))
}

async fn say(tcp: &mut TcpStream, line: &str) -> Result<(), Unsent> {
    tcp.write_all(line.as_bytes()).await.map_err(|error| lost(&error))
}

/// One whole reply. What follows it unasked is no mail server's: it would be taken for something that was said
/// through TLS.
async fn reply(tcp: &mut TcpStream) -> Result<String, Unsent> {
    let mut said = Vec::with_capacity(512);
    loop {
        if said.len() >= MAX_PREAMBLE_BYTES {
            return Err(Unsent::said(AttemptClass::ProtocolError, "the mail server says too much at once"));
        }
        let room = (MAX_PREAMBLE_BYTES - said.len()) as u64;
        if (&mut *tcp).take(room).read_buf(&mut said).await.map_err(|error| lost(&error))? == 0 {
            return Err(Unsent::said(AttemptClass::AnswerLost, "the mail server closed the connection"));
        }
        let text = String::from_utf8_lossy(&said);
        let Some(end) = last_line_end(&text) else { continue };
        if end < text.len() {
            return Err(Unsent::said(AttemptClass::ProtocolError, "the mail server speaks out of turn"));
        }
        return Ok(text.into_owned());
    }
}

/// Where a reply ends: after the first line that is not continued.
fn last_line_end(text: &str) -> Option<usize> {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if !line.ends_with('\n') {
            return None;
        }
        end += line.len();
        if line.as_bytes().get(3) != Some(&b'-') {
            return Some(end);
        }
    }
    None
}

fn expect(reply: &str, code: &str) -> Result<(), Unsent> {
    if reply.starts_with(code) {
        return Ok(());
    }
    let class = match reply.as_bytes().first() {
        Some(b'4') => AttemptClass::ServerError,
        Some(b'5') => AttemptClass::Refused,
        _ => AttemptClass::ProtocolError,
    };
    let said: String =
        reply.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_WORDS).collect();
    Err(Unsent::said(class, format!("the mail server says: {said}")))
}

fn lost(error: &io::Error) -> Unsent {
    Unsent::said(AttemptClass::AnswerLost, format!("the connection to the mail server broke: {error}"))
}

/// A stream on which a greeting is heard first.
struct Greeted {
    greeting: &'static [u8],
    stream: Stream,
    peer: Option<SocketAddr>,
}

impl fmt::Debug for Greeted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greeted").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl AsyncTokioStream for Greeted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Greeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.greeting.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.greeting.len().min(buffer.remaining());
        let (heard, left) = self.greeting.split_at(count);
        buffer.put_slice(heard);
        self.greeting = left;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
