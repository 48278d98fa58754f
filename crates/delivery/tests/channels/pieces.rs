//! Long messages: nothing that has arrived is sent again, and nothing is left out.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clawhook_clock::{ManualClock, SystemClock};
use clawhook_delivery::channels::{Arrived, ChannelKind, PieceLog, Sending};
use clawhook_model::{RetryAfter, UnixMs};
use proptest::prelude::*;

use super::{BUDGET, KEY, Log, answer, channel, json, message, place, send, service, transport};

fn long() -> String {
    (0..4_000).map(|number| format!("line {number} of the report\n")).collect()
}

#[tokio::test]
async fn a_retry_goes_on_with_the_piece_that_did_not_arrive() {
    let kind = ChannelKind::Mattermost;
    let ok = answer(201, &[], r#"{"id":"abcdefghijklmnopqrstuvwxyz"}"#);
    let limited = answer(429, &[("x-ratelimit-reset", "2")], "limit exceeded");
    let mut receiver = service(&[&ok, &limited, &ok]).await;
    let channel = channel(kind, &receiver);
    let message = message(&long());
    let of = u32::try_from(channel.pieces(&message).len()).unwrap();
    assert!(of > 3, "{of}");

    let (first, arrived) = send(&channel, &place(kind), &message, 0).await;
    assert_eq!((first.arrived, first.of, arrived.len()), (1, of, 1));
    assert_eq!(first.report.retry_after, Some(RetryAfter::Seconds(2)));
    assert!(first.report.error.as_ref().unwrap().starts_with(&format!("part 2 of {of}: ")), "{first:?}");

    let (second, arrived) = send(&channel, &place(kind), &message, first.arrived).await;
    assert!(second.is_whole() && second.report.class.is_delivered(), "{second:?}");
    assert_eq!(arrived.iter().map(|piece| piece.piece).collect::<Vec<_>>(), (2..=of).collect::<Vec<_>>());

    let mut texts = Vec::new();
    for _ in 0..=of {
        texts.push(json(&receiver.received().await)["message"].as_str().unwrap().to_owned());
    }
    // The second was refused and sent again, the same to the byte.
    assert_eq!(texts[1], texts[2]);
    texts.remove(1);
    assert_eq!(texts.join("\n"), long().trim_end());

    let (nothing, arrived) = send(&channel, &place(kind), &message, of).await;
    assert!(nothing.is_whole() && nothing.report.class.is_delivered() && arrived.is_empty());
    assert_eq!(receiver.unseen(), 0);
}

#[tokio::test]
async fn a_piece_that_cannot_be_noted_is_the_last() {
    struct Full;
    #[async_trait]
    impl PieceLog for Full {
        async fn arrived(&self, _: Arrived) -> bool {
            false
        }
    }
    let kind = ChannelKind::Mattermost;
    let mut receiver = service(&[&answer(201, &[], r#"{"id":"abcdefghijklmnopqrstuvwxyz"}"#)]).await;
    let channel = channel(kind, &receiver);
    let message = message(&long());
    let sending = Sending { message: &message, place: &place(kind), key: KEY, arrived: 0, budget: BUDGET };
    let sent = channel.send(&transport(), &SystemClock, sending, &Full).await;
    assert_eq!((sent.report.class.as_str(), sent.arrived, receiver.unseen()), ("interrupted", 0, 1));
}

#[tokio::test]
async fn pieces_keep_the_services_pace_and_its_wish_for_more() {
    let kind = ChannelKind::Discord;
    let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset-after", "4.5")];
    let ok = answer(200, &[], r#"{"id":"1"}"#);
    let spent = answer(200, &headers, r#"{"id":"2"}"#);
    let mut receiver = service(&[&ok, &spent, &ok]).await;
    let channel = Arc::new(channel(kind, &receiver));
    let clock = Arc::new(ManualClock::at(UnixMs::from_millis(0)));
    let sending = tokio::spawn({
        let (channel, clock) = (channel.clone(), clock.clone());
        async move {
            let message = message(&"word ".repeat(1_000));
            let sending =
                Sending { message: &message, place: &place(kind), key: KEY, arrived: 0, budget: BUDGET };
            channel.send(&transport(), &*clock, sending, &Log::default()).await
        }
    });
    receiver.received().await;
    for wait in [1_000, 4_500] {
        while clock.next_wake().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(receiver.unseen(), 0);
        let wake = clock.next_wake().unwrap();
        assert_eq!(wake.since(clock_now(&clock)), Duration::from_millis(wait));
        clock.set(wake);
        receiver.received().await;
    }
    let sent = sending.await.unwrap();
    assert!(sent.is_whole() && sent.of == 3, "{sent:?}");
}

fn clock_now(clock: &ManualClock) -> UnixMs {
    clawhook_clock::Clock::now(clock)
}

#[tokio::test]
async fn no_piece_is_begun_that_could_not_end_within_the_time() {
    let kind = ChannelKind::Mattermost;
    let mut receiver = service(&[&answer(201, &[], r#"{"id":"abcdefghijklmnopqrstuvwxyz"}"#)]).await;
    let channel = channel(kind, &receiver);
    let message = message(&long());
    let budget = Duration::from_secs(1);
    let sending = Sending { message: &message, place: &place(kind), key: KEY, arrived: 0, budget };
    let sent = channel.send(&transport(), &SystemClock, sending, &Log::default()).await;
    assert!(sent.report.class.is_delivered() && !sent.is_whole(), "{sent:?}");
    assert_eq!((sent.arrived, receiver.unseen()), (1, 1));
}

/// What a piece counts at its service, and how much that takes.
fn measured(kind: ChannelKind, text: &str, html: Option<&str>) -> (usize, usize) {
    match kind {
        ChannelKind::Slack => (text.encode_utf16().count(), 4_000),
        ChannelKind::Discord => (text.encode_utf16().count(), 2_000),
        ChannelKind::Mattermost => (text.chars().count(), 16_383),
        ChannelKind::Ntfy => (text.len(), 4_096),
        // The whole event, as the request has it.
        ChannelKind::Matrix => (text.len() + html.unwrap_or_default().len(), 65_536),
        _ => (0, usize::MAX),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_service_gets_pieces_within_its_limits_and_all_the_words(
        paragraphs in proptest::collection::vec("([a-zé😀<&@*`]{1,12} ){1,120}", 1..30),
        fenced in any::<bool>(),
    ) {
        let numbered: String = paragraphs
            .iter()
            .enumerate()
            .map(|(number, text)| format!("word{number}x {}\n\n", text.replace('`', "")))
            .collect();
        let text = if fenced { format!("```text\n{numbered}\n```") } else { numbered };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let receiver = runtime.block_on(service(&[""]));
        for kind in [ChannelKind::Slack, ChannelKind::Discord, ChannelKind::Telegram, ChannelKind::Mattermost, ChannelKind::Matrix] {
            let channel = channel(kind, &receiver);
            let message = message(&text);
            let pieces = channel.pieces(&message);
            prop_assert_eq!(&pieces, &channel.pieces(&message));
            for piece in &pieces {
                let (units, limit) = measured(kind, &piece.text, piece.html.as_deref());
                prop_assert!(units <= limit, "{kind}: {units} > {limit}");
            }
            let whole: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
            for number in 0..paragraphs.len() {
                let word = format!("word{number}x");
                prop_assert!(whole.contains(&word), "{kind}: {word} is lost");
            }
        }
    }
}
