//! What becomes of each kind of answer.

use std::time::Duration;

use bytes::Bytes;
use clawhook_delivery::{ConnectionProfile, PostRequest, TransportOptions};
use clawhook_model::{AttemptClass, RetryAfter, UnixMs};
use http::{HeaderMap, HeaderValue};

use crate::receiver::Receiver;
use crate::{impatient, patient, post, transport};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn i09_the_receiver_gets_the_exact_bytes_and_headers_in_one_post() {
    let mut receiver = Receiver::answering(OK).await;
    let report = post(&patient(), &receiver.url()).await;
    assert_eq!(report.class, AttemptClass::Delivered);
    assert_eq!(report.status, Some(200));
    assert_eq!(report.response_body.as_deref(), Some("ok"));
    assert_eq!(report.error, None);
    assert!(!report.response_truncated);

    let received = receiver.received().await;
    let host = format!("host: {}\r\n", receiver.address);
    assert!(received.head.starts_with("post /hooks/cron?token=s3cret http/1.1\r\n"), "{}", received.head);
    for header in [host.as_str(), "webhook-id: evt_1\r\n", "content-length: 11\r\n", "user-agent: clawhook/"]
    {
        assert_eq!(received.head.matches(header).count(), 1, "{header}: {}", received.head);
    }
    assert!(!received.head.contains("accept-encoding"));
    assert_eq!(received.body, br#"{"ok":true}"#);

    // The record shows what was sent, header for header.
    let sent: Vec<&str> = received.head.trim_end().lines().skip(1).collect();
    let recorded: Vec<String> =
        report.request_headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(recorded, sent);
    assert_eq!(report.response_headers.iter().collect::<Vec<_>>(), [("content-length", "2")]);
    assert_eq!((report.peer, report.tls_version), (Some(receiver.address), None));
}

#[tokio::test]
async fn i12_the_record_masks_what_is_secret_and_the_receiver_gets_it() {
    let mut receiver = Receiver::answering(
        "HTTP/1.1 200 OK\r\nset-cookie: session=s3cret\r\nx-shown: yes\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer s3cret".parse().unwrap());
    let mut key: HeaderValue = "s3cret".parse().unwrap();
    key.set_sensitive(true);
    headers.insert("x-api-key", key);
    let request = PostRequest {
        method: http::Method::POST,
        url: &receiver.url(),
        headers,
        body: Bytes::new(),
        profile: &ConnectionProfile::default(),
    };
    let report = patient().send(request).await;
    let head = receiver.received().await.head;
    assert!(head.contains("authorization: bearer s3cret\r\n") && head.contains("x-api-key: s3cret\r\n"));
    assert!(!serde_json::to_string(&report).unwrap().contains("s3cret"), "{report:?}");
    assert!(!format!("{report:?}").contains("s3cret"));
    assert_eq!(report.request_headers.get("x-api-key"), Some("***"));
    assert_eq!(report.response_headers.get("set-cookie"), Some("***"));
    assert_eq!(report.response_headers.get("x-shown"), Some("yes"));
}

#[tokio::test]
async fn a_receiver_that_is_busy_says_when_it_will_not_be() {
    for (answer, expected) in [
        ("HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", Some(RetryAfter::Seconds(7))),
        (
            "HTTP/1.1 503 Busy\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n",
            Some(RetryAfter::At(UnixMs::from_millis(784_111_777_000))),
        ),
        ("HTTP/1.1 503 Busy\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", None),
        ("HTTP/1.1 301 Moved\r\nretry-after: 7\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", None),
    ] {
        let receiver = Receiver::answering(answer).await;
        assert_eq!(post(&patient(), &receiver.url()).await.retry_after, expected, "{answer}");
    }
}

#[tokio::test]
async fn i10_success_is_a_2xx_and_nothing_else() {
    for (answer, status, class) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, AttemptClass::Delivered),
        ("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", 202, AttemptClass::Delivered),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", 304, AttemptClass::Redirect),
        ("HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nbad", 400, AttemptClass::ClientError),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", 410, AttemptClass::ClientError),
        ("HTTP/1.1 500 Oh No\r\ncontent-length: 0\r\n\r\n", 500, AttemptClass::ServerError),
        ("HTTP/1.1 799 Odd\r\ncontent-length: 0\r\n\r\n", 799, AttemptClass::ServerError),
    ] {
        let receiver = Receiver::answering(answer).await;
        let report = post(&patient(), &receiver.url()).await;
        assert_eq!((report.status, report.class), (Some(status), class));
        assert_eq!(report.error.is_none(), class.is_delivered(), "{:?}", report.error);
    }
}

