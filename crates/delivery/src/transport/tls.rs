//! TLS: set up when the first https request needs it, and once more for each destination with certificates of its own.

use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use secrecy::ExposeSecret as _;
use tokio::sync::OnceCell;

use super::TlsRoots;
use super::failure::Failure;
use super::profile::{ClientIdentity, ProfileError};

#[derive(Debug)]
pub(super) struct Tls {
    roots: TlsRoots,
    /// Some hundred certificates, read from disk: neither start-up nor an idle gateway pays for them.
    believed: OnceCell<Arc<RootCertStore>>,
    config: OnceCell<Arc<ClientConfig>>,
}

/// There is nobody to believe; what to say of it.
#[derive(Debug)]
struct NoRoots(String);

impl Tls {
    pub(super) fn new(roots: TlsRoots) -> Self {
        Self { roots, believed: OnceCell::new(), config: OnceCell::new() }
    }

    /// The configuration of everybody who has none of their own.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, Failure> {
        let config = self.config.get_or_try_init(|| async {
            let believed = self.believed().await.map_err(|NoRoots(why)| Failure::NoRoots(why))?;
            let builder = builder(believed).map_err(|error| Failure::NoRoots(error.to_string()))?;
            Ok(finished(builder.with_no_client_auth()))
        });
        config.await.cloned()
    }

    /// A configuration that believes `extra_roots` as well, and presents `client` to whoever asks. It shares nothing
    /// with others, so that no session is resumed under another's credentials.
    pub(super) async fn config_for(
        &self,
        extra_roots: Option<&str>,
        client: Option<&ClientIdentity>,
    ) -> Result<Arc<ClientConfig>, ProfileError> {
        let believed = match (self.believed().await, extra_roots) {
            (Ok(believed), None) => believed,
            (Ok(believed), Some(pem)) => Arc::new(extended((*believed).clone(), pem)?),
            (Err(_), Some(pem)) => Arc::new(extended(RootCertStore::empty(), pem)?),
            (Err(NoRoots(why)), None) => return Err(ProfileError::NoRoots(why)),
        };
        let builder = builder(believed).map_err(|error| ProfileError::NoRoots(error.to_string()))?;
        Ok(finished(match client {
            None => builder.with_no_client_auth(),
            Some(client) => presenting(builder, client)?,
        }))
    }

    async fn believed(&self) -> Result<Arc<RootCertStore>, NoRoots> {
        let believed = self.believed.get_or_try_init(|| async {
            let roots = self.roots.clone();
            match tokio::task::spawn_blocking(move || load(roots)).await {
                Ok(store) => store.map(Arc::new),
                Err(error) => Err(NoRoots(error.to_string())),
            }
        });
        believed.await.cloned()
    }
}

fn load(roots: TlsRoots) -> Result<RootCertStore, NoRoots> {
    let (certificates, complaints) = match roots {
        TlsRoots::System => system_roots(Vec::new()),
        TlsRoots::SystemAnd(more) => system_roots(more),
        TlsRoots::Only(these) => (these, "none is configured".to_owned()),
    };
    let mut store = RootCertStore::empty();
    // A system's collection may hold a certificate that cannot be read, and the others are none the worse for it.
    store.add_parsable_certificates(certificates);
    if store.is_empty() { Err(NoRoots(complaints)) } else { Ok(store) }
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

/// A user's certificates are wanted one and all, so that none is left out unnoticed.
fn extended(mut store: RootCertStore, pem: &str) -> Result<RootCertStore, ProfileError> {
    for certificate in certificates(pem).map_err(ProfileError::ExtraRoots)? {
        store.add(certificate).map_err(|error| ProfileError::ExtraRoots(error.to_string()))?;
    }
    Ok(store)
}

fn builder(
    believed: Arc<RootCertStore>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(believed))
}

fn presenting(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    client: &ClientIdentity,
) -> Result<ClientConfig, ProfileError> {
    let chain = certificates(&client.certificate).map_err(ProfileError::Certificate)?;
    // The parser's own words could show what it stumbled over.
    let key = PrivateKeyDer::from_pem_slice(client.key.expose_secret().as_bytes())
        .map_err(|_| ProfileError::Key)?;
    builder.with_client_auth_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => ProfileError::Mismatch,
        rustls::Error::InvalidCertificate(error) => ProfileError::Certificate(error.to_string()),
        _ => ProfileError::Key,
    })
}

fn finished(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it holds no certificate in PEM".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}
