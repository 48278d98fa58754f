//! What goes out, as each service's documents want it.

use clawhook_delivery::channels::{ChannelKind, Message, Place, Urgency};
use serde_json::{Value, json};

use super::{KEY, answer, channel, json, message, place, send, service};

const OK: &str = r#"{"ok":true,"id":"1","event_id":"$1","ts":"1.2","result":{"message_id":1}}"#;

/// The head and the body of the one request that a message makes.
async fn sent(kind: ChannelKind, place: &Place, message: &Message) -> (String, Value) {
    let mut receiver = service(&[&answer(200, &[], OK)]).await;
    let (sent, arrived) = send(&channel(kind, &receiver), place, message, 0).await;
    assert!(sent.is_whole() && sent.report.class.is_delivered(), "{sent:?}");
    assert_eq!(arrived.len(), 1);
    let received = receiver.received().await;
    let body = json(&received);
    (received.head, body)
}

#[tokio::test]
async fn slack_gets_mrkdwn_in_a_thread_and_looks_nothing_up() {
    let (head, body) =
        sent(ChannelKind::Slack, &place(ChannelKind::Slack), &message("**a** <!channel>")).await;
    assert!(head.starts_with("post /base/chat.postmessage http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer 123456:aa-s3cret_token\r\n"), "{head}");
    let expected = json!({
        "channel": "C0123456789", "text": "*a* &lt;!channel&gt;", "link_names": false, "parse": "none",
        "unfurl_links": false, "unfurl_media": false, "thread_ts": "1503435956.000247",
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn discord_gets_a_nonce_and_mentions_nobody_and_a_thread_is_a_channel() {
    let kind = ChannelKind::Discord;
    let (head, body) = sent(kind, &place(kind), &message("@everyone **a**")).await;
    assert!(head.starts_with("post /base/channels/2234567890123456789/messages http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bot 123456:") && head.contains("user-agent: discordbot (https://"));
    assert_eq!(body["content"], "@everyone **a**");
    assert_eq!((&body["allowed_mentions"], &body["flags"]), (&json!({ "parse": [] }), &json!(4)));
    assert_eq!((body["nonce"].as_str().unwrap().len(), &body["enforce_nonce"]), (25, &json!(true)));
    let (_, again) = sent(kind, &place(kind), &message("@everyone **a**")).await;
    assert_eq!(body, again, "a repeat is the same to the byte");
}

#[tokio::test]
async fn telegram_gets_html_for_a_topic_and_no_preview() {
    let kind = ChannelKind::Telegram;
    let (head, body) = sent(kind, &place(kind), &message("**a** & <b> @bob")).await;
    assert!(head.starts_with("post /base/bot123456:aa-s3cret_token/sendmessage http/1.1\r\n"), "{head}");
    let expected = json!({
        "chat_id": -1_001_234_567_890_i64, "text": "<b>a</b> &amp; &lt;b&gt; @\u{200b}bob", "parse_mode": "HTML",
        "link_preview_options": { "is_disabled": true }, "message_thread_id": 42,
    });
    assert_eq!(body, expected);
    let (_, body) = sent(kind, &Place::new("@ops_channel"), &message("a")).await;
    assert_eq!((&body["chat_id"], body.get("message_thread_id")), (&json!("@ops_channel"), None));
}

#[tokio::test]
async fn mattermost_gets_a_post_that_is_known_again() {
    let kind = ChannelKind::Mattermost;
    let (head, body) = sent(kind, &place(kind), &message("**a** @all")).await;
    assert!(head.starts_with("post /base/api/v4/posts http/1.1\r\n"), "{head}");
    let expected = json!({
        "channel_id": "abcdefghijklmnopqrstuvwxyz", "message": "**a** @\u{200b}all",
        "pending_post_id": format!("clawhook:{KEY}:1"), "root_id": "zyxwvutsrqponmlkjihgfedcba",
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn matrix_gets_a_transaction_that_a_repeat_repeats() {
    let kind = ChannelKind::Matrix;
    let (head, body) = sent(kind, &place(kind), &message("**a** @room")).await;
    let path = format!(
        "put /base/_matrix/client/v3/rooms/%21room%3aexample.com/send/m.room.message/clawhook-{KEY}-1 "
    );
    assert!(head.starts_with(&path), "{head}");
    let expected = json!({
        "msgtype": "m.text", "body": "**a** @room", "format": "org.matrix.custom.html",
        "formatted_body": "<p><strong>a</strong> @room</p>", "m.mentions": {},
        "m.relates_to": {
            "rel_type": "m.thread", "event_id": "$event", "is_falling_back": true,
            "m.in_reply_to": { "event_id": "$event" },
        },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn ntfy_gets_a_title_a_priority_and_a_button() {
    let alert = Message {
        title: "daily: error".to_owned(),
        urgency: Urgency::High,
        ack_url: Some("https://hook.example.com/ack/1".to_owned()),
        headed: true,
        ..message("**no** key")
    };
    let (head, body) = sent(ChannelKind::Ntfy, &place(ChannelKind::Ntfy), &alert).await;
    assert!(head.starts_with("post /base http/1.1\r\n"), "{head}");
    assert_eq!(
        (&body["topic"], &body["title"], &body["priority"]),
        (&json!("alerts"), &json!("daily: error"), &json!(4))
    );
    assert_eq!(body["message"], "**no** key\n\n[Acknowledge](https://hook.example.com/ack/1)");
    assert_eq!(body["actions"][0]["url"], "https://hook.example.com/ack/1");
}

#[tokio::test]
async fn a_webhook_gets_the_message_at_the_place_that_the_operator_fixed() {
    let kind = ChannelKind::Webhook;
    let (head, body) = sent(kind, &place(kind), &message("**a**")).await;
    assert!(head.starts_with("post /say/room%201%2fx?in=t%261 http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("idempotency-key: {KEY}\r\n")), "{head}");
    let expected = json!({
        "to": "room 1/x", "thread": "t&1", "title": "daily: ok", "text": "**a**", "urgent": false, "ackUrl": null,
        "eventId": message("").event_id, "deliveryId": KEY,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn an_openclaw_gateway_gets_its_message_tool_called() {
    let kind = ChannelKind::Openclaw;
    let (head, body) = sent(kind, &place(kind), &message("**a** <@U1>")).await;
    assert!(head.starts_with("post /base/tools/invoke http/1.1\r\n"), "{head}");
    let expected = json!({
        "tool": "message", "action": "send",
        "args": {
            "action": "send", "channel": "telegram", "target": "-100123", "threadId": "5",
            "message": "**a** <\u{200b}@\u{200b}U1>",
        },
        "idempotencyKey": format!("clawhook:{KEY}:1"),
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn what_is_no_place_of_a_channel_is_never_asked_for() {
    for (kind, to) in [
        (ChannelKind::Slack, "two words"),
        (ChannelKind::Discord, "#general"),
        (ChannelKind::Telegram, "../getMe"),
        (ChannelKind::Mattermost, "town-square"),
        (ChannelKind::Matrix, "#alias:example.com"),
        (ChannelKind::Email, "nobody"),
        (ChannelKind::Ntfy, "a/b"),
        (ChannelKind::Openclaw, "12345"),
        (ChannelKind::Webhook, ""),
    ] {
        let error = kind.check_place(&Place::new(to)).unwrap_err().to_string();
        assert!(to.is_empty() || error.contains(to), "{kind}: {error}");
    }
    assert!(ChannelKind::Ntfy.check_place(&Place::new("a").in_thread("1")).is_err());

    let mut receiver = service(&[&answer(200, &[], OK)]).await;
    let channel = channel(ChannelKind::Discord, &receiver);
    let (sent, arrived) = send(&channel, &Place::new("general"), &message("a"), 0).await;
    assert_eq!((sent.report.class.as_str(), arrived.len(), receiver.unseen()), ("render_failed", 0, 0));
}
