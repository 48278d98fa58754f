//! Chat channels: which there are, where a job's results are announced, and trying a place out.

use clawhook_delivery::TestRefused;
use clawhook_delivery::channels::{Account, ChannelKind, Place, PlaceError};
use clawhook_model::{
    AnnounceTarget, AttemptReport, DeliveryMode, JobDefinition, Payload, Route, RouteError, SessionTarget,
};
use clawhook_store::StoreError;
use thiserror::Error;

use super::{Verbs, store_code};

/// One account of a channel.
#[derive(Debug, Clone)]
pub(crate) struct ListedAccount {
    /// The channel.
    pub(crate) channel: String,
    /// The account's name.
    pub(crate) account_id: String,
    /// Whether it sends where a job of this channel names none.
    pub(crate) is_default: bool,
    /// The server, without secrets.
    pub(crate) server: Option<String>,
    /// Where its messages go that name no place.
    pub(crate) to: Option<String>,
}

/// Why something cannot be announced.
#[derive(Debug, Error)]
pub(crate) enum ChannelVerbError {
    /// There is no way.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The place is none of its channel.
    #[error("{0}")]
    Place(#[from] PlaceError),
    /// It cannot be tried out.
    #[error(transparent)]
    Refused(#[from] TestRefused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ChannelVerbError {
    /// The word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Route(_) => "no_route",
            Self::Place(_) => "invalid_place",
            Self::Refused(_) => "not_tested",
            Self::Store(error) => store_code(error),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Route(error) => Some(error.hint()),
            Self::Place(_) | Self::Refused(_) => None,
            Self::Store(error) => Some(error.hint().to_owned()),
        }
    }

    /// The field that it is about.
    pub(crate) fn field(&self) -> Option<&'static str> {
        match self {
            Self::Route(error) => Some(error.field()),
            Self::Place(_) => Some("delivery.to"),
            Self::Refused(_) | Self::Store(_) => None,
        }
    }
}

/// What came of a test message.
#[derive(Debug)]
pub(crate) struct PlaceTested {
    /// Where it went.
    pub(crate) route: Route,
    /// What came of it.
    pub(crate) report: AttemptReport,
}

impl Verbs {
    /// The accounts that are configured, in order.
    pub(crate) fn channel_accounts(&self) -> Vec<ListedAccount> {
        let channels = &self.with.channels;
        let listed = |((channel, account_id), account): (&(String, String), &Account)| ListedAccount {
            channel: channel.clone(),
            account_id: account_id.clone(),
            is_default: channels
                .routes
                .channels
                .get(channel)
                .is_some_and(|it| it.default_account == *account_id),
            server: account
                .url
                .as_ref()
                .map(ToString::to_string)
                .or_else(|| account.kind.default_url().map(str::to_owned)),
            to: account.default_place.as_ref().map(|place| place.to.clone()),
        };
        channels.accounts.iter().map(listed).collect()
    }

    /// Sends a test message to a place.
    pub(crate) async fn test_place(&self, target: &AnnounceTarget) -> Result<PlaceTested, ChannelVerbError> {
        let route = self.with.channels.routes.resolve(target, None)?;
        check_place(&route)?;
        let tested = self.with.delivery.test_place(&route.target()).await?;
        Ok(PlaceTested { route, report: tested.report })
    }

    /// Where a job's results are announced, or why nowhere; none where they are not to be announced.
    pub(super) async fn route_of(
        &self,
        definition: &JobDefinition,
    ) -> Result<Option<Result<Route, RouteError>>, StoreError> {
        let DeliveryMode::Announce(target) = &definition.delivery.mode else { return Ok(None) };
        let last = self.with.store.last_route(&definition.agent()).await?;
        Ok(Some(self.with.channels.routes.resolve(target, last.as_ref())))
    }

    /// Refuses a job whose results could not be announced. Where that may fail anyway, it is tried when there is one.
    pub(super) async fn check_announced(&self, definition: &JobDefinition) -> Result<(), ChannelVerbError> {
        let DeliveryMode::Announce(target) = &definition.delivery.mode else { return Ok(()) };
        let best_effort = definition.delivery.best_effort;
        self.with.channels.routes.check_saved(target, best_effort)?;
        match self.route_of(definition).await? {
            Some(Ok(route)) => Ok(check_place(&route)?),
            Some(Err(_)) if best_effort => Ok(()),
            Some(Err(error)) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Refuses a place that is named for something else than results, where nothing can be announced there.
    pub(super) fn check_named_place(&self, target: &AnnounceTarget) -> Result<(), ChannelVerbError> {
        Ok(check_place(&self.with.channels.routes.resolve(target, None)?)?)
    }

    /// Has a new job that says nothing of it announce its results, where that is OpenClaw's default and there is a way.
    pub(super) async fn announce_by_default(&self, definition: &mut JobDefinition) -> Result<(), StoreError> {
        let is_usual = definition.session_target != SessionTarget::Main
            && matches!(definition.payload, Payload::AgentTurn(_))
            && definition.delivery.mode == DeliveryMode::None;
        if !is_usual {
            return Ok(());
        }
        let mut announced = definition.clone();
        announced.delivery.mode = DeliveryMode::Announce(AnnounceTarget::default());
        match self.check_announced(&announced).await {
            Ok(()) => *definition = announced,
            Err(ChannelVerbError::Store(error)) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }
}

/// That the recipient and the thread are written as the channel's service writes them.
fn check_place(route: &Route) -> Result<(), PlaceError> {
    let Ok(kind) = route.channel.parse::<ChannelKind>() else { return Ok(()) };
    kind.check_place(&Place { to: route.to.clone(), thread: route.thread_id.clone() })
}
