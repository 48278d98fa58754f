//! What each format promises, through the renderer.

mod chat;
mod document;
mod standards;
mod templates;

use bytes::Bytes;
use clawhook_model::{BodyFormat, EventId, RUN_FINISHED, UnixMs};
use serde_json::{Value, json};

use super::sample::each_status;
use super::{FormatError, RenderError, RenderInput, Rendered, Renderer};

/// The sample of status `ok`, with some members changed.
fn event(changes: &Value) -> Bytes {
    let [ok, ..] = each_status();
    let mut event: Value = serde_json::from_slice(ok.input().body).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => event.as_object_mut().unwrap().remove(name),
            value => event.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    event.to_string().into()
}

fn input(body: &Bytes) -> RenderInput<'_> {
    let event_id: EventId = "evt_019c6f3a000070008000000000000001".parse().unwrap();
    RenderInput {
        event_id,
        kind: RUN_FINISHED,
        occurred_at: UnixMs::from_millis(1_771_405_204_217),
        body,
        ack_url: None,
    }
}

fn renderer(format: &Value) -> Result<Renderer, FormatError> {
    Renderer::new(&BodyFormat::parse(format.clone()).unwrap())
}

fn render(format: &Value, body: &Bytes) -> Result<Rendered, RenderError> {
    renderer(format).unwrap_or_else(|error| panic!("{error}")).render(&input(body))
}

fn json_of(rendered: &Rendered) -> Value {
    serde_json::from_slice(&rendered.body).unwrap()
}

#[test]
fn i09_the_event_format_hands_the_stored_bytes_through_without_a_copy() {
    let body = event(&json!({}));
    let rendered = render(&json!("event"), &body).unwrap();
    assert_eq!(rendered.body.as_ptr(), body.as_ptr());
    assert_eq!(rendered.content_type, "application/json");
    assert!(rendered.headers.is_empty());
    // It does not even look: an event of a later kind, or one that is no JSON at all, is sent as it is stored.
    let other = Bytes::from_static(b"not json");
    assert_eq!(render(&json!("event"), &other).unwrap().body, other);
}

#[test]
fn i09_an_event_renders_to_the_same_bytes_every_time() {
    let body = event(&json!({}));
    let template = json!({ "template": { "body": "{{ event }}" } });
    for format in BodyFormat::NAMED.iter().map(BodyFormat::to_json).chain([template]) {
        let renderer = renderer(&format).unwrap();
        let (first, second) =
            (renderer.render(&input(&body)).unwrap(), renderer.render(&input(&body)).unwrap());
        assert_eq!((first.body, first.headers), (second.body, second.headers));
    }
}

#[test]
fn what_is_no_event_is_refused_without_being_repeated() {
    let body = Bytes::from_static(br#"{"jobId": "s3cret, "}"#);
    let broken = Bytes::from_static(b"{ s3cret");
    let template = json!({ "template": { "body": "{{ event }}" } });
    for format in [json!("slack"), json!("cloudevents"), json!("n8n"), template] {
        let error = render(&format, &broken).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        render(&format, &body).unwrap();
    }
}
