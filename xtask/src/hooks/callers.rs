//! Callers that post each request until it is acknowledged.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Acknowledged, HOOK_TOKEN, Shared};

/// A gateway that lives answers within this.
const PATIENCE: Duration = Duration::from_secs(15);
const LARGEST_ANSWER: u64 = 32 << 20;
/// How long a caller rests before it tries again.
const REST: Duration = Duration::from_millis(20);

/// The callers.
pub(super) struct Callers {
    threads: Vec<JoinHandle<()>>,
    runs: Shared<BTreeMap<usize, String>>,
    tries: Arc<AtomicUsize>,
    posts: usize,
}

impl Callers {
    /// Begins to post so many requests.
    pub(super) fn start(address: SocketAddr, posts: usize, callers: usize) -> Self {
        let next = Arc::new(AtomicUsize::new(0));
        let (runs, tries) = (Shared::default(), Arc::new(AtomicUsize::new(0)));
        let threads = (0..callers)
            .map(|_| {
                let (next, tries) = (Arc::clone(&next), Arc::clone(&tries));
                let runs: Shared<BTreeMap<usize, String>> = Arc::clone(&runs);
                std::thread::spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= posts {
                            return;
                        }
                        let run = until_acknowledged(address, number, &tries);
                        runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(number, run);
                    }
                })
            })
            .collect();
        Self { threads, runs, tries, posts }
    }

    /// Whether every request is acknowledged.
    pub(super) fn are_done(&self) -> bool {
        self.runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len() >= self.posts
    }

    /// What they know, once they are done.
    pub(super) fn end(self) -> Acknowledged {
        for thread in self.threads {
            thread.join().ok();
        }
        let runs = self.runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Acknowledged { runs, tries: self.tries.load(Ordering::SeqCst) }
    }
}

/// Posts a request until its run is known. Whatever else comes is tried again.
fn until_acknowledged(address: SocketAddr, number: usize, tries: &AtomicUsize) -> String {
    let body = json!({ "message": format!("request-{number};"), "wakeMode": "next-heartbeat" }).to_string();
    let head = format!(
        "POST /hooks/agent HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {HOOK_TOKEN}\r\n\
         idempotency-key: key-{number}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    loop {
        tries.fetch_add(1, Ordering::SeqCst);
        if let Ok((200, answer)) = exchange(address, &format!("{head}{body}"))
            && let Some(run) = answer["runId"].as_str()
        {
            return run.to_owned();
        }
        std::thread::sleep(REST);
    }
}

/// Reads what is at a path.
pub(super) fn get(address: SocketAddr, path: &str, token: &str) -> io::Result<(u16, Value)> {
    exchange(
        address,
        &format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        ),
    )
}

/// One request, and its whole answer; one that was cut off is none.
fn exchange(address: SocketAddr, request: &str) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut answer)?;
    read(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn read(answer: &[u8]) -> Option<(u16, Value)> {
    let end_of_head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end_of_head]).ok()?.to_ascii_lowercase();
    let status = head.strip_prefix("http/1.1 ")?.get(..3)?.parse().ok()?;
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
    let body = answer.get(end_of_head + 4..end_of_head + 4 + length)?;
    Some((status, serde_json::from_slice(body).unwrap_or_default()))
}
