//! A receiver that misbehaves as the seed says, and keeps a record of every request.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use clawhook_clock::{Clock, SystemClock};
use clawhook_model::UnixMs;
use http::{HeaderMap, HeaderName, HeaderValue};
use standardwebhooks::Webhook;

/// How long a stalled request is left without an answer: longer than the gateway's `delivery.timeout`.
const STALL: Duration = Duration::from_millis(700);
/// What a path has in it that refuses its first requests, and how many: enough to open the gateway's circuit.
pub(super) const DOWN: &str = "/down-";
const REFUSED_WHILE_DOWN: usize = 10;
const LONGEST_HEAD: u64 = 64 << 10;
const LARGEST_BODY: usize = 4 << 20;

/// What a request got for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Behaviour {
    Ok,
    NoContent,
    ServerError,
    /// The same, because this path refuses its first requests.
    Down,
    /// The connection is reset after the head, with the body unread: the receiver does not have the event.
    ResetBeforeBody,
    /// The connection is reset after the body: the answer is lost, the receiver has the event.
    ResetAfterBody,
    /// No answer for longer than the gateway waits: the receiver has the event.
    Stall,
}

impl Behaviour {
    /// Mostly well, and badly often enough that every kind is met hundreds of times.
    fn of(seed: u64, event: &str, attempt: u32) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, event, attempt).hash(&mut hasher);
        match hasher.finish() % 100 {
            0..62 => Self::Ok,
            62..72 => Self::NoContent,
            72..82 => Self::ServerError,
            82..88 => Self::ResetBeforeBody,
            88..94 => Self::ResetAfterBody,
            _ => Self::Stall,
        }
    }

    /// Whether the gateway was told that the event arrived.
    pub(super) fn is_2xx(self) -> bool {
        matches!(self, Self::Ok | Self::NoContent)
    }
}

/// One request as it came, in the order of arrival.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) event_id: String,
    /// Where it came to: each replay has a path of its own.
    pub(super) path: String,
    pub(super) attempt: u32,
    pub(super) arrived_at: UnixMs,
    /// The exact bytes; none where they were not read, or the gateway died while it sent them.
    pub(super) body: Option<Vec<u8>>,
    /// Why the signature is not accepted, where the body was read.
    pub(super) signature_fault: Option<String>,
    pub(super) behaviour: Behaviour,
    /// The whole answer was handed to the operating system.
    pub(super) answered: bool,
}

/// The running receiver. Dropping it stops accepting; a connection ends with the gateway that made it.
#[derive(Debug)]
pub(super) struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    seed: u64,
    verifier: Webhook,
    requests: Mutex<Vec<Request>>,
    stopping: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Receiver {
    pub(super) fn start(seed: u64, verifier: Webhook) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { seed, verifier, requests: Mutex::default(), stopping: AtomicBool::new(false) });
        let accepted_by = shared.clone();
        let accepting = std::thread::spawn(move || accept(&listener, &accepted_by));
        Ok(Self { shared, address, accepting: Some(accepting) })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How many requests have arrived so far.
    pub(super) fn count(&self) -> usize {
        self.shared.requests().len()
    }

    /// The requests so far without the first ones, in the order of arrival.
    pub(super) fn requests_from(&self, first: usize) -> Vec<Request> {
        self.shared.requests().iter().skip(first).cloned().collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // A connection of our own wakes the thread that waits for one.
        TcpStream::connect(self.address).ok();
        if let Some(accepting) = self.accepting.take() {
            accepting.join().ok();
        }
    }
}

impl Shared {
    /// How a request is treated. A path that is down for a while treats all its requests alike.
    fn behaviour(&self, path: &str, event_id: &str, attempt: u32) -> Behaviour {
        if !path.contains(DOWN) {
            return Behaviour::of(self.seed, event_id, attempt);
        }
        let so_far = self.requests().iter().filter(|request| request.path == path).count();
        if so_far < REFUSED_WHILE_DOWN { Behaviour::Down } else { Behaviour::Ok }
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = shared.clone();
        // The gateway bounds how many requests it has under way, and with them these threads.
        std::thread::spawn(move || serve(&stream, &shared));
    }
}

/// Serves one connection until either side ends it; that the gateway dies in the middle is the daily bread here.
fn serve(stream: &TcpStream, shared: &Shared) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (path, headers) = read_head(&mut reader)?;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let event_id = text("webhook-id").to_owned();
        let attempt: u32 = text("clawhook-attempt").parse().unwrap_or(0);
        let length: usize = text("content-length").parse().ok().filter(|length| *length <= LARGEST_BODY)?;
        let behaviour = shared.behaviour(&path, &event_id, attempt);
        let request = Request {
            event_id,
            path,
            attempt,
            arrived_at: SystemClock.now(),
            body: None,
            signature_fault: None,
            behaviour,
            answered: false,
        };
        let place = {
            let mut requests = shared.requests();
            requests.push(request);
            requests.len() - 1
        };
        if behaviour == Behaviour::ResetBeforeBody {
            return reset(stream);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let fault = shared.verifier.verify(&body, &headers).err().map(|error| error.to_string());
        {
            let mut requests = shared.requests();
            requests[place].body = Some(body);
            requests[place].signature_fault = fault;
        }
        let answer: &[u8] = match behaviour {
            Behaviour::Ok => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Behaviour::NoContent => b"HTTP/1.1 204 No Content\r\n\r\n",
            Behaviour::ServerError | Behaviour::Down => {
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"
            }
            Behaviour::ResetBeforeBody | Behaviour::ResetAfterBody => return reset(stream),
            Behaviour::Stall => {
                std::thread::sleep(STALL);
                return None;
            }
        };
        { stream }.write_all(answer).ok()?;
        shared.requests()[place].answered = true;
    }
}

/// Ends the connection as a crashed receiver's system does: with a reset instead of a farewell.
fn reset(stream: &TcpStream) -> Option<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok()
}

fn read_head(reader: &mut impl BufRead) -> Option<(String, HeaderMap)> {
    let mut reader = reader.take(LONGEST_HEAD);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HeaderMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return line.trim_end().is_empty().then_some((path, headers));
        };
        let name: HeaderName = name.parse().ok()?;
        headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
    }
}
