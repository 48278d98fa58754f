//! The wrappers that standards define around an event. The event goes in byte for byte: it is neither read back nor
//! written anew, so that what a receiver finds inside is what is stored.

use bytes::Bytes;
use clawhook_model::{RUN_FINISHED, RUN_FINISHED_SCHEMA_ID};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::RenderError;
use super::facts::Facts;
use super::{RenderInput, Rendered, percent};

/// Room for what stands around an event.
const AROUND: usize = 512;

/// The context attributes of an event (CloudEvents 1.0 §3), in the order they are written.
struct Attributes([(&'static str, &'static str, String); ATTRIBUTES]);

const ATTRIBUTES: usize = 7;

impl Attributes {
    fn of(event: &RenderInput<'_>) -> Result<Self, RenderError> {
        let facts = Facts::read(event.body)?;
        let source = match &*facts.job_id {
            "" => "/clawhook".to_owned(),
            job => format!("/clawhook/jobs/{}", percent::encode(job, percent::is_path_byte)),
        };
        let schema = match event.kind {
            RUN_FINISHED => RUN_FINISHED_SCHEMA_ID.to_owned(),
            _ => String::new(),
        };
        Ok(Self([
            ("specversion", "ce-specversion", "1.0".to_owned()),
            ("id", "ce-id", event.event_id.to_string()),
            ("source", "ce-source", source),
            ("type", "ce-type", format!("com.clawhook.{}", event.kind)),
            ("subject", "ce-subject", facts.run_id.into_owned()),
            ("time", "ce-time", event.occurred_at.to_rfc3339()),
            ("dataschema", "ce-dataschema", schema),
        ]))
    }

    /// Those that the event has; an empty attribute is not allowed.
    fn present(&self) -> impl Iterator<Item = &(&'static str, &'static str, String)> {
        self.0.iter().filter(|(_, _, value)| !value.is_empty())
    }
}

/// CloudEvents, structured: one JSON object, with the event in `data`.
pub(super) fn cloud_event(event: &RenderInput<'_>) -> Result<Rendered, RenderError> {
    let attributes = Attributes::of(event)?;
    let mut body = Vec::with_capacity(event.body.len() + AROUND);
    for (name, _, value) in attributes.present() {
        write_member(&mut body, name, value);
    }
    write_member(&mut body, "datacontenttype", "application/json");
    Ok(Rendered {
        body: close_around(body, event.body),
        content_type: HeaderValue::from_static("application/cloudevents+json"),
        headers: HeaderMap::new(),
    })
}

/// CloudEvents, binary: the attributes in headers, the event as the body.
pub(super) fn binary_cloud_event(event: &RenderInput<'_>) -> Result<Rendered, RenderError> {
    let mut headers = HeaderMap::with_capacity(ATTRIBUTES);
    for (_, name, value) in Attributes::of(event)?.present() {
        let encoded = percent::encode(value, percent::is_attribute_byte);
        // What is encoded is visible ASCII, which is always fit for a header.
        if let Ok(value) = HeaderValue::try_from(encoded) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(Rendered { headers, ..Rendered::json(event.body.clone()) })
}

/// The envelope that Standard Webhooks advises: `type`, `timestamp`, `data`.
pub(super) fn standard_webhooks(event: &RenderInput<'_>) -> Rendered {
    let mut body = Vec::with_capacity(event.body.len() + AROUND);
    write_member(&mut body, "type", event.kind);
    write_member(&mut body, "timestamp", &event.occurred_at.to_rfc3339());
    Rendered::json(close_around(body, event.body))
}

/// Writes a member of the object that `out` is the open start of.
fn write_member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(if out.is_empty() { b'{' } else { b',' });
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    // Writing a text to memory cannot fail.
    serde_json::to_writer(out, value).ok();
}

/// Ends the object with the event as its `data`.
fn close_around(mut out: Vec<u8>, event: &Bytes) -> Bytes {
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(event);
    out.push(b'}');
    out.into()
}
