//! The delivery service through its doors: a store, a clock that is moved by hand, and receivers on real sockets.

mod announce;
mod destinations;
mod halts;
mod pace;
mod receiver;
mod world;

use clawhook_delivery::TestRefused;
use clawhook_model::{AttemptClass, DeliveryState, DestinationId, Halt, HaltReason, Standing};
use clawhook_store::{Decider, DeliveryFilter, Topic};
use serde_json::json;

use self::receiver::{Received, Receiver};
use self::world::{EVENT, SECRET, T0, World};

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
    let mut there = Receiver::start([204]).await;
    let (id, event_id) = world.accept(&there.url).await;
    let received = there.next().await;
    assert_eq!(received.body, EVENT);
    verify(&received);
    for (name, expected) in [
        ("webhook-id", event_id.to_string()),
        ("idempotency-key", event_id.to_string()),
        ("webhook-timestamp", T0.as_secs().to_string()),
        ("clawhook-attempt", "1".to_owned()),
        ("authorization", "Bearer t0ken".to_owned()),
        ("clawhook-hops", "2".to_owned()),
        ("clawhook-trail", "a/first,b/second".to_owned()),
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
    let mut there = Receiver::start([500]).await;
    let (id, _) = world.accept(&there.url).await;
    let first = there.next().await;
    let story = world.attempts(id, 1).await;
    assert_eq!(
        (story.delivery.state, story.attempts[0].report.class),
        (DeliveryState::Waiting, AttemptClass::ServerError)
    );
    let wait = story.delivery.next_at.unwrap().since(T0);
    assert!((5.0..=5.5).contains(&wait.as_secs_f64()), "5 s and at most a tenth more: {wait:?}");
    world.move_to_next(id).await;
    let second = there.next().await;
    verify(&second);
    assert_eq!((&first.headers["webhook-id"], &first.body), (&second.headers["webhook-id"], &second.body));
    assert_ne!(first.headers["webhook-signature"], second.headers["webhook-signature"]);
    assert_eq!(second.headers["clawhook-attempt"], "2");
    assert_eq!(world.attempts(id, 2).await.delivery.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn i04_a_delivery_that_never_succeeds_ends_visibly_dead() {
    let world = World::new();
    let there = Receiver::start([500, 302, 404]).await;
    let (id, _) = world.accept(&there.url).await;
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
    let mut hanging = Receiver::start([0; 20]).await;
    let mut healthy = Receiver::well().await;
    for _ in 0..10 {
        world.accept(&hanging.url).await;
    }
    for _ in 0..4 {
        hanging.next().await;
    }
    let (id, _) = world.accept(&healthy.url).await;
    healthy.next().await;
    assert_eq!(world.attempts(id, 1).await.delivery.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_test_goes_the_way_of_a_real_delivery_and_nothing_follows_from_it() {
    let world = World::new();
    let mut there = Receiver::start([500]).await;
    let ops = world.define("ops", json!({ "url": there.url })).await;
    let halt = Halt { reason: HaltReason::ByHand, detail: "as told".to_owned(), since: T0 };
    world.store.set_standing(ops, Standing::Disabled(halt), Decider::Person, T0).await.unwrap();
    let before = world.destination(ops).await;

    let refused = world.handle.test(ops).await.unwrap();
    assert_eq!((refused.report.class, refused.report.status), (AttemptClass::ServerError, Some(500)));
    let received = there.next().await;
    verify(&received);
    assert_eq!(received.headers["webhook-id"], refused.event_id.to_string());
    let event: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!((&event["jobName"], &event["test"]), (&json!("clawhook-test"), &json!(true)));
    assert!(world.handle.test(ops).await.unwrap().report.class.is_delivered());

    let after = world.destination(ops).await;
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
    let mut there = Receiver::start([0]).await;
    let (id, _) = world.accept(&there.url).await;
    there.next().await;
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
