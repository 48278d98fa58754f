//! Messages to people: in parts of which none is sent twice, by accounts whose credentials nobody sees.

use std::collections::BTreeMap;

use clawhook_delivery::Accounts;
use clawhook_delivery::channels::{Account, ChannelKind};
use clawhook_model::{AgentId, AnnounceTarget, AttemptClass, DeliveryState, HaltReason, SecretSource};
use serde_json::{Value, json};

use crate::receiver::{Answer, Receiver};
use crate::world::World;

const PLACE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbb";
const POSTED: &str = r#"{"id":"cccccccccccccccccccccccccc"}"#;

fn accounts(server: &Receiver) -> Accounts {
    let url = server.url.strip_suffix("/hook").expect("the receiver's path").parse().expect("a server");
    let credential = SecretSource::env("MATTERMOST").expect("a variable");
    let account = Account {
        url: Some(url),
        allow_private: true,
        ..Account::new(ChannelKind::Mattermost, Some(credential))
    };
    let accounts = BTreeMap::from([(("mattermost".to_owned(), "default".to_owned()), account)]);
    Accounts { accounts, ..Accounts::default() }
}

fn announced(to: &str) -> Value {
    json!({ "mode": "announce", "channel": "mattermost", "accountId": "default", "to": to })
}

/// An event whose text takes so many parts and a bit.
fn event(parts: usize) -> &'static [u8] {
    let summary = "word ".repeat(parts * 16_000 / 5);
    let event =
        json!({ "action": "finished", "jobId": "j", "jobName": "daily", "status": "ok", "summary": summary });
    Box::leak(event.to_string().into_bytes().into_boxed_slice())
}

async fn world(server: &Receiver) -> World {
    let world = World::telling(accounts(server), |_| {});
    world.variables.write().await.insert("MATTERMOST".to_owned(), "s3cret".to_owned());
    world
}

fn said(received: &crate::receiver::Received) -> String {
    let body: Value = serde_json::from_slice(&received.body).expect("JSON");
    body["message"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn a_message_is_said_and_its_record_shows_the_account_and_no_credential() {
    let mut server = Receiver::well().await;
    server.says(POSTED);
    let world = world(&server).await;
    let (id, _) = world.finish(&mut world.job(announced(PLACE)).await, event(0)).await;
    let received = server.next().await;
    assert_eq!(received.headers["authorization"], "Bearer s3cret");
    let story = world.settled(id, DeliveryState::Delivered).await;
    let report = &story.attempts[0].report;
    let announced = report.announced.as_ref().expect("how far it came");
    assert_eq!((announced.channel.as_str(), announced.account_id.as_str()), ("mattermost", "default"));
    assert_eq!((announced.parts_arrived, announced.parts), (1, 1));
    assert_eq!(announced.message_ids, ["cccccccccccccccccccccccccc"]);
    assert!(!serde_json::to_string(report).expect("JSON").contains("s3cret"));
    let last = world.store.last_route(&AgentId::main()).await.expect("the store answers").expect("a place");
    assert_eq!((last.channel.as_str(), last.to.as_str()), ("mattermost", PLACE));
}

#[tokio::test]
async fn a_message_goes_on_after_a_crash_with_the_first_part_that_has_not_arrived() {
    // The third request is never answered.
    let mut server = Receiver::start([200, 200, 0]).await;
    server.says(POSTED);
    let world = world(&server).await;
    let (id, _) = world.finish(&mut world.job(announced(PLACE)).await, event(3)).await;
    let before: Vec<String> = server.take(3).await.iter().map(said).collect();
    let world = world.crash(accounts(&server)).await;
    world.variables.write().await.insert("MATTERMOST".to_owned(), "s3cret".to_owned());
    world.move_until_delivered(&[id]).await;
    let story = world.story(id).await;
    let announced =
        story.attempts.last().and_then(|last| last.report.announced.clone()).expect("how far it came");
    assert_eq!(announced.parts_arrived, announced.parts);
    let rest = usize::try_from(announced.parts).expect("few") - 2;
    let after: Vec<String> = server.take(rest).await.iter().map(said).collect();
    assert_eq!(after[0], before[2], "the third part, which nobody had heard, comes again");
    assert!(!after.contains(&before[0]) && !after.contains(&before[1]));
    assert_eq!(server.unasked(), 0);
}

#[tokio::test]
async fn what_one_place_is_told_of_too_much_holds_back_the_whole_account() {
    let mut server = Receiver::start([200.into(), 200.into(), Answer::later(429, 60)]).await;
    server.says(POSTED);
    let world = world(&server).await;
    let (mut here, mut there) = (world.job(announced(PLACE)).await, world.job(announced(OTHER)).await);
    for job in [&mut here, &mut there] {
        let (id, _) = world.finish(job, event(0)).await;
        world.settled(id, DeliveryState::Delivered).await;
    }
    let (throttled, _) = world.finish(&mut here, event(0)).await;
    let story = world.attempts(throttled, 1).await;
    assert_eq!(story.attempts[0].report.class, AttemptClass::RateLimited);
    server.take(3).await;
    world.goes_on_elsewhere().await;
    let (held, _) = world.finish(&mut there, event(0)).await;
    world.goes_on_elsewhere().await;
    assert_eq!((world.untried(&[held]).await, server.unasked()), (1, 0));
    world.move_to_next(throttled).await;
    world.settled(held, DeliveryState::Delivered).await;
    world.settled(throttled, DeliveryState::Delivered).await;
}

#[tokio::test]
async fn an_account_that_is_gone_or_has_no_credential_keeps_what_waits() {
    let mut server = Receiver::well().await;
    server.says(POSTED);
    let world = World::telling(accounts(&server), |_| {});
    let (id, _) = world.finish(&mut world.job(announced(PLACE)).await, event(0)).await;
    let destination = world.story(id).await.delivery.destination_id;
    let halted = world.destination_once(destination, |it| it.standing.halt().is_some()).await;
    let halt = halted.standing.halt().expect("it is halted");
    assert_eq!(halt.reason, HaltReason::Secret);
    assert!(halt.detail.contains("MATTERMOST"), "{}", halt.detail);
    world.variables.write().await.insert("MATTERMOST".to_owned(), "s3cret".to_owned());
    world.clock.advance(std::time::Duration::from_secs(61));
    world.settled(id, DeliveryState::Delivered).await;
    server.next().await;
}

#[tokio::test]
async fn a_test_message_shows_what_came_of_it() {
    let mut server = Receiver::start([401, 200]).await;
    server.says(POSTED);
    let world = world(&server).await;
    let place = AnnounceTarget {
        channel: Some("mattermost".to_owned()),
        account_id: Some("default".to_owned()),
        to: Some(PLACE.to_owned()),
        thread_id: None,
    };
    let refused = world.handle.test_place(&place).await.expect("it is tried");
    assert_eq!(refused.report.class, AttemptClass::Unauthorized);
    let taken = world.handle.test_place(&place).await.expect("it is tried");
    assert!(taken.report.class.is_delivered());
    assert!(said(&server.take(2).await[1]).contains("test message"));
    let nobody = AnnounceTarget { account_id: Some("gone".to_owned()), ..place };
    let error = world.handle.test_place(&nobody).await.expect_err("there is no such account");
    assert!(error.to_string().contains("`gone`"), "{error}");
}
