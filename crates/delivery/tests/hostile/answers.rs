//! What is answered, and how slowly.

use std::time::Duration;

use bytes::Bytes;
use clawhook_model::AttemptClass::{
    AnswerLost, AnswerTimeout, ClientError, Delivered, ProtocolError, ServerError,
};

use crate::case::{Case, case, hasty, hold, post, transport};
use crate::receiver::{Conversation, Receiver};

const DRIP: Duration = Duration::from_millis(20);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Says `first`, then `drop` again and again with a pause between.
async fn drip(mut conversation: Conversation, first: &str, drop: &str) {
    conversation.hear().await;
    conversation.say(first).await;
    while conversation.say(drop).await {
        tokio::time::sleep(DRIP).await;
    }
}

/// Says `first`, then `more` for as long as anybody reads.
async fn flood(mut conversation: Conversation, first: &str, more: &str) {
    conversation.hear().await;
    conversation.say(first).await;
    while conversation.say(more).await {}
}

/// Says `answer` to every request.
async fn say(mut conversation: Conversation, answer: &[u8]) {
    while conversation.hear().await {
        conversation.say(answer).await;
    }
}

/// Says `answer` once and closes.
async fn say_and_close(mut conversation: Conversation, answer: &[u8]) {
    conversation.hear().await;
    conversation.say(answer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_slow_costs_the_attempts_time_and_no_more() {
    hold(
        [
            case("never answers", AnswerTimeout, |mut conversation| async move {
                conversation.hear().await;
                conversation.stall().await;
            })
            .says("no complete answer came within 1000 ms"),
            case("does not read what it is sent", AnswerTimeout, |mut conversation| async move {
                // It looks again once the attempt is over: a connection that is full tells of its end only when it is read.
                tokio::time::sleep(hasty().total_timeout).await;
                conversation.stall().await;
            })
            .given(32 << 20),
            case("drips its head", AnswerTimeout, |conversation| {
                drip(conversation, "HTTP/1.1 200 OK\r\n", "x-drip: y\r\n")
            }),
            case("drips its status line", AnswerTimeout, |conversation| {
                drip(conversation, "HTTP/1.1 200 ", "o")
            }),
            case("drips interim answers", AnswerTimeout, |conversation| {
                drip(conversation, "", "HTTP/1.1 100 Continue\r\n\r\n")
            }),
            case("drips its body", Delivered, |conversation| {
                drip(conversation, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", "drip ")
            })
            .status(200)
            .keeps("drip drip ")
            .says("the rest of its answer was lost"),
            case("drips its body in chunks", Delivered, |conversation| {
                drip(conversation, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n")
            })
            .status(200)
            .keeps("xx")
            .says("the rest of its answer was lost"),
            case("drips a refusal", ClientError, |conversation| {
                drip(conversation, "HTTP/1.1 410 Gone\r\ncontent-length: 100000\r\n\r\n", "gone ")
            })
            .status(410)
            .says("410"),
        ]
        .map(Case::runs_out),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_stops_is_read_up_to_a_limit() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    hold([
        case("has no end of a body", Delivered, |conversation| async {
            flood(conversation, HEAD, &"0123456789".repeat(1_000)).await;
        })
        .status(200)
        .keeps("0123456789"),
        case("has no end of chunks", Delivered, |conversation| async {
            flood(conversation, CHUNKED, &"1\r\nx\r\n".repeat(1_000)).await;
        })
        .status(200)
        .keeps("xxxx"),
        case("has no end of a chunk's extension", Delivered, |conversation| async {
            flood(conversation, &format!("{CHUNKED}1;"), &"x".repeat(10_000)).await;
        })
        .status(200)
        .says("the rest of its answer was lost"),
        case("has no end of trailers", Delivered, |conversation| async {
            flood(conversation, &format!("{CHUNKED}0\r\n"), &"x-trailer: y\r\n".repeat(1_000)).await;
        })
        .status(200)
        .says("the rest of its answer was lost"),
        case("has no end of headers", ProtocolError, |conversation| async {
            flood(conversation, "HTTP/1.1 200 OK\r\n", &"x-long: yyyyyyyyyyyyyyyyyyy\r\n".repeat(50)).await;
        }),
        case("has no end of one header", ProtocolError, |conversation| async {
            flood(conversation, "HTTP/1.1 200 OK\r\nx-long: ", &"y".repeat(10_000)).await;
        }),
        case("has no end of a status line", ProtocolError, |conversation| async {
            flood(conversation, "HTTP/1.1 200 ", &"o".repeat(10_000)).await;
        }),
        case("has no end of empty lines", ProtocolError, |conversation| async {
            flood(conversation, "", &"\r\n".repeat(5_000)).await;
        }),
        case("has no end of interim answers", ProtocolError, |conversation| async {
            flood(conversation, "", &"HTTP/1.1 100 Continue\r\n\r\n".repeat(400)).await;
        })
        .says("too much was sent before the answer's head"),
        case("has no end of early hints", ProtocolError, |conversation| async {
            let hint = format!("HTTP/1.1 103 Early Hints\r\nlink: <{}>\r\n\r\n", "a".repeat(5_000));
            flood(conversation, "", &hint).await;
        })
        .says("too much was sent before the answer's head"),
        case("answers with a compressed bomb", Delivered, |conversation| async {
            let bomb = "\x1f~\x08\0".repeat(2_500);
            flood(conversation, "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n", &bomb).await;
        })
        .status(200)
        .keeps("\x1f~\x08"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_speak_http_is_told_from_one_that_is_away() {
    const GARBAGE: [(&str, &[u8]); 11] = [
        ("speaks another protocol", b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        ("answers in HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        (
            "answers with HTTP/2's settings",
            b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d\0\x04\0\0\xff\xff\0\x06\0\0\x40\0",
        ),
        ("answers in HTTP/0.9", b"<html>welcome</html>\r\n"),
        ("answers in TLS", b"\x15\x03\x01\0\x02\x02\x46\r\n"),
        ("has a status that is no number", b"HTTP/1.1 abc OK\r\n\r\n"),
        ("has a status of two digits", b"HTTP/1.1 20 OK\r\n\r\n"),
        ("has a header without a colon", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
        ("has a NUL in a header", b"HTTP/1.1 200 OK\r\nx-nul: a\0b\r\n\r\n"),
        ("has a length that is no number", b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nok"),
        ("has two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"),
    ];
    hold(GARBAGE.map(|(does, garbage)| {
        case(does, ProtocolError, move |conversation| say(conversation, garbage))
            .says("the answer is not HTTP")
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_bends_the_rules_is_judged_by_its_status() {
    const BENT: [(&str, &[u8]); 6] = [
        ("sends more than its length", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more"),
        ("answers twice", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
        ("says its length in two ways", b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("ends its lines with bare feeds", b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok"),
        ("names no reason", b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok"),
        ("has a header that is not UTF-8", b"HTTP/1.1 200 OK\r\nx-odd: \xff\xfe\r\ncontent-length: 2\r\n\r\nok"),
    ];
    let delivered = BENT.map(|(does, answer)| {
        case(does, Delivered, move |conversation| say(conversation, answer)).status(200).keeps("ok")
    });
    let lost = "the rest of its answer was lost";
    let more = [
        case("sends less than its length", Delivered, |conversation| {
            say_and_close(conversation, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        })
        .status(200)
        .keeps("half")
        .says(lost),
        case("sends what is no chunk", Delivered, |conversation| {
            say(conversation, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a chunk\r\n")
        })
        .status(200)
        .says(lost),
        case("has a status of no class", ServerError, |conversation| {
            say(conversation, b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n")
        })
        .status(999),
        case("has one interim answer before a failure", ServerError, |conversation| {
            say(conversation, b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
        })
        .status(500),
        case("switches to another protocol", ServerError, |conversation| {
            say_and_close(
                conversation,
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            )
        })
        .status(101),
        case("closes without a word", AnswerLost, |conversation| say_and_close(conversation, b"")),
        case("has one interim answer and closes", AnswerLost, |conversation| {
            say_and_close(conversation, b"HTTP/1.1 100 Continue\r\n\r\n")
        }),
    ];
    hold(delivered.into_iter().chain(more)).await;
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_nobodys_answer() {
    let mut receiver = Receiver::start(|mut conversation| async move {
        let first = conversation.number() == 0;
        conversation.hear().await;
        if first {
            tokio::time::sleep(hasty().total_timeout + Duration::from_millis(100)).await;
            conversation.say(OK).await;
        } else {
            conversation.say("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
        }
    })
    .await;
    let transport = transport(hasty(), &["127.0.0.1"]);
    let late = post(&transport, &receiver.url(), Bytes::new()).await;
    assert_eq!((late.class, late.status), (AnswerTimeout, None));
    receiver.all_hung_up().await;
    let next = post(&transport, &receiver.url(), Bytes::new()).await;
    assert_eq!((next.class, next.status, next.connection_reused), (ServerError, Some(500), false));
}
