//! The delivery service through its doors: a store, a clock that is moved by hand, and receivers on real sockets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clawhook_clock::{Clock, ManualClock};
use clawhook_delivery::{
    DeliveryHandle, DeliveryOptions, DeliveryService, Guard, GuardPolicy, RetrySchedule, SecretReader,
    SigningKeyPair, SigningSecret, TestRefused, Transport, TransportOptions, UnreadableSecret,
};
use clawhook_model::{
    AttemptClass, DeliveryId, DeliveryState, DestinationDefinition, DestinationId, EventId, Halt, HaltReason,
    Job, JobDefinition, JobState, RetryRules, RunId, RunOutcome, SecretSource, SessionId, Standing, Trigger,
    UnixMs, plan_deliveries,
};
use clawhook_store::sqlite::SqliteStore;
use clawhook_store::{
    AfterRun, Claim, DeliveryFilter, DeliveryWithAttempts, FinishRun, NewDelivery, NewDestination, NewRun,
    Store, Topic,
};
use secrecy::SecretString;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const EVENT: &[u8] = br#"{"action":"finished","summary":"done"}"#;

/// A request as the receiver got it.
struct Received {
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// A receiver that answers with the statuses it was given, then with 200; a status of 0 never answers.
async fn receiver(statuses: Vec<u16>) -> (String, mpsc::UnboundedReceiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let (tell, told) = mpsc::unbounded_channel();
    let statuses = Arc::new(std::sync::Mutex::new(statuses.into_iter()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, statuses.clone(), tell.clone()));
        }
    });
    (url, told)
}

async fn serve(
    mut stream: TcpStream,
    statuses: Arc<std::sync::Mutex<std::vec::IntoIter<u16>>>,
    tell: mpsc::UnboundedSender<Received>,
) {
    while let Some(received) = read(&mut stream).await {
        tell.send(received).ok();
        let status = statuses.lock().expect("no test panics with it").next().unwrap_or(200);
        if status == 0 {
            std::future::pending::<()>().await;
        }
        let answer = format!("HTTP/1.1 {status} As Told\r\ncontent-length: 2\r\n\r\nok");
        stream.write_all(answer.as_bytes()).await.ok();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII");
    let headers: HashMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().expect("a length");
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        stream.read_buf(&mut body).await.ok()?;
    }
    Some(Received { headers, body })
}

/// Secrets that are written where they are needed; there are no others here.
struct Written;

#[async_trait]
impl SecretReader for Written {
    async fn read(&self, source: &SecretSource, _: &str) -> Result<SecretString, UnreadableSecret> {
        match source {
            SecretSource::Written(text) => Ok(text.as_secret_string().clone()),
            _ => Err(UnreadableSecret::Unset("NOT_THERE".to_owned())),
        }
    }
}

