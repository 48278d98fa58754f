//! The service: learns of what waits, leases what may go, sends it, settles it.
//!
//! The cast: one task owns the [`Scheduler`] and decides who sends next; it waits for nothing but the store's leases.
//! Each destination is *learned* when something first waits for it, in a task of its own, because its secrets may take a
//! while to read; each delivery is carried in a task of its own. What these tasks find out comes back as a [`News`].
//!
//! A delivery is leased before it is sent and settled after, each in a transaction of its own; none is open across
//! the call (invariant 6). The lease outlives the whole request by construction: it is made from the transport's own
//! limit. How many requests are under way is bounded, in all and for each destination, so that a receiver which hangs
//! cannot take every place.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clawhook_clock::Clock;
use clawhook_model::{
    AnnounceTarget, Attempt, AttemptClass, AttemptReport, DeliveryId, Destination, DestinationDefinition,
    DestinationId, DestinationName, EventId, EventKind, Halt, HaltReason, RetryAfter, RetryRules, Standing,
    UnixMs, WebhookUrl,
};
use clawhook_store::{
    Decider, LeaseRequest, LeaseShare, LeasedDelivery, OpenQueues, QueueClass, QueueNews, SettleAttempt,
    Settled, Store, StoreError, Topic,
};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acknowledge::acknowledges;
use crate::destination::{
    Accounts, Defaults, Ready, Unready, Way, Workshop, heals_when_ready, lane_limits, sending,
};
use crate::handle::DeliveryHandle;
use crate::saying::{Attempted, PARTS_BUDGET};
use crate::scheduler::{Ended, Grant, LaneLimits, Scheduler, Sending, Switched};
use crate::secrets::SecretReader;
use crate::signature::{AckLinks, SigningKeyPair, SigningSecret};
use crate::transport::{Carrier, PostRequest};
use crate::verdict::{History, Judgement, judge};

/// How many deliveries are leased in one transaction.
const BATCH: usize = 256;
/// How many attempts are unsettled at once, as a multiple of the requests under way: those that wait for their record
/// come on top.
const UNSETTLED: usize = 4;
/// How much longer than the request's own limit a lease lasts: time to settle it.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How long the service waits where the store cannot be read or written.
const PAUSE: Duration = Duration::from_secs(1);
/// From how many destinations on those that have no lane any more are forgotten.
const MANY_KNOWN: usize = 8_192;
/// How often it is tried to make a destination ready that could not be.
const PREPARE_EVERY: Duration = Duration::from_mins(1);

/// How the service works.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// When a delivery that failed is tried again, where its destination says nothing else.
    pub retry: RetryRules,
    /// The secret of destinations that have none of their own.
    pub signing_secret: SigningSecret,
    /// The private key of destinations that have none of their own.
    pub signing_key: SigningKeyPair,
    /// The bearer token that is sent to URLs which a job names (`cron.webhookToken`).
    pub bearer_token: Option<SecretString>,
    /// How many requests are under way at once.
    pub max_concurrent: usize,
    /// How many of them to one destination, where it has no limit of its own.
    pub max_concurrent_per_destination: usize,
    /// After how long without any success a destination is paused; from then on it gets one delivery an hour, as a
    /// probe.
    pub pause_after: Duration,
    /// After how long without any success a destination is disabled.
    pub disable_after: Duration,
    /// Makes the links by which receivers acknowledge.
    pub ack_links: AckLinks,
}

/// An event on its way to a receiver.
pub(crate) struct Outgoing {
    /// Its identity.
    pub(crate) event_id: EventId,
    /// What it tells of.
    pub(crate) kind: EventKind,
    /// When it came about.
    pub(crate) occurred_at: UnixMs,
    /// Its bytes, as they are stored.
    pub(crate) body: Bytes,
    /// The number of this attempt, from 1.
    pub(crate) attempt: u32,
    /// The delivery, and when it began, where somebody is to acknowledge it.
    pub(crate) asks: Option<(DeliveryId, UnixMs)>,
}

