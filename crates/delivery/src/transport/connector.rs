//! New connections. This is the one place that dials what a user chose (invariant 11): a name or a literal, it goes
//! through the guard, and only what the guard returned is dialled.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawhook_model::{PhaseTimings, TlsVersion, micros};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use url::{Host, Url};

use super::attempt::Reached;
use super::connection::HttpConnection;
use super::failure::{Failure, with_causes};
use super::profile::ConnectionProfile;
use super::proxy::{Proxy, ProxyFailure, Speaks};
use super::resolver::{ResolveError, Resolver};
use super::tls::Tls;
use super::{TransportOptions, host_of};
use crate::guard::{Guard, VettedAddress};

/// How many of a name's addresses are tried.
const MAX_DIALS: usize = 6;

#[derive(Debug)]
pub(super) struct Connector {
    guard: Guard,
    /// The guard of profiles that may reach what is private.
    private_guard: Guard,
    /// `None` is the straight way.
    proxy: Option<Proxy>,
    resolver: Resolver,
    tls: Tls,
    timeout: Duration,
}

/// What a connection is made to, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal<'a> {
    url: &'a Url,
    profile: &'a ConnectionProfile,
    port: u16,
    speaks: Speaks,
    began_at: Instant,
    deadline: Instant,
}

/// The way that a connection takes.
#[derive(Debug)]
enum Route<'a> {
    Straight,
    Through { proxy: &'a Proxy, addresses: Vec<IpAddr> },
}

impl Connector {
    pub(super) fn new(options: &TransportOptions, guard: Guard) -> Self {
        Self {
            private_guard: guard.reaching_private(),
            guard,
            proxy: options.proxy.clone(),
            resolver: Resolver::new(options.dns_servers.clone()),
            tls: Tls::new(options.tls_roots.clone()),
            timeout: options.connect_timeout,
        }
    }

    /// The guard that judges what is reached with `profile`.
    pub(super) fn guard(&self, profile: &ConnectionProfile) -> &Guard {
        if profile.allows_private() { &self.private_guard } else { &self.guard }
    }

    /// The TLS side of it, for profiles that are in the making.
    pub(super) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Connects to the URL's origin before `deadline` and before the connector's own, and notes each phase's time and
    /// whom it reached.
    pub(super) async fn connect(
        &self,
        url: &Url,
        profile: &ConnectionProfile,
        deadline: Instant,
        (timings, reached): (&mut PhaseTimings, &mut Reached),
    ) -> Result<HttpConnection, Failure> {
        let goal = self.goal(url, profile, Speaks::Second, deadline);
        let tcp = self.open(goal, (&mut *timings, &mut *reached)).await?;
        let stream = if url.scheme() == "https" {
            let config = self.tls_config(goal).await?;
            let tls = timed(&mut timings.tls_us, self.secure(goal, tcp, config)).await?;
            reached.tls_version = tls_version(&tls);
            Either::Right(Box::new(tls))
        } else {
            Either::Left(tcp)
        };
        Ok(HttpConnection::open(stream, *reached).await?)
    }

