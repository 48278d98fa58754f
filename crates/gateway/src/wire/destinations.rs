//! Destinations as answers show them. The model writes and masks a definition's JSON; the types here are its schema.

use clawhook_model::{AttemptReport, Destination, JobId, Standing, Target, UnixMs};
use clawhook_store::{DestinationPage, DestinationWithQueue, OrderHead, QueueState};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Page;
use super::destination_definition::DestinationDefinitionView;
use super::words::{DeliveryState, HaltReason};
use crate::verbs::{DestinationDetail, DestinationTested};

/// One receiver and what waits for it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Destination)]
pub(crate) struct DestinationView {
    /// Its handle, by which every destination can be called.
    #[schema(example = "dst_7")]
    id: String,
    /// What jobs call it; absent for an implicit one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ops")]
    name: Option<String>,
    /// Where requests go, secrets masked; absent where it is no URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://example.com/hook")]
    url: Option<String>,
    /// What it is for people: its name, or the place itself.
    target: String,
    /// Whether it came about because a job named a URL, and has the gateway's defaults.
    implicit: bool,
    /// What its operator said of it, secrets masked; absent for an implicit one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DestinationDefinitionView>)]
    definition: Option<Value>,
    /// The configuration file that declares it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    declared_in: Option<String>,
    /// Moves with every change of the definition.
    revision: u64,
    /// Whether anything is sent to it.
    standing: StandingView,
    /// Since when no attempt has succeeded; absent while they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since_ms: Option<i64>,
    /// When it was last resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed_at_ms: Option<i64>,
    /// What waits for it.
    queue: QueueView,
    /// When it came about.
    created_at_ms: i64,
    /// When it was last changed.
    updated_at_ms: i64,
}

/// One receiver with all there is to know of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DestinationDetailView {
    #[serde(flatten)]
    destination: DestinationView,
    /// The jobs that name it, the first hundred.
    jobs: Vec<String>,
    /// The deliveries that others of their order wait for, the longest waiting first; empty where no order is held up.
    heads: Vec<OrderHeadView>,
}

/// Whether anything is sent to a destination.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Standing)]
pub(crate) struct StandingView {
    /// Where it stands.
    state: StandingState,
    /// Why nothing is sent; this and the two below are absent while it is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<HaltReason>,
    /// The reason in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_ms: Option<i64>,
}

/// Where a destination stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StandingState {
    /// Deliveries are sent.
    Active,
    /// Nothing is sent until it is resumed, by a person or because the reason is gone.
    Paused,
    /// Nothing is sent until a person resumes it.
    Disabled,
}

/// What waits for a destination.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Queue)]
pub(crate) struct QueueView {
    /// Deliveries that were never tried.
    pending: u64,
    /// Deliveries that are to be tried again.
    waiting: u64,
    /// Deliveries that are being tried.
    leased: u64,
    /// Deliveries, of the pending ones, that stand behind another in an order.
    blocked: u64,
    /// When the earliest is due; absent where none waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at_ms: Option<i64>,
}

/// A delivery that others of its order wait for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderHead)]
pub(crate) struct OrderHeadView {
    /// The delivery.
    delivery_id: String,
    /// Its job.
    job_id: String,
    /// Where it stands.
    state: DeliveryState,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at_ms: Option<i64>,
    /// Why it is not delivered yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How many wait for it.
    behind: u64,
}

impl From<&DestinationWithQueue> for DestinationView {
    fn from(found: &DestinationWithQueue) -> Self {
        let Destination { target, definition, .. } = &found.destination;
        let name = match target {
            Target::Destination(name) => Some(name.to_string()),
            Target::Webhook(_) | Target::Announce(_) => None,
        };
        let url = match (definition, target) {
            (Some(definition), _) => Some(definition.url.to_string()),
            (None, Target::Webhook(url)) => Some(url.to_string()),
            (None, Target::Destination(_) | Target::Announce(_)) => None,
        };
        Self {
            id: found.destination.id.to_string(),
            implicit: name.is_none(),
            name,
            url,
            target: target.shown(),
            definition: definition.as_ref().map(clawhook_model::DestinationDefinition::to_json),
            declared_in: found.destination.declared_in.clone(),
            revision: found.destination.revision,
            standing: (&found.destination.standing).into(),
            failing_since_ms: found.destination.failing_since.map(UnixMs::as_millis),
            resumed_at_ms: found.destination.resumed_at.map(UnixMs::as_millis),
            queue: found.queue.into(),
            created_at_ms: found.destination.created_at.as_millis(),
            updated_at_ms: found.destination.updated_at.as_millis(),
        }
    }
}

impl From<&Standing> for StandingView {
    fn from(standing: &Standing) -> Self {
        let state = match standing {
            Standing::Active => StandingState::Active,
            Standing::Paused(_) => StandingState::Paused,
            Standing::Disabled(_) => StandingState::Disabled,
        };
        let halt = standing.halt();
        Self {
            state,
            reason: halt.map(|halt| halt.reason.into()),
            detail: halt.map(|halt| halt.detail.clone()),
            since_ms: halt.map(|halt| halt.since.as_millis()),
        }
    }
}