impl Outgoing {
    fn of(delivery: &LeasedDelivery) -> Self {
        let LeasedDelivery { event_id, kind, occurred_at, attempt, .. } = *delivery;
        let asks = delivery.asks.then_some((delivery.id, delivery.armed_at));
        Self { event_id, kind, occurred_at, body: delivery.body.clone(), attempt, asks }
    }
}

/// The task that carries deliveries. A clone goes on where the one before it fell.
#[derive(Clone)]
pub struct DeliveryService {
    core: Arc<Core>,
}

/// What every attempt needs.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    carrier: Arc<dyn Carrier>,
    secrets: Arc<dyn SecretReader>,
    options: DeliveryOptions,
    defaults: Defaults,
    accounts: Accounts,
    /// What is under way; it outlives a dispatcher that fell.
    tasks: TaskTracker,
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
        carrier: impl Carrier,
        secrets: Arc<dyn SecretReader>,
        options: DeliveryOptions,
    ) -> Result<Self, UnsendableToken> {
        Self::with_accounts(store, clock, carrier, secrets, options, Accounts::default())
    }

    /// The same, with accounts by which people are told.
    pub fn with_accounts(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        carrier: impl Carrier,
        secrets: Arc<dyn SecretReader>,
        options: DeliveryOptions,
        accounts: Accounts,
    ) -> Result<Self, UnsendableToken> {
        let authorization = options.bearer_token.as_ref().map(authorization).transpose()?;
        let defaults = Defaults::new(&options, authorization);
        Ok(Self {
            core: Arc::new(Core {
                store,
                clock,
                carrier: Arc::new(carrier),
                secrets,
                options,
                defaults,
                accounts,
                tasks: TaskTracker::new(),
            }),
        })
    }

    /// A handle on the service, which need not be running yet.
    pub fn handle(&self) -> DeliveryHandle {
        DeliveryHandle::new(self.core.clone())
    }

    /// Carries what is due until `shutdown`, then waits for the requests that are under way.
    pub async fn run(self, shutdown: CancellationToken) {
        let core = self.core;
        let tasks = core.tasks.clone();
        let mut outbox = core.store.subscribe(Topic::Outbox);
        // Bounded by the requests under way and the destinations that are being learned.
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut dispatcher = Dispatcher::new(core.clone(), tasks.clone(), tell);
        while !shutdown.is_cancelled() {
            outbox.mark_unchanged();
            while let Ok(news) = told.try_recv() {
                dispatcher.hear(news);
            }
            let wake = match dispatcher.dispatch().await {
                Ok(wake) => wake,
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read; deliveries wait");
                    dispatcher.rescan_at = Some(core.clock.now().plus(PAUSE));
                    dispatcher.rescan_at
                }
            };
            let wake = wake.unwrap_or(UnixMs::from_millis(i64::MAX));
            // Asked in one order each time, so that a simulation can be repeated.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                _ = outbox.changed() => {}
                Some(news) = told.recv() => dispatcher.hear(news),
                () = core.clock.sleep_until(wake) => {}
            }
        }
        tasks.close();
        // Each request ends within its own limit.
        tasks.wait().await;
    }
}

/// What a task tells the dispatcher.
enum News {
    /// A request is over, and its place is free; its record may still be on the way.
    Ended { destination: DestinationId, class: QueueClass, ended: Ended },
    /// An attempt's record is written, so that another attempt may be begun.
    Recorded,
    /// An attempt could not be recorded; its delivery is free when its lease ends.
    Unrecorded { lease_ends_at: UnixMs },
    /// What a destination is now; `again` where it could not be told before.
    Learned { destination: DestinationId, learned: Learned, again: bool },
}

/// What was found out about a destination.
enum Learned {
    /// It can be sent to, where its standing lets it.
    Ready(Box<Known>),
    /// It cannot be made ready, and that is looked at again.
    Unready,
    /// It is gone.
    Gone,
    /// The store could not be read.
    NotYet,
}