    /// What a connection to the URL's host and port is made to, before `deadline` and before the connector's own.
    pub(super) fn goal<'a>(
        &self,
        url: &'a Url,
        profile: &'a ConnectionProfile,
        speaks: Speaks,
        deadline: Instant,
    ) -> Goal<'a> {
        let began_at = Instant::now();
        let port = url.port_or_known_default().unwrap_or(0);
        Goal { url, profile, port, speaks, began_at, deadline: deadline.min(began_at + self.timeout) }
    }

    /// A connection to an address that the guard has vetted, without TLS.
    pub(super) async fn open(
        &self,
        goal: Goal<'_>,
        (timings, reached): (&mut PhaseTimings, &mut Reached),
    ) -> Result<TcpStream, Failure> {
        let addresses = self.vetted_addresses(goal, timings).await?;
        let tcp = timed(&mut timings.connect_us, self.dial(goal, &addresses)).await?;
        // Through a proxy the peer is the proxy, and says nothing of the receiver.
        reached.peer = tcp.peer_addr().ok().filter(|_| self.proxy.is_none());
        Ok(tcp)
    }

    /// TLS for a mail server, which is offered no protocol of HTTP.
    pub(super) async fn secure_for_mail(
        &self,
        goal: Goal<'_>,
        tcp: TcpStream,
        (timings, reached): (&mut PhaseTimings, &mut Reached),
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let mut config = (*self.tls_config(goal).await?).clone();
        config.alpn_protocols.clear();
        let tls = timed(&mut timings.tls_us, self.secure(goal, tcp, Arc::new(config))).await?;
        reached.tls_version = tls_version(&tls);
        Ok(tls)
    }

    async fn vetted_addresses(
        &self,
        goal: Goal<'_>,
        timings: &mut PhaseTimings,
    ) -> Result<Vec<VettedAddress>, Failure> {
        let addresses: Vec<IpAddr> = match goal.url.host() {
            Some(Host::Domain(name)) => timed(&mut timings.dns_us, self.resolve(goal, name)).await?,
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            None => Vec::new(),
        };
        let guard = self.guard(goal.profile);
        let vetted = guard.check_addresses(goal.url.host_str().unwrap_or_default(), &addresses);
        Ok(vetted.inspect_err(|refusal| {
            if let Some(detail) = refusal.operator_detail() {
                tracing::warn!(detail, "the guard refuses to dial");
            }
        })?)
    }

    async fn resolve(&self, goal: Goal<'_>, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let host = host_of(goal.url);
        match goal.within_time(self.resolver.resolve(name)).await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(ResolveError::UnknownName)) => Err(Failure::UnknownName(host)),
            Ok(Err(ResolveError::NoAddress)) => Err(Failure::NoAddress(host)),
            Ok(Err(ResolveError::Failed(why))) => Err(Failure::ResolverFailed { host, why }),
            Err(Elapsed { .. }) => {
                self.resolver.note_failure();
                Err(Failure::ResolverFailed {
                    host,
                    why: "the DNS servers gave no answer in time".to_owned(),
                })
            }
        }
    }

    /// The way to receivers: straight, or through the operator's proxy.
    async fn route(&self, goal: Goal<'_>) -> Result<Route<'_>, Failure> {
        let Some(proxy) = &self.proxy else { return Ok(Route::Straight) };
        let failed = |failure| goal.proxy_failed(failure);
        match goal.within_time(proxy.addresses(&self.resolver)).await {
            Ok(found) => Ok(Route::Through { proxy, addresses: found.map_err(failed)? }),
            Err(Elapsed { .. }) => Err(failed(ProxyFailure::Timeout)),
        }
    }

    /// Tries the addresses in turn, each with an even share of the time that is left.
    async fn dial(&self, goal: Goal<'_>, addresses: &[VettedAddress]) -> Result<TcpStream, Failure> {
        let route = self.route(goal).await?;
        let candidates = &addresses[..addresses.len().min(MAX_DIALS)];
        let mut failure = Failure::NoAddress(host_of(goal.url));
        for (tried, address) in candidates.iter().enumerate() {
            let left = goal.deadline.saturating_duration_since(Instant::now());
            let share = left.div_f64((candidates.len() - tried) as f64);
            let latest = match tokio::time::timeout(share, route.dial(goal, *address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(failure @ Failure::WrongPeer { .. })) => return Err(failure),
                Ok(Err(failure)) => failure,
                Err(Elapsed { .. }) => route.timeout(goal),
            };
            // Where one address failed by the receiver's fault, it is not hidden by another that cannot be dialled from
            // here, such as an IPv6 one on a machine without IPv6.
            if tried == 0 || !latest.class().is_own_fault() {
                failure = latest;
            }
        }
        Err(failure)
    }

    async fn tls_config(&self, goal: Goal<'_>) -> Result<Arc<ClientConfig>, Failure> {
        match goal.profile.tls() {
            Some(own) => Ok(own.clone()),
            None => self.tls.config().await,
        }
    }

    async fn secure(
        &self,
        goal: Goal<'_>,
        tcp: TcpStream,
        config: Arc<ClientConfig>,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let host = host_of(goal.url);
        let server_name = match server_name(goal.url) {
            Ok(name) => name,
            Err(why) => return Err(Failure::Tls { host, why }),
        };
        let connector = TlsConnector::from(config);
        match goal.within_time(connector.connect(server_name, tcp)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Failure::Tls { host, why: with_causes(&error) }),
            Err(Elapsed { .. }) => Err(Failure::TlsTimeout { host, within: goal.allotted() }),
        }
    }
}

