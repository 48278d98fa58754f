//! The service: leases what is due, sends it, settles it.
//!
//! A delivery is leased before it is sent and settled after, each in a transaction of its own; none is open across
//! the call (invariant 6). The lease outlives the whole request by construction: it is made from the transport's own
//! limit. How many requests are under way is bounded, in all and for each origin, so that a receiver which hangs
//! cannot take every place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clawhook_clock::Clock;
use clawhook_model::{Attempt, AttemptClass, AttemptReport, PhaseTimings, Target, UnixMs, WebhookUrl};
use clawhook_store::{LeaseRequest, LeasedDelivery, SettleAttempt, Settled, Store, StoreError, Topic};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff::RetrySchedule;
use crate::signature::{SigningSecret, sign};
use crate::transport::{PostRequest, Transport};
use crate::verdict::{Judgement, judge};

/// How many deliveries are leased in one transaction.
const BATCH: usize = 256;
/// How many attempts are unsettled at once, as a multiple of the requests under way: those that wait for their record
/// come on top.
const UNSETTLED: usize = 4;
/// How much longer than the request's own limit a lease lasts: time to settle it.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How long the service waits where the store cannot be read or written.
const PAUSE: Duration = Duration::from_secs(1);

/// How the service works.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// When a delivery that failed is tried again.
    pub retry_schedule: RetrySchedule,
    /// What events are signed with.
    pub signing_secret: SigningSecret,
    /// The bearer token that is sent along (`cron.webhookToken`).
    pub bearer_token: Option<SecretString>,
    /// How many requests are under way at once.
    pub max_concurrent: usize,
    /// How many of them to one origin.
    pub max_concurrent_per_origin: usize,
}

/// The task that carries deliveries.
pub struct DeliveryService {
    core: Arc<Core>,
}

struct Core {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    transport: Transport,
    options: DeliveryOptions,
    authorization: Option<HeaderValue>,
    under_way: UnderWay,
}

/// A bearer token that cannot stand in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`cron.webhookToken` holds a character that cannot be sent in a header")]
pub struct UnsendableToken;

impl DeliveryService {
    /// A service; nothing happens before [`DeliveryService::run`].
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        transport: Transport,
        options: DeliveryOptions,
    ) -> Result<Self, UnsendableToken> {
        let authorization = options.bearer_token.as_ref().map(authorization).transpose()?;
        let under_way = UnderWay::default();
        Ok(Self { core: Arc::new(Core { store, clock, transport, options, authorization, under_way }) })
    }

    /// Carries what is due until `shutdown`, then waits for the requests that are under way.
    pub async fn run(self, shutdown: CancellationToken) {
        let core = self.core;
        let tasks = TaskTracker::new();
        let mut outbox = core.store.subscribe(Topic::Outbox);
        while !shutdown.is_cancelled() {
            outbox.mark_unchanged();
            let wake = match core.lease_and_send(&tasks).await {
                Ok(Some(instant)) => instant,
                Ok(None) => UnixMs::from_millis(i64::MAX),
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read; deliveries wait");
                    core.clock.now().plus(PAUSE)
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = outbox.changed() => {}
                () = core.under_way.ended.notified() => {}
                () = core.clock.sleep_until(wake) => {}
            }
        }
        tasks.close();
        // Each request ends within its own limit.
        tasks.wait().await;
    }
}

impl Core {
    /// Leases and sends for as long as there is something due and room for it; returns when the next is due.
    async fn lease_and_send(self: &Arc<Self>, tasks: &TaskTracker) -> Result<Option<UnixMs>, StoreError> {
        loop {
            let unsettled = tasks.len();
            let room = self.under_way.room(&self.options, unsettled);
            if room.most == 0 {
                // What ends makes room and wakes the service.
                return Ok(None);
            }
            let now = self.clock.now();
            let until = now.plus(self.transport.total_timeout() + LEASE_MARGIN);
            let some_are_busy = !room.busy_origins.is_empty();
            let request = LeaseRequest { now, until, limit: room.most, busy_origins: room.busy_origins };
            let leased = self.store.lease_deliveries(request).await?;
            let none_left = leased.len() < room.most;
            for delivery in leased {
                let place = self.under_way.take(&delivery);
                let core = self.clone();
                tasks.spawn(async move { core.carry(delivery, place).await });
            }
            if none_left {
                let next = self.store.next_delivery_due().await?;
                // What is due and was not leased waits for a busy origin, whose requests wake the service.
                let waits_for_room = some_are_busy && next.is_some_and(|next| next <= now);
                return Ok(next.filter(|_| !waits_for_room));
            }
        }
    }

    /// One attempt, from the first byte to its record. Its place is free once the request is over: the record waits
    /// for the disk, and the receiver need not.
    async fn carry(&self, delivery: LeasedDelivery, place: Place) {
        let started_at = self.clock.now();
        let report = match &delivery.target {
            Target::Webhook(url) => self.post(url, &delivery, started_at).await,
            Target::Announce(_) => {
                let error = "this version of clawhook has no chat channels";
                AttemptReport::failed(AttemptClass::Blocked, error, PhaseTimings::default())
            }
        };
        drop(place);
        let now = self.clock.now();
        let random = chance(&delivery);
        let Judgement { verdict, decision, reason } =
            judge(&report, &self.options.retry_schedule, delivery.retries_used, now, random);
        tracing::debug!(delivery = %delivery.id, attempt = delivery.attempt, class = report.class.as_str(), %decision, "attempt");
        let attempt = Attempt {
            delivery_id: delivery.id,
            number: delivery.attempt,
            started_at,
            report,
            next_at: None,
            decision,
        };
        let lease = delivery.lease;
        self.settle(SettleAttempt { delivery_id: delivery.id, lease, attempt, verdict, reason, now }).await;
        self.under_way.wake_if_wanted();
    }

