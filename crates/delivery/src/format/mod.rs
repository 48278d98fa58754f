//! In which shape an event leaves the house.
//!
//! The cast: a [`Renderer`] is made once from a destination's [`BodyFormat`] and turns events into bodies. `envelope`
//! puts the stored event, byte for byte, into the wrappers that standards define; `chat` writes messages for people
//! within the limits that chat services publish; `flat` writes what low-code receivers map field by field; `template`
//! runs what a destination's owner wrote, within bounds and without a way out of the JSON around it. `facts` reads of
//! an event what more than one of them needs.
//!
//! Who owns what: the stored event is never changed here. What is rendered is signed and sent as it is; the same event
//! renders to the same bytes on every attempt, because nothing but the event goes in.
//!
//! Not guaranteed: that a template fits every event there will ever be. It is tried on a sample of each status when it
//! is saved; what it makes of a later event is judged then, and refused rather than sent broken.

mod chat;
mod cut;
mod envelope;
mod error;
mod facts;
mod flat;
pub(crate) mod percent;
mod sample;
mod template;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use clawhook_model::{BodyFormat, EventId, Preset, UnixMs};
use http::{HeaderMap, HeaderValue};

pub use error::{FormatError, RenderError, TemplatePart};

pub(crate) use cut::one_line;
pub(crate) use facts::unreadable;
use template::Template;

/// An event that is to be rendered.
#[derive(Debug, Clone, Copy)]
pub struct RenderInput<'a> {
    /// The event's identity.
    pub event_id: EventId,
    /// What happened, such as `run.finished`.
    pub kind: &'a str,
    /// When it happened.
    pub occurred_at: UnixMs,
    /// The event's JSON, exactly as it is stored.
    pub body: &'a Bytes,
    /// Where a person acknowledges it, where somebody must. Messages for people show it.
    pub ack_url: Option<&'a str>,
}

/// What an event looks like to one destination.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The body, exactly as it is to be signed and sent.
    pub body: Bytes,
    /// What the body is.
    pub content_type: HeaderValue,
    /// Headers that belong to the format.
    pub headers: HeaderMap,
}

impl Rendered {
    fn json(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            content_type: HeaderValue::from_static("application/json"),
            headers: HeaderMap::new(),
        }
    }
}

/// Turns events into what one destination takes.
#[derive(Debug, Default)]
pub struct Renderer {
    shape: Shape,
}

#[derive(Debug, Default)]
enum Shape {
    #[default]
    Event,
    CloudEvents,
    CloudEventsBinary,
    StandardWebhooks,
    Preset(Preset),
    Template(Box<Template>),
}

impl Renderer {
    /// The renderer of a format. A template is compiled, and tried on a sample event of each status.
    pub fn new(format: &BodyFormat) -> Result<Self, FormatError> {
        let shape = match format {
            BodyFormat::Event => Shape::Event,
            BodyFormat::CloudEvents => Shape::CloudEvents,
            BodyFormat::CloudEventsBinary => Shape::CloudEventsBinary,
            BodyFormat::StandardWebhooks => Shape::StandardWebhooks,
            BodyFormat::Preset(preset) => Shape::Preset(*preset),
            BodyFormat::Template(spec) => Shape::Template(Box::new(Template::compile(spec)?)),
        };
        let renderer = Self { shape };
        if let Shape::Template(_) = renderer.shape {
            renderer.try_on_samples()?;
        }
        Ok(renderer)
    }

    fn try_on_samples(&self) -> Result<(), FormatError> {
        for sample in sample::each_status() {
            self.render(&sample.input())
                .map_err(|error| FormatError::Sample { status: sample.status.as_str(), error })?;
        }
        Ok(())
    }

    /// The event as the destination takes it.
    pub fn render(&self, event: &RenderInput<'_>) -> Result<Rendered, RenderError> {
        match &self.shape {
            Shape::Event => Ok(Rendered::json(event.body.clone())),
            Shape::CloudEvents => envelope::cloud_event(event),
            Shape::CloudEventsBinary => envelope::binary_cloud_event(event),
            Shape::StandardWebhooks => Ok(envelope::standard_webhooks(event)),
            Shape::Preset(Preset::Slack) => chat::slack(event),
            Shape::Preset(Preset::Discord) => chat::discord(event),
            Shape::Preset(Preset::Teams) => chat::teams(event),
            Shape::Preset(Preset::N8n | Preset::Zapier) => flat::flat(event),
            Shape::Template(template) => template.render(event),
        }
    }
}
