//! The transport: one request, to one address, with everything that can go wrong on the way told apart.
//!
//! The cast, in the order a request meets it:
//! - the [`Guard`] judges the URL, and later each address it resolves to;
//! - `Pool` keeps idle connections by profile and origin;
//! - `Connector` makes new ones: `Resolver` asks DNS, the guard vets every answer, a vetted address and nothing
//!   else is dialled (or, where the operator set one, asked of the [`Proxy`]), the peer is checked, and `tls` shakes
//!   hands as the destination's [`ConnectionProfile`] says;
//! - `mail` hands messages to mail servers over such connections;
//! - `HttpConnection` speaks HTTP/1.1 on one of them. It has no task of its own: whoever waits for the answer drives
//!   it, so a request that is given up closes its connection, and nothing runs on in the background. `Metered` ends
//!   the reading where a receiver sends on and on and never answers;
//! - `Failure` names what went wrong and the [`AttemptClass`](clawhook_model::AttemptClass) that it amounts to.
//!
//! One budget covers everything from DNS to the body's last byte. Redirects are not followed, the environment's
//! proxies are not asked, bodies are not decompressed, and no more of an answer is read than will be kept.
//!
//! What is not guaranteed: that an attempt which failed after its request was sent did not arrive. Those classes say
//! so, and the receiver tells repeats apart by the event's id.

mod attempt;
mod carrier;
mod connection;
mod connector;
mod failure;
mod mail;
mod metered;
mod pool;
mod profile;
mod proxy;
mod resolver;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clawhook_model::{AttemptReport, WebhookUrl};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use rustls::pki_types::CertificateDer;
use url::{Position, Url};

use crate::guard::Guard;

pub(crate) use attempt::ANSWERED;
use attempt::Attempt;
use connection::{BodyEnd, HttpConnection, Unanswered};
use connector::Connector;
use failure::Failure;
use pool::Pool;

pub use carrier::Carrier;
pub use mail::MailRequest;
pub use profile::{ClientIdentity, ConnectionProfile, ProfileError, ProfileOptions};
pub use proxy::{Proxy, ProxyError};

/// How long a [`Transport`] waits, how much it reads, and what it trusts.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// The time for a connection: DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The time for everything, the answer's body included. A lease must outlive it.
    pub total_timeout: Duration,
    /// How much of an answer's body is read; a connection with more to say is closed.
    pub max_response_bytes: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How many idle connections are kept for one origin.
    pub max_idle_per_host: usize,
    /// The `User-Agent` of requests that bring none.
    pub user_agent: HeaderValue,
    /// The DNS servers to ask; none means the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// Whose certificates are believed.
    pub tls_roots: TlsRoots,
    /// The proxy that every connection goes through; the environment's are never asked.
    pub proxy: Option<Proxy>,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(15),
            max_response_bytes: 64 * 1024,
            idle_timeout: Duration::from_secs(30),
            max_idle_per_host: 256,
            user_agent: HeaderValue::from_static(concat!("clawhook/", env!("CARGO_PKG_VERSION"))),
            dns_servers: Vec::new(),
            tls_roots: TlsRoots::default(),
            proxy: None,
        }
    }
}

/// The certificate authorities that a [`Transport`] believes. The system's are read when they are first needed.
#[derive(Debug, Clone, Default)]
pub enum TlsRoots {
    /// The system's.
    #[default]
    System,
    /// The system's, and these.
    SystemAnd(Vec<CertificateDer<'static>>),
    /// These and no others.
    Only(Vec<CertificateDer<'static>>),
}

/// One request with a body: a POST, or where an API wants that, a PUT.
#[derive(Debug)]
pub struct PostRequest<'a> {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: &'a WebhookUrl,
    /// How it gets there; only requests with the same profile share connections.
    pub profile: &'a ConnectionProfile,
    /// Its headers. `Host` and what frames the body are set by the transport.
    pub headers: HeaderMap,
    /// The exact bytes that were signed.
    pub body: Bytes,
}

/// Sends requests to addresses that a user or an agent chose. Cheap to clone; all clones share the connections.
#[derive(Debug, Clone)]
pub struct Transport {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: TransportOptions,
    connector: Connector,
    pool: Arc<Pool>,
}

impl Transport {
    /// A transport. TLS and DNS are set up when they are first needed, and no task runs while no connection is idle.
    pub fn new(options: TransportOptions, guard: Guard) -> Self {
        let connector = Connector::new(&options, guard);
        let pool = Arc::new(Pool::new(options.idle_timeout, options.max_idle_per_host));
        Self { inner: Arc::new(Inner { options, connector, pool }) }
    }

    /// The time for everything, where a destination has none of its own.
    pub fn total_timeout(&self) -> Duration {
        self.inner.options.total_timeout
    }

