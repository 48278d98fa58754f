//! What becomes of each kind of answer.

use std::time::{Duration, Instant};

use clawhook_delivery::TransportOptions;
use clawhook_model::AttemptClass;
use tokio::io::AsyncReadExt as _;

use crate::receiver::Receiver;
use crate::{hasty, impatient, patient, post, transport};

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
async fn an_interim_answer_is_not_the_answer() {
    let receiver = Receiver::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(post(&patient(), &receiver.url()).await.status, Some(500));
}

#[tokio::test]
async fn i10_a_redirect_is_recorded_and_not_followed() {
    for (answer, status) in [
        ("HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n", 302),
        ("HTTP/1.1 307 Temporary Redirect\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n", 307),
    ] {
        let mut receiver = Receiver::answering(answer).await;
        let report = post(&patient(), &receiver.url()).await;
        assert_eq!((report.class, report.status), (AttemptClass::Redirect, Some(status)));
        assert_eq!(report.location.as_deref(), Some("/login"));
        assert!(report.error.unwrap().contains("redirects are not followed"));
        assert_eq!(receiver.unseen(), 1);
    }
}

#[tokio::test]
async fn a_receiver_that_never_answers_costs_the_total_time_and_no_more() {
    let mut receiver = Receiver::start(|mut conversation| async move {
        conversation.hear().await;
        conversation.stall().await;
    })
    .await;
    let began_at = Instant::now();
    let report = post(&impatient(), &receiver.url()).await;
    assert_eq!(report.class, AttemptClass::AnswerTimeout);
    assert_eq!(report.error.as_deref(), Some("no complete answer came within 1000 ms"));
    assert!(began_at.elapsed() >= hasty().total_timeout);
    assert_eq!(receiver.unseen(), 1);
}

#[tokio::test]
async fn a_head_that_drips_in_costs_the_total_time_and_no_more() {
    let receiver = Receiver::start(|mut conversation| async move {
        conversation.hear().await;
        conversation.say("HTTP/1.1 200 OK\r\n").await;
        while conversation.say("x-drip: y\r\n").await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let report = post(&impatient(), &receiver.url()).await;
    assert_eq!((report.class, report.status), (AttemptClass::AnswerTimeout, None));
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
async fn a_2xx_head_is_the_acknowledgement_even_if_the_connection_then_closes() {
    let receiver = Receiver::start(|mut conversation| async move {
        conversation.hear().await;
        conversation.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    })
    .await;
    let report = post(&patient(), &receiver.url()).await;
    assert_eq!((report.class, report.status), (AttemptClass::Delivered, Some(200)));
    assert_eq!(report.response_body.as_deref(), Some("half"));
    assert!(report.response_truncated);
    assert!(report.error.unwrap().contains("the rest of its answer was lost"));
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
async fn a_body_that_is_not_framed_as_promised_does_not_take_the_acknowledgement_back() {
    let receiver =
        Receiver::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a chunk\r\n").await;
    let report = post(&patient(), &receiver.url()).await;
    assert_eq!((report.class, report.status), (AttemptClass::Delivered, Some(200)));
    assert!(report.error.is_some());
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
async fn what_is_not_http_is_a_protocol_error() {
    for garbage in
        ["SSH-2.0-OpenSSH_9.9\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"]
    {
        let receiver = Receiver::answering(garbage).await;
        let report = post(&patient(), &receiver.url()).await;
        assert_eq!((report.class, report.status), (AttemptClass::ProtocolError, None), "{:?}", report.error);
    }
}

#[tokio::test]
async fn a_head_without_end_is_a_protocol_error() {
    let receiver = Receiver::start(|mut conversation| async move {
        conversation.hear().await;
        conversation.say("HTTP/1.1 200 OK\r\n").await;
        while conversation.say(format!("x-long: {}\r\n", "y".repeat(1_000))).await {}
    })
    .await;
    let report = post(&patient(), &receiver.url()).await;
    assert_eq!(report.class, AttemptClass::ProtocolError, "{:?}", report.error);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_the_answer_lost() {
    for reset in [true, false] {
        let receiver = Receiver::start(move |mut conversation| async move {
            conversation.hear().await;
            if reset {
                conversation.reset();
            }
        })
        .await;
        let report = post(&patient(), &receiver.url()).await;
        assert_eq!((report.class, report.status), (AttemptClass::AnswerLost, None), "{:?}", report.error);
        assert!(report.error.unwrap().starts_with("the connection broke before the answer was complete"));
    }
}

#[tokio::test]
async fn a_reset_before_the_request_was_read_leaves_the_answer_lost_too() {
    let receiver = Receiver::start(|mut conversation| async move {
        // Something has come, so the request was sent, at least in part.
        conversation.stream.read_u8().await.unwrap();
        conversation.reset();
    })
    .await;
    let report = post(&patient(), &receiver.url()).await;
    assert_eq!(report.class, AttemptClass::AnswerLost, "{:?}", report.error);
}

#[tokio::test]
async fn half_a_head_leaves_the_answer_lost() {
    let receiver = Receiver::start(|mut conversation| async move {
        conversation.hear().await;
        conversation.say("HTTP/1.1 200 OK\r\ncontent-le").await;
    })
    .await;
    let report = post(&patient(), &receiver.url()).await;
    assert_eq!(report.class, AttemptClass::AnswerLost, "{:?}", report.error);
}

#[tokio::test]
async fn i12_no_report_shows_the_urls_query() {
    let receiver = Receiver::answering("garbage\r\n\r\n").await;
    let report = post(&patient(), &receiver.url()).await;
    assert!(!format!("{report:?}").contains("s3cret"));
}
