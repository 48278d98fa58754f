//! A receiver of Clawhook's events: verifies, takes each once, answers, and works afterwards.

mod recent;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use standardwebhooks::{Webhook, WebhookError};
use tokio::sync::mpsc;

use crate::recent::RecentIds;

/// Where events are posted to.
pub const WEBHOOK_PATH: &str = "/openclaw/webhook";
/// Where the count of processed events is read.
pub const COUNT_PATH: &str = "/processed";
/// How many events may wait to be worked on; more are answered 503 and come again.
pub const EVENTS: usize = 1_000;
const LARGEST_BODY: usize = 2 * 1024 * 1024;
/// Far more than can come while a sender retries.
const REMEMBERED: usize = 10_000;

/// Takes events, and puts each new one into a queue.
pub struct Receiver {
    webhook: Webhook,
    seen: Mutex<RecentIds>,
    queue: mpsc::Sender<Value>,
    processed: Arc<AtomicU64>,
}

impl Receiver {
    /// A receiver that believes the holder of `secret`, `whsec_…`.
    pub fn new(secret: &str, queue: mpsc::Sender<Value>) -> Result<Self, WebhookError> {
        let seen = Mutex::new(RecentIds::new(REMEMBERED));
        Ok(Self { webhook: Webhook::new(secret)?, seen, queue, processed: Arc::default() })
    }

    /// Where [`work`] counts.
    pub fn processed(&self) -> Arc<AtomicU64> {
        self.processed.clone()
    }

    /// The routes.
    pub fn into_router(self) -> Router {
        Router::new()
            .route(WEBHOOK_PATH, post(receive).layer(DefaultBodyLimit::max(LARGEST_BODY)))
            .route(COUNT_PATH, get(count))
            .with_state(Arc::new(self))
    }

    /// Queues a new event. A repeat is taken for done, or the sender would send it for ever.
    fn take(&self, id: &str, event: Value) -> Result<(), mpsc::error::TrySendError<Value>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(id) {
            self.queue.try_send(event)?;
            seen.insert(id);
        }
        Ok(())
    }
}

/// `Bytes` is the body exactly as it came, which is what the signature covers.
async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> Response {
    if receiver.webhook.verify(&body, &headers).is_err() {
        return (StatusCode::UNAUTHORIZED, "the signature does not match, or is too old").into_response();
    }
    let Ok(event) = serde_json::from_slice(&body) else {
        return (StatusCode::BAD_REQUEST, "the body is not JSON").into_response();
    };
    // What is verified has an id.
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    match receiver.take(id, event) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], "too many events wait").into_response()
        }
    }
}

/// For `clawhook conformance --effects-url`, which proves with it that a repeat is processed once.
async fn count(State(receiver): State<Arc<Receiver>>) -> impl IntoResponse {
    let processed = receiver.processed.load(Ordering::Relaxed);
    ([(CONTENT_TYPE, "application/json")], format!(r#"{{"processed":{processed}}}"#))
}

/// Handles one event after the other, until the queue is closed and empty.
pub async fn work<F: Future<Output = ()>>(
    mut events: mpsc::Receiver<Value>,
    processed: Arc<AtomicU64>,
    handle: impl Fn(Value) -> F,
) {
    while let Some(event) = events.recv().await {
        handle(event).await;
        processed.fetch_add(1, Ordering::Relaxed);
    }
}
