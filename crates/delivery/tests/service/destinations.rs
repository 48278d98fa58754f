//! What a named destination makes of its events, and which of them it gives up.

use std::time::Duration;

use clawhook_delivery::signature::{github, v1, v1a};
use clawhook_delivery::{PublicKey, SharedSecret, SignedHeaders, SigningKeyPair, SigningSecret};
use clawhook_model::{AttemptClass, DeadCause, DeliveryState, HaltReason, Standing};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::receiver::Receiver;
use super::world::{EVENT, SECRET, T0, World, seconds};

const TOLD: &[u8] = br#"{"action":"finished","jobId":"j1","runId":"r1","summary":"done"}"#;
const BREAKING: &[u8] = br#"{"action":"finished","summary":"break"}"#;
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_named_destinations_headers_format_and_schemes_arrive_and_verify() {
    let world = World::new();
    let mut there = Receiver::well().await;
    let pair = SigningKeyPair::generate().unwrap();
    world.variables.write().await.insert("OPS_TOKEN".to_owned(), "Bearer ops".to_owned());
    let definition = json!({
        "url": there.url,
        "headers": { "X-Team": "ops", "Authorization": { "env": "OPS_TOKEN" } },
        "signing": {
            "schemes": ["v1", "v1a", "github"],
            "secret": SECRET,
            "privateKey": pair.to_file_text().expose_secret(),
        },
        "format": "cloudevents-binary",
    });
    world.define("ops", definition).await;
    let (_, event_id) = world.finish(&mut world.job_for("ops").await, TOLD).await;
    let received = there.next().await;
    assert_eq!(received.body, TOLD);
    for (name, expected) in [
        ("x-team", "ops"),
        ("authorization", "Bearer ops"),
        ("ce-specversion", "1.0"),
        ("ce-id", &event_id.to_string()),
        ("ce-source", "/clawhook/jobs/j1"),
        ("ce-subject", "r1"),
        ("ce-type", "com.clawhook.run.finished"),
        ("content-type", "application/json"),
        ("webhook-id", &event_id.to_string()),
    ] {
        assert_eq!(received.headers.get(name).map(String::as_str), Some(expected), "{name}");
    }
    let text = |name: &str| received.headers[name].as_str();
    let (id, timestamp, signature) =
        (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"));
    let headers = SignedHeaders { id, timestamp, signature };
    let (now, tolerance) = (T0.as_secs(), seconds(0));
    v1::verify(&SigningSecret::parse(SECRET).unwrap(), &headers, TOLD, now, tolerance).unwrap();
    v1a::verify(&PublicKey::parse(&pair.public_text()).unwrap(), &headers, TOLD, now, tolerance).unwrap();
    let secret = SharedSecret::parse(SECRET).unwrap();
    github::verify(&secret, text("x-hub-signature-256"), TOLD).unwrap();
    assert!(github::verify(&secret, text("x-hub-signature-256"), EVENT).is_err());
}

#[tokio::test]
async fn a_receiver_may_refuse_an_event_so_often_and_no_more() {
    let world = World::new();
    let mut there = Receiver::always(404).await;
    let retry = json!({ "schedule": ["5s", "5s", "5s", "5s", "5s"], "clientErrorTries": 2 });
    world.define("ops", json!({ "url": there.url, "retry": retry })).await;
    let id = world.accept_for("ops").await;
    world.attempts(id, 1).await;
    world.move_to_next(id).await;
    let story = world.settled(id, DeliveryState::Dead).await;
    assert_eq!(
        (story.attempts.len(), story.delivery.reason.as_deref(), story.delivery.cause),
        (2, Some("Webhook request failed with HTTP 404; refused 2 times"), Some(DeadCause::Receiver))
    );
    assert_eq!(there.unasked(), 2);
}

#[tokio::test]
async fn an_event_that_the_template_fails_on_is_given_up_and_others_go_on() {
    let world = World::new();
    let mut there = Receiver::well().await;
    let body = r#"{"text": {% if event.summary == "break" %}oops{% else %}"{{ event.summary }}"{% endif %}}"#;
    let template = json!({ "body": body, "headers": { "X-Note": "{{ event.summary | one_line }}" } });
    let ops = world.define("ops", json!({ "url": there.url, "format": { "template": template } })).await;
    let mut job = world.job_for("ops").await;
    let (bad, _) = world.finish(&mut job, BREAKING).await;
    let story = world.settled(bad, DeliveryState::Dead).await;
    assert_eq!(
        (story.attempts.len(), story.attempts[0].report.class, story.delivery.cause),
        (1, AttemptClass::RenderFailed, Some(DeadCause::Configuration))
    );
    let (good, _) = world.finish(&mut job, EVENT).await;
    let received = there.next().await;
    assert_eq!((&*received.body, &*received.headers["x-note"]), (&br#"{"text": "done"}"#[..], "done"));
    world.settled(good, DeliveryState::Delivered).await;
    assert_eq!(world.destination(ops).await.standing, Standing::Active);
}

#[tokio::test]
async fn a_delivery_ends_with_its_window() {
    let world = World::new();
    let there = Receiver::always(500).await;
    let retry = json!({ "schedule": ["1h", "1h", "1h"], "window": "90m" });
    world.define("ops", json!({ "url": there.url, "retry": retry })).await;
    let id = world.accept_for("ops").await;
    world.attempts(id, 1).await;
    world.move_to_next(id).await;
    let story = world.settled(id, DeliveryState::Dead).await;
    assert_eq!(story.attempts.len(), 2);
    let reason = story.delivery.reason.expect("a reason");
    assert!(reason.ends_with("its window of 1h30m is over"), "{reason}");
}

#[tokio::test]
async fn time_in_a_pause_counts_for_no_window() {
    let world = World::new();
    let there = Receiver::always(500).await;
    let retry = json!({ "schedule": ["1h", "1h", "1h"], "window": "90m" });
    let ops = world.define("ops", json!({ "url": there.url, "retry": retry })).await;
    let id = world.accept_for("ops").await;
    world.attempts(id, 1).await;
    world.pause(ops).await;
    world.rests().await;
    world.clock.advance(600 * MINUTE);
    world.resume(ops).await;
    let story = world.attempts(id, 2).await;
    assert_eq!(story.delivery.state, DeliveryState::Waiting, "its window begins with the resumption");
    world.move_to_next(id).await;
    let story = world.settled(id, DeliveryState::Dead).await;
    assert_eq!(story.attempts.len(), 3, "and ends 90 minutes after it");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_pauses_until_it_can_be() {
    let mut world = World::new();
    let mut there = Receiver::well().await;
    let headers = json!({ "Authorization": { "env": "OPS_TOKEN" } });
    let ops = world.define("ops", json!({ "url": there.url, "headers": headers })).await;
    let id = world.accept_for("ops").await;
    let paused = world.destination_once(ops, |ops| ops.standing != Standing::Active).await;
    let Standing::Paused(halt) = paused.standing else { panic!("it is paused: {:?}", paused.standing) };
    assert_eq!(halt.reason, HaltReason::Secret);
    assert!(halt.detail.contains("headers.authorization") && halt.detail.contains("OPS_TOKEN"), "{halt:?}");
    assert_eq!((world.untried(&[id]).await, there.unasked()), (1, 0));
    // The pause is a change, and so it is looked at once more.
    for _ in 0..2 {
        world.asked.recv().await.unwrap();
    }
    world.rests_until(T0.plus(MINUTE)).await;
    world.variables.write().await.insert("OPS_TOKEN".to_owned(), "Bearer mended".to_owned());
    world.clock.set(T0.plus(MINUTE));
    assert_eq!(there.next().await.headers["authorization"], "Bearer mended");
    assert_eq!(world.attempts(id, 1).await.delivery.state, DeliveryState::Delivered);
    assert_eq!(world.destination(ops).await.standing, Standing::Active);
}

#[tokio::test]
async fn what_changes_while_a_destination_is_made_ready_is_not_overlooked() {
    let mut world = World::new();
    let (mut before, mut after) = (Receiver::well().await, Receiver::well().await);
    world.variables.write().await.insert("OPS_TOKEN".to_owned(), "ops".to_owned());
    let definition =
        |there: &Receiver| json!({ "url": there.url, "headers": { "X-Token": { "env": "OPS_TOKEN" } } });
    let ops = world.define("ops", definition(&before)).await;
    let kept = world.variables.clone().write_owned().await;
    let id = world.accept_for("ops").await;
    world.asked.recv().await.unwrap();
    let revision = world.destination(ops).await.revision;
    let edited = clawhook_model::DestinationDefinition::parse(definition(&after)).unwrap();
    world.store.update_destination(ops, revision, edited, None, T0).await.unwrap();
    world.goes_on_elsewhere().await;
    drop(kept);
    after.next().await;
    assert_eq!(world.attempts(id, 1).await.delivery.state, DeliveryState::Delivered);
    assert_eq!(before.unasked(), 0);
}