    async fn post(&self, url: &WebhookUrl, delivery: &LeasedDelivery, started_at: UnixMs) -> AttemptReport {
        let headers = self.headers(delivery, started_at);
        self.transport.send(PostRequest { url, headers, body: delivery.body.clone() }).await
    }

    /// The headers of one attempt: the event's id is the same on each, time and signature are fresh (invariant 9).
    fn headers(&self, delivery: &LeasedDelivery, started_at: UnixMs) -> HeaderMap {
        const ID: HeaderName = HeaderName::from_static("webhook-id");
        const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
        const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
        const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
        const ATTEMPT: HeaderName = HeaderName::from_static("clawhook-attempt");
        let id = delivery.event_id.to_string();
        let timestamp = started_at.as_secs();
        let signature = sign(&self.options.signing_secret, &id, timestamp, &delivery.body);
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let values = [
            (ID, id.clone()),
            (TIMESTAMP, timestamp.to_string()),
            (SIGNATURE, signature),
            (IDEMPOTENCY_KEY, id),
        ];
        for (name, value) in values {
            // Ids, digits and base64 are always fit for a header.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        headers.insert(ATTEMPT, HeaderValue::from(delivery.attempt));
        headers
    }

    /// Records the attempt. While the store cannot be written it tries again, for as long as the lease may hold.
    async fn settle(&self, settle: SettleAttempt) {
        let give_up_at = self.clock.now().plus(LEASE_MARGIN);
        loop {
            match self.store.settle_attempt(settle.clone()).await {
                Ok(Settled::Done) => return,
                Ok(Settled::LeaseLost) => {
                    tracing::warn!(delivery = %settle.delivery_id, "the lease was lost before the attempt was recorded");
                    return;
                }
                Err(error) if self.clock.now() < give_up_at => {
                    tracing::error!(delivery = %settle.delivery_id, %error, "an attempt's record waits: the store cannot be written");
                    self.clock.sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(delivery = %settle.delivery_id, %error, "an attempt could not be recorded; its delivery will be tried again");
                    return;
                }
            }
        }
    }
}

/// A fraction in `0..1` by chance: the random part of the lease's id, which is new for every attempt.
#[expect(clippy::cast_precision_loss, reason = "jitter needs no more than a double's digits")]
fn chance(delivery: &LeasedDelivery) -> f64 {
    let mut random = [0u8; 8];
    random[2..].copy_from_slice(&delivery.lease.as_bytes()[10..]);
    u64::from_be_bytes(random) as f64 / (1u64 << 48) as f64
}

fn authorization(token: &SecretString) -> Result<HeaderValue, UnsendableToken> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| UnsendableToken)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The requests that are under way, in all and for each origin.
#[derive(Debug, Default)]
struct UnderWay {
    counts: Arc<Mutex<Counts>>,
    ended: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Whether the service was short of room, and is to be woken when there is some.
    wanted: bool,
    all: usize,
    origins: HashMap<String, usize>,
}

/// How much may be leased.
struct Room {
    most: usize,
    busy_origins: Vec<String>,
}

/// A place among the requests under way; dropping it makes room, and wakes the service where it was short of it.
struct Place {
    origin: Option<String>,
    counts: Arc<Mutex<Counts>>,
    ended: Arc<Notify>,
}

impl UnderWay {
    /// Room for so many that no origin can exceed its share, even if all of them go to one; and for so many that what
    /// is sent and not yet recorded stays bounded too.
    fn room(&self, options: &DeliveryOptions, unsettled: usize) -> Room {
        let mut counts = self.lock();
        let share = options.max_concurrent_per_origin;
        let is_busy = |count: usize| count >= share;
        let busy_origins: Vec<String> = counts
            .origins
            .iter()
            .filter(|(_, count)| is_busy(**count))
            .map(|(origin, _)| origin.clone())
            .collect();
        let fullest = counts.origins.values().copied().filter(|count| !is_busy(*count)).max().unwrap_or(0);
        let most = options
            .max_concurrent
            .saturating_sub(counts.all)
            .min((UNSETTLED * options.max_concurrent).saturating_sub(unsettled))
            .min(share - fullest)
            .min(BATCH);
        counts.wanted = most == 0 || !busy_origins.is_empty();
        Room { most, busy_origins }
    }

    fn wake_if_wanted(&self) {
        if std::mem::take(&mut self.lock().wanted) {
            self.ended.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, delivery: &LeasedDelivery) -> Place {
        let origin = match &delivery.target {
            Target::Webhook(url) => Some(url.origin()),
            Target::Announce(_) => None,
        };
        let mut counts = self.lock();
        counts.all += 1;
        if let Some(origin) = &origin {
            *counts.origins.entry(origin.clone()).or_default() += 1;
        }
        drop(counts);
        Place { origin, counts: self.counts.clone(), ended: self.ended.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(origin) = self.origin.take() {
            match counts.origins.get_mut(&origin) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    counts.origins.remove(&origin);
                }
            }
        }
        let wanted = std::mem::take(&mut counts.wanted);
        drop(counts);
        if wanted {
            self.ended.notify_one();
        }
    }
}