impl From<QueueState> for QueueView {
    fn from(queue: QueueState) -> Self {
        let QueueState { pending, waiting, leased, blocked, next_at } = queue;
        Self { pending, waiting, leased, blocked, next_at_ms: next_at.map(UnixMs::as_millis) }
    }
}

impl From<&OrderHead> for OrderHeadView {
    fn from(head: &OrderHead) -> Self {
        Self {
            delivery_id: head.delivery_id.to_string(),
            job_id: head.job_id.to_string(),
            state: head.state.into(),
            next_at_ms: head.next_at.map(UnixMs::as_millis),
            reason: head.reason.clone(),
            behind: head.behind,
        }
    }
}

impl From<&DestinationDetail> for DestinationDetailView {
    fn from(detail: &DestinationDetail) -> Self {
        Self {
            destination: (&detail.found).into(),
            jobs: detail.jobs.iter().map(JobId::to_string).collect(),
            heads: detail.heads.iter().map(OrderHeadView::from).collect(),
        }
    }
}

/// A page of destinations, the named ones first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DestinationList {
    /// The destinations.
    destinations: Vec<DestinationView>,
    /// Where the page stands.
    #[serde(flatten)]
    page: Page,
}

impl DestinationList {
    /// The page that began at `offset` and holds `limit` at most.
    pub(crate) fn new(page: &DestinationPage, offset: usize, limit: usize) -> Self {
        let destinations: Vec<DestinationView> =
            page.destinations.iter().map(DestinationView::from).collect();
        Self { page: Page::new(page.total, offset, limit, destinations.len()), destinations }
    }
}

/// What came of a test event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DestinationTestView {
    /// Whether the receiver took it.
    delivered: bool,
    /// The destination's handle.
    id: String,
    /// What it is for people.
    target: String,
    /// The event's identity, as the receiver saw it.
    event_id: String,
    /// When the attempt began.
    started_at_ms: i64,
    /// The attempt: class, status, error, the start of the answer's body, timings, as an attempt of a delivery has them.
    #[schema(value_type = Object)]
    attempt: AttemptReport,
}

impl From<DestinationTested> for DestinationTestView {
    fn from(tested: DestinationTested) -> Self {
        let DestinationTested { destination, report } = tested;
        Self {
            delivered: report.report.class.is_delivered(),
            id: destination.id.to_string(),
            target: destination.target.shown(),
            event_id: report.event_id.to_string(),
            started_at_ms: report.started_at.as_millis(),
            attempt: report.report,
        }
    }
}

/// Why a destination is paused.
#[derive(Serialize, ToSchema)]
pub(crate) struct PauseRequest {
    /// The reason, for whoever finds it paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use clawhook_model::{DestinationDefinition, DestinationId, Halt};
    use serde_json::json;

    use super::*;

    fn destination(definition: Option<Value>, standing: Standing) -> DestinationWithQueue {
        let definition = definition.map(|definition| DestinationDefinition::parse(definition).unwrap());
        let target = match &definition {
            Some(_) => Target::Destination("ops".parse().unwrap()),
            None => Target::Webhook("https://example.com/?k=s3cret".parse().unwrap()),
        };
        let destination = Destination {
            id: DestinationId::from_number(7),
            target,
            definition,
            declared_in: Some("/etc/clawhook.json5".to_owned()),
            revision: 2,
            standing,
            failing_since: Some(UnixMs::EPOCH),
            resumed_at: Some(UnixMs::EPOCH),
            created_at: UnixMs::EPOCH,
            updated_at: UnixMs::EPOCH,
        };
        DestinationWithQueue { destination, queue: QueueState::default() }
    }

    #[test]
    fn i12_a_destination_is_shown_with_its_secrets_masked() {
        let halt = Halt {
            reason: clawhook_model::HaltReason::ByHand,
            detail: "as told".to_owned(),
            since: UnixMs::EPOCH,
        };
        let named =
            destination(Some(json!({ "url": "https://example.com/?k=s3cret" })), Standing::Paused(halt));
        let named = json!(DestinationView::from(&named));
        assert_eq!((&named["name"], &named["implicit"]), (&json!("ops"), &json!(false)));
        assert_eq!(named["definition"]["url"], "https://example.com/?k=***");
        assert_eq!(
            named["standing"],
            json!({ "state": "paused", "reason": "by_hand", "detail": "as told", "sinceMs": 0 })
        );
        let implicit = json!(DestinationView::from(&destination(None, Standing::Active)));
        assert_eq!((implicit.get("name"), &implicit["implicit"]), (None, &json!(true)));
        assert_eq!(implicit["url"], "https://example.com/?k=***");
        assert!(!format!("{named}{implicit}").contains("s3cret"));
    }
}
