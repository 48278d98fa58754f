//! Reading deliveries, and having one tried again.

use clawhook_model::DeliveryId;
use clawhook_store::{DeliveryFilter, DeliveryPage, DeliveryRetried, DeliveryWithAttempts, StoreError};
use thiserror::Error;

use super::{Verbs, shown, store_code};

/// Why a verb on deliveries was not done.
#[derive(Debug, Error)]
pub(crate) enum DeliveryVerbError {
    /// There is no such delivery.
    #[error("Delivery not found: {0}.")]
    NotFound(String),
    /// A worker is trying at this moment.
    #[error("`{0}` is being tried at this moment")]
    UnderWay(DeliveryId),
    /// It has arrived, and a receiver gets nothing twice on purpose.
    #[error("`{0}` has been delivered already")]
    AlreadyDelivered(DeliveryId),
    /// It was not to be sent.
    #[error("`{0}` was not to be sent: the run said nothing to deliver")]
    Suppressed(DeliveryId),
    /// Nothing here can send to its target.
    #[error("`{0}` has a target that this version of clawhook cannot send to")]
    NoSender(DeliveryId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeliveryVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::UnderWay(_) => "under_way",
            Self::AlreadyDelivered(_) => "already_delivered",
            Self::Suppressed(_) => "suppressed",
            Self::NoSender(_) => "no_sender",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(id) => id.parse::<DeliveryId>().err().map(|error| error.to_string()),
            Self::UnderWay(_) => Some("look at it again in a moment: it may arrive".to_owned()),
            Self::AlreadyDelivered(_) | Self::Suppressed(_) => {
                Some("to send something new, run the job again".to_owned())
            }
            Self::NoSender(_) => Some("edit the job's delivery; its next run uses the new target".to_owned()),
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }
}

impl Verbs {
    /// A page of deliveries.
    pub(crate) async fn deliveries(&self, filter: DeliveryFilter) -> Result<DeliveryPage, DeliveryVerbError> {
        Ok(self.with.store.deliveries(filter).await?)
    }

    /// One delivery with its attempts.
    pub(crate) async fn delivery(&self, id: &str) -> Result<DeliveryWithAttempts, DeliveryVerbError> {
        let found = self.with.store.delivery(delivery_id(id)?).await?;
        found.ok_or_else(|| DeliveryVerbError::NotFound(shown(id)))
    }

    /// Makes a delivery due at once, with its whole retry schedule before it.
    pub(crate) async fn retry_delivery(&self, text: &str) -> Result<DeliveryWithAttempts, DeliveryVerbError> {
        let id = delivery_id(text)?;
        match self.with.store.retry_delivery(id, self.with.clock.now()).await? {
            DeliveryRetried::Due => self.delivery(text).await,
            DeliveryRetried::UnderWay => Err(DeliveryVerbError::UnderWay(id)),
            DeliveryRetried::AlreadyDelivered => Err(DeliveryVerbError::AlreadyDelivered(id)),
            DeliveryRetried::Suppressed => Err(DeliveryVerbError::Suppressed(id)),
            DeliveryRetried::NoSender => Err(DeliveryVerbError::NoSender(id)),
            DeliveryRetried::NotFound => Err(DeliveryVerbError::NotFound(shown(text))),
        }
    }
}

fn delivery_id(text: &str) -> Result<DeliveryId, DeliveryVerbError> {
    text.parse().map_err(|_| DeliveryVerbError::NotFound(shown(text)))
}
