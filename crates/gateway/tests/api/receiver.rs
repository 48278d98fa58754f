//! A receiver of webhooks on a real socket, which answers as it is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A configuration under which receivers of this machine are called, and failures are final.
pub(crate) const LOCAL: &str = r#"{
    cron: { webhookSsrfPolicy: { allowedHostnames: ["127.0.0.1"] } },
    delivery: { retrySchedule: [] },
}"#;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) headers: HashMap<String, String>,
    /// The body's bytes, as they were signed.
    pub(crate) body: Vec<u8>,
    pub(crate) event: Value,
}

/// The receiver.
pub(crate) struct Receiver {
    pub(crate) url: String,
    status: Arc<AtomicU16>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    /// Begins to answer with this status.
    pub(crate) async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?token=s3cret", listener.local_addr().unwrap());
        let (status, requests) = (Arc::new(AtomicU16::new(status)), Arc::default());
        let receiver = Self { url, status, requests };
        let (status, requests) = (receiver.status.clone(), receiver.requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, status.clone(), requests.clone()));
            }
        });
        receiver
    }

    /// Answers with this status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What has come so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, status: Arc<AtomicU16>, requests: Arc<Mutex<Vec<Request>>>) {
    let mut bytes = Vec::new();
    loop {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            match stream.read_buf(&mut bytes).await {
                Ok(1..) => continue,
                _ => return,
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let headers: HashMap<String, String> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers["content-length"].parse().unwrap();
        bytes.drain(..end + 4);
        while bytes.len() < length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body: Vec<u8> = bytes.drain(..length).collect();
        let event = serde_json::from_slice(&body).unwrap();
        requests.lock().unwrap().push(Request { headers, body, event });
        let status = status.load(Ordering::SeqCst);
        let answer = format!("HTTP/1.1 {status} As Told\r\ncontent-length: 6\r\n\r\nI did.");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
