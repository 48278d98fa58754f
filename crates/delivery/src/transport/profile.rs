//! How connections are made for one destination: whom it is believed to be, who we are to it, and where it may lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use secrecy::SecretString;
use thiserror::Error;

/// What makes the connections of one destination its own.
#[derive(Debug, Clone, Default)]
pub struct ProfileOptions {
    /// Whether its host may lie in a private network or on this machine, on any port and without TLS.
    pub allow_private: bool,
    /// Certificates in PEM that are believed beside the transport's.
    pub extra_roots: Option<String>,
    /// Who we are to it.
    pub client: Option<ClientIdentity>,
    /// The time for one whole request, where it is not the transport's.
    pub total_timeout: Option<Duration>,
}

/// A certificate that is presented to a destination, with its key.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The certificate in PEM, followed by those that lead to its authority.
    pub certificate: String,
    /// Its private key in PEM.
    pub key: SecretString,
}

/// How connections are made for one destination, ready to be used; the default one is the transport's own way. Cheap
/// to clone. Two are equal where one is a clone of the other, and only those share connections.
#[derive(Debug, Clone, Default)]
pub struct ConnectionProfile {
    /// `None` is the transport's own way.
    own: Option<Arc<Own>>,
}

#[derive(Debug)]
struct Own {
    id: ProfileId,
    allow_private: bool,
    /// `None` is the transport's.
    tls: Option<Arc<ClientConfig>>,
    total_timeout: Option<Duration>,
}

/// What tells profiles apart. It is never given twice, so no connection outlives its credentials' profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct ProfileId(u64);

/// Why a destination's connections cannot be made as it says.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The certificates that are to be believed.
    #[error("`network.ca` cannot be used: {0}")]
    ExtraRoots(String),
    /// The certificate that is to be presented.
    #[error("`network.clientCertificate` cannot be used: {0}")]
    Certificate(String),
    /// The key of the certificate. What was found instead is not shown.
    #[error(
        "`network.clientKey` is no private key that can be used; it must be in PEM, of a common kind (RSA, ECDSA P-256 \
         or P-384, Ed25519), and not encrypted"
    )]
    Key,
    /// Certificate and key do not belong together.
    #[error("`network.clientKey` is not the key of `network.clientCertificate`")]
    Mismatch,
    /// There is no authority to believe.
    #[error("no certificate authority is known, so no https can be trusted: {0}")]
    NoRoots(String),
}

impl PartialEq for ConnectionProfile {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for ConnectionProfile {}

impl ConnectionProfile {
    pub(super) fn new(
        allow_private: bool,
        tls: Option<Arc<ClientConfig>>,
        total_timeout: Option<Duration>,
    ) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = ProfileId(LAST.fetch_add(1, Ordering::Relaxed) + 1);
        Self { own: Some(Arc::new(Own { id, allow_private, tls, total_timeout })) }
    }

    pub(super) fn id(&self) -> ProfileId {
        self.own.as_ref().map(|own| own.id).unwrap_or_default()
    }

    pub(super) fn allows_private(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.allow_private)
    }

    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.own.as_ref()?.tls.as_ref()
    }

    pub(super) fn total_timeout(&self) -> Option<Duration> {
        self.own.as_ref()?.total_timeout
    }
}
