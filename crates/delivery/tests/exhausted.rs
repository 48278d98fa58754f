//! A machine that is short of something. The test limits its own process, so it has a program of its own.

use bytes::Bytes;
use clawhook_delivery::{ConnectionProfile, Guard, GuardPolicy, PostRequest, Transport, TransportOptions};
use clawhook_model::{AttemptClass, WebhookUrl};
use http::HeaderMap;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;

#[tokio::test]
async fn without_open_files_left_the_receiver_is_not_to_blame() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: WebhookUrl = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let policy = GuardPolicy { allowed_hosts: vec!["127.0.0.1".to_owned()], ..GuardPolicy::default() };
    let transport = Transport::new(TransportOptions::default(), Guard::new(policy));

    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: before.maximum }).unwrap();
    let profile = &ConnectionProfile::default();
    let request = PostRequest {
        method: http::Method::POST,
        url: &url,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        profile,
    };
    let report = transport.send(request).await;
    setrlimit(Resource::Nofile, before).unwrap();

    assert_eq!(report.class, AttemptClass::ResourcesExhausted, "{:?}", report.error);
    assert!(report.class.is_own_fault());
    assert!(report.error.unwrap().contains("Too many open files"));
    assert!(report.request_headers.is_empty(), "nothing was sent");
}
