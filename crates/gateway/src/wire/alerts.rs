//! Alerts and acknowledgements, as answers show them.

use clawhook_model::UnixMs;
use clawhook_store::{AlertPage, AlertRecord};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Page;
use super::deliveries::DeliveryView;
use super::words::{AckState, DeliveryStatus};

/// An alert: an event that tells somebody to look, and how it fares.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Alert)]
pub(crate) struct AlertView {
    /// Its event: the `webhook-id` that receivers see.
    #[schema(example = "evt_0198c2d57b1a7c3e9f40a1b2c3d4e5f6")]
    id: String,
    /// When it was raised.
    raised_at_ms: i64,
    /// What it is for: `trouble`, `test` or `drill`.
    purpose: String,
    /// What a person reads.
    message: String,
    /// The job that it is about; absent where it is the gateway itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    /// That job's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_name: Option<String>,
    /// What failed: `run`, `instant`, `delivery`, `job` or `gateway`; absent of a test and a drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Why, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// How often it had happened in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive: Option<u64>,
    /// The run that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// How it fares: it is delivered where it has arrived anywhere.
    outcome: DeliveryStatus,
    /// How its acknowledgement stands, where one is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledgement: Option<AckState>,
    /// Its deliveries in their order, those to subscribers too.
    deliveries: Vec<DeliveryView>,
}

impl From<&AlertRecord> for AlertView {
    fn from(alert: &AlertRecord) -> Self {
        let text = |key: &str| alert.body.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            id: alert.event_id.to_string(),
            raised_at_ms: alert.raised_at.as_millis(),
            purpose: text("purpose").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
            job_id: text("jobId"),
            job_name: text("jobName"),
            scope: text("scope"),
            cause: text("cause"),
            consecutive: alert.body.get("consecutive").and_then(Value::as_u64),
            run_id: text("runId"),
            outcome: alert.status().into(),
            acknowledgement: alert.acknowledgement().map(AckState::from),
            deliveries: alert.deliveries.iter().map(DeliveryView::from).collect(),
        }
    }
}

/// A page of alerts, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertList {
    /// The alerts.
    alerts: Vec<AlertView>,
    /// Where the page stands.
    #[serde(flatten)]
    page: Page,
}

impl AlertList {
    /// The page that began at `offset` and holds `limit` at most.
    pub(crate) fn new(page: &AlertPage, offset: usize, limit: usize) -> Self {
        let alerts: Vec<AlertView> = page.alerts.iter().map(AlertView::from).collect();
        Self { page: Page::new(page.total, offset, limit, alerts.len()), alerts }
    }
}

/// How an acknowledgement stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Acknowledgement)]
pub(crate) struct AcknowledgementView {
    /// Where it stands.
    state: AckState,
    /// Who gave it: `link`, `receiver`, `api`, or the name that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
    /// How often the receiver was asked again.
    asked_again: u32,
    /// When it is asked again, or who is next is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    ask_at_ms: Option<i64>,
}

impl From<&clawhook_model::Acknowledgement> for AcknowledgementView {
    fn from(given: &clawhook_model::Acknowledgement) -> Self {
        Self {
            state: given.state.into(),
            by: given.by.clone(),
            at_ms: given.at.map(UnixMs::as_millis),
            asked_again: given.asked_again,
            ask_at_ms: given.ask_at.map(UnixMs::as_millis),
        }
    }
}

/// Who acknowledges.
#[derive(Serialize, ToSchema)]
pub(crate) struct AckRequest {
    /// Who; `api` where it is left out.
    #[schema(max_length = 100)]
    by: Option<String>,
}

/// Whose alerts are tried.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertTest {
    /// The job whose routes are tried; the gateway's own where it is left out.
    job_id: Option<String>,
}

/// Another way that an event takes: a URL (`to`), a destination, or a place in a channel.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Rung)]
pub(crate) struct RungView {
    /// The URL, or the recipient in the channel.
    to: Option<String>,
    /// A destination, by its name.
    destination: Option<String>,
    /// The channel.
    channel: Option<String>,
    /// The account that announces.
    account_id: Option<String>,
    /// The thread.
    thread_id: Option<String>,
}

/// When trouble of a job is told, and where: `false`, or an object.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FailureAlert)]
pub(crate) struct FailureAlertView {
    /// After how many failures in a row; what `cron.failureAlert` says where it is left out, else 2.
    #[schema(minimum = 1)]
    after: Option<u32>,
    /// How long after one alert the next comes at the earliest; an hour.
    cooldown_ms: Option<u64>,
    /// Whether skipped runs count; false.
    include_skipped: Option<bool>,
    /// The way: `announce` or `webhook`.
    mode: Option<String>,
    /// The URL of a webhook, its query's values masked, or the recipient in a channel.
    to: Option<String>,
    /// The destination of a webhook, in place of `to`.
    destination: Option<String>,
    /// The channel of an announcement.
    channel: Option<String>,
    /// The account that announces.
    account_id: Option<String>,
    /// The thread of an announcement.
    thread_id: Option<String>,
    /// Where it goes next, when it does not arrive there.
    #[schema(max_items = 8)]
    fallback: Option<Vec<RungView>>,
}

/// Where it is told that a job failed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FailureDestination)]
pub(crate) struct FailureDestinationView {
    /// The way: `announce` or `webhook`.
    mode: Option<String>,
    /// The URL of a webhook, its query's values masked, or the recipient in a channel.
    to: Option<String>,
    /// The destination of a webhook, in place of `to`.
    destination: Option<String>,
    /// The channel of an announcement.
    channel: Option<String>,
    /// The account that announces.
    account_id: Option<String>,
    /// The thread of an announcement.
    thread_id: Option<String>,
}

/// How somebody is to acknowledge a result.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Acknowledge)]
pub(crate) struct AcknowledgeView {
    /// How long after its arrival it is sent again.
    #[schema(example = "5m")]
    within: Option<String>,
    /// How often it is sent again to each.
    #[schema(maximum = 100)]
    times: Option<u32>,
    /// Who is asked next.
    #[schema(max_items = 8)]
    then: Option<Vec<RungView>>,
    /// When nobody is asked again.
    quiet_hours: Option<QuietHoursView>,
}

/// A stretch of each day.
#[derive(Serialize, ToSchema)]
#[schema(as = QuietHours)]
pub(crate) struct QuietHoursView {
    /// When it begins.
    #[schema(example = "22:00")]
    start: String,
    /// When it ends; before `start` where it goes over midnight.
    #[schema(example = "07:00")]
    end: String,
    /// The zone; the gateway's own where it is left out.
    timezone: Option<String>,
}