/// A destination that can be sent to.
struct Known {
    ready: Arc<Ready>,
    limits: LaneLimits,
    sending: Sending,
    standing: Standing,
    failing_since: Option<UnixMs>,
}

/// A destination that is being learned.
#[derive(Default)]
struct Learning {
    /// What waits for it.
    waiting: Vec<QueueNews>,
    /// Whether it was changed meanwhile, so that what is found out may be what it was before.
    changed: bool,
}

/// The one who decides.
struct Dispatcher {
    core: Arc<Core>,
    tasks: TaskTracker,
    tell: mpsc::UnboundedSender<News>,
    scheduler: Scheduler,
    known: HashMap<DestinationId, Known>,
    /// The destinations that are being learned.
    learning: HashMap<DestinationId, Learning>,
    /// When to look again at destinations that could not be made ready. What waits for them is told again then.
    relearn: BTreeMap<DestinationId, UnixMs>,
    /// When to look through all queues: at the start, and where something may have been missed.
    rescan_at: Option<UnixMs>,
}

impl Dispatcher {
    fn new(core: Arc<Core>, tasks: TaskTracker, tell: mpsc::UnboundedSender<News>) -> Self {
        Self {
            scheduler: Scheduler::new(core.options.max_concurrent),
            rescan_at: Some(UnixMs::from_millis(i64::MIN)),
            known: HashMap::new(),
            learning: HashMap::new(),
            relearn: BTreeMap::new(),
            core,
            tasks,
            tell,
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Ended { destination, class, ended } => self.ended(destination, class, ended),
            News::Recorded => {}
            News::Unrecorded { lease_ends_at } => {
                self.rescan_at = self.rescan_at.into_iter().chain([lease_ends_at]).min();
            }
            News::Learned { destination, learned, again } => self.learned(destination, learned, again),
        }
    }

    /// Leases and sends for as long as something may go; returns when something more may.
    async fn dispatch(&mut self) -> Result<Option<UnixMs>, StoreError> {
        self.rescan().await?;
        for destination in self.core.store.take_changed_destinations() {
            if let Some(learning) = self.learning.get_mut(&destination) {
                learning.changed = true;
            } else if self.known.contains_key(&destination) || self.relearn.contains_key(&destination) {
                self.learn(destination);
            }
        }
        for news in self.core.store.take_queue_news() {
            self.route(news);
        }
        let now = self.core.clock.now();
        let due: Vec<DestinationId> =
            self.relearn.iter().filter(|(_, at)| **at <= now).map(|(destination, _)| *destination).collect();
        for destination in due {
            self.learn(destination);
        }
        loop {
            let room = (UNSETTLED * self.core.options.max_concurrent).saturating_sub(self.tasks.len());
            let now = self.core.clock.now();
            let grants = self.scheduler.plan(now, room.min(BATCH));
            if grants.is_empty() {
                break;
            }
            self.lease(grants, now).await?;
        }
        let relearn = self.relearn.values().min().copied();
        Ok([self.scheduler.next_alarm(), self.rescan_at, relearn].into_iter().flatten().min())
    }

    /// Looks through all queues, where it is time to. What was told of them before is told again.
    async fn rescan(&mut self) -> Result<(), StoreError> {
        let now = self.core.clock.now();
        if self.rescan_at.is_none_or(|at| at > now) {
            return Ok(());
        }
        let OpenQueues { queues, .. } = self.core.store.open_queues(now).await?;
        self.rescan_at = None;
        for news in queues {
            self.route(news);
        }
        Ok(())
    }

    /// Hands news of a queue to its lane; a destination that is not known is learned first.
    fn route(&mut self, news: QueueNews) {
        if let Some(learning) = self.learning.get_mut(&news.destination) {
            learning.waiting.push(news);
        } else if self.known.contains_key(&news.destination) && self.scheduler.knows(news.destination) {
            self.scheduler.has_news(news, self.core.clock.now());
        } else if !self.relearn.contains_key(&news.destination) {
            self.learn(news.destination);
            self.learning.entry(news.destination).or_default().waiting.push(news);
        }
    }

