//! Name servers that fail, dawdle and lie.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clawhook_delivery::TransportOptions;
use clawhook_model::AttemptClass;
use clawhook_model::AttemptClass::{Blocked, Delivered, DnsFailed, DnsNotFound};
use tokio::net::TcpListener;

use crate::case::{hasty, patient, post, transport};
use crate::name_server::{Answer, NameServer};
use crate::receiver::Receiver;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn addresses(texts: &[&str]) -> Answer {
    let addresses: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
    Answer::Addresses(addresses)
}

fn asking(server: &NameServer, options: TransportOptions) -> TransportOptions {
    TransportOptions { dns_servers: vec![server.address], ..options }
}

#[tokio::test]
async fn one_that_fails_or_lies_is_told_apart_and_nothing_is_dialled() {
    type Lie = fn() -> Answer;
    let cases: [(&str, Lie, AttemptClass); 13] = [
        ("fails", || Answer::Failure, DnsFailed),
        ("knows no such name", || Answer::NoSuchName, DnsNotFound),
        ("has no address", || addresses(&[]), DnsNotFound),
        ("leads to this machine", || addresses(&["127.0.0.1"]), Blocked),
        ("leads to this machine in IPv6", || addresses(&["::1"]), Blocked),
        ("leads to this machine in disguise", || addresses(&["::ffff:127.0.0.1"]), Blocked),
        ("leads inside", || addresses(&["10.0.0.1"]), Blocked),
        ("leads to the metadata service", || addresses(&["169.254.169.254"]), Blocked),
        ("leads to the unspecified address", || addresses(&["0.0.0.0"]), Blocked),
        ("has a bad one after good ones", || addresses(&["93.184.215.14", "1.1.1.1", "127.0.0.1"]), Blocked),
        ("has a bad one before good ones", || addresses(&["127.0.0.1", "93.184.215.14"]), Blocked),
        ("has a bad one of the other kind", || addresses(&["93.184.215.14", "fd00::1"]), Blocked),
        ("leads through a translation", || addresses(&["64:ff9b::7f00:1"]), Blocked),
    ];
    for (does, answer, class) in cases {
        let mut receiver = Receiver::answering(OK).await;
        let server = NameServer::start(move |_| answer()).await;
        let transport = transport(asking(&server, patient()), &[]);
        let report = post(&transport, &receiver.url_on("https", "evil.example.com"), Bytes::new()).await;
        assert_eq!(report.class, class, "{does}: {:?}", report.error);
        assert_eq!((report.peer, report.timings.connect_us), (None, None), "{does}");
        assert!(report.timings.dns_us.is_some(), "{does}");
        assert_eq!(receiver.unseen(), 0, "{does}");
    }
}

#[tokio::test]
async fn one_that_keeps_silent_costs_the_connections_time_and_no_more() {
    let server = NameServer::start(|_| Answer::Silence).await;
    let began_at = Instant::now();
    let transport = transport(asking(&server, hasty()), &[]);
    let report = post(&transport, &"https://slow.example.com/".parse().unwrap(), Bytes::new()).await;
    assert_eq!(report.class, DnsFailed, "{:?}", report.error);
    assert!(began_at.elapsed() >= hasty().connect_timeout);
    assert!(began_at.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn one_that_is_slow_for_one_kind_of_address_does_not_hold_up_the_other() {
    let receiver = Receiver::answering(OK).await;
    let server =
        NameServer::start_by_kind(|_, is_v6| if is_v6 { Answer::Silence } else { addresses(&["127.0.0.1"]) })
            .await;
    let transport = transport(asking(&server, hasty()), &["hooks.example.com"]);
    let report = post(&transport, &receiver.url_on("http", "hooks.example.com"), Bytes::new()).await;
    assert_eq!(report.class, Delivered, "{:?}", report.error);
}

#[tokio::test]
async fn i11_one_that_changes_its_mind_after_the_check_changes_nothing() {
    // The name leads to the receiver when it is asked first, and to another one ever after.
    let mut vetted = Receiver::answering(OK).await;
    let port = vetted.address.port();
    let decoy = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let asked = AtomicUsize::new(0);
    let mut server = NameServer::start_by_kind(move |_, is_v6| {
        if is_v6 {
            return addresses(&[]);
        }
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        addresses(if first { &["127.0.0.1"] } else { &["127.0.0.2"] })
    })
    .await;
    let transport = transport(asking(&server, patient()), &["hooks.example.com"]);
    let report = post(&transport, &vetted.url_on("http", "hooks.example.com"), Bytes::new()).await;
    assert_eq!(report.class, Delivered, "{:?}", report.error);
    // The name was asked for once, and the address that was vetted is the one that was dialled.
    assert_eq!(server.asked(), NameServer::both_kinds("hooks.example.com."));
    assert_eq!(report.peer, Some(vetted.address));
    assert_eq!(vetted.unseen(), 1);
    let called = tokio::time::timeout(Duration::from_millis(50), decoy.accept()).await;
    assert!(called.is_err(), "the second answer was dialled");
}

#[tokio::test]
async fn i11_one_that_turns_inside_between_two_attempts_gets_the_second_refused() {
    let mut receiver =
        Receiver::answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    let asked = AtomicUsize::new(0);
    // The answer's time to live is none, so that every attempt asks anew.
    let server = NameServer::start_by_kind(move |_, is_v6| match (is_v6, asked.load(Ordering::Relaxed)) {
        (true, _) => Answer::Addresses(Vec::new()),
        (false, 0) => {
            asked.store(1, Ordering::Relaxed);
            Answer::Fleeting(vec!["127.0.0.1".parse().unwrap()])
        }
        (false, _) => Answer::Fleeting(vec!["169.254.169.254".parse().unwrap()]),
    })
    .await;
    let transport = transport(asking(&server, patient()), &["hooks.example.com"]);
    let url = receiver.url_on("http", "hooks.example.com");
    assert_eq!(post(&transport, &url, Bytes::new()).await.class, Delivered);
    let second = post(&transport, &url, Bytes::new()).await;
    assert_eq!((second.class, second.peer), (Blocked, None), "{:?}", second.error);
    assert_eq!(receiver.unseen(), 1);
}
