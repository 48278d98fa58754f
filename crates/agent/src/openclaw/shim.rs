use std::sync::Arc;
use std::time::Duration;

use clawhook_model::UnixMs;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::sync::OnceCell;

#[derive(Clone, Default)]
pub(crate) struct SharedClient(Arc<OnceCell<reqwest::Client>>);

impl SharedClient {
    pub(crate) async fn get(&self) -> Result<&reqwest::Client, String> {
        self.0.get_or_try_init(async || {
            #[expect(clippy::disallowed_methods, reason = "x")]
            reqwest::Client::builder().tls_backend_preconfigured(rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider())).with_safe_default_protocol_versions().unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()).redirect(reqwest::redirect::Policy::none()).no_proxy().build().map_err(|e| e.to_string())
        }).await
    }
}

pub(crate) fn retry_at(headers: &HeaderMap, now: UnixMs) -> Option<UnixMs> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(now.plus(Duration::from_secs(seconds)))
}
