//! The guard: which addresses may be dialled on a user's or an agent's word (invariant 11).
//!
//! It is asked twice. [`Guard::check_url`] needs no network and answers while a job is being saved.
//! [`Guard::check_addresses`] judges what a name resolved to, at the moment of dialling, and what it returns is the
//! only thing that the transport dials: a name that changes its mind between the check and the call gains nothing.
//!
//! What the guard does not promise: it knows no more than addresses. A public host that forwards requests to an
//! inner one gets past it; the outer wall against that is the network's own.

mod ranges;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use clawhook_model::WebhookUrl;
use thiserror::Error;
use url::{Host, Url};

/// The setting that allows a host, as it is named to people.
const ALLOWED_HOSTS_SETTING: &str = "cron.webhookSsrfPolicy.allowedHostnames";
/// The setting that allows a port.
const PORTS_SETTING: &str = "delivery.ports";
/// The setting that allows one destination what is private.
const ALLOW_PRIVATE_SETTING: &str = "network.allowPrivate";

/// The ports of HTTP, on which everybody expects requests from strangers.
const HTTP_PORTS: [u16; 2] = [443, 80];
/// The ports of mail servers.
const MAIL_PORTS: [u16; 4] = [25, 465, 587, 2525];

/// What a guard allows beyond the public Internet.
#[derive(Debug, Clone, Default)]
pub struct GuardPolicy {
    /// `cron.webhookSsrfPolicy.allowedHostnames`: exact host names or IP literals, in any case.
    pub allowed_hosts: Vec<String>,
    /// `delivery.ports`: ports beside 443 and 80.
    pub ports: Vec<u16>,
}

/// Decides what may be dialled. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Guard {
    allowed: Arc<HashSet<HostKey>>,
    ports: Arc<[u16]>,
    reach: Reach,
}

/// Where hosts may lie that are not allowed by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// On the public Internet, behind TLS and a port of HTTP.
    Public,
    /// In a private network or on this machine as well.
    Private,
}

/// A host in the one spelling that is compared: addresses as numbers, names in lower case and without the last dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum HostKey {
    Name(Box<str>),
    Address(IpAddr),
}

/// An address that the guard has allowed for the host it was asked about. Nothing else can make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VettedAddress(IpAddr);