/// A service at work on a store of its own.
struct World {
    store: Arc<dyn Store>,
    clock: ManualClock,
    handle: DeliveryHandle,
    shutdown: CancellationToken,
    service: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.path().join("s.db"), "test", T0).expect("a store"));
        let clock = ManualClock::at(T0);
        let guard =
            Guard::new(GuardPolicy { allowed_hosts: vec!["127.0.0.1".to_owned()], ..GuardPolicy::default() });
        let transport_options =
            TransportOptions { total_timeout: Duration::from_millis(800), ..TransportOptions::default() };
        let transport = Transport::new(transport_options, guard);
        let seconds = |seconds| Duration::from_secs(seconds);
        let options = DeliveryOptions {
            retry: RetryRules::of(RetrySchedule::new(vec![seconds(5), seconds(300)])),
            signing_key: SigningKeyPair::generate().expect("a key"),
            signing_secret: SigningSecret::parse(SECRET).expect("a secret"),
            bearer_token: Some("t0ken".to_owned().into()),
            max_concurrent: 8,
            max_concurrent_per_destination: 4,
            pause_after: Duration::from_hours(24),
            disable_after: Duration::from_hours(120),
        };
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let service = DeliveryService::new(store.clone(), shared, transport, Arc::new(Written), options)
            .expect("a service");
        let handle = service.handle();
        let shutdown = CancellationToken::new();
        let service = tokio::spawn(service.run(shutdown.clone()));
        Self { store, clock, handle, shutdown, service, _folder: folder }
    }

    /// Commits a finished run whose event goes to `url`.
    async fn accept(&self, url: &str) -> (DeliveryId, EventId) {
        let now = self.clock.now();
        let definition = json!({
            "schedule": { "kind": "every", "everyMs": 1000, "anchorMs": 0 },
            "payload": { "kind": "systemEvent", "text": "done" },
            "delivery": { "mode": "webhook", "to": url }
        });
        let definition = JobDefinition::parse(definition, now).expect("a good job");
        let state = JobState { next_run_at: Some(now), ..JobState::default() };
        let job =
            Job { id: clawhook_model::JobId::random(), definition, created_at: now, updated_at: now, state };
        self.store.insert_job(job.clone()).await.expect("the job is stored");
        let run = NewRun::of(&job, RunId::new(now), Trigger::Schedule, Some(now), SessionId::random());
        let claim = Claim {
            job_id: job.id.clone(),
            due_at: now,
            passed: Vec::new(),
            run: Some(run.clone()),
            next_run_at: None,
        };
        self.store.claim(vec![claim], now).await.expect("the claim is stored");
        let outcome = RunOutcome::ok("done");
        let plan = plan_deliveries(&job.definition.delivery, &outcome).remove(0);
        let (id, event_id) = (DeliveryId::new(now), EventId::new(now));
        let finish = FinishRun {
            run_id: run.id,
            job_id: job.id,
            session: run.session,
            agent_id: run.agent_id,
            ended_at: now,
            outcome,
            event_id,
            event: Bytes::from_static(EVENT),
            deliveries: vec![NewDelivery { id, plan }],
            transcript: Vec::new(),
            after: AfterRun::Keep,
        };
        self.store.finish_run(finish).await.expect("the run is stored");
        (id, event_id)
    }

    /// The delivery's story, once it has so many attempts.
    async fn attempts(&self, id: DeliveryId, attempts: usize) -> DeliveryWithAttempts {
        loop {
            let story = self.store.delivery(id).await.expect("the store answers").expect("the delivery");
            if story.attempts.len() >= attempts {
                return story;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Moves the clock to the next attempt, once the service waits for it.
    async fn move_to_next(&self, id: DeliveryId) {
        let story = self.store.delivery(id).await.expect("the store answers").expect("the delivery");
        let next = story.delivery.next_at.expect("it waits");
        while self.clock.next_wake().is_none_or(|wake| wake > next) {
            tokio::task::yield_now().await;
        }
        self.clock.set(next);
    }
}

/// Has an independent library make the signature: its own verifier would compare the manual clock's time with today's.
fn verify(received: &Received) {
    let timestamp = received.headers["webhook-timestamp"].parse().expect("seconds");
    let independent = standardwebhooks::Webhook::new(SECRET).expect("a verifier");
    let expected =
        independent.sign(&received.headers["webhook-id"], timestamp, &received.body).expect("a signature");
    assert_eq!(received.headers["webhook-signature"], expected);
}

#[tokio::test]
async fn i09_the_events_own_bytes_arrive_signed_under_its_id() {
    let world = World::new();
    let (url, mut told) = receiver(vec![204]).await;
    let (id, event_id) = world.accept(&url).await;
    let received = told.recv().await.unwrap();
    assert_eq!(received.body, EVENT);
    verify(&received);
    for (name, expected) in [
        ("webhook-id", event_id.to_string()),
        ("idempotency-key", event_id.to_string()),
        ("webhook-timestamp", T0.as_secs().to_string()),
        ("clawhook-attempt", "1".to_owned()),
        ("authorization", "Bearer t0ken".to_owned()),
        ("content-type", "application/json".to_owned()),
    ] {
        assert_eq!(received.headers.get(name), Some(&expected), "{name}");
    }
    let story = world.attempts(id, 1).await;
    assert_eq!(story.delivery.state, DeliveryState::Delivered);
    assert_eq!(story.attempts[0].report.status, Some(204));
}

#[tokio::test]
async fn i09_a_retry_carries_the_same_id_and_bytes_with_a_fresh_time_and_signature() {
    let world = World::new();
    let (url, mut told) = receiver(vec![500]).await;
    let (id, _) = world.accept(&url).await;
    let first = told.recv().await.unwrap();
    let story = world.attempts(id, 1).await;
    assert_eq!(
        (story.delivery.state, story.attempts[0].report.class),
        (DeliveryState::Waiting, AttemptClass::ServerError)
    );
    let wait = story.delivery.next_at.unwrap().since(T0);
    assert!((5.0..=5.5).contains(&wait.as_secs_f64()), "5 s and at most a tenth more: {wait:?}");
    world.move_to_next(id).await;
    let second = told.recv().await.unwrap();
    verify(&second);
    assert_eq!((&first.headers["webhook-id"], &first.body), (&second.headers["webhook-id"], &second.body));
    assert_ne!(first.headers["webhook-signature"], second.headers["webhook-signature"]);
    assert_eq!(second.headers["clawhook-attempt"], "2");
    assert_eq!(world.attempts(id, 2).await.delivery.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn i04_a_delivery_that_never_succeeds_ends_visibly_dead() {
    let world = World::new();
    let (url, _told) = receiver(vec![500, 302, 404]).await;
    let (id, _) = world.accept(&url).await;
    for attempts in 1..=2 {
        world.attempts(id, attempts).await;
        world.move_to_next(id).await;
    }
    let story = world.attempts(id, 3).await;
    assert_eq!(story.delivery.state, DeliveryState::Dead);
    assert_eq!(story.delivery.reason.as_deref(), Some("Webhook request failed with HTTP 404"));
    let classes: Vec<_> = story.attempts.iter().map(|attempt| attempt.report.class).collect();
    assert_eq!(classes, [AttemptClass::ServerError, AttemptClass::Redirect, AttemptClass::ClientError]);
}

#[tokio::test]
async fn a_receiver_that_hangs_takes_only_its_share() {
    let world = World::new();
    let (hanging, mut stuck) = receiver(vec![0; 20]).await;
    let (healthy, mut told) = receiver(Vec::new()).await;
    for _ in 0..10 {
        world.accept(&hanging).await;
    }
    for _ in 0..4 {
        stuck.recv().await.unwrap();
    }
    let (id, _) = world.accept(&healthy).await;
    told.recv().await.unwrap();
    assert_eq!(world.attempts(id, 1).await.delivery.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_test_goes_the_way_of_a_real_delivery_and_nothing_follows_from_it() {
    let world = World::new();
    let (url, mut told) = receiver(vec![500]).await;
    let definition = DestinationDefinition::parse(json!({ "url": url })).expect("a good definition");
    let new = NewDestination { name: "ops".parse().expect("a name"), definition, declared_in: None, now: T0 };
    let ops = world.store.insert_destination(new).await.unwrap().expect("the name is free");
    let halt = Halt { reason: HaltReason::ByHand, detail: "as told".to_owned(), since: T0 };
    world.store.set_standing(ops.id, Standing::Disabled(halt), T0).await.unwrap();
    let before = world.store.destination(ops.id).await.unwrap().expect("it is there").destination;

    let refused = world.handle.test(ops.id).await.unwrap();
    assert_eq!((refused.report.class, refused.report.status), (AttemptClass::ServerError, Some(500)));
    let received = told.recv().await.unwrap();
    verify(&received);
    assert_eq!(received.headers["webhook-id"], refused.event_id.to_string());
    let event: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!((&event["jobName"], &event["test"]), (&json!("clawhook-test"), &json!(true)));
    assert!(world.handle.test(ops.id).await.unwrap().report.class.is_delivered());

    let after = world.store.destination(ops.id).await.unwrap().expect("it is there").destination;
    assert_eq!(after, before, "it stands as it stood");
    assert!(
        world.store.deliveries(DeliveryFilter { limit: 1, ..DeliveryFilter::default() }).await.unwrap().total
            == 0
    );
    let gone = DestinationId::from_number(99);
    assert!(matches!(world.handle.test(gone).await, Err(TestRefused::Gone)));
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_under_way_and_records_it() {
    let world = World::new();
    let (url, mut told) = receiver(vec![0]).await;
    let (id, _) = world.accept(&url).await;
    told.recv().await.unwrap();
    world.shutdown.cancel();
    let store = world.store.clone();
    let mut outbox = store.subscribe(Topic::Outbox);
    world.service.await.unwrap();
    outbox.changed().await.unwrap();
    let story = store.delivery(id).await.unwrap().unwrap();
    assert_eq!(
        (story.delivery.state, story.attempts[0].report.class),
        (DeliveryState::Waiting, AttemptClass::AnswerTimeout)
    );
}
