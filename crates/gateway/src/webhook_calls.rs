//! Calls of webhooks for the engine's hooks, by the way of deliveries.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clawhook_delivery::DeliveryHandle;
use clawhook_engine::{WebhookAnswer, WebhookCaller};
use clawhook_model::WebhookTarget;

/// Calls webhooks through the delivery service's guard, with its keys.
pub(crate) struct ByDelivery(pub(crate) DeliveryHandle);

#[async_trait]
impl WebhookCaller for ByDelivery {
    async fn call(&self, to: &WebhookTarget, body: Bytes, limit: Duration) -> Result<WebhookAnswer, String> {
        let called = tokio::time::timeout(limit, self.0.call(to, body)).await;
        let report = match called {
            Ok(Ok(report)) => report,
            Ok(Err(refused)) => return Err(refused.to_string()),
            Err(_) => return Err(format!("the webhook gave no answer within {limit:?}")),
        };
        match report.status {
            Some(status) => Ok(WebhookAnswer { status, body: report.response_body.unwrap_or_default() }),
            None => {
                let class = report.class.as_str();
                Err(report.error.map_or_else(|| class.to_owned(), |error| format!("{error} ({class})")))
            }
        }
    }
}