impl VettedAddress {
    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

/// Why the guard refuses. `Display` is for the user and never shows what a name resolved to; [`Self::operator_detail`]
/// does.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GuardRefusal {
    /// Plain http to a host that is not allowed by name.
    #[error("`http://{host}` is not encrypted; a webhook needs https")]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// A port that is not one of HTTP's, where something else may listen and act on what it hears.
    #[error("webhooks do not go to port {port}, which `{host}` was given with")]
    Port {
        /// The host.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A name without a dot, which means something only inside a network.
    #[error("`{host}` is a name of a local network, and a webhook goes to a public host")]
    SingleLabel {
        /// The name.
        host: String,
    },
    /// A name under a domain that is kept for local use.
    #[error(
        "`{host}` lies under `{domain}`, which is kept for local use, and a webhook goes to a public host"
    )]
    LocalDomain {
        /// The name.
        host: String,
        /// The domain.
        domain: &'static str,
    },
    /// The name of a cloud's metadata service.
    #[error("`{host}` is a cloud's metadata service")]
    MetadataName {
        /// The name.
        host: String,
    },
    /// A literal address outside the public Internet.
    #[error("`{address}` is {kind}, and a webhook goes to a public address")]
    Address {
        /// The address, as the user gave it.
        address: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// A name, at least one of whose addresses is outside the public Internet.
    #[error("`{host}` resolves to an address that is not of the public Internet")]
    ResolvesInside {
        /// The name.
        host: String,
        /// The address, for operators.
        address: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// A name that is allowed, and yet resolves to where not even an allowed name may point.
    #[error("`{host}` is allowed, but resolves to an address that no name may point to")]
    ResolvesToMetadata {
        /// The name.
        host: String,
        /// The address, for operators.
        address: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// The URL names no host.
    #[error("the URL names no host")]
    NoHost,
}

impl GuardRefusal {
    /// How the operator can allow it.
    pub fn hint(&self) -> String {
        match self {
            Self::PlainHttp { host }
            | Self::SingleLabel { host }
            | Self::LocalDomain { host, .. }
            | Self::ResolvesInside { host, .. } => {
                format!("{}, or set `{ALLOW_PRIVATE_SETTING}` of its destination", allow_hint(host))
            }
            Self::Port { port, .. } => format!("if that is meant, add {port} to `{PORTS_SETTING}`"),
            Self::MetadataName { host } => allow_hint(host),
            Self::Address { address, .. } => allow_hint(&address.to_string()),
            Self::ResolvesToMetadata { .. } => {
                format!("if it must be, add that very address to `{ALLOWED_HOSTS_SETTING}` as well")
            }
            Self::NoHost => "give a URL such as https://example.com/webhook".to_owned(),
        }
    }

    /// The address behind the refusal, for logs that only operators read.
    pub fn operator_detail(&self) -> Option<String> {
        match self {
            Self::ResolvesInside { host, address, kind }
            | Self::ResolvesToMetadata { host, address, kind } => {
                Some(format!("`{host}` resolves to {address}, which is {kind}"))
            }
            _ => None,
        }
    }
}

fn allow_hint(host: &str) -> String {
    format!("if that is meant, add `{host}` to `{ALLOWED_HOSTS_SETTING}`")
}

/// Domains kept for use inside a network, by RFC or by ICANN.
const LOCAL_DOMAINS: &[&str] = &["localhost", "local", "internal", "home.arpa"];

/// Metadata services that have a name.
const METADATA_NAMES: &[&str] = &["metadata.goog", "metadata.google.internal", "metadata.tencentyun.com"];

impl Guard {
    /// A guard that allows the public Internet and what `policy` names.
    pub fn new(policy: GuardPolicy) -> Self {
        Self {
            allowed: Arc::new(policy.allowed_hosts.into_iter().map(|host| HostKey::parse(&host)).collect()),
            ports: policy.ports.into_iter().chain(HTTP_PORTS).collect(),
            reach: Reach::Public,
        }
    }

    /// The same guard for a destination that may lie in a private network or on this machine, on any port and without
    /// TLS. What hands out credentials (metadata services, link-local addresses) stays out of its reach.
    pub fn reaching_private(&self) -> Self {
        Self { reach: Reach::Private, ..self.clone() }
    }

    /// What can be said of a URL without asking DNS: at the time a job is saved, and again before each call.
    pub fn check_url(&self, url: &WebhookUrl) -> Result<(), GuardRefusal> {
        let url = url.url();
        let (Some(host), Some(shown)) = (url.host(), url.host_str()) else {
            return Err(GuardRefusal::NoHost);
        };
        if self.allows(&HostKey::of(&host)) {
            return Ok(());
        }
        if self.reach == Reach::Public {
            self.check_way(url, shown)?;
        }
        match host {
            Host::Domain(name) => self.check_name(name),
            Host::Ipv4(address) => self.check_literal(address.into()),
            Host::Ipv6(address) => self.check_literal(address.into()),
        }
    }

    /// The same of a mail server that the operator named: it listens on a port of mail, and TLS is seen to where it is
    /// spoken to.
    pub fn check_mail_server(&self, host: &Host<&str>, port: u16) -> Result<(), GuardRefusal> {
        if self.allows(&HostKey::of(host)) {
            return Ok(());
        }
        if self.reach == Reach::Public && !MAIL_PORTS.contains(&port) && !self.ports.contains(&port) {
            return Err(GuardRefusal::Port { host: host.to_string(), port });
        }
        match host {
            Host::Domain(name) => self.check_name(name),
            Host::Ipv4(address) => self.check_literal((*address).into()),
            Host::Ipv6(address) => self.check_literal((*address).into()),
        }
    }

    /// Scheme and port.
    fn check_way(&self, url: &Url, host: &str) -> Result<(), GuardRefusal> {
        if url.scheme() != "https" {
            return Err(GuardRefusal::PlainHttp { host: host.to_owned() });
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !self.ports.contains(&port) {
            return Err(GuardRefusal::Port { host: host.to_owned(), port });
        }
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), GuardRefusal> {
        let bare = without_last_dot(name);
        if METADATA_NAMES.contains(&bare) {
            return Err(GuardRefusal::MetadataName { host: name.to_owned() });
        }
        if self.reach == Reach::Private {
            return Ok(());
        }
        if let Some(domain) = LOCAL_DOMAINS.iter().copied().find(|domain| lies_in(bare, domain)) {
            return Err(GuardRefusal::LocalDomain { host: name.to_owned(), domain });
        }
        if !bare.contains('.') {
            return Err(GuardRefusal::SingleLabel { host: name.to_owned() });
        }
        Ok(())
    }

    fn check_literal(&self, address: IpAddr) -> Result<(), GuardRefusal> {
        match self.unfit(address) {
            Some(kind) => Err(GuardRefusal::Address { address, kind }),
            None => Ok(()),
        }
    }

    /// Which of the addresses that `host` resolved to may be dialled: all of them or, where one is unfit, none.
    ///
    /// Filtering would let a name that points inside and outside pass for a public one. An IP literal goes through
    /// here as well, as the one address that it resolves to.
    pub fn check_addresses(
        &self,
        host: &str,
        addresses: &[IpAddr],
    ) -> Result<Vec<VettedAddress>, GuardRefusal> {
        let host_allowed = self.allows(&HostKey::parse(host));
        for address in addresses.iter().copied() {
            if host_allowed {
                self.check_address_of_allowed_host(host, address)?;
            } else if let Some(kind) = self.unfit(address) {
                return Err(GuardRefusal::ResolvesInside { host: host.to_owned(), address, kind });
            }
        }
        Ok(addresses.iter().copied().map(VettedAddress).collect())
    }

    fn check_address_of_allowed_host(&self, host: &str, address: IpAddr) -> Result<(), GuardRefusal> {
        match ranges::metadata(address) {
            Some(kind) if !self.allows(&HostKey::address(address)) => {
                Err(GuardRefusal::ResolvesToMetadata { host: host.to_owned(), address, kind })
            }
            _ => Ok(()),
        }
    }

    fn unfit(&self, address: IpAddr) -> Option<&'static str> {
        match self.reach {
            Reach::Public => ranges::unfit(address),
            Reach::Private => ranges::unfit_inside(address),
        }
    }

    fn allows(&self, host: &HostKey) -> bool {
        !self.allowed.is_empty() && self.allowed.contains(host)
    }
}

/// Whether `name` is `domain` or lies under it.
fn lies_in(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn without_last_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl HostKey {
    fn of(host: &Host<&str>) -> Self {
        match host {
            Host::Domain(name) => Self::Name(without_last_dot(name).into()),
            Host::Ipv4(address) => Self::Address((*address).into()),
            Host::Ipv6(address) => Self::address((*address).into()),
        }
    }

    /// An address; one that IPv6 writes for IPv4 is that one.
    fn address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }

    /// Reads a host as an operator writes it; what is no host at all is kept, and matches nothing.
    fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Ok(address) = text.parse() {
            return Self::address(address);
        }
        match Host::parse(text) {
            Ok(Host::Domain(name)) => Self::Name(without_last_dot(&name).into()),
            Ok(Host::Ipv4(address)) => Self::Address(address.into()),
            Ok(Host::Ipv6(address)) => Self::address(address.into()),
            Err(_) => Self::Name(text.into()),
        }
    }
}
