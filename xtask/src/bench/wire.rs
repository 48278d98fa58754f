//! HTTP/1.1 as cheap as it can be, so that what measures takes little from what is measured.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::BenchError;

/// A server that sends more than this is not one of ours.
const LARGEST_MESSAGE: usize = 64 << 20;

/// A connection that is kept open, with one request under way at a time.
#[derive(Debug)]
pub(super) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, in the connection's own buffer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

impl Connection {
    #[expect(
        clippy::disallowed_methods,
        reason = "it goes to a server that the benchmark started on this machine"
    )]
    pub(super) async fn open(address: SocketAddr) -> Result<Self, BenchError> {
        let lost = |source| BenchError::Connection { address, source };
        let stream = TcpStream::connect(address).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        Ok(Self { address, stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a whole request and waits for the whole answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, BenchError> {
        let address = self.address;
        let lost = |source| BenchError::Connection { address, source };
        self.buffer.clear();
        self.stream.write_all(request).await.map_err(lost)?;
        let message = read_message(&mut self.stream, &mut self.buffer).await.map_err(lost)?;
        let Some(Message { head, whole }) = message else { return Err(BenchError::Hangup { address }) };
        let status = std::str::from_utf8(&self.buffer[..head])
            .ok()
            .and_then(|head| head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
            .ok_or(BenchError::Hangup { address })?;
        Ok(Answer { status, body: &self.buffer[head..whole] })
    }
}

/// A request that can be sent again and again.
pub(super) fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    if let Some(token) = token {
        text.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if !body.is_empty() {
        text.push_str("content-type: application/json\r\n");
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// Where a message's head and the message itself end in the buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) head: usize,
    pub(super) whole: usize,
}

/// Reads until `buffer` begins with a whole message; `None` where the other side has closed.
pub(super) async fn read_message(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<Message>> {
    loop {
        if let Some(head) = end_of_head(buffer) {
            let whole = head + content_length(&buffer[..head]);
            if whole > LARGEST_MESSAGE {
                return Ok(None);
            }
            buffer.reserve(whole.saturating_sub(buffer.len()));
            while buffer.len() < whole {
                if stream.read_buf(buffer).await? == 0 {
                    return Ok(None);
                }
            }
            return Ok(Some(Message { head, whole }));
        }
        if buffer.len() > LARGEST_MESSAGE || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|start| start + 4)
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok())
        .unwrap_or(0)
}

/// The number of the run that a text names first, such as `run_0198…`.
pub(super) fn run_in(text: &[u8]) -> Option<u128> {
    const MARK: &[u8] = b"\"runId\":\"run_";
    const DIGITS: usize = 32;
    let start = text.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = std::str::from_utf8(text.get(start..start + DIGITS)?).ok()?;
    u128::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_once_its_promised_length_is_there() {
        let head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 12\r\nx: y\r\n\r\n";
        assert_eq!(end_of_head(head), Some(head.len()));
        assert_eq!(content_length(head), 12);
        assert_eq!(content_length(b"HTTP/1.1 204 No Content\r\n\r\n"), 0);
    }

    #[test]
    fn a_run_is_known_by_its_number_in_answers_and_in_events() {
        let answer = br#"{"ok":true,"runId":"run_0198c2d57b1a7c3e9f40a1b2c3d4e5f6"}"#;
        assert_eq!(run_in(answer), Some(0x0198_c2d5_7b1a_7c3e_9f40_a1b2_c3d4_e5f6));
        assert_eq!(run_in(b"{\"runId\":\"run_12\"}"), None);
    }
}