impl Goal<'_> {
    async fn within_time<F: Future>(&self, work: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout_at(self.deadline.into(), work).await
    }

    fn allotted(&self) -> Duration {
        self.deadline - self.began_at
    }

    fn proxy_failed(&self, failure: ProxyFailure) -> Failure {
        Failure::Proxy { host: host_of(self.url), failure }
    }
}

impl Route<'_> {
    async fn dial(&self, goal: Goal<'_>, address: VettedAddress) -> Result<TcpStream, Failure> {
        match self {
            Self::Straight => match dial_one(address, goal.port).await {
                Ok(stream) if peer_is(&stream, address) => Ok(stream),
                Ok(_) => Err(Failure::WrongPeer { host: host_of(goal.url) }),
                Err(error) => Err(Failure::Connect { host: host_of(goal.url), port: goal.port, error }),
            },
            Self::Through { proxy, addresses } => {
                let tunnel = proxy.tunnel(addresses, address, goal.port, goal.speaks).await;
                tunnel.map_err(|failure| goal.proxy_failed(failure))
            }
        }
    }

    /// What it means that a dial did not end in time.
    fn timeout(&self, goal: Goal<'_>) -> Failure {
        match self {
            Self::Straight => {
                Failure::ConnectTimeout { host: host_of(goal.url), port: goal.port, within: goal.allotted() }
            }
            Self::Through { .. } => goal.proxy_failed(ProxyFailure::Timeout),
        }
    }
}

async fn dial_one(address: VettedAddress, port: u16) -> io::Result<TcpStream> {
    #[expect(clippy::disallowed_methods, reason = "this is the gate: the guard has vetted this very address")]
    let stream = TcpStream::connect(SocketAddr::new(address.ip(), port)).await?;
    // A request is one write, and waiting for more to send with it would only delay it.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn tls_version(stream: &TlsStream<TcpStream>) -> Option<TlsVersion> {
    match stream.get_ref().1.protocol_version()? {
        ProtocolVersion::TLSv1_2 => Some(TlsVersion::V1_2),
        ProtocolVersion::TLSv1_3 => Some(TlsVersion::V1_3),
        _ => None,
    }
}

fn peer_is(stream: &TcpStream, address: VettedAddress) -> bool {
    stream.peer_addr().is_ok_and(|peer| peer.ip() == address.ip())
}

/// The name that the certificate must bear.
fn server_name(url: &Url) -> Result<ServerName<'static>, String> {
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(ServerName::IpAddress(IpAddr::from(address).into())),
        Some(Host::Ipv6(address)) => Ok(ServerName::IpAddress(IpAddr::from(address).into())),
        Some(Host::Domain(name)) => {
            let bare = name.strip_suffix('.').unwrap_or(name);
            ServerName::try_from(bare.to_owned()).map_err(|error| error.to_string())
        }
        None => Err("the URL names no host".to_owned()),
    }
}

/// Runs `work` and notes how long it took, whether it succeeds or not.
async fn timed<F: Future>(slot: &mut Option<u64>, work: F) -> F::Output {
    let began_at = Instant::now();
    let output = work.await;
    *slot = Some(micros(began_at.elapsed()));
    output
}
