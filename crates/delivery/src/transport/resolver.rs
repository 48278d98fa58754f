//! Names to addresses: the hosts file first, then DNS, and always the name as it stands, never under a search domain.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{self, Either};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};

/// How long an answer is believed at most: a moved receiver is found again within this.
const MAX_POSITIVE_TTL: Duration = Duration::from_secs(5 * 60);
/// How long a refusal is believed at most: a name that has just been made is found within this.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(30);
/// How long one question waits for its answer before it is asked once more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const REPEATS: usize = 1;
/// How many answers are kept.
const CACHE_SIZE: u64 = 1_024;
/// How long the IPv6 answer is waited for once an IPv4 one is there; some servers never answer it.
const IPV6_GRACE: Duration = Duration::from_millis(300);
/// How old the system's configuration may grow before it is read again.
const CONFIGURATION_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// The same once a question has failed: the machine may have moved to another network.
const FAILED_CONFIGURATION_LIFETIME: Duration = Duration::from_secs(5);

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResolveError {
    /// It does not exist.
    UnknownName,
    /// It exists, without an address.
    NoAddress,
    /// Our resolver failed; nothing is known of the name.
    Failed(String),
}

#[derive(Debug)]
pub(super) struct Resolver {
    /// None means the system's.
    servers: Vec<SocketAddr>,
    configured: Mutex<Option<Configured>>,
}

#[derive(Debug, Clone)]
struct Configured {
    dns: TokioResolver,
    hosts: Arc<Hosts>,
    read_at: Instant,
    has_failed: bool,
}

impl Resolver {
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, configured: Mutex::new(None) }
    }

    /// Every address of `host`, IPv4 first.
    pub(super) async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        // A name that DNS cannot carry is a name that does not exist.
        let mut name = Name::from_ascii(host).map_err(|_| ResolveError::UnknownName)?;
        name.set_fqdn(true);
        let configured = self.configured()?;
        if let Some(addresses) = configured.in_hosts_file(&name) {
            return Ok(addresses);
        }
        let answer = ask(&configured.dns, name).await;
        if let Err(ResolveError::Failed(_)) = &answer {
            self.note_failure();
        }
        answer
    }

    /// Called as well by whoever gave up waiting.
    pub(super) fn note_failure(&self) {
        if let Some(configured) = self.lock().as_mut() {
            configured.has_failed = true;
        }
    }

    fn configured(&self) -> Result<Configured, ResolveError> {
        let mut slot = self.lock();
        if let Some(configured) = slot.as_ref().filter(|it| it.is_fresh()) {
            return Ok(configured.clone());
        }
        let configured = configure(&self.servers)
            .map_err(|error| ResolveError::Failed(format!("the resolver cannot be set up: {error}")))?;
        Ok(slot.insert(configured).clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Configured>> {
        self.configured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Configured {
    fn is_fresh(&self) -> bool {
        let lifetime = if self.has_failed { FAILED_CONFIGURATION_LIFETIME } else { CONFIGURATION_LIFETIME };
        self.read_at.elapsed() < lifetime
    }

    /// What the hosts file says of a name it knows; as everywhere, its word is the last.
    fn in_hosts_file(&self, name: &Name) -> Option<Vec<IpAddr>> {
        let found: Vec<IpAddr> = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind)))
            .flat_map(|lookup| addresses_in(&lookup))
            .collect();
        (!found.is_empty()).then_some(found)
    }
}

fn configure(servers: &[SocketAddr]) -> Result<Configured, NetError> {
    let servers = match servers {
        [] => system_conf::read_system_conf()?.0.into_parts().2,
        servers => servers.iter().copied().map(name_server).collect(),
    };
    let mut options = ResolverOpts::default();
    options.timeout = ANSWER_TIMEOUT;
    options.attempts = REPEATS;
    options.cache_size = CACHE_SIZE;
    options.positive_max_ttl = Some(MAX_POSITIVE_TTL);
    options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
    options.try_tcp_on_error = true;
    // The hosts file is asked here, before DNS: a name that stands in it must not wait for a DNS that may be away.
    options.use_hosts_file = ResolveHosts::Never;
    let config = ResolverConfig::from_name_servers(servers);
    let dns = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()?;
    let hosts = Arc::new(Hosts::from_system().unwrap_or_default());
    Ok(Configured { dns, hosts, read_at: Instant::now(), has_failed: false })
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

/// Asks for both kinds of address at once.
async fn ask(dns: &TokioResolver, name: Name) -> Result<Vec<IpAddr>, ResolveError> {
    let v4 = pin!(dns.lookup(name.clone(), RecordType::A));
    let v6 = pin!(dns.lookup(name, RecordType::AAAA));
    let (v4, v6) = match future::select(v4, v6).await {
        Either::Left((v4, v6)) => {
            let v4 = verdict(v4);
            let v6 = match v4 {
                Ok(_) => tokio::time::timeout(IPV6_GRACE, v6).await.map_or(Ok(Vec::new()), verdict),
                Err(_) => verdict(v6.await),
            };
            (v4, v6)
        }
        Either::Right((v6, v4)) => (verdict(v4.await), verdict(v6)),
    };
    both(v4, v6)
}

fn verdict(answer: Result<Lookup, NetError>) -> Result<Vec<IpAddr>, ResolveError> {
    match answer {
        Ok(lookup) => match addresses_in(&lookup) {
            found if found.is_empty() => Err(ResolveError::NoAddress),
            found => Ok(found),
        },
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => Err(match none.response_code {
            ResponseCode::NXDomain => ResolveError::UnknownName,
            ResponseCode::NoError => ResolveError::NoAddress,
            other => ResolveError::Failed(format!("the DNS server answered {other}")),
        }),
        Err(error) => Err(ResolveError::Failed(error.to_string())),
    }
}

/// What two answers amount to. Where one is an address, the other's failure does not matter; where none is, a failure
/// leaves open what the name has.
fn both(
    v4: Result<Vec<IpAddr>, ResolveError>,
    v6: Result<Vec<IpAddr>, ResolveError>,
) -> Result<Vec<IpAddr>, ResolveError> {
    use ResolveError::{Failed, NoAddress, UnknownName};
    match (v4, v6) {
        (Ok(mut v4), Ok(v6)) => {
            v4.extend(v6);
            Ok(v4)
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        (Err(Failed(why)), Err(_)) | (Err(_), Err(Failed(why))) => Err(Failed(why)),
        (Err(UnknownName), Err(_)) | (Err(_), Err(UnknownName)) => Err(UnknownName),
        (Err(NoAddress), Err(NoAddress)) => Err(NoAddress),
    }
}

fn addresses_in(lookup: &Lookup) -> Vec<IpAddr> {
    lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_of_address_suffices_and_a_failure_is_not_taken_for_absence() {
        let found = || Ok(vec![IpAddr::from([192, 0, 2, 1])]);
        let failed = || Err(ResolveError::Failed("away".into()));
        assert_eq!(both(found(), failed()), found());
        assert_eq!(both(Err(ResolveError::NoAddress), found()), found());
        assert_eq!(both(Err(ResolveError::NoAddress), failed()), failed());
        assert_eq!(both(failed(), Err(ResolveError::UnknownName)), failed());
        assert_eq!(
            both(Err(ResolveError::UnknownName), Err(ResolveError::UnknownName)),
            Err(ResolveError::UnknownName)
        );
    }
}
