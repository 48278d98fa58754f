//! Deliveries and their attempts, as answers show them.

use clawhook_model::{Attempt, UnixMs};
use clawhook_store::{DeliveryPage, DeliveryWithAttempts};
use serde::Serialize;
use utoipa::ToSchema;

use super::Page;
use super::alerts::AcknowledgementView;
use super::words::{AttemptClass, DeadCause, DeliveryState};

/// One event on its way to one target.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
pub(crate) struct DeliveryView {
    #[serde(flatten)]
    facts: DeliveryFacts,
    /// How many attempts were begun.
    attempts: u32,
}

/// One delivery with the story of its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryDetail {
    #[serde(flatten)]
    facts: DeliveryFacts,
    /// How many attempts were begun.
    attempt_count: u32,
    /// The deliveries by which its event was sent once more; absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    replayed_as: Vec<String>,
    /// The attempts, in order.
    #[schema(value_type = Vec<AttemptView>)]
    attempts: Vec<Attempt>,
}

/// What every view of a delivery shows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryFacts {
    /// The delivery.
    #[schema(example = "dlv_0198c2d57b1a7c3e9f40a1b2c3d4e5f6")]
    id: String,
    /// The event it carries: the `webhook-id` that the receiver sees, the same on every attempt.
    event_id: String,
    /// The run that brought the event; absent where the event tells of something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// The job that the event is about.
    job_id: String,
    /// Whether the run's job asked for it, so that the run has not completed without it; others were subscribed to, or
    /// asked for by hand.
    required: bool,
    /// The destination whose queue it is in, by its handle.
    #[schema(example = "dst_7")]
    destination_id: String,
    /// Where to: the destination's name, or the URL with its secrets masked.
    target: String,
    /// The delivery whose event it carries once more, where a replay made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_of: Option<String>,
    /// The delivery whose event it carries on: to who is next, or to the same receiver once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// How the acknowledgement stands that is asked for, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledgement: Option<AcknowledgementView>,
    /// Where it stands.
    state: DeliveryState,
    /// When it was accepted.
    created_at_ms: i64,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at_ms: Option<i64>,
    /// When it was settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_at_ms: Option<i64>,
    /// Why it stands where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// On whose side the cause lies, while it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<DeadCause>,
}

impl From<&clawhook_model::Delivery> for DeliveryFacts {
    fn from(delivery: &clawhook_model::Delivery) -> Self {
        Self {
            id: delivery.id.to_string(),
            event_id: delivery.event_id.to_string(),
            run_id: delivery.run_id.map(|run| run.to_string()),
            job_id: delivery.job_id.to_string(),
            required: delivery.required,
            destination_id: delivery.destination_id.to_string(),
            target: delivery.target.shown(),
            replay_of: delivery.replay_of.map(|id| id.to_string()),
            after: delivery.after.map(|id| id.to_string()),
            acknowledgement: delivery.acknowledgement.as_ref().map(AcknowledgementView::from),
            state: delivery.state.into(),
            created_at_ms: delivery.created_at.as_millis(),
            next_at_ms: delivery.next_at.map(UnixMs::as_millis),
            settled_at_ms: delivery.settled_at.map(UnixMs::as_millis),
            reason: delivery.reason.clone(),
            cause: delivery.cause.map(DeadCause::from),
        }
    }
}

impl From<&clawhook_model::Delivery> for DeliveryView {
    fn from(delivery: &clawhook_model::Delivery) -> Self {
        Self { facts: delivery.into(), attempts: delivery.attempts }
    }
}

impl From<DeliveryWithAttempts> for DeliveryDetail {
    fn from(found: DeliveryWithAttempts) -> Self {
        let facts = DeliveryFacts::from(&found.delivery);
        let replayed_as = found.replayed_as.iter().map(ToString::to_string).collect();
        Self { facts, attempt_count: found.delivery.attempts, replayed_as, attempts: found.attempts }
    }
}

/// A page of deliveries, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryList {
    /// The deliveries.
    deliveries: Vec<DeliveryView>,
    /// Where the page stands.
    #[serde(flatten)]
    page: Page,
}

impl DeliveryList {
    /// The page that began at `offset` and holds `limit` at most.
    pub(crate) fn new(page: &DeliveryPage, offset: usize, limit: usize) -> Self {
        let deliveries: Vec<DeliveryView> = page.deliveries.iter().map(DeliveryView::from).collect();
        Self { page: Page::new(page.total, offset, limit, deliveries.len()), deliveries }
    }
}

