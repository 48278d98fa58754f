//! Reading deliveries, having one tried again, and ending one.

use clawhook_model::{DeliveryId, DeliveryState, DestinationRef};
use clawhook_store::{
    DeliveryCancelled, DeliveryFilter, DeliveryPage, DeliveryRetried, DeliveryWithAttempts, StoreError,
};
use thiserror::Error;

use super::destination_ref::DestinationRefVerbError;
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
    /// Its destination was removed.
    #[error("the destination of `{0}` is not there any more")]
    NoDestination(DeliveryId),
    /// It is over, so that there is nothing to end.
    #[error("`{0}` is {state} already", state = .1.as_str())]
    Settled(DeliveryId, DeliveryState),
    /// The destination whose deliveries are asked for cannot be found.
    #[error(transparent)]
    Destination(#[from] DestinationRefVerbError),
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
            Self::NoDestination(_) => "no_destination",
            Self::Settled(..) => "settled",
            Self::Destination(error) => error.code(),
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(id) => id.parse::<DeliveryId>().err().map(|error| error.to_string()),
            Self::UnderWay(_) => Some("look at it again in a moment: it may arrive".to_owned()),
            Self::AlreadyDelivered(id) => {
                Some(format!("to send the same event once more: `clawhook deliveries replay {id}`"))
            }
            Self::Suppressed(_) => Some("to send something new, run the job again".to_owned()),
            Self::NoSender(_) => Some("edit the job's delivery; its next run uses the new target".to_owned()),
            Self::NoDestination(id) => Some(format!(
                "define it again, or send it elsewhere: `clawhook deliveries replay {id} --to DESTINATION`"
            )),
            Self::Settled(..) => Some("only what waits can be cancelled".to_owned()),
            Self::Destination(error) => error.hint(),
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }
}

impl Verbs {
    /// A page of deliveries: of those to `destination` alone, where one is named.
    pub(crate) async fn deliveries(
        &self,
        destination: Option<DestinationRef>,
        mut filter: DeliveryFilter,
    ) -> Result<DeliveryPage, DeliveryVerbError> {
        if let Some(named) = destination {
            filter.destination = Some(self.destination_id_of(named).await?);
        }
        Ok(self.with.store.deliveries(filter).await?)
    }

    /// One delivery with its attempts.
    pub(crate) async fn delivery(&self, id: &str) -> Result<DeliveryWithAttempts, DeliveryVerbError> {
        let found = self.with.store.delivery(delivery_id(id)?).await?;
        found.ok_or_else(|| DeliveryVerbError::NotFound(shown(id)))
    }

    /// Makes a delivery due, with its whole retry schedule before it.
    pub(crate) async fn retry_delivery(&self, text: &str) -> Result<DeliveryWithAttempts, DeliveryVerbError> {
        let id = delivery_id(text)?;
        match self.with.store.retry_delivery(id, self.with.clock.now()).await? {
            DeliveryRetried::Due => self.delivery(text).await,
            DeliveryRetried::UnderWay => Err(DeliveryVerbError::UnderWay(id)),
            DeliveryRetried::AlreadyDelivered => Err(DeliveryVerbError::AlreadyDelivered(id)),
            DeliveryRetried::Suppressed => Err(DeliveryVerbError::Suppressed(id)),
            DeliveryRetried::NoSender => Err(DeliveryVerbError::NoSender(id)),
            DeliveryRetried::NoDestination => Err(DeliveryVerbError::NoDestination(id)),
            DeliveryRetried::NotFound => Err(DeliveryVerbError::NotFound(shown(text))),
        }
    }

    /// Ends a delivery that waits. It can be replayed later.
    pub(crate) async fn cancel_delivery(
        &self,
        text: &str,
    ) -> Result<DeliveryWithAttempts, DeliveryVerbError> {
        let id = delivery_id(text)?;
        match self.with.store.cancel_delivery(id, self.with.clock.now()).await? {
            DeliveryCancelled::Done => self.delivery(text).await,
            DeliveryCancelled::UnderWay => Err(DeliveryVerbError::UnderWay(id)),
            DeliveryCancelled::Settled(state) => Err(DeliveryVerbError::Settled(id, state)),
            DeliveryCancelled::NotFound => Err(DeliveryVerbError::NotFound(shown(text))),
        }
    }
}

fn delivery_id(text: &str) -> Result<DeliveryId, DeliveryVerbError> {
    text.parse().map_err(|_| DeliveryVerbError::NotFound(shown(text)))
}