    fn learn(&mut self, destination: DestinationId) {
        let again = self.relearn.remove(&destination).is_some();
        self.learning.entry(destination).or_default();
        self.spawn_learn(destination, again);
    }

    fn spawn_learn(&self, destination: DestinationId, again: bool) {
        let (core, tell) = (self.core.clone(), self.tell.clone());
        self.tasks.spawn(async move {
            let learned = core.learn(destination).await;
            // At a shutdown nobody listens any more.
            tell.send(News::Learned { destination, learned, again }).ok();
        });
    }

    fn learned(&mut self, destination: DestinationId, learned: Learned, again: bool) {
        let now = self.core.clock.now();
        let Learning { waiting, changed } = self.learning.remove(&destination).unwrap_or_default();
        if changed {
            self.learning.insert(destination, Learning { waiting, changed: false });
            self.spawn_learn(destination, again);
            return;
        }
        let look_again = match learned {
            Learned::Ready(known) => {
                self.scheduler.configure(destination, known.limits, known.sending, now);
                if self.known.len() >= MANY_KNOWN {
                    self.known.retain(|known, _| self.scheduler.knows(*known));
                }
                self.known.insert(destination, *known);
                for news in waiting {
                    self.scheduler.has_news(news, now);
                }
                if again {
                    self.rescan_at = Some(now);
                }
                return;
            }
            Learned::Gone => {
                self.halt_lane(destination, now);
                return;
            }
            Learned::Unready => PREPARE_EVERY,
            Learned::NotYet => PAUSE,
        };
        self.halt_lane(destination, now);
        self.relearn.insert(destination, now.plus(look_again));
    }

    /// Sends nothing more there until it is learned again; what waits is asked for then.
    fn halt_lane(&mut self, destination: DestinationId, now: UnixMs) {
        if let Some(known) = self.known.remove(&destination) {
            self.scheduler.configure(destination, known.limits, Sending::No, now);
        }
    }

    async fn lease(&mut self, grants: Vec<Grant>, now: UnixMs) -> Result<(), StoreError> {
        let share = |grant: &Grant| LeaseShare {
            destination: grant.destination,
            class: grant.class,
            most: grant.most,
            until: now.plus(self.request_budget(grant.destination) + LEASE_MARGIN),
            probe: grant.probe,
        };
        let request = LeaseRequest { now, shares: grants.iter().map(share).collect() };
        let leased = self.core.store.lease_deliveries(request).await;
        let batch = match leased {
            Ok(batch) => batch,
            Err(error) => {
                for grant in grants {
                    self.scheduler.leased(grant, 0, None, now);
                }
                return Err(error);
            }
        };
        for grant in grants {
            let of_grant = |destination, class| (destination, class) == (grant.destination, grant.class);
            let count =
                batch.leased.iter().filter(|leased| of_grant(leased.destination, leased.class)).count();
            let next = batch.left.iter().find(|left| of_grant(left.destination, left.class));
            self.scheduler.leased(grant, count, next.map(|left| left.at), now);
        }
        for delivery in batch.leased {
            self.send(delivery);
        }
        Ok(())
    }

    /// How long one request to the destination may take: what its lease is made from.
    fn request_budget(&self, destination: DestinationId) -> Duration {
        let carrier = &self.core.carrier;
        let Some(known) = self.known.get(&destination) else { return carrier.total_timeout() };
        let one = carrier.timeout_for(&known.ready.profile);
        match &known.ready.way {
            Way::Post(_) => one,
            // Its last part is begun within the budget.
            Way::Say(_) => PARTS_BUDGET + one,
        }
    }

