//! Alerts: reading them, trying their way, and acknowledging.

use std::collections::BTreeSet;

use clawhook_delivery::AckLinkError;
use clawhook_model::{AlertPurpose, DeliveryId, EventId, Target};
use clawhook_store::{
    Acknowledged, AlertFilter, AlertPage, AlertRecord, DeliveryWithAttempts, StoreError, SyntheticAlert,
};
use thiserror::Error;

use super::jobs::JobVerbError;
use super::{Verbs, shown, store_code};

/// For how long it is told that an alert reached nobody: a day.
const LATELY_MS: i64 = 24 * 60 * 60 * 1000;
/// How much of a name is kept with an acknowledgement.
const LONGEST_NAME: usize = 100;

/// Why a verb on alerts was not done.
#[derive(Debug, Error)]
pub(crate) enum AlertVerbError {
    /// There is no such alert.
    #[error("Alert not found: {0}.")]
    NotFound(String),
    /// There is no such delivery.
    #[error("Delivery not found: {0}.")]
    NoDelivery(String),
    /// Nowhere to send it.
    #[error("{0} has no route for alerts")]
    NoRoute(String),
    /// The job cannot be read.
    #[error(transparent)]
    Job(#[from] JobVerbError),
    /// Nobody asked for it.
    #[error("nobody is asked to acknowledge `{0}`")]
    NotAsked(String),
    /// The link acknowledges nothing.
    #[error(transparent)]
    Link(#[from] AckLinkError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AlertVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::NoDelivery(_) => "not_found",
            Self::NoRoute(_) => "no_route",
            Self::Job(error) => error.code(),
            Self::NotAsked(_) => "not_asked",
            Self::Link(AckLinkError::Forged) => "bad_link",
            Self::Link(AckLinkError::Expired(_)) => "expired_link",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(_) => Some("list the alerts to see their ids: `clawhook alerts list`".to_owned()),
            Self::NoDelivery(_) => None,
            Self::NoRoute(_) => Some(
                "set `cron.failureAlert` in the configuration, or give the job a `failureAlert` with a route"
                    .to_owned(),
            ),
            Self::Job(error) => error.hint(),
            Self::NotAsked(_) => {
                Some("a job asks for it with `delivery.acknowledge`, a drill always does".to_owned())
            }
            Self::Link(AckLinkError::Forged) => Some("open the link as it was sent, whole".to_owned()),
            Self::Link(AckLinkError::Expired(_)) => {
                Some("acknowledge with `clawhook alerts ack`, or through the API".to_owned())
            }
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }
}

impl Verbs {
    /// A page of alerts, the newest first.
    pub(crate) async fn alerts(&self, filter: AlertFilter) -> Result<AlertPage, StoreError> {
        self.with.store.alerts(filter).await
    }

    /// One alert.
    pub(crate) async fn alert(&self, id: &str) -> Result<AlertRecord, AlertVerbError> {
        let not_found = || AlertVerbError::NotFound(shown(id));
        let event: EventId = id.parse().map_err(|_| not_found())?;
        self.with.store.alert(event).await?.ok_or_else(not_found)
    }

    /// Sends an alert that tells of nothing to every route of a job, or of the gateway. It counts for no job.
    pub(crate) async fn test_alert(&self, job: Option<&str>) -> Result<AlertRecord, AlertVerbError> {
        let alerts = &self.with.alerts.alerts;
        let (job, targets) = match job {
            None => (None, alerts.targets()),
            Some(id) => {
                let job = self.job(id).await?.job;
                let targets = job.definition.alert_targets(alerts, None);
                (Some((job.id, job.definition.name)), targets)
            }
        };
        if targets.is_empty() {
            let whose = job.map_or("the gateway".to_owned(), |(id, _)| format!("the job `{id}`"));
            return Err(AlertVerbError::NoRoute(whose));
        }
        let test = SyntheticAlert { purpose: AlertPurpose::Test, job, targets, ask: None };
        let event = self.with.store.raise_synthetic(test, self.with.clock.now()).await?;
        self.alert(&event.to_string()).await
    }

