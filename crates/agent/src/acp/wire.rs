//! JSON-RPC, one message a line, over a pair of pipes.
//!
//! The protocol's crate has a connection of its own; it queues without a bound and reads lines without a limit, so its
//! types are used and its connection is not.

use std::io;
use std::time::Duration;

use agent_client_protocol_schema::v1::{Error as RpcError, RequestId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// The longest line that is read.
const LINE_LIMIT: usize = 16 * 1024 * 1024;

/// How many messages wait to be written at most.
const OUTBOX: usize = 32;

/// What came from the other side.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    /// The answer to a request of ours.
    Answer { id: RequestId, result: Result<Value, RpcError> },
    /// It wants an answer.
    Request { id: RequestId, method: String, params: Value },
    /// It wants to be heard.
    Notification { method: String, params: Value },
}

/// Why there is no talking any more.
#[derive(Debug, Error)]
pub(super) enum WireError {
    /// The other side has closed its end.
    #[error("closed the connection")]
    Closed,
    /// Reading failed.
    #[error("could not be read: {0}")]
    Read(#[from] io::Error),
    /// A line went on and on.
    #[error("sent a line of more than {LINE_LIMIT} bytes")]
    TooLong,
    /// A line is no message; what it is.
    #[error("printed something that is no message of the protocol")]
    Garbage(String),
    /// Nothing came, or nothing was taken, for so long.
    #[error("was silent for {0:?}")]
    Silent(Duration),
}

/// Both directions. Dropping it closes what the other side reads from.
#[derive(Debug)]
pub(super) struct Wire<R> {
    lines: Lines<R>,
    outbox: mpsc::Sender<Vec<u8>>,
    patience: Duration,
    last_id: i64,
    _writer: AbortOnDropHandle<()>,
}

impl<R: AsyncRead + Unpin> Wire<R> {
    /// Reads from `from` and writes to `to`, and takes a silence of `patience` for the end.
    pub(super) fn new(from: R, mut to: impl AsyncWrite + Unpin + Send + 'static, patience: Duration) -> Self {
        let (outbox, mut waiting) = mpsc::channel::<Vec<u8>>(OUTBOX);
        // Writing must not hold up reading: the other side may do the one only after the other.
        let writer = tokio::spawn(async move {
            while let Some(line) = waiting.recv().await {
                if to.write_all(&line).await.is_err() || to.flush().await.is_err() {
                    return;
                }
            }
        });
        Self {
            lines: Lines { pipe: BufReader::new(from), line: Vec::new() },
            outbox,
            patience,
            last_id: 0,
            _writer: AbortOnDropHandle::new(writer),
        }
    }

    /// The next message. It can be dropped at any time without losing a byte.
    pub(super) async fn next(&mut self) -> Result<Incoming, WireError> {
        let line = timeout(self.patience, self.lines.next());
        let line = line.await.map_err(|_| WireError::Silent(self.patience))??;
        decode(&line)
    }

    /// Asks for something; the answer will bear the id that is returned.
    pub(super) async fn request(
        &mut self,
        method: &str,
        params: impl Serialize,
    ) -> Result<RequestId, WireError> {
        self.last_id += 1;
        let id = RequestId::Number(self.last_id);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": to_value(params)? }))
            .await?;
        Ok(id)
    }

    /// Answers a request.
    pub(super) async fn reply(
        &mut self,
        id: RequestId,
        result: Result<impl Serialize, RpcError>,
    ) -> Result<(), WireError> {
        let message = match result {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": to_value(result)? }),
            Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
        };
        self.send(&message).await
    }

    /// Says something that wants no answer.
    pub(super) async fn notify(&mut self, method: &str, params: impl Serialize) -> Result<(), WireError> {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": to_value(params)? })).await
    }

