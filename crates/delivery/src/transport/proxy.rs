//! The operator's own proxy: it is asked for a tunnel to an address that the guard has vetted, and learns no name.
//!
//! Its address is the operator's choice and not a user's, so the guard has no say in it. The environment's proxies
//! are never asked: whoever sets those does not know that this process dials on the word of others.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clawhook_model::AttemptClass;
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::resolver::{ResolveError, Resolver};
use crate::guard::VettedAddress;

/// The most that the head of a proxy's answer may take.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A proxy that speaks `CONNECT`. `Debug` shows no credentials.
#[derive(Debug, Clone)]
pub struct Proxy {
    host: Host<String>,
    port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<SecretString>,
}

/// Why something is not a proxy, to follow the name of its setting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProxyError {
    /// It does not parse.
    #[error("is not a URL: {0}")]
    Unparsable(url::ParseError),
    /// The way to it is not plain HTTP.
    #[error("must begin with http://")]
    Scheme,
    /// The credentials stand in the wrong place.
    #[error("carries a user name or password, which belong in `delivery.proxyCredentials`")]
    Credentials,
    /// There is more than host and port.
    #[error("must end with the port, as in http://proxy.example.com:3128")]
    Path,
    /// Credentials of another form.
    #[error("must be of the form user:password, without control characters")]
    CredentialsForm,
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let url = Url::parse(text.trim()).map_err(ProxyError::Unparsable)?;
        if url.scheme() != "http" {
            return Err(ProxyError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ProxyError::Credentials);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Path);
        }
        let host = url.host().ok_or(ProxyError::Path)?.to_owned();
        Ok(Self { host, port: url.port_or_known_default().unwrap_or(80), authorization: None })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// Why there is no tunnel. No text names the proxy: users read it, and the proxy is the operator's affair.
#[derive(Debug, Error)]
pub(super) enum ProxyFailure {
    #[error("its name could not be resolved: {0}")]
    Unresolved(String),
    #[error("it cannot be connected to: {0}")]
    Connect(io::Error),
    #[error("it did not answer in time")]
    Timeout,
    #[error("it refuses with HTTP {0}")]
    Refused(u16),
    #[error("it could not reach the receiver and says HTTP {0}")]
    Unreachable(u16),
    #[error("it closed the connection before it had answered")]
    Closed,
    #[error("its answer is not HTTP")]
    NotHttp,
}

impl ProxyFailure {
    /// The class of an attempt that ends so. What a proxy says of the receiver is the receiver's.
    pub(super) fn class(&self) -> AttemptClass {
        match self {
            Self::Unreachable(504) => AttemptClass::ConnectTimeout,
            Self::Unreachable(_) => AttemptClass::ConnectFailed,
            _ => AttemptClass::ProxyFailed,
        }
    }
}

impl Proxy {
    /// The same proxy with credentials, `user:password`.
    pub fn with_credentials(self, credentials: &SecretString) -> Result<Self, ProxyError> {
        let text = credentials.expose_secret();
        if !text.contains(':') || text.contains(char::is_control) {
            return Err(ProxyError::CredentialsForm);
        }
        let authorization = SecretString::from(format!("Basic {}", STANDARD.encode(text)));
        Ok(Self { authorization: Some(authorization), ..self })
    }

    /// The addresses of the proxy itself.
    pub(super) async fn addresses(&self, resolver: &Resolver) -> Result<Vec<IpAddr>, ProxyFailure> {
        match &self.host {
            Host::Ipv4(address) => Ok(vec![(*address).into()]),
            Host::Ipv6(address) => Ok(vec![(*address).into()]),
            Host::Domain(name) => resolver.resolve(name).await.map_err(|error| {
                ProxyFailure::Unresolved(match error {
                    ResolveError::UnknownName => "it does not exist".to_owned(),
                    ResolveError::NoAddress => "it has no address".to_owned(),
                    ResolveError::Failed(why) => why,
                })
            }),
        }
    }

    /// A tunnel to `target` through the proxy at the first of `addresses` that can be connected to.
    pub(super) async fn tunnel(
        &self,
        addresses: &[IpAddr],
        target: VettedAddress,
        port: u16,
        speaks: Speaks,
    ) -> Result<TcpStream, ProxyFailure> {
        let mut stream = self.connect(addresses).await?;
        let target = SocketAddr::new(target.ip(), port);
        stream.write_all(self.request(target).expose_secret().as_bytes()).await.map_err(broken)?;
        match status(&answer_head(&mut stream, speaks).await?)? {
            200..=299 => Ok(stream),
            // By these the proxies in use tell that they were refused, or waited in vain.
            status @ 502..=504 => Err(ProxyFailure::Unreachable(status)),
            status => Err(ProxyFailure::Refused(status)),
        }
    }

