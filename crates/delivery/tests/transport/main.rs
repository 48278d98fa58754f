//! The transport against receivers, name servers and certificates that are as bad as they come.

#![expect(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod answers;
mod connections;
#[allow(dead_code, reason = "the hostile suite uses it too")]
mod name_server;
mod names;
mod profiles;
mod proxy;
#[allow(dead_code, reason = "the hostile suite uses it too")]
mod receiver;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use clawhook_delivery::{ConnectionProfile, Guard, GuardPolicy, PostRequest, Transport, TransportOptions};
use clawhook_model::{AttemptReport, WebhookUrl};
use http::HeaderMap;

/// A transport that may reach these hosts.
fn transport(options: TransportOptions, allowed: &[&str]) -> Transport {
    let allowed_hosts = allowed.iter().map(|host| (*host).to_owned()).collect();
    Transport::new(options, Guard::new(GuardPolicy { allowed_hosts, ..GuardPolicy::default() }))
}

/// A transport that may reach loopback, with time enough for a machine under load.
fn patient() -> Transport {
    transport(TransportOptions::default(), &["127.0.0.1", "localhost"])
}

/// Options for tests in which a time runs out.
fn hasty() -> TransportOptions {
    TransportOptions {
        connect_timeout: Duration::from_millis(500),
        total_timeout: Duration::from_millis(1_000),
        ..TransportOptions::default()
    }
}

/// A transport that may reach loopback and soon loses patience.
fn impatient() -> Transport {
    transport(hasty(), &["127.0.0.1", "localhost"])
}

async fn post(transport: &Transport, url: &WebhookUrl) -> AttemptReport {
    post_as(transport, url, &ConnectionProfile::default()).await
}

async fn post_as(transport: &Transport, url: &WebhookUrl, profile: &ConnectionProfile) -> AttemptReport {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert("webhook-id", "evt_1".parse().unwrap());
    let body = Bytes::from_static(br#"{"ok":true}"#);
    transport.send(PostRequest { method: http::Method::POST, url, profile, headers, body }).await
}