    fn send(&mut self, delivery: LeasedDelivery) {
        let Some(known) = self.known.get(&delivery.destination) else {
            // Only a lane of a known destination is ever given anything.
            self.hear(News::Unrecorded { lease_ends_at: delivery.until });
            return;
        };
        let (core, ready, tell) = (self.core.clone(), known.ready.clone(), self.tell.clone());
        self.tasks.spawn(async move { core.carry(delivery, &ready, &tell).await });
    }

    fn ended(&mut self, destination: DestinationId, class: QueueClass, ended: Ended) {
        let now = self.core.clock.now();
        let switched = self.scheduler.ended(destination, class, ended, now);
        if let Ended::Throttled { hold_until: Some(until) } = ended {
            self.hold_account_of(destination, until, now);
        }
        let Some(known) = self.known.get_mut(&destination) else { return };
        if switched == Some(Switched::Opened) && known.failing_since.is_none() {
            known.failing_since = Some(now);
            self.core.spawn_note(&self.tasks, destination, Some(now));
        }
        // The circuit may be closed already: it is after a restart.
        if ended.shows_life() && known.failing_since.take().is_some() {
            self.core.spawn_note(&self.tasks, destination, None);
        }
        let next = known.next_standing(ended, now, &self.core.options);
        if let Some(standing) = next {
            known.standing = standing.clone();
            let core = self.core.clone();
            self.tasks.spawn(async move { core.set_standing(destination, standing).await });
        }
    }
}

impl Dispatcher {
    /// Holds back what goes out by the account that was told to wait, wherever it goes.
    fn hold_account_of(&mut self, destination: DestinationId, until: UnixMs, now: UnixMs) {
        let Some(account) = self.known.get(&destination).and_then(|known| known.ready.account()) else {
            return;
        };
        let mut others: Vec<DestinationId> = self
            .known
            .iter()
            .filter(|(id, known)| **id != destination && known.ready.account() == Some(account))
            .map(|(id, _)| *id)
            .collect();
        others.sort();
        for other in others {
            self.scheduler.hold(other, until, now);
        }
    }
}

