//! Messages for chat services stay within the limits that those publish, whatever a run puts out; and what low-code
//! receivers map is always there.

use clawhook_model::{DeliveryId, Notice, Preset, RunId};

use super::*;

const T0: UnixMs = UnixMs::from_millis(1_771_372_800_000);

/// Texts that are long, or made of what counts more than it looks, or that try to be more than text.
fn hostile_texts() -> Vec<String> {
    let units =
        ["a", "é", "🐎", "<", "&", "\"", "\\", "\n", "\u{1}", "line of words\n", "<!channel> @everyone "];
    let lengths = [1, 1_999, 2_000, 3_001, 45_000];
    let mut texts: Vec<String> = Vec::new();
    for unit in units {
        texts.extend(lengths.map(|length| unit.repeat(length / unit.len() + 1)));
    }
    texts.push(String::new());
    texts
}

fn each_message(preset: &str, mut check: impl FnMut(&Rendered, &Value)) {
    let renderer = renderer(&json!(preset)).unwrap();
    for text in hostile_texts() {
        for (name, kind) in [("error", "errorReason"), ("summary", "model"), ("jobName", "runId")] {
            let body = event(&json!({ name: text, kind: "x" }));
            let rendered = renderer.render(&input(&body)).unwrap();
            check(&rendered, &json_of(&rendered));
        }
    }
}

fn utf16(value: &Value) -> usize {
    value.as_str().unwrap().encode_utf16().count()
}

