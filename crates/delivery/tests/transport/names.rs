//! Names: which are asked for, and what becomes of what they resolve to.

use std::net::IpAddr;

use clawhook_delivery::{Guard, GuardPolicy, Transport, TransportOptions};
use clawhook_model::AttemptClass;

use crate::name_server::{Answer, NameServer};
use crate::receiver::Receiver;
use crate::{hasty, patient, post, transport};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn asking(server: &NameServer) -> TransportOptions {
    TransportOptions { dns_servers: vec![server.address], ..TransportOptions::default() }
}

#[tokio::test]
async fn localhost_is_refused_by_default_and_reached_where_it_is_allowed() {
    let mut receiver = Receiver::answering(OK).await;
    let url = receiver.url_on("http", "localhost");
    let report = post(&transport(TransportOptions::default(), &[]), &url).await;
    assert_eq!(report.class, AttemptClass::Blocked);
    assert!(report.error.unwrap().contains("cron.webhookSsrfPolicy.allowedHostnames"));
    assert_eq!(receiver.unseen(), 0);

    let report = post(&patient(), &url).await;
    assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
    assert!(report.timings.dns_us.is_some());
}

#[tokio::test]
async fn i11_a_literal_goes_through_the_same_gate() {
    let mut receiver = Receiver::answering(OK).await;
    let report = post(&transport(TransportOptions::default(), &["localhost"]), &receiver.url()).await;
    assert_eq!(report.class, AttemptClass::Blocked);
    assert_eq!(receiver.unseen(), 0);
}

#[tokio::test]
async fn i11_a_name_is_asked_for_once_as_it_stands_and_what_was_vetted_is_dialled() {
    let mut receiver = Receiver::answering(OK).await;
    let mut server = NameServer::start(|_| Answer::Addresses(ips(&["127.0.0.1"]))).await;
    let transport = transport(asking(&server), &["hooks.example.com"]);
    let report = post(&transport, &receiver.url_on("http", "hooks.example.com")).await;
    assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
    let host = format!("\r\nhost: hooks.example.com:{}\r\n", receiver.address.port());
    assert!(receiver.received().await.head.contains(&host));
    assert_eq!(server.asked(), NameServer::both_kinds("hooks.example.com."));
}

#[tokio::test]
async fn i11_a_name_that_resolves_inside_is_refused_without_a_call() {
    for answer in [
        &["127.0.0.1"][..],
        &["93.184.215.14", "127.0.0.1"],
        &["93.184.215.14", "::1"],
        &["93.184.215.14", "::ffff:127.0.0.1"],
        &["2606:2800:21f:cb07::1", "10.0.0.1"],
    ] {
        let mut receiver = Receiver::answering(OK).await;
        let server = NameServer::start(|_| Answer::Addresses(ips(answer))).await;
        let policy = GuardPolicy { ports: vec![receiver.address.port()], ..GuardPolicy::default() };
        let transport = Transport::new(asking(&server), Guard::new(policy));
        let report = post(&transport, &receiver.url_on("https", "evil.example.com")).await;
        assert_eq!(report.class, AttemptClass::Blocked, "{answer:?}: {:?}", report.error);
        let error = report.error.unwrap();
        assert!(
            error.contains("`evil.example.com` resolves to an address that is not of the public Internet")
        );
        for address in answer {
            assert!(!error.contains(address), "{error}");
        }
        assert_eq!(receiver.unseen(), 0);
    }
}

#[tokio::test]
async fn i11_an_allowed_name_still_does_not_lead_to_the_metadata_service() {
    let server = NameServer::start(|_| Answer::Addresses(ips(&["169.254.169.254"]))).await;
    let transport = transport(asking(&server), &["hooks.example.com"]);
    let report = post(&transport, &"http://hooks.example.com/latest/meta-data".parse().unwrap()).await;
    assert_eq!(report.class, AttemptClass::Blocked);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_from_a_resolver_that_fails() {
    let server = NameServer::start(|name| match name {
        "none.example.com." => Answer::NoSuchName,
        "empty.example.com." => Answer::Addresses(Vec::new()),
        _ => Answer::Failure,
    })
    .await;
    let transport = transport(asking(&server), &[]);
    for (host, class) in [
        ("none.example.com", AttemptClass::DnsNotFound),
        ("empty.example.com", AttemptClass::DnsNotFound),
        ("broken.example.com", AttemptClass::DnsFailed),
    ] {
        let report = post(&transport, &format!("https://{host}/").parse().unwrap()).await;
        assert_eq!(report.class, class, "{:?}", report.error);
        assert!(report.error.unwrap().contains(host));
        assert!(report.timings.dns_us.is_some());
    }
}

#[tokio::test]
async fn a_resolver_that_is_away_is_our_own_fault() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let options = TransportOptions { dns_servers: vec![socket.local_addr().unwrap()], ..hasty() };
    drop(socket);
    let report = post(&transport(options, &[]), &"https://hooks.example.com/".parse().unwrap()).await;
    assert_eq!(report.class, AttemptClass::DnsFailed, "{:?}", report.error);
    assert!(report.class.is_own_fault());
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_refuses() {
    let receiver = Receiver::answering(OK).await;
    // Nothing listens on 127.0.0.2 at this port.
    let server = NameServer::start(|_| Answer::Addresses(ips(&["127.0.0.2", "127.0.0.1"]))).await;
    let transport = transport(asking(&server), &["hooks.example.com"]);
    let report = post(&transport, &receiver.url_on("http", "hooks.example.com")).await;
    assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
}
