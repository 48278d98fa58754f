//! How many events the endpoint says that it has processed.
//!
//! That address is a user's too, so the guard vets it and what it resolves to, and the client dials nothing else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clawhook_delivery::{Guard, GuardRefusal};
use clawhook_model::WebhookUrl;
use serde_json::Value;
use thiserror::Error;
use tokio::time::Instant;

/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024;
/// How often the count is looked at while it is expected to grow.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// How long the count is watched for one event too many.
const SETTLING: Duration = Duration::from_millis(500);

/// Why the count is not known. No text shows an address that a name resolved to.
#[derive(Debug, Error)]
pub(super) enum EffectsError {
    #[error("{0}")]
    Refused(#[from] GuardRefusal),
    #[error("the host name of {url} could not be resolved: {error}")]
    Resolve { url: String, error: std::io::Error },
    #[error("cannot set up the HTTP client: {0}")]
    Setup(reqwest::Error),
    #[error("{url} did not answer: {error}")]
    NoAnswer { url: String, error: reqwest::Error },
    #[error("{url} answered {status}, and the count was expected")]
    Status { url: String, status: u16 },
    #[error("{url} answered `{answer}`, and a number or JSON with `processed` was expected")]
    NotACount { url: String, answer: String },
}

/// The place where the count stands.
pub(super) struct Effects {
    http: reqwest::Client,
    url: WebhookUrl,
    at_start: u64,
}

impl Effects {
    /// Finds the place, and reads what the count is before anything is sent.
    pub(super) async fn open(
        url: &WebhookUrl,
        guard: &Guard,
        timeout: Duration,
    ) -> Result<Self, EffectsError> {
        guard.check_url(url)?;
        let host = url.url().host_str().unwrap_or_default().trim_matches(['[', ']']);
        let addresses = vetted(url, host, guard).await?;
        // Another part of the process may have installed it already, and it is the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        #[expect(
            clippy::disallowed_methods,
            reason = "the guard has vetted what it dials: no proxy, no redirect"
        )]
        let builder = reqwest::Client::builder();
        let http = builder
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve_to_addrs(host, &addresses)
            .timeout(timeout)
            .build()
            .map_err(EffectsError::Setup)?;
        let mut effects = Self { http, url: url.clone(), at_start: 0 };
        effects.at_start = effects.count().await?;
        Ok(effects)
    }

    /// The count as it stands.
    async fn count(&self) -> Result<u64, EffectsError> {
        let url = || self.url.to_string();
        let no_answer =
            |error: reqwest::Error| EffectsError::NoAnswer { url: url(), error: error.without_url() };
        let mut answer = self.http.get(self.url.url().clone()).send().await.map_err(no_answer)?;
        if !answer.status().is_success() {
            return Err(EffectsError::Status { url: url(), status: answer.status().as_u16() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
            body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - body.len())]);
            if body.len() == LONGEST_ANSWER {
                break;
            }
        }
        read_count(&body).ok_or_else(|| {
            let answer = String::from_utf8_lossy(&body).chars().take(80).collect();
            EffectsError::NotACount { url: url(), answer }
        })
    }

    /// How many events have been processed since the start, once there are as many as `expected` or `within` is over.
    /// The count is watched for a while after that, for what should not come.
    pub(super) async fn since_start(&self, expected: u64, within: Duration) -> Result<u64, EffectsError> {
        let reached = self.at_start.saturating_add(expected);
        let deadline = Instant::now() + within;
        while self.count().await? < reached && Instant::now() < deadline {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let watched_until = Instant::now() + SETTLING;
        loop {
            let count = self.count().await?;
            if count > reached || Instant::now() >= watched_until {
                return Ok(count.saturating_sub(self.at_start));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Where `host` is, if the guard allows all of it.
async fn vetted(url: &WebhookUrl, host: &str, guard: &Guard) -> Result<Vec<SocketAddr>, EffectsError> {
    let port = url.url().port_or_known_default().unwrap_or(443);
    let resolved = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| EffectsError::Resolve { url: url.to_string(), error })?;
    let addresses: Vec<IpAddr> = resolved.map(|address| address.ip()).collect();
    let vetted = guard.check_addresses(host, &addresses)?;
    Ok(vetted.into_iter().map(|address| SocketAddr::new(address.ip(), port)).collect())
}

/// A plain number, or an object that holds one as `processed`.
fn read_count(body: &[u8]) -> Option<u64> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value.as_u64().or_else(|| value["processed"].as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_number_or_stands_under_processed() {
        assert_eq!(read_count(b"7\n"), Some(7));
        assert_eq!(read_count(br#"{"processed": 0, "more": true}"#), Some(0));
        for other in [&b"-1"[..], b"seven", b"", b"{}", b"[7]", b"7.5"] {
            assert_eq!(read_count(other), None, "{other:?}");
        }
    }
}
