//! What the parts can do by themselves, which is what the whole is held against.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clawhook_delivery::{
    ConnectionProfile, Guard, GuardPolicy, PostRequest, SigningSecret, Transport, TransportOptions, sign,
};
use clawhook_model::WebhookUrl;
use http::{HeaderMap, HeaderValue};
use rusqlite::{Connection, OpenFlags, params};

use super::BenchError;
use super::gateway::{Gateway, system_event};
use super::instant::unix_ms;
use super::receiver::Receiver;
use super::report::{Figure, rate};

/// How many requests the gateway has under way to one origin by default.
const CONCURRENT: usize = 64;
/// How many lifecycles share their three transactions.
const GROUP: usize = 256;
const ARRIVE_WITHIN: Duration = Duration::from_secs(10);
/// How long the receiver may take to note what has been answered.
const LAST_ARRIVAL_WITHIN: Duration = Duration::from_secs(1);

/// What the parts did by themselves.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) transport_per_s: f64,
    pub(super) store_per_s: f64,
    body_bytes: usize,
    sent: usize,
    arrived: usize,
}

pub(super) async fn measure(folder: &Path, receiver: &Receiver, count: usize) -> Result<Limits, BenchError> {
    let (body, schema) = sample(folder, receiver).await?;
    receiver.forget().await?;
    let (hook, sent_body) = (receiver.hook_url(), body.clone());
    let sending = tokio::task::spawn_blocking(move || transport(&hook, &sent_body, count));
    let transport_per_s = sending.await??;
    let arrived = receiver.wait_for(count, LAST_ARRIVAL_WITHIN).await?.count();
    let store_per_s = store(folder, &schema, &body, count)?;
    Ok(Limits { transport_per_s, store_per_s, body_bytes: body.len(), sent: count, arrived })
}

impl Limits {
    pub(super) fn figures(&self) -> [Figure; 2] {
        let Self { body_bytes, sent, arrived, .. } = self;
        [
            Figure::new("limits.transport", self.transport_per_s, "/s").noted(format!(
                "signed POSTs of {body_bytes} bytes by the bare HTTP client, {CONCURRENT} at a time, {arrived} of {sent} received"
            )),
            Figure::new("limits.store", self.store_per_s, "/s").noted(format!(
                "lifecycles in SQLite alone: insert, claim, settle, in synced groups of {GROUP}"
            )),
        ]
    }
}

/// A real event's bytes, to be sent and stored as often as is wanted.
async fn sample(folder: &Path, receiver: &Receiver) -> Result<(Bytes, Schema), BenchError> {
    let gateway = Gateway::start(folder, "sample").await?;
    receiver.forget().await?;
    let job = gateway.make_jobs(vec![system_event("sample", &receiver.hook_url())]).await?.concat();
    super::wire::Connection::open(gateway.address).await?.exchange(&gateway.run_request(&job)).await?;
    receiver.wait_for(1, ARRIVE_WITHIN).await?;
    let body = receiver.last().await?;
    if body.is_empty() {
        return Err(BenchError::Unreadable { what: "the sample event, which did not arrive", text: job });
    }
    let schema = Schema::of(&gateway.state.join("clawhook.db"))?;
    Ok((body.into(), schema))
}

/// What the transport alone sends in a second: signed, and with the gateway's own concurrency.
fn transport(hook: &str, body: &Bytes, count: usize) -> Result<f64, BenchError> {
    let unusable = |text: String| BenchError::Unreadable { what: "what the transport is to send", text };
    let url = WebhookUrl::from_str(hook).map_err(|error| unusable(error.to_string()))?;
    let secret = SigningSecret::generate().map_err(|error| unusable(error.to_string()))?;
    let guard =
        Guard::new(GuardPolicy { allowed_hosts: vec!["127.0.0.1".to_owned()], ..GuardPolicy::default() });
    let workers = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let workers = workers.map_err(BenchError::Runtime)?;
    workers.block_on(async {
        let sender = Arc::new(Sender {
            transport: Transport::new(TransportOptions::default(), guard),
            url,
            secret,
            body: body.clone(),
            open: AtomicUsize::new(count),
            delivered: AtomicUsize::new(0),
        });
        let began = Instant::now();
        let tasks: Vec<_> = (0..CONCURRENT).map(|_| tokio::spawn(sender.clone().send_all())).collect();
        for task in tasks {
            task.await?;
        }
        Ok(rate(sender.delivered.load(Ordering::Relaxed), began.elapsed()))
    })
}

struct Sender {
    transport: Transport,
    url: WebhookUrl,
    secret: SigningSecret,
    body: Bytes,
    open: AtomicUsize,
    delivered: AtomicUsize,
}

