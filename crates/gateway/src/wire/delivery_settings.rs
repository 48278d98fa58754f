//! Where a job's results go, as answers show it.

use serde::Serialize;
use utoipa::ToSchema;

use super::alerts::{AcknowledgeView, FailureDestinationView};

/// Where a job's result goes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeliverySettings)]
pub(crate) struct DeliverySettingsView {
    /// The way.
    mode: DeliveryModeView,
    /// The URL of a webhook, or the recipient in a channel. The query's values are shown as `***`, which, written
    /// back, keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://example.com/openclaw/webhook")]
    to: Option<String>,
    /// The destination of a webhook, by its name, in place of `to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ops")]
    destination: Option<String>,
    /// The receivers of a webhook, where there are several, in place of `to` and `destination`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 16)]
    targets: Option<Vec<WebhookTargetView>>,
    /// The channel of an announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// The account that announces.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    /// The thread of an announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
    /// Whether the run counts as completed even if the result does not arrive; false where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    best_effort: Option<bool>,
    /// Whether a result is sent that comes after its run was given up; false where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    late_results: Option<bool>,
    /// Where it is told that the job failed, where its rules of alerts name no route.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_destination: Option<FailureDestinationView>,
    /// How somebody is to acknowledge its results.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledge: Option<AcknowledgeView>,
    /// A webhook beside an announcement, for which the run's completion does not wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_destination: Option<CompletionDestinationView>,
}

/// A webhook beside an announcement.
#[derive(Serialize, ToSchema)]
#[schema(as = CompletionDestination)]
pub(crate) struct CompletionDestinationView {
    /// Always `webhook`.
    #[schema(example = "webhook")]
    mode: String,
    /// Its URL.
    to: String,
}

/// One receiver of a webhook: its URL or its destination.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = WebhookTarget)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum WebhookTargetView {
    /// This address, with the gateway's defaults.
    Url {
        /// The URL.
        to: String,
    },
    /// A destination.
    Destination {
        /// Its name.
        destination: String,
    },
}

/// Where a job's result goes, in few words.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryPreview)]
pub(crate) struct DeliveryPreviewView {
    /// The way and the target.
    label: String,
    /// The way; of an announcement by which account, and how the place came about.
    detail: String,
}

/// The way a result takes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DeliveryMode)]
#[expect(dead_code, reason = "the schema of what the model reads and writes")]
pub(crate) enum DeliveryModeView {
    /// It stays in the run history.
    None,
    /// To a chat channel.
    Announce,
    /// As a signed POST.
    Webhook,
}