impl Known {
    /// The standing that follows from an attempt's end, where it is another one.
    fn next_standing(&self, ended: Ended, now: UnixMs, options: &DeliveryOptions) -> Option<Standing> {
        match (&self.standing, ended) {
            (
                Standing::Paused(Halt { reason: HaltReason::Failing, .. }),
                Ended::Well | Ended::Answered | Ended::Throttled { .. },
            ) => Some(Standing::Active),
            (standing @ (Standing::Active | Standing::Paused(_)), Ended::Badly { .. }) => {
                let failing_for = now.since(self.failing_since?);
                let halt = |after: Duration| Halt {
                    reason: HaltReason::Failing,
                    detail: format!(
                        "no attempt has succeeded for {}",
                        clawhook_model::format_duration(after)
                    ),
                    since: now,
                };
                if failing_for >= options.disable_after {
                    Some(Standing::Disabled(halt(options.disable_after)))
                } else if failing_for >= options.pause_after && *standing == Standing::Active {
                    Some(Standing::Paused(halt(options.pause_after)))
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}

impl Core {
    /// Makes a destination ready to be sent to.
    pub(crate) async fn prepare(&self, destination: &Destination) -> Result<Ready, Unready> {
        let (carrier, secrets, defaults) = (self.carrier.as_ref(), self.secrets.as_ref(), &self.defaults);
        Workshop { carrier, secrets, defaults, accounts: &self.accounts }.prepare(destination).await
    }

    /// Makes ready what a job named by its URL.
    pub(crate) fn prepare_url(&self, url: &WebhookUrl) -> Result<Ready, Unready> {
        let (carrier, secrets, defaults) = (self.carrier.as_ref(), self.secrets.as_ref(), &self.defaults);
        Workshop { carrier, secrets, defaults, accounts: &self.accounts }.implicit(url, None)
    }

    /// The same of a definition that is not stored yet.
    pub(crate) async fn prepare_definition(
        &self,
        name: &DestinationName,
        definition: &DestinationDefinition,
    ) -> Result<Ready, Unready> {
        let (carrier, secrets, defaults) = (self.carrier.as_ref(), self.secrets.as_ref(), &self.defaults);
        Workshop { carrier, secrets, defaults, accounts: &self.accounts }
            .defined(definition, name, None)
            .await
    }

    pub(crate) async fn public_key(
        &self,
        name: &DestinationName,
        definition: &DestinationDefinition,
    ) -> Option<String> {
        let (carrier, secrets, defaults) = (self.carrier.as_ref(), self.secrets.as_ref(), &self.defaults);
        Workshop { carrier, secrets, defaults, accounts: &self.accounts }.public_key(definition, name).await
    }

    /// Finds out what a destination is now, and makes it ready.
    async fn learn(&self, destination: DestinationId) -> Learned {
        let found = match self.store.destination(destination).await {
            Ok(Some(found)) => found.destination,
            Ok(None) => return Learned::Gone,
            Err(error) => {
                tracing::error!(%error, %destination, "a destination cannot be read; what waits for it waits on");
                return Learned::NotYet;
            }
        };
        match self.prepare(&found).await {
            Ok(ready) => {
                let heals = heals_when_ready(&found.standing);
                if heals {
                    self.set_standing(destination, Standing::Active).await;
                }
                let standing = if heals { Standing::Active } else { found.standing.clone() };
                Learned::Ready(Box::new(Known {
                    ready: Arc::new(ready),
                    limits: lane_limits(&found, &self.options),
                    sending: sending(&standing),
                    standing,
                    failing_since: found.failing_since,
                }))
            }
            Err(unready) => {
                if found.standing == Standing::Active {
                    self.set_standing(destination, Standing::Paused(unready.into_halt(self.clock.now())))
                        .await;
                }
                Learned::Unready
            }
        }
    }

    /// Halts or resumes a destination. Where the store cannot be written it stays as it was, and what led to it will
    /// lead to it again.
    async fn set_standing(&self, destination: DestinationId, standing: Standing) {
        let halt = standing.halt().map(|halt| halt.detail.clone());
        let (wanted, now) = (standing.clone(), self.clock.now());
        match self.store.set_standing(destination, wanted, Decider::Gateway, now).await {
            Ok(Some(found)) if found.standing == standing => {
                let is_now = standing.as_str();
                tracing::warn!(%destination, is_now, why = halt.as_deref(), "a destination's standing changed");
            }
            // A person decided otherwise meanwhile, or the destination is gone.
            Ok(_) => {}
            Err(error) => tracing::error!(%destination, %error, "a destination's standing cannot be written"),
        }
    }

    fn spawn_note(self: &Arc<Self>, tasks: &TaskTracker, destination: DestinationId, since: Option<UnixMs>) {
        let core = self.clone();
        tasks.spawn(async move {
            if let Err(error) = core.store.note_failing(destination, since).await {
                tracing::error!(%destination, %error, "it cannot be noted since when the destination fails");
            }
        });
    }

    /// One attempt, from the first byte to its record. Its place is free once the request is over: the record waits
    /// for the disk, and the receiver need not.
    async fn carry(&self, delivery: LeasedDelivery, ready: &Ready, tell: &mpsc::UnboundedSender<News>) {
        let started_at = self.clock.now();
        let attempted = match &ready.way {
            Way::Post(post) => {
                let outgoing = Outgoing::of(&delivery);
                Attempted::whole(self.attempt(post, &ready.profile, outgoing, started_at).await)
            }
            Way::Say(say) => self.say(say, &delivery).await,
        };
        let now = self.clock.now();
        let history = History {
            retries_used: delivery.retries_used,
            refusals: delivery.refusals,
            window_from: ready.resumed_at.map_or(delivery.armed_at, |resumed| resumed.max(delivery.armed_at)),
        };
        let goes_on = attempted.goes_on(now);
        let report = attempted.report;
        let Judgement { verdict, pause, decision, reason } =
            goes_on.unwrap_or_else(|| judge(&report, &ready.rules, history, now, chance(&delivery)));
        tracing::debug!(delivery = %delivery.id, attempt = delivery.attempt, class = report.class.as_str(), %decision, "attempt");
        let LeasedDelivery { destination, class, .. } = delivery;
        let ended = ended(&report, &ready.rules, now);
        let acknowledged = delivery.asks && acknowledges(&report);
        if let Some(reason) = pause {
            let halt = Halt { reason, detail: decision.clone(), since: now };
            self.set_standing(destination, Standing::Paused(halt)).await;
        }
        // At a shutdown nobody listens any more.
        tell.send(News::Ended { destination, class, ended }).ok();
        let attempt = Attempt {
            delivery_id: delivery.id,
            number: delivery.attempt,
            started_at,
            report,
            next_at: None,
            decision,
        };
        let lease = delivery.lease;
        let settle =
            SettleAttempt { delivery_id: delivery.id, lease, attempt, verdict, reason, acknowledged, now };
        let recorded = self.settle(settle).await;
        let lease_ends_at = delivery.until;
        tell.send(if recorded { News::Recorded } else { News::Unrecorded { lease_ends_at } }).ok();
    }

    /// The link by which somebody acknowledges a delivery that began at an instant.
    pub(crate) fn ack_link(&self, delivery: DeliveryId, began: UnixMs) -> String {
        self.options.ack_links.link(delivery, began)
    }

    /// Whoever takes requests to their receivers.
    pub(crate) fn carrier(&self) -> &dyn Carrier {
        self.carrier.as_ref()
    }

    /// Makes a place in a channel ready, as it is configured now.
    pub(crate) async fn prepare_place(&self, target: &AnnounceTarget) -> Result<Ready, Unready> {
        let (carrier, secrets, defaults) = (self.carrier.as_ref(), self.secrets.as_ref(), &self.defaults);
        Workshop { carrier, secrets, defaults, accounts: &self.accounts }.announce(target, None).await
    }

    /// Sends what is no delivery.
    pub(crate) async fn send(&self, request: PostRequest<'_>) -> AttemptReport {
        self.carrier.send(request).await
    }

    /// Records the attempt; false where it could not be. While the store cannot be written it tries again, for as long
    /// as the lease may hold.
    async fn settle(&self, settle: SettleAttempt) -> bool {
        let give_up_at = self.clock.now().plus(LEASE_MARGIN);
        loop {
            match self.store.settle_attempt(settle.clone()).await {
                Ok(Settled::Done) => return true,
                Ok(Settled::LeaseLost) => {
                    tracing::warn!(delivery = %settle.delivery_id, "the lease was lost before the attempt was recorded");
                    return true;
                }
                Err(error) if self.clock.now() < give_up_at => {
                    tracing::error!(delivery = %settle.delivery_id, %error, "an attempt's record waits: the store cannot be written");
                    self.clock.sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(delivery = %settle.delivery_id, %error, "an attempt could not be recorded; its delivery will be tried again");
                    return false;
                }
            }
        }
    }
}

/// What an attempt's end says of its destination.
fn ended(report: &AttemptReport, rules: &RetryRules, now: UnixMs) -> Ended {
    let heeded = |hint: RetryAfter| now.plus(hint.wait(now).min(rules.max_retry_after));
    let hold_until = report.retry_after.map(heeded);
    match report.status {
        _ if report.class.is_delivered() => Ended::Well,
        _ if report.class.is_own_fault() => Ended::OwnFault,
        _ if report.class == AttemptClass::RateLimited => Ended::Throttled { hold_until },
        _ if matches!(report.class, AttemptClass::Refused | AttemptClass::Unauthorized) => Ended::Answered,
        Some(410) => Ended::Gone,
        Some(429) => Ended::Throttled { hold_until },
        Some(408 | 425) => Ended::Badly { hold_until: None },
        Some(400..=499) => Ended::Answered,
        _ => Ended::Badly { hold_until },
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
