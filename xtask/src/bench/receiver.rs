//! A receiver that does as little as a receiver can, in a process of its own, so that it costs what a real one costs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::BenchError;
use super::instant::Instant;
use super::wire::{Connection, Message, read_message, request, run_in};
use crate::process::Server;
use crate::progress::say;

/// Where events go. Everything else is for the benchmark.
const HOOK: &str = "/hook";
const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const START_WITHIN: Duration = Duration::from_secs(10);
/// A run's number and an instant, each as it lies in memory.
const RECORD: usize = size_of::<u128>() + size_of::<u64>();

/// What the receiver has seen.
#[derive(Debug, Default)]
struct Book {
    arrivals: RefCell<Vec<(u128, Instant)>>,
    last: RefCell<Vec<u8>>,
    changed: Notify,
}

/// The receiver's process: serves until its standard input ends.
pub(super) fn serve(port: u16) -> Result<(), BenchError> {
    super::runtime()?.block_on(LocalSet::new().run_until(async move {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let lost = |source| BenchError::Connection { address, source };
        let listener = TcpListener::bind(address).await.map_err(lost)?;
        say(format_args!("listening on {}", listener.local_addr().map_err(lost)?));
        let book = Rc::new(Book::default());
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                tokio::task::spawn_local(serve_connection(stream, book.clone()));
            }
        });
        let end_of_input = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        tokio::task::spawn_blocking(end_of_input).await?.ok();
        Ok(())
    }))
}

/// Answers requests until the connection ends, in whichever way.
async fn serve_connection(mut stream: TcpStream, book: Rc<Book>) {
    let mut buffer = Vec::with_capacity(8192);
    while let Ok(Some(Message { head, whole })) = read_message(&mut stream, &mut buffer).await {
        let path = path_of(&buffer[..head]);
        let written = if path == HOOK {
            note(&book, &buffer[head..whole]);
            stream.write_all(NO_CONTENT).await
        } else {
            let body = answer(&book, path).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).await
        };
        if written.is_err() {
            return;
        }
        buffer.drain(..whole);
    }
}

fn path_of(head: &[u8]) -> &str {
    let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    std::str::from_utf8(path).unwrap_or_default()
}

fn note(book: &Book, body: &[u8]) {
    book.arrivals.borrow_mut().push((run_in(body).unwrap_or(0), Instant::now()));
    let mut last = book.last.borrow_mut();
    last.clear();
    last.extend_from_slice(body);
    book.changed.notify_waiters();
}

async fn answer(book: &Book, path: &str) -> Vec<u8> {
    match path {
        "/last" => book.last.borrow().clone(),
        "/arrivals" => {
            let arrivals = book.arrivals.borrow();
            let mut bytes = Vec::with_capacity(arrivals.len() * RECORD);
            for (run, at) in arrivals.iter() {
                bytes.extend_from_slice(&run.to_ne_bytes());
                bytes.extend_from_slice(&at.as_nanos().to_ne_bytes());
            }
            bytes
        }
        "/forget" => {
            book.arrivals.borrow_mut().clear();
            Vec::new()
        }
        _ => {
            let wanted = path.strip_prefix("/wait/").and_then(|count| count.parse().ok()).unwrap_or(0);
            loop {
                let changed = book.changed.notified();
                if book.arrivals.borrow().len() >= wanted {
                    return Vec::new();
                }
                changed.await;
            }
        }
    }
}

/// The receiver as the benchmark holds it.
#[derive(Debug)]
pub(super) struct Receiver {
    _server: Server,
    address: SocketAddr,
}

/// When each run's event arrived first, and how many arrived again.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    pub(super) first: HashMap<u128, Instant>,
    pub(super) repeats: usize,
}

impl Arrivals {
    /// How many requests arrived in all.
    pub(super) fn count(&self) -> usize {
        self.first.len() + self.repeats
    }
}

impl Receiver {
    pub(super) fn start(logs: &Path) -> Result<Self, BenchError> {
        let itself = std::env::current_exe()
            .map_err(|source| BenchError::File { path: "the benchmark's own program".into(), source })?;
        let mut command = Command::new(itself);
        command.args(["bench", "receiver", "--port", "0"]);
        let mut server = Server::start("receiver", &mut command, logs)?;
        let address = server.wait_for_line("listening on ", START_WITHIN)?;
        let address =
            address.parse().map_err(|_| BenchError::Unreadable { what: "its address", text: address })?;
        Ok(Self { _server: server, address })
    }

    pub(super) fn hook_url(&self) -> String {
        format!("http://{}{HOOK}", self.address)
    }

    /// Forgets what has arrived.
    pub(super) async fn forget(&self) -> Result<(), BenchError> {
        self.ask("/forget").await.map(drop)
    }

    /// The body that arrived last.
    pub(super) async fn last(&self) -> Result<Vec<u8>, BenchError> {
        self.ask("/last").await
    }

    /// What has arrived once `count` have, or when the time is over.
    pub(super) async fn wait_for(&self, count: usize, within: Duration) -> Result<Arrivals, BenchError> {
        if let Ok(answer) = tokio::time::timeout(within, self.ask(&format!("/wait/{count}"))).await {
            answer?;
        }
        let bytes = self.ask("/arrivals").await?;
        let mut arrivals = Arrivals::default();
        for record in bytes.chunks_exact(RECORD) {
            let (run, at) = record.split_at(size_of::<u128>());
            let run = u128::from_ne_bytes(run.try_into().unwrap_or_default());
            let at = Instant::from_nanos(u64::from_ne_bytes(at.try_into().unwrap_or_default()));
            match arrivals.first.entry(run) {
                Entry::Vacant(place) => drop(place.insert(at)),
                Entry::Occupied(_) => arrivals.repeats += 1,
            }
        }
        Ok(arrivals)
    }

    async fn ask(&self, path: &str) -> Result<Vec<u8>, BenchError> {
        let mut connection = Connection::open(self.address).await?;
        Ok(connection.exchange(&request("GET", path, None, "")).await?.body.to_vec())
    }
}
