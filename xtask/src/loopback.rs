//! Just enough of an HTTP client for asking the servers that a task started on this machine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const LARGEST_ANSWER: u64 = 8 << 20;

/// Why a server on this machine did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("'{0}' is no address of this machine")]
    Address(String),
    #[error("{url} does not answer")]
    Connection { url: String, source: std::io::Error },
    #[error("{url} answered with something that is not HTTP: '{start}'")]
    NotHttp { url: String, start: String },
    #[error("{url} answered {status}: {body}")]
    Status { url: String, status: u16, body: String },
}

/// The body of a 200 answer to `GET base/path`.
pub(crate) fn get(base: &str, path: &str) -> Result<String, AskError> {
    ask(base, &format!("GET {path} HTTP/1.1\r\n"), path, b"")
}

/// The body of a 200 answer to a JSON body.
pub(crate) fn post_json(base: &str, path: &str, body: &Value) -> Result<String, AskError> {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    ask(base, &head, path, body.as_bytes())
}

fn ask(base: &str, head: &str, path: &str, body: &[u8]) -> Result<String, AskError> {
    let url = format!("{base}{path}");
    let address = loopback_address(base)?;
    let answer =
        exchange(address, head, body).map_err(|source| AskError::Connection { url: url.clone(), source })?;
    let (status, body) = read_answer(&answer)
        .ok_or_else(|| AskError::NotHttp { url: url.clone(), start: start_of(&answer) })?;
    if status == 200 {
        return Ok(body);
    }
    Err(AskError::Status { url, status, body })
}

fn loopback_address(base: &str) -> Result<SocketAddr, AskError> {
    base.strip_prefix("http://")
        .and_then(|address| address.parse::<SocketAddr>().ok())
        .filter(|address| address.ip().is_loopback())
        .ok_or_else(|| AskError::Address(base.to_owned()))
}

fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(format!("{head}Host: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}

fn read_answer(answer: &[u8]) -> Option<(u16, String)> {
    let end_of_head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end_of_head]).to_ascii_lowercase();
    let body = &answer[end_of_head + 4..];
    let status = head.strip_prefix("http/1.1 ")?.get(..3)?.parse().ok()?;
    let body = match head.contains("\r\ntransfer-encoding: chunked") {
        true => join_chunks(body)?,
        false => body.to_vec(),
    };
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

fn join_chunks(mut chunked: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end_of_size = chunked.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&chunked[..end_of_size]).ok()?, 16).ok()?;
        chunked = &chunked[end_of_size + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(chunked.get(..size)?);
        chunked = chunked.get(size + 2..)?;
    }
}

fn start_of(answer: &[u8]) -> String {
    String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_chunks_is_put_together() {
        let answer =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nclaw\r\n5\r\nhook!\r\n0\r\n\r\n";
        assert_eq!(read_answer(answer), Some((200, "clawhook!".to_owned())));
    }

    #[test]
    fn a_cut_answer_is_none_at_all() {
        assert_eq!(read_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ncl"), None);
        assert_eq!(read_answer(b"SSH-2.0-something"), None);
    }

    #[test]
    fn only_this_machine_is_ever_asked() {
        for elsewhere in ["http://192.0.2.1:80", "https://127.0.0.1:80", "127.0.0.1:80"] {
            assert!(matches!(get(elsewhere, "/"), Err(AskError::Address(_))));
        }
    }
}