/// One try at carrying an event to its target.
#[derive(ToSchema)]
#[schema(as = Attempt, rename_all = "camelCase")]
#[expect(dead_code, reason = "the schema of what the model's Attempt writes; a test compares the two")]
pub(crate) struct AttemptView {
    /// The delivery it belongs to.
    delivery_id: String,
    /// Its number within the delivery, from 1.
    number: u32,
    /// When it began, in milliseconds since the epoch.
    started_at: i64,
    /// How it ended.
    class: AttemptClass,
    /// The HTTP status, where the receiver answered.
    status: Option<u16>,
    /// What went wrong.
    error: Option<String>,
    /// The start of the receiver's answer.
    response_body: Option<String>,
    /// Whether the answer was longer than what is kept; absent where it was not.
    response_truncated: Option<bool>,
    /// Where a redirect pointed; it was not followed.
    location: Option<String>,
    /// When the receiver asked to be tried again (`Retry-After` of a 429 or 503).
    retry_after: Option<RetryAfterView>,
    /// The request's headers as they were sent, each a pair of name and value, secrets masked; absent where it was
    /// not sent.
    request_headers: Option<Vec<Vec<String>>>,
    /// The answer's headers, each a pair of name and value, secrets masked. What is too much ends in `…`.
    response_headers: Option<Vec<Vec<String>>>,
    /// The address and port that the connection was made to.
    #[schema(example = "203.0.113.7:443")]
    peer: Option<String>,
    /// The version of TLS; absent over plain http.
    #[schema(example = "1.3")]
    tls_version: Option<String>,
    /// Whether an open connection was used again; absent where it was not.
    connection_reused: Option<bool>,
    /// Of a message to a chat channel: by whom it was sent, and how far it came.
    announced: Option<AnnouncedView>,
    /// How long each phase took.
    timings: PhaseTimingsView,
    /// When the next attempt is due, in milliseconds since the epoch; absent after the last.
    next_at: Option<i64>,
    /// What was decided, and why.
    decision: String,
}

/// How far a message to a chat channel came.
#[derive(ToSchema)]
#[schema(as = Announced, rename_all = "camelCase")]
#[expect(dead_code, reason = "the schema of what the model's Announced writes; a test compares the two")]
pub(crate) struct AnnouncedView {
    /// The channel.
    channel: String,
    /// The account that sent it.
    account_id: String,
    /// How many parts have arrived by now.
    parts_arrived: u32,
    /// How many there are.
    parts: u32,
    /// The ids that the service gave the parts of this attempt; absent where it gave none.
    message_ids: Option<Vec<String>>,
}

/// When a receiver asks to be tried again: so many seconds after its answer, or at an instant in milliseconds since
/// the epoch.
#[derive(ToSchema)]
#[schema(as = RetryAfter, rename_all = "camelCase")]
#[expect(dead_code, reason = "the schema of what the model's RetryAfter writes; a test compares the two")]
pub(crate) enum RetryAfterView {
    /// So many seconds after its answer.
    Seconds(u64),
    /// At an instant.
    At(i64),
}

/// How long the phases of an attempt took, in microseconds; a phase that did not happen is absent.
#[derive(ToSchema)]
#[schema(as = PhaseTimings, rename_all = "camelCase")]
#[expect(dead_code, reason = "the schema of what the model's PhaseTimings write; a test compares the two")]
pub(crate) struct PhaseTimingsView {
    /// Resolving the host's name.
    dns_us: Option<u64>,
    /// Opening the TCP connection.
    connect_us: Option<u64>,
    /// The TLS handshake.
    tls_us: Option<u64>,
    /// From the request's first byte to the answer's head.
    first_byte_us: Option<u64>,
    /// Reading the answer's body.
    body_us: Option<u64>,
    /// Everything together.
    total_us: u64,
}

#[cfg(test)]
mod tests {
    use clawhook_model::{
        Announced, AttemptClass, AttemptReport, DeliveryId, PhaseTimings, RecordedHeaders, RetryAfter,
        TlsVersion,
    };
    use serde_json::json;
    use utoipa::PartialSchema;

    use super::*;
    use crate::wire::jobs::tests::assert_documented;

    #[test]
    fn the_schema_of_an_attempt_has_every_member_that_an_attempt_can_have() {
        let timings = PhaseTimings {
            dns_us: Some(1),
            connect_us: Some(1),
            tls_us: Some(1),
            first_byte_us: Some(1),
            body_us: Some(1),
            total_us: 5,
        };
        let headers = RecordedHeaders::record([("x-a", b"b".as_slice())]);
        let attempt = Attempt {
            delivery_id: DeliveryId::new(UnixMs::EPOCH),
            number: 1,
            started_at: UnixMs::EPOCH,
            report: AttemptReport {
                status: Some(302),
                response_body: Some("x".to_owned()),
                response_truncated: true,
                location: Some("/".to_owned()),
                retry_after: Some(RetryAfter::Seconds(5)),
                request_headers: headers.clone(),
                response_headers: headers,
                peer: Some(([203, 0, 113, 7], 443).into()),
                tls_version: Some(TlsVersion::V1_3),
                connection_reused: true,
                announced: Some(Announced {
                    channel: "slack".to_owned(),
                    account_id: "default".to_owned(),
                    parts_arrived: 1,
                    parts: 2,
                    message_ids: vec!["1.2".to_owned()],
                }),
                ..AttemptReport::failed(AttemptClass::Redirect, "it moved", timings)
            },
            next_at: Some(UnixMs::EPOCH),
            decision: "tried again".to_owned(),
        };
        let attempt = serde_json::to_value(attempt).unwrap();
        assert_documented::<AttemptView>(&attempt);
        assert_documented::<PhaseTimingsView>(&attempt["timings"]);
        assert_documented::<AnnouncedView>(&attempt["announced"]);
    }

    #[test]
    fn the_schema_of_what_a_receiver_asks_for_has_both_its_forms() {
        let schema = json!(RetryAfterView::schema());
        for (index, form) in [RetryAfter::Seconds(5), RetryAfter::At(UnixMs::EPOCH)].into_iter().enumerate() {
            let form = json!(form);
            let name = form.as_object().unwrap().keys().next().unwrap();
            assert_eq!(schema["oneOf"][index]["required"], json!([name]), "{schema:#}");
        }
    }
}
