//! TLS: set up when the first https request needs it.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use super::TlsRoots;
use super::failure::Failure;

#[derive(Debug)]
pub(super) struct Tls {
    roots: TlsRoots,
    /// Some hundred certificates, read from disk: neither start-up nor an idle gateway pays for them.
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(roots: TlsRoots) -> Self {
        Self { roots, config: OnceCell::new() }
    }

    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, Failure> {
        let config = self.config.get_or_try_init(|| async {
            let roots = self.roots.clone();
            match tokio::task::spawn_blocking(move || build(roots)).await {
                Ok(config) => config.map(Arc::new),
                Err(error) => Err(Failure::NoRoots(error.to_string())),
            }
        });
        config.await.cloned()
    }
}

fn build(roots: TlsRoots) -> Result<ClientConfig, Failure> {
    let (certificates, complaints) = match roots {
        TlsRoots::System => system_roots(Vec::new()),
        TlsRoots::SystemAnd(more) => system_roots(more),
        TlsRoots::Only(these) => (these, "none is configured".to_owned()),
    };
    let mut store = RootCertStore::empty();
    // A system's collection may hold a certificate that cannot be read, and the others are none the worse for it.
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        return Err(Failure::NoRoots(complaints));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::NoRoots(error.to_string()))?;
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The system's certificates with `more`, and what to say should there be none.
fn system_roots(mut more: Vec<CertificateDer<'static>>) -> (Vec<CertificateDer<'static>>, String) {
    let found = rustls_native_certs::load_native_certs();
    let complaints = match found.errors.first() {
        Some(error) => error.to_string(),
        None => "the system's collection is empty; install its `ca-certificates`".to_owned(),
    };
    more.extend(found.certs);
    (more, complaints)
}
