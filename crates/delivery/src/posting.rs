//! Webhooks on their way: shaped, signed and sent.

use bytes::Bytes;
use clawhook_model::{
    AttemptClass, AttemptReport, EventId, HOPS_HEADER, PhaseTimings, Provenance, TRAIL_HEADER, UnixMs,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::acknowledge::{ACK_URL, header as ack_header};
use crate::destination::Post;
use crate::format::{RenderInput, Rendered};
use crate::service::{Core, Outgoing};
use crate::signature::SigningInput;
use crate::transport::{ConnectionProfile, PostRequest};

impl Core {
    /// Gives an event its shape, signs it, and sends it, once. Whatever is sent to a destination goes this way: the
    /// event's id is the same on each attempt, time and signature are fresh, and the bytes that are signed are the bytes
    /// that are sent (invariant 9).
    pub(crate) async fn attempt(
        &self,
        post: &Post,
        profile: &ConnectionProfile,
        outgoing: Outgoing,
        started_at: UnixMs,
    ) -> AttemptReport {
        let Outgoing { event_id, kind, occurred_at, body, attempt, asks } = outgoing;
        // Whatever shape the body takes, where it comes from is told.
        let provenance = Provenance::of_event(&body);
        let link = asks.map(|(id, began)| self.ack_link(id, began));
        let kind = kind.as_str();
        let input = RenderInput { event_id, kind, occurred_at, body: &body, ack_url: link.as_deref() };
        let Rendered { body, content_type, headers: rendered } = match post.renderer.render(&input) {
            Ok(rendered) => rendered,
            Err(error) => {
                let error = format!("the body cannot be made: {error}");
                return AttemptReport::failed(AttemptClass::RenderFailed, error, PhaseTimings::default());
            }
        };
        let mut headers = post.headers.clone();
        headers.extend(rendered);
        if let Some(link) = link.as_deref().and_then(ack_header) {
            headers.insert(ACK_URL, link);
        }
        if let Some(provenance) = provenance {
            tell_provenance(&provenance, &mut headers);
        }
        self.post((post, profile), event_id, (body, content_type, headers), attempt, started_at).await
    }

    /// Signs what is ready to be sent, and sends it, once.
    pub(crate) async fn post(
        &self,
        (post, profile): (&Post, &ConnectionProfile),
        event_id: EventId,
        (body, content_type, mut headers): (Bytes, HeaderValue, HeaderMap),
        attempt: u32,
        started_at: UnixMs,
    ) -> AttemptReport {
        const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
        const ATTEMPT: HeaderName = HeaderName::from_static("clawhook-attempt");
        let signing = SigningInput {
            event_id,
            timestamp_secs: started_at.as_secs(),
            url: &post.url,
            content_type: content_type.to_str().unwrap_or_default(),
            body: &body,
        };
        post.signer.sign(&signing, &mut headers);
        headers.insert(header::CONTENT_TYPE, content_type);
        // An id is always fit for a header.
        if let Ok(id) = HeaderValue::try_from(event_id.to_string()) {
            headers.insert(IDEMPOTENCY_KEY, id);
        }
        headers.insert(ATTEMPT, HeaderValue::from(attempt));
        self.carrier()
            .send(PostRequest { method: Method::POST, url: &post.url, profile, headers, body })
            .await
    }
}

/// Tells in headers where an event comes from.
pub(crate) fn tell_provenance(provenance: &Provenance, headers: &mut HeaderMap) {
    const HOPS: HeaderName = HeaderName::from_static(HOPS_HEADER);
    const TRAIL: HeaderName = HeaderName::from_static(TRAIL_HEADER);
    headers.insert(HOPS, HeaderValue::from(provenance.hops));
    // What the clock or somebody began has come through no job yet.
    let trail = Some(provenance.trail_header()).filter(|trail| !trail.is_empty());
    if let Some(Ok(trail)) = trail.map(HeaderValue::try_from) {
        headers.insert(TRAIL, trail);
    }
}