#[test]
fn a_slack_message_keeps_slacks_limits() {
    each_message("slack", |_, message| {
        let blocks = message["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50);
        let mut all = utf16(&message["text"]);
        assert!(all > 0);
        for block in blocks {
            let (text, limit) = match block["type"].as_str().unwrap() {
                "header" => (&block["text"]["text"], 150),
                "section" => (&block["text"]["text"], 3_000),
                _ => (&block["elements"][0]["text"], 3_000),
            };
            assert!((1..=limit).contains(&utf16(text)), "{block}");
            all += utf16(text);
        }
        assert!(all <= 40_000, "{all}");
    });
}

#[test]
fn a_slack_message_mentions_nobody_and_fetches_no_links() {
    let body =
        event(&json!({ "summary": "<!channel> & <https://example.com|click> @here", "jobName": "<!here>" }));
    let message = json_of(&render(&json!("slack"), &body).unwrap());
    assert_eq!(message["text"], "&lt;!here&gt;: ok");
    let section = &message["blocks"][1]["text"];
    assert_eq!(section["text"], "&lt;!channel&gt; &amp; &lt;https://example.com|click&gt; @here");
    assert_eq!(section["verbatim"], true);
    assert_eq!((&message["unfurl_links"], &message["unfurl_media"]), (&json!(false), &json!(false)));
}

#[test]
fn a_long_slack_message_is_whole_in_its_sections_until_it_says_that_it_is_cut() {
    let text_of = |length: usize| "0123456789\n".repeat(length / 11);
    let sections = |message: &Value| -> String {
        let blocks = message["blocks"].as_array().unwrap().iter();
        blocks
            .filter_map(|block| {
                block["text"]["verbatim"].as_bool().map(|_| block["text"]["text"].as_str().unwrap())
            })
            .collect()
    };
    let text = text_of(20_000);
    let message = json_of(&render(&json!("slack"), &event(&json!({ "summary": text }))).unwrap());
    assert_eq!(sections(&message), text.trim());
    assert!(!message.to_string().contains("cut:"));
    let message = json_of(&render(&json!("slack"), &event(&json!({ "summary": text_of(60_000) }))).unwrap());
    assert!(message["blocks"].as_array().unwrap().last().unwrap().to_string().contains("cut:"));
}

#[test]
fn a_discord_message_keeps_discords_limits_and_mentions_nobody() {
    each_message("discord", |_, message| {
        assert!((1..=2_000).contains(&utf16(&message["content"])));
        assert_eq!(message["allowed_mentions"], json!({ "parse": [] }));
        assert_eq!(message["flags"], 4, "no previews of links");
    });
}

#[test]
fn a_teams_message_keeps_the_limit_of_28_kilobytes() {
    each_message("teams", |rendered, message| {
        let in_utf16 = 2 * std::str::from_utf8(&rendered.body).unwrap().encode_utf16().count();
        assert!(rendered.body.len().max(in_utf16) <= 28 * 1024, "{in_utf16}");
        assert_eq!(rendered.content_type, "application/json; charset=utf-8");
        let card = &message["attachments"][0]["content"];
        assert_eq!((&card["type"], &card["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
        for block in card["body"].as_array().unwrap() {
            assert!(utf16(&block["text"]) > 0, "{block}");
        }
    });
}

#[test]
fn the_headline_names_job_status_and_reason_and_the_text_says_why_before_what() {
    let text = |changes: Value| {
        let flat = json_of(&render(&json!("n8n"), &event(&changes)).unwrap());
        (flat["headline"].as_str().unwrap().to_owned(), flat["text"].as_str().unwrap().to_owned())
    };
    let failed =
        json!({ "status": "error", "error": "it broke", "errorReason": "exit", "summary": "half\n" });
    assert_eq!(text(failed), ("daily-summary: error (exit)".to_owned(), "it broke\n\nhalf".to_owned()));
    let plain = json!({ "jobName": " a\n\u{1b}b ", "summary": "done" });
    assert_eq!(text(plain), ("a b: ok".to_owned(), "done".to_owned()));
    let silent = json!({ "summary": null });
    assert_eq!(text(silent), ("daily-summary: ok".to_owned(), String::new()));
}

#[test]
fn flat_json_has_the_same_members_for_every_event_and_the_event_under_event() {
    let bare = Bytes::from_static(b"{}");
    for preset in ["n8n", "zapier"] {
        let mut members = Vec::new();
        let samples = each_status();
        for input in samples.iter().map(super::super::sample::Sample::input).chain([input(&bare)]) {
            let flat = json_of(&renderer(&json!(preset)).unwrap().render(&input).unwrap());
            assert_eq!(flat["event"], serde_json::from_slice::<Value>(input.body).unwrap());
            members.push(flat.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
            let mapped = flat.as_object().unwrap().iter().filter(|(name, _)| *name != "event");
            assert!(mapped.into_iter().all(|(_, value)| !value.is_object() && !value.is_array()));
        }
        assert!(members.windows(2).all(|pair| pair[0] == pair[1]), "{members:?}");
    }
}

#[test]
fn a_notice_says_what_happened_and_why() {
    let (id, at) = (EventId::new(T0), T0);
    let job = "j1".parse().unwrap();
    let told = |notice: Notice<'_>| {
        let body =
            Bytes::from(notice.to_bytes(id, at, (&job, "daily"), &clawhook_model::Provenance::default()));
        let kind = notice.kind().as_str();
        let rendered = Renderer::new(&BodyFormat::Preset(Preset::Zapier)).unwrap();
        let rendered = rendered
            .render(&RenderInput { event_id: id, kind, occurred_at: at, body: &body, ack_url: None })
            .unwrap();
        let flat: Value = serde_json::from_slice(&rendered.body).unwrap();
        (flat["headline"].as_str().unwrap().to_owned(), flat["text"].as_str().unwrap().to_owned())
    };
    let pair = |headline: &str, text: &str| (headline.to_owned(), text.to_owned());
    let missed = Notice::RunMissed { due_at: T0, reason: "the gateway was not running" };
    assert_eq!(told(missed), pair("daily: run missed", "the gateway was not running"));
    let recovered = Notice::JobRecovered { run_id: RunId::new(T0), failures: 3 };
    assert_eq!(told(recovered), pair("daily: job recovered", "It succeeded after 3 failures in a row."));
    let dead = Notice::DeliveryDead {
        delivery_id: DeliveryId::new(T0),
        event_id: id,
        run_id: None,
        target: "ops",
        attempts: 10,
        reason: "HTTP 500",
    };
    assert_eq!(told(dead), pair("daily: delivery dead", "To ops: HTTP 500"));
    assert_eq!(told(Notice::JobRemoved), pair("daily: job removed", ""));
}

#[test]
fn a_message_that_asks_to_be_acknowledged_shows_where_and_an_alert_says_what_it_has_to_say() {
    let body = Bytes::from_static(br#"{"jobName":"daily","message":"Automation \"daily\" failed 2 times"}"#);
    let event = RenderInput {
        event_id: EventId::new(T0),
        kind: "job.alert",
        occurred_at: T0,
        body: &body,
        ack_url: Some("https://example.com/ack/1?until=2&token=3"),
    };
    for preset in [Preset::Slack, Preset::Discord, Preset::Teams] {
        let rendered = Renderer::new(&BodyFormat::Preset(preset)).unwrap().render(&event).unwrap();
        let shown: Value = serde_json::from_slice(&rendered.body).unwrap();
        let shown = shown.to_string();
        assert!(shown.contains("https://example.com/ack/1?until=2&token=3"), "{shown}");
        assert!(shown.contains("failed 2 times"), "{shown}");
        let unasked = Renderer::new(&BodyFormat::Preset(preset)).unwrap();
        let unasked = unasked.render(&RenderInput { ack_url: None, ..event }).unwrap();
        assert!(!String::from_utf8_lossy(&unasked.body).contains("cknowledge"));
    }
}
