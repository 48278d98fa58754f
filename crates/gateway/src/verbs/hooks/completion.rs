//! What a caller is told of the end of a run that it asked for (contract §5.4).

use clawhook_model::{DeliveryState, RunProgress, RunStatus, SuppressionReason};
use clawhook_store::RunRecord;
use serde::Serialize;

/// The end of a run, as OpenClaw tells it; and, where the hook allows it, what the agent said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Completion {
    status: &'static str,
    reply_disposition: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_attempted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_suppression_reason: Option<&'static str>,
    /// Why it did not end well, as a class.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Completion {
    /// The end of a run; none while it is not over. With `output`, what the agent said or why it failed is told too.
    pub(crate) fn of(record: &RunRecord, output: bool) -> Option<Self> {
        let RunProgress::Finished { outcome, .. } = &record.run.progress else { return None };
        let said = outcome.summary.as_deref().unwrap_or_default().trim();
        let reply_disposition = match SuppressionReason::of(outcome) {
            Some(SuppressionReason::Silent) => "silent",
            Some(SuppressionReason::Empty) => "empty",
            None if said.is_empty() || outcome.status != RunStatus::Ok => "empty",
            None => "visible",
        };
        let required = || record.deliveries.iter().filter(|delivery| delivery.required);
        let has = |state| required().any(|delivery| delivery.state == state);
        let is_asked_for = required().any(|delivery| delivery.state != DeliveryState::Suppressed);
        let is_settled = required().all(|delivery| delivery.state.is_settled());
        let failed = has(DeliveryState::Dead) || has(DeliveryState::Cancelled);
        Some(Self {
            status: outcome.status.as_str(),
            reply_disposition,
            delivered: (is_asked_for && is_settled).then_some(!failed),
            delivery_attempted: is_asked_for.then(|| required().any(|delivery| delivery.attempts > 0)),
            delivery_error: failed.then_some("delivery-failed"),
            delivery_suppression_reason: record.suppression().map(SuppressionReason::as_str),
            error_reason: outcome.error.as_ref().map(|error| error.reason.as_str()),
            output: outcome.summary.clone().filter(|_| output),
            error: outcome.error.as_ref().map(|error| error.message.clone()).filter(|_| output),
        })
    }
}
