//! Finding the destination that a person named.

use clawhook_delivery::GuardRefusal;
use clawhook_model::{AnnounceTarget, DestinationId, DestinationRef, RouteError, Target};
use clawhook_store::StoreError;
use thiserror::Error;

use super::{Verbs, store_code};

/// Why the destination that was named cannot be used.
#[derive(Debug, Error)]
pub(crate) enum DestinationRefVerbError {
    /// There is none, or it is one that nothing is sent to.
    #[error("there is no destination `{0}`")]
    Unknown(DestinationRef),
    /// It lies where no webhook may go.
    #[error(transparent)]
    Webhook(#[from] GuardRefusal),
    /// It is an announcement that was never resolved to a place.
    #[error("`{0}` is an announcement that had no way")]
    NoSender(DestinationRef),
    /// There is no such place in a channel.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DestinationRefVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown_destination",
            Self::Webhook(_) => "webhook_refused",
            Self::NoSender(_) => "no_sender",
            Self::Route(_) => "no_route",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(DestinationRef::Url(_)) => Some(
                "nothing was ever sent to this URL; one that is shown with `***` is named by its `dst_…`"
                    .to_owned(),
            ),
            Self::Unknown(_) => Some(
                "`clawhook destinations list` shows those there are; deliveries show theirs as `dst_…`"
                    .to_owned(),
            ),
            Self::Webhook(refusal) => Some(refusal.hint()),
            Self::Route(error) => Some(error.hint()),
            Self::NoSender(_) => Some("name the place, as in `telegram:123`".to_owned()),
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }
}

impl Verbs {
    /// The destination whose deliveries are asked for; it may have been removed since.
    pub(super) async fn destination_id_of(
        &self,
        named: DestinationRef,
    ) -> Result<DestinationId, DestinationRefVerbError> {
        let target = match &named {
            DestinationRef::Id(id) => return Ok(*id),
            DestinationRef::Name(name) => Target::Destination(name.clone()),
            DestinationRef::Url(url) => Target::Webhook(url.clone()),
            DestinationRef::Place(to) => self.place(to)?,
        };
        let found = self.with.store.destination_id(&target).await?;
        found.ok_or(DestinationRefVerbError::Unknown(named))
    }

    /// A place in a channel, by the channel's default account.
    fn place(&self, to: &str) -> Result<Target, DestinationRefVerbError> {
        let target = AnnounceTarget { to: Some(to.to_owned()), ..AnnounceTarget::default() };
        Ok(Target::Announce(self.with.channels.routes.resolve(&target, None)?.target()))
    }

    /// What is to be sent to from now on.
    pub(super) async fn find_target(&self, named: DestinationRef) -> Result<Target, DestinationRefVerbError> {
        let found = match &named {
            DestinationRef::Url(url) => {
                self.with.guard.check_url(url)?;
                return Ok(Target::Webhook(url.clone()));
            }
            DestinationRef::Place(to) => return self.place(to),
            DestinationRef::Name(name) => self.with.store.destination_named(name).await?,
            DestinationRef::Id(id) => self.with.store.destination(*id).await?,
        };
        match found.map(|found| found.destination.target) {
            None => Err(DestinationRefVerbError::Unknown(named)),
            Some(Target::Announce(place)) if place.channel.is_none() => {
                Err(DestinationRefVerbError::NoSender(named))
            }
            Some(target) => Ok(target),
        }
    }
}