impl Sender {
    async fn send_all(self: Arc<Self>) {
        let one_less = |open: usize| open.checked_sub(1);
        while let Ok(number) = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            let id = format!("evt_{number:032x}");
            let request = PostRequest {
                method: http::Method::POST,
                url: &self.url,
                profile: &ConnectionProfile::default(),
                headers: self.headers(&id),
                body: self.body.clone(),
            };
            if self.transport.send(request).await.class.is_delivered() {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn headers(&self, id: &str) -> HeaderMap {
        let timestamp = unix_ms() / 1000;
        let signature = sign(&self.secret, id, timestamp, &self.body);
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let texts = [
            ("webhook-id", id),
            ("webhook-timestamp", &timestamp.to_string()),
            ("webhook-signature", &signature),
            ("idempotency-key", id),
        ];
        for (name, text) in texts {
            headers.extend(
                HeaderValue::from_str(text).ok().map(|text| (http::HeaderName::from_static(name), text)),
            );
        }
        headers
    }
}

/// The statements that make the gateway's own tables and indexes.
#[derive(Debug)]
struct Schema(Vec<String>);

impl Schema {
    fn of(store: &Path) -> Result<Self, BenchError> {
        let conn = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut select = conn.prepare(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY rowid",
        )?;
        let statements = select.query_map([], |row| row.get(0))?;
        Ok(Self(statements.collect::<Result<_, _>>()?))
    }
}

/// How many lifecycles of a result SQLite alone takes through the gateway's tables in a second: finished with its
/// event and its delivery, leased, settled with its attempt; three synced transactions for each group.
fn store(folder: &Path, schema: &Schema, body: &Bytes, count: usize) -> Result<f64, BenchError> {
    let mut conn = Connection::open(folder.join("limit.db"))?;
    // As in the gateway's store, whose tables say what belongs together and have the code see to it.
    conn.pragma_update(None, "foreign_keys", "OFF")?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 4000)?;
    conn.set_prepared_statement_cache_capacity(64);
    for statement in &schema.0 {
        conn.execute_batch(statement)?;
    }
    let groups = count.div_ceil(GROUP);
    let began = Instant::now();
    for group in 0..groups {
        let ids: Vec<[u8; 16]> = (0..GROUP).map(|n| id(group * GROUP + n)).collect();
        let tx = conn.transaction()?;
        ids.iter().try_for_each(|id| finish(&tx, id, body))?;
        tx.commit()?;
        let tx = conn.transaction()?;
        let leased = lease(&tx)?;
        tx.commit()?;
        let tx = conn.transaction()?;
        leased.iter().try_for_each(|(seq, id)| settle(&tx, *seq, id))?;
        tx.commit()?;
    }
    Ok(rate(groups * GROUP, began.elapsed()))
}

/// Ids as the gateway's are: ordered, with a tail that is not.
pub(super) fn id(number: usize) -> [u8; 16] {
    let number = number as u64;
    let tail = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8..].copy_from_slice(&tail.to_be_bytes());
    id
}

fn finish(conn: &Connection, id: &[u8; 16], body: &[u8]) -> rusqlite::Result<()> {
    let event = insert_run_and_event(conn, id, body)?;
    conn.prepare_cached(
        "INSERT INTO deliveries (id, event_seq, event_id, run_id, job_id, required, destination, state, next_at, \
         created_at, armed_at) VALUES (?1, ?2, ?1, ?1, 'job', 1, 1, 'pending', ?3, ?3, ?3)",
    )?
    .execute(params![id, event, unix_ms()])?;
    Ok(())
}

/// Inserts a run that has finished and its event, and returns the event's row.
pub(super) fn insert_run_and_event(conn: &Connection, id: &[u8; 16], body: &[u8]) -> rusqlite::Result<i64> {
    let now = unix_ms();
    conn.prepare_cached(
        "INSERT INTO runs (id, job_id, job_name, agent_id, trigger, lane, state, owner, session_id, session_key, \
         best_effort, queued_at, started_at, ended_at, status, outcome) VALUES (?1, 'job', 'backup-1', 'main', \
         'manual', 'instant', 'finished', ?1, ?1, 'agent:main:main', 0, ?2, ?2, ?2, 'ok', \
         '{\"status\":\"ok\",\"summary\":\"The nightly backup of the orders database is done.\"}')",
    )?
    .execute(params![id, now])?;
    conn.prepare_cached(
        "INSERT INTO events (id, kind, run_id, created_at, body) VALUES (?1, 'run.finished', ?1, ?2, ?3)",
    )?
    .execute(params![id, now, body])?;
    Ok(conn.last_insert_rowid())
}

fn lease(conn: &Connection) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
    let leased = conn
        .prepare_cached(
            "SELECT d.seq, d.id, e.body FROM deliveries d JOIN events e ON e.seq = d.event_seq \
             WHERE d.next_at IS NOT NULL AND d.destination = 1 AND d.state = 'pending' AND d.next_at <= ?1 ORDER BY d.next_at LIMIT ?2",
        )?
        .query_map(params![i64::MAX, GROUP as i64], |row| {
            row.get::<_, Vec<u8>>(2)?;
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<Vec<(i64, Vec<u8>)>>>()?;
    for (seq, id) in &leased {
        conn.prepare_cached(
            "UPDATE deliveries SET state = 'leased', lease = ?2, leased_at = ?3, lease_until = ?3, next_at = NULL, \
             attempts = attempts + 1 WHERE seq = ?1",
        )?
        .execute(params![seq, id, unix_ms()])?;
    }
    Ok(leased)
}

fn settle(conn: &Connection, seq: i64, id: &[u8]) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'delivered', settled_at = ?2, lease = NULL, leased_at = NULL, \
         lease_until = NULL WHERE id = ?1 AND lease = ?1 AND state = 'leased'",
    )?
    .execute(params![id, unix_ms()])?;
    insert_attempt(conn, seq)
}

/// Inserts the attempt that delivered.
pub(super) fn insert_attempt(conn: &Connection, delivery: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO attempts (delivery_seq, number, started_at, report, decision) VALUES (?1, 1, ?2, \
         '{\"class\":\"delivered\",\"status\":204,\"connectionReused\":true,\"timings\":{\"firstByteUs\":412,\"bodyUs\":1,\
         \"totalUs\":433}}', 'delivered')",
    )?
    .execute(params![delivery, unix_ms()])?;
    Ok(())
}
