//! The one writer: a thread that owns the writing connection and commits what waits as one group.
//!
//! Callers hand in operations and wait. The thread takes what has gathered, applies all of it in one transaction,
//! syncs once, and answers everybody. Under load the groups grow by themselves, and the cost of the sync is shared.
//! If anything in a group fails, the group is rolled back and each operation is tried alone, so that one bad
//! operation harms no other; that is why an operation can be applied more than once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use clawhook_model::{DestinationId, GatewayAlerts, UnixMs};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::fault;
use super::inline::InlineWriter;
use crate::error::StoreError;
use crate::failpoint::{self, Place};
use crate::{QueueClass, QueueNews, Topic};

/// How many operations wait at most; beyond that, callers wait for room (invariant 15).
const QUEUE: usize = 4096;
/// How many operations one transaction holds at most, so that nobody waits long for a large group.
const LARGEST_GROUP: usize = 1024;

/// How sure a commit must be before its caller goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Synced to the disk.
    Synced,
    /// Committed: it survives the process, and a power cut may undo it.
    Committed,
}

/// What an operation does besides changing rows.
#[derive(Debug, Default)]
pub(super) struct Raised {
    schedule: bool,
    outbox: bool,
    settled: bool,
    replays: bool,
    log: bool,
    hooks: bool,
    destinations: Vec<DestinationId>,
    queues: Vec<QueueNews>,
    asks: bool,
    alerts: Arc<GatewayAlerts>,
    /// The number that the last event of the group has, where it has one.
    last_event: Option<i64>,
}

impl Raised {
    /// Nothing yet, where alerts go by these rules.
    pub(super) fn under(alerts: Arc<GatewayAlerts>) -> Self {
        Self { alerts, ..Self::default() }
    }

    /// What the gateway says of alerts.
    pub(super) fn alerts(&self) -> Arc<GatewayAlerts> {
        Arc::clone(&self.alerts)
    }

    /// The number of the group's next event, where `before` tells that of the last one before the group: it is asked once.
    pub(super) fn number_event(
        &mut self,
        before: impl FnOnce() -> Result<i64, StoreError>,
    ) -> Result<i64, StoreError> {
        let number = self.last_event.map_or_else(before, Ok)? + 1;
        self.last_event = Some(number);
        Ok(number)
    }

    /// Raises a topic once the group is committed.
    pub(super) fn raise(&mut self, topic: Topic) {
        match topic {
            Topic::Schedule => self.schedule = true,
            Topic::Outbox => self.outbox = true,
            Topic::Settled => self.settled = true,
            Topic::Replays => self.replays = true,
            Topic::Log => self.log = true,
            Topic::Asks => self.asks = true,
            Topic::Hooks => self.hooks = true,
        }
    }

    /// Tells, once the group is committed, that a destination is another than before.
    pub(super) fn destination(&mut self, id: DestinationId) {
        self.outbox = true;
        self.destinations.push(id);
    }

    /// Tells, once the group is committed, that a queue has something that is due at an instant.
    pub(super) fn queue(&mut self, news: QueueNews) {
        self.outbox = true;
        self.queues.push(news);
    }
}

/// The counters that move when topics are raised.
#[derive(Debug, Default)]
pub(super) struct Topics {
    schedule: watch::Sender<u64>,
    outbox: watch::Sender<u64>,
    settled: watch::Sender<u64>,
    replays: watch::Sender<u64>,
    log: watch::Sender<u64>,
    asks: watch::Sender<u64>,
    hooks: watch::Sender<u64>,
}

impl Topics {
    pub(super) fn subscribe(&self, topic: Topic) -> watch::Receiver<u64> {
        match topic {
            Topic::Schedule => self.schedule.subscribe(),
            Topic::Outbox => self.outbox.subscribe(),
            Topic::Settled => self.settled.subscribe(),
            Topic::Replays => self.replays.subscribe(),
            Topic::Log => self.log.subscribe(),
            Topic::Asks => self.asks.subscribe(),
            Topic::Hooks => self.hooks.subscribe(),
        }
    }

    fn announce(&self, raised: &Raised) {
        let counters = [
            (raised.schedule, &self.schedule),
            (raised.outbox, &self.outbox),
            (raised.settled, &self.settled),
            (raised.replays, &self.replays),
            (raised.log, &self.log),
            (raised.asks, &self.asks),
            (raised.hooks, &self.hooks),
        ];
        for (_, counter) in counters.into_iter().filter(|(raised, _)| *raised) {
            counter.send_modify(|count| *count += 1);
        }
    }
}

/// What the writer shares with the rest of the store.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) topics: Topics,
    queues: Mutex<BTreeMap<(DestinationId, QueueClass), UnixMs>>,
    changed: Mutex<BTreeSet<DestinationId>>,
    fault: Mutex<Option<StoreError>>,
    alerts: Mutex<Arc<GatewayAlerts>>,
}

