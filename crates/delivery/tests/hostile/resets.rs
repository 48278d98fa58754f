//! Connections that are cut, at every phase of a request.

use clawhook_model::AttemptClass::{AnswerLost, ConnectTimeout, Delivered, TlsFailed};
use tokio::io::AsyncReadExt as _;

use crate::case::{case, hold};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cuts_the_connection_leaves_what_was_known_by_then() {
    let broke = "the connection broke before the answer was complete";
    hold([
        // What was written is in the sockets' buffers: whether anybody read it nobody knows.
        case("resets once the request begins", AnswerLost, |mut conversation| async move {
            conversation.stream.read_u8().await.ok();
            conversation.reset();
        })
        .given(100_000)
        .says(broke),
        case("resets after the request's head", AnswerLost, |mut conversation| async move {
            let mut read = Vec::new();
            while !read.windows(4).any(|four| four == b"\r\n\r\n") {
                conversation.stream.read_buf(&mut read).await.unwrap();
            }
            conversation.reset();
        })
        .given(1 << 20)
        .says(broke),
        case("resets after the request", AnswerLost, |mut conversation| async move {
            conversation.hear().await;
            conversation.reset();
        })
        .says(broke),
        case("closes after the request", AnswerLost, |mut conversation| async move {
            conversation.hear().await;
        })
        .says(broke),
        case("closes within its head", AnswerLost, |mut conversation| async move {
            conversation.hear().await;
            conversation.say("HTTP/1.1 200 OK\r\ncontent-le").await;
        })
        .says(broke),
        case("closes within its body", Delivered, |mut conversation| async move {
            conversation.hear().await;
            conversation.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        })
        .status(200)
        .keeps("half")
        .says("the rest of its answer was lost"),
        case("resets within the handshake", TlsFailed, |mut conversation| async move {
            conversation.stream.read_u8().await.ok();
            conversation.reset();
        })
        .over_https()
        .says("the TLS handshake with `127.0.0.1` failed"),
        case("closes within the handshake", TlsFailed, |mut conversation| async move {
            conversation.stream.read_u8().await.ok();
        })
        .over_https()
        .says("the TLS handshake with `127.0.0.1` failed"),
        case("shakes hands in plain http", TlsFailed, |mut conversation| async move {
            conversation.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
            conversation.stall().await;
        })
        .over_https(),
        case("sends no end of a handshake", TlsFailed, |mut conversation| async move {
            // A record of a server's hello that announces sixteen megabytes of it.
            conversation.say(b"\x16\x03\x03\x40\0\x02\xff\xff\xff").await;
            while conversation.say(vec![0; 10_000]).await {}
        })
        .over_https(),
        case("never shakes hands", ConnectTimeout, |mut conversation| async move {
            conversation.stall().await;
        })
        .over_https()
        .runs_out(),
        case("drips its handshake", ConnectTimeout, |mut conversation| async move {
            conversation.say(b"\x16\x03\x03\x40\0\x02\0\x3f\0").await;
            while conversation.say(b"\0").await {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .over_https()
        .runs_out(),
    ])
    .await;
}
