//! A model that says the same to everybody and remembers who asked.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Shared;

const ANSWER: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Done.\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n\
    data: [DONE]\n\n";
/// How long it thinks, so that deaths find turns under way.
const THINKS: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(15);
/// What stands before a request's number in its message.
const MARK: &str = "request-";

/// The model. It lives as long as the process.
pub(super) struct Model {
    address: SocketAddr,
    asked: Shared<BTreeMap<usize, u32>>,
}

impl Model {
    /// Begins to answer.
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, asked) = (listener.local_addr()?, Shared::default());
        let record: Shared<BTreeMap<usize, u32>> = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let record = Arc::clone(&record);
                // Whoever asked may have been killed; that is what is tried out here.
                std::thread::spawn(move || answer(stream, &record).ok());
            }
        });
        Ok(Self { address, asked })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often the turn of each request was taken.
    pub(super) fn asked(&self) -> BTreeMap<usize, u32> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn answer(mut stream: TcpStream, asked: &Shared<BTreeMap<usize, u32>>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = read(&mut stream)?;
    for number in numbers(&body) {
        *asked.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default() += 1;
    }
    std::thread::sleep(THINKS);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{ANSWER}",
        ANSWER.len()
    )
}

/// The body of one request.
fn read(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let body = head + 4;
        if bytes.len() >= body + length.unwrap_or(0_usize) {
            return Ok(String::from_utf8_lossy(&bytes[body..]).into_owned());
        }
    }
}

/// The numbers of the requests that a turn is for.
fn numbers(body: &str) -> impl Iterator<Item = usize> {
    body.match_indices(MARK).filter_map(|(at, _)| {
        let rest = &body[at + MARK.len()..];
        rest.split_once(';')?.0.parse().ok()
    })
}