    /// Acknowledges the event of a delivery, for whoever holds the gateway's token.
    pub(crate) async fn acknowledge(
        &self,
        id: &str,
        by: Option<&str>,
    ) -> Result<DeliveryWithAttempts, AlertVerbError> {
        let delivery = delivery_id(id)?;
        self.acknowledge_as(delivery, by.unwrap_or("api")).await
    }

    /// Acknowledges an alert, in the same way.
    pub(crate) async fn acknowledge_alert(
        &self,
        id: &str,
        by: Option<&str>,
    ) -> Result<AlertRecord, AlertVerbError> {
        let alert = self.alert(id).await?;
        let asks = alert.deliveries.iter().find(|delivery| delivery.acknowledgement.is_some());
        let delivery = asks.ok_or_else(|| AlertVerbError::NotAsked(shown(id)))?.id;
        self.acknowledge_as(delivery, by.unwrap_or("api")).await?;
        self.alert(id).await
    }

    /// Looks at a link, and changes nothing.
    pub(crate) async fn look_at_link(
        &self,
        id: &str,
        until: &str,
        token: &str,
    ) -> Result<DeliveryWithAttempts, AlertVerbError> {
        let delivery: DeliveryId = id.parse().map_err(|_| AckLinkError::Forged)?;
        self.with.ack_links.check(delivery, until, token, self.with.clock.now())?;
        let found = self.with.store.delivery(delivery).await?;
        found.ok_or_else(|| AlertVerbError::NoDelivery(shown(id)))
    }

    /// Acknowledges by a link.
    pub(crate) async fn acknowledge_by_link(
        &self,
        id: &str,
        until: &str,
        token: &str,
    ) -> Result<DeliveryWithAttempts, AlertVerbError> {
        let found = self.look_at_link(id, until, token).await?;
        self.acknowledge_as(found.delivery.id, "link").await
    }

    /// Whether opening a link acknowledges.
    pub(crate) fn acknowledges_at_once(&self) -> bool {
        self.with.alerts.one_click
    }

    async fn acknowledge_as(
        &self,
        delivery: DeliveryId,
        by: &str,
    ) -> Result<DeliveryWithAttempts, AlertVerbError> {
        let by: String = by.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        let done = self.with.store.acknowledge(delivery, by, self.with.clock.now()).await?;
        match done {
            Acknowledged::Done | Acknowledged::Before => {}
            Acknowledged::NotAsked => return Err(AlertVerbError::NotAsked(delivery.to_string())),
            Acknowledged::NotFound => return Err(AlertVerbError::NoDelivery(delivery.to_string())),
        }
        let found = self.with.store.delivery(delivery).await?;
        found.ok_or_else(|| AlertVerbError::NoDelivery(delivery.to_string()))
    }

    /// What asks for the operator in what is said of alerts: destinations that they name and that are not defined, and
    /// alerts that reached nobody.
    pub(super) async fn alert_warnings(&self) -> Result<Vec<String>, StoreError> {
        let mut warnings = Vec::new();
        let lately = self.with.clock.now().plus_millis(-LATELY_MS);
        match self.with.store.alert_counts(Some(lately)).await?.dead {
            0 => {}
            1 => warnings.push("an alert reached nobody; `clawhook alerts list` shows it".to_owned()),
            dead => warnings.push(format!("{dead} alerts reached nobody; `clawhook alerts list` shows them")),
        }
        let config = &self.with.alerts;
        let drilled = config.drill.iter().flat_map(|drill| drill.targets.iter().cloned());
        let named: BTreeSet<_> = config
            .alerts
            .targets()
            .into_iter()
            .chain(drilled)
            .filter_map(|target| match target {
                Target::Destination(name) => Some(name),
                Target::Webhook(_) | Target::Announce(_) => None,
            })
            .collect();
        for name in named {
            if self.with.store.destination_named(&name).await?.is_none() {
                warnings.push(format!(
                    "alerts are to go to the destination `{name}`, which is not defined; `clawhook destinations add` defines it"
                ));
            }
        }
        Ok(warnings)
    }
}

fn delivery_id(text: &str) -> Result<DeliveryId, AlertVerbError> {
    text.parse().map_err(|_| AlertVerbError::NoDelivery(shown(text)))
}
