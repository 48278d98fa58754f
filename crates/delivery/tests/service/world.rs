//! A service at work on a store of its own, with a clock that is moved by hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clawhook_clock::{Clock, ManualClock};
use clawhook_delivery::{
    Accounts, AckLinks, DeliveryHandle, DeliveryOptions, DeliveryService, Guard, GuardPolicy, RetrySchedule,
    SecretReader, SigningKeyPair, SigningSecret, Transport, TransportOptions, UnreadableSecret,
};
use clawhook_model::{
    DeliveryId, DeliveryState, Destination, DestinationDefinition, DestinationId, EventId, Halt, HaltReason,
    Job, JobDefinition, JobState, OpenRuns, RetryRules, RunId, RunOutcome, SecretSource, SessionId, Standing,
    Trigger, UnixMs, plan_deliveries,
};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{
    AfterRun, ChainRules, Claim, Decider, DeliveryWithAttempts, FinishRun, NewDelivery, NewDestination,
    NewRun, PlannedRun, RunStart, Store,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::{RwLock, mpsc};
use tokio_util::sync::CancellationToken;

use super::receiver::Receiver;

pub(crate) const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const EVENT: &[u8] =
    br#"{"action":"finished","summary":"done","provenance":{"hops":2,"trail":["a/first","b/second"]}}"#;

/// What the service waits for where it waits for no instant.
const NEVER: UnixMs = UnixMs::from_millis(i64::MAX);

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Secrets that are written where they are needed, and variables that a test sets.
struct Vault {
    variables: Arc<RwLock<HashMap<String, String>>>,
    asked: mpsc::UnboundedSender<String>,
}

#[async_trait]
impl SecretReader for Vault {
    async fn read(&self, source: &SecretSource, _: &str) -> Result<SecretString, UnreadableSecret> {
        match source {
            SecretSource::Written(text) => Ok(text.as_secret_string().clone()),
            SecretSource::Env(name) => {
                self.asked.send(name.clone()).ok();
                let value = self.variables.read().await.get(name).cloned();
                value.map(SecretString::from).ok_or_else(|| UnreadableSecret::Unset(name.clone()))
            }
            _ => unreachable!("no test has such a secret"),
        }
    }
}

/// How the service of a test works, unless the test says otherwise.
fn options() -> DeliveryOptions {
    DeliveryOptions {
        retry: RetryRules::of(RetrySchedule::new(vec![seconds(5), seconds(300)])),
        signing_key: SigningKeyPair::generate().expect("a key"),
        signing_secret: SigningSecret::parse(SECRET).expect("a secret"),
        bearer_token: Some("t0ken".to_owned().into()),
        max_concurrent: 8,
        max_concurrent_per_destination: 4,
        pause_after: Duration::from_hours(24),
        disable_after: Duration::from_hours(120),
        ack_links: AckLinks::new("https://gateway.example".to_owned(), b"the key of a test"),
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) handle: DeliveryHandle,
    pub(crate) shutdown: CancellationToken,
    pub(crate) service: tokio::task::JoinHandle<()>,
    /// What environment variables there are; while a test holds this for writing, nobody can read one.
    pub(crate) variables: Arc<RwLock<HashMap<String, String>>>,
    /// The variables that were asked for.
    pub(crate) asked: mpsc::UnboundedReceiver<String>,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut DeliveryOptions)) -> Self {
        Self::telling(Accounts::default(), change)
    }

    /// A world in which people are told by these accounts.
    pub(crate) fn telling(accounts: Accounts, change: impl FnOnce(&mut DeliveryOptions)) -> Self {
        Self::life(tempfile::tempdir().expect("a folder"), T0, accounts, change)
    }

    /// Ends this life of the gateway as a crash would, and begins another on what it has left.
    pub(crate) async fn crash(self, accounts: Accounts) -> Self {
        let Self { store, clock, service, folder, handle, .. } = self;
        service.abort();
        service.await.ok();
        drop(handle);
        // What the service had begun ends with it; the store is closed when nobody holds it any more.
        let weak = Arc::downgrade(&store);
        drop(store);
        while weak.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
        Self::life(folder, clock.now(), accounts, |_| {})
    }

    fn life(
        folder: tempfile::TempDir,
        now: UnixMs,
        accounts: Accounts,
        change: impl FnOnce(&mut DeliveryOptions),
    ) -> Self {
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.path().join("s.db"), "test", now).expect("a store"));
        let clock = ManualClock::at(now);
        let guard =
            Guard::new(GuardPolicy { allowed_hosts: vec!["127.0.0.1".to_owned()], ..GuardPolicy::default() });
        let transport_options =
            TransportOptions { total_timeout: Duration::from_millis(800), ..TransportOptions::default() };
        let transport = Transport::new(transport_options, guard);
        let mut options = options();
        change(&mut options);
        let variables = Arc::new(RwLock::new(HashMap::new()));
        let (tell, asked) = mpsc::unbounded_channel();
        let vault = Arc::new(Vault { variables: variables.clone(), asked: tell });
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let service =
            DeliveryService::with_accounts(store.clone(), shared, transport, vault, options, accounts)
                .expect("a service");
        let handle = service.handle();
        let shutdown = CancellationToken::new();
        let service = tokio::spawn(service.run(shutdown.clone()));
        Self { store, clock, handle, shutdown, service, variables, asked, folder }
    }

    /// Defines a destination.
    pub(crate) async fn define(&self, name: &str, definition: Value) -> DestinationId {
        let definition = DestinationDefinition::parse(definition).expect("a good definition");
        let name = name.parse().expect("a name");
        let new = NewDestination { name, definition, declared_in: None, now: self.clock.now() };
        self.store.insert_destination(new).await.expect("it is stored").expect("the name is free").id
    }

    pub(crate) async fn destination(&self, id: DestinationId) -> Destination {
        self.store.destination(id).await.expect("the store answers").expect("it is there").destination
    }

    /// The destination, once it is as wanted.
    pub(crate) async fn destination_once(
        &self,
        id: DestinationId,
        wanted: impl Fn(&Destination) -> bool,
    ) -> Destination {
        loop {
            let destination = self.destination(id).await;
            if wanted(&destination) {
                return destination;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn pause(&self, id: DestinationId) {
        let now = self.clock.now();
        let halt = Halt { reason: HaltReason::ByHand, detail: "as told".to_owned(), since: now };
        self.store
            .set_standing(id, Standing::Paused(halt), Decider::Person, now)
            .await
            .expect("it is stored");
    }

    pub(crate) async fn resume(&self, id: DestinationId) {
        self.store
            .set_standing(id, Standing::Active, Decider::Person, self.clock.now())
            .await
            .expect("it is stored");
    }

    /// Commits a finished run whose event goes to `url`.
    pub(crate) async fn accept(&self, url: &str) -> (DeliveryId, EventId) {
        self.finish(&mut self.job(json!({ "mode": "webhook", "to": url })).await, EVENT).await
    }

    /// Commits a finished run whose event goes to the destination of this name.
    pub(crate) async fn accept_for(&self, name: &str) -> DeliveryId {
        self.finish(&mut self.job_for(name).await, EVENT).await.0
    }

    /// A job whose events go to the destination of this name.
    pub(crate) async fn job_for(&self, name: &str) -> Job {
        self.job(json!({ "mode": "webhook", "destination": name })).await
    }

    pub(crate) async fn job(&self, delivery: Value) -> Job {
        let now = self.clock.now();
        let definition = json!({
            "schedule": { "kind": "every", "everyMs": 1000, "anchorMs": 0 },
            "payload": { "kind": "command", "argv": ["true"] },
            "delivery": delivery,
        });
        let definition = JobDefinition::parse(definition, now).expect("a good job");
        let state = JobState { next_run_at: Some(now), ..JobState::default() };
        let job =
            Job { id: clawhook_model::JobId::random(), definition, created_at: now, updated_at: now, state };
        self.store.insert_job(job.clone()).await.expect("the job is stored");
        job
    }

    /// Commits the job's next run, which brings this event.
    pub(crate) async fn finish(&self, job: &mut Job, event: &'static [u8]) -> (DeliveryId, EventId) {
        let now = self.clock.now();
        let due_at = job.state.next_run_at.expect("it is due");
        let next_run_at = Some(due_at.plus_millis(1));
        let run = NewRun::of(job, RunId::new(now), Trigger::Schedule, Some(due_at), SessionId::random());
        let claim = Claim {
            job_id: job.id.clone(),
            due_at,
            open: OpenRuns::default(),
            passed: Vec::new(),
            runs: vec![PlannedRun { run: run.clone(), start: RunStart::Now }],
            next_run_at,
            disables: None,
        };
        self.store.claim(vec![claim], now).await.expect("the claim is stored");
        job.state.next_run_at = next_run_at;
        let outcome = RunOutcome::ok("done");
        let plan = plan_deliveries(&job.definition.delivery, &outcome).remove(0);
        let (id, event_id) = (DeliveryId::new(now), EventId::new(now));
        let finish = FinishRun {
            hooks: Vec::new(),
            chain: ChainRules::default(),
            run_id: run.id,
            job_id: job.id.clone(),
            session: run.session,
            agent_id: run.agent_id,
            ended_at: now,
            outcome,
            event_id,
            event: Bytes::from_static(event),
            deliveries: vec![NewDelivery { id, plan }],
            transcript: Vec::new(),
            after: AfterRun::Keep,
            trigger: run.trigger,
            passed: None,
            failure: Arc::default(),
            retry: (RunId::new(now), SessionId::random()),
            day: 0,
            left: clawhook_store::LeftWithSessions::default(),
        };
        self.store.finish_run(finish).await.expect("the run is stored");
        (id, event_id)
    }

    pub(crate) async fn story(&self, id: DeliveryId) -> DeliveryWithAttempts {
        self.store.delivery(id).await.expect("the store answers").expect("the delivery")
    }

    /// The delivery's story, once it has so many attempts.
    pub(crate) async fn attempts(&self, id: DeliveryId, attempts: usize) -> DeliveryWithAttempts {
        loop {
            let story = self.story(id).await;
            if story.attempts.len() >= attempts {
                return story;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The delivery's story, once it stands there.
    pub(crate) async fn settled(&self, id: DeliveryId, state: DeliveryState) -> DeliveryWithAttempts {
        loop {
            let story = self.story(id).await;
            if story.delivery.state == state {
                return story;
            }
            tokio::task::yield_now().await;
        }
    }

    /// How many of the deliveries were never tried, and wait.
    pub(crate) async fn untried(&self, ids: &[DeliveryId]) -> usize {
        let mut untried = 0;
        for id in ids {
            let story = self.story(*id).await;
            untried += usize::from(
                story.delivery.state == DeliveryState::Pending
                    && story.delivery.attempts == 0
                    && story.attempts.is_empty(),
            );
        }
        untried
    }

    /// Shows that the service has gone on: what was told it before, it has heard.
    pub(crate) async fn goes_on_elsewhere(&self) {
        let mut elsewhere = Receiver::well().await;
        let (id, _) = self.accept(&elsewhere.url).await;
        elsewhere.next().await;
        self.settled(id, DeliveryState::Delivered).await;
    }

    /// Waits until the service waits for no instant: nothing that waits may go.
    pub(crate) async fn rests(&self) {
        while self.clock.next_wake() != Some(NEVER) {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the service has nothing to do before `instant`.
    pub(crate) async fn rests_until(&self, instant: UnixMs) {
        while self.clock.next_wake() != Some(instant) {
            tokio::task::yield_now().await;
        }
    }

    /// The same, and then it is that instant.
    pub(crate) async fn move_to(&self, instant: UnixMs) {
        self.rests_until(instant).await;
        self.clock.set(instant);
    }

    /// Moves the clock to the next attempt, once the service waits for it.
    pub(crate) async fn move_to_next(&self, id: DeliveryId) {
        let next = self.story(id).await.delivery.next_at.expect("it waits");
        while self.clock.next_wake().is_none_or(|wake| wake > next) {
            tokio::task::yield_now().await;
        }
        self.clock.set(next);
    }

    /// Lets time pass until all of them have arrived; each is looked at when its time has come.
    pub(crate) async fn move_until_delivered(&self, ids: &[DeliveryId]) {
        for id in ids {
            loop {
                let delivery = self.story(*id).await.delivery;
                match delivery.state {
                    DeliveryState::Delivered => break,
                    DeliveryState::Waiting if delivery.next_at > Some(self.clock.now()) => {
                        self.move_to_next(*id).await;
                    }
                    DeliveryState::Pending | DeliveryState::Leased | DeliveryState::Waiting => {
                        tokio::task::yield_now().await;
                    }
                    ended => panic!("{id} is {}", ended.as_str()),
                }
            }
        }
    }
}