    /// The time for everything with `profile`; no request takes longer, so a lease must outlive it.
    pub fn timeout_for(&self, profile: &ConnectionProfile) -> Duration {
        profile.total_timeout().unwrap_or(self.total_timeout())
    }

    /// Makes a destination's connections ready, once: certificates are read and keys tried here and not while
    /// something waits to be sent.
    pub async fn profile(&self, options: ProfileOptions) -> Result<ConnectionProfile, ProfileError> {
        let ProfileOptions { allow_private, extra_roots, client, total_timeout } = options;
        let tls = match (extra_roots.as_deref(), client.as_ref()) {
            (None, None) => None,
            (roots, client) => Some(self.inner.connector.tls().config_for(roots, client).await?),
        };
        Ok(ConnectionProfile::new(allow_private, tls, total_timeout))
    }

    /// Sends one request and tells what came of it. Dropping the future closes the connection.
    pub async fn send(&self, request: PostRequest<'_>) -> AttemptReport {
        let total = self.timeout_for(request.profile);
        let mut attempt = Attempt::begin();
        let deadline = attempt.started_at() + total;
        let outcome =
            tokio::time::timeout_at(deadline.into(), self.inner.carry(request, deadline, &mut attempt));
        let outcome = outcome.await.unwrap_or(Err(Failure::AnswerTimeout(total)));
        attempt.into_report(outcome.err())
    }
}

impl Inner {
    async fn carry(
        &self,
        request: PostRequest<'_>,
        deadline: Instant,
        attempt: &mut Attempt,
    ) -> Result<(), Failure> {
        let PostRequest { url, profile, .. } = request;
        self.connector.guard(profile).check_url(url)?;
        let message = self.message(request)?;
        let (mut connection, answer) = self.exchange(url.url(), profile, message, deadline, attempt).await?;
        let (head, mut body) = answer.into_parts();
        attempt.answer_began(&head);
        let end =
            connection.read_body(&mut body, self.options.max_response_bytes, attempt.body_buffer()).await;
        attempt.answer_ended(end.as_ref().ok());
        if end? == BodyEnd::Complete && connection.is_reusable().await {
            self.pool.put(profile.id(), origin(url.url()), connection, &head.headers);
        }
        Ok(())
    }

    /// Has `message` answered, on an idle connection or on a new one.
    async fn exchange(
        &self,
        url: &Url,
        profile: &ConnectionProfile,
        mut message: Message,
        deadline: Instant,
        attempt: &mut Attempt,
    ) -> Result<(HttpConnection, Answer), Failure> {
        loop {
            let idle = self.pool.take(profile.id(), origin(url));
            let reused = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.connector.connect(url, profile, deadline, attempt.connecting()).await?,
            };
            attempt.request_begins(message.headers(), connection.reached(), reused);
            match connection.exchange(message).await {
                Ok(answer) => return Ok((connection, answer)),
                // The receiver had closed the idle connection, and not a byte was written: it is as if it had never
                // been there.
                Err(Unanswered::Unsent(unsent, _)) if reused => message = *unsent,
                Err(Unanswered::Unsent(_, error)) => {
                    return Err(Failure::ClosedBeforeRequest { host: host_of(url), why: error.to_string() });
                }
                Err(Unanswered::Broken(error)) => return Err(error.into()),
            }
        }
    }

    /// The request as it is written: in origin form, with the headers that the transport answers for.
    fn message(&self, request: PostRequest<'_>) -> Result<Message, Failure> {
        let PostRequest { method, url, mut headers, body, .. } = request;
        let url = url.url();
        let path = PathAndQuery::try_from(&url[Position::BeforePath..Position::AfterQuery])
            .map_err(|error| Failure::Unsendable(error.to_string()))?;
        let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
            .map_err(|error| Failure::Unsendable(error.to_string()))?;
        for framing in [CONNECTION, TRANSFER_ENCODING] {
            headers.remove(framing);
        }
        headers.insert(HOST, host);
        // It would be added further down; here, the record of the attempt sees it.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.entry(USER_AGENT).or_insert_with(|| self.options.user_agent.clone());

        let mut message = Request::new(Full::new(body));
        *message.method_mut() = method;
        *message.uri_mut() = Uri::from(path);
        *message.headers_mut() = headers;
        Ok(message)
    }
}

/// A request on its way.
type Message = Request<Full<Bytes>>;

/// An answer whose head has come.
type Answer = http::Response<hyper::body::Incoming>;

/// Scheme, host and port, as the URL spells them: what connections are shared by.
fn origin(url: &Url) -> &str {
    &url[..Position::AfterPort]
}

/// The host, for messages.
fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}