impl Shared {
    /// What the gateway says of alerts.
    pub(super) fn alerts(&self) -> Arc<GatewayAlerts> {
        Arc::clone(&self.alerts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_alerts(&self, alerts: GatewayAlerts) {
        *self.alerts.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(alerts);
    }

    /// Takes what was told of queues since it was last taken. It is bounded by the number of queues.
    pub(super) fn take_queue_news(&self) -> Vec<QueueNews> {
        let news = std::mem::take(&mut *self.queues.lock().unwrap_or_else(PoisonError::into_inner));
        news.into_iter().map(|((destination, class), at)| QueueNews { destination, class, at }).collect()
    }

    /// Takes the destinations that were changed since they were last taken.
    pub(super) fn take_changed(&self) -> Vec<DestinationId> {
        let changed = std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
        changed.into_iter().collect()
    }

    fn note_changed(&self, changed: Vec<DestinationId>) {
        if !changed.is_empty() {
            self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(changed);
        }
    }

    fn note_queues(&self, news: &[QueueNews]) {
        if news.is_empty() {
            return;
        }
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for QueueNews { destination, class, at } in news {
            let earliest = queues.entry((*destination, *class)).or_insert(*at);
            *earliest = (*earliest).min(*at);
        }
    }

    /// The fault of the last commit.
    pub(super) fn fault(&self) -> Option<StoreError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells everybody what a commit has brought.
    pub(super) fn committed(&self, mut raised: Raised) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.note_queues(&raised.queues);
        self.note_changed(std::mem::take(&mut raised.destinations));
        self.topics.announce(&raised);
    }

    /// Notes that a write failed.
    pub(super) fn failed(&self, error: &StoreError) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }
}

/// Whoever writes.
#[derive(Debug)]
pub(super) enum Writer {
    /// A thread that commits in groups.
    Thread(WriterThread),
    /// Each caller itself, one operation at a time.
    Inline(InlineWriter),
}

impl Writer {
    /// Has `apply` applied, and returns what it returned once that is committed.
    pub(super) async fn write<T, F>(
        &self,
        name: &'static str,
        durability: Durability,
        apply: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection, &mut Raised) -> Result<T, StoreError> + Send + 'static,
    {
        match self {
            Self::Thread(thread) => thread.write(name, durability, apply).await,
            Self::Inline(inline) => inline.write(name, apply).await,
        }
    }
}

/// The handle to the writing thread.
#[derive(Debug)]
pub(super) struct WriterThread {
    queue: Option<mpsc::Sender<Box<dyn Operation>>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterThread {
    /// Starts the thread with its connection.
    pub(super) fn start(conn: Connection, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (queue, operations) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("clawhook-store".to_owned())
            .spawn(move || GroupCommit { conn, shared, syncs: Durability::Synced }.run(operations))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Has `apply` applied within a group, and returns what it returned once the group is committed.
    async fn write<T, F>(&self, name: &'static str, durability: Durability, apply: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection, &mut Raised) -> Result<T, StoreError> + Send + 'static,
    {
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let call = Call { name, durability, apply, value: None, reply };
        queue.send(Box::new(call)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // What waits is written before the thread ends; a panic there has been reported already.
            thread.join().ok();
        }
    }
}

/// Something to be done within a group.
trait Operation: Send {
    fn name(&self) -> &'static str;
    fn durability(&self) -> Durability;
    fn apply(&mut self, conn: &Connection, raised: &mut Raised) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

struct Call<T, F> {
    name: &'static str,
    durability: Durability,
    apply: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Operation for Call<T, F>
where
    T: Send,
    F: FnMut(&Connection, &mut Raised) -> Result<T, StoreError> + Send,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn apply(&mut self, conn: &Connection, raised: &mut Raised) -> Result<(), StoreError> {
        self.value = Some((self.apply)(conn, raised)?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { value, reply, .. } = *self;
        let answer = result.and_then(|()| value.ok_or(StoreError::Closed));
        // Whoever asked may have gone; what was committed stays committed.
        reply.send(answer).ok();
    }
}

struct GroupCommit {
    conn: Connection,
    shared: Arc<Shared>,
    syncs: Durability,
}

impl GroupCommit {
    fn run(mut self, mut operations: mpsc::Receiver<Box<dyn Operation>>) {
        let mut group = Vec::with_capacity(LARGEST_GROUP);
        while operations.blocking_recv_many(&mut group, LARGEST_GROUP) > 0 {
            self.commit(&mut group);
        }
    }

    /// Commits the group and answers everybody; alone, where together did not work.
    fn commit(&mut self, group: &mut Vec<Box<dyn Operation>>) {
        let mut raised = Raised::under(self.shared.alerts());
        match self.try_commit(group, &mut raised) {
            Ok(()) => {
                self.shared.committed(raised);
                for operation in group.drain(..) {
                    operation.answer(Ok(()));
                }
            }
            Err(error) if group.len() == 1 => {
                tracing::error!(operation = group[0].name(), %error, "a write failed");
                self.shared.failed(&error);
                for operation in group.drain(..) {
                    operation.answer(Err(error.clone()));
                }
            }
            Err(_) => {
                for operation in std::mem::take(group) {
                    self.commit(&mut vec![operation]);
                }
            }
        }
    }

    fn try_commit(
        &mut self,
        group: &mut [Box<dyn Operation>],
        raised: &mut Raised,
    ) -> Result<(), StoreError> {
        let synced = group.iter().any(|operation| operation.durability() == Durability::Synced);
        self.set_syncs(if synced { Durability::Synced } else { Durability::Committed })?;
        let tx = self.conn.unchecked_transaction().map_err(fault)?;
        for operation in group.iter_mut() {
            operation.apply(&tx, raised)?;
        }
        for operation in group.iter() {
            failpoint::pass(operation.name(), Place::BeforeCommit);
        }
        tx.commit().map_err(fault)?;
        for operation in group.iter() {
            failpoint::pass(operation.name(), Place::AfterCommit);
        }
        Ok(())
    }

    fn set_syncs(&mut self, wanted: Durability) -> Result<(), StoreError> {
        if self.syncs == wanted {
            return Ok(());
        }
        let level = match wanted {
            Durability::Synced => "FULL",
            Durability::Committed => "NORMAL",
        };
        self.conn.pragma_update(None, "synchronous", level).map_err(fault)?;
        self.syncs = wanted;
        Ok(())
    }
}
