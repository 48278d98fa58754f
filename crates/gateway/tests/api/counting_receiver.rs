//! A receiver that answers as it is told, and keeps what came.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) path: String,
    pub(crate) webhook_id: String,
    pub(crate) attempt: u32,
    pub(crate) body: Vec<u8>,
}

/// The running receiver. Its thread ends with the test's process.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    status: AtomicU16,
    arrived: Mutex<Vec<Arrived>>,
    count: watch::Sender<usize>,
}

impl Receiver {
    /// A receiver that answers with `status`.
    pub(crate) fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let status = AtomicU16::new(status);
        let shared = Arc::new(Shared { status, arrived: Mutex::default(), count: watch::Sender::new(0) });
        let served = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = served.clone();
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on it answers with `status`.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Everything that came, once it is so much.
    pub(crate) async fn arrived(&self, count: usize) -> Vec<Arrived> {
        let mut counted = self.shared.count.subscribe();
        counted.wait_for(|so_far| *so_far >= count).await.unwrap();
        self.shared.arrived.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut webhook_id, mut attempt, mut length) = (String::new(), 0, 0);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("webhook-id", id) => webhook_id = id.to_owned(),
                ("clawhook-attempt", number) => attempt = number.parse().ok()?,
                ("content-length", bytes) => length = bytes.parse().ok()?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let status = shared.status.load(Ordering::SeqCst);
        let count = {
            let mut arrived = shared.arrived.lock().unwrap();
            arrived.push(Arrived { path, webhook_id, attempt, body });
            arrived.len()
        };
        shared.count.send_replace(count);
        write!({ stream }, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