#[tokio::test]
async fn a_2xx_head_is_the_acknowledgement_even_if_the_body_drips_for_ever() {
    let receiver = Receiver::start(|mut conversation| async move {
        conversation.hear().await;
        conversation.say("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
        while conversation.say("drip ").await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let report = post(&impatient(), &receiver.url()).await;
    assert_eq!((report.class, report.status), (AttemptClass::Delivered, Some(200)));
    assert!(report.response_body.unwrap().starts_with("drip drip "));
    assert!(report.response_truncated);
    assert!(report.error.unwrap().contains("the rest of its answer was lost"));
    assert!(report.timings.body_us.is_some());
}

#[tokio::test]
async fn a_2xx_head_is_the_acknowledgement_even_if_the_connection_is_then_reset() {
    // More than the sockets' buffers hold: once it is written, the head has been read, and the reset cannot undo that.
    const MEGABYTES: usize = 32;
    let receiver = Receiver::start(|mut conversation| async move {
        conversation.hear().await;
        conversation.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
        for _ in 0..MEGABYTES {
            conversation.say(vec![b'x'; 1 << 20]).await;
        }
        conversation.reset();
    })
    .await;
    let options =
        TransportOptions { max_response_bytes: (2 * MEGABYTES) << 20, ..TransportOptions::default() };
    let report = post(&transport(options, &["127.0.0.1"]), &receiver.url()).await;
    assert_eq!((report.class, report.status), (AttemptClass::Delivered, Some(200)));
    assert!(report.response_truncated);
    assert!(report.error.unwrap().contains("the rest of its answer was lost"));
}

#[tokio::test]
async fn an_error_status_stands_even_if_its_body_never_ends() {
    let receiver = Receiver::start(|mut conversation| async move {
        conversation.hear().await;
        conversation.say("HTTP/1.1 410 Gone\r\ncontent-length: 100\r\n\r\n").await;
        conversation.stall().await;
    })
    .await;
    let report = post(&impatient(), &receiver.url()).await;
    assert_eq!((report.class, report.status), (AttemptClass::ClientError, Some(410)));
}

#[tokio::test]
async fn of_an_endless_body_the_start_is_kept_and_the_connection_closed() {
    let receiver = Receiver::start(|mut conversation| async move {
        conversation.hear().await;
        conversation.say("HTTP/1.1 200 OK\r\n\r\n").await;
        while conversation.say("0123456789".repeat(1_000)).await {}
    })
    .await;
    let options = TransportOptions { max_response_bytes: 1_005, ..TransportOptions::default() };
    let report = post(&transport(options, &["127.0.0.1"]), &receiver.url()).await;
    assert_eq!(report.class, AttemptClass::Delivered);
    let body = report.response_body.unwrap();
    assert_eq!((body.len(), &body[1_000..]), (1_005, "01234"));
    assert!(report.response_truncated);
    assert_eq!(report.error, None);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_whole() {
    let receiver = Receiver::answering(OK).await;
    let options = TransportOptions { max_response_bytes: 2, ..TransportOptions::default() };
    let report = post(&transport(options, &["127.0.0.1"]), &receiver.url()).await;
    assert_eq!(report.response_body.as_deref(), Some("ok"));
    assert!(!report.response_truncated);
}

#[tokio::test]
async fn a_compressed_body_is_not_inflated() {
    let receiver = Receiver::answering(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x0b\x08\x01",
    )
    .await;
    let report = post(&patient(), &receiver.url()).await;
    assert_eq!(report.response_body.as_deref(), Some("\x1f\x0b\x08\x01"));
}

#[tokio::test]
async fn i12_no_report_shows_the_urls_query() {
    let receiver = Receiver::answering("garbage\r\n\r\n").await;
    let report = post(&patient(), &receiver.url()).await;
    assert!(!format!("{report:?}").contains("s3cret"));
}