    async fn send(&mut self, message: &Value) -> Result<(), WireError> {
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        match timeout(self.patience, self.outbox.send(line)).await {
            Ok(Ok(())) => Ok(()),
            // What it said last is still to be read, and tells more than that it reads no more.
            Ok(Err(_)) => Ok(()),
            Err(_) => Err(WireError::Silent(self.patience)),
        }
    }
}

fn to_value(params: impl Serialize) -> Result<Value, WireError> {
    serde_json::to_value(params).map_err(|error| WireError::Read(error.into()))
}

/// Lines of a limited length.
#[derive(Debug)]
struct Lines<R> {
    pipe: BufReader<R>,
    /// What has been read of the next one.
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The next line that is not empty.
    async fn next(&mut self) -> Result<Vec<u8>, WireError> {
        loop {
            let piece = self.pipe.fill_buf().await?;
            if piece.is_empty() {
                return Err(WireError::Closed);
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            self.line.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
            let taken = end.map_or(piece.len(), |end| end + 1);
            self.pipe.consume(taken);
            if self.line.len() > LINE_LIMIT {
                return Err(WireError::TooLong);
            }
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                if !line.trim_ascii().is_empty() {
                    return Ok(line);
                }
            }
        }
    }
}

fn decode(line: &[u8]) -> Result<Incoming, WireError> {
    #[derive(Deserialize)]
    struct Frame {
        id: Option<RequestId>,
        method: Option<String>,
        #[serde(default)]
        params: Value,
        #[serde(default)]
        result: Value,
        error: Option<RpcError>,
    }
    let garbage = || WireError::Garbage(String::from_utf8_lossy(line).into_owned());
    let frame: Frame = serde_json::from_slice(line).map_err(|_| garbage())?;
    match (frame.method, frame.id) {
        (Some(method), Some(id)) => Ok(Incoming::Request { id, method, params: frame.params }),
        (Some(method), None) => Ok(Incoming::Notification { method, params: frame.params }),
        (None, Some(id)) => Ok(Incoming::Answer { id, result: frame.error.map_or(Ok(frame.result), Err) }),
        // An error about a message of ours that the other side could not even read.
        (None, None) => match frame.error {
            Some(error) => Ok(Incoming::Answer { id: RequestId::Null, result: Err(error) }),
            None => Err(garbage()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Vec<Result<Incoming, WireError>> {
        let mut wire = Wire::new(bytes, tokio::io::sink(), Duration::from_secs(60));
        let mut read = Vec::new();
        loop {
            let next = wire.next().await;
            let is_over = next.is_err();
            read.push(next);
            if is_over {
                return read;
            }
        }
    }

    #[tokio::test]
    async fn requests_notifications_and_answers_are_told_apart_and_empty_lines_passed_over() {
        let lines = concat!(
            "\r\n",
            r#"{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1}}"#,
            "\n\n",
            r#"{"jsonrpc":"2.0","method":"n"}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":7,"result":null}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}"#,
            "\n",
        );
        let read = read(lines.as_bytes()).await;
        assert!(matches!(&read[0], Ok(Incoming::Request { id: RequestId::Str(id), method, params })
            if id == "a" && method == "m" && params["x"] == 1));
        assert!(
            matches!(&read[1], Ok(Incoming::Notification { method, params: Value::Null }) if method == "n")
        );
        assert!(matches!(
            &read[2],
            Ok(Incoming::Answer { id: RequestId::Number(7), result: Ok(Value::Null) })
        ));
        assert!(matches!(&read[3], Ok(Incoming::Answer { id: RequestId::Null, result: Err(_) })));
        assert!(matches!(&read[4], Err(WireError::Closed)));
    }

    #[tokio::test]
    async fn what_is_no_message_is_told_and_a_line_without_an_end_is_not_kept_without_an_end() {
        assert!(matches!(&read(b"Welcome!\n").await[0], Err(WireError::Garbage(line)) if line == "Welcome!"));
        assert!(matches!(&read(b"[]\n").await[0], Err(WireError::Garbage(_))));
        assert!(matches!(&read(b"{}\n").await[0], Err(WireError::Garbage(_))));
        assert!(matches!(&read(&[b'x'; LINE_LIMIT + 1]).await[0], Err(WireError::TooLong)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_and_so_does_not_being_listened_to() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let (from, to) = tokio::io::split(ours);
        let mut wire = Wire::new(from, to, Duration::from_secs(5));
        assert!(matches!(wire.next().await, Err(WireError::Silent(_))));
        let mut sent = 0;
        while wire.notify("x", json!({ "text": "long enough" })).await.is_ok() {
            sent += 1;
        }
        assert!(sent <= OUTBOX + 1, "{sent}");
    }
}
