//! A client of the gateway's API that expects the gateway to die in the middle of any answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A gateway that lives answers within this; one that is dead does not answer at all.
const PATIENCE: Duration = Duration::from_secs(15);
const LARGEST_ANSWER: u64 = 32 << 20;

/// Where the gateway of this life is, and its token.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) address: SocketAddr,
    pub(super) token: String,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Api {
    pub(super) fn get(&self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, None)
    }

    pub(super) fn post(&self, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        self.send("POST", path, body)
    }

    /// Sends one request. An answer that is cut off is an error, as is none.
    pub(super) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{kind}\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(LARGEST_ANSWER).read_to_end(&mut answer)?;
        read(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// The answer, if it is whole.
fn read(answer: &[u8]) -> Option<Answer> {
    let end_of_head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end_of_head]).ok()?.to_ascii_lowercase();
    let status = head.strip_prefix("http/1.1 ")?.get(..3)?.parse().ok()?;
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
    let body = answer.get(end_of_head + 4..end_of_head + 4 + length)?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).ok()? };
    Some(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_cut_off_by_a_death_is_no_answer() {
        let whole = b"HTTP/1.1 202 Accepted\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";
        assert_eq!(read(whole).map(|answer| answer.status), Some(202));
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_none(), "{end}");
        }
    }
}
