//! Connections: made, refused, kept, found dead.

use std::sync::Arc;
use std::time::Duration;

use clawhook_delivery::TransportOptions;
use clawhook_model::AttemptClass;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::receiver::Receiver;
use crate::{patient, post, transport};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_is_used_again_and_the_report_says_so() {
    let mut receiver = Receiver::answering(OK).await;
    let transport = patient();
    let first = post(&transport, &receiver.url()).await;
    assert!(!first.connection_reused);
    assert!(first.timings.connect_us.is_some() && first.timings.first_byte_us.is_some());
    assert_eq!((first.timings.dns_us, first.timings.tls_us), (None, None));

    let second = post(&transport, &receiver.url()).await;
    assert!(second.connection_reused);
    assert_eq!(second.timings.connect_us, None);
    assert!(second.timings.total_us >= second.timings.first_byte_us.unwrap());
    assert_eq!((receiver.received().await.connection, receiver.received().await.connection), (0, 0));
}

#[tokio::test]
async fn a_chunked_answer_leaves_the_connection_fit_for_use() {
    let receiver =
        Receiver::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
    let transport = patient();
    for reused in [false, true, true] {
        let report = post(&transport, &receiver.url()).await;
        assert_eq!((report.response_body.as_deref(), report.connection_reused), (Some("ok"), reused));
    }
}

#[tokio::test]
async fn a_connection_that_the_receiver_will_close_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        let receiver = Receiver::answering(answer).await;
        let transport = patient();
        for _ in 0..2 {
            let report = post(&transport, &receiver.url()).await;
            assert_eq!((report.class, report.connection_reused), (AttemptClass::Delivered, false));
        }
    }
}

#[tokio::test]
async fn an_idle_connection_that_the_receiver_has_closed_is_replaced_unnoticed() {
    let closed = Arc::new(Notify::new());
    let receiver = Receiver::start({
        let closed = closed.clone();
        move |mut conversation| {
            let closed = closed.clone();
            async move {
                conversation.hear().await;
                conversation.say(OK).await;
                drop(conversation.stream);
                closed.notify_one();
            }
        }
    })
    .await;
    let transport = patient();
    for _ in 0..50 {
        let report = post(&transport, &receiver.url()).await;
        assert_eq!(report.class, AttemptClass::Delivered, "{:?}", report.error);
        assert!(!report.connection_reused);
        closed.notified().await;
        // The closing is in the kernel; after this it has reached the runtime as well.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn an_idle_connection_on_which_the_receiver_speaks_unasked_is_replaced_unnoticed() {
    let spoken = Arc::new(Notify::new());
    let receiver = Receiver::start({
        let spoken = spoken.clone();
        move |mut conversation| {
            let spoken = spoken.clone();
            async move {
                conversation.hear().await;
                conversation.say(OK).await;
                conversation.say("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsmuggle").await;
                spoken.notify_one();
                conversation.stall().await;
            }
        }
    })
    .await;
    let transport = patient();
    for _ in 0..10 {
        let report = post(&transport, &receiver.url()).await;
        assert_eq!((report.class, report.response_body.as_deref()), (AttemptClass::Delivered, Some("ok")));
        spoken.notified().await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_its_time_is_over() {
    let gone = Arc::new(Notify::new());
    let receiver = Receiver::start({
        let gone = gone.clone();
        move |mut conversation| {
            let gone = gone.clone();
            async move {
                while conversation.hear().await {
                    conversation.say(OK).await;
                }
                gone.notify_one();
            }
        }
    })
    .await;
    let options = TransportOptions { idle_timeout: Duration::from_millis(50), ..TransportOptions::default() };
    let transport = transport(options, &["127.0.0.1"]);
    assert_eq!(post(&transport, &receiver.url()).await.class, AttemptClass::Delivered);
    gone.notified().await;
    assert!(!post(&transport, &receiver.url()).await.connection_reused);
}

#[tokio::test]
async fn no_more_connections_are_kept_than_asked_for() {
    let receiver = Receiver::answering(OK).await;
    let options = TransportOptions { max_idle_per_host: 0, ..TransportOptions::default() };
    let transport = transport(options, &["127.0.0.1"]);
    for _ in 0..2 {
        assert!(!post(&transport, &receiver.url()).await.connection_reused);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_get_each_its_own_answer() {
    let receiver = Receiver::answering(OK).await;
    let transport = patient();
    let mut requests = JoinSet::new();
    for _ in 0..32 {
        let (transport, url) = (transport.clone(), receiver.url());
        requests.spawn(async move {
            for _ in 0..50 {
                let report = post(&transport, &url).await;
                assert_eq!(report.response_body.as_deref(), Some("ok"), "{:?}", report.error);
            }
        });
    }
    requests.join_all().await;
}

#[tokio::test]
async fn giving_up_a_request_closes_its_connection() {
    let (heard, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let receiver = Receiver::start({
        let (heard, gone) = (heard.clone(), gone.clone());
        move |mut conversation| {
            let (heard, gone) = (heard.clone(), gone.clone());
            async move {
                conversation.hear().await;
                heard.notify_one();
                conversation.stall().await;
                gone.notify_one();
            }
        }
    })
    .await;
    let (transport, url) = (patient(), receiver.url());
    tokio::select! {
        report = post(&transport, &url) => panic!("{report:?}"),
        () = heard.notified() => {}
    }
    gone.notified().await;
}

#[tokio::test]
async fn a_refused_port_is_a_failed_connection() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let report = post(&patient(), &url).await;
    assert_eq!(report.class, AttemptClass::ConnectFailed);
    assert!(report.error.unwrap().starts_with(&format!("no connection to `127.0.0.1` port {port}: ")));
    assert!(report.timings.connect_us.is_some());
}
