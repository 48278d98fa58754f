//! The one HTTP client of all providers.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use thiserror::Error;
use tokio::sync::OnceCell;

/// How long a provider may take to accept a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// The client, made when it is first asked for and shared by everybody who holds a clone.
#[derive(Clone, Default)]
pub(crate) struct SharedClient(Arc<OnceCell<reqwest::Client>>);

impl SharedClient {
    /// The client. Making it takes milliseconds and megabytes, since the system's certificates are read, so it is made off
    /// the async threads and not before the first message.
    pub(crate) async fn get(&self) -> Result<&reqwest::Client, ClientError> {
        self.0.get_or_try_init(async || tokio::task::spawn_blocking(build).await?).await
    }
}

/// Why there is no client.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("the TLS library refused its own defaults: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the HTTP client could not be made: {0}")]
    Http(#[from] reqwest::Error),
    #[error("the task that makes the HTTP client did not end: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Redirects are not followed, because they would take the key to another host; proxies of the environment are not
/// used, because nobody configured them here.
fn build() -> Result<reqwest::Client, ClientError> {
    #[expect(clippy::disallowed_methods, reason = "providers are the operator's choice, not a job's")]
    let builder = reqwest::Client::builder();
    let client = builder
        .tls_backend_preconfigured(tls_config()?)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // What is unpacked by the client could not be bounded by the bytes that are read.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        .user_agent(concat!("clawhook/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(client)
}

fn tls_config() -> Result<rustls::ClientConfig, rustls::Error> {
    let certificates = rustls_native_certs::load_native_certs();
    for error in &certificates.errors {
        tracing::warn!(%error, "some of the system's certificates could not be read");
    }
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.certs);
    if added == 0 {
        tracing::warn!("the system has no certificates: providers can be reached over http alone");
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