    async fn connect(&self, addresses: &[IpAddr]) -> Result<TcpStream, ProxyFailure> {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(*ip, self.port)).collect();
        #[expect(clippy::disallowed_methods, reason = "the proxy is the operator's choice, not a user's")]
        let stream = TcpStream::connect(&addresses[..]).await.map_err(ProxyFailure::Connect)?;
        stream.set_nodelay(true).map_err(ProxyFailure::Connect)?;
        Ok(stream)
    }

    fn request(&self, target: SocketAddr) -> SecretString {
        let mut text = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            text.push_str("Proxy-Authorization: ");
            text.push_str(authorization.expose_secret());
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.into()
    }
}

/// Who is heard first at the other end of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// We are.
    Second,
    /// The server is: it greets.
    First,
}

/// Reads the head of the proxy's answer, and nothing of what follows it: where the receiver speaks only when it was spoken
/// to, nothing may follow.
async fn answer_head(stream: &mut TcpStream, speaks: Speaks) -> Result<Vec<u8>, ProxyFailure> {
    let mut head = Vec::with_capacity(512);
    loop {
        let room = MAX_HEAD_BYTES - head.len();
        if room == 0 {
            return Err(ProxyFailure::NotHttp);
        }
        let at_once = if speaks == Speaks::First { 1 } else { room };
        if (&mut *stream).take(at_once as u64).read_buf(&mut head).await.map_err(broken)? == 0 {
            return Err(ProxyFailure::Closed);
        }
        if !b"HTTP/1.".starts_with(&head[..head.len().min(7)]) {
            return Err(ProxyFailure::NotHttp);
        }
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            let is_granted = status(&head).is_ok_and(|status| (200..300).contains(&status));
            let more_follows = head.len() > end + 4;
            return if is_granted && more_follows { Err(ProxyFailure::NotHttp) } else { Ok(head) };
        }
    }
}

/// The status of an answer that begins `HTTP/1.1 200`.
fn status(head: &[u8]) -> Result<u16, ProxyFailure> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', digits @ ..] = head else {
        return Err(ProxyFailure::NotHttp);
    };
    match digits {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ' | b'\r', ..] => {
            Ok([a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(**digit - b'0')))
        }
        _ => Err(ProxyFailure::NotHttp),
    }
}

fn broken(error: io::Error) -> ProxyFailure {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ProxyFailure::Closed,
        _ => ProxyFailure::Connect(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_host_and_port_and_nothing_else() {
        for (text, shown) in [
            ("http://proxy.example.com:3128", "http://proxy.example.com:3128"),
            (" http://10.0.0.1 ", "http://10.0.0.1:80"),
            ("http://[fd00::1]:8080/", "http://[fd00::1]:8080"),
        ] {
            assert_eq!(text.parse::<Proxy>().unwrap().to_string(), shown);
        }
        for (text, error) in [
            ("https://proxy:3128", ProxyError::Scheme),
            ("socks5://proxy:1080", ProxyError::Scheme),
            ("http://user:s3cret@proxy:3128", ProxyError::Credentials),
            ("http://proxy:3128/path", ProxyError::Path),
            ("http://proxy:3128?a", ProxyError::Path),
            ("proxy", ProxyError::Unparsable(url::ParseError::RelativeUrlWithoutBase)),
        ] {
            assert_eq!(text.parse::<Proxy>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn i12_credentials_are_sent_as_basic_and_shown_to_nobody() {
        let proxy: Proxy = "http://proxy:3128".parse().unwrap();
        let with = proxy.clone().with_credentials(&"Aladdin:open sesame".into()).unwrap();
        let request = with.request("203.0.113.1:443".parse().unwrap());
        let expected = "CONNECT 203.0.113.1:443 HTTP/1.1\r\nHost: 203.0.113.1:443\r\n\
                        Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
        assert_eq!(request.expose_secret(), expected);
        assert!(!format!("{with:?} {with}").contains("QWxh"));
        for wrong in ["no colon", "a:b\r\nX: y"] {
            let error = proxy.clone().with_credentials(&wrong.into()).unwrap_err();
            assert_eq!(error, ProxyError::CredentialsForm);
        }
    }

    #[test]
    fn only_an_http_status_line_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n").unwrap(), 200);
        assert_eq!(status(b"HTTP/1.0 407\r\n").unwrap(), 407);
        for garbage in ["HTTP/2 200\r\n", "HTTP/1.1 2000 x", "HTTP/1.1 20", "SSH-2.0-x", "HTTP/1.1 000 x", ""]
        {
            assert!(status(garbage.as_bytes()).is_err(), "{garbage}");
        }
    }
}
